"""The transformer on one core and on two, beside bare LiteRT on as many, and memory over many rows.

Speeds are measured in turn, one core and two, Spark and LiteRT, so that other work on the machine meets all alike.
"""

import argparse
import itertools
import multiprocessing
import os
import random
import statistics
import threading
import time
from pathlib import Path

from benchmarks.common import keep, machine, table
from urlseq import load_lite, spark
from urlseq.sources import registry_urls
from urlseq.spark.transformer import CopiedFunction


def inputs_to_answer(count: int) -> list[str]:
    copy = load_lite("urlparse")
    inputs = [text for text in registry_urls() if not copy.invalid_reason(text)]
    return random.Random("spark").sample(inputs, count)


class Bare:
    """Processes with one thread each, which answer by LiteRT and do nothing else."""

    def __init__(self, inputs: list[str], processes: int):
        context = multiprocessing.get_context("spawn")
        self.pool, self.inputs = context.Pool(processes, prepare), inputs

    def seconds(self, processes: int) -> float:
        """Wall-clock time for all inputs, shared by so many processes; both begin and end within it."""
        start = time.perf_counter()
        self.pool.map(decode, [self.inputs[part::processes] for part in range(processes)], chunksize=1)
        return time.perf_counter() - start


def prepare() -> None:
    global copy
    copy = load_lite("urlparse")
    decode(inputs_to_answer(512))


def decode(inputs: list[str]) -> None:
    copy.predict_all(inputs)


def write(frame) -> float:
    """Seconds until each row of the frame was computed; nothing is kept."""
    start = time.perf_counter()
    frame.write.format("noop").mode("overwrite").save()
    return time.perf_counter() - start


def workers_memory() -> float:
    """Memory of all of Spark's Python workers on this machine, MB. Linux only."""
    total = 0
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if b"pyspark.daemon" in (path / "cmdline").read_bytes():
                total += int((path / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except OSError:  # it has ended
            continue
    return total / 1e6


def watch(frame, partitions: int, every: float = 1.0) -> tuple[float, list[tuple[float, float]]]:
    """Seconds for the whole frame, and (share of its partitions that were done, MB of the workers) meanwhile."""
    tracker, seen, done = frame.sparkSession.sparkContext.statusTracker(), [], threading.Event()

    def look():
        while not done.wait(every):
            for stage in map(tracker.getStageInfo, tracker.getActiveStageIds()):
                if stage and stage.numTasks == partitions:
                    seen.append((stage.numCompletedTasks / partitions, workers_memory()))

    thread = threading.Thread(target=look)
    thread.start()
    seconds = write(frame)
    done.set()
    thread.join()
    return seconds, seen


def speeds(session, count: int, rounds: int) -> dict:
    inputs, stage = inputs_to_answer(count), CopiedFunction()
    frame = session.createDataFrame([(text,) for text in inputs], "url string")
    frames = {cores: frame.repartition(cores).cache() for cores in (1, 2)}
    for cached in frames.values():
        cached.count()
    bare = Bare(inputs, 2)
    write(stage.transform(frames[2]))  # workers start, and load the copy
    times = {(what, cores): [] for what in ("Spark", "LiteRT") for cores in (1, 2)}
    for _ in range(rounds):
        for cores in (1, 2):
            times["Spark", cores].append(write(stage.transform(frames[cores])))
            times["LiteRT", cores].append(bare.seconds(cores))
    bare.pool.terminate()
    rates = {name: [count / seconds for seconds in of] for name, of in times.items()}
    median = {name: statistics.median(of) for name, of in rates.items()}
    return {
        "rates": {f"{what}, {cores} core{'s' * (cores > 1)}": [round(rate) for rate in rates[what, cores]]
                  for what, cores in rates},
        "two cores to one, Spark": round(median["Spark", 2] / median["Spark", 1], 2),
        "two cores to one, bare LiteRT": round(median["LiteRT", 2] / median["LiteRT", 1], 2),
        "Spark to bare LiteRT, one core": round(median["Spark", 1] / median["LiteRT", 1], 2),
        "Spark to bare LiteRT, two cores": round(median["Spark", 2] / median["LiteRT", 2], 2),
        "load of the machine": os.getloadavg()[0],
    }  # fmt: skip


def memory(session, rows: int) -> dict:
    inputs = [(text,) for text in inputs_to_answer(min(rows, 25_000))]
    copies, partitions = -(-rows // len(inputs)), max(20, rows // 10_000)
    frame = session.createDataFrame(inputs, "url string").crossJoin(session.range(copies)).select("url")
    seconds, seen = watch(CopiedFunction().transform(frame.repartition(partitions)), partitions)
    return {"rows": copies * len(inputs), "seconds": round(seconds), "workers_mb_by_quarter": by_quarter(seen),
            "largest_mb": round(max((size for _, size in seen), default=0))}  # fmt: skip


def by_quarter(seen: list[tuple[float, float]]) -> list[int]:
    """Of what `watch` saw, the median in each quarter of the work, its very start aside; 0 where it saw nothing."""
    quarters = []
    for low, high in itertools.pairwise([0.05, 0.25, 0.5, 0.75, 1]):
        sizes = [size for share, size in seen if low <= share < high]
        quarters.append(round(statistics.median(sizes or [0])))
    return quarters


def main(quick: bool = False, count: int = 6_000, rounds: int = 3, rows: int = 200_000) -> None:
    if quick:
        count, rounds, rows = 500, 1, 5_000
    session = spark.session("local[2]", s3=False)
    result = speeds(session, count, rounds)
    print(machine(), table(["URLs/s", "each round"], list(result["rates"].items())), sep="\n\n", flush=True)
    print({name: value for name, value in result.items() if name != "rates"}, flush=True)
    result["memory"] = memory(session, rows) if rows else None
    print(result["memory"])
    if not quick:
        keep("spark_ml", result)
    spark.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=6_000, help="URLs to time (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="(%(default)s)")
    parser.add_argument("--rows", type=int, default=200_000, help="URLs to watch the memory over (%(default)s)")
    main(**vars(parser.parse_args()))
