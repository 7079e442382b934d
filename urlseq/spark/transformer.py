"""A copied function as a stage of a Spark ML pipeline. Beside what Spark needs, workers need LiteRT and numpy."""

import functools
import json
import os
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

from urlseq.cards import SHIPPED
from urlseq.errors import NoFunction, WrongColumns
from urlseq.functions import answer
from urlseq.lite import LiteCopy, known_function, load_lite
from urlseq.spark.labels import named, ship_package, text_column

# What a worker answers to a text, by the parameter that names its column.
FIELDS = {
    "outputCol": T.StructField("answer", T.StringType()),
    "confidenceCol": T.StructField("confidence", T.FloatType()),
    "trustedCol": T.StructField("trusted", T.BooleanType()),
    "reasonCol": T.StructField("reason", T.StringType()),
    "embeddingCol": T.StructField("embedding", T.ArrayType(T.FloatType(), False)),
}
DUMMY, TEXT = Params._dummy(), TypeConverters.toString


def absolute(folder: str | Path) -> str:
    """A copy's folder, so that a saved pipeline finds it from everywhere, or the name of a shipped copy as it is."""
    shipped = (SHIPPED / folder).is_dir() and not os.path.exists(folder)
    return str(folder) if shipped else os.path.abspath(folder)


class CopiedFunction(Transformer, HasInputCol, HasOutputCol, DefaultParamsReadable, DefaultParamsWritable):
    """Answers each text of `inputCol`, in further columns, all of them null where the text is:

    - `outputCol`: the answer as JSON; null where the text can't be an input, such as one that is too long;
    - `outputCol` with `_confidence`, `_trusted`, `_reason` appended, or the names given: the probability of the
      whole answer, whether the copy trusts it, and if not, why ("" where it does);
    - `embeddingCol`, where it is named: the vector of `LearnedCopy.embed`.

    With `fallback` the real function answers what the copy does not trust, and what can't be an input; `trusted` and
    `reason` still describe the copy. `copyFolder` is a folder that the driver can read, or the name of a shipped copy;
    the driver broadcasts what is in it. A saved pipeline keeps the absolute path, not the copy.
    """

    copyFolder = Param(DUMMY, "copyFolder", "a copy's folder, or the name of a shipped one", absolute)
    fallback = Param(DUMMY, "fallback", "the real function answers what is not trusted", TypeConverters.toBoolean)
    confidenceCol, trustedCol, reasonCol, embeddingCol = (
        Param(DUMMY, f"{field}Col", f"the name of the column {field}", TEXT)
        for field in ("confidence", "trusted", "reason", "embedding")
    )

    @keyword_only
    def __init__(self, *, inputCol: str = "url", outputCol: str = "answer", copyFolder: str = "urlparse",
                 fallback: bool = False, confidenceCol: str | None = None, trustedCol: str | None = None,
                 reasonCol: str | None = None, embeddingCol: str | None = None):  # fmt: skip
        super().__init__()
        self._setDefault(inputCol="url", outputCol="answer", copyFolder="urlparse", fallback=False)
        self._set(**{name: value for name, value in self._input_kwargs.items() if value is not None})  # type: ignore[attr-defined]

    def columns(self) -> dict[str, str]:
        """The name of each column that it makes, by the parameter that names it."""
        defaults = {f"{field}Col": f"{self.getOutputCol()}_{field}" for field in ("confidence", "trusted", "reason")}
        names = defaults | {name: self.getOrDefault(name) for name in FIELDS if self.isDefined(name)}
        return {name: names[name] for name in FIELDS if name in names}

    def transformSchema(self, schema: T.StructType) -> T.StructType:
        """The schema with the new columns. Raises WrongColumns."""
        text_column(schema, self.getInputCol())
        made, spark = list(self.columns().values()), SparkSession.getActiveSession()
        fold = str if spark and spark.conf.get("spark.sql.caseSensitive") == "true" else str.lower
        names = [fold(name) for name in (*schema.names, *made)]
        if taken := {name for name in made if names.count(fold(name)) > 1}:
            raise WrongColumns(f"Two columns would be called {', '.join(sorted(taken))}, but for case: rename one.")
        fields = [T.StructField(name, FIELDS[parameter].dataType) for parameter, name in self.columns().items()]
        return T.StructType([*schema.fields, *fields])

    def _transform(self, dataset: DataFrame) -> DataFrame:
        """Raises WrongColumns, BadModel where the folder holds no copy that this version reads, and NoFunction."""
        self.transformSchema(dataset.schema)
        columns, copied = self.columns(), load_lite(self.getOrDefault("copyFolder"))
        answers = answering(dataset.sparkSession, copied, self.getOrDefault("fallback"), list(columns))
        # One column of all fields first, so that each text is answered once, whatever is made of it.
        together = f"{columns['outputCol']} and all that belongs to it"
        answered = dataset.withColumn(together, answers(named(text_column(dataset.schema, self.getInputCol()))))
        fields = {name: named(together)[FIELDS[parameter].name] for parameter, name in columns.items()}
        return answered.withColumns(fields).drop(together)


def answering(spark: SparkSession, copied: LiteCopy, fallback: bool, parameters: Sequence[str]):
    """A function from a column of texts to one of structs with the fields of these parameters. Raises NoFunction."""
    if fallback and (copied.is_inverse or not known_function(copied.card)):
        raise NoFunction(f"There is no function to fall back on: {copied!r} is of none that is known here.")
    ship_package(spark)
    broadcast = spark.sparkContext.broadcast((json.dumps(copied.card), copied.model))
    schema = T.StructType([FIELDS[parameter] for parameter in parameters])
    names = schema.names

    def answer_batches(batches: Iterator[pd.Series]) -> Iterator[pd.DataFrame]:
        from urlseq.spark.transformer import answer_all, in_this_worker

        copied = in_this_worker(*broadcast.value)
        for batch in batches:
            texts = [None if missing else text for text, missing in zip(batch, batch.isna(), strict=True)]
            yield answer_all(copied, texts, fallback, "embedding" in names)[names]

    # A function that Spark takes for a random one is never called twice for one row.
    return F.pandas_udf(answer_batches, schema).asNondeterministic()  # type: ignore[call-overload]


def answer_all(copied: LiteCopy, texts: Sequence[str | None], fallback: bool, embed: bool) -> pd.DataFrame:
    """A row of all fields for each text; all null where the text is None."""
    inputs = list(dict.fromkeys(text for text in texts if text is not None))
    valid = dict.fromkeys(text for text in inputs if not copied.invalid_reason(text))
    vectors = dict(zip(valid, copied.embed(list(valid)), strict=True)) if embed else {}
    rows: dict[str | None, tuple] = {None: (None,) * len(FIELDS)}
    for text, known in zip(inputs, copied.predict_all(inputs), strict=True):
        found = known.text if text in valid else None
        if fallback and not known.trusted:
            found = answer(copied.real_function(), text)
        rows[text] = (found, known.confidence, known.trusted, known.reason, vectors.get(text))
    columns = [field.name for field in FIELDS.values()]
    return pd.DataFrame([rows[text] for text in texts], columns=columns, dtype=object)


@functools.cache
def in_this_worker(card: str, model: bytes) -> LiteCopy:
    """The copy that was broadcast, made when a worker sees it first."""
    return LiteCopy(json.loads(card), model)
