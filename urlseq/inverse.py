"""Copies of inverses: beam search for answers, and the function itself to certify them."""

import functools
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from urlseq.answering import Decoded, Prediction, one_or_many, parse
from urlseq.encoding import BOS, EOS, PADDING, VOCABULARY, batches_by_length, to_answers
from urlseq.functions import Inverse
from urlseq.graph import Encoded, Graph
from urlseq.learned import LearnedCopy
from urlseq.task import Examples
from urlseq.vectorize import byte_lengths, to_matrix


class InverseCopy(LearnedCopy):
    """A learned inverse of a function. The function itself certifies each answer, or refuses to."""

    @one_or_many
    def __call__(self, inputs: str | Sequence[str], beam: int = 16):
        """The value for an input, or a list of values; None where no answer is certified.

        Where the greedy answer is not certified, up to `beam` answers are tried, the most probable first. Raises
        InvalidInput, and NoFunction where there is no function to certify.
        """
        self.real_function()
        return [prediction.value if prediction.trusted else None for prediction in self.predict(inputs, beam)]

    @one_or_many
    def predict(self, inputs: str | Sequence[str], beam: int = 16):
        """The `Prediction` for an input, or a list of them: trusted if the function, where known, certifies it."""
        predictions = super().predict(inputs)
        if not isinstance(self.function, Inverse) or beam < 2:
            return predictions
        missed = np.array([row for row, prediction in enumerate(predictions) if not prediction.trusted], int)
        for rows in batches_by_length(byte_lengths([inputs[row] for row in missed])):
            candidates = self.beam_search(to_matrix([inputs[row] for row in missed[rows]]), beam)
            for row, answers in zip(missed[rows], candidates, strict=True):
                for probability, answer in answers:
                    if self.certifies(inputs[row], answer):
                        predictions[row] = Prediction(parse(answer)[0], answer, probability, True)
                        break
        return predictions

    @functools.cached_property
    def beam_search(self) -> "BeamSearch":
        return BeamSearch(self.decoder.graph, self.reverse_output)

    def certifies(self, text: str, answer: str) -> bool:
        """Whether the function makes just this input of the answer."""
        return isinstance(self.function, Inverse) and self.function.certifies(parse(answer)[0], text)

    def compare(self, examples: Examples) -> tuple[list[str], Decoded]:
        """As of any copy, but each answer that the function certifies is an expected one: there may be several."""
        known, decoded = super().compare(examples)
        rows = zip(examples.inputs, decoded.answers, known, strict=True)
        return [answer if self.certifies(text, answer) else expected for text, answer, expected in rows], decoded

    @property
    def promise(self) -> str:
        """What stands behind a trusted answer: the function, or without it what the held-out inputs say."""
        return f"an answer is trusted if the function certifies it; without the function, {super().promise}"


class BeamSearch:
    """The most probable answers, instead of the one that is most probable byte by byte."""

    def __init__(self, graph: Graph, reverse_output: bool = False):
        self.graph, self.reverse_output = graph, reverse_output
        compiled = functools.partial(tf.function, reduce_retracing=True, autograph=False)
        self.encode = compiled(lambda tokens: graph.encode(tokens, graph.weights()))
        self.step = compiled(self.next_bytes)

    def next_bytes(self, encoded: Encoded, position, last, state, cell):
        """Of each next byte the logarithm of its probability [beams, VOCABULARY], and the decoder's new states."""
        weights = self.graph.weights()
        rotation = self.graph.rotations(position[None], weights["query_bias"].shape[0] // 2, 0)
        logits, _, state, cell = self.graph.step(weights, encoded, rotation, last, state, cell)
        return tf.nn.log_softmax(logits), state, cell

    def __call__(self, matrix: np.ndarray, width: int) -> list[list[tuple[float, str]]]:
        """Up to `width` answers to each row of a byte matrix [batch, in], with their probabilities, largest first."""
        batch, beams = len(matrix), len(matrix) * width
        encoded = self.encode(tf.constant(np.repeat(matrix, width, axis=0), tf.int32))
        units = self.graph.variables_by_name["decoder_bias"].shape[0] // 4
        state = cell = np.zeros((beams, units), np.float32)
        last, written = np.full(beams, BOS, np.int32), np.zeros((beams, 0), np.uint8)
        # At first all beams of a row are the same; one of them counts.
        scores = np.where(np.arange(beams) % width == 0, 0.0, -np.inf)
        found: list[list[tuple[float, bytes]]] = [[] for _ in range(batch)]
        for position in range(self.graph.max_answer_bytes if batch else 0):
            tensors = self.step(encoded, tf.constant(position), last, state, cell)
            logs, state, cell = (tensor.numpy() for tensor in tensors)
            totals = scores[:, None] + logs  # [beams, VOCABULARY]
            for beam in np.flatnonzero(np.isfinite(scores)):
                found[beam // width].append((totals[beam, EOS], written[beam].tobytes()))
            found = [sorted(answers, reverse=True)[:width] for answers in found]
            totals[:, [EOS, PADDING]] = -np.inf
            scores, beams_kept, last = best(totals.reshape(batch, -1), width)
            state, cell = state[beams_kept], cell[beams_kept]
            written = np.c_[written[beams_kept], last.astype(np.uint8)]
            worst = np.array([answers[-1][0] if len(answers) == width else -np.inf for answers in found])
            scores[scores < np.repeat(worst, width)] = -np.inf  # what is less probable now will never be more so
            if not np.isfinite(scores).any():
                break
        return [[(float(np.exp(score)), to_answers(np.frombuffer(written, np.uint8)[None], self.reverse_output)[0])
                 for score, written in answers] for answers in found]  # fmt: skip


def best(totals: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The `width` largest of each row of scores [batch, width * VOCABULARY]: scores, beams, bytes [batch * width]."""
    choices = np.argpartition(-totals, width - 1, axis=1)[:, :width]
    scores = np.take_along_axis(totals, choices, axis=1).ravel()
    beams = (np.arange(len(totals))[:, None] * width + choices // VOCABULARY).ravel()
    return scores, beams, (choices % VOCABULARY).ravel().astype(np.int32)
