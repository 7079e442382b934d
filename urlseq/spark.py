"""Spark: a session that reads public S3, tables of URLs of any size, and tables to train from.

Of S3, the package pyspark lacks 13 MB of jars. They come from a folder that `bash setup_colab.sh --spark`
fills, or, where there is none, from Maven Central when the session starts.
"""

import contextlib
import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyspark
from py4j.protocol import Py4JError
from pyspark import SparkContext
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from urlseq.functions import Function, answer
from urlseq.tables import check_columns

END_OF_TERM = "s3a://eotarchive/eot-index/table/eot-main/crawl=EOT-2020"
COMMON_CRAWL = "s3a://commoncrawl/cc-index/table/cc-main/warc"
JARS = Path(__file__).parent.parent / ".cache" / "spark-s3"
OLDEST_JAVA = 17
# What hadoop-aws needs of Amazon's client. By itself it asks for `bundle`: all of Amazon, in 686 MB.
AMAZON_VERSION = "2.35.4"
AMAZON_PARTS = ["s3", "s3-transfer-manager", "sts", "apache-client", "netty-nio-client"]
# `bundle`, what no anonymous reader needs, and what pyspark has already.
EXCLUDED = [
    "software.amazon.awssdk:bundle", "org.wildfly.openssl:wildfly-openssl", "org.slf4j:slf4j-api",
    "org.apache.httpcomponents:httpclient", "org.apache.httpcomponents:httpcore",
    "commons-logging:commons-logging", "commons-codec:commons-codec",
    *(f"io.netty:netty-{part}" for part in ("common buffer transport handler codec codec-http codec-http2 resolver "
                                            "transport-classes-epoll").split()),
]  # fmt: skip


class NoJava(OSError):
    """There is no Java, or one that is too old; the message says what to do."""


# ---------------------------------------------------------------- the session


def java_version() -> int:
    """The number of the Java that Spark will use. Raises NoJava where there is none, or one before 17."""
    home = os.environ.get("JAVA_HOME")
    program = Path(home) / "bin" / "java" if home else "java"
    advice = f"Spark needs Java {OLDEST_JAVA} or newer: bash setup_colab.sh installs one, or says how."
    try:
        shown = subprocess.run([program, "-version"], capture_output=True, text=True).stderr
    except OSError:
        raise NoJava(f"There is no Java{f' in JAVA_HOME ({home})' if home else ''}. {advice}") from None
    found = re.search(r'version "(?:1\.)?(\d+)', shown)
    if found is None or int(found[1]) < OLDEST_JAVA:
        raise NoJava(f"This Java is too old: {shown.splitlines()[0] if shown else program}. {advice}")
    return int(found[1])


def hadoop_version() -> str:
    """Of the Hadoop that the installed pyspark brings along; its S3 part has to be of the very same version."""
    jars = Path(pyspark.__file__).parent / "jars"
    found = [path.stem.removeprefix("hadoop-client-api-") for path in jars.glob("hadoop-client-api-*.jar")]
    if not found:
        raise FileNotFoundError(f"This pyspark has no Hadoop in {jars}: install pyspark from PyPI.")
    return found[0]


def s3_packages() -> str:
    """The coordinates of the slim S3 support, as `spark.jars.packages` takes them."""
    amazon = [f"software.amazon.awssdk:{part}:{AMAZON_VERSION}" for part in AMAZON_PARTS]
    return ",".join([f"org.apache.hadoop:hadoop-aws:{hadoop_version()}", *amazon])


def jar_folder() -> Path:
    return JARS / hadoop_version() / "jars"


