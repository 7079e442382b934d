"""How small a network copies a function: exact match against the number of weights, the same minutes for each.

Each rung is trained on one core, as many at a time as there are cores. `urlparse` is measured on the lists of real
URLs, the gallery's functions on held-out inputs.
"""

import argparse
import dataclasses
import statistics
import tempfile
import time
from urllib.parse import urlparse

import numpy as np

from benchmarks.accuracy import EDGES, LISTS, edge_cases
from benchmarks.common import keep_entry, machine, reference_urls, side_by_side
from benchmarks.gallery import measure, training_of
from urlseq import Architecture, LearnedCopy, Task, Training, copy_function
from urlseq.export.litert import add_litert
from urlseq.export.litert import rounded as in_precision
from urlseq.gallery import GALLERY
from urlseq.lite import load_lite
from urlseq.store import save

# By name: from one to the next the weights become one and a half to three times as many.
RUNGS = {
    "8 units": Architecture(units=8, embedding=4, attention=8, hidden=8),
    "16 units": Architecture(units=16, embedding=8, attention=16, hidden=16),
    "24 units": Architecture(units=24, embedding=8, attention=16, hidden=24),
    "32 units": Architecture(units=32, embedding=16, attention=32, hidden=32),
    "64 units": Architecture(),
    "128 units": Architecture(units=128, embedding=32, attention=64, hidden=128),
}
FUNCTIONS = ["urlparse", "splitext", "dates_in_hex"]
URLPARSE_MINUTES, GALLERY_MINUTES = 10.0, 1.0


def climb(name: str, minutes: float | None = None, seed: int = 0) -> dict:
    """Trains and measures one rung, `function, size`."""
    function, size = name.split(", ")
    if function == "urlparse":
        task, training, minutes = Task(urlparse), Training(), minutes or URLPARSE_MINUTES
    else:
        task, minutes = GALLERY[function].task, minutes or GALLERY_MINUTES
        training = dataclasses.replace(training_of(function), examples=None)
    folder = f"runs/ladder/{name}, seed {seed}"
    training = dataclasses.replace(training, minutes=minutes, seed=seed, folder=folder, verbose=False)
    copy = copy_function(task, training, architecture=RUNGS[size], attempts=0)
    result = {"function": function, "size": size, "seed": seed, "minutes": minutes,
              "weights": copy.model.count_params(), "examples": copy.card["history"][-1]["examples"],
              "held_out": copy.card["held_out_counts"]}  # fmt: skip
    if function == "urlparse":
        result |= {"counts": copy.evaluate(real_urls(copy)).counts, "edges": copy.evaluate(edges(copy)).counts,
                   "with_fewer_bits": {bits: with_fewer_bits(copy, bits) for bits in (5, 4)}}  # fmt: skip
    elif GALLERY[function].measured_on:
        measure(copy, GALLERY[function])
    return {"counts": copy.card["held_out_counts"]} | result | costs(copy, task)


def real_urls(copy: LearnedCopy) -> list[str]:
    """Those of the six lists that the copy takes; none where they are missing."""
    return [url for name in LISTS for url in reference_urls(name) if not copy.invalid_reason(url)]


def edges(copy: LearnedCopy) -> list[str]:
    return [text for name in EDGES for text in edge_cases(name) if not copy.invalid_reason(text)]


def with_fewer_bits(copy: LearnedCopy, bits: int) -> dict:
    """Bytes of the weights on the disk and exact real URLs, where so few bits are kept of each weight's fraction."""
    exact = copy.model.get_weights()
    copy.set_weights([rounded(weights, bits) for weights in exact])
    found = {"weights_bytes": saved_bytes(copy), "exact": copy.evaluate(real_urls(copy)).counts["exact"]}
    copy.set_weights(exact)
    return found


def rounded(weights: np.ndarray, bits: int) -> np.ndarray:
    """The weights as 16-bit floats, of whose fraction only so many bits of 10 are used: a file of them packs better."""
    unused = 10 - bits
    halves = weights.astype(np.float16).view(np.uint16) + np.uint16((1 << unused) >> 1)
    return (halves >> unused << unused).view(np.float16).astype(np.float32)


def saved_bytes(copy: LearnedCopy) -> int:
    """Bytes of the copy's weights on the disk."""
    with tempfile.TemporaryDirectory() as folder:
        return next(save(copy, folder).glob("weights-*")).stat().st_size


def costs(copy: LearnedCopy, task: Task) -> dict:
    """Bytes of the copy's weights on the disk and of its LiteRT file, and milliseconds of a median answer by LiteRT."""
    with tempfile.TemporaryDirectory() as folder:
        exact, times = copy.model.get_weights(), []
        copy.set_weights(in_precision(copy.model, "float16"))
        path = add_litert(copy, copy.save(folder))
        copy.set_weights(exact)
        lite = load_lite(folder)
        for text in task.examples("timed", 200, held_out=True).inputs:
            start = time.perf_counter()
            lite.predict(str(text))
            times.append(time.perf_counter() - start)
        return {"weights_bytes": saved_bytes(copy), "litert_bytes": path.stat().st_size,
                "milliseconds": round(1e3 * statistics.median(times), 2)}  # fmt: skip


def main(quick: bool = False, names: list[str] | None = None, minutes: float | None = None, seeds: int = 1) -> None:
    rungs = ["dates_in_hex, 8 units"] if quick else [f"{name}, {size}" for name in names or FUNCTIONS for size in RUNGS]
    for seed in range(seeds):
        for name, result in side_by_side(climb, rungs, 0.1 if quick else minutes, seed):
            print(name, result, flush=True)
            if not quick:
                keep_entry("ladder", f"{name}, seed {seed}", result)
    print(machine())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which of {', '.join(FUNCTIONS)} (default: all)")
    parser.add_argument("--minutes", type=float, help=f"of each training (default: urlparse {URLPARSE_MINUTES}, "
                        f"others {GALLERY_MINUTES})")  # fmt: skip
    parser.add_argument("--seeds", type=int, default=1)
    main(**vars(parser.parse_args()))
