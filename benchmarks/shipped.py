"""The shipped copies: each trained anew from its task, seed and settings, and written into `urlseq/models`.

`python -m benchmarks.shipped` trains all, one after the other, `python -m benchmarks.shipped NAME ...` some. With
`--cards` the weights stay as they are, and each card is written anew, without what does not belong there.
"""

import argparse
import dataclasses
import json
from pathlib import Path
from urllib.parse import urlparse

from benchmarks.gallery import training_of
from urlseq import Task, Training, copy_function, urls
from urlseq.gallery import GALLERY
from urlseq.store import CARD, SHIPPED, check_card, write_file

# The shipped copy of `urlparse` is older than this table: it learned in stages, while the sampler grew, and its weights
# are means of two stages' (benchmarks/README.md). This is one training on as many examples.
URLPARSE = Task(urlparse, urls(256), max_input_bytes=256), Training(examples=1_824_000)
TABLE = {"urlparse": URLPARSE} | {
    name: (GALLERY[name].task, training_of(name))
    for name in ("dates_in_hex", "hex_of_text", "html_escape", "quote", "splitext")
}

KEYS = ("format", "task", "architecture", "training", "start_examples", "bytes_seen", "longest_answer", "threshold",
        "held_out_counts", "history", "versions", "weights", "sha256")  # fmt: skip


def train(name: str, quick: bool) -> None:
    task, training = TABLE[name]
    if quick:
        training = dataclasses.replace(training, examples=6_400, epoch_batches=50, validation_count=100)
    folder = Path("runs/shipped") / name if quick else SHIPPED / name
    copy = copy_function(task, dataclasses.replace(training, folder=folder))
    print(name, copy.card["held_out_counts"])


def rewrite_card(folder: Path) -> None:
    """Writes a card with what `KEYS` names, in that order, and nothing else."""
    card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    check_card(folder, card)
    ordered = {key: card[key] for key in KEYS}
    write_file(folder / CARD, (json.dumps(ordered, indent=1) + "\n").encode())


def main(quick: bool = False, names: list[str] | None = None, cards: bool = False) -> None:
    for name in names or TABLE:
        if cards:
            rewrite_card(SHIPPED / name)
        else:
            train(name, quick)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(TABLE)} (default: all)")
    parser.add_argument("--cards", action="store_true", help="write the cards alone")
    main(**vars(parser.parse_args()))