def fetch_jars() -> Path:
    """Fills the folder of the S3 jars, whole or not at all, and returns it. Raises ConnectionError without a network.

    Ivy, which Spark has inside, resolves them as it does for `spark.jars.packages`.
    """
    if jar_folder().exists():
        return jar_folder()
    java_version()
    print("Fetching Spark's S3 jars (13 MB, about a minute)", flush=True)
    temporary = Path(tempfile.mkdtemp(prefix="fetching-", dir=made(JARS)))
    settings = {"spark.jars.ivy": temporary, "spark.jars.packages": s3_packages(),
                "spark.jars.excludes": ",".join(EXCLUDED)}  # fmt: skip
    words = [word for name, value in settings.items() for word in ("--conf", f"{name}={value}")]
    # Any program would do: Spark fetches its jars before it starts. This one prints a version and ends.
    command = [Path(pyspark.__file__).parent / "bin" / "spark-submit", *words, "--class",
               "org.apache.hadoop.util.VersionInfo", "spark-internal"]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise ConnectionError(no_network(done.stdout + done.stderr))
        # An empty cache beside the jars: they are used by their folder's path from now on.
        with contextlib.suppress(OSError):  # another process was faster
            (temporary / "jars").rename(made(jar_folder().parent) / "jars")
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return jar_folder()


def no_network(log: str) -> str:
    reason = next((line.strip() for line in log.splitlines() if "not found" in line.lower()), "see Spark's log")
    return (
        f"Spark's S3 jars could not be fetched from Maven Central ({reason}). With a network, run "
        "bash setup_colab.sh --spark once; after that none is needed. Tables on the disk need no jars: "
        "session(s3=False)."
    )


def made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


CURRENT: list = []  # the settings and the session that were made last


def session(master: str = "local[*]", *, s3: bool = True, anonymous: bool = True, endpoint: str | None = None,
            region: str = "us-east-1", **settings) -> SparkSession:  # fmt: skip
    """A Spark session; the same settings give the same one again, others a new one in its place.

    `anonymous` reads public buckets without an account, `endpoint` is another S3 server than Amazon's, such as
    `http://127.0.0.1:7070`. More `settings` are Spark's own, with `__` for each dot, such as `spark__driver__memory`.
    Raises NoJava, and ConnectionError where the S3 jars are missing and can't be fetched.
    """
    wanted = base_settings(master) | (s3_settings(anonymous, endpoint, region) if s3 else {})
    wanted |= {name.replace("__", "."): str(value) for name, value in settings.items()}
    if CURRENT and CURRENT[0] == wanted and not CURRENT[1].sparkContext._jsc.sc().isStopped():
        return CURRENT[1]
    java_version()
    stop()
    if s3 and jar_folder().exists():
        os.environ["SPARK_DIST_CLASSPATH"] = f"{jar_folder()}/*"
    if master.startswith("local"):
        os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"  # nobody else has to find this machine
    warnings.filterwarnings("ignore", message="PySpark does not yet fully support pandas")
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    builder = SparkSession.builder.appName("urlseq")
    for name, value in wanted.items():
        builder = builder.config(name, value)
    try:
        found = builder.getOrCreate()
    except PySparkException as error:
        if "JAVA_GATEWAY_EXITED" in str(error) and "spark.jars.packages" in wanted:
            raise ConnectionError(no_network("")) from None
        raise
    CURRENT[:] = [wanted, found]
    return found


