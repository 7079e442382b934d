"""Copies by LiteRT: milliseconds and megabytes, with numpy alone beside it.

They answer as `LearnedCopy` does, but an inverse has its greedy answer only.
"""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

import urlseq
from urlseq import quiet
from urlseq.answering import BaseCopy, Decoded
from urlseq.cards import bad_model, folder_of, read
from urlseq.encoding import batches_by_length, to_answers, to_tokens
from urlseq.errors import MissingPackage
from urlseq.functions import Function

# Rows that are computed at once: of more, each waits longer for the longest, and none gets quicker.
BATCH = 16
LOADING = threading.Lock()


def load_lite(folder: str | Path, function: Function | None = None) -> "LiteCopy":
    """A copy by its LiteRT file, from its folder or an export's, or a shipped one by its name, such as `urlparse`.

    Where there is no such file yet, TensorFlow makes it, here and now. The real function is found as by `load`. Raises
    BadModel, and MissingPackage.
    """
    path = folder_of(folder)
    with bad_model(path):
        card, model = read(path, "litert")
        if model:
            return LiteCopy(card, model, function)
    copy = urlseq.load(path, function)
    from urlseq.export.litert import litert_model

    with quiet():
        return LiteCopy(copy.card, litert_model(copy), copy.function)


class LiteCopy(BaseCopy):
    """A learned copy that LiteRT runs: call it with an input or with a list of inputs.

    Threads answer side by side, each by an interpreter of its own. Forked and spawned processes answer, too.
    """

    def __init__(self, card: dict, model: bytes, function: Function | None = None):
        """`model` is a LiteRT file, such as `export.litert.litert_model` makes."""
        super().__init__(card, known_function(card) if function is None and card["task"]["inverse"] else function)
        self.model, self.quick_model, self.local = model, b"", threading.local()
        with LOADING, quiet():  # LiteRT has a remark when it first runs; and what is no model is told now
            self.run()(tokens=to_tokens([b""]), limit=np.int32(1))

    def __repr__(self) -> str:
        return f"<copy of {self.name} by LiteRT, {len(self.model):,} bytes, inputs up to {self.max_input_bytes} bytes>"

    def __reduce__(self):
        return LiteCopy, (self.card, self.model, self.function)

    def real_function(self) -> Function:
        self.function = self.function or known_function(self.card)
        return super().real_function()

    def decode(self, inputs: Sequence[str]) -> Decoded:
        decoded, rows = Decoded.empty(len(inputs)), [text.encode() for text in inputs]
        for batch in batches_by_length(np.array([len(row) for row in rows], int), BATCH):
            tokens, most = to_tokens([rows[row] for row in batch]), self.max_answer_bytes
            # Few answers are much longer than their inputs; room for the longest would cost all others time.
            for limit in dict.fromkeys((min(2 * tokens.shape[1] + 64, most), most)):
                found = self.run()(tokens=tokens, limit=np.int32(limit))
                answers, ended = to_answers(found["answer"], self.reverse_output), found["ended"] > 0
                decoded.put(batch, Decoded(answers, found["confidence"], ended))
                batch, tokens = batch[~ended], tokens[~ended]
                if not len(batch):
                    break
        return decoded

    def midrange(self, tokens: np.ndarray) -> np.ndarray:
        return self.run()(tokens=tokens, limit=np.int32(1))["midrange"]

    def run(self) -> Callable:
        """What runs the model in this thread: tokens, int32 [batch, time], and the limit, an int32, to its outputs."""
        if not hasattr(self.local, "run"):
            try:
                from ai_edge_litert.interpreter import Interpreter

                from urlseq.lite_model import with_floats
            except ImportError as error:
                raise MissingPackage(f"LiteRT is missing ({error}): pip install ai-edge-litert") from None
            self.quick_model = self.quick_model or with_floats(self.model)
            self.local.run = Interpreter(model_content=self.quick_model, num_threads=1).get_signature_runner("answer")
        return self.local.run


def known_function(card: dict) -> Function | None:
    """The function that a card names, where it is one of those that cards may name."""
    from urlseq.gallery import known_functions  # takes longer than all the rest

    return known_functions().get(card["task"]["function"])
