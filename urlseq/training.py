"""Training: batches of about the same length, a learning rate that follows the budget, and the loop itself."""

import builtins
import math
import random
import time
from collections.abc import Sequence

import keras
import numpy as np

from urlseq.encoding import batches_by_length
from urlseq.errors import UnfitFunction
from urlseq.evaluation import interval
from urlseq.model import exact_match, masked_crossentropy
from urlseq.task import Examples, Task, Training
from urlseq.vectorize import PADDING_STEP, buffers, byte_lengths, written

# Until so many examples are seen, only the shortest of those drawn are taken, a quarter of them at first.
SHORT_FIRST_EXAMPLES = 64_000
# Bytes of an input and its answer together.
LONG_BYTES = 384
# Batches that are drawn together and sorted by length.
CHUNK_BATCHES = 32
# The first batch of an epoch is half a step wider than any other can be: a length that the first two share, Keras
# would take for constant.
WIDER = PADDING_STEP // 2


class Batches(keras.utils.PyDataset):
    """Batches for `fit`: each can be made at any time from its number alone.

    Examples are drawn a chunk of batches at a time and sorted by length, so that those of a batch have about the same
    length; the batches of a chunk are then shuffled. An epoch is whatever `epoch_batches` says.
    """

    def __init__(self, task: Task, training: Training, short_first: int = SHORT_FIRST_EXAMPLES):
        super().__init__()
        self.task, self.training, self.short_first = task, training, short_first
        self.epoch, self.chunk_number = 0, -1
        self.chunk: list[Examples] = []
        self.error: Exception | None = None
        self.bytes_seen, self.longest_answer = np.zeros(256, bool), 0

    def __len__(self) -> int:
        return self.training.epoch_batches

    def __getitem__(self, index: int):
        """Batch `index` of this epoch: the two inputs, int32 [batch, in] and [batch, out], and the target."""
        try:
            return self.examples(self.epoch * len(self) + index).batch(WIDER if index == 0 else 0)
        except Exception as error:
            self.error = error  # kept for `fit`: on its way through TensorFlow it becomes pages of other words
            raise

    def on_epoch_end(self) -> None:
        self.epoch += 1

    def examples(self, number: int) -> Examples:
        """The examples of one batch, counted from the start of training."""
        chunk, index = divmod(number, CHUNK_BATCHES)
        if chunk != self.chunk_number:
            self.chunk, self.chunk_number = self.make_chunk(chunk), chunk
        return self.chunk[index]

    def make_chunk(self, chunk: int) -> list[Examples]:
        count = self.training.batch_size * CHUNK_BATCHES
        # Short inputs first: they teach where to look just as well, at a third of the price.
        share = min(1.0, 0.25 + 0.75 * chunk * count / self.short_first) if self.short_first else 1.0
        rng = random.Random(f"{self.training.seed} {chunk}")
        inputs = self.task.draw(rng, round(count / share), held_out=False)
        inputs = [inputs[index] for index in np.argsort(byte_lengths(inputs), kind="stable")[:count]]
        examples = self.task.labelled(inputs)
        if 2 * len(examples) < count:
            raise UnfitFunction(f"Most of the inputs can't be learned. {next(iter(self.task.left_out.values()))}")
        self.bytes_seen[buffers(examples.inputs)[0]] = True
        self.longest_answer = max(self.longest_answer, int(byte_lengths(written(examples.answers)).max()))
        batches = [examples.rows(rows) for rows in even_batches(examples.lengths, CHUNK_BATCHES)]
        rng.shuffle(batches)
        return batches

    def seen(self) -> dict:
        """What training has shown the model so far, as plain JSON."""
        return {"bytes_seen": np.flatnonzero(self.bytes_seen).tolist(), "longest_answer": self.longest_answer}


class Validation(keras.utils.PyDataset):
    """A fixed set of examples, for `validation_data`; each epoch sees all of them."""

    def __init__(self, examples: Examples):
        super().__init__()
        self.all, self.batches = examples, batches_by_length(examples.lengths, 256)

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int):
        return self.all.rows(self.batches[index]).batch(WIDER if index == 0 else 0)


