"""The transformer in real Spark sessions, with executors in processes of their own, one of which is killed."""

import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import untrained_copy
from test_spark import ONE_COMPILER, java_works, kill_in_mid_job

from urlseq import load, load_lite
from urlseq.answering import NONE_TRUSTED
from urlseq.cards import FORMAT, SHIPPED
from urlseq.errors import BadModel, NoFunction, WrongColumns
from urlseq.functions import answer
from urlseq.sources import registry_urls

pytest.importorskip("pyspark")
from pyspark.ml import Pipeline, PipelineModel  # noqa: E402
from pyspark.ml.feature import SQLTransformer, Tokenizer  # noqa: E402
from pyspark.sql import functions as F  # noqa: E402
from pyspark.sql import types as T  # noqa: E402

from urlseq import spark  # noqa: E402
from urlseq.spark.transformer import CopiedFunction, answer_all, in_this_worker  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not java_works(), reason="Spark needs Java 17 or newer"),
]
URL, TOO_LONG, NUL, BROKEN = "https://example.org/a?b=c#d", "x" * 1100, "a\0b", "https://[::1]]/a"
TEXTS = [URL, "", None, TOO_LONG, NUL, BROKEN, "é"]


@pytest.fixture(scope="module")
def session():
    """Two executors in processes of their own, which see neither this repository's folder nor its models."""
    yield spark.session("local-cluster[2,1,1024]", s3=False, **ONE_COMPILER)
    spark.stop()


@pytest.fixture(scope="module")
def frame(session):
    return session.createDataFrame(list(enumerate(TEXTS)), "id int, url string")


def records(frame) -> list[dict]:
    return [row.asDict() for row in frame.orderBy("id").collect()]


def test_answers_confidence_trust_and_reasons_are_the_copys(frame):
    copied = load("urlparse")
    found = records(CopiedFunction().transform(frame))
    assert [row["url"] for row in found] == TEXTS
    for row, text in zip(found, TEXTS, strict=True):
        if text in (None, TOO_LONG, NUL):
            continue
        known = copied.predict(text)
        assert (row["answer"], row["answer_trusted"], row["answer_reason"]) == (known.text, known.trusted, known.reason)
        assert row["answer_reason"] or row["answer_trusted"]
        assert row["answer_confidence"] == pytest.approx(known.confidence, abs=1e-4)


def test_a_null_stays_null_and_what_is_no_input_has_its_reason(frame):
    found = records(CopiedFunction(embeddingCol="state").transform(frame))
    made = ["answer", "answer_confidence", "answer_trusted", "answer_reason", "state"]
    assert [found[2][name] for name in made] == [None] * 5
    for row, reason in ((found[3], "it has 1,100 bytes, more than the 1,024 that were learned"),
                        (found[4], "holds a NUL character")):  # fmt: skip
        assert row["answer"] is None and row["state"] is None
        assert row["answer_trusted"] is False and row["answer_confidence"] == 0
        assert reason in row["answer_reason"]
    assert load("urlparse").embed(URL) == pytest.approx(found[0]["state"], abs=1e-4)


def test_the_real_function_answers_what_is_not_trusted(frame, tmp_path):
    copied = load("urlparse")
    shipped = [True, True, None, False, False, copied.predict(BROKEN).trusted, True]
    copied.card["threshold"] = NONE_TRUSTED  # it trusts nothing
    unsure = str(copied.save(tmp_path / "unsure"))
    for folder, sure in (("urlparse", shipped), (unsure, [False, False, None, *[False] * 4])):
        stage = CopiedFunction(copyFolder=folder, fallback=True, outputCol="parts", trustedCol="sure")
        found = records(stage.transform(frame))
        for row, text in zip(found, TEXTS, strict=True):
            assert row["parts"] == (None if text is None else answer(copied.function, text))
        assert [row["sure"] for row in found] == sure


def test_it_is_saved_and_loaded_within_a_pipeline(frame, tmp_path):
    trusted = SQLTransformer(statement="SELECT *, parts LIKE '[%' AS fine FROM __THIS__ WHERE url IS NOT NULL")
    stage = CopiedFunction(inputCol="url", outputCol="parts", reasonCol="why", fallback=True)
    model = Pipeline(stages=[stage, trusted]).fit(frame)
    model.save(str(tmp_path / "pipeline"))
    again = PipelineModel.load(str(tmp_path / "pipeline"))
    assert {p.name: v for p, v in again.stages[0].extractParamMap().items()} == {
        p.name: v for p, v in stage.extractParamMap().items()
    }
    assert records(again.transform(frame)) == records(model.transform(frame))


def test_the_schema_is_checked_before_anything_runs(session, frame):
    stage = CopiedFunction(embeddingCol="state")
    assert stage.transformSchema(frame.schema) == stage.transform(frame).schema
    for changed, stage, message in (
        (frame, CopiedFunction(inputCol="link"), "no column link; it has id, url"),
        (frame, CopiedFunction(inputCol="id"), "'id' is of type int, and has to be text"),
        (frame.withColumn("answer", F.lit(1)), CopiedFunction(), "Two columns would be called answer"),
        (frame, CopiedFunction(trustedCol="answer"), "Two columns would be called answer"),
        (frame.withColumn("Answer", F.lit(1)), CopiedFunction(), "Two columns would be called answer, but for case"),
    ):
        with pytest.raises(WrongColumns, match=message):
            stage.transform(changed)
    session.conf.set("spark.sql.caseSensitive", True)
    assert CopiedFunction(inputCol="URL").transform(frame.withColumn("Answer", F.lit(1))).columns[2:4] == [
        "Answer",
        "answer",
    ]
    session.conf.unset("spark.sql.caseSensitive")
    empty = session.createDataFrame([], T.StructType([T.StructField("url", T.StringType())]))
    assert CopiedFunction().transform(empty).collect() == []


