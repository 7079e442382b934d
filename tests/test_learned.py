import json

import keras
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from conftest import untrained_copy, words_of
from test_learn import FRESH

from urlseq.answering import Decoded, Prediction
from urlseq.errors import InvalidInput, NoFunction, UnfitFunction, WrongType
from urlseq.evaluation import error_bound
from urlseq.learned import LearnedCopy
from urlseq.task import Examples
from urlseq.vectorize import to_matrix

INVALID = {"nul": "a\0b", "surrogate": "half \ud83d", "long": "a" * 13, "long by bytes": "é" * 7}


@pytest.fixture(scope="module")
def unlearned():
    return untrained_copy()


# ---------------------------------------------------------------- calling


def test_a_list_gives_what_its_inputs_give_one_at_a_time(unlearned):
    inputs = ["", "abc", "日本語", *words_of(12)]
    predictions = unlearned.predict(inputs)
    alone = [unlearned.predict(text) for text in inputs]
    assert [prediction.text for prediction in predictions] == [prediction.text for prediction in alone]
    np.testing.assert_allclose([p.confidence for p in predictions], [p.confidence for p in alone], atol=1e-5)
    assert unlearned(inputs) == [prediction.value for prediction in predictions] == [unlearned(text) for text in inputs]
    assert unlearned.predict_all(inputs) == predictions


@pytest.mark.slow
def test_a_learned_copy_gives_the_values(learned):
    inputs = FRESH[:30]
    correct = [value == text.upper() for value, text in zip(learned(inputs), inputs, strict=True)]
    assert np.mean(correct) >= 0.8
    text = inputs[correct.index(True)]
    prediction = learned.predict(text)
    assert json.loads(prediction.text) == prediction.value == text.upper()
    assert 0 < prediction.confidence <= 1 and prediction.trusted == (not prediction.reason)


def test_no_inputs_and_an_empty_input(unlearned):
    assert unlearned([]) == unlearned.predict([]) == unlearned.predict_all([]) == []
    assert unlearned([], fallback=True) == []
    assert unlearned.predict("").text == unlearned.predict([""])[0].text
    assert unlearned.evaluate([]).counts["count"] == 0


def test_one_input_alone_is_evaluated_as_one(unlearned):
    assert unlearned.evaluate("abc").inputs == ["abc"] and unlearned.evaluate("").counts["count"] == 1


def test_a_tuple_and_a_generator_are_lists_of_inputs(unlearned):
    assert unlearned(("a", "b")) == unlearned(text for text in "ab") == unlearned(["a", "b"])
    assert unlearned.predict_all(text for text in "ab") == unlearned.predict(["a", "b"])
    assert unlearned(iter("ab"), fallback=True) == unlearned(["a", "b"], fallback=True)
    assert unlearned.evaluate(iter("ab")).counts == unlearned.evaluate(["a", "b"]).counts
    np.testing.assert_array_equal(unlearned.embed(iter("ab")), unlearned.embed(["a", "b"]))


def test_texts_of_numpy_arrow_and_pandas_are_inputs(unlearned):
    expected = unlearned(["a", "b"])
    for inputs in (np.array(["a", "b"]), pa.array(["a", "b"]), list(pa.array(["a", "b"])), pd.Series(["a", "b"])):
        assert unlearned(inputs) == expected
    assert unlearned(np.str_("a")) == unlearned(pa.scalar("a")) == expected[0]


@pytest.mark.parametrize("call", ["__call__", "predict", "predict_all", "evaluate", "embed"])
@pytest.mark.parametrize(
    "inputs", [pd.DataFrame({"url": ["a"]}), {"url": "a"}, np.array([1, 2]), b"ab", 5, None, ["a", None]]
)
def test_what_holds_no_texts_is_told_in_one_line(unlearned, call, inputs):
    with pytest.raises(WrongType, match="needed, not|give one column|An input has to be text, but there is") as caught:
        getattr(unlearned, call)(inputs)
    assert "\n" not in str(caught.value) or isinstance(inputs, pd.DataFrame)


@pytest.mark.parametrize("kind", INVALID)
@pytest.mark.parametrize("call", ["__call__", "predict", "evaluate", "embed", "attention"])
def test_an_invalid_input_is_named(unlearned, kind, call):
    text = INVALID[kind]
    with pytest.raises(InvalidInput, match="call with fallback=True") as caught:
        getattr(unlearned, call)(text if call == "attention" else ["fine", text])
    assert repr(text) in str(caught.value) and unlearned.invalid_reason(text) in str(caught.value)


