"""Training: batches by length, a schedule over a budget, attempts to look at, interruption and resumption."""

import dataclasses
import hashlib
import io
import json
import math
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np

from urlseq.files import write_file
from urlseq.functions import Function, answers
from urlseq.model import exact_match
from urlseq.sampler import Sampler
from urlseq.sources import texts_for
from urlseq.vectorize import PADDING_STEP, buffers, byte_lengths, features, padded

# Until so many examples are seen, only the shortest of those drawn are taken, a quarter of them at first.
SHORT_FIRST_EXAMPLES = 64_000
# The schedule's peak: half of it finds attention's places later, twice as much wavers for longer.
LEARNING_RATE = 1.2e-2
# What a training's state ends with.
DIGEST_BYTES = hashlib.sha256().digest_size


@dataclasses.dataclass(frozen=True)
class Budget:
    """Training ends with the first of these to be used up."""

    minutes: float | None = None
    examples: int | None = None

    def progress(self, seconds: float, seen: int) -> float:
        """The share that is used up, 0 to 1."""
        shares = [seconds / 60 / self.minutes if self.minutes else 0, seen / self.examples if self.examples else 0]
        return min(1.0, max(shares))


class Batches(keras.utils.PyDataset):
    """Batches for `fit`: any of them can be made at any time from its number alone.

    Texts are drawn a chunk of batches at a time, sorted by length so that a batch holds texts of about the same
    length, and the batches of a chunk are then shuffled. An epoch is whatever `epoch_batches` says.
    """

    def __init__(self, function: Function, sampler: Sampler, fits: Callable[[str], bool], seed: int,
                 epoch_batches: int, batch_size: int = 64, chunk_batches: int = 32,
                 short_first: int = SHORT_FIRST_EXAMPLES):  # fmt: skip
        super().__init__()
        self.function, self.sampler, self.fits, self.seed = function, sampler, fits, seed
        self.epoch_batches, self.batch_size, self.chunk_batches = epoch_batches, batch_size, chunk_batches
        self.short_first = short_first
        self.epoch, self.error = 0, None
        self.chunk_number, self.chunk = -1, []
        self.bytes_seen, self.longest_answer = np.zeros(256, bool), 0

    def __len__(self) -> int:
        return self.epoch_batches

    def __getitem__(self, index: int):
        """Batch `index` of this epoch: the two inputs, int32 [batch, in] and [batch, out], and the target."""
        try:
            texts, wanted = self.texts(self.epoch * self.epoch_batches + index)
        except Exception as error:
            self.error = error  # kept for `train`: on its way through TensorFlow it becomes pages of other words
            raise
        return model_batch(texts, wanted, at_least=self.longest if index == 0 else 0)

    def on_epoch_end(self) -> None:
        self.epoch += 1

    def texts(self, number: int) -> tuple[list[str], list[str]]:
        """The texts and answers of one batch, counted from the start of training."""
        chunk, place = divmod(number, self.chunk_batches)
        if chunk != self.chunk_number:
            self.chunk, self.chunk_number = self.make_chunk(chunk), chunk
        texts, wanted = zip(*self.chunk[place], strict=True)
        return list(texts), list(wanted)

    def make_chunk(self, chunk: int) -> list[list[tuple[str, str]]]:
        rng = random.Random(f"{self.seed} {chunk}")
        count = self.batch_size * self.chunk_batches
        # Short inputs first: they teach where to look just as well, at a third of the price.
        share = min(1.0, 0.25 + 0.75 * chunk * count / self.short_first) if self.short_first else 1.0
        drawn = texts_for(self.sampler, rng, round(count / share), held_out=False, check=self.fits)
        texts = [drawn[place] for place in np.argsort(byte_lengths(drawn), kind="stable")[:count]]
        wanted = answers(self.function, texts)
        self.longest = longest_of(texts, wanted)
        self.bytes_seen[buffers(texts)[0]] = True
        self.longest_answer = max(self.longest_answer, int(byte_lengths(wanted).max()))
        order = np.argsort(byte_lengths(texts) + byte_lengths(wanted), kind="stable")
        pairs = [(texts[place], wanted[place]) for place in order]
        batches = [pairs[start : start + self.batch_size] for start in range(0, len(pairs), self.batch_size)]
        rng.shuffle(batches)
        return batches


def model_batch(texts: list[str], wanted: list[str], at_least: int = 0):
    """What `fit` takes of one batch: `({"encoder_input", "decoder_input"}, target)`, int32.

    Keras takes a length that the first two batches share for a constant, so the first is padded to `at_least`
    a length that no other has.
    """
    matrices = features(texts, wanted)
    inputs = {name: padded(matrices[name], at_least).astype(np.int32) for name in ("encoder_input", "decoder_input")}
    return inputs, padded(matrices["target"], at_least).astype(np.int32)


