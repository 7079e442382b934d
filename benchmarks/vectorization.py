"""Texts to byte matrices: ours against a loop of `np.frombuffer`, a million URLs in batches of 2,048."""

import random
import statistics

import numpy as np
import pyarrow as pa

from benchmarks.common import keep, machine, seconds, spread, table
from urlseq.encoding import EOS
from urlseq.samplers import urls
from urlseq.vectorize import to_matrix

BATCH = 2048


def loop(texts: list[str]) -> np.ndarray:
    """The plain way: each text by itself into an array, each array into a row."""
    rows = [np.frombuffer(text.encode(), np.uint8) for text in texts]
    matrix = np.zeros((len(rows), max(map(len, rows)) + 1), np.uint8)
    for index, row in enumerate(rows):
        matrix[index, : len(row)] = row
        matrix[index, len(row)] = EOS
    return matrix


def in_batches(function, texts) -> None:
    for start in range(0, len(texts), BATCH):
        function(texts[start : start + BATCH])


def main(quick: bool = False) -> None:
    sampler, rng = urls(), random.Random(0)
    texts = [sampler(rng) for _ in range(20_000)] * (5 if quick else 50)
    array = pa.array(texts)
    assert all((loop(texts[:BATCH]) == to_matrix(texts[:BATCH])).ravel()), "the two ways differ"
    times = {
        "loop of np.frombuffer": seconds(lambda: in_batches(loop, texts)),
        "to_matrix, from a Python list": seconds(lambda: in_batches(to_matrix, texts)),
        "to_matrix, from an Arrow array": seconds(lambda: in_batches(to_matrix, array)),
    }
    base = statistics.median(times["loop of np.frombuffer"])
    rows = [[name, spread(values), f"{base / statistics.median(values):.1f}"] for name, values in times.items()]
    head = [f"{len(texts):,} URLs", "seconds, median (range)", "times as fast"]
    print(machine(), table(head, rows), sep="\n\n")
    if not quick:
        keep("vectorization", [dict(zip(["name", "seconds", "ratio"], row, strict=True)) for row in rows])


if __name__ == "__main__":
    main()
