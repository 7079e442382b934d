"""A Spark session that reads public S3 without an account, and the jars that pyspark lacks for it (13 MB)."""

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import warnings
import zipfile
from pathlib import Path
from typing import Any

import pyspark
from py4j.protocol import Py4JError
from pyspark import SparkContext
from pyspark.sql import SparkSession
from pyspark.sql.utils import is_remote

from urlseq.errors import InvalidSetting, NoJava, Unreachable
from urlseq.tables import translate_errors

CHECKOUT = Path(__file__).resolve().parents[2]  # or, where the package is installed, what it is installed in
CACHE = CHECKOUT / ".cache" if (CHECKOUT / "setup_colab.sh").exists() else Path(os.path.expanduser("~/.cache/urlseq"))
QUIET_LOG = Path(__file__).resolve().with_name("log4j2.properties")
SPARK_HOME = Path(pyspark.__file__).parent
# Hadoop's S3 part has to be of the very same version as the Hadoop in pyspark.
HADOOP_VERSION = "".join(path.stem[len("hadoop-client-api-") :] for path in SPARK_HOME.glob("jars/hadoop-client-api-*"))
# hadoop-aws, and what it needs of Amazon's client. By itself it asks for `bundle`: all of Amazon, in 686 MB.
S3_PACKAGES = [f"org.apache.hadoop:hadoop-aws:{HADOOP_VERSION}", *(f"software.amazon.awssdk:{part}:2.35.4" for part in (
    "s3", "s3-transfer-manager", "sts", "apache-client", "netty-nio-client"))]  # fmt: skip
# `bundle`, what no anonymous reader needs, and what pyspark has already.
EXCLUDED = [
    "software.amazon.awssdk:bundle", "org.wildfly.openssl:wildfly-openssl", "org.slf4j:slf4j-api",
    *(f"org.apache.httpcomponents:http{part}" for part in ("client", "core")),
    *(f"commons-{part}:commons-{part}" for part in ("logging", "codec")),
    *(f"io.netty:netty-{part}" for part in ("common", "buffer", "transport", "handler", "codec", "codec-http",
                                            "codec-http2", "resolver", "transport-classes-epoll")),
]  # fmt: skip
S3A = "spark.hadoop.fs.s3a."
SETTINGS = {
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    # Where Arrow can't, an error is better than a silent detour that takes ten times as long.
    "spark.sql.execution.arrow.pyspark.fallback.enabled": "false",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.legacy.parquet.nanosAsLong": "true",  # by default, one such column makes a table unreadable
    "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={QUIET_LOG.as_uri()}",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    # pandas 3 works with Arrow, which is all that we use.
    "spark.executorEnv.PYTHONWARNINGS": "ignore:PySpark does not yet fully support pandas:FutureWarning",
    # The default reads ahead so eagerly that small files come whole, whatever columns are needed.
    f"{S3A}input.stream.type": "classic",
    # Three tries within seconds; by default it takes minutes to learn that nobody is there.
    f"{S3A}attempts.maximum": "2",
    f"{S3A}retry.limit": "2",
    f"{S3A}connection.establish.timeout": "5s",
}
ANONYMOUS = {f"{S3A}aws.credentials.provider": "org.apache.hadoop.fs.s3a.AnonymousAWSCredentialsProvider"}
LOCAL = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
CURRENT: list = []  # the settings and the session that were made last


def java_version() -> int:
    """The number of the Java that Spark will use. Raises NoJava where there is none, or one too old or too new."""
    home = os.environ.get("JAVA_HOME")
    program = Path(home) / "bin" / "java" if home else "java"
    advice = "Spark needs Java 17 or newer: bash setup_colab.sh installs one, or says how."
    try:
        shown = subprocess.run([program, "-version"], capture_output=True, text=True).stderr
    except OSError:
        raise NoJava(f"There is no Java{f' in JAVA_HOME ({home})' if home else ''}. {advice}") from None
    found = re.search(r'version "(?:1\.)?(\d+)', shown)
    if found is None or int(found[1]) < 17:
        raise NoJava(f"This Java is too old: {shown.splitlines()[0] if shown else program}. {advice}")
    if int(found[1]) > 22:  # which no longer has `Subject.getSubject`
        [jar] = SPARK_HOME.glob("jars/hadoop-client-api-*.jar")
        if not any(name.endswith("/SubjectUtil.class") for name in zipfile.ZipFile(jar).namelist()):
            raise NoJava(f"This Java is too new for Spark {pyspark.__version__}: {shown.splitlines()[0]}. "
                         "Set JAVA_HOME to the folder of a Java 17 or 21.")  # fmt: skip
    return int(found[1])


def check_environment() -> None:
    """Raises InvalidSetting where the environment would have pyspark start anything but its own Spark."""
    home, words = os.environ.get("SPARK_HOME"), os.environ.get("PYSPARK_SUBMIT_ARGS", "pyspark-shell")
    if home and not any(Path(home).glob(f"jars/spark-core_*-{pyspark.__version__}.jar")):
        raise InvalidSetting(f"SPARK_HOME is {home}, where no Spark {pyspark.__version__} is, as pyspark needs it: "
                             "del os.environ['SPARK_HOME'], and pyspark starts its own.")  # fmt: skip
    if "pyspark-shell" not in words.split():
        raise InvalidSetting(f"PYSPARK_SUBMIT_ARGS is {words!r}: it has to end with pyspark-shell.")


