"""Samplers of what matches a regular expression, and of what a strategy of hypothesis draws."""

import functools
import os
import random
import re
from typing import Any

from urlseq.errors import InvalidSetting, MissingSource
from urlseq.samplers.like import Like
from urlseq.sampling import Sampler

LISTS, LONGEST_LIST = 10, 20  # that hypothesis makes at once: later ones would be variants of those before
POOL = 1000  # draws that the texts of a regular expression are recombined from


class StrategySampler:
    """Draws of a strategy of texts, some 1,000 a second. They depend on the generator alone; of a strategy of any text
    or number, on the constants of the program, too, which hypothesis tries. Drawing raises InvalidSetting.
    """

    def __init__(self, strategy: Any):
        self.strategy, self.texts = strategy, list[str]()
        self.rng: random.Random | None = None

    def __call__(self, rng: random.Random) -> str:
        if rng is not self.rng or not self.texts:
            self.rng, self.texts = rng, draws(self.strategy, rng)
        return self.texts.pop()


def draws(strategy: Any, rng: random.Random) -> list[str]:
    """Some fifty texts; of long ones, fewer."""
    import hypothesis as h

    texts: list[str] = []
    quiet = h.settings(max_examples=LISTS, phases=[h.Phase.generate], database=None, deadline=None,
                       suppress_health_check=list(h.HealthCheck))  # fmt: skip
    lists = h.given(h.strategies.lists(strategy, min_size=1, max_size=LONGEST_LIST))
    try:
        quiet(h.seed(rng.getrandbits(64))(lists(lambda drawn: texts.extend(drawn))))()
    except (h.errors.Unsatisfiable, h.errors.InvalidArgument) as error:
        raise InvalidSetting(f"{strategy} draws no text, or too long ones: {error}") from None
    return texts


@functools.cache
def matching(pattern: str) -> Sampler:
    """Texts that the whole of a regular expression matches. Raises InvalidSetting where it can't be read, or none does.

    Hypothesis would slow down a training. So its texts are only recombined, and what still matches is drawn.
    """
    from hypothesis import strategies as st

    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise InvalidSetting(f"{pattern!r} is no regular expression: {error}. Mend it, or give a Path.") from None
    # By itself `\d` would be digits of any script, and `.` any control character.
    plain = pattern.isascii() and not re.search(r"\\[NUux0fnrtv]", pattern)
    alphabet = st.characters(min_codepoint=32, max_codepoint=126) if plain else st.characters(codec="utf-8")
    sampler, rng = StrategySampler(st.from_regex(expression, fullmatch=True, alphabet=alphabet)), random.Random(pattern)
    recombined = Like([sampler(rng) for _ in range(POOL)])
    return lambda rng: next(text for text in iter(lambda: recombined(rng), None) if expression.fullmatch(text))


def is_expression(source: str) -> bool:
    """Whether a text is a regular expression, not the path of a file. Raises MissingSource where it is neither."""
    if os.path.exists(source):
        return False
    if re.search(r"[][\\(){}*+?|^$]", source) and not re.search(r"[^\\]\.([ct]sv|txt|jsonl|parquet|gz)$", source):
        return True
    raise MissingSource(f"There is no file {source}. Give a file or folder that exists, a list of inputs, or a regular "
                        "expression, which has one of the signs \\ [ ( { * + ? | and no such ending.")  # fmt: skip
