"""The gallery: each function of `urlseq.gallery` learned and measured on held-out inputs, the hopeless ones, too.

Each is learned on one core, and as many at a time as there are cores.
"""

import argparse
import dataclasses
import time
from pathlib import Path

from benchmarks.common import keep_entry, machine, side_by_side, table
from urlseq import LearnedCopy, Training, copy_function
from urlseq.gallery import GALLERY, Entry

FOLDER = Path("runs/gallery")
# The hard inverse has a script of its own, benchmarks.seconds.
NAMES = [name for name in GALLERY if name != "seconds_in_hex"]


def training_of(name: str) -> Training:
    """How a function of the gallery is trained: epochs of 25,600 examples, if the gallery does not say otherwise."""
    training = Training(**GALLERY[name].training)
    return dataclasses.replace(training, **{"epoch_batches": 25_600 // training.batch_size} | GALLERY[name].training)


def learn(name: str, examples: int | None) -> dict:
    """Trains one copy, keeps it in `runs/gallery`, and returns its measures."""
    entry, training = GALLERY[name], training_of(name)
    folder = FOLDER / (name if examples is None else f"{name}-{examples}")
    examples = examples or training.examples
    training = dataclasses.replace(training, examples=examples, validation_count=min(2_000, examples // 16),
                                   folder=folder, verbose=False)  # fmt: skip
    start = time.monotonic()
    copy = copy_function(entry.task, training, attempts=0)
    if entry.measured_on:
        measure(copy, entry)
        copy.save(folder)
    return copy.card["held_out_counts"] | {
        "function": copy.name,
        "minutes": round((time.monotonic() - start) / 60, 1),
        "examples": examples,
        "weights": copy.model.count_params(),
        "curve": [[epoch["examples"], epoch["val_exact"]] for epoch in copy.card["history"]],
    }


def measure(copy: LearnedCopy, entry: Entry) -> None:
    """Sets the copy's threshold and counts by other inputs than those that it learned from, held-out ones as well."""
    task = dataclasses.replace(entry.task, inputs=entry.measured_on)
    examples = task.examples("measured", 10_000, held_out=True)
    copy.set_threshold(examples.rows({text: row for row, text in enumerate(examples.inputs)}.values()))


def shown(name: str, result: dict) -> list[str]:
    low, high = result["interval"]
    exact = f"{result['exact'] / result['count']:.2%} ({result['exact']:,} of {result['count']:,})"
    return [name, exact, f"{low:.2%} to {high:.2%}", f"{result['examples']:,}", f"{result['minutes']:.1f}"]


def main(quick: bool = False, names: list[str] | None = None, examples: int | None = None) -> None:
    if quick:
        names, examples = names or ["hex_of_text", "dates_in_hex", "roman", "checksum"], 3_200
    rows = []
    longest_first = sorted(names or NAMES, key=lambda name: -training_of(name).examples)
    for name, result in side_by_side(learn, longest_first, examples):
        if examples is None:
            keep_entry("gallery", name, result)
        rows.append(shown(name, result))
        print(" | ".join(rows[-1]), flush=True)
    print(table(["", "exact on held-out inputs", "95 % interval", "examples", "minutes"], rows))
    print(machine())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which of {', '.join(NAMES)} (default: all)")
    parser.add_argument("--examples", type=int, help="other than the gallery says; the result is then not kept")
    main(**vars(parser.parse_args()))
