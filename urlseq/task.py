"""What is learned, and how: a `Task` is a function and where its inputs come from, `Training` the settings."""

import dataclasses
import functools
import json
import math
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import cast

import numpy as np

from urlseq.errors import InvalidSetting, UnfitFunction, WrongType
from urlseq.functions import Function, Inverse, answers, name_of
from urlseq.sampling import Sampler
from urlseq.sources import InputSource, draw, sampler_of
from urlseq.vectorize import byte_lengths, make_batch, shown

# A function whose answers have more bytes can't be copied.
LONGEST_ANSWER = 2048


@dataclasses.dataclass(frozen=True)
class Training:
    """How a task is learned. Training ends with `minutes` or `examples`, whichever is used up first; after 10 minutes
    if neither is given. It ends sooner where `until`, such as 0.999, is below the 95 % interval of the exact match.

    With a `folder`, the copy is saved there, and a training that was interrupted goes on where it stopped when the
    same call is made again. `learning_rate` is the schedule's peak; where exact match goes up and down, with small
    batches or many rare facts, a third of it is better. `loss` is a function of target and logits, by default
    `model.masked_crossentropy`. `validation_count` held-out inputs choose the best epoch.
    """

    minutes: float | None = None
    examples: int | None = None
    folder: str | Path | None = None
    seed: int = 0
    # Half of it finds later where to attend, twice as much wavers for longer.
    learning_rate: float = 1.2e-2
    batch_size: int = 64
    epoch_batches: int = 400
    validation_count: int = 2000
    until: float | None = None
    loss: Callable | None = None
    verbose: bool = True

    def __post_init__(self) -> None:
        if any(budget is not None and budget <= 0 for budget in (self.minutes, self.examples)):
            raise InvalidSetting(
                f"The budget has to be above 0, but minutes is {self.minutes} and examples is {self.examples}."
            )
        if self.batch_size < 1 or self.epoch_batches < 1 or self.validation_count < 0:
            raise InvalidSetting(
                f"batch_size {self.batch_size} and epoch_batches {self.epoch_batches} have to be above 0, and "
                f"validation_count {self.validation_count} at least 0."
            )
        if self.until is not None and not 0 < self.until < 1:
            raise InvalidSetting(f"until is a share of exact answers above 0 and below 1, such as 0.999: {self.until}.")

    @property
    def budget(self) -> dict:
        """Minutes and examples, of which at least one is a number."""
        return {"minutes": self.minutes or (None if self.examples else 10.0), "examples": self.examples}

    @property
    def held_out_count(self) -> int:
        """`validation_count`, or as many held-out inputs as it takes to reach `until`."""
        # All right, n inputs have an interval above n / (n + 1.96²): above `until` from about 1.96² / (1 - until) on.
        # Of twice as many, a few may be wrong.
        return max(self.validation_count, math.ceil(2 * 1.96**2 / (1 - self.until)) if self.until else 0)

    def used(self, seconds: float, examples: int) -> dict[str, float]:
        """The share of each part of the budget that is used up."""
        used = {"minutes": seconds / 60, "examples": examples}
        return {name: used[name] / limit for name, limit in self.budget.items() if limit}

    def progress(self, seconds: float, examples: int) -> float:
        """The share of the budget that is used up, 0 to 1."""
        return min(1.0, max(self.used(seconds, examples).values()))

    def record(self) -> dict:
        """The settings that decide what is learned, as plain JSON."""
        names = ("seed", "learning_rate", "batch_size", "epoch_batches", "validation_count", "until")
        loss = getattr(self.loss, "__name__", repr(self.loss)) if self.loss else "masked_crossentropy"
        return self.budget | {name: getattr(self, name) for name in names} | {"loss": loss}


@dataclasses.dataclass(frozen=True)
class Examples:
    """Inputs and the function's answers to them, as compact JSON."""

    inputs: list[str]
    answers: list[str]
    reverse_output: bool = False

    def __len__(self) -> int:
        return len(self.inputs)

    @functools.cached_property
    def lengths(self) -> np.ndarray:
        """Bytes of each input and its answer together, int64 [examples]."""
        return byte_lengths(self.inputs) + byte_lengths(self.answers)

    def rows(self, indices: Iterable[int]) -> "Examples":
        """The examples at these indices."""
        indices = list(indices)
        inputs, answers = ([texts[index] for index in indices] for texts in (self.inputs, self.answers))
        return Examples(inputs, answers, self.reverse_output)

    def distinct(self) -> "Examples":
        """Each input once."""
        return self.rows({text: row for row, text in enumerate(self.inputs)}.values())

    def batch(self, extra_steps: int = 0):
        """What `fit` takes of all these examples in one batch; see `make_batch`."""
        return make_batch(self.inputs, self.answers, self.reverse_output, extra_steps)


