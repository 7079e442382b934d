"""The functions to copy: any `str -> JSON`, seen from outside as text in, text out."""

import inspect
import json
import os
import pickle
import pkgutil
import random
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from urlseq.encoding import shown
from urlseq.errors import NoFunction, UnfitFunction, UnfitValue, WrongType
from urlseq.sampling import LabelledInput, Sampler

Function = Callable[[str], Any]
# What a function may raise as an answer: `argparse`, for one, ends the program on a bad line.
RAISED = (Exception, SystemExit)
# An error of the world, such as no connection, is no answer: after so many seconds the function is asked again.
WAITS = (0.1, 1.0)
ASKED = "URLSEQ_ASKED_ELSEWHERE"
# Answers in a new Python. What the function itself prints goes to standard error.
ELSEWHERE = """
import contextlib, json, pickle, sys
with contextlib.redirect_stdout(sys.stderr):
    function, inputs = pickle.load(sys.stdin.buffer)
    from urlseq.functions import answers
    found = answers(function, inputs)
print(json.dumps(found))
"""


def name_of(function: Function) -> str:
    """The dotted name, such as `urllib.parse.urlparse`; of an inverse, `inverse of` that of the function."""
    if isinstance(function, Inverse):
        return f"inverse of {name_of(function.function)}"
    module = getattr(function, "__module__", None) or getattr(type(function), "__module__", "")
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    return name if module in ("builtins", "__main__", "") else f"{module}.{name}"


def function_named(name: str) -> Callable:
    """The function with this dotted name: `hex`, `html.escape`, `urllib.parse.urlparse`, ... Raises NoFunction."""
    for path in (name, f"builtins.{name}"):
        try:
            found = pkgutil.resolve_name(path)
        except ModuleNotFoundError as error:
            if not f"{path}.".startswith(f"{error.name}."):  # the module is there, and lacks another
                raise
        except (ValueError, AttributeError):
            continue
        else:
            if callable(found):
                return found
    raise NoFunction(f"There is no function named {name!r}. Give a dotted name, such as html.escape.")


def check_callable(function: Any) -> None:
    """Raises WrongType on what can't be called with one text."""
    if not callable(function):
        raise WrongType(f"A function is needed, not {shown(str(function))}.")
    try:
        inspect.signature(function, follow_wrapped=False).bind("text")
    except ValueError:  # some that are written in C do not tell what they take
        return
    except TypeError as error:
        advice = f"Wrap it, such as lambda text: {name_of(function)}(text, ...)."
        raise WrongType(f"{name_of(function)} does not take one text alone ({error}). {advice}") from None


def answer(function: Function, text: str) -> str:
    """The function's value for `text`, as compact JSON, or its error: `{"error":"ValueError"}`. Raises UnfitValue, and
    UnfitFunction on an error of the world, such as no connection, that comes again and again.
    """
    if isinstance(text, LabelledInput):
        return text.answer
    for wait in (*WAITS, 0):
        try:
            value = function(text)
        except RAISED as error:
            # The errors that `requests` has for bad addresses are OSErrors, too, but ValueErrors first.
            if isinstance(error, ValueError) or not isinstance(error, OSError | MemoryError):
                return to_json({"error": type(error).__name__})
            raised = error
            time.sleep(wait)
        else:
            return encoded(function, text, value)
    raise UnfitFunction(
        f"{name_of(function)}({shown(text)}) raises {type(raised).__name__} again and again ({raised}): no answer to "
        "learn. If that is part of the function, catch it there and return something."
    )


def encoded(function: Function, text: str, value: Any) -> str:
    """The value as compact JSON. Raises UnfitValue."""
    try:
        made = to_json(value)
        made.encode()  # half a surrogate pair passes as JSON, but not as UTF-8
    except (TypeError, ValueError, RecursionError) as error:
        raise UnfitValue(
            f"{name_of(function)}({text!r}) is a {type(value).__name__} that JSON text can't hold ({error}). "
            "Wrap the function so that it returns text, numbers, lists or dictionaries."
        ) from None
    if isinstance(value, dict) and not all(isinstance(key, str) for key in value):  # Python says it only once
        warnings.warn(f"{name_of(function)} returns dictionaries with keys that are no text: in JSON, and in the "
                      "copy's answers, they are.", stacklevel=2)  # fmt: skip
    return made