def even_batches(lengths: np.ndarray, count: int) -> list[np.ndarray]:
    """The indices of all lengths [rows], the short ones first, cut into `count` batches: as many rows in each where all
    are short, fewer of those above `LONG_BYTES`, so that they take no more memory and time than others.
    """
    order = np.argsort(lengths, kind="stable")
    # At least half a batch's share is left to each, so none is empty.
    weights = np.clip(lengths[order], LONG_BYTES, max(LONG_BYTES, LONG_BYTES * len(lengths) // count // 2))
    shares = weights.sum() * np.arange(1, count) / count
    return np.split(order, np.searchsorted(weights.cumsum(), shares, side="right"))


def short_first_for(held_out: Examples, examples: int | None) -> int:
    """For how many examples short inputs come first: fewer of a small budget, none where all are about as long."""
    lengths = byte_lengths(held_out.inputs)
    varied = len(lengths) > 0 and np.quantile(lengths, 1 / 8) < np.median(lengths) / 2
    return min(SHORT_FIRST_EXAMPLES, examples // 4 if examples else SHORT_FIRST_EXAMPLES) if varied else 0


def muon(learning_rate: float, averages: bool = False) -> keras.optimizers.Optimizer:
    """The optimizer: steps that rotate all directions of a matrix alike, so that rare ones are learned, too.

    A gradient's few large directions, such as "look at EOS", drown in Adam what else the matrix could learn. Muon
    makes the singular values of each matrix's step equal. Adam's rule remains for embeddings, biases and logits.
    Source: K. Jordan et al., Muon, 2024 (kellerjordan.github.io/posts/muon), scaled as by Liu et al., 2025
    (arXiv:2502.16982). With `averages` it keeps the weights' exponential moving average over about 100 batches as well.
    """
    # Clipping keeps one odd batch from undoing many. Weights are few and examples new, so nothing need decay.
    return keras.optimizers.Muon(learning_rate, adam_beta_2=0.98, exclude_layers=["logits"], global_clipnorm=1.0,
                                 weight_decay=0, adam_weight_decay=0, use_ema=averages)  # fmt: skip


class Schedule(keras.callbacks.Callback):
    """The learning rate: a warm-up, then down along a cosine until the budget is used up, and then the end."""

    def __init__(self, training: Training, warm_up_batches: int = 200, held_out: int = 0):
        super().__init__()
        self.training, self.warm_up, self.held_out = training, warm_up_batches, held_out
        self.batches, self.seconds, self.last = 0, 0.0, 0.0

    @property
    def examples(self) -> int:
        return self.batches * self.training.batch_size

    @property
    def progress(self) -> float:
        return self.training.progress(self.seconds, self.examples)

    def exact(self, share: float) -> int:
        """The number of held-out inputs that are exact."""
        return round(max(share, 0.0) * self.held_out)

    def ended_by(self, best: float) -> str:
        """What ends the training when so large a share of held-out inputs is exact at best; "" if it goes on."""
        until, used = self.training.until, self.training.used(self.seconds, self.examples)
        if until and interval(self.exact(best), self.held_out)[0] > until:
            return "until"
        return max(used, key=lambda name: used[name]) if self.progress >= 1 else ""

    def on_train_begin(self, logs=None) -> None:
        self.last = time.monotonic()

    def on_train_batch_begin(self, batch, logs=None) -> None:
        now = time.monotonic()
        self.seconds, self.last = self.seconds + now - self.last, now
        warm = min(1.0, (self.batches + 1) / self.warm_up)
        cosine = 0.5 + 0.5 * math.cos(math.pi * self.progress)
        self.model.optimizer.learning_rate = self.training.learning_rate * warm * cosine

    def on_train_batch_end(self, batch, logs=None) -> None:
        self.batches += 1
        if self.progress >= 1:
            self.model.stop_training = True


def fit(model: keras.Model, batches: Batches, validation: Validation | None, checkpoint,
        callbacks: Sequence[keras.callbacks.Callback] = ()) -> None:  # fmt: skip
    """Trains until the budget is used up, from where `checkpoint` stands, and leaves the best weights in the model."""
    schedule = checkpoint.schedule
    exact = keras.metrics.MeanMetricWrapper(exact_match, name="exact")
    # What ends before its learning rate is low has noisy weights: the average of them is better.
    optimizer = muon(batches.training.learning_rate, averages=batches.training.until is not None)
    model.compile(optimizer, batches.training.loss or masked_crossentropy, metrics=[exact], jit_compile=False)
    optimizer.build(model.trainable_variables)  # else `fit` would trace its first step twice
    checkpoint.set_model(model)
    first = checkpoint.restore()
    if not schedule.ended_by(checkpoint.best):
        # `batches` are shuffled already; Keras' own shuffling would depend on what else was drawn before, and would
        # jump between chunks, each of which is made anew on every visit.
        try:
            model.fit(batches, validation_data=validation, initial_epoch=first, epochs=1_000_000, verbose=0,
                      shuffle=False, callbacks=[schedule, checkpoint, *callbacks])  # fmt: skip
        except KeyboardInterrupt:
            # In a notebook the copy so far is of use; a command ends.
            if not (hasattr(builtins, "__IPYTHON__") and checkpoint.best_weights):
                raise
            checkpoint.interrupted = True
        except Exception:
            if batches.error is not None:
                raise batches.error from None
            raise
    model.set_weights(checkpoint.best_weights)