def base_settings(master: str) -> dict[str, str]:
    settings = {
        "spark.master": master,
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        # Where Arrow can't, an error is better than a silent detour that takes ten times as long.
        "spark.sql.execution.arrow.pyspark.fallback.enabled": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={quiet_log()}",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.ui.liveUpdate.period": "0",  # so that `bytes_read` is up to date
        # pandas 3 works with Arrow, which is all that we use.
        "spark.executorEnv.PYTHONWARNINGS": "ignore:PySpark does not yet fully support pandas:FutureWarning",
    }
    if master.startswith("local"):
        settings |= {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
    return settings


@functools.cache
def quiet_log() -> str:
    """The file that tells Spark to log errors alone, from its first moment on."""
    path = Path(tempfile.mkdtemp(prefix="urlseq-")) / "log4j2.properties"
    path.write_text(
        "rootLogger.level = error\nlogger.start.level = error\n"
        "logger.start.name = org.apache.spark.api.python.PythonGatewayServer\n"
        "rootLogger.appenderRef.stderr.ref = stderr\n"
        "appender.stderr.type = Console\nappender.stderr.name = stderr\nappender.stderr.target = SYSTEM_ERR\n"
        "appender.stderr.layout.type = PatternLayout\nappender.stderr.layout.pattern = %p %c{1}: %m%n\n"
    )
    return path.as_uri()


def s3_settings(anonymous: bool, endpoint: str | None, region: str) -> dict[str, str]:
    hadoop = {
        # The default reads ahead so eagerly that small files come whole, whatever columns are wanted.
        "input.stream.type": "classic",
        "endpoint.region": region,
        # Three tries within seconds; by default it takes minutes to learn that nobody is there.
        "attempts.maximum": "2",
        "retry.limit": "2",
        "connection.establish.timeout": "5s",
    }
    if anonymous:
        hadoop["aws.credentials.provider"] = "org.apache.hadoop.fs.s3a.AnonymousAWSCredentialsProvider"
    if endpoint:
        hadoop |= {"endpoint": endpoint, "path.style.access": "true"}
    jars = {"spark.jars.packages": s3_packages(), "spark.jars.excludes": ",".join(EXCLUDED)}
    return {f"spark.hadoop.fs.s3a.{name}": value for name, value in hadoop.items()} | (
        {} if jar_folder().exists() else jars
    )


def stop() -> None:
    """Ends the session and its JVM: memory and classpath of a JVM are settled when it starts."""
    CURRENT.clear()
    if active := SparkSession.getActiveSession() or SparkSession._instantiatedSession:
        active.stop()
    if gateway := SparkContext._gateway:
        gateway.shutdown()
        process = getattr(gateway, "proc", None)
        if process is not None:
            process.stdin.close()  # at this the JVM ends
            process.wait(30)
        SparkContext._gateway = SparkContext._jvm = None


# ---------------------------------------------------------------- tables


@contextlib.contextmanager
def clear_errors(path: str) -> Iterator[None]:
    """Says in one line what a page of Java traces says of a table that can't be read."""
    try:
        yield
    except (Py4JError, PySparkException) as error:
        if (clear := clear_error(path, str(error))) is None:
            raise
    else:
        return
    raise clear


def clear_error(path: str, trace: str) -> OSError | None:
    bucket = re.sub(r"^(\w+://[^/]+).*", r"\1", path)
    if "NoSuchBucket" in trace or "UnknownStoreException" in trace:
        return FileNotFoundError(f"There is no bucket {bucket}.")
    if "AccessDenied" in trace or "Status Code: 403" in trace:
        return PermissionError(f"{bucket} is private: it refuses anonymous readers. Where you have an account: "
                               "session(anonymous=False).")  # fmt: skip
    if "PATH_NOT_FOUND" in trace or "FileNotFoundException" in trace:
        return FileNotFoundError(f"There is no table {path}.")
    if "UNABLE_TO_INFER_SCHEMA" in trace:
        return FileNotFoundError(f"There is no parquet file in {path}.")
    if "No FileSystem for scheme" in trace or "S3AFileSystem not found" in trace:
        return FileNotFoundError(f"This session can't read {path}: it was made with s3=False, or without network.")
    network = ("UnknownHost", "Connection refused", "ConnectException", "connect timed out", "Unable to execute HTTP",
               "not an S3", "Status Code: 400", "XmlParse", "AWSS3IOException", "AWSServiceIOException")  # fmt: skip
    if reason := next((word for word in network if word in trace), None):
        return ConnectionError(f"No S3 server answers for {bucket} ({reason}): is there a network, and is the "
                               "endpoint right?")  # fmt: skip
    return None


def read_table(spark: SparkSession, path: str | Path, columns: Sequence[str] | None = ("url",)) -> DataFrame:
    """A handle on a parquet table: an archive's index, or any that has the `columns` (None: all that it has).

    Nothing is read but its schema. `select`, `where` and `limit` go down into the files: only the columns, and
    of these only the row groups, that matter are read. Raises MissingColumns, and in one clear line
    FileNotFoundError, PermissionError (a private bucket) and ConnectionError.
    """
    path = str(path).replace("s3://", "s3a://")
    base, partition, _ = path.partition("/crawl=")
    reader = spark.read
    if partition:  # a path into one partition: its name stays a column
        reader = reader.option("basePath", base)
    with clear_errors(path):
        frame = reader.parquet(path)
    check_columns(columns or [], frame.columns, path)
    return frame.select(*columns) if columns else frame


def bytes_read(frame: DataFrame) -> int:
    """The bytes that all tasks read from files to compute the whole frame, of which nothing is kept."""
    spark = frame.sparkSession
    # Hadoop does not count what it reads in several ranges at once.
    spark.conf.set("parquet.hadoop.vectored.io.enabled", "false")
    before = input_bytes(spark)
    frame.write.format("noop").mode("overwrite").save()
    spark.conf.unset("parquet.hadoop.vectored.io.enabled")
    return input_bytes(spark) - before


def input_bytes(spark: SparkSession) -> int:
    context = spark.sparkContext._jsc.sc()
    context.listenerBus().waitUntilEmpty()
    executors = context.statusStore().executorList(False)
    return sum(executors.apply(place).totalInputBytes() for place in range(executors.size()))


# ---------------------------------------------------------------- tables to train from


def with_answers(frame: DataFrame, function: Function, column: str = "url") -> DataFrame:
    """The frame's `column` and a column `answer`: what `function` says, as JSON, found out on the executors.

    Nulls stay null. The executors have to be able to import the function, unless it is one of the notebook's or
    script's own.
    """
    ship_package(frame.sparkSession)

    def label(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            texts = batch.column(0)
            found = [None if text is None else answer(function, text) for text in texts.to_pylist()]
            yield pa.RecordBatch.from_arrays([texts, pa.array(found, pa.string())], [column, "answer"])

    return frame.select(column).mapInArrow(label, f"`{column}` string, answer string")


def ship_package(spark: SparkSession) -> None:
    """Gives this package to the executors, which may be other processes or other machines."""
    context = spark.sparkContext
    if any(name.endswith("/urlseq.zip") for name in context.listFiles):
        return
    path = Path(tempfile.mkdtemp()) / "urlseq.zip"
    with zipfile.ZipFile(path, "w") as package:
        for source in Path(__file__).parent.glob("*.py"):
            package.write(source, f"urlseq/{source.name}")
    context.addPyFile(str(path))


def write_training_table(
    frame: DataFrame,
    folder: str | Path,
    function: Function | None = None,
    *,
    column: str = "url",
    files: int = 8,
    group_rows: int = 4096,
    seed: int = 0,
) -> str | Path:
    """Writes a table's texts, each once, thoroughly mixed, as `tables.TableSampler` wants them: the folder.

    With a `function`, its answers go with them. The mixing is Spark's own shuffle, on the executors' disks, so the
    table may be of any size; the same texts and seed give the same order. Texts that training refuses are left out.
    """
    text = F.col(column)
    mixed = (
        frame.select(column)
        .where(text.isNotNull() & ~text.contains("\0"))
        .repartition(files, text)  # equal texts meet in one partition, where all but one can be dropped
        .dropDuplicates([column])
        .sortWithinPartitions(F.xxhash64(text, F.lit(seed)), text)
    )
    labelled = mixed if function is None else with_answers(mixed, function, column)
    writer = labelled.write.mode("overwrite").option("parquet.block.row.count.limit", group_rows)
    with clear_errors(str(folder)):
        writer.option("compression", "zstd").parquet(str(folder))
    return folder


if __name__ == "__main__":
    try:
        print(f"Spark's S3 jars are in {fetch_jars()}")
    except OSError as problem:
        sys.exit(str(problem))
