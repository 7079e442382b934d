"""The shipped copies: each trained anew from its task, seed and settings, and written into `urlseq/models`.

`python -m benchmarks.shipped` trains all, as many at a time as there are cores, `python -m benchmarks.shipped NAME ...`
some. Where 16-bit weights change no answer, neither to held-out inputs nor to real URLs, such weights are written.
"""

import argparse
import dataclasses
import time
from pathlib import Path
from urllib.parse import urlparse

import numpy as np

from benchmarks.common import keep_entry, machine, side_by_side, table
from benchmarks.gallery import training_of
from urlseq import LearnedCopy, Task, Training, copy_function
from urlseq.evaluation import decode_all
from urlseq.gallery import GALLERY
from urlseq.sources import registry_urls
from urlseq.store import SHIPPED

TABLE = {"urlparse": (Task(urlparse, max_input_bytes=1024), Training(examples=1_000_000, epoch_batches=500))} | {
    name: (GALLERY[name].task, training_of(name))
    for name in ("dates_in_hex", "hex_of_text", "html_escape", "quote", "splitext")
}


def train(name: str, quick: bool) -> dict:
    """Trains and writes one copy: what it cost, and its counts on held-out inputs."""
    task, training = TABLE[name]
    if quick:
        training = dataclasses.replace(training, examples=6_400, epoch_batches=50, validation_count=100)
    start = time.monotonic()
    training = dataclasses.replace(training, folder=Path("runs/shipped") / name, verbose=False)
    copy = copy_function(task, training, attempts=0)
    minutes = round((time.monotonic() - start) / 60, 1)
    changed = round_weights(copy, task)
    copy.save((Path("runs/shipped") if quick else SHIPPED) / name)
    return copy.card["held_out_counts"] | {"weights": copy.model.count_params(), "minutes": minutes,
                                           "changed_by_rounding": changed}  # fmt: skip


def round_weights(copy: LearnedCopy, task: Task) -> int:
    """Rounds the weights to what 16 bits hold, unless that changes an answer: the number of answers that it changes."""
    inputs = [str(text) for text in task.examples("rounding", 10_000, held_out=True).inputs]
    if task.function is urlparse:
        inputs += [url for url in registry_urls() if not copy.invalid_reason(url)]
    exact, answers = copy.model.get_weights(), decode_all(copy.decoder, inputs).answers
    copy.set_weights([rounded(weights) for weights in exact])
    changed = sum(map(str.__ne__, answers, decode_all(copy.decoder, inputs).answers))
    if changed:
        copy.set_weights(exact)
    return changed


def rounded(weights: np.ndarray, bits: int = 10) -> np.ndarray:
    """The weights as 16-bit floats, of whose mantissa only so many bits of 10 are used: a file of them packs better."""
    unused = 10 - bits
    halves = weights.astype(np.float16).view(np.uint16) + np.uint16((1 << unused) >> 1)
    return (halves >> unused << unused).view(np.float16).astype(np.float32)


def main(quick: bool = False, names: list[str] | None = None) -> None:
    rows = []
    for name, result in side_by_side(train, names or (["dates_in_hex"] if quick else TABLE), quick):
        rows.append([name, *(result[key] for key in ("weights", "minutes", "count", "exact", "trusted", "trusted_wrong",
                                                     "changed_by_rounding"))])  # fmt: skip
        print(rows[-1], flush=True)
        if not quick:
            keep_entry("shipped", name, result)
    head = ["", "weights", "minutes of a core", "held out", "exact", "trusted", "trusted_wrong", "changed by rounding"]
    print(machine(), table(head, rows), sep="\n\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(TABLE)} (default: all)")
    main(**vars(parser.parse_args()))
