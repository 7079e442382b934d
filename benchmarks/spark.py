"""Seconds to pandas with and without Arrow, bytes that queries read, and how fast a table feeds training."""

import multiprocessing
import random
import tempfile
import time
from pathlib import Path
from urllib.parse import urlparse

from benchmarks.common import keep, machine, process_memory, seconds, spread, table, write_archive
from urlseq import spark, tables
from urlseq.sources import draw
from urlseq.vectorize import features

BATCH = 2048


def to_pandas(session, frame, arrow: bool, repeats: int) -> list[float]:
    session.conf.set("spark.sql.execution.arrow.pyspark.enabled", str(arrow).lower())
    times = seconds(lambda: frame.toPandas(), repeats)
    session.conf.set("spark.sql.execution.arrow.pyspark.enabled", "true")
    return times


def bytes_read(frame) -> int:
    """The bytes that all tasks read from files to compute the whole frame, which is not kept."""
    session = frame.sparkSession
    # Hadoop does not count what it reads in several ranges at once.
    session.conf.set("parquet.hadoop.vectored.io.enabled", "false")
    before = spark.bytes_so_far(session)
    frame.write.format("noop").mode("overwrite").save()
    session.conf.unset("parquet.hadoop.vectored.io.enabled")
    return spark.bytes_so_far(session) - before


def stream(folder: Path, count: int) -> tuple[float, float]:
    """URLs per second, features included, and by how many MB memory grew after the first batch."""
    sampler = tables.TableSampler(folder)
    for number in range(count // BATCH):
        if number == 1:
            start, before = time.perf_counter(), process_memory(field="VmHWM")
        inputs = draw(sampler, random.Random(f"0 {number}"), BATCH, held_out=False, max_input_bytes=2048)
        features(inputs, [text.answer for text in inputs])
    return (count - BATCH) / (time.perf_counter() - start), process_memory(field="VmHWM") - before


def main(quick: bool = False) -> None:
    rows, copies = (4_000, 5) if quick else (200_000, 25)
    with tempfile.TemporaryDirectory() as home:
        folder = write_archive(Path(home) / "archive", rows)
        session = spark.session(s3=False, spark__ui__liveUpdate__period=0)
        frame = spark.read_table(session, folder, None)
        cached = frame.cache()
        cached.count()
        plain, arrow = (to_pandas(session, cached, choice, 1 if quick else 3) for choice in (False, True))
        cached.unpersist()
        part = spark.read_table(session, folder / "crawl=MADE-UP", None)
        read = {"all columns": part, "url": part.select("url"),
                "url, of one top-level domain": part.where("url_host_tld = 'de'").select("url")}  # fmt: skip
        read = {name: bytes_read(query) for name, query in read.items()}
        # As many URLs as are drawn, so that each footer and each page is a new one: the rows, numbered.
        many = frame.crossJoin(session.range(copies)).selectExpr("concat(url, '#', id) as url")
        training = spark.write_training_table(many, Path(home) / "training", urlparse)
        spark.stop()
        count = len(tables.TableSampler(training))
        # In a process of its own, whose memory has no other peaks.
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            rate, growth = pool.apply(stream, [training, count])
    lines = [
        ["toPandas without Arrow, s", spread(plain)],
        ["toPandas with Arrow, s", spread(arrow)],
        *([f"kB read: {name}", f"{size / 1e3:,.0f} ({size / read['all columns']:.1%})"] for name, size in read.items()),
        [
            f"URLs/s of the stream, features included ({count:,} URLs, the rows {copies} times, numbered)",
            f"{rate:,.0f}",
        ],
        ["memory growth of the stream meanwhile, MB", f"{growth:.0f}"],
    ]
    print(machine(), table([f"{rows:,} rows", "measured"], lines), sep="\n\n")
    if not quick:
        keep("spark", [dict(zip(["what", "measured"], line, strict=True)) for line in lines])


if __name__ == "__main__":
    main()
