"""A copied function as a stage of a Spark ML pipeline: columns of answers, confidence, trust and embeddings.

The driver reads the copy and broadcasts it: each executor gets it once, wherever its folder may lie. Each Python
worker loads it once, and answers batches that come and go by Arrow. The workers need this project's requirements.
"""

import contextlib
import functools
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
from pyspark import keyword_only
from pyspark.ml import Transformer
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasInputCol, HasOutputCol
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from urlseq.copying import load
from urlseq.functions import Inverse, answers
from urlseq.learned import CARD, LearnedCopy
from urlseq.spark import ship_package

# What the worker says of a text, by the parameter that names its column.
FIELDS = {
    "outputCol": T.StructField("answer", T.StringType()),
    "confidenceCol": T.StructField("confidence", T.FloatType()),
    "trustedCol": T.StructField("trusted", T.BooleanType()),
    "reasonCol": T.StructField("reason", T.StringType()),
    "embeddingCol": T.StructField("embedding", T.ArrayType(T.FloatType(), False)),
}

# The fields of a prediction, in that order.
PREDICTED = ("text", "confidence", "trusted", "reason")


class WrongColumns(ValueError):
    """The frame has not the columns that the transformer needs, or has those already that it makes."""


class CopiedFunction(Transformer, HasInputCol, HasOutputCol, DefaultParamsReadable, DefaultParamsWritable):
    """Answers each text of `inputCol`, in further columns.

    - `outputCol`: the answer as JSON; null where the text can't be an input, such as one that is too long;
    - `outputCol` with `_confidence`, `_trusted`, `_reason` behind it, or the names given: the smallest probability
      along the answer, whether the copy trusts it, and if not, why;
    - `embeddingCol`, where it is named: the encoder's states, as of `LearnedCopy.embed`.

    Where the text is null, all of them are. With `fallback` the real function answers what the copy does not trust,
    and what can't be an input; `trusted` and `reason` go on to speak of the copy.

    `copyFolder` is a folder that the driver can read, or the name of a shipped copy; a saved pipeline keeps the path,
    not the copy.
    """

    copyFolder = Param(Params._dummy(), "copyFolder", "a copy's folder, or the name of a shipped one",
                       TypeConverters.toString)  # fmt: skip
    fallback = Param(Params._dummy(), "fallback", "whether the real function answers what is not trusted",
                     TypeConverters.toBoolean)  # fmt: skip
    confidenceCol = Param(Params._dummy(), "confidenceCol", "the confidence's column", TypeConverters.toString)
    trustedCol = Param(Params._dummy(), "trustedCol", "the column of trust", TypeConverters.toString)
    reasonCol = Param(Params._dummy(), "reasonCol", "the column of reasons against trust", TypeConverters.toString)
    embeddingCol = Param(Params._dummy(), "embeddingCol", "the embedding's column; none by default",
                         TypeConverters.toString)  # fmt: skip

    @keyword_only
    def __init__(self, *, inputCol: str = "url", outputCol: str = "answer", copyFolder: str = "urlparse",
                 fallback: bool = False, confidenceCol: str | None = None, trustedCol: str | None = None,
                 reasonCol: str | None = None, embeddingCol: str | None = None):  # fmt: skip
        super().__init__()
        self._setDefault(inputCol="url", outputCol="answer", copyFolder="urlparse", fallback=False)
        given = {name: value for name, value in self._input_kwargs.items() if value is not None}
        self._set(**given)

    def columns(self) -> dict[str, str]:
        """The name of each column that it makes, by the parameter that names it."""
        names = {name: self.getOrDefault(name) for name in FIELDS if self.isDefined(name)}
        defaults = {f"{field}Col": f"{names['outputCol']}_{field}" for field in ("confidence", "trusted", "reason")}
        names = defaults | names
        return {name: names[name] for name in FIELDS if name in names}

    def transformSchema(self, schema: T.StructType) -> T.StructType:
        """The schema with the new columns. Raises WrongColumns."""
        self.check(schema)
        fields = [T.StructField(name, FIELDS[parameter].dataType) for parameter, name in self.columns().items()]
        return T.StructType([*schema.fields, *fields])

    def check(self, schema: T.StructType) -> None:
        read, made = self.getInputCol(), list(self.columns().values())
        if read not in schema.names:
            raise WrongColumns(f"There is no column {read!r} to read; the frame has {', '.join(schema.names)}.")
        if not isinstance(schema[read].dataType, T.StringType):
            raise WrongColumns(
                f"Column {read!r} is of type {schema[read].dataType.simpleString()}, and texts are wanted: "
                f"F.col({read!r}).cast('string') makes some of it."
            )
        if taken := [name for name in made if name in schema.names or made.count(name) > 1]:
            raise WrongColumns(f"Two columns would be called {', '.join(dict.fromkeys(taken))}: give other names.")

    def _transform(self, dataset: DataFrame) -> DataFrame:
        """Raises WrongColumns, and BadModel where the folder holds no copy that this version reads."""
        self.check(dataset.schema)
        columns = self.columns()
        column = answering(dataset.sparkSession, self.getOrDefault("copyFolder"), self.getOrDefault("fallback"),
                           list(columns))  # fmt: skip
        # One column of all fields first, so that each text is answered once, whatever is made of it.
        together = f"{columns['outputCol']} and all that belongs to it"
        found = dataset.withColumn(together, column(F.col(f"`{self.getInputCol()}`")))
        fields = {name: F.col(f"`{together}`.{FIELDS[parameter].name}") for parameter, name in columns.items()}
        return found.withColumns(fields).drop(together)


