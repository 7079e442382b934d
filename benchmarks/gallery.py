"""The gallery: each function of `urlseq.gallery` learned and measured on held-out inputs, the hopeless ones, too."""

import argparse
import json
import time
from pathlib import Path

from benchmarks.common import RESULTS, keep, machine, table
from urlseq.copying import copy_function
from urlseq.gallery import GALLERY, Entry

FOLDER = Path("runs/gallery")


def learn(name: str, entry: Entry, examples: int) -> dict:
    """Trains one copy, keeps it in `runs/gallery`, and returns what was measured."""
    started = time.monotonic()
    function = {"inverse" if entry.inverse else "function": entry.function}
    copy = copy_function(
        inputs=entry.inputs,
        max_bytes=entry.max_bytes,
        examples=examples,
        batch_size=entry.batch_size,
        epoch_batches=25_600 // entry.batch_size,
        folder=FOLDER / name,
        attempts=0,
        **function,
    )
    return copy.card["held_out"] | {
        "function": copy.card["function"],
        "minutes": round((time.monotonic() - started) / 60, 1),
        "examples": examples,
        "weights": copy.model.count_params(),
        "curve": [[epoch["examples"], epoch["val_exact"]] for epoch in copy.card["history"]],
    }


def shown(name: str, result: dict) -> list[str]:
    low, high = result["interval"]
    exact = f"{result['exact'] / result['count']:.2%} ({result['exact']:,} of {result['count']:,})"
    return [name, exact, f"{low:.2%} to {high:.2%}", f"{result['examples']:,}", f"{result['minutes']:.1f}"]


def main(quick: bool = False, names: list[str] | None = None, examples: int | None = None) -> None:
    examples = 3_200 if quick else examples
    path = RESULTS / "gallery.json"
    for name in names or GALLERY:
        entry = GALLERY[name]
        result = learn(name, entry, examples or entry.examples)
        if examples is None:  # read just now: another function may have been learned at the same time
            known = json.loads(path.read_text())["result"] if path.exists() else {}
            keep("gallery", known | {name: result})
        print(table(["", "exact on held-out inputs", "95 % interval", "examples", "minutes"], [shown(name, result)]))
    print(machine())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which of {', '.join(GALLERY)} (default: all)")
    parser.add_argument("--examples", type=int, help="other than the gallery says; the result is then not kept")
    main(**vars(parser.parse_args()))
