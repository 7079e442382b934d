"""Spark against a real S3 server that enforces access, and with executors in processes of their own."""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlparse

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import spark_support

from benchmarks.common import ARCHIVE_COLUMNS, write_archive
from urlseq import tables
from urlseq.errors import (
    BadSource,
    InvalidSetting,
    MissingColumns,
    MissingSource,
    NoJava,
    PrivateSource,
    Unreachable,
    WrongColumns,
    WrongType,
)
from urlseq.functions import answer

pytest.importorskip("pyspark")
from pyspark import SparkFiles  # noqa: E402
from pyspark.sql import SparkSession  # noqa: E402

from benchmarks.spark import bytes_read  # noqa: E402
from urlseq import spark  # noqa: E402

session_module = sys.modules["urlseq.spark.session"]  # `spark.session` is the function
# For executors, what conftest.py says to the driver.
ONE_COMPILER = {"spark__executor__extraJavaOptions": os.environ["SPARK_SUBMIT_OPTS"]}


def java_works() -> bool:
    try:
        return bool(spark.java_version())
    except NoJava:
        return False


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not java_works(), reason="Spark needs Java 17 or newer"),
]


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return write_archive(tmp_path_factory.mktemp("archive"), rows=20_000)


@pytest.fixture(scope="module")
def server(archive, tmp_path_factory):
    """An S3 server with the same table in a public and in a private bucket."""
    if spark_support.server_program() is None:
        pytest.skip("no S3 server: it is made with Go, by bash setup_colab.sh --dev")
    home = tmp_path_factory.mktemp("s3")
    for bucket in ("public", "private"):
        shutil.copytree(archive, home / "buckets" / bucket / "eot-main")
    with spark_support.s3_server(home / "buckets") as address:
        spark_support.open_to_all(address, "public")
        yield address


@pytest.fixture(scope="module")
def session(server):
    yield spark.session(endpoint=server, spark__ui__liveUpdate__period=0)  # so that `bytes_read` is up to date
    spark.stop()


def test_a_public_bucket_is_read_anonymously(session):
    frame = spark.read_table(session, "s3://public/eot-main", None)
    assert frame.columns == [*ARCHIVE_COLUMNS, "crawl"]
    assert frame.count() == 20_000
    whole = spark.read_table(session, "s3://public/eot-main/crawl=MADE-UP", ["url", "crawl"])
    assert whole.where("crawl = 'MADE-UP'").count() == 20_000  # a path into a partition keeps its column


def test_only_the_columns_and_row_groups_that_matter_are_read(session):
    frame = spark.read_table(session, "s3://public/eot-main", None)
    everything, urls = bytes_read(frame), bytes_read(frame.select("url"))
    assert 0 < urls < everything / 4
    assert bytes_read(frame.where("url_host_tld = 'de'").select("url")) < urls


@pytest.mark.parametrize("path, kind, message", [
    ("s3://private/eot-main", PrivateSource, "s3a://private is private: it refuses anonymous readers"),
    ("s3://no-such-bucket/x", MissingSource, "There is no bucket s3a://no-such-bucket"),
    ("s3://public/nothing", MissingSource, "There is no table s3a://public/nothing"),
])  # fmt: skip
def test_what_can_not_be_read_is_said_in_one_line(session, path, kind, message):
    with pytest.raises(kind, match=message) as caught:
        spark.read_table(session, path)
    assert "\n" not in str(caught.value)


def test_a_missing_column_is_named(session):
    with pytest.raises(MissingColumns, match="no column fetch_redirect; it has url_surtkey"):
        spark.read_table(session, "s3://public/eot-main", ["url", "fetch_redirect"])


def test_arrow_reads_the_same_buckets_without_spark(server):
    table = tables.s3_table("s3://public/eot-main", endpoint=server)
    assert len(tables.sample(table, 100, row_groups=4)) == 100
    with pytest.raises(PrivateSource, match="private"):
        tables.s3_table("s3://private/eot-main", endpoint=server)
    with pytest.raises(MissingSource, match="no bucket"):
        tables.s3_table("s3://no-such-bucket/x", endpoint=server)
    with pytest.raises(Unreachable, match="No S3 server answers"):
        tables.s3_table("s3://public/eot-main", endpoint=f"http://127.0.0.1:{spark_support.free_port()}")