def test_of_an_invalid_input_the_reason_is_predicted(unlearned):
    inputs = ["fine", *INVALID.values(), "a"]
    first, *invalid, last = unlearned.predict_all(inputs)
    assert [first, last] == unlearned.predict(["fine", "a"])
    assert not unlearned.invalid_reason("fine")
    assert invalid == [Prediction(None, "", 0.0, False, unlearned.invalid_reason(text)) for text in INVALID.values()]
    reasons = ["NUL", "half a surrogate pair", "13 bytes, more than the 12 ", "14 bytes, more than the 12 "]
    assert all(part in prediction.reason for part, prediction in zip(reasons, invalid, strict=True))


def test_an_input_may_be_as_long_as_the_copy_allows(unlearned):
    assert isinstance(unlearned.predict("é" * 6).text, str)


@pytest.mark.parametrize("kind", INVALID)
def test_with_fallback_the_function_answers_invalid_inputs(unlearned, kind):
    if kind == "surrogate":
        with pytest.raises(UnfitFunction, match=r"ud83d"):  # str.upper's own value is no JSON text either
            unlearned(INVALID[kind], fallback=True)
        unlearned = LearnedCopy(unlearned.model, unlearned.card, len)
    assert unlearned(INVALID[kind], fallback=True) == unlearned.function(INVALID[kind])


def test_with_fallback_the_function_answers_what_is_not_trusted():
    inputs = ["abc", "", "é", *words_of(5)]
    doubtful = untrained_copy(threshold=1.01)
    assert not any(prediction.trusted for prediction in doubtful.predict(inputs))
    assert doubtful(inputs, fallback=True) == [text.upper() for text in inputs]


def test_without_fallback_the_function_is_not_called(unlearned):
    def never(text):
        raise AssertionError("called")

    copy = LearnedCopy(unlearned.model, unlearned.card, never)
    assert copy(["a", "b"]) == unlearned(["a", "b"])


def test_fallback_and_evaluation_ask_for_a_function(unlearned):
    alone = LearnedCopy(unlearned.model, unlearned.card)
    for call in (lambda: alone("a", fallback=True), lambda: alone.evaluate(["a"])):
        with pytest.raises(NoFunction, match=r"str\.upper.*load\(folder, function=\.\.\.\)"):
            call()


# ---------------------------------------------------------------- confidence, attention, vectors


def test_an_unseen_byte_is_a_reason(unlearned):
    prediction = unlearned.predict("é")
    assert not prediction.trusted and "never did" in prediction.reason


def test_attention_of_one_input(unlearned):
    answer, attention = unlearned.attention("abé")
    assert answer == unlearned.predict("abé").text
    assert attention.shape[1] == 5
    np.testing.assert_allclose(attention.sum(axis=1), 1, atol=1e-5)


def test_of_wrong_answers_none_is_trusted():
    copy, inputs = untrained_copy(), words_of(60)
    copy.set_threshold(Examples(inputs, [json.dumps(text.upper()) for text in inputs]))
    counts = copy.evaluate(inputs).counts
    assert counts["trusted"] == 0 and copy.card["trusted_risk"] is None
    assert {name: copy.card["held_out_counts"][name] for name in counts} == counts
    assert copy.promise == f"nothing is trusted: {counts['exact']} exact of 60 held-out inputs are too few"


@pytest.mark.parametrize(("count", "part"), [(40, "nothing is trusted"), (320, "at most 0.94 % of")])
def test_what_is_trusted_is_promised_as_far_as_the_examples_prove_it(monkeypatch, count, part):
    """Those that are not trusted anyway, for a byte that training never held, prove nothing."""
    inputs = [*(f"{number}" for number in range(count)), *(f"é{number}" for number in range(500))]
    expected = ['"0"'] * len(inputs)
    copy, decoded = untrained_copy(), Decoded(expected, np.ones(len(inputs)), np.ones(len(inputs), bool))
    monkeypatch.setattr(copy, "compare", lambda examples: (examples.answers, decoded))
    copy.set_threshold(Examples(inputs, expected))
    counts, risk = copy.card["held_out_counts"], copy.card["trusted_risk"]
    assert copy.promise.startswith(part) and (counts["trusted"], risk) in [(0, None), (320, error_bound(0, 320))]


def test_a_vector_begins_with_the_middle_of_each_of_the_models_own_states(unlearned):
    model = unlearned.model
    encoder = keras.Model(model.inputs, model.get_layer("states").output)
    for text in ["", "abc", "日本語"]:
        matrix = to_matrix([text]).astype(np.int32)
        states = encoder.predict_on_batch({"encoder_input": matrix, "decoder_input": matrix})[0]
        expected = (states.max(axis=0) + states.min(axis=0)) / 2
        assert unlearned.embed(text)[:16] == pytest.approx(expected, abs=1e-4)
