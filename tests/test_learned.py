"""Copies of inverses, and their certificates: with one that has learned, and with ones that are broken on purpose."""

import warnings

import numpy as np
import pytest

from tests.conftest import card, random_model, tiny_budget, words, words_of
from urlseq.copying import copy_function, load
from urlseq.decode import Decoded
from urlseq.functions import Inverse, LabelledText, NoKnownInverse, UnfitFunction
from urlseq.learned import InverseCopy
from urlseq.vectorize import BadText, to_texts

INVERSE_OF_UPPER = Inverse(str.upper)


class Liar:
    """A decoder that gives out whatever it is told to, right or wrong."""

    def __init__(self, greedy: dict[str, str], beams: dict[str, list[str]]):
        self.greedy, self.beams, self.asked = greedy, beams, []

    def __call__(self, matrix, limit):
        answers = [self.greedy[text] for text in to_texts(matrix)]
        return Decoded(answers, np.ones(len(answers), np.float32), np.ones(len(answers), bool))

    def best(self, matrix, width, limit):
        self.asked.append(width)
        return [self.beams[text][:width] for text in to_texts(matrix)]


def liar(greedy: dict[str, str], beams: dict[str, list[str]] | None = None) -> InverseCopy:
    copy = InverseCopy(random_model(), card(function="inverse of str.upper"), INVERSE_OF_UPPER)
    copy.decoder = Liar(greedy, beams or dict.fromkeys(greedy, []))
    return copy


def test_a_right_answer_is_certified_and_no_beam_is_needed():
    copy = liar({"AB": '"ab"'})
    inverted = copy("AB")
    assert (inverted.value, inverted.certified, inverted.beam) == ("ab", True, 1)
    assert not copy.decoder.asked


@pytest.mark.parametrize("wrong", ['"abc"', '"a', "", "17", '["ab"]', "null", '{"error":"ValueError"}'])
def test_no_wrong_answer_is_ever_certified(wrong):
    inverted = liar({"AB": wrong}, {"AB": [wrong, '"ba"', "]"]})("AB")
    assert (inverted.value, inverted.certified) == (None, False)


def test_the_first_answer_of_the_beam_that_certifies_is_taken():
    beams = {"AB": ['"xx"', "[", '"aB"', '"ab"'], "CD": ['"cc"'], "EF": ['"ef"']}
    copy = liar({"AB": '"xx"', "CD": '"cc"', "EF": '"ef"'}, beams)
    first, second, third = copy(["AB", "CD", "EF"], beam=4)
    assert (first.value, first.certified, first.guess, first.beam) == ("aB", True, "xx", 4)
    assert (second.value, second.certified, second.guess) == (None, False, "cc")
    assert (third.value, third.beam) == ("ef", 1)
    assert not copy("AB", beam=1).certified and copy.decoder.asked == [4]


def test_a_function_that_raises_certifies_nothing():
    def odd(text):
        raise RuntimeError

    assert not Inverse(odd).certifies("a", "A")


def test_trust_is_the_certificate():
    predictions = liar({"AB": '"ab"', "CD": '"x"'}).predict(["AB", "CD"])
    assert [p.trusted for p in predictions] == [True, False]
    assert predictions[1].reason == "the function does not certify it"


@pytest.mark.slow
def test_an_inverse_is_learned_certified_kept_and_loaded(inverted, tmp_path):
    assert inverted.card["function"] == "inverse of str.upper"
    assert inverted.card["held_out"]["exact"] > 0.8 * inverted.card["held_out"]["count"]
    assert inverted.card["held_out"]["trusted_wrong"] == 0
    texts = [word.upper() for word in words_of(200, seed=5)]
    answers = inverted(texts)
    certified = [(text, answer.value) for text, answer in zip(texts, answers, strict=True) if answer.certified]
    assert len(certified) > 0.9 * len(texts)
    assert all(value.upper() == text for text, value in certified)
    assert sum(answer.certified for answer in inverted(texts, beam=1)) <= len(certified)
    inverted.save(tmp_path)
    assert [answer.value for answer in load(tmp_path, str.upper)(texts)] == [answer.value for answer in answers]
    with pytest.raises(ValueError, match="Without the function nothing can be certified"):
        load(tmp_path)(texts)


@pytest.mark.slow
def test_an_inverse_is_evaluated_by_certificates_whether_the_answer_is_known_or_not(inverted):
    known = [INVERSE_OF_UPPER.pair(word) for word in words_of(50, seed=6)]
    assert all(isinstance(text, LabelledText) for text in known)
    with_answers, without = inverted.evaluate(known), inverted.evaluate([str(text) for text in known])
    assert with_answers.counts == without.counts and with_answers.counts["exact"] > 40
    with pytest.raises(NoKnownInverse):
        INVERSE_OF_UPPER("A")


@pytest.mark.slow
def test_a_function_that_is_not_injective_is_reported_with_a_colliding_pair_and_any_preimage_counts():
    def without_last(text):
        return text[:-1]

    with pytest.warns(UserWarning, match='makes .* of "[a-p]+" and of "[a-p]+", so it has no one inverse'):
        copy = copy_function(inverse=without_last, **tiny_budget() | {"inputs": words_and_a_letter})
    evaluation = copy.evaluate(words_of(100, seed=7))
    for text, got, right in zip(evaluation.texts, evaluation.got, evaluation.right, strict=True):
        assert right == (len(got) == len(text) + 3 and got.startswith(f'"{text}') and got.endswith('"'))
    assert evaluation.right.mean() > 0.8  # none of the words was known to be the wanted one


def words_and_a_letter(rng) -> str:
    return words(rng) + rng.choice("ab")


@pytest.mark.slow
def test_an_injective_function_is_not_reported():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        copy_function(inverse=str.upper, **tiny_budget() | {"examples": 64})


def test_a_function_whose_every_value_raises_is_refused():
    with pytest.raises(UnfitFunction, match="int raises on each of 1,000 inputs: ValueError on"):
        copy_function(inverse=int, **tiny_budget())


def test_an_inverse_of_a_function_that_gives_another_value_each_time_is_refused():
    import itertools

    count = itertools.count()
    with pytest.raises(UnfitFunction, match="not what it was before"):
        copy_function(inverse=lambda text: f"{next(count) % 9999:04}", **tiny_budget())


@pytest.mark.parametrize("both_or_none", [{}, {"function": str.upper, "inverse": str.upper}])
def test_one_function_is_wanted(both_or_none):
    with pytest.raises(TypeError, match="one of them"):
        copy_function(inputs=words, **both_or_none)


def test_an_inverse_is_not_advised_to_fall_back():
    with pytest.raises(BadText, match="Train one with a larger max_bytes[.]$"):
        liar({})("X" * 1000)
