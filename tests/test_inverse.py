"""Copies of inverses, and what certifies them: with one that has learned, and with ones that are broken on purpose."""

import itertools
import warnings

import numpy as np
import pytest
from conftest import card, random_model, tiny_budget, words, words_of

from urlseq.answering import Decoded
from urlseq.errors import InvalidInput, NoFunction, UnfitFunction
from urlseq.functions import Inverse
from urlseq.inverse import InverseCopy
from urlseq.learn import copy_function
from urlseq.sampling import LabelledInput
from urlseq.store import load
from urlseq.vectorize import to_texts

INVERSE_OF_UPPER = Inverse(str.upper)
UNCERTIFIED = "the function does not certify it"


class Scripted:
    """A decoder, and a beam search, that give the answers they are told, correct or wrong."""

    def __init__(self, greedy: dict[str, str], beams: dict[str, list[str]]):
        self.greedy, self.beams, self.widths = greedy, beams, []

    def __call__(self, matrix):
        answers = [self.greedy[text] for text in to_texts(matrix)]
        return Decoded(answers, np.ones(len(answers), np.float32), np.ones(len(answers), bool))

    def beam_search(self, matrix, width):
        self.widths.append(width)
        return [[(0.25, answer) for answer in self.beams[text][:width]] for text in to_texts(matrix)]


def scripted(greedy: dict[str, str], beams=None, function=INVERSE_OF_UPPER) -> InverseCopy:
    copy = InverseCopy(random_model(), card(task=card()["task"] | {"inverse": True}), function)
    copy.decoder = Scripted(greedy, beams or dict.fromkeys(greedy, []))
    copy.beam_search = copy.decoder.beam_search
    return copy


def test_a_correct_answer_is_certified_and_needs_no_beam():
    copy = scripted({"AB": '"ab"'})
    prediction = copy.predict("AB")
    assert (prediction.value, prediction.trusted, prediction.reason) == ("ab", True, "")
    assert copy("AB") == "ab" and copy(["AB", "AB"]) == ["ab", "ab"]
    assert not copy.decoder.widths


@pytest.mark.parametrize("wrong", ['"abc"', '"a', "", "17", '["ab"]', "null", '{"error":"ValueError"}'])
def test_no_wrong_answer_is_ever_certified(wrong):
    copy = scripted({"AB": wrong}, {"AB": [wrong, '"ba"', "]"]})
    prediction = copy.predict("AB")
    assert (prediction.text, prediction.trusted, prediction.reason) == (wrong, False, UNCERTIFIED)
    assert copy("AB") is None


def test_the_first_answer_of_the_beam_that_is_certified_is_taken():
    beams = {"AB": ['"xx"', "[", '"aB"', '"ab"'], "CD": ['"cc"'], "EF": ['"ef"']}
    copy = scripted({"AB": '"xx"', "CD": '"cc"', "EF": '"ef"'}, beams)
    assert copy(["AB", "CD", "EF"], beam=4) == ["aB", None, "ef"]
    assert copy.decoder.widths == [4]
    first, second, third = copy.predict(["AB", "CD", "EF"], beam=4)
    assert (first.value, first.text, first.trusted, first.reason) == ("aB", '"aB"', True, "")
    assert first.confidence == 0.25 and second.confidence == 1.0  # that of its own answer
    assert (second.value, second.trusted, second.reason) == ("cc", False, UNCERTIFIED)
    assert (third.value, third.trusted) == ("ef", True)
    assert copy.decoder.widths == [4, 4]
    assert copy("AB", beam=1) is None and copy.predict("AB", beam=1).value == "xx" and copy.decoder.widths == [4, 4]


