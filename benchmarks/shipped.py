"""The shipped copies: each trained anew from its task, seed and settings, and written into `urlseq/models`.

`python -m benchmarks.shipped` trains all, as many at a time as there are cores, `python -m benchmarks.shipped NAME ...`
some. Their weights are rounded to 8 bits, so that a LiteRT file of 150 kB answers exactly as the copy does.
"""

import argparse
import dataclasses
import time
from pathlib import Path
from urllib.parse import urlparse

from benchmarks.common import keep_entry, machine, side_by_side, table
from benchmarks.gallery import training_of
from urlseq import LearnedCopy, Task, Training, copy_function
from urlseq.cards import SHIPPED
from urlseq.export.litert import add_litert, rounded
from urlseq.gallery import GALLERY

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
    changed = round_weights(copy, task, training)
    folder = copy.save((Path("runs/shipped") if quick else SHIPPED) / name)
    size = add_litert(copy, folder).stat().st_size
    return copy.card["held_out_counts"] | {"weights": copy.model.count_params(), "minutes": minutes,
                                           "changed_by_rounding": changed, "litert_bytes": size}  # fmt: skip


def round_weights(copy: LearnedCopy, task: Task, training: Training) -> int:
    """Rounds the weights to what 8 bits hold and sets the threshold anew: how many held-out answers that changes."""
    examples = task.examples(f"{training.seed} calibration", 5 * training.held_out_count, held_out=True).distinct()
    before = copy.compare(examples)[1].answers
    copy.set_weights(rounded(copy.model, "int8"))
    copy.set_threshold(examples, training.kept_examples)
    return sum(map(str.__ne__, before, copy.compare(examples)[1].answers))


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
