"""The one architecture: byte embeddings, an LSTM encoder and an LSTM decoder, attention between them.

Only Keras layers and `keras.ops`, so that any of Keras' backends trains it. The layers' names are part of the file
format: by them `store.py` and `graph.py` find the weights.
"""

import dataclasses

import keras
import numpy as np
from keras import layers, ops

from urlseq.encoding import PADDING, VOCABULARY
from urlseq.errors import InvalidSetting
from urlseq.task import plain_numbers

# Added to probabilities before their logarithm is taken. The least number that 16-bit floats hold.
LEAST = 2.0**-24


@dataclasses.dataclass(frozen=True)
class Architecture:
    """Sizes. `units` is the decoder's width and that of both encoder directions together.

    `attention` is the width of queries and keys; `heads` of them, side by side, each get an equal part of it. With
    `copy_gate` the network can take a byte from the input as it is, see `CopyGate`.
    """

    units: int = 64
    embedding: int = 16
    attention: int = 64
    heads: int = 4
    hidden: int = 64
    copy_gate: bool = False

    def __post_init__(self) -> None:
        plain_numbers(self)
        if self.attention % (2 * self.heads) or self.units % (2 * self.heads):
            raise InvalidSetting(f"Units and attention have to be multiples of twice the {self.heads} heads: {self}.")


