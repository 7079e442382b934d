import random

import pytest

from tests.conftest import untrained_copy, words, words_of
from urlseq import mining
from urlseq.functions import Inverse
from urlseq.learned import LearnedCopy
from urlseq.sampler import is_held_out


class WrongOn:
    """A decoder of `str.upper` that is wrong wherever a text holds a certain stretch."""

    def __init__(self, stretch: str):
        self.stretch = stretch

    def compare(self, texts):
        wanted = [f'"{text.upper()}"' for text in texts]
        got = [
            answer.replace("Z", "?") if self.stretch in text else answer
            for text, answer in zip(texts, wanted, strict=True)
        ]
        return wanted, got, [1.0] * len(texts), [True] * len(texts)


def broken(stretch: str) -> LearnedCopy:
    copy = untrained_copy(max_bytes=60)
    copy.compare = WrongOn(stretch).compare
    return copy


def letters(rng: random.Random) -> str:
    return "".join(rng.choices("abcxyz", k=rng.randint(0, 20)))


def test_the_smallest_counterexample_is_found():
    found = mining.find_counterexample(broken("z"), letters)
    assert (found.text, found.wanted, found.got) == ("z", '"Z"', '"?"')
    found = mining.find_counterexample(broken("zxz"), letters, tries=20_000)
    assert found.text == "zxz"


def test_a_copy_without_a_mistake_has_no_counterexample():
    assert mining.find_counterexample(broken("never drawn"), letters, tries=2000) is None


def test_what_the_function_refuses_is_no_smaller_one_of_what_it_answers():
    """The empty text is the smallest of all, and the copy is wrong there, too; but there the function raises."""

    def picky(text):
        if "y" not in text:
            raise ValueError
        return text.upper()

    copy = broken("")
    copy.function = picky
    copy.compare = lambda texts: (["a"] * len(texts), ["b"] * len(texts), [1.0] * len(texts), [True] * len(texts))
    start = mining.Counterexample("abyab", "a", "b")
    assert mining.smaller(copy, start).text == "y"


def test_hard_inputs_are_wrong_ones_and_not_held_out():
    copy = broken("zz")
    hard = mining.hard_inputs(copy, letters, draws=4000)
    assert len(hard) > 50 and all("zz" in text and not is_held_out(text) for text in hard)
    assert hard == mining.hard_inputs(copy, letters, draws=4000)
    share = 0.5
    sampler, rng = mining.with_hard_inputs(copy, letters, share, draws=4000), random.Random(0)
    drawn = [sampler(rng) for _ in range(1000)]
    assert sum(text in hard for text in drawn) > 1000 * share * 0.4
    assert mining.with_hard_inputs(broken("q"), letters, draws=400) is letters


@pytest.mark.slow
def test_mistakes_of_an_inverse_are_values_whose_text_does_not_lead_back(inverted):
    assert isinstance(inverted.function, Inverse)
    texts = words_of(300, seed=9)
    wrong = {mistake.text for mistake in mining.mistakes(inverted, texts)}
    answers = inverted([text.upper() for text in texts], beam=1)
    assert wrong == {text for text, answer in zip(texts, answers, strict=True) if not answer.certified}


@pytest.mark.slow
def test_a_learned_copy_fails_first_on_what_it_never_saw(learned):
    """Words of four letters are known, the digit that a mutation brings in is not."""
    found = mining.find_counterexample(learned, words)
    assert found is not None and len(found.text) <= 2


def test_no_more_inputs_are_tried_than_asked_for(monkeypatch):
    tried = []
    monkeypatch.setattr(mining, "mistakes", lambda copy, texts: tried.append(len(texts)) or [])
    assert mining.find_counterexample(broken("z"), letters, tries=2_301) is None
    assert tried == [1_000, 1_000, 301]
