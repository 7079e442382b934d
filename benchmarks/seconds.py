"""The hard inverse: seconds since 1970, in hexadecimal, back to a date and time. How far off it is, over training."""

import argparse
import random
import statistics
from datetime import datetime
from pathlib import Path

import keras

from benchmarks.common import keep, machine, table
from urlseq.copying import copy_function
from urlseq.decode import GreedyDecoder
from urlseq.functions import from_json
from urlseq.gallery import GALLERY, seconds_in_hex
from urlseq.sources import texts_for
from urlseq.vectorize import to_matrix

FOLDER = Path("runs/seconds")


class HowFarOff(keras.callbacks.Callback):
    """Asks for held-out moments after each epoch: how many are exact, on how many is the day right, and days off."""

    def __init__(self, dates: list[str]):
        super().__init__()
        self.dates, self.curve = dates, []
        self.questions = to_matrix([seconds_in_hex(date) for date in dates])

    def on_epoch_end(self, epoch, logs=None):
        answers = GreedyDecoder(self.model)(self.questions, limit=32).texts
        off = [days_off(answer, date) for answer, date in zip(answers, self.dates, strict=True)]
        same_day = sum(answer[1:11] == date[:10] for answer, date in zip(answers, self.dates, strict=True))
        self.curve.append(
            {"exact": off.count(0) / len(off), "day": same_day / len(off), "median": statistics.median(off)}
        )


def days_off(answer: str, date: str) -> float:
    """A century for what is no date at all."""
    try:
        return abs((datetime.fromisoformat(from_json(answer)) - datetime.fromisoformat(date)).total_seconds()) / 86_400
    except (TypeError, ValueError):
        return 36_525.0


def main(quick: bool = False, examples: int = 2_000_000, batch_size: int = 256, learning_rate: float = 3e-3) -> None:
    examples = examples // 100 if quick else examples
    entry = GALLERY["seconds_in_hex"]
    asked = HowFarOff(texts_for(entry.inputs, random.Random("asked"), 2000, held_out=True))
    copied = copy_function(
        inverse=entry.function,
        inputs=entry.inputs,
        max_bytes=entry.max_bytes,
        examples=examples,
        batch_size=batch_size,
        learning_rate=learning_rate,
        epoch_batches=min(102_400, examples // 4) // batch_size,
        attempts=0,
        folder=FOLDER,
        callbacks=[asked],
    )
    curve = [epoch | {"examples": seen["examples"], "minutes": round(seen["seconds"] / 60, 1)}
             for epoch, seen in zip(asked.curve, copied.card["history"][-len(asked.curve) :], strict=True)]  # fmt: skip
    shown = curve[-1 :: -max(1, len(curve) // 8)][::-1]
    rows = [[f"{of['examples']:,}", f"{of['minutes']:.1f}", f"{of['exact']:.2%}", f"{of['day']:.2%}",
             f"{of['median']:.4g}"] for of in shown]  # fmt: skip
    head = ["examples", "minutes", f"exact, of {len(asked.dates):,} held out", "right day", "days off, median"]
    print(machine(), table(head, rows), sep="\n\n")
    if not quick:
        keep("seconds", {"count": len(asked.dates), "batch_size": batch_size, "curve": curve})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=2_000_000)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    main(**vars(parser.parse_args()))
