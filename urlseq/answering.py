"""What a copy answers, whichever runtime computes it: decoded answers, records of them, and when these are trusted."""

import dataclasses
import functools
import json
import platform
import warnings
from collections.abc import Callable, Sequence

import numpy as np

from urlseq.encoding import EMBEDDING, batches_by_length, input_list, invalid_reason, shown, sketch, to_tokens
from urlseq.errors import InvalidInput, NoFunction
from urlseq.functions import Function, Inverse, answers, to_json

# A confidence that no answer reaches. Not infinity, which JSON can't hold.
NONE_TRUSTED = 2.0
UNCERTIFIED = "the function does not certify it"


@dataclasses.dataclass
class Decoded:
    """Answers in the order of their inputs."""

    answers: list[str]
    confidence: np.ndarray  # [batch]: the probability of the whole answer, EOS included
    ended: np.ndarray  # [batch]: false where the limit cut the answer
    attention: list[np.ndarray] | None = None  # mean of all heads: [bytes of the answer and EOS, of the input and EOS]

    @classmethod
    def empty(cls, count: int) -> "Decoded":
        """Room for so many answers, which `put` brings."""
        return cls([""] * count, np.ones(count, np.float32), np.ones(count, bool))

    def put(self, rows: Sequence[int] | np.ndarray, others: "Decoded") -> None:
        """Takes the answers of these rows from others, with their confidence and if they ended."""
        self.confidence[rows], self.ended[rows] = others.confidence, others.ended
        for row, answer in zip(rows, others.answers, strict=True):
            self.answers[row] = answer


@dataclasses.dataclass
class Prediction:
    """A copy's answer to one input. `trusted` is false where `reason` tells why not to rely on the value.

    `value` is the JSON value of `text`, None where that is no JSON. `confidence` is the probability of the whole
    answer: the product of those of its bytes.
    """

    value: object
    text: str
    confidence: float
    trusted: bool
    reason: str = ""


def judge(inputs: Sequence[str], decoded: Decoded, threshold: float, bytes_seen: np.ndarray) -> list[Prediction]:
    """The record of each answer: its value, and why not to trust it."""
    predictions = []
    for row, (text, answer) in enumerate(zip(inputs, decoded.answers, strict=True)):
        confidence = float(decoded.confidence[row])
        value, reason = parse(answer)
        if threshold == NONE_TRUSTED:
            reason = "too few held-out inputs were exact to trust any answer"
        elif confidence < threshold:
            reason = f"confidence {confidence:.4f} is below {threshold:.4f}"
        if not decoded.ended[row]:
            reason = "the answer has no end"
        if not bytes_seen[np.frombuffer(text.encode(), np.uint8)].all():
            reason = "it holds bytes that training never did"
        predictions.append(Prediction(value, answer, confidence, not reason, reason))
    return predictions


def parse(answer: str) -> tuple[object, str]:
    """The value of an answer and "", or None and why it has none."""
    try:
        to_json(value := json.loads(answer))  # which refuses NaN and infinity
        return value, ""
    except (ValueError, RecursionError):
        return None, "the answer is no JSON"


def one_or_many(method: Callable) -> Callable:
    """Lets a method that returns something for each of a list of inputs be called with one input, too."""

    @functools.wraps(method)
    def call(self, inputs, *arguments, **named):
        if isinstance(inputs, str) or hasattr(inputs, "as_py"):  # a text, or one of Arrow's
            return call(self, [inputs], *arguments, **named)[0]
        return method(self, input_list(inputs), *arguments, **named)

    return call


