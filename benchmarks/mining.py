"""What mining gives: the same copy trained further on the same number of examples, with its mistakes and without.

It begins with a copy that has not learned for long, or with the one in `--start`.
"""

import argparse
from pathlib import Path
from urllib.parse import urlparse

from benchmarks.accuracy import EDGES, LISTS, edge_cases
from benchmarks.common import keep, machine, reference_urls, table
from urlseq import load, urls
from urlseq.copying import copy_function
from urlseq.mining import hard_inputs, with_hard_inputs
from urlseq.sources import registry_urls

FOLDER = Path("runs/mining")


def main(quick: bool = False, start: str | None = None, examples: int = 64_000, learning_rate: float = 1e-3,
         share: float = 0.3) -> None:  # fmt: skip
    examples = examples // 20 if quick else examples
    copy = load(start) if start else copy_function(urlparse, examples=2 * examples, attempts=0)
    real = {name: reference_urls(name) for name in LISTS} | {"bioregistry": registry_urls()}
    real |= {f"edge cases, {name}": edge_cases(name) for name in EDGES}
    real = {name: [text for text in texts if copy.refusal(text) is None] for name, texts in real.items() if texts}
    sampler = urls(copy.max_bytes)
    budget = {"examples": examples, "learning_rate": learning_rate, "max_bytes": copy.max_bytes, "attempts": 0}
    arms = {"before": copy}
    for name, inputs in {
        "more of the same": sampler,
        "with its mistakes": with_hard_inputs(copy, sampler, share),
    }.items():
        arms[name] = copy_function(urlparse, inputs, start=copy, folder=FOLDER / name.replace(" ", "_"), **budget)
    wrong = {name: {where: len(arm.evaluate(texts).mistakes()) for where, texts in real.items()}
             for name, arm in arms.items()}  # fmt: skip
    # The sampler again, with another seed: how rare its mistakes have become.
    found = {name: len(hard_inputs(arm, sampler, draws=20_000, seed=1)) for name, arm in arms.items()}
    lines = [[where, f"{len(texts):,}", *(wrong[name][where] for name in arms)] for where, texts in real.items()]
    lines.append(["all", f"{sum(map(len, real.values())):,}", *(sum(wrong[name].values()) for name in arms)])
    lines.append(["sampler and mutations, 20,000 draws", "", *found.values()])
    print(machine(), table(["wrong answers", "URLs", *arms], lines), sep="\n\n")
    counts = {where: len(texts) for where, texts in real.items()}
    settings = {"examples": examples, "learning_rate": learning_rate, "share": share}
    if not quick:
        keep("mining", settings | {"counts": counts, "wrong": wrong, "found": found})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--start", help="a copy to begin with (default: one learns here, for twice the examples)")
    parser.add_argument("--examples", type=int, default=64_000)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--share", type=float, default=0.3)
    main(**vars(parser.parse_args()))