def test_the_same_is_drawn_over_s3(server, archive):
    remote = tables.TableSampler(tables.s3_table("s3://public/eot-main", endpoint=server))
    local = tables.TableSampler(archive)
    for seed in range(3):
        first, second = random.Random(seed), random.Random(seed)
        assert [remote(first) for _ in range(500)] == [local(second) for _ in range(500)]


def test_a_training_table_is_mixed_labelled_and_the_same_again(session, tmp_path):
    frame = spark.read_table(session, "s3://public/eot-main")
    written = [spark.write_training_table(frame, tmp_path / name, urlparse, files=3, group_rows=1000) for name in "ab"]
    first, second = map(tables.TableSampler, written)
    assert len(first) == frame.distinct().count() and len(first.groups) > 15
    drawn = [sampler(rng) for sampler in (first, second) for rng in [random.Random(5)] for _ in range(500)]
    assert drawn[:500] == drawn[500:]
    assert len({*map(tables.host_of, drawn)}) > 100  # one corner of the sorted table would have a handful
    assert all(text.answer == answer(urlparse, str(text)) for text in drawn[:100])


def test_tables_of_other_programs_are_read_and_written(session, tmp_path, monkeypatch):
    """Nanoseconds, names in another case or with dots and brackets, of columns and of folders, and hidden files."""
    columns = {"URL": ["a", "b", None], "page.url[0]": ["c", "d", "d"], "raw": [b"e"] * 3,
               "fetched": pa.array([1, 2, 3], pa.timestamp("ns"))}  # fmt: skip
    folder = tmp_path / "run 12:30 [1]{a}*" / "crawl=X"
    folder.mkdir(parents=True)
    pq.write_table(pa.table(columns), folder / "part-0.parquet")
    for name in ("._part-0.parquet", "_part-1.parquet"):
        (folder / name).write_bytes(b"\0\5\x16\7" * 1024)
    monkeypatch.chdir(tmp_path)  # Java stays where it was
    shutil.copytree(folder.parent, "of/data")
    with pytest.raises(BadSource, match="Spark reads no file with a colon in its name, and no pattern beside"):
        spark.read_table(session, f"{tmp_path}/r*")
    for path in (folder.parent.name, folder.parent, "of/data", f"{tmp_path}/of/d[a]t*"):
        frame = spark.read_table(session, path, ["url", "page.url[0]", "raw", "crawl"])
        assert [tuple(row) for row in frame.select("url").collect()] == [("a",), ("b",), (None,)]
    assert spark.read_table(session, f"{folder.parent.name}/crawl=X", None).columns == [*columns, "crawl"]
    written = spark.write_training_table(frame, "of 12:30 [1]", len, column="Page.url[0]", files=1)
    found = tables.read_column(written, "Page.url[0]"), tables.read_column(written, "answer")
    assert [sorted(values) for values in found] == [["c", "d"], ["1", "1"]]
    for use in (spark.with_answers, lambda *words: spark.write_training_table(frame, "never", len, column="raw")):
        with pytest.raises(WrongColumns, match=r"'raw' is of type binary, .* F.col\('raw'\).cast\('string'\)"):
            use(frame, len, "raw")
    assert not Path("never").exists()


def test_damaged_files_and_streams_are_told_in_one_line(session, tmp_path):
    (tmp_path / "part.parquet").write_bytes(b"PAR1 and so on" * 99)
    with pytest.raises(BadSource, match=f"A file of {tmp_path} is damaged, or no parquet") as caught:
        spark.read_table(session, tmp_path)
    assert "\n" not in str(caught.value)
    stream = session.readStream.schema("url string").parquet(str(tmp_path))
    assert spark.with_answers(stream, len).isStreaming
    with pytest.raises(WrongColumns, match="A stream has no end.*foreachBatch"):
        spark.write_training_table(stream, tmp_path / "table")


