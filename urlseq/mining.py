"""Learning from mistakes: the function is an oracle that never tires, so what a copy gets wrong can be looked for."""

import dataclasses
import functools
import random
from collections.abc import Sequence

import hypothesis
from hypothesis import strategies as st

from urlseq.functions import answer
from urlseq.inputs import mixture
from urlseq.learned import LearnedCopy
from urlseq.sampler import NOISES, Sampler, is_held_out, shorten
from urlseq.sources import Inputs, sampler_of, texts_for

# How many inputs are tried at once; of the mistakes among them, the shortest is made smaller.
TRIED_AT_ONCE = 1000


@dataclasses.dataclass
class Counterexample:
    """An input where copy and function differ. Of an inverse, `text` is the value and `got` what came back."""

    text: str
    wanted: str
    got: str


def mistakes(copy: LearnedCopy, texts: list[str]) -> list[Counterexample]:
    """Those of the texts that the copy answers wrongly. Texts that can't be inputs are no mistakes.

    An inverse is asked for the text itself, from what the function makes of it.
    """
    questions = [(text, question) for text in texts if (question := question_for(copy, text)) is not None]
    if not questions:
        return []
    evaluation = copy.evaluate([question for _, question in questions])
    rows = zip(questions, evaluation.wanted, evaluation.got, evaluation.right, strict=True)
    return [Counterexample(text, wanted, got) for (text, _), wanted, got, right in rows if not right]


def question_for(copy: LearnedCopy, text: str) -> str | None:
    """What to ask the copy; None where the text is none that it, or the inverted function, takes."""
    if copy.certifies:
        try:
            text = copy.function.pair(text)
        except Exception:
            return None
    return text if copy.refusal(text) is None else None


def find_counterexample(copy: LearnedCopy, inputs: Inputs, tries: int = 10_000, seed: int = 0) -> Counterexample | None:
    """The smallest input found where the copy and its function differ; None where none of `tries` inputs is one.

    Inputs and their mutations are tried, held-out ones and others; what is found is then made smaller by dropping
    and simplifying characters, by the library `hypothesis`, as long as the two still differ. An input that the
    function refuses is no smaller one of an input that it answers.
    """
    sampler, rng = sampler_of(inputs), random.Random(f"{seed} counterexample")
    for place in range(0, tries, TRIED_AT_ONCE):
        count = min(TRIED_AT_ONCE, tries - place)
        drawn = [sampler(rng) for _ in range(-(-count // 2))]
        drawn += [mutated(rng, text, copy.max_bytes) for text in drawn[: count // 2]]
        if found := mistakes(copy, drawn):
            return smaller(copy, min(found, key=lambda mistake: (len(mistake.text), mistake.text)))
    return None


def mutated(rng: random.Random, text: str, max_bytes: int) -> str:
    """The text with one of the sampler's kinds of noise, which know nothing of URLs."""
    return shorten(rng.choice(NOISES)(rng, text).replace("\0", ""), max_bytes)


def smaller(copy: LearnedCopy, found: Counterexample) -> Counterexample:
    """The smallest counterexample that comes of this one by dropping characters and making them simpler."""
    refused = is_refused(copy, found.text)

    @functools.cache
    def mistake(text: str) -> Counterexample | None:
        return next(iter(mistakes(copy, [text])), None) if is_refused(copy, text) == refused else None

    # The first choice counts as the simplest, so each character is dropped if possible; but a random choice leaves
    # nearly all as they are, so what hypothesis begins with is a mistake, too.
    choices = [st.sampled_from(["", simple(character), *[character] * 30]) for character in found.text]
    settings = hypothesis.settings(max_examples=500, database=None, deadline=None, derandomize=True)
    try:
        text = hypothesis.find(st.tuples(*choices).map("".join), lambda text: mistake(text) is not None,
                               settings=settings)  # fmt: skip
    except hypothesis.errors.NoSuchExample:
        return found
    return min(found, mistake(text), key=lambda mistake: len(mistake.text))


def simple(character: str) -> str:
    return "0" if character.isdigit() else "a" if character.isalpha() else character


def is_refused(copy: LearnedCopy, text: str) -> bool:
    function = copy.function.text if copy.certifies else copy.function
    return answer(function, text).startswith('{"error":')


def hard_inputs(copy: LearnedCopy, inputs: Inputs, draws: int = 20_000, seed: int = 0) -> list[str]:
    """Inputs that the copy gets wrong: half of the draws are the inputs' own, half mutations of those found wrong.

    None of them is held out, so they may be trained on.
    """
    sampler, rng = sampler_of(inputs), random.Random(f"{seed} hard inputs")

    def wrong(drawn_from: Sampler) -> list[str]:
        def can_be_asked(text: str) -> bool:
            return question_for(copy, text) is not None

        texts = texts_for(drawn_from, rng, draws // 2, held_out=False, check=can_be_asked)
        return [mistake.text for mistake in mistakes(copy, texts)]

    found = wrong(sampler)
    return sorted({*found, *(wrong(variations(found, sampler, copy.max_bytes)) if found else [])})


def variations(texts: Sequence[str], sampler: Sampler, max_bytes: int) -> Sampler:
    """The texts and their mutations, of which the same is held out as of `sampler`."""

    def sample(rng: random.Random) -> str:
        text = rng.choice(texts)
        return text if rng.random() < 0.5 else mutated(rng, text, max_bytes)

    sample.is_held_out = getattr(sampler, "is_held_out", is_held_out)
    return sample


def with_hard_inputs(
    copy: LearnedCopy, inputs: Inputs, share: float = 0.3, draws: int = 20_000, seed: int = 0
) -> Sampler:
    """The inputs, with a share of what the copy gets wrong and of mutations of that: to train it further on."""
    sampler = sampler_of(inputs)
    hard = hard_inputs(copy, sampler, draws, seed)
    return mixture(sampler, variations(hard, sampler, copy.max_bytes), weights=[1 - share, share]) if hard else sampler
