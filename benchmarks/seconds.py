"""The hard inverse: seconds since 1970, in hexadecimal, back to a date and time. How far off it is, over training."""

import argparse
import random
import statistics
from pathlib import Path

from benchmarks.common import keep, machine, table
from urlseq.copying import copy_function
from urlseq.evaluate import Asked
from urlseq.gallery import GALLERY, days_off, seconds_in_hex
from urlseq.sources import texts_for

FOLDER = Path("runs/seconds")
ENTRY = GALLERY["seconds_in_hex"]


def how_far_off(answers: list[str], dates: list[str]) -> dict[str, float]:
    """How many are exact, on how many is the day right, and how many days half of them are off at most."""
    off = [days_off(answer, date) for answer, date in zip(answers, dates, strict=True)]
    same_day = sum(answer[1:11] == date[:10] for answer, date in zip(answers, dates, strict=True))
    return {"exact": off.count(0) / len(off), "day": same_day / len(off), "median": statistics.median(off)}


def main(quick: bool = False, examples: int = ENTRY.examples) -> None:
    examples = examples // 100 if quick else examples
    folder = FOLDER if examples == ENTRY.examples else FOLDER.with_name(f"seconds-{examples}")
    dates = texts_for(ENTRY.inputs, random.Random("asked"), 2000, held_out=True)
    asked = Asked([seconds_in_hex(date) for date in dates], limit=32)
    copied = copy_function(
        inverse=ENTRY.function,
        inputs=ENTRY.inputs,
        max_bytes=ENTRY.max_bytes,
        examples=examples,
        batch_size=ENTRY.batch_size,
        learning_rate=ENTRY.learning_rate,
        epoch_batches=min(102_400, examples // 4) // ENTRY.batch_size,
        validation_count=min(2_000, examples // 16),
        attempts=0,
        folder=folder,
        callbacks=[asked],
    )
    history = copied.card["history"][-len(asked.answers) :]
    curve = [how_far_off(answers, dates) | {"examples": seen["examples"], "minutes": round(seen["seconds"] / 60, 1)}
             for answers, seen in zip(asked.answers, history, strict=True)]  # fmt: skip
    shown = curve[-1 :: -max(1, len(curve) // 8)][::-1]
    rows = [[f"{of['examples']:,}", f"{of['minutes']:.1f}", f"{of['exact']:.2%}", f"{of['day']:.2%}",
             f"{of['median']:.4g}"] for of in shown]  # fmt: skip
    head = ["examples", "minutes", f"exact, of {len(dates):,} held out", "right day", "days off, median"]
    print(machine(), table(head, rows), sep="\n\n")
    if not quick:
        keep("seconds", {"count": len(dates), "batch_size": ENTRY.batch_size, "curve": curve})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=ENTRY.examples)
    main(**vars(parser.parse_args()))
