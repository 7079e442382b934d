import json
import time

import numpy as np
import pytest
from conftest import TEXT, untrained_copy, words_of
from hypothesis import assume, given
from hypothesis import strategies as st

from urlseq.answering import NONE_TRUSTED, Decoded, judge, parse
from urlseq.evaluation import (
    LARGEST_RISK,
    SURE,
    Evaluation,
    error_bound,
    interval,
    percent,
    probability_of,
    threshold_for,
)
from urlseq.functions import answers
from urlseq.learned import LearnedCopy
from urlseq.task import Examples

# Few values, so that answers of equal confidence are common.
ANSWERS = st.lists(st.tuples(st.sampled_from([0.1, 0.5, 0.9, 0.99, 1.0]) | st.floats(0, 1, width=32), st.booleans()))


def columns(rows) -> tuple[np.ndarray, np.ndarray]:
    """Confidence and correctness of such answers."""
    return np.array([confidence for confidence, _ in rows], np.float32), np.array([good for _, good in rows], bool)


def evaluation(expected: list[str], predicted: list[str], trusted=None) -> Evaluation:
    inputs = [f"input {row}" for row in range(len(expected))]
    trusted = np.ones(len(expected), bool) if trusted is None else np.array(trusted)
    return Evaluation(inputs, expected, predicted, np.ones(len(expected)), trusted)


# ---------------------------------------------------------------- intervals