def test_a_session_without_what_is_needed_is_told_in_one_line(session):
    session.conf.set("spark.sql.legacy.parquet.nanosAsLong", False)  # as in sessions of others
    with tempfile.TemporaryDirectory() as folder:
        pq.write_table(pa.table({"url": ["a"], "n": pa.array([1], pa.timestamp("ns"))}), f"{folder}/n.parquet")
        with pytest.raises(BadSource, match=f"nanoseconds, which {folder} holds: session.conf.set.*nanosAsLong"):
            spark.read_table(session, folder)
    session.conf.set("spark.sql.legacy.parquet.nanosAsLong", True)
    with pytest.raises(WrongType, match="not of Spark Connect"):  # whose sessions have no context
        spark.ship_package(SimpleNamespace())


@pytest.mark.parametrize("name, value, message", [
    ("SPARK_HOME", "/opt/spark-3.5.1-bin-hadoop3", "SPARK_HOME is /opt/spark-3.5.1.*no Spark 4.*del os.environ"),
    ("PYSPARK_SUBMIT_ARGS", "--packages a:b:1", "PYSPARK_SUBMIT_ARGS is '--packages a:b:1': it has to end with"),
    ("SPARK_REMOTE", "sc://localhost", "Spark Connect is in use"),
])  # fmt: skip
def test_an_environment_for_another_spark_is_told_before_anything_starts(session, monkeypatch, name, value, message):
    monkeypatch.setenv(name, value)
    with pytest.raises(InvalidSetting, match=message):
        spark.session("local[3]", s3=False)
    monkeypatch.undo()
    assert session.range(3).count() == 3  # it goes on


def test_nulls_have_no_answer(session):
    frame = session.createDataFrame([("a",), (None,), ("bc",)], "url string").coalesce(1)
    assert [tuple(row) for row in spark.with_answers(frame, len).collect()] == [("a", "1"), (None, None), ("bc", "2")]


def test_memory_by_quarters_where_nobody_looked():
    from benchmarks.spark_ml import by_quarter

    assert by_quarter([]) == [0, 0, 0, 0]
    assert by_quarter([(0, 1), (0.05, 10), (0.24, 20), (0.25, 99), (0.9, 7)]) == [15, 99, 0, 7]


def test_the_same_settings_give_the_same_session(session, server):
    assert spark.session(endpoint=server, spark__ui__liveUpdate__period=0) is session


def test_the_modules_of_sub_packages_are_shipped_and_no_models(session):
    for _ in range(2):
        spark.ship_package(session)
    assert len([path for path in session.sparkContext.listFiles if path.endswith("/urlseq.zip")]) == 1
    names = zipfile.ZipFile(SparkFiles.get("urlseq.zip")).namelist()
    assert {"urlseq/__init__.py", "urlseq/spark/transformer.py", "urlseq/samplers/__init__.py"} <= {*names}
    assert not [name for name in names if not name.endswith(".py")]


def test_java_that_is_missing_or_too_old(monkeypatch, tmp_path):
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(NoJava, match="There is no Java in JAVA_HOME.*needs Java 17"):
        spark.java_version()
    program = tmp_path / "bin" / "java"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 'openjdk version \"1.8.0_392\"' >&2\n")
    program.chmod(0o755)
    with pytest.raises(NoJava, match="too old.*1.8.0_392"):
        spark.java_version()
    program.write_text("#!/bin/sh\necho 'openjdk version \"25.0.3\"' >&2\n")
    monkeypatch.setattr(session_module, "SPARK_HOME", tmp_path)
    for found in ("Daemon", "SubjectUtil"):  # a Hadoop that does not know Java 25, and one that does
        (tmp_path / "jars").mkdir(exist_ok=True)
        with zipfile.ZipFile(tmp_path / "jars" / "hadoop-client-api-3.jar", "w") as jar:
            jar.writestr(f"org/apache/hadoop/util/{found}.class", b"")
        if found == "Daemon":
            with pytest.raises(NoJava, match="too new for Spark 4.*25.0.3.*Java 17 or 21"):
                spark.java_version()
    assert spark.java_version() == 25


