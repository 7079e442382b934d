"""From the model's logits to text: greedy decoding, once clear and slow, once in batches and fast."""

import dataclasses

import keras
import numpy as np

from urlseq.model import frequencies
from urlseq.vectorize import END, PADDING, START, VOCABULARY, padded, to_matrix, to_texts

# An answer that has not ended by then is given up, in bytes. A learned copy sets its own limit.
LONGEST_ANSWER = 2048


def slow_greedy(model: keras.Model, text: str, limit: int = LONGEST_ANSWER) -> str:
    """The answer to one text, a byte at a time: all of the model runs anew for each byte.

    Inefficient and clear: the most probable next byte is appended until that is the end mark.
    """
    encoder_input = padded(to_matrix([text])).astype(np.int32)  # [1, in]
    written = [START]
    while len(written) <= limit:
        decoder_input = np.array([written], np.int32)  # [1, written so far]
        logits = model.predict_on_batch({"encoder_input": encoder_input, "decoder_input": decoder_input})
        byte = int(logits[0, -1].argmax())
        if byte in (END, PADDING):
            break
        written.append(byte)
    return bytes(written[1:]).decode("utf-8", "replace")


@dataclasses.dataclass
class Decoded:
    """Answers in the order of their texts.

    `confidence` is the smallest probability of any byte along the answer, its end mark included. `ended` is
    false where the limit cut the answer. `attention`, if asked for, is the mean of all heads: a row for each byte
    of the answer and its end mark, and a column for each byte of the text and its end mark.
    """

    texts: list[str]
    confidence: np.ndarray  # [batch]
    ended: np.ndarray  # [batch]
    attention: list[np.ndarray] | None = None


