"""The protocol of inputs: what a sampler is, which inputs are held out, and inputs that carry their answer."""

import functools
import random
import zlib
from collections.abc import Callable, Sequence

# Any function of a random generator that returns an input. It may have an attribute `is_held_out`, a function of the
# input, where it knows better than `is_held_out` below what belongs together, such as all URLs of a host.
Sampler = Callable[[random.Random], str]

# One input in sixteen is held out: never trained on, whatever source it comes from.
HELD_OUT_SHARE = 16
# Of so many different inputs in a list, or fewer, a sixteenth would tell little. Of 64 answers none wrong promises that
# at most 4.6 % are; with fewer, nothing can be trusted.
FEW_INPUTS, HELD_OUT_OF_FEW = 2000, 64


def is_held_out(text: str) -> bool:
    """Whether an input belongs to validation: decided by a hash of its bytes, so that no input is on both sides.

    The empty text never does: it is one of a kind, and nothing else could teach its answer.
    """
    return bool(text) and zlib.crc32(text.encode()) % HELD_OUT_SHARE == 0


def held_out_rule(sampler: Sampler) -> Callable[[str], bool]:
    """The sampler's own rule of what is held out, or the general one."""
    return getattr(sampler, "is_held_out", is_held_out)


def hash_rank(text: str) -> tuple[int, int, str]:
    """Sorts those that `is_held_out` to the front, and all others by their hash, too."""
    code = zlib.crc32(text.encode())
    return code % HELD_OUT_SHARE, code, text


class ListSampler:
    """Draws from a list. Of a long one, those inputs are held out that `is_held_out`; of one with at most `FEW_INPUTS`,
    64 or a quarter, the first by the rank of their hashes: so each stays on its side in whatever order they are.
    """

    def __init__(self, inputs: Sequence[str]):
        self.inputs = inputs

    def __call__(self, rng: random.Random) -> str:
        return rng.choice(self.inputs)

    @functools.cached_property
    def distinct(self) -> list[str]:
        return list(dict.fromkeys(self.inputs))

    @functools.cached_property
    def held_out(self) -> list[str]:
        """Each held-out input once."""
        if (count := len(self.distinct)) > FEW_INPUTS:
            return [*filter(is_held_out, self.distinct)]
        count = max(count // HELD_OUT_SHARE, min(count // 4, HELD_OUT_OF_FEW))
        return sorted(filter(None, self.distinct), key=hash_rank)[:count]

    @functools.cached_property
    def held_out_set(self) -> frozenset[str]:
        return frozenset(self.held_out)

    def is_held_out(self, text: str) -> bool:
        return text in self.held_out_set

    def part(self, parts: int) -> "ListSampler":
        """A list with one in `parts` of the inputs to train on, and the same held-out ones."""
        trained = sorted((text for text in self.distinct if not self.is_held_out(text)), key=hash_rank)
        part = ListSampler([*self.held_out, *trained[: len(trained) // parts]])
        part.held_out = self.held_out
        return part


class LabelledInput(str):
    """An input that carries the function's answer as JSON text, so that the function is not called again."""

    __slots__ = ("answer",)
    answer: str

    def __new__(cls, text: str, answer: str):
        labelled = super().__new__(cls, text)
        labelled.answer = answer
        return labelled