def s3_jars() -> Path:
    """The folder of the S3 jars. Spark's own Ivy fetches them once, all or none. Raises Unreachable without a network.

    With `spark.jars.packages` in a session, Ivy would take two seconds and a hundred lines of log at each start.
    """
    folder = CACHE / "spark-s3" / HADOOP_VERSION / "jars"
    if folder.exists():
        return folder
    java_version()
    print("Fetching Spark's S3 jars (13 MB, about a minute)", flush=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="fetching-", dir=folder.parent, ignore_cleanup_errors=True) as ivy:
        # Any program would do: Spark fetches its jars before it starts one. This one prints a version and ends.
        words = [f"--conf=spark.jars.ivy={ivy}", f"--conf=spark.jars.packages={','.join(S3_PACKAGES)}",
                 f"--conf=spark.jars.excludes={','.join(EXCLUDED)}", "--class=org.apache.hadoop.util.VersionInfo",
                 "spark-internal"]  # fmt: skip
        done = subprocess.run([SPARK_HOME / "bin" / "spark-submit", *words], capture_output=True, text=True)
        if done.returncode:
            reason = re.findall(r".*not found.*", done.stdout + done.stderr, re.IGNORECASE) or ["see Spark's log"]
            raise Unreachable(
                f"Spark's S3 jars could not be fetched from Maven Central ({reason[0].strip()}). With a network, run "
                "python -m urlseq.spark once. Tables on the disk need no jars: session(s3=False)."
            )
        with contextlib.suppress(OSError):  # another process was faster
            (Path(ivy) / "jars").rename(folder)
    return folder


def session(master: str = "local[*]", *, s3: bool = True, anonymous: bool = True, endpoint: str | None = None,
            region: str = "us-east-1", **settings) -> SparkSession:  # fmt: skip
    """A Spark session; the same settings give the same one again, others a new one that replaces it.

    `anonymous` reads public buckets without an account, `endpoint` is another S3 server than Amazon's, such as
    `http://127.0.0.1:7070`. More `settings` are Spark's own, with `__` for each dot, such as `spark__driver__memory`.
    Somebody else's session is used as it is, with a warning, and never stopped. Raises MissingSource where that can't
    read S3, InvalidSetting where the environment does not fit, NoJava, and Unreachable where jars are missing.
    """
    if is_remote() or "SPARK_REMOTE" in os.environ:
        raise InvalidSetting("Spark Connect is in use, and urlseq needs Spark itself: call this in another Python, "
                             "without SPARK_REMOTE.")  # fmt: skip
    if is_foreign():
        found = SparkSession.builder.getOrCreate()
        with translate_errors("s3://", (Py4JError,)):
            java: Any = found.sparkContext
            if s3:
                java._jvm.org.apache.hadoop.fs.FileSystem.getFileSystemClass("s3a", java._jsc.hadoopConfiguration())
        warnings.warn("Another Spark session is active: it is used, and its settings stay as they are.", stacklevel=2)
        return found
    local = master.startswith("local")
    needed = {"spark.master": master, f"{S3A}endpoint.region": region} | SETTINGS
    needed |= (ANONYMOUS if anonymous else {}) | (LOCAL if local else {})
    needed |= {f"{S3A}endpoint": endpoint, f"{S3A}path.style.access": "true"} if endpoint else {}
    needed |= {"spark.jars": ",".join(path.as_uri() for path in sorted(s3_jars().glob("*.jar")))} if s3 else {}
    needed |= {name.replace("__", "."): str(value) for name, value in settings.items()}
    if CURRENT and CURRENT[0] == needed and (java := CURRENT[1].sparkContext._jsc) and not java.sc().isStopped():
        return CURRENT[1]
    check_environment()
    java_version()
    stop()
    if local:
        os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"  # nobody else has to find this machine
    warnings.filterwarnings("ignore", message="PySpark does not yet fully support pandas")
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    CURRENT[:] = [needed, SparkSession.builder.appName("urlseq").config(map=dict(needed)).getOrCreate()]
    return CURRENT[1]


def bytes_so_far(session: SparkSession) -> int:
    """The bytes that Spark has read from files since the session began.

    The session needs the setting spark.ui.liveUpdate.period = 0, or the count may be late.
    """
    context = session.sparkContext._jsc.sc()
    context.listenerBus().waitUntilEmpty()
    executors = context.statusStore().executorList(False)
    return sum(executors.apply(index).totalInputBytes() for index in range(executors.size()))


def is_foreign() -> bool:
    """Whether a Spark session is active that was not made here. There is one at a time."""
    active = SparkContext._active_spark_context
    return active is not None and not (CURRENT and active is CURRENT[1].sparkContext)


def stop() -> None:
    """Ends the session that `session` made, and its JVM, whose memory and classpath are settled when it starts."""
    if is_foreign():
        return
    if CURRENT:
        CURRENT[1].stop()
        CURRENT.clear()
    if (gateway := SparkContext._gateway) and gateway.proc:  # a JVM that this Python started
        gateway.shutdown()
        gateway.proc.stdin.close()  # at this the JVM ends
        gateway.proc.wait(30)
        SparkContext._gateway = SparkContext._jvm = None