def answers(function: Function, inputs: Iterable[str]) -> list[str]:
    return [answer(function, text) for text in inputs]


def changed_answer(function: Function, inputs: Sequence[str], expected: Sequence[str]) -> str:
    """Names the first input to which the function, asked again here and in a new Python, answers otherwise; or ""."""
    name = name_of(function)
    if isinstance(function, Inverse):
        function, inputs, expected = function.text, [*map(json.loads, expected)], [*map(to_json, inputs)]
    inputs = [str(text) for text in inputs]  # a labelled input would only repeat its answer
    try:
        again = answers(function, inputs)
    except UnfitFunction as error:
        return str(error)
    for text, *found in zip(inputs, expected, again, answers_elsewhere(function, inputs) or again, strict=True):
        # An error in a new Python may only say that something has been set up here.
        if len(kinds := set(found[:2] if found[2].startswith('{"error":') else found)) > 1:
            return (
                f"{name} gives {' and '.join(f'{kind:.200}' for kind in sorted(kinds))} for {shown(text)}. It gives "
                "another value each time, or in another process, or on another day, and can't be copied: sort what "
                "comes out of a set, seed what is random, and wrap in a lambda what is set up while the program runs. "
                "Or the answers kept with the inputs are those of another function."
            )
    return ""


def answers_elsewhere(function: Function, inputs: Sequence[str], seconds: float = 20) -> list[str] | None:
    """The answers in a new Python, where text has other hashes; None where the function is not found there."""
    if ASKED in os.environ:  # the function's module itself learns a copy while it is imported
        return None
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    path = os.pathsep.join(filter(None, sys.path))
    environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": path, ASKED: "1"}
    try:
        found = subprocess.run([sys.executable, "-c", ELSEWHERE], input=pickle.dumps((function, inputs)), check=True,
                               capture_output=True, timeout=seconds, env=environment)  # fmt: skip
        return json.loads(found.stdout)
    except Exception:
        return None


def to_json(value: Any) -> str:
    """Compact JSON. Named tuples become lists; what JSON can't hold raises TypeError or ValueError."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


class Inverse:
    """What undoes `function`: nobody wrote it, but the function makes as many examples of it as are needed."""

    def __init__(self, function: Function):
        self.function = function

    def __call__(self, text: str) -> Any:
        raise NoFunction(f"The {name_of(self)} is not known for {text!r}.")

    def text(self, value: str) -> str:
        """What the function makes of a value, as text: an input of the inverse."""
        made = self.function(value)
        return made if isinstance(made, str) else to_json(made)

    def pair(self, value: str) -> LabelledInput:
        """An input of the inverse, with its answer, the value."""
        return LabelledInput(self.text(value), to_json(value))

    def pairs(self, sampler: Sampler) -> Sampler:
        """A sampler of the inverse's inputs with their answers, from one of values, whose held-out rule stays."""

        def sample(rng: random.Random) -> str:
            for _ in range(1000):
                value = sampler(rng)
                try:
                    return self.pair(value)
                except RAISED as error:
                    raised = error
            raise UnfitFunction(
                f"{name_of(self.function)} raises on each of 1,000 inputs: {type(raised).__name__} on {value!r}."
            )

        if rule := getattr(sampler, "is_held_out", None):
            sample.is_held_out = lambda text: rule(json.loads(text.answer))  # type: ignore[attr-defined]
        return sample

    def certifies(self, value: Any, text: str) -> bool:
        """Whether the function makes just this text of the value: then it is correct, whoever found it."""
        try:
            return isinstance(value, str) and self.text(value) == text
        except RAISED:
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
