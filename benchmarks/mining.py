"""What mining gives: a copy trained further on the same number of examples, with its mistakes and without."""

import argparse
from pathlib import Path
from urllib.parse import urlparse

from benchmarks.accuracy import lists
from benchmarks.common import keep, machine, side_by_side, table
from urlseq import load, urls
from urlseq.copying import copy_function
from urlseq.learned import LearnedCopy
from urlseq.mining import hard_inputs, with_hard_inputs

FOLDER = Path("runs/mining")
ARMS = ["before", "more of the same", "with its mistakes"]


def real_texts(copy: LearnedCopy, most: int | None) -> dict[str, list[str]]:
    """Lists of real URLs and edge cases, no more than so many of each."""
    return {name: [text for text in of if copy.refusal(text) is None][:most] for name, of in lists().items() if of}


def arm(name: str, start: str, share: float, settings: dict, most: int | None, draws: int) -> dict:
    """Trains the copy on in one of the ways, and counts what it then gets wrong."""
    copy = load(start)
    sampler = urls(copy.max_bytes)
    if name != "before":
        inputs = with_hard_inputs(copy, sampler, share, draws) if name == "with its mistakes" else sampler
        folder = FOLDER / f"{name.replace(' ', '_')}-{settings['examples']}"
        copy = copy_function(urlparse, inputs, start=copy, folder=folder, max_bytes=copy.max_bytes, attempts=0,
                             verbose=False, **settings)  # fmt: skip
    return {
        "wrong": {where: len(copy.evaluate(texts).mistakes()) for where, texts in real_texts(copy, most).items()},
        # The sampler again, with another seed: how rare its mistakes have become.
        "found": len(hard_inputs(copy, sampler, draws=draws, seed=1)),
    }


def main(quick: bool = False, start: str = "urlparse", examples: int = 64_000, learning_rate: float = 8e-3,
         share: float = 0.3) -> None:  # fmt: skip
    most, draws = None, 20_000
    if quick:
        examples, most, draws = examples // 20, 200, 1_000
    settings = {"examples": examples, "learning_rate": learning_rate, "validation_count": min(2_000, examples // 16)}
    done = dict(side_by_side(arm, ARMS[::-1], start, share, settings, most, draws))
    counts = {where: len(texts) for where, texts in real_texts(load(start), most).items()}
    wrong = {name: done[name]["wrong"] for name in ARMS}
    lines = [[where, f"{count:,}", *(wrong[name][where] for name in ARMS)] for where, count in counts.items()]
    lines.append(["all", f"{sum(counts.values()):,}", *(sum(wrong[name].values()) for name in ARMS)])
    lines.append([f"sampler and mutations, {draws:,} draws", "", *(done[name]["found"] for name in ARMS)])
    print(machine(), table(["wrong answers", "URLs", *ARMS], lines), sep="\n\n")
    if not quick:
        found = {name: done[name]["found"] for name in ARMS}
        keep("mining", settings | {"share": share, "counts": counts, "wrong": wrong, "found": found})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--start", default="urlparse", help="a shipped copy, or a folder (%(default)s)")
    parser.add_argument("--examples", type=int, default=64_000)
    parser.add_argument("--learning-rate", type=float, default=8e-3)
    parser.add_argument("--share", type=float, default=0.3)
    main(**vars(parser.parse_args()))
