"""The shipped copies: each trained anew from its task, seed and settings, and written into `urlseq/models`.

`python -m benchmarks.shipped` trains all, as many at a time as there are cores, `python -m benchmarks.shipped NAME ...`
some. Their weights are rounded to 8 bits, so that a LiteRT file of 150 kB answers exactly as the copy does. With
`--threshold` nothing is trained: the copies' thresholds are set anew.
"""

import argparse
import dataclasses
import json
import time
from pathlib import Path
from urllib.parse import urlparse

from benchmarks.common import RESULTS, keep_entry, machine, side_by_side, table
from benchmarks.gallery import training_of
from urlseq import LearnedCopy, Task, Training, copy_function, load
from urlseq.cards import SHIPPED
from urlseq.export.litert import add_litert, rounded
from urlseq.gallery import GALLERY
from urlseq.task import Examples

TABLE = {"urlparse": (Task(urlparse, max_input_bytes=1024), Training(examples=1_000_000, epoch_batches=500))} | {
    name: (GALLERY[name].task, training_of(name))
    for name in ("dates_in_hex", "hex_of_text", "html_escape", "quote", "splitext")
}
# Held-out inputs that decide what is trusted: six times as many as after other trainings, since this can take its time.
THRESHOLD_INPUTS = 60_000


def train(name: str, quick: bool) -> dict:
    """Trains and writes one copy: what it cost, and its counts on held-out inputs."""
    task, training = TABLE[name]
    if quick:
        training = dataclasses.replace(training, examples=6_400, epoch_batches=50, validation_count=100)
    start = time.monotonic()
    training = dataclasses.replace(training, folder=Path("runs/shipped") / name, verbose=False)
    copy = copy_function(task, training, attempts=0)
    minutes = round((time.monotonic() - start) / 60, 1)
    examples = held_out(name, quick)
    changed = round_weights(copy, examples)
    return ship(copy, examples, folder_of(name, quick)) | {"minutes": minutes, "changed_by_rounding": changed}


def set_threshold_anew(name: str, quick: bool) -> dict:
    """Sets the threshold of a shipped copy anew: its result, with new counts."""
    result = json.loads((RESULTS / "shipped.json").read_text())["result"][name]
    return result | ship(load(name), held_out(name, quick), folder_of(name, quick))


def held_out(name: str, quick: bool) -> Examples:
    """The examples that decide what a copy trusts; training sees none of them."""
    task, training = TABLE[name]
    return task.examples(f"{training.seed} calibration", 500 if quick else THRESHOLD_INPUTS, held_out=True).distinct()


def folder_of(name: str, quick: bool) -> Path:
    return (Path("runs/shipped") if quick else SHIPPED) / name


def round_weights(copy: LearnedCopy, examples: Examples) -> int:
    """Rounds the weights to what 8 bits hold: how many held-out answers that changes."""
    before = copy.compare(examples)[1].answers
    copy.set_weights(rounded(copy.model, "int8"))
    return sum(map(str.__ne__, before, copy.compare(examples)[1].answers))


def ship(copy: LearnedCopy, examples: Examples, folder: Path) -> dict:
    """Sets the threshold by held-out examples and writes the copy: its counts and sizes."""
    copy.set_threshold(examples)
    size = add_litert(copy, copy.save(folder)).stat().st_size
    return copy.card["held_out_counts"] | {"weights": copy.model.count_params(), "litert_bytes": size}


def main(quick: bool = False, names: list[str] | None = None, only_threshold: bool = False) -> None:
    rows, work = [], set_threshold_anew if only_threshold else train
    for name, result in side_by_side(work, names or (["dates_in_hex"] if quick else TABLE), quick):
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
    parser.add_argument("--threshold", dest="only_threshold", action="store_true", help="only set the thresholds anew")
    main(**vars(parser.parse_args()))