def build_model(architecture: Architecture | None = None) -> keras.Model:
    """A model from `encoder_input` [batch, in] and `decoder_input` [batch, out] to logits [batch, out, VOCABULARY].

    The decoder never sees the encoder's state: all that it learns of the input comes through attention. So
    encoder and decoder run side by side in training, and a new input costs the decoder nothing.
    """
    size = architecture or Architecture()
    encoder_input = layers.Input((None,), dtype="int32", name="encoder_input")
    decoder_input = layers.Input((None,), dtype="int32", name="decoder_input")

    # The encoder goes through the input from both ends. LSTMs without a mask are fast everywhere.
    embedded = layers.Embedding(VOCABULARY, size.embedding, name="input_embedding")(encoder_input)
    forward = layers.LSTM(size.units // 2, return_sequences=True, name="forward_encoder")(embedded)
    reverse = ReverseText(name="reverse")
    backward = layers.LSTM(size.units // 2, return_sequences=True, name="backward_encoder")(
        reverse([embedded, encoder_input])
    )
    states = layers.Concatenate(name="states")([forward, reverse([backward, encoder_input])])

    written = layers.Embedding(VOCABULARY, size.embedding, name="output_embedding")(decoder_input)
    decoded = layers.LSTM(size.units, return_sequences=True, name="decoder")(written)

    queries = layers.Dense(size.attention, name="queries")(decoded)
    keys = layers.Dense(size.attention, use_bias=False, name="keys")(states)
    context = RotaryAttention(size.heads, name="attention")([queries, keys, states, embedded, encoder_input])
    joined = layers.Concatenate(name="joined")([decoded, context])
    hidden = layers.Dense(size.hidden, activation="relu", name="hidden")(joined)
    logits = layers.Dense(VOCABULARY, name="logits")(hidden)
    if size.copy_gate:
        gate = layers.Dense(1, activation="sigmoid", name="gate")(hidden)
        logits = CopyGate(size.heads, name="copy_gate")([logits, gate, queries, keys, encoder_input])
    return keras.Model({"encoder_input": encoder_input, "decoder_input": decoder_input}, logits, name="seq2seq")


class ReverseText(layers.Layer):
    """Reverses each row's text and leaves its padding at the right, so that no LSTM starts on padding."""

    def call(self, inputs):
        values, tokens = inputs  # [batch, time, width], [batch, time]
        lengths = ops.sum(ops.cast(ops.not_equal(tokens, PADDING), "int32"), axis=1, keepdims=True)
        positions = ops.arange(ops.shape(tokens)[1])[None, :]
        sources = ops.where(positions < lengths, lengths - 1 - positions, positions)  # [batch, time]
        return ops.take_along_axis(values, sources[:, :, None], axis=1)


class RotaryAttention(layers.Layer):
    """Dot-product attention with a mask on padding, by several heads, with rotary positions.

    Queries and keys are rotated by an angle that grows with their position, so their product depends on content
    and on distance. Content alone can't tell the two halves of `tictac-tictac` apart; distance can.
    Source: Su et al., RoFormer, 2021 (arXiv:2104.09864).

    A single head soon settles on one position, such as EOS, whose state knows a bit of all the text, and then
    hardly ever learns to look anywhere else. Of several, some find where to look while another does that.
    Source: Vaswani et al., Attention is all you need, 2017 (arXiv:1706.03762).

    A head's values are its share of the state at a position, and the embedding of the byte there, easy to copy.
    """

    def __init__(self, heads: int = 4, **settings):
        super().__init__(**settings)
        self.heads = heads

    def call(self, inputs):
        # [batch, out, d], [batch, in, d], [batch, in, s], [batch, in, e], [batch, in]
        queries, keys, states, embedded, tokens = inputs
        queries, keys, states = (self.split(vectors) for vectors in (queries, keys, states))
        weights = attention_weights(queries, keys, tokens[:, None, None, :])  # [batch, heads, out, in]
        values = ops.concatenate([states, ops.repeat(embedded[:, None], self.heads, axis=1)], axis=-1)
        return self.join(ops.matmul(weights, values))  # [batch, out, s + heads * e]

    def split(self, vectors):
        """Vectors [batch, time, width] to each head's part of them, [batch, heads, time, width / heads]."""
        batch, time, width = ops.shape(vectors)
        return ops.swapaxes(ops.reshape(vectors, [batch, time, self.heads, width // self.heads]), 1, 2)

    def join(self, vectors):
        """Each head's vectors [batch, heads, time, v] side by side, [batch, time, heads * v]."""
        batch, heads, time, width = ops.shape(vectors)
        return ops.reshape(ops.swapaxes(vectors, 1, 2), [batch, time, heads * width])


class CopyGate(layers.Layer):
    """Mixes what the network would write with a copy of the byte that its first head of attention looks at.

    To copy is known from the beginning, of rare bytes, too, so a few thousand pairs teach more. It costs time.
    Source: See et al., Get to the point, 2017 (arXiv:1704.04368).
    """

    def __init__(self, heads: int = 4, **settings):
        super().__init__(**settings)
        self.heads = heads

    def call(self, inputs):
        # [batch, out, VOCABULARY], [batch, out, 1], [batch, out, d], [batch, in, d], [batch, in]
        logits, gate, queries, keys, tokens = inputs
        width = queries.shape[-1] // self.heads
        weights = attention_weights(queries[..., :width], keys[..., :width], tokens[:, None, :])  # [batch, out, in]
        copied = ops.matmul(weights, ops.one_hot(tokens, VOCABULARY))
        return ops.log(gate * copied + (1 - gate) * ops.softmax(logits) + LEAST)


def attention_weights(queries, keys, tokens):
    """How much each query [..., out, d] attends to each key [..., in, d], with a mask on the padding of `tokens`."""
    # Scaling the queries and adding the mask are cheaper than doing the same to each score.
    mask = ops.where(ops.not_equal(tokens, PADDING), 0.0, -1e9)
    queries = rotate(queries) * queries.shape[-1] ** -0.5
    return ops.softmax(ops.matmul(queries, ops.swapaxes(rotate(keys), -1, -2)) + mask, axis=-1)


def frequencies(width: int) -> np.ndarray:
    """Radians per position for each pair of a vector's `width` numbers, float32 [width / 2]: from 1 down to 1/1000."""
    pairs = width // 2
    return (1000.0 ** (-np.arange(pairs) / pairs)).astype(np.float32)


def rotate(vectors):
    """Vectors [..., time, width], each pair (i, i + width / 2) rotated by its position times its frequency."""
    pairs = vectors.shape[-1] // 2
    angles = ops.cast(ops.arange(ops.shape(vectors)[-2]), "float32")[:, None] * frequencies(2 * pairs)  # [time, pairs]
    cosine, sine = ops.cast(ops.cos(angles), vectors.dtype), ops.cast(ops.sin(angles), vectors.dtype)
    first, second = vectors[..., :pairs], vectors[..., pairs:]
    return ops.concatenate([first * cosine - second * sine, first * sine + second * cosine], axis=-1)


def masked_crossentropy(target, logits):
    """Mean cross-entropy, in nats a byte, over the bytes of `target` [batch, out]; padding does not count."""
    losses = keras.losses.sparse_categorical_crossentropy(target, logits, from_logits=True)
    mask = ops.cast(ops.not_equal(target, PADDING), "float32")
    return ops.sum(losses * mask) / ops.sum(mask)


def exact_match(target, logits):
    """1 for each row in which every byte is the most probable one, else 0, float32 [batch].

    Under teacher forcing, and yet the greedy answer's exact match: if each byte is correct given the correct ones
    before it, greedy decoding writes just these bytes; and at the first wrong one both are wrong.
    """
    correct = ops.equal(ops.cast(ops.argmax(logits, axis=-1), target.dtype), target)
    return ops.cast(ops.all(ops.logical_or(correct, ops.equal(target, PADDING)), axis=-1), "float32")
