"""A learned copy of a function: to be called, measured and saved."""

import contextlib
import math
import pickle
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import keras
import numpy as np

from urlseq.answering import BaseCopy, Decoded, judge
from urlseq.decoding import Decoder
from urlseq.encoding import batches_by_length, input_list
from urlseq.errors import InvalidSetting
from urlseq.evaluation import Evaluation, interval, probability_of, threshold_for
from urlseq.functions import Function, answers
from urlseq.model import exact_match
from urlseq.pairs import pairs_of
from urlseq.sampling import LabelledInput
from urlseq.task import Examples
from urlseq.vectorize import byte_lengths, to_matrix

# Of the answers that a copy calls trusted, no more than this share may be wrong, as far as the held-out inputs can tell
# (95 % bound). Half of the default ones are noise, far harder than real URLs: of these, next to none is wrong.
TRUSTED_RISK = 0.0005


class LearnedCopy(BaseCopy):
    """A learned copy of a function: call it with an input or with a list of inputs."""

    def __init__(self, model: keras.Model, card: dict, function: Function | None = None):
        """`card` is what is known of the copy, plain JSON; `function` is the real one, for evaluation and fallback."""
        super().__init__(card, function)
        self.model = model
        if model is not None:  # else this is a forked process, where each call raises Forked
            self.decoder = Decoder(model, self.max_answer_bytes, self.reverse_output)

    def __repr__(self) -> str:
        weights = f"{self.model.count_params():,} weights"
        return f"<copy of {self.name}, {weights}, inputs up to {self.max_input_bytes} bytes>"

    def decode(self, inputs: Sequence[str]) -> Decoded:
        """The greedy answers to valid inputs, decoded in batches of about the same length."""
        decoded = Decoded.empty(len(inputs))
        for rows in batches_by_length(byte_lengths(inputs)):
            decoded.put(rows, self.decoder(to_matrix([inputs[row] for row in rows])))
        return decoded

    def midrange(self, tokens: np.ndarray) -> np.ndarray:
        """The middle between the largest and the smallest of each of the encoder's states, float32 [batch, units]."""
        return self.decoder.midrange(tokens).numpy()

    def attention(self, text: str) -> tuple[str, np.ndarray]:
        """The answer, and how much each of its bytes (rows, with EOS) attends to each of the input's (with EOS)."""
        self.check([text])
        decoded = self.decoder(to_matrix([text]), attention=True)
        assert decoded.attention is not None
        return decoded.answers[0], decoded.attention[0]

    def check(self, inputs: Sequence[str]) -> None:
        """Raises InvalidInput for the first text that can't be an input, and Forked in a process that can't answer."""
        Decoder.check_process()
        super().check(inputs)

    @property
    def examples(self) -> list[LabelledInput]:
        """The held-out inputs that the card keeps, with their answers. Raises InvalidSetting if there are none."""
        if not (kept := self.card.get("examples")):
            raise InvalidSetting(f"{self!r} keeps no held-out inputs: give some.")
        return [LabelledInput(*example) for example in kept.items()]

    def evaluate(self, inputs: Sequence[str] = (), pairs: Any = None,
                 columns: Sequence[str] | None = None) -> Evaluation:  # fmt: skip
        """The copy's answers beside the function's, or beside the outputs of `pairs`, as `copy_function` takes them.

        Raises InvalidInput, and NoFunction where the function is needed and not known.
        """
        inputs = [inputs] if isinstance(inputs, str) else inputs
        inputs = input_list(inputs if pairs is None else pairs_of(pairs, columns, self.max_input_bytes).sampler.inputs)
        self.check(inputs)
        answered = all(isinstance(text, LabelledInput) for text in inputs)
        expected = answers(cast(Function, self.function) if answered else self.real_function(), inputs)
        return self.evaluation(inputs, *self.compare(Examples(inputs, expected, self.reverse_output)))

    def compare(self, examples: Examples) -> tuple[list[str], Decoded]:
        """The expected answers and the greedy ones.

        Teacher forcing runs first, as it is several times faster: where each byte is the most probable one given the
        correct ones before it, greedy decoding writes just that answer with that confidence. The rest is decoded.
        """
        found, missed = Decoded.empty(len(examples)), list[int]()
        found.answers[:] = examples.answers
        for rows in batches_by_length(examples.lengths, 256):
            model_inputs, target = examples.rows(rows).batch()
            logits = self.model.predict_on_batch(model_inputs)
            found.confidence[rows] = probability_of(target, logits)
            missed.extend(rows[np.asarray(exact_match(target, logits)) == 0])
        found.put(missed, self.decode(examples.rows(missed).inputs))
        return examples.answers, found

    def evaluation(self, inputs: list[str], expected: list[str], decoded: Decoded) -> Evaluation:
        trusted = np.array([prediction.trusted for prediction in self.judge(inputs, decoded)], bool)
        return Evaluation(inputs, expected, decoded.answers, decoded.confidence, trusted)

    def set_threshold(self, examples: Examples, kept: int = 200) -> None:
        """Sets by held-out examples the confidence to trust, and notes their exact match, and up to `kept` of them."""
        expected, decoded = self.compare(examples)
        correct = np.array(expected, object) == np.array(decoded.answers, object)
        # What is not trusted for other reasons proves nothing of what is.
        sound = [prediction.trusted for prediction in judge(examples.inputs, decoded, 0.0, self.bytes_seen)]
        found = threshold_for(decoded.confidence[sound], correct[sound], TRUSTED_RISK)
        self.card["threshold"], self.card["trusted_risk"] = found
        counts = self.evaluation(examples.inputs, expected, decoded).counts
        self.card["held_out_counts"] = counts | {"interval": interval(counts["exact"], counts["count"])}
        rows = np.array(random.Random("kept").sample(range(len(examples)), min(kept, len(examples))), int)
        some = examples.rows(rows[np.cumsum(examples.lengths[rows]) <= 30_000])
        self.card["examples"] = dict(zip(map(str, some.inputs), some.answers, strict=True))

    @property
    def promise(self) -> str:
        """What the held-out inputs say of trusted answers, in plain words."""
        risk, counts = self.card.get("trusted_risk"), self.card.get("held_out_counts", {"exact": 0, "count": 0})
        if risk is None:
            return f"nothing is trusted: {counts['exact']:,} exact of {counts['count']:,} held-out inputs are too few"
        return f"at most {math.ceil(1e4 * risk) / 100:.2f} % of trusted answers are wrong (95 % bound)"

    def set_weights(self, weights: Sequence[np.ndarray]) -> None:
        """Takes other weights of the same shapes, for all answers from now on."""
        self.model.set_weights(weights)
        self.decoder.graph.update(self.model)

    def save(self, folder: str | Path) -> Path:
        """Writes the copy into a folder, whole or not at all; `load` brings it back."""
        from urlseq.store import save

        return save(self, folder)

    def __reduce__(self):
        from urlseq.store import restored

        function = b""
        with contextlib.suppress(Exception):  # a function that has no name to be found by elsewhere
            function = pickle.dumps(self.function)
        return restored, (self.card, self.model.get_weights(), function)

    def _repr_html_(self) -> str:
        from urlseq.report import html_of

        return html_of(self)

    def report(self, inputs: Sequence[str] | None = None):
        """A figure by matplotlib: what was learned when, exact match by length, risk and coverage, kinds of mistakes.

        It is of the `inputs`, by default the held-out ones that the card keeps.
        """
        from urlseq.plots import report

        evaluation = self.evaluate(self.examples if inputs is None else inputs)
        return report(self.card["history"], evaluation, self.card["threshold"])
