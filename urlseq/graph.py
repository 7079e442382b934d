"""The whole copied function as one TensorFlow graph: encoder, greedy decoding, confidence, attention.

It computes what `decode.GreedyDecoder` does, in operations that TensorFlow.js and LiteRT run, too: a `while_loop`
over plain tensors, LSTM steps written out, variables read outside the loop. And in few of them: where a batch is one
text, each costs more to be called than to be computed.
"""

import numpy as np
import tensorflow as tf

from urlseq.vectorize import END, PADDING, START, VOCABULARY

# Added to scores and logits of what must not be chosen. Its exponential is 0, and 16-bit floats can hold it.
NEVER = -1e4


class GraphDecoder(tf.Module):
    """The weights of a trained model, and `decode`, the function that they make."""

    def __init__(self, model, limit: int):
        """`limit` is how many bytes an answer may have before it is given up."""
        super().__init__(name="copy")
        self.limit, self.heads = limit, model.get_layer("attention").heads
        weights = {name: [np.asarray(weight) for weight in model.get_layer(name).weights] for name in (
            "input_embedding", "forward_encoder", "backward_encoder", "keys",
            "output_embedding", "decoder", "queries", "hidden", "logits")}  # fmt: skip
        directions = zip(weights["forward_encoder"], weights["backward_encoder"], strict=True)
        kernels, recurrents, biases = directions
        never_padding = np.where(np.arange(VOCABULARY) == PADDING, NEVER, 0).astype(np.float32)
        arrays = {
            "input_embedding": weights["input_embedding"][0],
            "encoder_kernel": np.concatenate(kernels, axis=1),  # both directions in one product
            "encoder_bias": np.concatenate(biases),
            "encoder_recurrent": np.stack(recurrents),
            "key_kernel": weights["keys"][0],
            "output_embedding": weights["output_embedding"][0],
            "decoder_kernel": np.concatenate(weights["decoder"][:2]),  # [byte, state] @ it is what the gates get
            "decoder_bias": weights["decoder"][2],
            "query_kernel": weights["queries"][0],
            "query_bias": weights["queries"][1],
            "hidden_kernel": weights["hidden"][0],
            "hidden_bias": weights["hidden"][1],
            "logit_kernel": weights["logits"][0],
            "logit_bias": weights["logits"][1] + never_padding,
        }
        self.weights = {name: tf.Variable(array, name=name, trainable=False) for name, array in arrays.items()}

    def decode(self, tokens, limit: int | None = None, attention: bool = False, stride: int = 1):
        """Greedy answers to texts [batch, time], int32: bytes, an end mark, padding.

        Returns `answer`, int32 [batch, steps], bytes and an end mark; `confidence`, float32 [batch], the smallest
        probability along the answer; `ended`, int32 [batch], 0 where the limit cut it; and, if asked for,
        `attention`, the mean of all heads, float32 [batch, steps, time]. Steps: as many as the longest answer takes,
        or, where the text's shape is static, `limit`. Each turn of a loop makes `stride` steps: in TensorFlow.js, a
        turn costs by itself.
        """
        limit = limit or self.limit
        # A variable that is read inside a loop is an operation that TensorFlow.js lacks.
        weights = {name: tf.identity(variable) for name, variable in self.weights.items()}
        static = tokens.shape.is_fully_defined()
        batch, width_asked = tokens.shape if static else tf.unstack(tf.shape(tokens))
        tokens = tf.pad(tokens, [[0, 0], [0, -width_asked % stride]]) if stride > 1 else tokens
        time = tokens.shape[1] if static else tf.shape(tokens)[1]
        keys, values = self.encode(tokens, weights, batch, time, stride)
        blocked = self.for_each_head(tf.expand_dims(tf.where(tf.equal(tokens, PADDING), NEVER, 0.0), 1))
        units, width = weights["decoder_bias"].shape[0] // 4, weights["query_bias"].shape[0]
        # A turned vector is its own product with cosines, plus that of its swapped halves with sines. The swapped
        # halves are made by the same matrix product.
        query_kernel = self.with_swapped_halves(weights["query_kernel"])
        query_bias = self.with_swapped_halves(weights["query_bias"])
        turns_of_loop = -(-limit // stride)
        rows = turns_of_loop * stride
        turns = self.turning(rows, width, unknown_zero(tokens))  # [rows, 2 * width]
        goes_on = tf.constant([int(byte not in (END, PADDING)) for byte in range(VOCABULARY)])

        def attend(queries):  # [batch * heads, steps, d]: how much each place counts, [batch * heads, steps, time]
            return tf.nn.softmax(tf.matmul(queries, keys, transpose_b=True) + blocked)

        def step(turn, last, going, state, memory):
            embedded = tf.gather(weights["output_embedding"], last)
            gates = tf.matmul(tf.concat([embedded, state], 1), weights["decoder_kernel"]) + weights["decoder_bias"]
            state, memory = lstm(gates, memory)
            query = tf.add(*tf.split((tf.matmul(state, query_kernel) + query_bias) * turn, 2, axis=1))
            weighted = tf.matmul(attend(tf.reshape(query, [batch * self.heads, 1, width // self.heads])), values)
            context = tf.reshape(weighted, [batch, self.heads * values.shape[-1]])
            hidden = tf.matmul(tf.concat([state, context], 1), weights["hidden_kernel"]) + weights["hidden_bias"]
            logits = tf.matmul(tf.nn.relu(hidden), weights["logit_kernel"]) + weights["logit_bias"]
            probability = tf.reduce_max(tf.nn.softmax(logits), axis=1, keepdims=True)
            byte = tf.argmax(logits, axis=1, output_type=tf.int32) * going  # padding, where an answer is over
            # All that a step writes: its byte, the byte's probability and, for attention, the query.
            kept = [tf.expand_dims(tf.cast(byte, tf.float32), 1), probability, *([query] if attention else [])]
            return kept, (byte, tf.gather(goes_on, byte), state, memory)

        def turn_of_loop(number, last, going, state, memory, written):
            kept, carried = [], (last, going, state, memory)
            for turn in tf.split(tf.gather(turns, number * stride + tf.range(stride)), stride):
                columns, carried = step(turn, *carried)
                kept += columns
            return number + 1, *carried, put(written, number, tf.expand_dims(tf.concat(kept, 1), 0))

        def unfinished(number, last, going, *rest):
            # An empty batch has no row that goes on, and a maximum below every number.
            return number < turns_of_loop * tf.reduce_max(going)

        columns = 2 + width * attention
        start = (tf.constant(0), tf.fill([batch], START), tf.fill([batch], 1), tf.zeros([batch, units]),
                 tf.zeros([batch, units]), tf.zeros([turns_of_loop, batch, stride * columns]))  # fmt: skip
        turns_made, *_, written = tf.while_loop(unfinished, turn_of_loop, start)
        written = tf.transpose(written if static else written[:turns_made], [1, 0, 2])
        written = tf.reshape(written, [batch, rows if static else turns_made * stride, columns])[:, :limit]
        answer = tf.cast(written[:, :, 0], tf.int32)
        # What is never written is 0: padding, with no probability that counts.
        probability = tf.where(tf.equal(answer, PADDING), 1.0, written[:, :, 1])
        found = {
            "answer": answer,
            "confidence": tf.reduce_min(probability, axis=1),
            "ended": tf.reduce_max(tf.cast(tf.equal(answer, END), tf.int32), axis=1),  # LiteRT.js returns no booleans
        }
        if attention:
            steps = written.shape[1] if static else tf.shape(written)[1]
            attended = attend(self.split(written[:, :, 2:], batch, steps))
            by_head = tf.reshape(attended, [batch, self.heads, steps, time])
            found["attention"] = tf.reduce_mean(by_head, axis=1)[:, :, :width_asked]
        return found

    def embed(self, tokens):
        """The encoder's states as one vector for each text, float32 [batch, 2 * units]; see `GreedyDecoder.embed`."""
        weights = {name: tf.identity(variable) for name, variable in self.weights.items()}
        batch, time = tf.unstack(tf.shape(tokens))
        states, _ = self.read(tokens, weights, batch, time, 1)
        # States lie between -1 and 1, so what is moved by 2 is neither the largest nor the smallest.
        beyond = 2.0 * tf.cast(tf.equal(tokens, PADDING), tf.float32)[:, :, None]
        return tf.concat([tf.reduce_max(states - beyond, axis=1), tf.reduce_min(states + beyond, axis=1)], 1)

    def encode(self, tokens, weights, batch, time, stride):
        """What attention needs of the texts: turned keys [batch * heads, time, d], values [batch * heads, time, v]."""
        states, embedded = self.read(tokens, weights, batch, time, stride)
        key_kernel = self.with_swapped_halves(weights["key_kernel"])
        keys = tf.matmul(tf.reshape(states, [-1, states.shape[-1]]), key_kernel)
        width = keys.shape[-1] // 2
        keys = tf.reshape(keys, [batch, time, 2 * width]) * self.turning(time, width, unknown_zero(tokens))
        keys = tf.add(*tf.split(keys * (width // self.heads) ** -0.5, 2, axis=-1))
        values = tf.concat([self.split(states, batch, time), self.for_each_head(embedded)], -1)
        return self.split(keys, batch, time), values

    def read(self, tokens, weights, batch, time, stride):
        """The encoder's states [batch, time, units] of both directions, and the embedded bytes [batch, time, e]."""
        # Both directions in one loop: the second reads the text reversed, its padding still at the right.
        lengths = tf.reduce_sum(tf.cast(tf.not_equal(tokens, PADDING), tf.int32), axis=1, keepdims=True)
        places = tf.expand_dims(tf.range(time), 0)
        reversed_places = tf.where(places < lengths, lengths - 1 - places, places)  # [batch, time]

        def reverse(vectors):  # [batch, time, d]; TensorFlow.js gathers wrongly in batches, so all rows become one
            rows = reversed_places + tf.expand_dims(tf.range(batch) * time, 1)
            return tf.gather(tf.reshape(vectors, [batch * time, vectors.shape[-1]]), rows)

        embedded = tf.gather(weights["input_embedding"], tokens)  # [batch, time, e]
        flat = tf.reshape(embedded, [-1, embedded.shape[-1]])
        gates = tf.matmul(flat, weights["encoder_kernel"]) + weights["encoder_bias"]
        units = weights["encoder_recurrent"].shape[1]
        forward, backward = tf.split(tf.reshape(gates, [batch, time, 8 * units]), 2, axis=-1)
        gates = tf.transpose(tf.stack([forward, reverse(backward)]), [2, 0, 1, 3])  # [time, 2, batch, 4 * units]

        recurrent = tf.expand_dims(weights["encoder_recurrent"], 0)

        def turn_of_loop(place, state, memory, states):
            kept = []
            for gate in tf.split(tf.gather(gates, place + tf.range(stride)), stride):
                state, memory = lstm(gate + tf.matmul(state, recurrent), memory)
                kept.append(state)
            return place + stride, state, memory, put(states, place, tf.concat(kept, 0))

        nothing = tf.zeros([1, 2, batch, units])
        start = (tf.constant(0), nothing, nothing, tf.zeros([time, 2, batch, units]))
        length = time * tf.minimum(batch, 1)  # an empty batch has nothing to read
        states = tf.while_loop(lambda place, *rest: place < length, turn_of_loop, start)[-1]
        forward, backward = tf.unstack(tf.transpose(states, [1, 2, 0, 3]))  # [batch, time, units]
        return tf.concat([forward, reverse(backward)], -1), embedded

    # A batch of rows with heads is a batch of so many more rows: [batch * heads, time, d]. Of three dimensions, not of
    # four, the products are fast everywhere.

    def split(self, vectors, batch, time):
        """Each head's part of vectors [batch, time, width]: [batch * heads, time, width / heads]."""
        width = vectors.shape[-1] // self.heads
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

    def turning(self, places, width: int, zero):
        """The factors that turn vectors at places 0, 1, ... : cosines, then sines, float32 [places, 2 * width].

        The angles are those of `model.frequencies`; all numbers here are such as 16-bit floats hold exactly.
        """
        pairs = width // self.heads // 2
        frequencies = tf.pow(1000.0, -tf.cast(tf.range(pairs) + zero, tf.float32) / pairs)
        angles = tf.expand_dims(tf.cast(tf.range(places), tf.float32), 1) * frequencies
        both = [2 * self.heads * [part] for part in (tf.cos(angles), tf.sin(angles))]
        return tf.concat([*both[0], *both[1]], 1)


def lstm(gates, memory):
    """One LSTM step: from the gates' inputs [..., 4 * units] and the memory to the new state and memory."""
    enter, forget, new, leave = tf.split(gates, 4, axis=-1)
    memory = tf.sigmoid(forget) * memory + tf.sigmoid(enter) * tf.tanh(new)
    return tf.sigmoid(leave) * tf.tanh(memory), memory


def unknown_zero(tokens):
    """0, but no converter can know that: what is made of it is computed at run time, not stored in the model."""
    return tf.minimum(tf.reduce_min(tokens), 0)


def put(rows, place, new):
    """`rows` with the `new` ones from `place` on."""
    return tf.tensor_scatter_nd_update(rows, tf.expand_dims(place + tf.range(new.shape[0]), 1), new)