def test_a_folder_that_is_missing_or_of_another_format(frame, tmp_path):
    with pytest.raises(BadModel, match="There is no learned copy in .*nowhere"):
        CopiedFunction(copyFolder=str(tmp_path / "nowhere")).transform(frame)
    folder = shutil.copytree(SHIPPED / "urlparse", tmp_path / "old")
    card = json.loads((folder / "copy.json").read_text())
    (folder / "copy.json").write_text(json.dumps(card | {"format": 0}))
    with pytest.raises(BadModel, match=f"is of format 0; this version reads format {FORMAT}"):
        CopiedFunction(copyFolder=str(folder)).transform(frame)
    (folder / "copy.json").write_text(json.dumps(card | {"task": card["task"] | {"function": "my.own"}}))
    with pytest.raises(NoFunction, match="no function to fall back on"):
        CopiedFunction(copyFolder=str(folder), fallback=True).transform(frame)


def test_a_saved_relative_folder_is_found_from_elsewhere_or_named(frame, tmp_path, monkeypatch):
    folder = shutil.copytree(SHIPPED / "urlparse", tmp_path / "here" / "runs" / "mine")
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    words = Tokenizer(inputCol="url", outputCol="words")
    stages = [words, CopiedFunction(copyFolder=Path("runs/mine")), CopiedFunction(outputCol="shipped")]
    Pipeline(stages=stages).save(str(tmp_path / "pipeline"))
    monkeypatch.chdir(tmp_path / "there")
    loaded = Pipeline.load(str(tmp_path / "pipeline")).fit(frame)
    assert [stage.getOrDefault("copyFolder") for stage in loaded.stages[1:]] == [str(folder), "urlparse"]
    assert loaded.transform(frame.limit(0)).columns[2:4] == ["words", "answer"]
    shutil.rmtree(folder)
    with pytest.raises(BadModel, match=f"There is no learned copy in {folder} "):
        loaded.transform(frame)


def test_a_stream_is_answered_whatever_its_columns_are_called(frame, tmp_path):
    frame.where("id = 0").select("id", F.col("url").alias("page.url[0]")).write.parquet(str(tmp_path / "in"))
    stream = frame.sparkSession.readStream.schema("id int, `page.url[0]` string").parquet(str(tmp_path / "in"))
    answered = CopiedFunction(inputCol="Page.URL[0]", outputCol="the.answer").transform(stream)
    query = answered.writeStream.format("memory").queryName("answered").trigger(availableNow=True).start()
    assert query.awaitTermination(120)
    [row] = records(frame.sparkSession.table("answered"))
    assert row["page.url[0]"] == URL and row["the.answer"] == '["https","example.org","/a","","b=c","d"]'


def test_executors_need_not_see_the_folder(frame, tmp_path):
    """It is gone before the job runs: executors have what the driver broadcast."""
    folder = shutil.copytree(SHIPPED / "urlparse", tmp_path / "copy")
    lazy = CopiedFunction(copyFolder=str(folder)).transform(frame)
    shutil.rmtree(folder)
    assert records(lazy)[0]["answer"] == '["https","example.org","/a","","b=c","d"]'


def test_a_worker_loads_a_copy_once():
    broadcast, other = ((json.dumps(copy.card), copy.model) for copy in map(load_lite, ("hex_of_text", "dates_in_hex")))
    assert in_this_worker(*broadcast) is in_this_worker(*pickle.loads(pickle.dumps(broadcast)))
    assert in_this_worker(*other) is not in_this_worker(*broadcast)
    assert in_this_worker(*other).name == load("dates_in_hex").name


def test_a_worker_imports_no_tensorflow():
    code = "import sys, urlseq.spark.transformer; print('tensorflow' in sys.modules, 'keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False False\n"


def test_each_row_has_its_own_answer_whatever_repeats():
    copied = untrained_copy()
    texts = ["ab", None, "ab", "x" * 99, "", "x" * 99, "b\0"]
    rows = answer_all(copied, texts, fallback=True, embed=True)
    assert rows.answer.tolist() == [None if text is None else answer(str.upper, text) for text in texts]
    assert rows.reason.tolist()[1] is None and rows.reason.tolist()[3] == copied.invalid_reason(texts[3]) != ""
    invalid = [text is None or len(text) > 12 or "\0" in text for text in texts]
    assert [vector is None for vector in rows.embedding] == invalid
    for row, text in enumerate(texts):
        alone = answer_all(copied, [text], fallback=False, embed=False)
        assert rows.confidence[row] == alone.confidence[0] and rows.reason[row] == alone.reason[0]


def test_an_executor_is_killed_in_mid_job_and_the_rows_are_the_same(session):
    texts = [text for text in registry_urls() if len(text.encode()) <= 256][::40]
    frame = session.createDataFrame(list(enumerate(texts)), "id int, url string").repartition(24)
    found = CopiedFunction().transform(frame)
    killed = kill_in_mid_job(session, tasks=24)
    rows = sorted(found.collect(), key=lambda row: row.id)
    assert killed
    expected = load("urlparse").predict(texts)
    assert [row.url for row in rows] == texts
    assert [row.answer for row in rows] == [prediction.text for prediction in expected]
    assert [row.answer_trusted for row in rows] == [prediction.trusted for prediction in expected]
