import random

import numpy as np
import pytest
from conftest import untrained_copy, words, words_of

from urlseq import counterexamples, find_counterexample
from urlseq.answering import Decoded
from urlseq.counterexamples import Counterexample
from urlseq.functions import Inverse
from urlseq.learned import LearnedCopy
from urlseq.task import Examples


def decoded(answers: list[str]) -> Decoded:
    return Decoded(answers, np.ones(len(answers)), np.ones(len(answers), bool))


def wrong_on(part: str) -> LearnedCopy:
    """A copy of `str.upper` that is wrong wherever an input holds a certain part."""

    def compare(examples: Examples):
        rows = zip(examples.inputs, examples.answers, strict=True)
        return examples.answers, decoded(
            [answer.replace("Z", "?") if part in text else answer for text, answer in rows]
        )

    task = {"function": "str.upper", "inverse": False, "max_input_bytes": 60, "reverse_output": False}
    copy = untrained_copy(task=task)
    copy.compare = compare
    return copy


def letters(rng: random.Random) -> str:
    return "".join(rng.choices("abcxyz", k=rng.randint(0, 20)))


def test_the_smallest_counterexample_is_found():
    assert find_counterexample(wrong_on("z"), letters) == Counterexample("z", '"Z"', '"?"')
    found = find_counterexample(wrong_on("zxz"), letters, tries=20_000)
    assert found.input == "zxz"


def test_a_copy_without_a_mistake_has_no_counterexample():
    assert find_counterexample(wrong_on("never drawn"), letters, tries=2000) is None


def test_what_the_function_refuses_is_no_smaller_one_of_what_it_answers():
    """The empty input is the smallest of all, and the copy is wrong there, too; but there the function raises."""

    def picky(text):
        if "y" not in text:
            raise ValueError
        return text.upper()

    copy = wrong_on("")
    copy.function = picky
    copy.compare = lambda examples: (examples.answers, decoded(["b"] * len(examples)))
    assert counterexamples.shrink(copy, Counterexample("abyab", '"ABYAB"', "b")).input == "y"


@pytest.mark.slow
def test_counterexamples_of_an_inverse_are_values_whose_text_does_not_lead_back(inverted):
    assert isinstance(inverted.function, Inverse)
    values = words_of(300, seed=9)
    wrong = {example.input for example in counterexamples.counterexamples(inverted, values)}
    inverses = inverted([value.upper() for value in values], beam=1)
    assert wrong == {value for value, inverse in zip(values, inverses, strict=True) if inverse is None}


@pytest.mark.slow
def test_a_learned_copy_fails_first_on_what_it_never_saw(learned):
    """Words of four letters are known, the digit that a mutation brings in is not."""
    found = find_counterexample(learned, words)
    assert found is not None and len(found.input) <= 2


def test_no_more_inputs_are_tried_than_asked_for(monkeypatch):
    tried = []
    monkeypatch.setattr(counterexamples, "counterexamples", lambda copy, inputs: tried.append(len(inputs)) or [])
    assert find_counterexample(wrong_on("z"), letters, tries=2_301) is None
    assert tried == [1_000, 1_000, 301]