@dataclasses.dataclass(frozen=True)
class Task:
    """A function to copy, or one whose `inverse` is learned, and where the inputs come from.

    `inputs` may be a sampler (`random.Random -> str`), a list of texts, an Arrow array or a file; by default URLs of
    all kinds. For an inverse they are the function's inputs: what it makes of them is learned from. Inputs of more
    than `max_input_bytes` bytes of UTF-8 are left out. With `reverse_output` the network writes an answer from its end,
    on which the beginning may depend, as that of sums and of numbers in another base does, by their carries.
    """

    function: Function | None = None
    inputs: InputSource | None = dataclasses.field(default=None, repr=False)
    inverse: Function | None = None
    max_input_bytes: int = 128
    reverse_output: bool = False

    def __post_init__(self) -> None:
        if (self.function is None) == (self.inverse is None):
            raise InvalidSetting("Give a function to copy, or a function whose inverse is to be learned: one of them.")
        if not callable(function := self.inverse if self.function is None else self.function):
            raise WrongType(f"A function is needed, not {shown(str(function))}.")
        if self.max_input_bytes < 1:
            raise InvalidSetting(f"max_input_bytes has to be above 0, but it is {self.max_input_bytes}.")

    @functools.cached_property
    def target(self) -> Function:
        """The function that is learned: an `Inverse` where it is one."""
        return self.function if self.function is not None else Inverse(cast(Function, self.inverse))

    @functools.cached_property
    def sampler(self) -> Sampler:
        """Draws the inputs of what is learned."""
        if self.inputs is None:
            from urlseq.samplers import urls

            sampler = urls(self.max_input_bytes)
        else:
            sampler = sampler_of(self.inputs)
        return self.target.pairs(sampler) if isinstance(self.target, Inverse) else sampler

    def sample(self, count: int = 5, seed: int = 0) -> list[str]:
        """A few inputs to look at, none of them held out."""
        return self.examples(f"{seed} sample", count, held_out=False).inputs

    def expected(self, inputs: Iterable[str]) -> list[str]:
        """The function's answers, as compact JSON."""
        return answers(self.target, inputs)

    def draw(self, rng: random.Random, count: int, held_out: bool) -> list[str]:
        """`count` inputs, all of them held out or none."""
        return draw(self.sampler, rng, count, held_out, self.max_input_bytes)

    def examples(self, seed: str, count: int, held_out: bool) -> Examples:
        """`count` inputs with their answers, all of them held out or none."""
        inputs = self.draw(random.Random(seed), count, held_out)
        return self.labelled(inputs)

    def labelled(self, inputs: list[str]) -> Examples:
        """The inputs with their answers."""
        return Examples(inputs, self.expected(inputs), self.reverse_output)

    def record(self) -> dict:
        """The task as plain JSON, by the function's name."""
        function = self.target.function if isinstance(self.target, Inverse) else self.target
        inverse = self.inverse is not None
        return {"function": name_of(function), "inverse": inverse, "max_input_bytes": self.max_input_bytes,
                "reverse_output": self.reverse_output}  # fmt: skip

    def check(self, examples: Examples) -> None:
        """Raises UnfitFunction, with an example, where there is nothing to learn, or nothing that can be learned.

        Warns where a function has no inverse because it makes the same text of two inputs.
        """
        name = name_of(self.target)
        inputs, expected = examples.inputs, examples.answers
        if inputs and all(answer.startswith('{"error":') for answer in expected):
            raise UnfitFunction(f"{name} raises on each of {len(inputs):,} inputs: {expected[0]} on {inputs[0]!r}.")
        if len(inputs) > 1 and len(set(expected)) == 1:
            raise UnfitFunction(f"{name} gives {expected[0]} for each of {len(inputs):,} inputs: nothing to learn.")
        lengths = byte_lengths(expected)
        if lengths.max(initial=0) > LONGEST_ANSWER:
            row = int(lengths.argmax())
            raise UnfitFunction(
                f"{name}({shown(inputs[row])}) has {lengths[row]:,} bytes, and a copy's answer {LONGEST_ANSWER:,} at "
                f"most: {shown(expected[row])}. Give shorter inputs, or a function with shorter answers."
            )
        for text, answer in zip(inputs[:100], expected, strict=False):
            if not gives_again(self.target, text, answer):
                raise UnfitFunction(
                    f"{name}({text!r}) is not what it was before: either it gives another value each time, "
                    "and can't be copied, or the answers kept with the inputs are those of another function."
                )
        if isinstance(self.target, Inverse):
            rng = random.Random("collisions")
            self.target.warn_of_collision([self.sampler(rng) for _ in range(5000)])


def gives_again(function: Function, text: str, answer: str) -> bool:
    """Whether the function, called once more, confirms an answer; for an inverse, the inverted function does."""
    if isinstance(function, Inverse):
        return function.certifies(json.loads(answer), text)
    return answers(function, [str(text)]) == [answer]  # str: a labelled input would only repeat its answer