class BaseCopy:
    """A copy of a function, to be called with an input or with a list of inputs; a runtime's class brings the rest."""

    decode: Callable[[Sequence[str]], Decoded]  # the greedy answers to valid inputs
    midrange: Callable[[np.ndarray], np.ndarray]  # of tokens [batch, time] the vectors that `embed` begins with

    def __init__(self, card: dict, function: Function | None = None):
        """`card` is what is known of the copy, plain JSON; `function` is the real one, where that is known."""
        self.card, task = card, card["task"]
        self.is_inverse, self.max_input_bytes = task["inverse"], task["max_input_bytes"]
        self.function = function
        if self.is_inverse and function and not isinstance(function, Inverse):
            self.function = Inverse(function)
        self.name = f"inverse of {task['function']}" if self.is_inverse else task["function"]
        self.max_answer_bytes = 2 * card["longest_answer"]  # an answer that has not ended by then is given up
        self.reverse_output = task["reverse_output"]
        self.bytes_seen = np.zeros(256, bool)
        self.bytes_seen[card["bytes_seen"]] = True

    @one_or_many
    def __call__(self, inputs: str | Sequence[str], fallback: bool = False):
        """The value for an input, or a list of values for a list of inputs; None where an inverse's is not certified.

        Raises InvalidInput on an input that is too long, holds NUL or half a surrogate pair. With `fallback` the
        real function answers these, and each one whose answer is not trusted; an inverse has none.
        """
        if self.is_inverse or not fallback:
            certified = isinstance(self.function, Inverse)
            return [each.value if each.trusted or not certified else None for each in self.predict(inputs)]
        function, pairs = self.real_function(), zip(inputs, self.predict_all(inputs), strict=True)
        return [each.value if each.trusted else json.loads(answers(function, [text])[0]) for text, each in pairs]

    @one_or_many
    def predict(self, inputs: str | Sequence[str]):
        """The `Prediction` for an input, or a list of them: value, text, confidence, trusted and the reason if not.

        Raises InvalidInput on the first input that is invalid; `predict_all` does not.
        """
        self.check(inputs)
        return self.judge(inputs, self.decode(inputs))

    def predict_all(self, inputs: Sequence[str]) -> list[Prediction]:
        """The predictions for any texts; of an invalid one the value is None, and the reason tells why."""
        inputs = input_list([inputs] if isinstance(inputs, str) else inputs)
        reasons = [self.invalid_reason(text) for text in inputs]
        valid = [text for text, reason in zip(inputs, reasons, strict=True) if not reason]
        predictions = iter(self.predict(valid))
        return [Prediction(None, "", 0.0, False, reason) if reason else next(predictions) for reason in reasons]

    @one_or_many
    def embed(self, inputs: str | Sequence[str]) -> np.ndarray:
        """Vectors in which to search for inputs that are alike, float32 [inputs, 512] (of one input: [512]).

        The encoder's states say how an input is built, a sketch of its pieces which bytes it has. Bring each number to
        mean 0 and deviation 1 over the collection first. Raises InvalidInput.
        """
        self.check(inputs)
        rows = [text.encode() for text in inputs]
        vectors = np.zeros((len(rows), EMBEDDING), np.float32)
        for batch in batches_by_length(np.array([len(row) for row in rows], int)):
            tokens = to_tokens([rows[row] for row in batch])
            midrange = self.midrange(tokens)[:, :EMBEDDING]
            vectors[batch] = np.hstack([midrange, sketch(tokens, EMBEDDING - midrange.shape[1])])
        return vectors

    def judge(self, inputs: Sequence[str], decoded: Decoded) -> list[Prediction]:
        """The record of each answer. For an inverse whose function is known, its certificate is all the trust."""
        predictions = judge(inputs, decoded, self.card["threshold"], self.bytes_seen)
        if not isinstance(self.function, Inverse):
            return predictions
        for prediction, text in zip(predictions, inputs, strict=True):
            prediction.trusted = self.function.certifies(prediction.value, text)
            prediction.reason = "" if prediction.trusted else UNCERTIFIED
        return predictions

    def invalid_reason(self, text: str) -> str:
        """Why a text can't be an input of this copy; "" for one that can."""
        return invalid_reason(text, self.max_input_bytes)

    def check(self, inputs: Sequence[str]) -> None:
        """Raises InvalidInput for the first text that can't be an input."""
        for text in inputs:
            if reason := self.invalid_reason(text):
                advice = "" if self.is_inverse else ", or call with fallback=True"
                raise InvalidInput(f"{shown(text)} can't be an input of {self!r}: {reason}. Drop or mend it{advice}.")

    def real_function(self) -> Function:
        """The function that is copied. Raises NoFunction where it is not known."""
        if self.function is None:
            advice = f"The function {self.name} is needed: load(folder, function=...) brings it in."
            if "pairs" in self.card["task"]:
                advice = f"This was learned from {self.name}: there is no function to ask, only evaluate(pairs=...)."
            raise NoFunction(advice)
        here = platform.python_version()
        there = self.card.get("versions", {}).get("python", here)
        if here.split(".")[:2] != there.split(".")[:2]:  # Python itself says the same warning only once
            message = f"The copy learned {self.name} of Python {there}; this is {here}, where it may differ."
            warnings.warn(message, stacklevel=1)
        return self.function