def test_many_inputs_that_are_not_certified_are_searched_in_batches():
    inputs = [word.upper() for word in dict.fromkeys(words_of(150))]
    copy = scripted(dict.fromkeys(inputs, "1"), {text: [f'"{text.lower()}"'] for text in inputs})
    assert copy(inputs) == [text.lower() for text in inputs]
    assert copy.decoder.widths == [16] * -(-len(inputs) // 64)


def test_a_function_that_raises_certifies_nothing():
    def odd(text):
        raise RuntimeError

    assert not Inverse(odd).certifies("a", "A")


def test_trust_is_the_certificate():
    predictions = scripted({"AB": '"ab"', "CD": '"x"'}).predict(["AB", "CD"])
    assert [prediction.trusted for prediction in predictions] == [True, False]
    assert predictions[1].reason == UNCERTIFIED


def test_without_the_function_confidence_decides_and_nothing_is_certified():
    copy = scripted({"AB": '"ab"', "CD": '"x'}, function=None)
    assert [prediction.trusted for prediction in copy.predict(["AB", "CD"])] == [True, False]
    assert not copy.decoder.widths
    with pytest.raises(NoFunction, match=r"str\.upper is needed: load\(folder, function=\.\.\.\)"):
        copy(["AB"])


def test_of_an_invalid_input_the_reason_is_predicted():
    copy = scripted({"AB": '"ab"'})
    invalid, certified = copy.predict_all(["A" * 13, "AB"])
    assert (invalid.value, invalid.trusted) == (None, False) and "13 bytes" in invalid.reason
    assert certified == copy.predict("AB")


def test_an_inverse_is_not_advised_to_fall_back():
    with pytest.raises(InvalidInput, match="Drop or mend it[.]$"):
        scripted({})("X" * 1000)


# ---------------------------------------------------------------- learned


@pytest.mark.slow
def test_an_inverse_is_learned_certified_kept_and_loaded(inverted, tmp_path):
    assert inverted.name == "inverse of str.upper" and inverted.is_inverse
    assert inverted.card["task"]["function"] == "str.upper"
    counts = inverted.card["held_out_counts"]
    assert counts["exact"] > 0.8 * counts["count"] and counts["trusted_wrong"] == 0
    inputs = [word.upper() for word in words_of(200, seed=5)]
    values = inverted(inputs)
    certified = [(text, value) for text, value in zip(inputs, values, strict=True) if value is not None]
    assert len(certified) > 0.9 * len(inputs)
    assert all(value.upper() == text for text, value in certified)
    assert sum(value is not None for value in inverted(inputs, beam=1)) <= len(certified)
    inverted.save(tmp_path)
    assert load(tmp_path, str.upper)(inputs) == values
    with pytest.raises(NoFunction, match="inverse of str.upper is needed"):
        load(tmp_path)(inputs)


@pytest.mark.slow
def test_an_inverse_is_evaluated_by_certificates_whether_the_answer_is_known_or_not(inverted):
    known = [INVERSE_OF_UPPER.pair(word) for word in words_of(50, seed=6)]
    assert all(isinstance(text, LabelledInput) for text in known)
    with_answers, without = inverted.evaluate(known), inverted.evaluate([str(text) for text in known])
    assert with_answers.counts == without.counts and with_answers.counts["exact"] > 40
    with pytest.raises(NoFunction):
        INVERSE_OF_UPPER("A")


@pytest.mark.slow
def test_a_function_that_is_not_injective_is_reported_with_a_colliding_pair_and_any_preimage_counts():
    def without_last(text):
        return text[:-1]

    with pytest.warns(UserWarning, match='makes .* of "[a-p]+" and of "[a-p]+", so it has no one inverse'):
        copy = copy_function(inverse=without_last, **tiny_budget() | {"inputs": words_and_a_letter})
    evaluation = copy.evaluate(words_of(100, seed=7))
    rows = zip(evaluation.inputs, evaluation.predicted, evaluation.correct, strict=True)
    for text, predicted, correct in rows:
        is_preimage = len(predicted) == len(text) + 3 and predicted.startswith(f'"{text}') and predicted.endswith('"')
        assert correct == is_preimage
    assert evaluation.correct.mean() > 0.8  # of none of the words an expected answer was known


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
    count = itertools.count()
    with pytest.raises(UnfitFunction, match="gives another value each time"):
        copy_function(inverse=lambda text: f"{next(count) % 9999:04}", **tiny_budget())
