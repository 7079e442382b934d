import json

import numpy as np
import pytest
from conftest import TEXT, random_model, words_of
from hypothesis import assume, given
from hypothesis import strategies as st

from urlseq.decode import GreedyDecoder
from urlseq.evaluate import (
    Attempts,
    Evaluation,
    attempt,
    by_group,
    compare,
    interval,
    kind_of_mistake,
    kinds_of_mistakes,
    marked,
    reasons_against,
    risk_coverage,
    smallest_probability,
    threshold_for,
)
from urlseq.vectorize import to_matrix

# Few values, so that answers of equal confidence are common.
ANSWERS = st.lists(st.tuples(st.sampled_from([0.1, 0.5, 0.9, 0.99, 1.0]) | st.floats(0, 1, width=32), st.booleans()))


def columns(answers) -> tuple[np.ndarray, np.ndarray]:
    return np.array([sure for sure, _ in answers], np.float32), np.array([right for _, right in answers], bool)


def evaluation(wanted: list[str], got: list[str], trusted=None) -> Evaluation:
    texts = [f"text {row}" for row in range(len(wanted))]
    trusted = np.ones(len(wanted), bool) if trusted is None else np.array(trusted)
    return Evaluation(texts, wanted, got, np.ones(len(wanted)), trusted)


# ---------------------------------------------------------------- intervals


