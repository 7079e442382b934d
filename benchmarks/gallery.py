"""The gallery: each function of `urlseq.gallery` learned and measured on held-out inputs, the hopeless ones, too.

Each is learned on one core, and as many at a time as there are cores.
"""

import argparse
import json
import random
import time
from pathlib import Path

from benchmarks.common import RESULTS, keep, machine, side_by_side, table
from urlseq.copying import copy_function
from urlseq.gallery import GALLERY
from urlseq.learned import LearnedCopy
from urlseq.sampler import Sampler
from urlseq.sources import texts_for

FOLDER = Path("runs/gallery")
# How far off the hard inverse is, is the subject of a script of its own.
NAMES = [name for name in GALLERY if name != "seconds_in_hex"]


def learn(name: str, examples: int | None) -> dict:
    """Trains one copy, keeps it in `runs/gallery`, and returns what was measured."""
    entry = GALLERY[name]
    folder = FOLDER / (name if examples is None else f"{name}-{examples}")
    examples = examples or entry.examples
    started = time.monotonic()
    function = {"inverse" if entry.inverse else "function": entry.function}
    copy = copy_function(
        inputs=entry.inputs,
        max_bytes=entry.max_bytes,
        examples=examples,
        batch_size=entry.batch_size,
        learning_rate=entry.learning_rate,
        epoch_batches=25_600 // entry.batch_size,
        validation_count=min(2_000, examples // 16),
        folder=folder,
        attempts=0,
        verbose=False,
        **function,
    )
    if entry.measured_on:
        measure(copy, entry.measured_on)
        copy.save(folder)
    return copy.card["held_out"] | {
        "function": copy.card["function"],
        "minutes": round((time.monotonic() - started) / 60, 1),
        "examples": examples,
        "weights": copy.model.count_params(),
        "curve": [[epoch["examples"], epoch["val_exact"]] for epoch in copy.card["history"]],
    }


def measure(copy: LearnedCopy, sampler: Sampler) -> None:
    """Calibrates the copy on other inputs than those that it learned from, held-out ones as well."""
    rng = random.Random("measured")
    texts = texts_for(sampler, rng, 10_000, held_out=True, check=lambda text: copy.refusal(text) is None)
    copy.calibrate(list(dict.fromkeys(texts)))


def shown(name: str, result: dict) -> list[str]:
    low, high = result["interval"]
    exact = f"{result['exact'] / result['count']:.2%} ({result['exact']:,} of {result['count']:,})"
    return [name, exact, f"{low:.2%} to {high:.2%}", f"{result['examples']:,}", f"{result['minutes']:.1f}"]


def main(quick: bool = False, names: list[str] | None = None, examples: int | None = None) -> None:
    if quick:
        names, examples = names or ["hex_of_text", "dates_in_hex", "roman", "checksum"], 3_200
    path, rows = RESULTS / "gallery.json", []
    longest_first = sorted(names or NAMES, key=lambda name: -GALLERY[name].examples)
    for name, result in side_by_side(learn, longest_first, examples):
        if examples is None:  # read just now: another run may have kept a function meanwhile
            known = json.loads(path.read_text())["result"] if path.exists() else {}
            keep("gallery", known | {name: result})
        rows.append(shown(name, result))
        print(" | ".join(rows[-1]), flush=True)
    print(table(["", "exact on held-out inputs", "95 % interval", "examples", "minutes"], rows))
    print(machine())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which of {', '.join(NAMES)} (default: all)")
    parser.add_argument("--examples", type=int, help="other than the gallery says; the result is then not kept")
    main(**vars(parser.parse_args()))
