"""Tables of URLs of any size: read by Spark, labelled with a function's answers, mixed and written to train from."""

import os
import re
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from urlseq.errors import WrongColumns, WrongType
from urlseq.functions import Function, answer
from urlseq.tables import find_columns, translate_errors

END_OF_TERM = "s3a://eotarchive/eot-index/table/eot-main/crawl=EOT-2020"
COMMON_CRAWL = "s3a://commoncrawl/cc-index/table/cc-main/warc"  # needs an account
PACKAGE = Path(__file__).parents[1]
JAVA_ERRORS = (Py4JError, PySparkException)


def read_table(spark: SparkSession, path: str | Path, columns: Sequence[str] | None = ("url",)) -> DataFrame:
    """A handle on a parquet table: an archive's index, or any that has the `columns` (None: all that it has).

    Only its schema is read, and later the columns and row groups that `select` and `where` leave. Raises
    MissingColumns, MissingSource, PrivateSource, and Unreachable.
    """
    there, path = Path(path).exists(), re.sub("^s3://", "s3a://", str(path))
    address = address_of(path) if there else path
    base, partition, _ = address.partition("/crawl=")  # of a path into one partition, its name stays a column
    options = {"__globPaths__": not there}  # brackets in what is there are no pattern
    with translate_errors(path, JAVA_ERRORS):
        frame = spark.read.options(**options | ({"basePath": base} if partition else {})).parquet(address)
        names = frame.columns
    found = map(named, find_columns(columns or [], names, path))
    return frame.select(*found).toDF(*columns) if columns else frame


def address_of(path: str | Path) -> str:
    """A path as Python means it: Java does not know of `cd`, and takes a folder called `12:30` for an address."""
    found = str(path) if re.match(r"[A-Za-z][\w+.-]+:/", str(path)) else os.path.abspath(path)
    return f"file://{found}" if found.startswith("/") and ":" in found else found


def text_column(schema: T.StructType, column: str) -> str:
    """The frame's own name of `column`, which may be in another case. Raises WrongColumns where there is no text."""
    [name] = find_columns([column], schema.names, "The frame")
    if not isinstance(kind := schema[name].dataType, T.StringType):
        advice = f"frame.withColumn({name!r}, F.col({name!r}).cast('string')) converts it."
        raise WrongColumns(f"Column {name!r} is of type {kind.simpleString()}, and has to be text: {advice}")
    return name


def named(name: str) -> Column:
    """The column with this name, in which dots and brackets would else be ways into a structure."""
    return F.col("`" + name.replace("`", "``") + "`")


def with_answers(frame: DataFrame, function: Function, column: str = "url") -> DataFrame:
    """The frame's `column` and a column `answer`: the function's answers as JSON, computed on the executors.

    Nulls stay null. Executors import the function, if no notebook or running script defines it. Raises WrongColumns.
    """
    inputs = frame.select(named(text_column(frame.schema, column)).alias("input"))  # mapInArrow takes no dots
    ship_package(frame.sparkSession)

    def label(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            texts = batch.column(0)
            labels = [None if text is None else answer(function, text) for text in texts.to_pylist()]
            yield pa.RecordBatch.from_arrays([texts, pa.array(labels, pa.string())], [column, "answer"])

    return inputs.mapInArrow(label, T.StructType().add(column, "string").add("answer", "string"))


def ship_package(spark: SparkSession) -> None:
    """Gives this package's modules to the executors, other processes or machines. Raises WrongType by Spark Connect."""
    if not hasattr(spark, "sparkContext"):
        raise WrongType("This needs a session of Spark itself, not of Spark Connect: urlseq.spark.session() makes one "
                        "in a Python that has none yet.")  # fmt: skip
    if any(name.endswith("/urlseq.zip") for name in spark.sparkContext.listFiles):
        return
    path = Path(tempfile.mkdtemp()) / "urlseq.zip"
    with zipfile.ZipFile(path, "w") as package:
        for source in PACKAGE.rglob("*.py"):
            package.write(source, source.relative_to(PACKAGE.parent))
    spark.sparkContext.addPyFile(str(path))


def write_training_table(frame: DataFrame, folder: str | Path, function: Function | None = None, *,
                         column: str = "url", files: int = 8, group_rows: int = 4096,
                         seed: int = 0) -> str | Path:  # fmt: skip
    """Writes a table's inputs, each once, thoroughly mixed, as `tables.TableSampler` needs them: the folder.

    With a `function`, its answers go with them. Spark's own shuffle mixes, on the executors' disks, so the table may
    be of any size. The same inputs and seed give the same order. Those with NUL are left out. Raises WrongColumns.
    """
    if frame.isStreaming:
        raise WrongColumns("A stream has no end: write_training_table takes one of its batches, in foreachBatch.")
    text = named(column)
    mixed = (
        frame.select(named(text_column(frame.schema, column)).alias(column))
        .where(text.isNotNull() & ~text.contains("\0"))
        .repartition(files, text)  # equal inputs meet in one partition, where all but one can be dropped
        .dropDuplicates([column])
        .sortWithinPartitions(F.xxhash64(text, F.lit(seed)), text)
    )
    labelled = mixed if function is None else with_answers(mixed, function, column)
    writer = labelled.write.mode("overwrite").option("parquet.block.row.count.limit", group_rows)
    with translate_errors(str(folder), JAVA_ERRORS):
        writer.option("compression", "zstd").parquet(address_of(folder))
    return folder