def longest_of(texts: list[str], wanted: list[str]) -> int:
    """A length in bytes that the matrices of none of these texts and answers reach."""
    return int(max(byte_lengths(texts).max(), byte_lengths(wanted).max())) + 2 + PADDING_STEP


def by_length(texts: list[str], wanted: list[str], batch_size: int = 256) -> list[np.ndarray]:
    """The places of all texts, short ones first, cut into batches."""
    order = np.argsort(byte_lengths(texts) + byte_lengths(wanted), kind="stable")
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


class Validation(keras.utils.PyDataset):
    """A fixed set of texts and answers, for `validation_data`; each epoch sees all of them."""

    def __init__(self, texts: list[str], wanted: list[str]):
        super().__init__()
        self.texts, self.wanted = texts, wanted
        self.groups = by_length(texts, wanted)

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, index: int):
        rows = self.groups[index]
        at_least = longest_of(self.texts, self.wanted) if index == 0 else 0
        return model_batch([self.texts[row] for row in rows], [self.wanted[row] for row in rows], at_least)


def muon(learning_rate: float) -> keras.optimizers.Optimizer:
    """The optimizer: steps that turn all directions of a matrix alike, so that rare ones are learned, too.

    A gradient's few large directions, such as "look at the end mark", drown in Adam what else the matrix could learn.
    Muon makes the singular values of each matrix's step equal. Adam's rule remains for embeddings, biases and logits.
    Source: K. Jordan et al., Muon, 2024 (kellerjordan.github.io/posts/muon), scaled as by Liu et al., 2025
    (arXiv:2502.16982).
    """
    # Clipping keeps one odd batch from undoing many. Weights are few and examples new, so nothing need decay.
    return keras.optimizers.Muon(learning_rate, adam_beta_2=0.98, exclude_layers=["logits"], global_clipnorm=1.0,
                                 weight_decay=0, adam_weight_decay=0)  # fmt: skip


class Schedule(keras.callbacks.Callback):
    """The learning rate: a warm-up, then down along a cosine until the budget is used up, and then the end."""

    def __init__(self, budget: Budget, learning_rate: float, batch_size: int, warm_up_batches: int = 200):
        super().__init__()
        self.budget, self.peak, self.batch_size, self.warm_up = budget, learning_rate, batch_size, warm_up_batches
        self.batches, self.seconds, self.last = 0, 0.0, None

    @property
    def progress(self) -> float:
        return self.budget.progress(self.seconds, self.batches * self.batch_size)

    def on_train_begin(self, logs=None):
        self.last = time.monotonic()

    def on_train_batch_begin(self, batch, logs=None):
        now = time.monotonic()
        self.seconds, self.last = self.seconds + now - self.last, now
        warm = min(1.0, (self.batches + 1) / self.warm_up)
        self.model.optimizer.learning_rate = self.peak * warm * (0.5 + 0.5 * math.cos(math.pi * self.progress))

    def on_train_batch_end(self, batch, logs=None):
        self.batches += 1
        if self.progress >= 1:
            self.model.stop_training = True


class Progress(keras.callbacks.Callback):
    """One line that fills while an epoch runs, and stays when it is over, with the time that is left."""

    def __init__(self, schedule: Schedule):
        super().__init__()
        self.schedule = schedule

    def on_train_batch_end(self, batch, logs=None):
        if sys.stdout.isatty() and batch % 10 == 0:
            self.show("\r", batch, logs)

    def on_epoch_end(self, epoch, logs=None):
        self.show("\r" if sys.stdout.isatty() else "", None, logs, "\n", epoch)

    def show(self, start, batch, logs, end="", epoch=None):
        schedule = self.schedule
        bar = "█" * round(20 * schedule.progress)
        left = schedule.seconds * (1 / max(schedule.progress, 1e-6) - 1)
        line = f"{bar:░<20} {schedule.batches * schedule.batch_size:>9,} examples, loss {logs['loss']:.4f}"
        if "val_exact" in logs:
            line += f", held out: {logs['val_exact']:.2%} exact"
        print(f"{start}{line}, {duration(schedule.seconds)} gone, {duration(left)} left ", end=end, flush=True)