def answering(spark: SparkSession, folder: str, fallback: bool, parameters: Sequence[str]):
    """A function from a column of texts to one of structs with the fields of these parameters."""
    copied = load(folder)
    if fallback and (copied.function is None or isinstance(copied.function, Inverse)):
        raise ValueError(f"There is no function to fall back on: {copied!r} is of none that is known here.")
    ship_package(spark)
    schema = T.StructType([FIELDS[parameter] for parameter in parameters])
    files = spark.sparkContext.broadcast(files_of(copied))
    names = schema.names

    def answer(batches: Iterator[pd.Series]) -> Iterator[pd.DataFrame]:
        import urlseq

        with urlseq.quiet():  # what TensorFlow remarks when it is imported would come from each worker
            from urlseq.spark_ml import answered, loaded

            copied = loaded(files)
        for batch in batches:
            texts = [None if missing else text for text, missing in zip(batch, batch.isna(), strict=True)]
            yield answered(copied, texts, fallback, "embedding" in names)[names]

    # A function of which Spark thinks that it says other things each time is never called twice for one row.
    return F.pandas_udf(answer, schema).asNondeterministic()


def files_of(copied: LearnedCopy) -> dict[str, bytes]:
    """The files of a copy's folder, by their names."""
    with tempfile.TemporaryDirectory() as folder:
        return {path.name: path.read_bytes() for path in copied.save(folder).iterdir()}


LOADED: dict[bytes, LearnedCopy] = {}  # the copies of this worker, by their cards, which name the weights by a hash


def loaded(files) -> LearnedCopy:
    """The copy that was broadcast, made when a worker sees it first."""
    card = files.value[CARD]
    if card not in LOADED:
        one_thread()
        with tempfile.TemporaryDirectory() as folder:
            for name, data in files.value.items():
                (Path(folder) / name).write_bytes(data)
            LOADED[card] = load(folder)
    return LOADED[card]


@functools.cache
def one_thread() -> None:
    """Keeps TensorFlow to one core: Spark starts as many workers as there are cores to use."""
    import tensorflow as tf

    with contextlib.suppress(RuntimeError):  # another function has used TensorFlow in this worker, and decided
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)


def answered(copied: LearnedCopy, texts: Sequence[str | None], fallback: bool, embed: bool) -> pd.DataFrame:
    """A row of all fields for each text; all null where the text is None."""
    refusals = {row: copied.refusal(text) for row, text in enumerate(texts) if text is not None}
    usable = [text for row, text in enumerate(texts) if text is not None and not refusals[row]]
    predictions, vectors = iter(copied.predict(usable)), iter(copied.embed(usable) if embed else [None] * len(usable))
    rows = []
    for row, text in enumerate(texts):
        if text is None:
            rows.append((None,) * len(FIELDS))
            continue
        if refusals[row]:
            record = (None, 0.0, False, refusals[row], None)
        else:
            prediction = next(predictions)
            record = (*(getattr(prediction, name) for name in PREDICTED), next(vectors))
        if fallback and not record[2]:
            record = (answers(copied.function, [text])[0], *record[1:])
        rows.append(record)
    return pd.DataFrame(rows, columns=[field.name for field in FIELDS.values()], dtype=object)
