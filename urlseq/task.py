"""What is learned, and how: a `Task` is a function and where its inputs come from, `Training` the settings."""

import dataclasses
import functools
import math
import random
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from urlseq.encoding import shown
from urlseq.errors import InvalidSetting, UnfitFunction, UnfitValue
from urlseq.functions import Function, Inverse, answer, answers, changed_answer, check_callable, name_of
from urlseq.pairs import pairs_of
from urlseq.sampling import ListSampler, Sampler
from urlseq.sources import InputSource, draw, sampler_of
from urlseq.vectorize import byte_lengths, make_batch

# A function whose answers have more bytes can't be copied.
LONGEST_ANSWER = 2048


def plain_numbers(settings) -> None:
    """Makes numpy's numbers among the settings, a frozen dataclass, plain ones, which JSON can hold."""
    for name, value in vars(settings).items():
        if isinstance(value, np.generic):
            object.__setattr__(settings, name, value.item())


@dataclasses.dataclass(frozen=True)
class Training:
    """How a task is learned. Training ends with `minutes` or `examples`, whichever is used up first; after 10 minutes
    if neither is given. It ends sooner where `until`, such as 0.999, is below the 95 % interval of the exact match.

    With a `folder`, the copy is saved there, and a training that was interrupted goes on where it stopped when the
    same call is made again. `learning_rate` is the schedule's peak; where exact match goes up and down, with small
    batches or many rare facts, a third of it is better. `loss` is a function of target and logits, by default
    `model.masked_crossentropy`. `validation_count` held-out inputs choose the best epoch; up to `kept_examples` others
    stay in the card, with their answers. If some held-out pairs are answered wrongly, a quarter and a half of the
    pairs are learned, too, to tell whether more pairs would help; `learning_curve=False` leaves that out.
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
    kept_examples: int = 200
    verbose: bool = True
    learning_curve: bool = True

    def __post_init__(self) -> None:
        plain_numbers(self)
        if any(budget is not None and not budget > 0 for budget in (self.minutes, self.examples)):
            raise InvalidSetting(
                f"The budget has to be above 0, but minutes is {self.minutes} and examples is {self.examples}."
            )
        # Of an epoch of one batch, Keras would take the lengths for constant.
        if self.batch_size < 1 or self.epoch_batches < 2 or self.validation_count < 0:
            raise InvalidSetting(
                f"batch_size has to be at least 1 ({self.batch_size}), epoch_batches at least 2 "
                f"({self.epoch_batches}) and validation_count at least 0 ({self.validation_count})."
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

    def batch(self, extra: int = 0):
        """What `fit` takes of all these examples in one batch; see `make_batch`."""
        return make_batch(self.inputs, self.answers, self.reverse_output, extra)


@dataclasses.dataclass(frozen=True)
class Task:
    """A function to copy, or one whose `inverse` is learned, and where the inputs come from; or pairs alone.

    `inputs` may be a sampler (`random.Random -> str`), a list of texts, an Arrow array or a file; by default URLs of
    all kinds. `column` has them where the file is a table. For an inverse they are the function's inputs: what it
    makes of them is learned from. `pairs` are inputs with their outputs, as of `pairs.pairs_of`, and `columns` the two
    columns of a table of them. Inputs of more than `max_input_bytes` bytes of UTF-8, by default 128 or what the longest
    of the pairs has, are left out. With `reverse_output` the network writes an answer from its end, on which the
    beginning may depend, as that of sums and of numbers in another base does, by their carries.
    """

    function: Function | None = None
    inputs: InputSource | None = dataclasses.field(default=None, repr=False)
    inverse: Function | None = None
    max_input_bytes: int = cast(int, None)
    reverse_output: bool = False
    pairs: Any = None
    columns: Sequence[str] | None = None
    column: str | None = None
    # The inputs that were left out since their values can't be answers, and why.
    left_out: dict[str, str] = dataclasses.field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if sum(each is not None for each in (self.function, self.inverse, self.pairs)) != 1:
            raise InvalidSetting("Give a function to copy, or a function whose inverse is to be learned, or pairs: one "
                                 "of them.")  # fmt: skip
        if self.pairs is None:
            check_callable(self.inverse if self.function is None else self.function)
        elif self.inputs is not None:
            raise InvalidSetting("Pairs bring their inputs along: give no others.")
        else:
            object.__setattr__(self, "pairs", pairs_of(self.pairs, self.columns, self.max_input_bytes))
        if self.max_input_bytes is None:
            object.__setattr__(self, "max_input_bytes", self.pairs.max_input_bytes if self.pairs else 128)
        plain_numbers(self)
        if self.max_input_bytes < 1:
            raise InvalidSetting(f"max_input_bytes has to be above 0, but it is {self.max_input_bytes}.")

    @functools.cached_property
    def target(self) -> Function:
        """The function that is learned: an `Inverse` where it is one; None where there are pairs alone."""
        return cast(Function, self.function) if self.inverse is None else Inverse(self.inverse)

    @property
    def name(self) -> str:
        """Of the function, or of the pairs."""
        return self.pairs.name if self.pairs else name_of(self.target)

    @functools.cached_property
    def sampler(self) -> Sampler:
        """Draws the inputs of what is learned."""
        if self.pairs:
            return self.pairs.sampler
        if self.inputs is None:
            from urlseq.samplers import urls

            sampler = urls(self.max_input_bytes)
        else:
            sampler = sampler_of(self.inputs, self.column)
        if not isinstance(self.target, Inverse):
            return sampler
        # Which side an inverse's input is on, its own bytes decide, or its value, such as by the day.
        by_bytes, by_value = self.target.pairs(lambda rng: sampler(rng)), self.target.pairs(sampler)
        if isinstance(sampler, ListSampler) or not hasattr(by_value, "is_held_out"):
            return by_bytes
        # The function may make one input of several values: then it would be on both sides.
        rng, sides = random.Random("sides"), dict[str, bool]()
        drawn = ((text, by_value.is_held_out(text)) for text in (by_value(rng) for _ in range(5000)))
        return by_bytes if any(sides.setdefault(text, side) != side for text, side in drawn) else by_value

    def sample(self, count: int = 5, seed: int = 0) -> list[str]:
        """A few inputs to look at, none of them held out."""
        return self.examples(f"{seed} sample", count, held_out=False).inputs

    def expected(self, inputs: Iterable[str]) -> list[str]:
        """The function's answers, as compact JSON. Raises NoFunction on what is not among the pairs."""
        return answers(self.target, self.pairs.labelled(inputs) if self.pairs else inputs)

    def draw(self, rng: random.Random, count: int, held_out: bool) -> list[str]:
        """`count` inputs, all of them held out or none."""
        return draw(self.sampler, rng, count, held_out, self.max_input_bytes)

    def examples(self, seed: str, count: int, held_out: bool) -> Examples:
        """`count` inputs with their answers, all of them held out or none."""
        return self.labelled(self.draw(random.Random(seed), count, held_out))

    def labelled(self, inputs: Iterable[str]) -> Examples:
        """The inputs with their answers, without those whose values can't be answers: see `left_out`."""
        examples = Examples([], [], self.reverse_output)
        for text in inputs:
            try:
                found = answer(self.target, text)
                if (length := len(found.encode())) > LONGEST_ANSWER:
                    size = f"{length:,} bytes, and a copy's answer {LONGEST_ANSWER:,} at most"
                    advice = "Give shorter inputs, or a function with shorter answers."
                    raise UnfitValue(f"{self.name}({shown(text)}) has {size}: {shown(found)}. {advice}")
            except UnfitValue as error:
                self.left_out[text] = str(error)
            else:
                examples.inputs.append(text)
                examples.answers.append(found)
        return examples

    def record(self) -> dict:
        """The task as plain JSON, by the function's name; of pairs with `pairs`, what there is to tell of them."""
        name = self.name if self.inverse is None else name_of(self.inverse)
        counts = {"pairs": self.pairs.counts} if self.pairs else {}
        return {"function": name, "inverse": self.inverse is not None, "max_input_bytes": self.max_input_bytes,
                "reverse_output": self.reverse_output, **counts}  # fmt: skip

    def check(self, examples: Examples) -> None:
        """Raises UnfitFunction, with an example, where nothing can be learned; warns where there is no one inverse."""
        name, inputs, expected = self.name, examples.inputs, examples.answers
        if isinstance(self.sampler, ListSampler):  # those held out may be few, and all alike
            others = self.examples("check", 100, held_out=False)
            inputs, expected = inputs + others.inputs, expected + others.answers
        if 100 * len(self.left_out) > len(inputs):
            raise UnfitFunction(next(iter(self.left_out.values())))
        if inputs and all(answer.startswith('{"error":') for answer in expected):
            raise UnfitFunction(f"{name} raises on each of {len(inputs):,} inputs: {expected[0]} on {inputs[0]!r}.")
        if len(inputs) > 1 and len(set(expected)) == 1:
            raise UnfitFunction(f"{name} gives {expected[0]} for each of {len(inputs):,} inputs: nothing to learn.")
        if self.pairs:
            return
        if changed := changed_answer(self.target, inputs[:100], expected[:100]):
            raise UnfitFunction(changed)
        if isinstance(self.target, Inverse):
            rng = random.Random("collisions")
            self.target.warn_of_collision([self.sampler(rng) for _ in range(5000)])

    def check_again(self, examples: Examples) -> None:
        """Warns, after the training, of inputs that were left out, and where the function has changed meanwhile."""
        if self.left_out:
            first = next(iter(self.left_out.values()))
            warnings.warn(f"{len(self.left_out):,} inputs were left out of the training. {first}", stacklevel=4)
        if not self.pairs and (changed := changed_answer(self.target, examples.inputs[:20], examples.answers[:20])):
            warnings.warn(f"After the training: {changed}", stacklevel=4)
