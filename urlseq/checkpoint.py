"""What it takes to go on after an interruption: weights, optimizer, schedule and history, in one file."""

import hashlib
import io
import json
import os
import warnings
from pathlib import Path

import keras
import numpy as np

from urlseq.cards import write_file

DIGEST_BYTES = hashlib.sha256().digest_size
# What a training may have more of when it goes on.
BUDGET = ("minutes", "examples")


class Checkpoint(keras.callbacks.Callback):
    """Keeps the weights of the best epoch by exact match, and the state of the training.

    With a `folder`, the state is written there at the end of each epoch. `settings`, plain JSON, decide whether a state
    belongs to this training. What is left of a training that ended serves one with a larger budget.
    """

    def __init__(self, folder: str | Path | None, settings: dict, schedule, batches):
        super().__init__()
        self.settings, self.schedule, self.batches = settings, schedule, batches
        self.path = Path(folder) / "training.npz" if folder else None
        self.ended_path = self.path and self.path.with_name("ended.npz")
        self.interrupted = False
        self.best, self.best_weights = -1.0, list[np.ndarray]()
        self.trained_weights = list[np.ndarray]()
        self.history: list[dict] = []

    def restore(self) -> int:
        """Takes up the state on disk, if there is one of a training with the same settings: returns its epoch."""
        for path in (self.path, self.ended_path):
            if path and (found := read(path)) and self.belongs(found[0], path):
                return self.take(*found)
        return 0

    def belongs(self, state: dict, path: Path) -> bool:
        """Whether this training can go on from a state; says why not where one of an interrupted training can't."""
        old, new = compared(state["settings"]), compared(self.settings)
        others = sorted(name for name in old | new if old.get(name) != new.get(name))
        if path == self.ended_path:
            examples = state["batches"] * self.schedule.training.batch_size
            return not others and self.schedule.training.progress(state["seconds"], examples) < 1
        if others:
            print(f"Starts anew: what was interrupted in {path.parent} had another {', '.join(others)}.", flush=True)
        return not others

    def take(self, state: dict, arrays: list[np.ndarray]) -> int:
        """Goes on from a state: returns its epoch."""
        count = len(self.model.weights)
        self.model.set_weights(arrays[:count])
        self.best_weights = arrays[count : 2 * count]
        for variable, value in zip(self.model.optimizer.variables, arrays[2 * count :], strict=True):
            variable.assign(value)
        self.best, self.history = state["best"], state["history"]
        self.schedule.batches, self.schedule.seconds = state["batches"], state["seconds"]
        self.batches.epoch, self.batches.longest_answer = state["epoch"], state["longest_answer"]
        self.batches.bytes_seen[state["bytes_seen"]] = True
        if self.batches.training.verbose:
            print(f"Goes on after epoch {state['epoch']}, where the training before ended.", flush=True)
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
            try:
                self.write(self.path, epoch + 1)
            except OSError as error:  # a folder may be away for a while, and the training need not wait for it
                warnings.warn(f"The training goes on, but could not be kept for an interruption: {error}", stacklevel=2)

    @property
    def ended_by(self) -> str:
        """What ended the training: "minutes", "examples", "until", "interruption" or "callback"."""
        return "interruption" if self.interrupted else self.schedule.ended_by(self.best) or "callback"

    def end(self) -> None:
        """The copy is saved: what is left of its training serves only one with a larger budget."""
        if self.path and self.ended_path and self.path.exists() and not self.interrupted:
            os.replace(self.path, self.ended_path)

    def write(self, path: Path, epoch: int) -> None:
        state = {"settings": self.settings, "epoch": epoch, "best": self.best, "history": self.history,
                 "batches": self.schedule.batches, "seconds": self.schedule.seconds, **self.batches.seen()}  # fmt: skip
        weights = self.trained_weights or self.model.get_weights()
        buffer = io.BytesIO()
        np.savez(buffer, *weights, *self.best_weights, *map(np.asarray, self.model.optimizer.variables),
                 state=np.array(json.dumps(state)))  # fmt: skip
        data = buffer.getvalue()
        # The archive's own checksums leave out its headers, where a bit may hide an array or cut it short.
        write_file(path, data + hashlib.sha256(data).digest())


def compared(settings: dict) -> dict:
    """The settings in which two trainings have to agree for one to go on from the other, without nesting."""
    flat = dict(settings)
    for part in settings.values():
        flat |= part if isinstance(part, dict) else {}
    flat["until"] = flat.get("until") is not None  # with any target, the optimizer keeps averages as well
    return {name: value for name, value in flat.items() if name not in BUDGET and not isinstance(value, dict)}


def read(path: Path) -> tuple[dict, list[np.ndarray]] | None:
    """The state and the arrays in a file; None where it is missing or damaged: training then starts anew."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    data, digest = data[:-DIGEST_BYTES], data[-DIGEST_BYTES:]
    if hashlib.sha256(data).digest() != digest:
        return None
    with np.load(io.BytesIO(data)) as file:
        return json.loads(str(file["state"])), [file[name] for name in file.files if name != "state"]
