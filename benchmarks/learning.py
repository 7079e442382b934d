"""Our architecture and training beside the alternatives, the same budget of examples for each.

`python -m benchmarks.learning` trains each on the same examples of at most MAX_INPUT_BYTES bytes, and follows exact
match on real URLs as short, which no training sees. Two seeds each: where these differ as much as two variants do, the
difference may be chance.
"""

import argparse
import dataclasses
from collections.abc import Callable
from unittest import mock
from urllib.parse import urlparse

import keras
from keras import layers, ops

from benchmarks.common import keep, machine, side_by_side, table
from urlseq.checkpoint import Checkpoint
from urlseq.encoding import PADDING, VOCABULARY
from urlseq.model import Architecture, build_model, masked_crossentropy
from urlseq.samplers import urls
from urlseq.sources import registry_urls
from urlseq.task import Examples, Task, Training
from urlseq.training import SHORT_FIRST_EXAMPLES, Batches, Schedule, Validation, fit, muon

MAX_INPUT_BYTES, EXAMPLES, VALIDATION = 48, 96_000, 4_000
LEARNING_RATE = Training().learning_rate
TASK = Task(urlparse, urls(MAX_INPUT_BYTES), max_input_bytes=MAX_INPUT_BYTES)
EPOCH_EXAMPLES, SEEDS = 6_400, (0, 1)


class ConstantRate(keras.callbacks.Callback):
    """Undoes the schedule: the learning rate stays the same."""

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate

    def on_train_batch_begin(self, batch, logs=None):
        self.model.optimizer.learning_rate = self.rate


class Mask(layers.Layer):
    def call(self, tokens):
        return ops.not_equal(tokens, PADDING)


def plain_model(attention: bool, units: int = 64, embedding: int = 16) -> keras.Model:
    """The usual first attempt: an LSTM hands its last state to another, which may attend to its states by content."""
    encoder_input = layers.Input((None,), dtype="int32", name="encoder_input")
    decoder_input = layers.Input((None,), dtype="int32", name="decoder_input")
    embedded = layers.Embedding(VOCABULARY, embedding)(encoder_input)
    mask = Mask()(encoder_input)
    states, *last = layers.LSTM(units, return_sequences=True, return_state=True)(embedded, mask=mask)
    written = layers.Embedding(VOCABULARY, embedding)(decoder_input)
    decoded = layers.LSTM(units, return_sequences=True)(written, initial_state=last)
    if attention:
        context = layers.Attention()([decoded, states], mask=[None, mask])
        decoded = layers.Concatenate()([decoded, context])
    hidden = layers.Dense(units, activation="relu")(decoded)
    logits = layers.Dense(VOCABULARY)(hidden)
    return keras.Model({"encoder_input": encoder_input, "decoder_input": decoder_input}, logits)


def capped_crossentropy(target, logits):
    """Mean cross-entropy in which padding counts, too, but for no more than half of the whole weight."""
    losses = keras.losses.sparse_categorical_crossentropy(target, logits, from_logits=True)
    text = ops.cast(ops.not_equal(target, PADDING), "float32")
    weights = text + (1 - text) * ops.minimum(1.0, ops.sum(text) / ops.maximum(ops.sum(1 - text), 1.0))
    return ops.sum(losses * weights) / ops.sum(weights)


@dataclasses.dataclass(frozen=True)
class Variant:
    build: Callable[[], keras.Model]
    short_first: int = SHORT_FIRST_EXAMPLES
    loss: Callable = masked_crossentropy
    optimizer: Callable = muon
    learning_rate: float = LEARNING_RATE
    constant_rate: bool = False


def adam(learning_rate: float, averages: bool = False) -> keras.optimizers.Optimizer:
    return keras.optimizers.Adam(learning_rate, beta_2=0.98, global_clipnorm=1.0, use_ema=averages)


PLAIN = {"short_first": 0, "loss": capped_crossentropy, "optimizer": adam, "learning_rate": 1e-3, "constant_rate": True}
VARIANTS = {
    "ours": Variant(build_model),
    "ours, long inputs from the start": Variant(build_model, short_first=0),
    "ours, by Adam": Variant(build_model, optimizer=adam, learning_rate=1e-2),
    "ours, one head of attention": Variant(lambda: build_model(Architecture(heads=1))),
    "ours, with a copy gate": Variant(lambda: build_model(Architecture(copy_gate=True))),
    "plain LSTMs with dot attention": Variant(lambda: plain_model(True), **PLAIN),
    "plain LSTMs without attention": Variant(lambda: plain_model(False), **PLAIN),
}


def learn(named: tuple[str, int], real: list[str], examples: int) -> dict:
    """Trains a variant, given by its name and a seed, and follows its exact match on real URLs."""
    variant, validation = VARIANTS[named[0]], Validation(Examples(real, TASK.expected(real)))
    training = Training(examples=examples, seed=named[1], learning_rate=variant.learning_rate, loss=variant.loss,
                        verbose=False, epoch_batches=min(EPOCH_EXAMPLES, examples // 4) // 64)  # fmt: skip
    keras.utils.clear_session()
    keras.utils.set_random_seed(training.seed)
    model = variant.build()
    batches, schedule = Batches(TASK, training, min(variant.short_first, examples // 4)), Schedule(training)
    checkpoint = Checkpoint(None, {}, schedule, batches)
    callbacks = [ConstantRate(variant.learning_rate)] if variant.constant_rate else []
    with mock.patch("urlseq.training.muon", variant.optimizer):
        fit(model, batches, validation, checkpoint, callbacks)
    curve = [[epoch["examples"], round(epoch["seconds"] / 60, 2), epoch["val_exact"]] for epoch in checkpoint.history]
    return {"weights": model.count_params(), "curve": curve, "best": checkpoint.best}


def reached(curve: list, share: float) -> str:
    """The examples after which exact match was first that high."""
    return next((f"{examples:,}" for examples, _, exact in curve if exact >= share), "not reached")


def main(quick: bool = False) -> None:
    real = [text for text in registry_urls() if len(text.encode()) <= MAX_INPUT_BYTES]
    examples, count = (6_400, 400) if quick else (EXAMPLES, VALIDATION)
    real = real[:: len(real) // count][:count]
    seeds = SEEDS[:1] if quick else SEEDS
    results = dict(side_by_side(learn, [(name, seed) for name in VARIANTS for seed in seeds], real, examples))
    rows = []
    for name in VARIANTS:
        found = [results[name, seed] for seed in seeds]
        exact = ", ".join(f"{round(each['best'] * len(real)):,}" for each in found)
        after = [", ".join(reached(each["curve"], share) for each in found) for share in (0.99, 0.999)]
        minutes = ", ".join(f"{each['curve'][-1][1]:.1f}" for each in found)
        rows.append([name, f"{found[0]['weights']:,}", exact, *after, minutes])
    head = ["", "weights", f"exact, of {len(real):,}", "99 % after", "99.9 % after", "minutes"]
    print(machine(), table(head, rows), sep="\n\n")
    if not quick:
        variants = {f"{name}, seed {seed}": result for (name, seed), result in results.items()}
        keep("learning", {"examples": examples, "count": len(real), "head": head, "rows": rows, "variants": variants})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small part of the budget; the result is not kept")
    main(parser.parse_args().quick)
