"""The functions to copy: any `str -> JSON`, seen from outside as text in, text out."""

import importlib
import inspect
import json
import math
from collections.abc import Callable, Iterable
from typing import Any

Function = Callable[[str], Any]


class UnfitFunction(ValueError):
    """The function can't be copied from examples; the message says why, and with which input."""


class LabelledText(str):
    """A text that carries the function's answer, found out before and kept: the function is not called again."""

    __slots__ = ("answer",)

    def __new__(cls, text: str, answer: str):
        labelled = super().__new__(cls, text)
        labelled.answer = answer
        return labelled


class NoKnownInverse(LookupError):
    """Nobody wrote a function for this: only the pairs that it is learned from are known."""


class Inverse:
    """What undoes `function`: nobody wrote it, but the function makes as many examples of it as are wanted."""

    __module__ = ""

    def __init__(self, function: Function):
        self.function = function
        self.__qualname__ = INVERSE_OF + name_of(function)

    def __call__(self, text: str):
        raise NoKnownInverse(f"{self.__qualname__} is not known for {text!r}.")

    def text(self, value: str) -> str:
        """What the function makes of a value, as text: an input of the inverse."""
        made = self.function(value)
        return made if isinstance(made, str) else to_json(made)

    def pair(self, value: str) -> LabelledText:
        """An input of the inverse, which carries its answer: the value that the function makes it of."""
        return LabelledText(self.text(value), to_json(value))

    def certifies(self, value: Any, text: str) -> bool:
        """Whether the function makes just this text of the value: then it is right, whoever found it."""
        try:
            return isinstance(value, str) and self.text(value) == text
        except Exception:
            return False


INVERSE_OF = "inverse of "


def to_json(value: Any) -> str:
    """Compact JSON. Named tuples become lists; what JSON can't hold raises TypeError or ValueError."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def from_json(text: str) -> Any:
    """The value of JSON text, such as `to_json` makes. Raises ValueError on all else, as a network may write it:
    NaN, numbers beyond all floats, and what is nested too deeply to be read.
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


def answer(function: Function, text: str) -> str:
    """What `function` makes of `text`, as compact JSON.

    A function that raises is copied as such: the answer is then a JSON object with the name of the error.
    """
    if isinstance(text, LabelledText):
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


def answers(function: Function, texts: Iterable[str]) -> list[str]:
    return [answer(function, text) for text in texts]


def name_of(function: Function) -> str:
    """The dotted name, such as `urllib.parse.urlparse`, by which `function_named` finds it again."""
    module = getattr(function, "__module__", None) or getattr(type(function), "__module__", "")
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    return name if module in ("builtins", "__main__", "") else f"{module}.{name}"


def function_named(name: str) -> Function:
    """The function with this dotted name: `hex`, `html.escape`, `urllib.parse.urlparse`, ..."""
    parts = name.split(".")
    for cut in range(len(parts) - 1, -1, -1) if all(parts) else ():
        try:
            found = importlib.import_module(".".join(parts[:cut]) or "builtins")
        except ModuleNotFoundError as error:
            if not f"{name}.".startswith(f"{error.name}."):  # the module is there, and lacks another
                raise
            continue
        for part in parts[cut:]:
            found = getattr(found, part, None)
        if callable(found) and not inspect.ismodule(found):
            return found
    raise LookupError(f"There is no function named {name!r}. Give a dotted name, such as html.escape.")
