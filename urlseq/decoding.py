"""From the model to answers: greedy decoding, once clear and slow, once in batches and fast."""

import contextlib
import os
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework import ops

from urlseq.answering import Decoded
from urlseq.encoding import BOS, EOS, JSON_LENGTHS, PADDING, before_end, to_answers
from urlseq.errors import Forked
from urlseq.graph import Graph
from urlseq.vectorize import pad, to_matrix


@contextlib.contextmanager
def gradients_forgotten() -> Iterator[None]:
    """TensorFlow registers some gradients for good, each with the whole graph and its data: not those made in here."""
    registry = getattr(getattr(ops, "gradient_registry", None), "_registry", {})
    known = set(registry)
    try:
        yield
    finally:
        for name in set(registry) - known:
            if name.startswith("CustomGradient"):
                del registry[name]


def slow_greedy(model: keras.Model, text: str, max_answer_bytes: int, reverse_output: bool = False) -> str:
    """The answer to one input, clear and slow: the most probable next byte, by all of the model, until that is EOS."""
    encoder_input = pad(to_matrix([text])).astype(np.int32)  # [1, in]
    written = [BOS]
    while len(written) <= max_answer_bytes:
        decoder_input = np.array([written], np.int32)  # [1, written so far]
        logits = model.predict_on_batch({"encoder_input": encoder_input, "decoder_input": decoder_input})
        byte = int(logits[0, -1].argmax())
        if byte in (EOS, PADDING):
            break
        written.append(byte)
    return to_answers(np.array([written[1:]]), reverse_output)[0]


class Decoder:
    """Greedy decoding of byte matrices by the graph, compiled once for all lengths."""

    process: int | None = None  # the one that has TensorFlow's threads

    def __init__(self, model: keras.Model, max_answer_bytes: int, reverse_output: bool = False):
        """`max_answer_bytes` is how many bytes an answer may have before it is given up."""
        Decoder.process = Decoder.process or os.getpid()
        self.reverse_output = reverse_output
        self.graph = graph = Graph(model, max_answer_bytes)
        # There is no control flow of Python in them that AutoGraph would have to translate.
        compiled = tf.function(input_signature=[tf.TensorSpec([None, None], tf.int32)], autograph=False)
        self.decode = compiled(lambda tokens: graph.decode(tokens))
        self.decode_with_attention = compiled(lambda tokens: graph.decode(tokens, attention=True))
        self.midrange = compiled(graph.midrange)

    @classmethod
    def check_process(cls) -> None:
        """Raises Forked where TensorFlow would wait for ever: for its threads, which stayed in the parent process."""
        if cls.process not in (None, os.getpid()):
            raise Forked(
                "A copy was at work in the process that this one was forked from, so none can be here. Load it in each "
                "process and not before, or start them by multiprocessing.get_context('spawn')."
            )

    def __call__(self, matrix: np.ndarray, attention: bool = False) -> Decoded:
        """Answers to a byte matrix [batch, in]."""
        decode = self.decode_with_attention if attention else self.decode
        found = {name: tensor.numpy() for name, tensor in decode(matrix.astype(np.int32)).items()}
        decoded = Decoded(to_answers(found["answer"], self.reverse_output), found["confidence"], found["ended"] > 0)
        if attention:
            rows = zip(found["attention"], found["answer"], (matrix != PADDING).sum(axis=1), strict=True)
            decoded.attention = [self.by_json_byte(weights[:, :width], answer) for weights, answer, width in rows]
        return decoded

    def by_json_byte(self, weights: np.ndarray, answer: np.ndarray) -> np.ndarray:
        """A row of attention for each byte of the JSON text and for EOS, from one for each byte that was written."""
        steps = np.arange(np.count_nonzero(answer != PADDING))
        if self.reverse_output:
            length = before_end(answer[None]).sum()
            steps[:length] = steps[:length][::-1].copy()
        return weights[np.repeat(steps, JSON_LENGTHS[answer[steps]])]
