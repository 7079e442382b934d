"""What it takes to go on after an interruption: weights, optimizer, schedule and history, in one file."""

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np

from urlseq.store import write_file

DIGEST_BYTES = hashlib.sha256().digest_size


class Checkpoint(keras.callbacks.Callback):
    """Keeps the weights of the best epoch by exact match, and the state of the training.

    With a `path`, the state is written at the end of each epoch, whole or not at all. `settings`, plain JSON, decide
    whether a state belongs to this training.
    """

    def __init__(self, path: Path | None, settings: dict, schedule, batches):
        super().__init__()
        self.path, self.settings, self.schedule, self.batches = path, settings, schedule, batches
        self.best, self.best_weights = -1.0, list[np.ndarray]()
        self.trained_weights = list[np.ndarray]()
        self.history: list[dict] = []

    def restore(self) -> int:
        """Takes up the state on disk, if there is one of a training with the same settings: returns its epoch."""
        found = read(self.path) if self.path else None
        if found is None or found[0]["settings"] != self.settings:
            return 0
        state, arrays = found
        self.model.optimizer.build(self.model.trainable_variables)
        count = len(self.model.weights)
        self.model.set_weights([arrays[f"weight{index}"] for index in range(count)])
        for index, variable in enumerate(self.model.optimizer.variables):
            variable.assign(arrays[f"optimizer{index}"])
        self.best_weights = [arrays[f"best{index}"] for index in range(count)]
        self.best, self.history = state["best"], state["history"]
        self.schedule.batches, self.schedule.seconds = state["batches"], state["seconds"]
        self.batches.epoch, self.batches.longest_answer = state["epoch"], state["longest_answer"]
        self.batches.bytes_seen[state["bytes_seen"]] = True
        if self.batches.training.verbose:
            print(f"Goes on after epoch {state['epoch']}, where it was interrupted.", flush=True)
        return state["epoch"]

    def on_test_begin(self, logs=None) -> None:
        """Where the optimizer keeps the weights' average, that is in the model from here to the next epoch."""
        self.trained_weights = self.model.get_weights()
        self.model.optimizer.finalize_variable_values(self.model.trainable_variables)

    def on_epoch_begin(self, epoch, logs=None) -> None:
        if self.trained_weights:
            self.model.set_weights(self.trained_weights)

    def on_epoch_end(self, epoch, logs=None) -> None:
        exact = logs.get("val_exact", logs["exact"])
        record = {"examples": self.schedule.examples, "seconds": round(self.schedule.seconds, 1)}
        self.history.append(record | {name: float(value) for name, value in logs.items()})
        if exact >= self.best:
            self.best, self.best_weights = float(exact), self.model.get_weights()
            self.model.stop_training |= self.schedule.ended_by(self.best) == "until"
        if self.path is not None:
            self.write(self.path, epoch + 1)

    def write(self, path: Path, epoch: int) -> None:
        state = {"settings": self.settings, "epoch": epoch, "best": self.best, "history": self.history,
                 "batches": self.schedule.batches, "seconds": self.schedule.seconds, **self.batches.seen()}  # fmt: skip
        weights = self.trained_weights or self.model.get_weights()
        arrays: dict[str, Any] = {f"weight{index}": value for index, value in enumerate(weights)}
        arrays |= {f"best{index}": value for index, value in enumerate(self.best_weights)}
        arrays |= {f"optimizer{index}": np.asarray(v) for index, v in enumerate(self.model.optimizer.variables)}
        buffer = io.BytesIO()
        np.savez(buffer, **arrays, state=np.array(json.dumps(state)))
        data = buffer.getvalue()
        # The archive's own checksums leave out its headers, where a bit may hide an array or cut it short.
        write_file(path, data + hashlib.sha256(data).digest())


def read(path: Path) -> tuple[dict, dict[str, Any]] | None:
    """The state and the arrays in a file; None where it is missing or damaged: training then starts anew."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    data, digest = data[:-DIGEST_BYTES], data[-DIGEST_BYTES:]
    if hashlib.sha256(data).digest() != digest:
        return None
    with np.load(io.BytesIO(data)) as file:
        arrays = dict(file)
    return json.loads(str(arrays.pop("state"))), arrays