@pytest.mark.parametrize(("successes", "count", "low", "high"), [
    (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (5, 10, 0.2366, 0.7634), (1, 29, 0.0061, 0.1718),
    (81, 263, 0.2553, 0.3662), (990, 1000, 0.9817, 0.9946),
])  # fmt: skip
def test_wilsons_interval_against_known_values(successes, count, low, high):
    assert interval(successes, count) == pytest.approx((low, high), abs=1e-4)


def test_the_interval_of_nothing_is_everything():
    assert interval(0, 0) == (0, 1)


@given(st.integers(0, 500), st.integers(1, 500))
def test_the_share_lies_in_its_interval(successes, count):
    assume(successes <= count)
    low, high = interval(successes, count)
    assert 0 <= low <= successes / count <= high + 1e-12 <= 1 + 1e-12
    closer = interval(successes * 10, count * 10)
    assert closer[1] - closer[0] < high - low


# ---------------------------------------------------------------- when to abstain


@given(st.integers(1, 30_000))
def test_the_error_bound_of_a_sample_without_errors(count):
    assert error_bound(0, count) == pytest.approx(1 - 0.05 ** (1 / count), abs=1e-8)
    assert error_bound(0, count + 1) < error_bound(0, count) <= 3 / count


@pytest.mark.parametrize(("wrong", "count", "bound"), [(1, 10, 0.39416), (3, 100, 0.07571), (5, 5, 1), (0, 0, 1)])
def test_the_error_bound_against_known_values(wrong, count, bound):
    assert error_bound(wrong, count) == pytest.approx(bound, abs=1e-5)


@given(st.integers(0, 300), st.integers(0, 3000))
def test_the_error_bound_rises_with_the_errors(wrong, correct):
    count = wrong + correct + 1
    assert wrong / count < error_bound(wrong, count) < error_bound(wrong + 1, count) + 1e-12


@given(ANSWERS.map(lambda rows: rows * 20), st.sampled_from([0.001, 0.01, 0.1, 0.34, 0.5]))
def test_the_threshold_is_the_lowest_that_keeps_the_risk_or_else_the_least_of_its_doubles(rows, risk):
    confidence, correct = columns(rows)
    bounds = {}
    for candidate in confidence.tolist():
        trusted = confidence >= candidate
        bounds[candidate] = error_bound(int((trusted & ~correct).sum()), int(trusted.sum()))
    threshold, bound = threshold_for(confidence, correct, risk)
    doubles = [risk, *(risk * 2**power for power in range(1, 9) if risk * 2**power < LARGEST_RISK), LARGEST_RISK]
    for allowed in doubles:
        least = 0 if allowed == risk else SURE
        fitting = [candidate for candidate in bounds if bounds[candidate] <= allowed and candidate >= least]
        if fitting:
            assert (threshold, bound) == (min(fitting), bounds[threshold])
            break
    else:
        assert (threshold, bound) == (NONE_TRUSTED, None)
    json.dumps(threshold, allow_nan=False)


def test_few_answers_prove_nothing_and_more_of_them_the_more():
    bounds = [threshold_for(np.ones(count), np.ones(count, bool), 0.001)[1] for count in (0, 148, 149, 2994, 2995)]
    assert bounds == [None, None, pytest.approx(0.02, abs=2e-4), *[pytest.approx(0.001, abs=1e-6)] * 2]
    assert bounds[3] > 0.001 > bounds[4]


def test_where_few_are_held_out_an_answer_has_to_be_sure_to_be_trusted():
    """Of 309 names held out, one was wrong, at a confidence of 0.33; of 2,000 others, 41 as sure were wrong."""
    few, many = np.repeat([SURE, 0.5], [300, 9]), np.repeat([SURE, 0.5], [3000, 9])
    assert threshold_for(few, np.ones(309, bool), 0.001)[0] == SURE
    assert threshold_for(many, np.ones(3009, bool), 0.001)[0] == 0.5
    assert threshold_for(few - 0.01, np.ones(309, bool), 0.001) == (NONE_TRUSTED, None)


def test_what_is_promised_of_trusted_answers_is_kept():
    """On simulated answers, of which the unsure are wrong more often: about 95 times in 100, as it is a 95 % bound."""
    rng, kept = np.random.default_rng(0), []
    for count in np.repeat([500, 1000, 5000], 100):
        unsure = rng.random(count)
        confidence = 1 - (1 - SURE) * unsure
        threshold, bound = threshold_for(confidence, rng.random(count) > 0.3 * unsure**4, 0.001)
        if bound is not None:
            kept.append(0.06 * ((1 - threshold) / (1 - SURE)) ** 4 <= bound)  # the mean error of all that are surer
    assert len(kept) > 250 and 0.9 < np.mean(kept) < 1


def test_many_answers_are_judged_in_no_time():
    rng = np.random.default_rng(0)
    confidence, correct = rng.random(20_000), rng.random(20_000) > 0.04
    start = time.process_time()
    threshold_for(confidence, correct, 0.001)
    assert time.process_time() - start < 1


# ---------------------------------------------------------------- compared with the function


def examples_of(inputs: list[str]) -> Examples:
    return Examples(inputs, answers(str.upper, inputs))


def assert_same_as_decoding(found: Decoded, copy: LearnedCopy, inputs: list[str]) -> None:
    everything = copy.decode(inputs)
    assert found.answers == everything.answers
    np.testing.assert_allclose(found.confidence, everything.confidence, atol=1e-4)
    assert found.ended.tolist() == everything.ended.tolist()


@pytest.mark.slow
def test_the_shortcut_gives_what_decoding_everything_gives(learned):
    # Words as long as those it knows, and longer ones, with letters it never saw: some answers are wrong.
    inputs = [*words_of(60, seed=5), "", "abcdefghabcdefgh", "xyz", "é", "ABC", "hhhhhhhhhh"]
    examples = examples_of(inputs)
    expected, found = learned.compare(examples)
    assert expected == examples.answers == [json.dumps(text.upper(), ensure_ascii=False) for text in inputs]
    correct = [expected == predicted for expected, predicted in zip(examples.answers, found.answers, strict=True)]
    assert any(correct) and not all(correct)  # both ways were taken
    assert_same_as_decoding(found, learned, inputs)


def test_without_training_the_shortcut_gives_what_decoding_gives():
    inputs, copy = words_of(30), untrained_copy()
    assert_same_as_decoding(copy.compare(examples_of(inputs))[1], copy, inputs)


def test_comparing_nothing():
    _, found = untrained_copy().compare(examples_of([]))
    assert (found.answers, len(found.confidence), len(found.ended)) == ([], 0, 0)


def test_the_probability_of_an_answer_skips_padding():
    target = np.array([[1, 2, 0], [2, 1, 3]])
    logits = np.log(np.array([[[0.1, 0.6, 0.2, 0.1], [0.1, 0.1, 0.5, 0.3], [0.01, 0.9, 0.05, 0.04]],
                              [[0.1, 0.1, 0.7, 0.1], [0.1, 0.8, 0.05, 0.05], [0.2, 0.2, 0.4, 0.2]]]))  # fmt: skip
    np.testing.assert_allclose(probability_of(target, logits + 5), [0.6 * 0.5, 0.7 * 0.8 * 0.2])


def test_an_untrained_copy_is_not_exact():
    expected, found = untrained_copy(seed=4).compare(examples_of(words_of(50)))
    assert sum(map(str.__eq__, expected, found.answers)) < 5


# ---------------------------------------------------------------- trust


def judged(inputs, predicted, confidence=0.9, ended=True, threshold=0.5, seen=range(1, 128)):
    bytes_seen, count = np.zeros(256, bool), len(inputs)
    bytes_seen[list(seen)] = True
    decoded = Decoded(predicted, np.full(count, confidence), np.full(count, ended))
    return judge(inputs, decoded, threshold, bytes_seen)


def test_a_confident_answer_is_trusted():
    predictions = judged(["a", ""], ['"A"', '""'])
    assert [(prediction.trusted, prediction.reason) for prediction in predictions] == [(True, "")] * 2
    assert [(prediction.value, prediction.text) for prediction in predictions] == [("A", '"A"'), ("", '""')]
    assert judged([], []) == []


def test_each_reason_not_to_trust_an_answer():
    (unseen,) = judged(["é"], ['"É"'])
    assert "bytes that training never did" in unseen.reason and unseen.value == "É"
    (endless,) = judged(["a"], ['"A"'], ended=False)
    assert "no end" in endless.reason
    (unsure,) = judged(["a"], ['"A"'], confidence=0.25)
    assert "0.2500 is below 0.5000" in unsure.reason
    (hopeless,) = judged(["a"], ['"A"'], confidence=1.0, threshold=NONE_TRUSTED)
    assert "too few held-out inputs" in hopeless.reason and not hopeless.trusted
    (broken,) = judged(["a"], ['"A'])
    assert "no JSON" in broken.reason and broken.value is None
    assert not any(prediction.trusted for prediction in (unseen, endless, unsure, broken))


@given(st.lists(TEXT), st.sets(st.integers(1, 255)))
def test_unseen_bytes_are_found_in_just_the_inputs_that_hold_them(inputs, seen):
    found = judged(inputs, ["1"] * len(inputs), seen=seen)
    assert [bool(prediction.reason) for prediction in found] == [not set(text.encode()) <= seen for text in inputs]


def test_what_is_no_json_has_no_value():
    assert parse("null") == (None, "") and parse("[1]") == ([1], "")
    assert parse("NaN") == parse("[") == parse("") == (None, "the answer is no JSON")


# ---------------------------------------------------------------- counts


def test_counts():
    made = evaluation(["1", "2", "3", "4"], ["1", "x", "3", "5"], trusted=[True, False, True, True])
    assert made.counts == {"count": 4, "exact": 2, "trusted": 3, "trusted_wrong": 1}
    assert made.mistakes() == [("input 1", "2", "x"), ("input 3", "4", "5")]
    assert made.correct.tolist() == [True, False, True, False]
    assert str(made).startswith(
        "50.00% exact (2 of 4; 95 % interval 15.00% to 85.00%); 75.00% trusted, 1 of them wrong"
    )
    assert evaluation([], []).counts == {"count": 0, "exact": 0, "trusted": 0, "trusted_wrong": 0}


@pytest.mark.parametrize(("part", "count", "text"), [
    (0, 0, "0.00%"), (1, 3, "33.33%"), (5, 5, "100.00%"), (99_994, 100_000, "99.99%"), (99_999, 100_000, "99.999%"),
])  # fmt: skip
def test_a_share_is_not_rounded_up_to_all(part, count, text):
    assert percent(part, count) == text
