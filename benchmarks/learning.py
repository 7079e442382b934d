"""What makes it learn: the model and the training with one part changed or left out, the same budget for each.

`python -m benchmarks.learning` trains each variant on the same examples, at most MAX_BYTES long, and measures exact
match on real URLs as short. One run each: differences of a few points may be chance, those of fifty are not.
"""

import sys
from urllib.parse import urlparse

import keras
import numpy as np
from keras import layers

from benchmarks.common import keep, machine, reference_urls, table
from urlseq.evaluate import interval
from urlseq.functions import answers
from urlseq.model import Architecture, ReverseText, RotaryAttention, build_model, exact_match, masked_crossentropy
from urlseq.sampler import urls
from urlseq.sources import registry_urls
from urlseq.training import Batches, Budget, by_length, model_batch, train
from urlseq.vectorize import PADDING, VOCABULARY

MAX_BYTES, EXAMPLES = 128, 160_000


def variant(rotary: bool = True, bytes_as_values: bool = True, both_directions: bool = True):
    """A builder of the model with parts of it left out; the layers keep their names, so that decoding works."""

    def build(size: Architecture = Architecture()) -> keras.Model:
        encoder_input = layers.Input((None,), dtype="int32", name="encoder_input")
        decoder_input = layers.Input((None,), dtype="int32", name="decoder_input")
        embedded = layers.Embedding(VOCABULARY, size.embedding, name="input_embedding")(encoder_input)
        if both_directions:
            reverse = ReverseText()
            forward = layers.LSTM(size.units // 2, return_sequences=True)(embedded)
            backward = layers.LSTM(size.units // 2, return_sequences=True)(reverse([embedded, encoder_input]))
            states = layers.Concatenate()([forward, reverse([backward, encoder_input])])
        else:
            states = layers.LSTM(size.units, return_sequences=True)(embedded)
        values = layers.Concatenate(name="values")([states, embedded] if bytes_as_values else [states])
        written = layers.Embedding(VOCABULARY, size.embedding, name="output_embedding")(decoder_input)
        decoded = layers.LSTM(size.units, return_sequences=True, name="decoder")(written)
        queries = layers.Dense(size.attention, name="queries")(decoded)
        keys = layers.Dense(size.attention, use_bias=False, name="keys")(states)
        if rotary:
            context = RotaryAttention()([queries, keys, values, encoder_input])
        else:
            mask = Mask()(encoder_input)
            context = layers.Attention()([queries, values, keys], mask=[None, mask])
        hidden = layers.Dense(size.hidden, activation="relu", name="hidden")(layers.Concatenate()([decoded, context]))
        logits = layers.Dense(VOCABULARY, name="logits")(hidden)
        return keras.Model({"encoder_input": encoder_input, "decoder_input": decoder_input}, logits)

    return build


# As `copy_function` has it for a budget of so few examples.
SHORT_FIRST = EXAMPLES // 4


class Mask(layers.Layer):
    def call(self, tokens):
        return keras.ops.not_equal(tokens, PADDING)


class ConstantRate(keras.callbacks.Callback):
    """Undoes the schedule: the learning rate stays what it is given."""

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate

    def on_train_batch_begin(self, batch, logs=None):
        self.model.optimizer.learning_rate = self.rate


VARIANTS = {
    "all of it": (build_model, SHORT_FIRST, []),
    "long inputs from the start": (build_model, 0, []),
    "encoder in one direction": (variant(both_directions=False), SHORT_FIRST, []),
    "attention that knows no places": (variant(rotary=False), SHORT_FIRST, []),
    "none of these": (
        variant(rotary=False, bytes_as_values=False, both_directions=False),
        0,
        [ConstantRate(1e-3)],
    ),
}


def fits(text: str) -> bool:
    return len(text.encode()) <= MAX_BYTES


def exact_under_teacher_forcing(model: keras.Model, texts: list[str]) -> int:
    """Equal to greedy exact match (see `exact_match`), and needs no decoder, which not every variant has."""
    wanted = answers(urlparse, texts)
    right = 0
    for rows in by_length(texts, wanted):
        inputs, target = model_batch([texts[row] for row in rows], [wanted[row] for row in rows])
        right += int(np.asarray(exact_match(target, model.predict_on_batch(inputs))).sum())
    return right


def main(quick: bool = False) -> None:
    lists = {"downloads": reference_urls("downloads"), "scholarly": reference_urls("scholarly"),
             "bioregistry": registry_urls()}  # fmt: skip
    lists = {name: [text for text in texts if fits(text)][:1000] for name, texts in lists.items()}
    rows = []
    for name, (build, short_first, callbacks) in VARIANTS.items():
        keras.utils.clear_session()
        keras.utils.set_random_seed(0)
        model = build()
        batches = Batches(urlparse, urls(MAX_BYTES), fits, seed=0, epoch_batches=200, short_first=short_first)
        keeper = train(model, batches, None, Budget(examples=6_400 if quick else EXAMPLES), loss=masked_crossentropy,
                       learning_rate=3e-3, callbacks=callbacks, verbose=False)  # fmt: skip
        row = {"name": name, "weights": model.count_params(), "examples": keeper.history[-1]["examples"],
               "minutes": round(keeper.history[-1]["seconds"] / 60, 2)}  # fmt: skip
        for list_, texts in lists.items():
            if texts:
                right = exact_under_teacher_forcing(model, texts)
                low, high = interval(right, len(texts))
                row[list_] = f"{right / len(texts):.1%} ({right} of {len(texts)}, {low:.1%} to {high:.1%})"
        rows.append(row)
        print(row, file=sys.stderr, flush=True)
    print(machine(), table(list(rows[0]), [list(row.values()) for row in rows]), sep="\n\n")
    if not quick:
        keep("ablation", rows)


if __name__ == "__main__":
    main()
