"""The SavedModel of a copy: a graph from any bytes to answers and trust, which needs TensorFlow and nothing else."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from urlseq.answering import Decoded
from urlseq.encoding import BATCH, BOS, EMBEDDING, EOS, JSON_OF_BYTE, PADDING, PIECES, piece_hashes, to_answers
from urlseq.errors import ExportError
from urlseq.graph import Graph
from urlseq.learned import LearnedCopy
from urlseq.vectorize import to_matrix

SIGNATURES = ("serving_default", "embedding", "tokens")


def write_saved_model(copy: LearnedCopy, folder: Path) -> None:
    """A SavedModel with `serving_default` (texts to answers), `embedding` (texts to vectors) and `tokens` (bytes)."""
    served = ServedCopy(copy)
    tf.saved_model.save(served, str(folder), signatures={name: getattr(served, name) for name in SIGNATURES})


class ServedCopy(tf.Module):
    """The functions of a SavedModel, one for each signature."""

    def __init__(self, copy: LearnedCopy):
        super().__init__()
        self.graph = Graph(copy.model, copy.max_answer_bytes)
        self.max_input_bytes, self.threshold = copy.max_input_bytes, copy.card["threshold"]
        self.reverse_output = copy.reverse_output
        texts = enumerate(JSON_OF_BYTE)
        self.json_of_byte = tf.constant([b"" if byte in (PADDING, EOS) else text for byte, text in texts])
        self.known = tf.constant(np.isin(np.arange(256), [PADDING, EOS, *copy.card["bytes_seen"]]))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def serving_default(self, text):
        """`json`, `confidence`, `trusted` and, where that is false, the `reason`, of each text [batch], any bytes.

        Whether an answer is JSON is not checked: no graph can parse it, so that is left to whoever takes the answer.
        """
        tokens, invalid = self.encode(text)
        found = in_batches(self.decode, tokens)
        reason = tf.where(found["confidence"] < self.threshold, "its confidence is too low", "")
        reason = tf.where(found["ended"] > 0, reason, "the answer has no end")
        known = tf.reduce_all(tf.gather(self.known, tokens), axis=1)
        reason = tf.where(known, reason, "it holds bytes that training never did")
        valid = tf.equal(invalid, "")
        reason = tf.where(valid, reason, invalid)
        return {
            "json": tf.where(valid, found["json"], ""),
            "confidence": tf.where(valid, found["confidence"], 0.0),
            "trusted": tf.equal(reason, ""),
            "reason": reason,
        }

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def embedding(self, text):
        """`embedding`, as of `BaseCopy.embed`, of each text [batch], zeros where that is invalid, and the `reason`."""
        tokens, reason = self.encode(text)
        valid = tf.cast(tf.expand_dims(tf.equal(reason, ""), 1), tf.float32)
        midrange = self.graph.midrange(tokens)[:, :EMBEDDING]
        vectors = tf.concat([midrange, sketch(tokens, EMBEDDING - midrange.shape[1])], 1)
        return {"embedding": vectors * valid, "reason": reason}

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int32, name="tokens")])
    def tokens(self, tokens):
        """What `Graph.decode` returns, with attention, of rows of bytes."""
        return self.graph.decode(tokens, attention=True)

    def encode(self, text):
        """Texts [batch], any bytes, as rows of bytes int32 [batch, time] with EOS, and why each is invalid, or "".

        An invalid one is encoded as the empty text.
        """
        utf8 = tf.strings.unicode_transcode(text, "UTF-8", "UTF-8", errors="replace", replace_control_characters=False)
        lengths, most = tf.strings.length(text), self.max_input_bytes
        reason = tf.where(lengths > most, f"it has more than {most} bytes", tf.fill(tf.shape(text), ""))
        reason = tf.where(tf.strings.regex_full_match(text, r"(?s:.*\x00.*)"), "it holds a NUL character", reason)
        reason = tf.where(utf8 != text, "it is no UTF-8", reason)
        valid = tf.equal(reason, "")
        lengths = tf.expand_dims(tf.where(valid, lengths, 0), 1)
        width = tf.maximum(tf.reduce_max(lengths), 0) + 1
        tokens = tf.cast(tf.io.decode_raw(tf.where(valid, text, ""), tf.uint8, fixed_length=width), tf.int32)
        return tf.where(tf.equal(tf.expand_dims(tf.range(width), 0), lengths), EOS, tokens), reason

    def decode(self, tokens):
        """`json`, `confidence` and `ended` of rows of bytes [batch, time]."""
        found = self.graph.decode(tokens)
        # EOS and padding are no text, so that it does not matter on which side they are.
        written = found["answer"][:, ::-1] if self.reverse_output else found["answer"]
        json = tf.strings.reduce_join(tf.gather(self.json_of_byte, written), axis=1)
        json = tf.strings.unicode_transcode(json, "UTF-8", "UTF-8", errors="replace", replace_control_characters=False)
        return {"json": json, "confidence": found["confidence"], "ended": found["ended"]}


def sketch(tokens, width: int):
    """The same as `encoding.sketch`, in a graph."""
    batch = tf.shape(tokens)[0]
    marked = tf.pad(tf.cast(tokens, tf.int64), [[0, 0], [1, 0]], constant_values=BOS)
    counts, rows = tf.zeros([batch * width]), tf.range(batch, dtype=tf.int64)[:, None] * width
    for size in PIECES:
        hashes, inside = piece_hashes(marked, size), tf.not_equal(marked[:, size - 1 :], PADDING)
        signs = tf.where(inside, tf.where(hashes < 2**31, 1.0, -1.0), 0.0)
        counts += tf.math.unsorted_segment_sum(signs, rows + hashes % width, batch * width)
    return tf.math.l2_normalize(tf.reshape(counts, [batch, width]), axis=1)


def in_batches(decode: Callable, tokens, size: int = BATCH) -> dict:
    """What `decode` returns of rows of bytes [batch, time], called with `size` rows at once of about one length."""
    lengths = tf.reduce_sum(tf.cast(tf.not_equal(tokens, PADDING), tf.int32), axis=1)
    order = tf.argsort(lengths)
    columns = {"json": tf.string, "confidence": tf.float32, "ended": tf.int32}

    def iteration(start, found):
        rows = order[start : start + size]
        width = tf.reduce_max(tf.gather(lengths, rows))
        more = decode(tf.gather(tokens, rows)[:, :width])
        return start + size, {name: tf.concat([found[name], more[name]], 0) for name in columns}

    nothing = {name: tf.zeros([0], kind) for name, kind in columns.items()}
    shapes = (tf.TensorShape([]), dict.fromkeys(columns, tf.TensorShape([None])))
    _, found = tf.while_loop(lambda start, _: start < tf.size(order), iteration, (0, nothing), shape_invariants=shapes)
    return {name: tf.gather(found[name], tf.argsort(order)) for name in columns}


def saved_model_answers(folder: Path, inputs: Sequence[str], reverse_output: bool = False) -> Decoded:
    """A SavedModel's answers, by both of its signatures. Raises ExportError where these differ."""
    signatures, decoded = tf.saved_model.load(str(folder)).signatures, Decoded.empty(len(inputs))
    for start in range(0, len(inputs), 32):  # few, as `tokens` returns the attention as well
        batch = inputs[start : start + 32]
        served = signatures["serving_default"](text=tf.constant(batch))
        by_tokens = signatures["tokens"](tokens=tf.constant(to_matrix(batch), tf.int32))
        answers = to_answers(by_tokens["answer"].numpy(), reverse_output)
        for text, answer, json in zip(batch, answers, served["json"].numpy(), strict=True):
            if json.decode() != answer:
                raise ExportError(f"The SavedModel's two signatures differ on {text!r}. Please report that.")
        found = Decoded(answers, served["confidence"].numpy(), by_tokens["ended"].numpy() > 0)
        decoded.put(range(start, start + len(batch)), found)
    return decoded
