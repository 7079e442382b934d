"""The hard inverse: seconds since 1970, in hexadecimal, back to a date and time. How far off it is, over training."""

import argparse
import dataclasses
import json
import random
import statistics
from datetime import datetime, timedelta
from pathlib import Path

from benchmarks.common import keep, machine, table
from benchmarks.gallery import training_of
from urlseq import copy_function
from urlseq.gallery import GALLERY, seconds_in_hex
from urlseq.report import RecordPredictions
from urlseq.sources import draw, sampler_of

FOLDER = Path("runs/seconds")
TASK, TRAINING = GALLERY["seconds_in_hex"].task, training_of("seconds_in_hex")


def days_off(answer: str, date: str) -> float:
    """How far from a date the text of an answer is, in days; a century for what is no date at all."""
    try:
        return abs((datetime.fromisoformat(json.loads(answer)) - datetime.fromisoformat(date)) / timedelta(days=1))
    except (TypeError, ValueError):
        return 36_525.0


def how_far_off(answers: list[str], dates: list[str]) -> dict[str, float]:
    """The shares of answers that are exact and of the correct day, and by how many days the median one is off."""
    off = [days_off(answer, date) for answer, date in zip(answers, dates, strict=True)]
    same_day = sum(answer[1:11] == date[:10] for answer, date in zip(answers, dates, strict=True))
    return {"exact": off.count(0) / len(off), "day": same_day / len(off), "median": statistics.median(off)}


def main(quick: bool = False, examples: int = TRAINING.examples) -> None:
    examples = examples // 100 if quick else examples
    folder = FOLDER if examples == TRAINING.examples else FOLDER.with_name(f"seconds-{examples}")
    training = dataclasses.replace(
        TRAINING,
        examples=examples,
        epoch_batches=min(102_400, examples // 4) // TRAINING.batch_size,
        validation_count=min(2_000, examples // 16),
        folder=folder,
    )
    dates = draw(sampler_of(TASK.inputs), random.Random("asked"), 2000, True, 128)
    recorded = RecordPredictions([seconds_in_hex(date) for date in dates], max_answer_bytes=32)
    copy = copy_function(TASK, training, attempts=0, callbacks=[recorded])
    history = copy.card["history"][-len(recorded.answers) :]
    curve = [how_far_off(answers, dates) | {"examples": seen["examples"], "minutes": round(seen["seconds"] / 60, 1)}
             for answers, seen in zip(recorded.answers, history, strict=True)]  # fmt: skip
    shown = curve[-1 :: -max(1, len(curve) // 8)][::-1]
    rows = [[f"{of['examples']:,}", f"{of['minutes']:.1f}", f"{of['exact']:.2%}", f"{of['day']:.2%}",
             f"{of['median']:.4g}"] for of in shown]  # fmt: skip
    head = ["examples", "minutes", f"exact, of {len(dates):,} held out", "correct day", "days off, median"]
    print(machine(), table(head, rows), sep="\n\n")
    if not quick:
        keep("seconds", {"count": len(dates), "batch_size": TRAINING.batch_size, "curve": curve})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=TRAINING.examples)
    main(**vars(parser.parse_args()))
