"""What Arrow saves on the way to pandas, how little of a table is read, and how fast training can be fed from one."""

import random
import resource
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.common import keep, machine, seconds, spread, table
from urlseq import spark, tables
from urlseq.vectorize import features

BATCH = 2048


def to_pandas(session, frame, arrow: bool, repeats: int) -> list[float]:
    session.conf.set("spark.sql.execution.arrow.pyspark.enabled", str(arrow).lower())
    times = seconds(lambda: frame.toPandas(), repeats)
    session.conf.set("spark.sql.execution.arrow.pyspark.enabled", "true")
    return times


def memory() -> float:
    """The largest memory that this process has had so far, MB (Linux counts in kB, macOS in bytes)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def stream(folder: Path, count: int) -> tuple[float, float]:
    """URLs per second, features included, and by how many MB memory grew after the first batch."""
    sampler = tables.TableSampler(folder)
    for number in range(count // BATCH):
        if number == 1:
            start, before = time.perf_counter(), memory()
        rng = random.Random(f"0 {number}")
        texts = [sampler(rng) for _ in range(BATCH)]
        features(texts, [text.answer for text in texts])
    return (count - BATCH) / (time.perf_counter() - start), memory() - before


def main(quick: bool = False) -> None:
    from urllib.parse import urlparse

    rows, count = (4_000, 20_000) if quick else (200_000, 5_000_000)
    with tempfile.TemporaryDirectory() as home:
        folder = tables.embedded_table(home, rows)
        session = spark.session(s3=False)
        frame = spark.read_table(session, folder, None)
        cached = frame.cache()
        cached.count()
        plain, arrow = (to_pandas(session, cached, choice, 1 if quick else 3) for choice in (False, True))
        cached.unpersist()
        part = spark.read_table(session, folder / "crawl=EMBEDDED", None)
        read = {"all columns": part, "url": part.select("url"),
                "url, of one top-level domain": part.where("url_host_tld = 'de'").select("url")}  # fmt: skip
        read = {name: spark.bytes_read(query) for name, query in read.items()}
        training = spark.write_training_table(frame, Path(home) / "training", urlparse)
        spark.stop()
        rate, growth = stream(training, count)
    lines = [
        ["toPandas without Arrow, s", spread(plain)],
        ["toPandas with Arrow, s", spread(arrow)],
        *([f"kB read: {name}", f"{size / 1e3:,.0f} ({size / read['all columns']:.1%})"] for name, size in read.items()),
        [f"URLs/s of the stream, features included ({count:,} URLs)", f"{rate:,.0f}"],
        ["memory growth meanwhile, MB", f"{growth:.0f}"],
    ]
    print(machine(), table([f"{rows:,} rows", "measured"], lines), sep="\n\n")
    if not quick:
        keep("spark", [dict(zip(["what", "measured"], line, strict=True)) for line in lines])


if __name__ == "__main__":
    main()