def test_jars_that_are_missing_without_a_network(monkeypatch, tmp_path):
    """A program in the place of spark-submit that fails as Ivy does: nothing is left behind."""
    monkeypatch.setattr(session_module, "CACHE", tmp_path)
    done = subprocess.CompletedProcess([], 1, "", ":: org.apache.hadoop#hadoop-aws;3.5.0: not found")
    monkeypatch.setattr(subprocess, "run", lambda *words, **more: done)
    monkeypatch.setattr(session_module, "java_version", lambda: 17)
    with pytest.raises(Unreachable, match="could not be fetched from Maven Central.*hadoop-aws"):
        spark.s3_jars()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def executors() -> list[int]:
    """The process ids of the executors that descend from this process."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        words = path.read_bytes().split(b"\0") if path.exists() else []
        if b"org.apache.spark.executor.CoarseGrainedExecutorBackend" in words:
            found.append(int(path.parent.name))
    return [pid for pid in found if os.getpid() in ancestors(pid)]


def ancestors(pid: int) -> list[int]:
    line = []
    while pid > 1:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        line.append(pid)
    return line


def kill_in_mid_job(session, tasks: int) -> list[int]:
    """Kills an executor as soon as some tasks of a stage with so many are done; who was killed is in the list then."""
    tracker, killed = session.sparkContext.statusTracker(), []

    def kill():
        while not killed:
            time.sleep(0.05)
            stages = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
            if any(stage and 0 < stage.numCompletedTasks < stage.numTasks == tasks for stage in stages):
                killed.append(executors()[0])
                os.kill(killed[0], signal.SIGKILL)

    threading.Thread(target=kill, daemon=True).start()
    return killed


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks for processes in /proc")
def test_an_executor_is_killed_in_mid_job_and_nothing_is_lost(server, tmp_path):
    """After the tests that share a session: this one takes its place. Wrong endpoints come with it, for its time."""
    found = spark.session("local-cluster[2,1,1024]", endpoint=server, **ONE_COMPILER)
    frame = spark.read_table(found, "s3://public/eot-main").repartition(16)
    frame.count()

    def slow_length(text):  # local, so that the executors get it by value: they can't import this module
        time.sleep(0.0004)  # half a second a task, so that one is seen to be done before all are
        return len(text)

    killed = kill_in_mid_job(found, tasks=16)
    labelled = spark.with_answers(frame, slow_length).toArrow()
    assert killed and labelled.num_rows == 20_000
    assert all(str(len(url)) == length for url, length in zip(*map(pylist, labelled.columns), strict=True))
    spark.stop()


def pylist(column):
    return column.to_pylist()


def test_a_wrong_endpoint(server):
    found = spark.session(endpoint=f"http://127.0.0.1:{spark_support.free_port()}")
    with pytest.raises(Unreachable, match="No S3 server answers for s3a://public") as caught:
        spark.read_table(found, "s3://public/eot-main")
    assert "\n" not in str(caught.value)
    spark.stop()


def test_a_session_that_its_user_stopped_is_replaced():
    first = spark.session("local[1]", s3=False)
    first.stop()
    second = spark.session("local[1]", s3=False)
    assert second is not first and second.range(3).count() == 3
    spark.stop()
    spark.stop()


def test_somebody_elses_session_is_used_and_never_stopped(tmp_path):
    theirs = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
    with pytest.warns(UserWarning, match="Another Spark session is active"):
        found = spark.session("local[2]", s3=False)
    assert found is theirs
    with pytest.raises(MissingSource, match="has no S3 support.*Stop it, and .*s3=False it is used"):
        spark.session()
    spark.stop()
    frame = theirs.createDataFrame([("a",), ("bc",)], "url string")
    assert sorted(tuple(row) for row in spark.with_answers(frame, len).collect()) == [("a", "1"), ("bc", "2")]
    with pytest.raises(MissingSource, match="This session has no S3 support, for s3a://public/x"):
        spark.read_table(theirs, "s3://public/x")
    theirs.stop()
    spark.stop()  # their JVM, which nobody uses now
