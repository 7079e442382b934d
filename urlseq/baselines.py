"""What would be exact without learning: a training that is hardly better after a while is told so, early."""

import statistics

import keras
import numpy as np

from urlseq.evaluation import interval, percent
from urlseq.functions import to_json
from urlseq.report import duration
from urlseq.task import Examples, Task


def baselines(known: Examples, asked: Examples) -> dict[str, int]:
    """How many answers would be exact by each way to guess them. Near are inputs with like pairs of bytes."""
    nearest = (profiles(asked.inputs) @ profiles(known.inputs).T).argmax(axis=1)
    guesses = {
        "the input itself": map(to_json, asked.inputs),
        "the same answer to all": [statistics.mode(known.answers)] * len(asked),
        "the answer to the nearest input": [known.answers[row] for row in nearest],
    }
    return {name: sum(map(str.__eq__, guess, asked.answers)) for name, guess in guesses.items()}


def profiles(inputs: list[str]) -> np.ndarray:
    """Each text's pairs of neighbouring bytes, counted in 1,024 classes, as a vector of length 1 [inputs, 1024]."""
    counts = np.zeros((len(inputs), 1024), np.float32)
    for row, text in enumerate(inputs):
        codes = np.frombuffer(f"\n{text}\n".encode(), np.uint8).astype(np.int64)
        np.add.at(counts[row], (codes[:-1] * 31 + codes[1:]) % 1024, 1)
    return counts / np.linalg.norm(counts, axis=1, keepdims=True)


class WarnEarly(keras.callbacks.Callback):
    """After a minute of training, says once where the copy is hardly better than `baselines`."""

    def __init__(self, schedule, task: Task, held_out: Examples):
        super().__init__()
        self.schedule, self.task, self.held_out, self.done = schedule, task, held_out, False

    def on_epoch_end(self, epoch, logs=None) -> None:
        if self.done or self.schedule.seconds < 60 or not len(self.held_out):
            return
        self.done, count = True, len(self.held_out)
        found = baselines(self.task.examples("known", 2000, held_out=False), self.held_out)
        best = max(found, key=lambda name: found[name])
        exact = self.schedule.exact(logs["val_exact"])
        # Better is what is so beyond chance.
        if exact < 0.9 * count and interval(exact, count)[0] <= interval(found[best], count)[1]:
            print(
                f"After {duration(self.schedule.seconds)}, {percent(exact, count)} of held-out inputs are exact, "
                f"hardly more than by giving {best} ({percent(found[best], count)}). Checksums, hashes and "
                "arithmetic of many digits are not learned; others may need more time, or more and shorter inputs.",
                flush=True,
            )