class GreedyDecoder:
    """Batched greedy decoding in numpy: the encoder runs once, each time step is a few small matrix products.

    Rows that have written their end mark leave the batch.
    """

    def __init__(self, model: keras.Model):
        self.model = model
        outputs = [model.get_layer(name).output for name in ("keys", "states", "input_embedding")]
        self.encoder = keras.Model(model.get_layer("encoder_input").output, outputs, name="encoder")
        self.read_weights()

    def read_weights(self) -> None:
        """Copies the decoder's weights out of the model; to be called again when the model has learned more."""
        weights = {name: [np.asarray(w) for w in self.model.get_layer(name).weights]
                   for name in ("output_embedding", "decoder", "queries", "hidden", "logits")}  # fmt: skip
        kernel, self.recurrent, bias = weights["decoder"]
        # What a byte adds to the gates is the same each time it comes up: a table of it saves a product a step.
        self.byte_gates = weights["output_embedding"][0] @ kernel + bias  # [VOCABULARY, 4 * units]
        self.queries, self.hidden, self.logits = weights["queries"], weights["hidden"], weights["logits"]
        self.heads = self.model.get_layer("attention").heads
        self.frequencies = frequencies(self.queries[0].shape[1] // self.heads)

    def __call__(self, encoder_input: np.ndarray, limit: int = LONGEST_ANSWER, attention: bool = False) -> Decoded:
        """Decodes a byte matrix [batch, in] until each row has ended or written `limit` bytes."""
        batch = len(encoder_input)
        if batch == 0:
            return Decoded([], np.ones(0, np.float32), np.ones(0, bool), [] if attention else None)
        encoder_input = padded(encoder_input)
        keys, values, blocked = self.encoded(encoder_input)
        units = self.recurrent.shape[0]
        state = memory = np.zeros((batch, units), np.float32)
        tokens = np.full(batch, START)
        rows = np.arange(batch)  # which row of the batch each row still at work is
        confidence, ended = np.ones(batch, np.float32), np.zeros(batch, bool)
        written, weights = np.zeros((batch, limit), np.uint8), []
        for step in range(limit):
            state, memory = self.lstm(tokens, state, memory)
            attended = self.attend(state, step, keys, blocked)
            logits = self.read(np.concatenate([state, self.context(attended, values)], axis=1))
            tokens = logits.argmax(axis=1)
            probability = 1 / np.exp(logits - logits.max(axis=1, keepdims=True)).sum(axis=1)
            confidence[rows] = np.minimum(confidence[rows], probability)
            if attention:
                weights.append((rows, attended.mean(axis=1)))
            over = (tokens == END) | (tokens == PADDING)
            ended[rows[over]] = True
            going = ~over
            if not going.any():
                break
            written[rows[going], step] = tokens[going]
            if over.any():
                rows, tokens, state, memory = rows[going], tokens[going], state[going], memory[going]
                keys, values, blocked = keys[going], values[going], blocked[going]
        decoded = Decoded(to_texts(written), confidence, ended)
        if attention:
            lengths = (encoder_input != PADDING).sum(axis=1)
            decoded.attention = [
                np.array([row_weights[place, : lengths[row]] for rows, row_weights in weights
                          for place in np.flatnonzero(rows == row)])
                for row in range(batch)
            ]  # fmt: skip
        return decoded

    def encoded(self, encoder_input: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What attention needs of the inputs [batch, in]: turned keys [batch, heads, in, d], values
        [batch, heads, in, v], and what is added to scores [batch, 1, in]: -1e9 on padding."""
        outputs = self.encoder.predict_on_batch(encoder_input.astype(np.int32))
        keys, states, embedded = (np.asarray(array) for array in outputs)
        keys = self.turned(self.split(keys), np.arange(keys.shape[1]))
        embedded = np.broadcast_to(embedded[:, None], (len(embedded), self.heads, *embedded.shape[1:]))
        values = np.concatenate([self.split(states), embedded], axis=-1)
        return keys, values, np.where(encoder_input == PADDING, np.float32(-1e9), np.float32(0))[:, None]

    def embed(self, encoder_input: np.ndarray) -> np.ndarray:
        """The encoder's states as one vector for each text of a byte matrix [batch, in], float32 [batch, 2 * units].

        Of each state the largest value along the text and its end mark, then of each the smallest.
        """
        encoder_input = padded(encoder_input)
        _, states, _ = (np.asarray(array) for array in self.encoder.predict_on_batch(encoder_input.astype(np.int32)))
        inside = (encoder_input != PADDING)[:, :, None]
        return np.concatenate([np.where(inside, states, -np.inf).max(axis=1),
                               np.where(inside, states, np.inf).min(axis=1)], axis=1)  # fmt: skip

    def lstm(self, tokens: np.ndarray, state: np.ndarray, memory: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """One LSTM step for bytes [batch]: the new state and memory, [batch, units] each."""
        gates = self.byte_gates[tokens] + state @ self.recurrent
        entry, keep, candidate, exit_ = np.split(gates, 4, axis=1)
        memory = sigmoid(keep) * memory + sigmoid(entry) * np.tanh(candidate)
        return sigmoid(exit_) * np.tanh(memory), memory

    def attend(self, state: np.ndarray, step: int, keys: np.ndarray, blocked: np.ndarray) -> np.ndarray:
        """How much each head attends to each byte of the input at this time step, [batch, heads, in]: sums to 1."""
        kernel, bias = self.queries
        queries = self.turned(self.split((state @ kernel + bias)[:, None]), np.array([step]))
        scores = np.matmul(keys, np.swapaxes(queries, -1, -2))[..., 0] * queries.shape[-1] ** -0.5 + blocked
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        return scores / scores.sum(axis=-1, keepdims=True)

    @staticmethod
    def context(attended: np.ndarray, values: np.ndarray) -> np.ndarray:
        """What the heads fetch, side by side: [batch, heads * v]."""
        return np.matmul(attended[:, :, None], values).reshape(len(values), -1)

    def read(self, joined: np.ndarray) -> np.ndarray:
        """Logits [batch, VOCABULARY] from the decoder's state joined with the context."""
        hidden = np.maximum(joined @ self.hidden[0] + self.hidden[1], 0)
        return hidden @ self.logits[0] + self.logits[1]

    def split(self, vectors: np.ndarray) -> np.ndarray:
        """Vectors [batch, time, width] to each head's part of them, [batch, heads, time, width / heads]."""
        batch, time, width = vectors.shape
        return np.swapaxes(vectors.reshape(batch, time, self.heads, width // self.heads), 1, 2)

    def turned(self, vectors: np.ndarray, places: np.ndarray) -> np.ndarray:
        """Vectors [..., time, d] turned by the angles of their places [time], as `model.rotate` does."""
        angles = places[:, None] * self.frequencies
        first, second = np.split(vectors, 2, axis=-1)
        cosine, sine = np.cos(angles, dtype=np.float32), np.sin(angles, dtype=np.float32)
        return np.concatenate([first * cosine - second * sine, first * sine + second * cosine], axis=-1)


class BeamDecoder(GreedyDecoder):
    """Beam search, batched: the most probable answers instead of the one that is most probable byte by byte."""

    def best(self, encoder_input: np.ndarray, width: int, limit: int = LONGEST_ANSWER) -> list[list[str]]:
        """Up to `width` different answers to each row of a byte matrix [batch, in], the most probable first."""
        batch = len(encoder_input)
        if batch == 0:
            return []
        encoder_input = padded(encoder_input)
        keys, values, blocked = (np.repeat(array, width, axis=0) for array in self.encoded(encoder_input))
        state = memory = np.zeros((batch * width, self.recurrent.shape[0]), np.float32)
        tokens = np.full(batch * width, START)
        written = np.zeros((batch * width, 0), np.uint8)
        # At first all beams of a row are the same; one of them counts.
        scores = np.where(np.arange(batch * width) % width == 0, 0.0, -np.inf)
        found: list[list[tuple[float, bytes]]] = [[] for _ in range(batch)]
        for step in range(limit):
            state, memory = self.lstm(tokens, state, memory)
            context = self.context(self.attend(state, step, keys, blocked), values)
            logits = self.read(np.concatenate([state, context], axis=1))
            totals = scores[:, None] + log_softmax(logits)  # [batch * width, VOCABULARY]
            for beam in np.flatnonzero(np.isfinite(scores)):
                found[beam // width].append((totals[beam, END], written[beam].tobytes()))
            totals[:, [END, PADDING]] = -np.inf
            totals = totals.reshape(batch, -1)
            choices = np.argpartition(-totals, width - 1, axis=1)[:, :width]  # [batch, width]
            scores = np.take_along_axis(totals, choices, axis=1).ravel()
            beams = (np.arange(batch)[:, None] * width + choices // VOCABULARY).ravel()
            tokens = (choices % VOCABULARY).ravel()
            state, memory, written = state[beams], memory[beams], np.c_[written[beams], tokens.astype(np.uint8)]
            found = [sorted(answers, reverse=True)[:width] for answers in found]
            worst = np.array([answers[-1][0] if len(answers) == width else -np.inf for answers in found])
            scores[scores < np.repeat(worst, width)] = -np.inf  # what is less probable now will never be more so
            if not np.isfinite(scores).any():
                break
        return [[text.decode("utf-8", "replace") for _, text in answers] for answers in found]


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def sigmoid(numbers: np.ndarray) -> np.ndarray:
    return 0.5 + 0.5 * np.tanh(0.5 * numbers)
