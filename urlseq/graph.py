"""The trained network once more, step by step: encoder, greedy decoding, confidence and attention as one graph.

Its operations are such as TensorFlow.js and LiteRT run, too: a `while_loop` over plain tensors, LSTM steps written
out, variables used outside the loop alone. And they are few: where a batch is one input, each costs more to be called
than to be computed.
"""

from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from urlseq.encoding import BOS, EOS, PADDING, VOCABULARY
from urlseq.model import LEAST

# Added to the scores and logits of what must not be chosen. Its exponential is 0, and 16-bit floats can hold it.
NEVER = -1e4


class Encoded(NamedTuple):
    """The encoder's output, and what attention needs of it: there, rows are those of the batch, once for each head."""

    states: tf.Tensor  # [batch, time, units]
    keys: tf.Tensor  # [batch * heads, time, d], rotated
    values: tf.Tensor  # [batch * heads, time, v]
    mask: tf.Tensor  # [batch * heads, 1, time], NEVER on padding
    one_hot: tf.Tensor | None  # [batch, time, VOCABULARY], where there is a copy gate


class Graph(tf.Module):
    """A trained model's weights, and the graph of greedy decoding with them."""

    def __init__(self, model: keras.Model, max_answer_bytes: int, put: Callable | None = None):
        """`max_answer_bytes` is how many bytes an answer may have before it is given up. `put` replaces rows of a
        tensor: by default with an operation that TensorFlow.js knows, too.
        """
        super().__init__(name="copy")
        self.max_answer_bytes, self.heads = max_answer_bytes, model.get_layer("attention").heads
        self.put = put or scatter
        self.variables_by_name = {
            name: tf.Variable(array, name=name, trainable=False) for name, array in arrays_of(model).items()
        }

    def update(self, model: keras.Model) -> None:
        """Takes the weights of a model that has learned more."""
        for name, array in arrays_of(model).items():
            self.variables_by_name[name].assign(array)

    def decode(self, tokens, max_answer_bytes=None, attention: bool = False, midrange: bool = False,
               stride: int = 1) -> dict[str, tf.Tensor]:  # fmt: skip
        """Greedy answers to inputs [batch, time], int32: bytes, EOS, padding.

        Returns `answer`, int32 [batch, steps], bytes and EOS; `confidence`, float32 [batch], the probability of
        the whole answer; `ended`, int32 [batch], 0 where the limit cut it; and, if asked for, `attention`, the mean of
        all heads, float32 [batch, steps, time], and `midrange`, as of `midrange_of`. Steps: as many as the longest
        answer takes, or, where the input's shape is static, the limit. In TensorFlow.js an iteration costs by itself,
        so each makes `stride` steps.
        """
        limit = self.max_answer_bytes if max_answer_bytes is None else max_answer_bytes
        weights, static, asked_time = self.weights(), tokens.shape.is_fully_defined(), size_of(tokens, 1)
        tokens = tf.pad(tokens, [[0, 0], [0, -asked_time % stride]]) if stride > 1 else tokens
        encoded, batch = self.encode(tokens, weights, stride), size_of(tokens, 0)
        units, width = weights["decoder_bias"].shape[0] // 4, weights["query_bias"].shape[0] // 2
        iterations = -(-limit // stride)
        rotations = self.rotations(tf.range(iterations * stride), width, unknown_zero(tokens))  # [steps, 2 * width]
        goes_on = tf.constant([int(byte not in (EOS, PADDING)) for byte in range(VOCABULARY)])

        def iteration(number, last, going, state, cell, written):
            columns = []
            for rotation in tf.split(tf.gather(rotations, number * stride + tf.range(stride)), stride):
                logits, query, state, cell = self.step(weights, encoded, rotation, last, state, cell)
                last = tf.argmax(logits, axis=1, output_type=tf.int32) * going  # padding, where an answer is over
                going = tf.gather(goes_on, last)
                probability = tf.reduce_max(tf.nn.softmax(logits), axis=1, keepdims=True)
                columns += [tf.expand_dims(tf.cast(last, tf.float32), 1), probability, *([query] if attention else [])]
            return number + 1, last, going, state, cell, self.put(written, number, tf.concat(columns, 1)[None])

        def unfinished(number, last, going, *rest):
            return number < iterations * tf.reduce_max(going)  # of an empty batch, the maximum is below every number

        width = 2 + width * attention
        state, room = tf.zeros([batch, units]), zeros([iterations, batch, stride * width], tokens)
        start = (tf.constant(0), tf.fill([batch], BOS), tf.fill([batch], 1), state, state, room)
        made, *_, written = tf.while_loop(unfinished, iteration, start)
        written = tf.transpose(written if static else written[:made], [1, 0, 2])
        written = tf.reshape(written, [batch, (iterations if static else made) * stride, width])[:, :limit]
        found = {"midrange": midrange_of(encoded.states, tokens)} if midrange else {}
        return found | self.outputs(written, encoded, batch, asked_time if attention else None)

    def outputs(self, written, encoded: Encoded, batch, attention_time) -> dict[str, tf.Tensor]:
        """What `decode` returns, of what its steps wrote: byte, probability and perhaps query [batch, steps, width]."""
        answer = tf.cast(written[:, :, 0], tf.int32)
        # What is never written is 0: padding, with no probability that counts.
        probability = tf.where(tf.equal(answer, PADDING), 1.0, written[:, :, 1])
        found = {
            "answer": answer,
            "confidence": tf.reduce_prod(probability, axis=1),
            "ended": tf.reduce_max(tf.cast(tf.equal(answer, EOS), tf.int32), axis=1),  # LiteRT.js has no booleans
        }
        if attention_time is not None:
            weights = attention_weights(self.split(written[:, :, 2:]), encoded)
            by_head = tf.reshape(weights, [batch, self.heads, size_of(written, 1), size_of(weights, 2)])
            found["attention"] = tf.reduce_mean(by_head, axis=1)[:, :, :attention_time]
        return found

    def step(self, weights, encoded: Encoded, rotation, last, state, cell):
        """One step of the decoder for the bytes written last [batch].

        Returns logits [batch, VOCABULARY], the rotated query [batch, width], the new state and cell state.
        """
        embedded = tf.gather(weights["output_embedding"], last)
        gates = tf.matmul(tf.concat([embedded, state], 1), weights["decoder_kernel"]) + weights["decoder_bias"]
        state, cell = lstm(gates, cell)
        # The query and its swapped halves come from one product; see `rotations`.
        query = tf.add(*tf.split((tf.matmul(state, weights["query_kernel"]) + weights["query_bias"]) * rotation, 2, 1))
        by_head = tf.reshape(query, [-1, 1, query.shape[-1] // self.heads])
        attention = attention_weights(by_head, encoded)  # [batch * heads, 1, time]
        context = tf.matmul(attention, encoded.values)
        joined = tf.concat([state, tf.reshape(context, [-1, self.heads * encoded.values.shape[-1]])], 1)
        hidden = tf.nn.relu(tf.matmul(joined, weights["hidden_kernel"]) + weights["hidden_bias"])
        logits = tf.matmul(hidden, weights["logit_kernel"]) + weights["logit_bias"]
        if encoded.one_hot is not None:  # the first head's copy, as of `model.CopyGate`
            first = tf.reshape(attention, [-1, self.heads, size_of(attention, 2)])[:, :1]
            copied = tf.matmul(first, encoded.one_hot)[:, 0]
            gate = tf.sigmoid(tf.matmul(hidden, weights["gate_kernel"]) + weights["gate_bias"])
            logits = tf.math.log(gate * copied + (1 - gate) * tf.nn.softmax(logits) + LEAST)
        return logits, query, state, cell

    def weights(self) -> dict[str, tf.Tensor]:
        """All weights as tensors: a variable used inside a loop is an operation that TensorFlow.js lacks."""
        weights = {name: tf.identity(variable) for name, variable in self.variables_by_name.items()}
        return weights | {name: self.with_swapped_halves(weights[name])
                          for name in ("key_kernel", "query_kernel", "query_bias")}  # fmt: skip

    def midrange(self, tokens) -> tf.Tensor:
        """One vector for each input [batch, time], float32 [batch, units]; see `midrange_of`."""
        return midrange_of(self.states(tokens, self.weights(), 1)[0], tokens)

    def encode(self, tokens, weights, stride: int = 1) -> Encoded:
        """The encoder's output for inputs [batch, time]."""
        batch, time = size_of(tokens, 0), size_of(tokens, 1)
        states, embedded = self.states(tokens, weights, stride)
        keys = tf.matmul(tf.reshape(states, [-1, states.shape[-1]]), weights["key_kernel"])
        width = keys.shape[-1] // 2
        keys = tf.reshape(keys, [batch, time, 2 * width]) * self.rotations(tf.range(time), width, unknown_zero(tokens))
        keys = tf.add(*tf.split(keys * (width // self.heads) ** -0.5, 2, axis=-1))
        values = tf.concat([self.split(states), self.for_each_head(embedded)], -1)
        mask = self.for_each_head(tf.expand_dims(tf.where(tf.equal(tokens, PADDING), NEVER, 0.0), 1))
        one_hot = None
        if "gate_kernel" in weights:  # TensorFlow.js' own one-hot vectors are integers
            one_hot = tf.cast(tf.equal(tf.expand_dims(tokens, 2), tf.range(VOCABULARY)), tf.float32)
        return Encoded(states, self.split(keys), values, mask, one_hot)

    def states(self, tokens, weights, stride: int):
        """The encoder's states [batch, time, units] of both directions, and the embedded bytes [batch, time, e]."""
        # Both directions in one loop: the second goes through the input reversed, its padding still at the right.
        batch, time = size_of(tokens, 0), size_of(tokens, 1)
        lengths = tf.reduce_sum(tf.cast(tf.not_equal(tokens, PADDING), tf.int32), axis=1, keepdims=True)
        positions = tf.expand_dims(tf.range(time), 0)
        reversed_positions = tf.where(positions < lengths, lengths - 1 - positions, positions)  # [batch, time]

        def reverse(vectors):  # [batch, time, d]; TensorFlow.js gathers wrongly in batches, so all rows become one
            rows = reversed_positions + tf.expand_dims(tf.range(batch) * time, 1)
            return tf.gather(tf.reshape(vectors, [batch * time, vectors.shape[-1]]), rows)

        embedded = tf.gather(weights["input_embedding"], tokens)  # [batch, time, e]
        flat = tf.reshape(embedded, [-1, embedded.shape[-1]])
        gates = tf.matmul(flat, weights["encoder_kernel"]) + weights["encoder_bias"]
        units = weights["encoder_recurrent"].shape[1]
        forward, backward = tf.split(tf.reshape(gates, [batch, time, 8 * units]), 2, axis=-1)
        gates = tf.transpose(tf.stack([forward, reverse(backward)]), [2, 0, 1, 3])  # [time, 2, batch, 4 * units]
        recurrent = tf.expand_dims(weights["encoder_recurrent"], 0)

        def iteration(position, state, cell, states):
            new = []
            for gate in tf.split(tf.gather(gates, position + tf.range(stride)), stride):
                state, cell = lstm(gate + tf.matmul(state, recurrent), cell)
                new.append(state)
            return position + stride, state, cell, self.put(states, position, tf.concat(new, 0))

        nothing = tf.zeros([1, 2, batch, units])
        start = (tf.constant(0), nothing, nothing, zeros([time, 2, batch, units], tokens))
        length = time * tf.minimum(batch, 1)  # an empty batch has nothing to encode
        states = tf.while_loop(lambda position, *rest: position < length, iteration, start)[-1]
        forward, backward = tf.unstack(tf.transpose(states, [1, 2, 0, 3]))  # [batch, time, units]
        return tf.concat([forward, reverse(backward)], -1), embedded

    # A batch of rows with heads is a batch of so many more rows: [batch * heads, time, d]. Of three dimensions, not of
    # four, the products are fast everywhere.

    def split(self, vectors):
        """Each head's part of vectors [batch, time, width]: [batch * heads, time, width / heads]."""
        batch, time, width = size_of(vectors, 0), size_of(vectors, 1), vectors.shape[-1] // self.heads
        parts = tf.transpose(tf.reshape(vectors, [batch, time, self.heads, width]), [0, 2, 1, 3])
        return tf.reshape(parts, [batch * self.heads, time, width])

    def for_each_head(self, vectors):
        """The same vectors [batch, time, d] for each head: [batch * heads, time, d]."""
        shape = tf.shape(vectors)
        tiled = tf.tile(tf.expand_dims(vectors, 1), [1, self.heads, 1, 1])
        return tf.reshape(tiled, [shape[0] * self.heads, shape[1], vectors.shape[2] or shape[2]])

    def with_swapped_halves(self, vectors):
        """Vectors [..., width], and behind them, each head's part as (-second half, first half): [..., 2 * width]."""
        first, second = tf.split(tf.reshape(vectors, [-1, self.heads, vectors.shape[-1] // self.heads]), 2, axis=-1)
        swapped = tf.reshape(tf.concat([-second, first], -1), tf.shape(vectors))
        return tf.concat([vectors, swapped], -1)

    def rotations(self, positions, width: int, zero):
        """The factors that rotate vectors at these positions: cosines, then sines, float32 [positions, 2 * width].

        A rotated vector is its own product with cosines, plus that of its swapped halves with sines. The angles are
        those of `model.frequencies`; all numbers here are such as 16-bit floats hold exactly.
        """
        pairs = width // self.heads // 2
        frequencies = tf.pow(1000.0, -tf.cast(tf.range(pairs) + zero, tf.float32) / pairs)
        angles = tf.expand_dims(tf.cast(positions, tf.float32), 1) * frequencies
        both = [2 * self.heads * [part] for part in (tf.cos(angles), tf.sin(angles))]
        return tf.concat([*both[0], *both[1]], 1)


def arrays_of(model: keras.Model) -> dict[str, np.ndarray]:
    """A model's weights as the graph uses them: products that it makes at once are joined."""
    weights = {layer.name: [np.asarray(weight) for weight in layer.weights] for layer in model.layers}
    kernels, recurrents, biases = zip(weights["forward_encoder"], weights["backward_encoder"], strict=True)
    never_padding = np.where(np.arange(VOCABULARY) == PADDING, NEVER, 0).astype(np.float32)
    gate = dict(zip(("gate_kernel", "gate_bias"), weights.get("gate", ()), strict=False))
    return {
        **gate,
        "input_embedding": weights["input_embedding"][0],
        "encoder_kernel": np.concatenate(kernels, axis=1),  # both directions in one product
        "encoder_bias": np.concatenate(biases),
        "encoder_recurrent": np.stack(recurrents),
        "key_kernel": weights["keys"][0],
        "output_embedding": weights["output_embedding"][0],
        "decoder_kernel": np.concatenate(weights["decoder"][:2]),  # [byte, state] @ it gives the gates
        "decoder_bias": weights["decoder"][2],
        "query_kernel": weights["queries"][0],
        "query_bias": weights["queries"][1],
        "hidden_kernel": weights["hidden"][0],
        "hidden_bias": weights["hidden"][1],
        "logit_kernel": weights["logits"][0],
        "logit_bias": weights["logits"][1] + never_padding,
    }


def attention_weights(queries, encoded: Encoded):
    """How much each query [rows, steps, d] attends to each position of the input: [rows, steps, time], sums to 1."""
    return tf.nn.softmax(tf.matmul(queries, encoded.keys, transpose_b=True) + encoded.mask)


def lstm(gates, cell):
    """One LSTM step: from the gates [..., 4 * units] and the cell state to the new state and cell state."""
    input_gate, forget_gate, candidate, output_gate = tf.split(gates, 4, axis=-1)
    cell = tf.sigmoid(forget_gate) * cell + tf.sigmoid(input_gate) * tf.tanh(candidate)
    return tf.sigmoid(output_gate) * tf.tanh(cell), cell


def unknown_zero(tokens):
    """0, but no converter can know that: what depends on it is computed at run time, not stored in the model."""
    return tf.minimum(tf.reduce_min(tokens), 0)


def zeros(shape, tokens):
    """Room for what loops write, made at run time."""
    return tf.fill(shape, tf.cast(unknown_zero(tokens), tf.float32))


def midrange_of(states, tokens):
    """The middle between the largest and the smallest of each of the encoder's states [batch, time, units], along the
    input and its EOS: [batch, units].
    """
    # States lie between -1 and 1, so what is moved by 2 is neither the largest nor the smallest.
    beyond = tf.expand_dims(2.0 * tf.cast(tf.equal(tokens, PADDING), tf.float32), 2)
    return 0.5 * (tf.reduce_max(states - beyond, axis=1) + tf.reduce_min(states + beyond, axis=1))


def scatter(rows, index, new):
    """`rows` with the `new` ones from `index` on."""
    return tf.tensor_scatter_nd_update(rows, tf.expand_dims(index + tf.range(new.shape[0]), 1), new)


def size_of(tensor, axis: int):
    """The size of an axis: a number where it is known, else a tensor."""
    return tf.shape(tensor)[axis] if tensor.shape[axis] is None else tensor.shape[axis]
