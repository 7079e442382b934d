"""The functions to copy: any `str -> JSON`, seen from outside as text in, text out."""

import json
import math
import random
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from urlseq.errors import NoKnownInverse, UnfitFunction
from urlseq.sampling import LabelledInput, Sampler, held_out_rule
from urlseq.vectorize import shown

Function = Callable[[str], Any]


def name_of(function: Function) -> str:
    """The dotted name, such as `urllib.parse.urlparse`; of an inverse, `inverse of` that of the function."""
    if isinstance(function, Inverse):
        return f"inverse of {name_of(function.function)}"
    module = getattr(function, "__module__", None) or getattr(type(function), "__module__", "")
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    return name if module in ("builtins", "__main__", "") else f"{module}.{name}"


def answer(function: Function, text: str) -> str:
    """The function's value for `text`, as compact JSON.

    An error is copied as part of the function: the answer is then a JSON object with the error's name. Raises
    UnfitFunction where JSON can't hold the value.
    """
    if isinstance(text, LabelledInput):
        return text.answer
    try:
        value = function(text)
    except Exception as error:
        return to_json({"error": type(error).__name__})
    try:
        encoded = to_json(value)
        encoded.encode()  # half a surrogate pair passes as JSON, but not as UTF-8
    except (TypeError, ValueError) as error:
        raise UnfitFunction(
            f"{name_of(function)}({text!r}) is {value!r}, which JSON text can't hold ({error}). "
            "Wrap the function so that it returns text, numbers, lists or dictionaries."
        ) from None
    return encoded


def answers(function: Function, inputs: Iterable[str]) -> list[str]:
    return [answer(function, text) for text in inputs]


def to_json(value: Any) -> str:
    """Compact JSON. Named tuples become lists; what JSON can't hold raises TypeError or ValueError."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def from_json(text: str) -> Any:
    """The value of JSON text, such as `to_json` makes. Raises ValueError on all else, as a network may write it:
    NaN, numbers beyond all floats, and what is nested too deeply to be parsed.
    """
    try:
        return STRICT.decode(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def finite(number: str) -> float:
    if not math.isfinite(value := float(number)):
        raise ValueError(f"{number} is no number in JSON")
    return value


STRICT = json.JSONDecoder(parse_constant=finite, parse_float=finite)


class Inverse:
    """What undoes `function`: nobody wrote it, but the function makes as many examples of it as are needed."""

    def __init__(self, function: Function):
        self.function = function

    def __call__(self, text: str) -> Any:
        raise NoKnownInverse(f"The {name_of(self)} is not known for {text!r}.")

    def text(self, value: str) -> str:
        """What the function makes of a value, as text: an input of the inverse."""
        made = self.function(value)
        return made if isinstance(made, str) else to_json(made)

    def pair(self, value: str) -> LabelledInput:
        """An input of the inverse, with its answer: the value that the function makes it of."""
        return LabelledInput(self.text(value), to_json(value))

    def pairs(self, sampler: Sampler) -> Sampler:
        """A sampler of the inverse's inputs with their answers: what the function makes of what `sampler` draws.

        Values on which the function raises are left out. What the sampler itself holds out is held out; by default,
        each input by its own bytes.
        """

        def sample(rng: random.Random) -> str:
            for _ in range(1000):
                value = sampler(rng)
                try:
                    return self.pair(value)
                except Exception as error:
                    raised = error
            raise UnfitFunction(
                f"{name_of(self.function)} raises on each of 1,000 inputs: {type(raised).__name__} on {value!r}."
            )

        if hasattr(sampler, "is_held_out"):
            rule = held_out_rule(sampler)
            setattr(sample, "is_held_out", lambda text: rule(json.loads(text.answer)))  # noqa: B010
        return sample

    def certifies(self, value: Any, text: str) -> bool:
        """Whether the function makes just this text of the value: then it is correct, whoever found it."""
        try:
            return isinstance(value, str) and self.text(value) == text
        except Exception:
            return False

    def warn_of_collision(self, texts: Sequence[Any]) -> None:
        """Names two values of which the function makes the same text, if there are any among these."""
        known: dict[str, str] = {}
        for text in texts:
            if known.setdefault(text, text.answer) != text.answer:
                warnings.warn(
                    f"{name_of(self.function)} makes {shown(text)} of {known[text]} and of {text.answer}, so it has no "
                    "one inverse. One of the values is learned; any that the function certifies counts as correct.",
                    stacklevel=5,  # the call of `copy_function`
                )
                return
