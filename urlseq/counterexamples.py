"""Inputs that a copy gets wrong: the function is an oracle that never tires, so they can be searched for."""

import dataclasses
import functools
import random

import hypothesis
from hypothesis import strategies as st

from urlseq.functions import Inverse
from urlseq.learned import LearnedCopy
from urlseq.samplers.noise import NOISES
from urlseq.sources import InputSource, sampler_of

# Of the mistakes among so many inputs, the shortest is shrunk.
TRIED_AT_ONCE = 1000


@dataclasses.dataclass
class Counterexample:
    """An input where copy and function differ. Of an inverse, `input` is the value, `predicted` what came back."""

    input: str
    expected: str
    predicted: str


def find_counterexample(
    copy: LearnedCopy, inputs: InputSource, tries: int = 10_000, seed: int = 0
) -> Counterexample | None:
    """The smallest input found where the copy and its function differ; None where none of `tries` inputs is one.

    Inputs, held-out ones and others, are tried as they are and with noise. The library `hypothesis` then drops and
    simplifies characters of the shortest counterexample, as long as it is one, and of the same kind: an input on which
    the function raises, or one that it answers.
    """
    sampler, rng = sampler_of(inputs), random.Random(f"{seed} counterexample")
    for done in range(0, tries, TRIED_AT_ONCE):
        count = min(TRIED_AT_ONCE, tries - done)
        drawn = [sampler(rng) for _ in range(-(-count // 2))]
        drawn += [rng.choice(NOISES)(rng, text) for text in drawn[: count // 2]]
        if found := counterexamples(copy, drawn):
            return shrink(copy, min(found, key=lambda example: (len(example.input), example.input)))
    return None


def counterexamples(copy: LearnedCopy, inputs: list[str]) -> list[Counterexample]:
    """Those of the inputs, of an inverse those of the function, that the copy can take and answers wrongly."""
    questions = {text: question for text in inputs if (question := question_for(copy, text)) is not None}
    found = copy.evaluate(list(questions.values()))
    rows = zip(questions, found.expected, found.predicted, strict=True)
    return [Counterexample(*row) for row in rows if row[1] != row[2]]


def question_for(copy: LearnedCopy, text: str) -> str | None:
    """What to ask the copy; None where the text is none that it, or the inverted function, takes."""
    if isinstance(copy.function, Inverse):
        try:
            text = copy.function.pair(text)
        except Exception:
            return None
    return None if copy.invalid_reason(text) else text


def shrink(copy: LearnedCopy, found: Counterexample) -> Counterexample:
    """The smallest counterexample that comes of this one by dropping characters and making them simpler."""

    def is_error(example: Counterexample) -> bool:
        return example.expected.startswith('{"error":')

    @functools.cache
    def example(text: str) -> Counterexample | None:
        examples = counterexamples(copy, [text])
        return examples[0] if examples and is_error(examples[0]) == is_error(found) else None

    # The first choice counts as the simplest, so each character is dropped if possible; but a random choice leaves
    # nearly all as they are, so what hypothesis begins with is a counterexample, too.
    choices = [st.sampled_from(["", simplify(character), *[character] * 30]) for character in found.input]
    texts = st.tuples(*choices).map("".join)
    settings = hypothesis.settings(max_examples=500, database=None, deadline=None, derandomize=True)
    try:
        text = hypothesis.find(texts, lambda text: example(text) is not None, settings=settings)
    except hypothesis.errors.NoSuchExample:
        return found
    return min(found, example(text) or found, key=lambda example: len(example.input))


def simplify(character: str) -> str:
    return "0" if character.isdigit() else "a" if character.isalpha() else character
