"""Tables of URLs of any size: read by Spark, labelled with a function's answers, mixed and written to train from."""

import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from urlseq.functions import Function, answer
from urlseq.tables import check_columns, translate_errors

END_OF_TERM = "s3a://eotarchive/eot-index/table/eot-main/crawl=EOT-2020"
COMMON_CRAWL = "s3a://commoncrawl/cc-index/table/cc-main/warc"  # needs an account
PACKAGE = Path(__file__).parents[1]
JAVA_ERRORS = (Py4JError, PySparkException)


def read_table(spark: SparkSession, path: str | Path, columns: Sequence[str] | None = ("url",)) -> DataFrame:
    """A handle on a parquet table: an archive's index, or any that has the `columns` (None: all that it has).

    Only its schema is read, and later the columns and row groups that `select` and `where` leave. Raises
    MissingColumns, MissingSource, PrivateSource, and Unreachable.
    """
    path = str(path).replace("s3://", "s3a://")
    base, partition, _ = path.partition("/crawl=")  # of a path into one partition, its name stays a column
    reader = spark.read.option("basePath", base) if partition else spark.read
    with translate_errors(path, JAVA_ERRORS):
        frame = reader.parquet(path)
    check_columns(columns or [], frame.columns, path)
    return frame.select(*columns) if columns else frame


def with_answers(frame: DataFrame, function: Function, column: str = "url") -> DataFrame:
    """The frame's `column` and a column `answer`: the function's answers as JSON, computed on the executors.

    Nulls stay null. Executors import the function, unless it is defined in a notebook or in the script that runs.
    """
    ship_package(frame.sparkSession)

    def label(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            inputs = batch.column(0)
            labels = [None if text is None else answer(function, text) for text in inputs.to_pylist()]
            yield pa.RecordBatch.from_arrays([inputs, pa.array(labels, pa.string())], [column, "answer"])

    return frame.select(column).mapInArrow(label, f"`{column}` string, answer string")


def ship_package(spark: SparkSession) -> None:
    """Gives this package's modules to the executors, which may be other processes or other machines."""
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
    be of any size. The same inputs and seed give the same order. Inputs with NUL are left out.
    """
    text = F.col(column)
    mixed = (
        frame.select(column)
        .where(text.isNotNull() & ~text.contains("\0"))
        .repartition(files, text)  # equal inputs meet in one partition, where all but one can be dropped
        .dropDuplicates([column])
        .sortWithinPartitions(F.xxhash64(text, F.lit(seed)), text)
    )
    labelled = mixed if function is None else with_answers(mixed, function, column)
    writer = labelled.write.mode("overwrite").option("parquet.block.row.count.limit", group_rows)
    with translate_errors(str(folder), JAVA_ERRORS):
        writer.option("compression", "zstd").parquet(str(folder))
    return folder
