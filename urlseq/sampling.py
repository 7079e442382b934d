"""The protocol of inputs: what a sampler is, which inputs are held out, and inputs that carry their answer."""

import random
import zlib
from collections.abc import Callable

# Any function of a random generator that returns an input. It may have an attribute `is_held_out`, a function of the
# input, where it knows better than `is_held_out` below what belongs together, such as all URLs of a host.
Sampler = Callable[[random.Random], str]

# One input in sixteen is held out: never trained on, whatever source it comes from.
HELD_OUT_SHARE = 16


def is_held_out(text: str) -> bool:
    """Whether an input belongs to validation: decided by a hash of its bytes, so that no input is on both sides.

    The empty text never does: it is one of a kind, and nothing else could teach its answer.
    """
    return bool(text) and zlib.crc32(text.encode()) % HELD_OUT_SHARE == 0


def held_out_rule(sampler: Sampler) -> Callable[[str], bool]:
    """The sampler's own rule of what is held out, or the general one."""
    return getattr(sampler, "is_held_out", is_held_out)


class LabelledInput(str):
    """An input that carries the function's answer as JSON text, so that the function is not called again."""

    __slots__ = ("answer",)
    answer: str

    def __new__(cls, text: str, answer: str):
        labelled = super().__new__(cls, text)
        labelled.answer = answer
        return labelled