def duration(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


class Keeper(keras.callbacks.Callback):
    """Keeps the weights of the best epoch by exact match, and all that it takes to go on after an interruption.

    The state is written at the end of each epoch, whole or not at all.
    """

    def __init__(self, path: Path | None, settings: dict, schedule: Schedule, batches: Batches):
        super().__init__()
        self.path, self.settings, self.schedule, self.batches = path, settings, schedule, batches
        self.best, self.best_weights, self.history = -1.0, None, []

    def restore(self) -> int:
        """Takes up the state on disk, if there is one of a training with the same settings: returns its epoch."""
        try:
            data = self.path.read_bytes() if self.path else b""
        except OSError:
            data = b""
        data, digest = data[:-DIGEST_BYTES], data[-DIGEST_BYTES:]
        if hashlib.sha256(data).digest() != digest:
            return 0  # damaged, or no state at all: training starts anew
        with np.load(io.BytesIO(data)) as file:
            arrays = dict(file)
        state = json.loads(str(arrays.pop("state")))
        if state["settings"] != self.settings:
            return 0
        self.model.optimizer.build(self.model.trainable_variables)
        count = len(self.model.weights)
        self.model.set_weights([arrays[f"weight{place}"] for place in range(count)])
        for place, variable in enumerate(self.model.optimizer.variables):
            variable.assign(arrays[f"optimizer{place}"])
        self.best_weights = [arrays[f"best{place}"] for place in range(count)]
        self.best, self.history = state["best"], state["history"]
        self.schedule.batches, self.schedule.seconds = state["batches"], state["seconds"]
        self.batches.epoch = state["epoch"]
        self.batches.bytes_seen[state["bytes_seen"]] = True
        self.batches.longest_answer = state["longest_answer"]
        return state["epoch"]

    def on_epoch_end(self, epoch, logs=None):
        exact = logs.get("val_exact", logs["exact"])
        seen = self.schedule.batches * self.batches.batch_size
        self.history.append({"examples": seen, "seconds": round(self.schedule.seconds, 1),
                             **{name: float(value) for name, value in logs.items()}})  # fmt: skip
        if exact >= self.best:
            self.best, self.best_weights = float(exact), self.model.get_weights()
        if self.path is not None:
            self.write(epoch + 1)

    def write(self, epoch: int) -> None:
        state = {"settings": self.settings, "epoch": epoch, "best": self.best, "history": self.history,
                 "batches": self.schedule.batches, "seconds": self.schedule.seconds,
                 "bytes_seen": np.flatnonzero(self.batches.bytes_seen).tolist(),
                 "longest_answer": self.batches.longest_answer}  # fmt: skip
        arrays = {f"weight{place}": value for place, value in enumerate(self.model.get_weights())}
        arrays |= {f"best{place}": value for place, value in enumerate(self.best_weights)}
        arrays |= {f"optimizer{place}": np.asarray(v) for place, v in enumerate(self.model.optimizer.variables)}
        buffer = io.BytesIO()
        np.savez(buffer, **arrays, state=np.array(json.dumps(state)))
        data = buffer.getvalue()
        # The archive's own checksums leave out its headers, where a bit may hide an array or cut it short.
        write_file(self.path, data + hashlib.sha256(data).digest())


def train(
    model: keras.Model,
    batches: Batches,
    validation: Validation | None,
    budget: Budget,
    *,
    loss,
    optimizer: keras.optimizers.Optimizer,
    state: Path | None = None,
    settings: dict | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: bool = True,
) -> Keeper:
    """Trains until the budget is used up, leaves the best weights in the model, and returns their keeper.

    The optimizer's learning rate is the schedule's peak.
    """
    schedule = Schedule(budget, float(optimizer.learning_rate), batches.batch_size)
    keeper = Keeper(state, settings, schedule, batches)
    keeper.set_model(model)
    exact = keras.metrics.MeanMetricWrapper(exact_match, name="exact")
    model.compile(optimizer, loss, metrics=[exact], jit_compile=False)
    first = keeper.restore()
    if first and verbose:
        print(f"Goes on after epoch {first}, where it was interrupted.", flush=True)
    shown = [Progress(schedule)] if verbose else []
    if schedule.progress < 1:
        # `batches` are shuffled already; Keras' own shuffling would depend on what else was drawn before, and would
        # jump between chunks, each of which is made anew on every visit.
        try:
            model.fit(
                batches,
                validation_data=validation,
                initial_epoch=first,
                epochs=1_000_000,
                verbose=0,
                shuffle=False,
                callbacks=[schedule, keeper, *shown, *callbacks],
            )
        except Exception:
            if batches.error is not None:
                raise batches.error from None
            raise
    model.set_weights(keeper.best_weights)
    return keeper