@pytest.mark.parametrize(("successes", "count", "low", "high"), [
    (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (5, 10, 0.2366, 0.7634), (1, 29, 0.0061, 0.1718),
    (81, 263, 0.2553, 0.3662), (990, 1000, 0.9817, 0.9946),
])  # fmt: skip
def test_wilsons_interval_against_known_values(successes, count, low, high):
    assert interval(successes, count) == pytest.approx((low, high), abs=1e-4)


def test_nothing_counted_says_nothing():
    assert interval(0, 0) == (0, 1)


@given(st.integers(0, 500), st.integers(1, 500))
def test_the_share_lies_in_its_interval(successes, count):
    assume(successes <= count)
    low, high = interval(successes, count)
    assert 0 <= low <= successes / count <= high + 1e-12 <= 1 + 1e-12
    closer = interval(successes * 10, count * 10)
    assert closer[1] - closer[0] < high - low


# ---------------------------------------------------------------- when to abstain


@given(ANSWERS)
def test_risk_and_coverage_by_counting(answers):
    confidence, right = columns(answers)
    coverage, risk = risk_coverage(confidence, right)
    surest_first = sorted(answers, key=lambda answer: -np.float32(answer[0]))
    for kept in range(1, len(answers) + 1):
        wrong = sum(not good for _, good in surest_first[:kept])
        assert coverage[kept - 1] == pytest.approx(kept / len(answers))
        assert risk[kept - 1] == pytest.approx(wrong / kept)


@given(ANSWERS, st.sampled_from([0.0, 0.1, 0.34, 0.5]))
def test_the_threshold_is_the_lowest_that_keeps_the_risk(answers, risk):
    confidence, right = columns(answers)

    def allowed(threshold):
        trusted = confidence >= threshold
        return (trusted & ~right).sum() <= risk * trusted.sum() and trusted.any()

    fitting = [float(candidate) for candidate in confidence if allowed(candidate)]
    threshold = threshold_for(confidence, right, risk)
    if fitting:
        assert threshold == min(fitting)
    else:
        assert not (confidence >= threshold).any()
    json.dumps(threshold, allow_nan=False)


# ---------------------------------------------------------------- against the function


def everything_decoded(decoder, texts, limit):
    decoded = decoder(to_matrix(texts), limit)
    return decoded.texts, decoded.confidence, decoded.ended


@pytest.mark.slow
def test_the_shortcut_says_what_decoding_everything_says(learned):
    # Words as long as those it knows, and longer ones, with letters it never saw: some answers are wrong.
    texts = [*words_of(60, seed=5), "", "abcdefghabcdefgh", "xyz", "é", "ABC", "hhhhhhhhhh"]
    wanted, got, confidence, ended = compare(learned.decoder, str.upper, texts, learned.limit)
    greedy, greedy_confidence, greedy_ended = everything_decoded(learned.decoder, texts, learned.limit)
    assert wanted == [json.dumps(text.upper(), ensure_ascii=False) for text in texts]
    right = [one == other for one, other in zip(wanted, got, strict=True)]
    assert any(right) and not all(right)  # both roads were taken
    assert got == greedy
    np.testing.assert_allclose(confidence, greedy_confidence, atol=1e-4)
    assert ended.tolist() == greedy_ended.tolist()


def test_a_copy_that_learned_nothing_is_right_by_no_road(random_tiny):
    texts = words_of(30)
    decoder = GreedyDecoder(random_tiny)
    _, got, confidence, ended = compare(decoder, str.upper, texts, 20)
    greedy, greedy_confidence, greedy_ended = everything_decoded(decoder, texts, 20)
    assert got == greedy
    np.testing.assert_allclose(confidence, greedy_confidence, atol=1e-4)
    assert ended.tolist() == greedy_ended.tolist()


def test_comparing_nothing(random_tiny):
    wanted, got, confidence, ended = compare(GreedyDecoder(random_tiny), str.upper, [], 20)
    assert (wanted, got, len(confidence), len(ended)) == ([], [], 0, 0)


def test_the_smallest_probability_skips_padding():
    target = np.array([[1, 2, 0], [2, 1, 3]])
    logits = np.log(np.array([[[0.1, 0.6, 0.2, 0.1], [0.1, 0.1, 0.5, 0.3], [0.01, 0.9, 0.05, 0.04]],
                              [[0.1, 0.1, 0.7, 0.1], [0.1, 0.8, 0.05, 0.05], [0.2, 0.2, 0.4, 0.2]]]))  # fmt: skip
    np.testing.assert_allclose(smallest_probability(target, logits + 5), [0.5, 0.2])


def test_an_untrained_copy_is_not_exact():
    model = random_model(seed=4)
    wanted, got, *_ = compare(GreedyDecoder(model), str.upper, words_of(50), 20)
    assert sum(one == other for one, other in zip(wanted, got, strict=True)) < 5


# ---------------------------------------------------------------- reasons


def reasons(texts, got, confidence=0.9, ended=True, threshold=0.5, seen=range(1, 128)):
    bytes_seen = np.zeros(256, bool)
    bytes_seen[list(seen)] = True
    return reasons_against(
        texts, got, np.full(len(texts), confidence), np.full(len(texts), ended), threshold, bytes_seen
    )


def test_nothing_speaks_against_a_sure_answer():
    assert reasons(["a", ""], ['"A"', '""']) == ["", ""]
    assert reasons([], []) == []


def test_each_reason_against():
    (unseen,) = reasons(["é"], ['"É"'])
    assert "bytes that training never did" in unseen
    (endless,) = reasons(["a"], ['"A"'], ended=False)
    assert "no end" in endless
    (unsure,) = reasons(["a"], ['"A"'], confidence=0.25)
    assert "0.250 is below 0.500" in unsure
    (broken,) = reasons(["a"], ['"A'])
    assert "no JSON" in broken


@given(st.lists(TEXT), st.sets(st.integers(1, 255)))
def test_unseen_bytes_are_found_in_just_the_texts_that_hold_them(texts, seen):
    found = reasons(texts, ["1"] * len(texts), seen=seen)
    assert [bool(reason) for reason in found] == [not set(text.encode()) <= seen for text in texts]


# ---------------------------------------------------------------- mistakes


def test_counts():
    made = evaluation(["1", "2", "3", "4"], ["1", "x", "3", "5"], trusted=[True, False, True, True])
    assert made.counts == {"count": 4, "exact": 2, "trusted": 3, "trusted_wrong": 1}
    assert made.mistakes() == [("text 1", "2", "x"), ("text 3", "4", "5")]
    assert str(made).startswith(
        "50.00% exact (2 of 4; 95 % interval 15.00% to 85.00%); 75.00% trusted, 1 of them wrong"
    )
    assert evaluation([], []).counts == {"count": 0, "exact": 0, "trusted": 0, "trusted_wrong": 0}


def test_groups():
    made = evaluation(["1", "2", "3"], ["1", "2", "x"])
    groups = by_group(made, lambda text: ["all", "last"] if text == "text 2" else ["all"])
    assert groups == {"all": (2, 3), "last": (0, 1)}


@pytest.mark.parametrize(("wanted", "got", "kind"), [
    ('["a"]', '["a"', "no JSON"),
    ('["a"]', "", "no JSON"),
    ('["abc"]', '["abd"]', "one character changed"),
    ('["abc"]', '["ac"]', "one character dropped"),
    ('["ac"]', '["abc"]', "one character added"),
    ('["abcdef"]', '["axydef"]', "several characters changed"),
    ('["abcdef"]', '["af"]', "several characters dropped"),
    ('["ab","c"]', '["a","bc"]', "parts divided in another way"),
    ('["abcdefg"]', '["xbcdefy"]', "changes in several places"),
])  # fmt: skip
def test_kinds_of_mistakes(wanted, got, kind):
    assert kind_of_mistake(wanted, got) == kind
    assert kinds_of_mistakes(evaluation([wanted, "1"], [got, "1"])) == {kind: 1}


@pytest.mark.parametrize(("wanted", "got", "line"), [
    ("abc", "abc", ""), ("abc", "axc", " ^"), ("abc", "ac", " ^"), ("ac", "axxc", " ^^"), ("abc", "ab", "  ^"),
    ("", "xy", "^^"), ("xy", "", "^"),
])  # fmt: skip
def test_differences_are_marked(wanted, got, line):
    assert marked(wanted, got) == line


@given(TEXT, TEXT)
def test_a_line_of_marks_is_empty_only_below_what_is_right(wanted, got):
    line = marked(wanted, got)
    assert (line == "") == (wanted == got)
    assert len(line) <= len(got) + 1 and set(line) <= {" ", "^"}


def test_attempts_to_look_at():
    assert attempt("t", "abc", "abc") == "  t\n    ✓ abc"
    assert attempt("t", "abc", "axc").splitlines() == ["  t", "    ✗ axc", "       ^", "      abc"]
    assert len(attempt("t", "abc", "y" * 5000)) < 200


def test_attempts_have_room_for_the_longest_answer():
    assert Attempts(str.upper, ["x" * 3_000, "x"]).limit > 3_000
