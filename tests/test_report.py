import random
import sys

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from conftest import TEXT, random_model
from hypothesis import given
from matplotlib.figure import Figure
from test_evaluation import ANSWERS, columns, evaluation

from urlseq import plots
from urlseq.decoding import Decoder
from urlseq.report import (
    Progress,
    RecordPredictions,
    ShowPredictions,
    attempt,
    by_group,
    carets,
    duration,
    kind_of_mistake,
    kinds_of_mistakes,
)
from urlseq.task import Training
from urlseq.training import Schedule
from urlseq.vectorize import to_matrix

# ---------------------------------------------------------------- while it learns


def schedule_half_way() -> Schedule:
    schedule = Schedule(Training(examples=1000, batch_size=10))
    schedule.batches, schedule.seconds = 50, 61.0
    return schedule


def test_progress_is_one_line_an_epoch(capsys):
    progress = Progress(schedule_half_way())
    progress.on_train_batch_end(10, {"loss": 0.5})  # shown on a terminal alone
    progress.on_epoch_end(0, {"loss": 0.25, "val_exact": 0.5})
    line = capsys.readouterr().out
    assert line.count("\n") == 1
    assert "500 examples, loss 0.2500, held out: 50.00% exact, 1:01 gone, 1:01 left" in line
    assert duration(3599.9) == "59:59"


def test_on_a_terminal_the_line_fills_while_an_epoch_runs(capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    progress = Progress(schedule_half_way())
    for batch in range(11):
        progress.on_train_batch_end(batch, {"loss": 0.5})
    progress.on_epoch_end(0, {"loss": 0.5})
    assert [part.count("500 examples") for part in capsys.readouterr().out.split("\r")] == [0, 1, 1, 1]


def test_the_answers_of_each_epoch_are_kept(capsys):
    """They are those of the weights at its end."""
    inputs, models = ["abc", "", "é"], [random_model(seed) for seed in (4, 5)]
    expected = [Decoder(model, 12)(to_matrix(inputs)).answers for model in models]
    recorded = RecordPredictions(inputs, 12)
    recorded.set_model(random_model())
    for epoch, model in enumerate(models):
        recorded.model.set_weights(model.get_weights())
        recorded.on_epoch_end(epoch, {})
    assert recorded.answers == expected and expected[0] != expected[1]
    assert capsys.readouterr().out == ""


def test_answers_that_are_written_from_their_end_are_reversed():
    inputs, model = ["abc", "", "é"], random_model(4)
    recorded = RecordPredictions(inputs, 12, reverse_output=True)
    recorded.set_model(model)
    recorded.on_epoch_end(0, {})
    assert recorded.answers == [Decoder(model, 12, reverse_output=True)(to_matrix(inputs)).answers]
    assert recorded.answers != [Decoder(model, 12)(to_matrix(inputs)).answers]
    assert ShowPredictions(inputs, inputs, reverse_output=True).reverse_output


def test_the_answers_of_each_epoch_are_shown_if_they_have_changed(capsys):
    inputs, expected, models = ["abc", "é"], ['"ABC"', '"É"'], [random_model(seed) for seed in (4, 5)]
    shown = ShowPredictions(inputs, expected)
    shown.set_model(random_model())
    for number in (0, 0, 1):
        shown.model.set_weights(models[number].get_weights())
        shown.on_epoch_end(len(shown.answers), {})
        lines = [attempt(*row) for row in zip(inputs, expected, shown.answers[-1], strict=True)]
        again = len(shown.answers) > 1 and shown.answers[-1] == shown.answers[-2]
        assert capsys.readouterr().out == ("" if again else "\n".join([*lines, ""]))
    assert not any(map(str.__eq__, *shown.answers[1:]))


def test_predictions_have_room_for_the_longest_answer():
    assert ShowPredictions(["x", "y"], ["x" * 3_000, "x"]).max_answer_bytes > 3_000


# ---------------------------------------------------------------- mistakes


@pytest.mark.parametrize(("expected", "predicted", "kind"), [
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
def test_kinds_of_mistakes(expected, predicted, kind):
    assert kind_of_mistake(expected, predicted) == kind
    assert kinds_of_mistakes(evaluation([expected, "1"], [predicted, "1"])) == {kind: 1}


@pytest.mark.parametrize(("expected", "predicted", "line"), [
    ("abc", "abc", ""), ("abc", "axc", " ^"), ("abc", "ac", " ^"), ("ac", "axxc", " ^^"), ("abc", "ab", "  ^"),
    ("", "xy", "^^"), ("xy", "", "^"),
])  # fmt: skip
def test_differences_are_marked(expected, predicted, line):
    assert carets(expected, predicted) == line


@given(TEXT, TEXT)
def test_a_line_of_carets_is_empty_only_below_a_correct_answer(expected, predicted):
    line = carets(expected, predicted)
    assert (line == "") == (expected == predicted)
    assert len(line) <= len(predicted) + 1 and set(line) <= {" ", "^"}


def test_attempts_to_look_at():
    assert attempt("t", "abc", "abc") == "  t\n    ✓ abc"
    assert attempt("t", "abc", "axc").splitlines() == ["  t", "    ✗ axc", "       ^", "      abc"]
    assert len(attempt("t", "abc", "y" * 5000)) < 200


def test_groups():
    made = evaluation(["1", "2", "3"], ["1", "2", "x"])
    groups = by_group(made, lambda text: ["all", "last"] if text == "input 2" else ["all"])
    assert groups == {"all": (2, 3), "last": (0, 1)}


@given(ANSWERS.filter(bool))
def test_risk_and_coverage_by_counting(rows):
    made = evaluation(["1"] * len(rows), ["1" if good else "2" for _, good in rows])
    made.confidence, axes = columns(rows)[0], Figure().subplots()
    coverage, risk = plots.risk_coverage_curve(made, 0.5, axes).lines[0].get_data()
    surest_first = sorted(rows, key=lambda row: -np.float32(row[0]))
    for kept in range(1, len(rows) + 1):
        wrong = sum(not good for _, good in surest_first[:kept])
        assert coverage[kept - 1] == pytest.approx(kept / len(rows))
        assert risk[kept - 1] == pytest.approx(wrong / kept)


# ---------------------------------------------------------------- plots


@pytest.fixture
def axes():
    matplotlib.use("Agg")
    figure, axes = plt.subplots()
    yield axes
    figure.canvas.draw()  # labels and ticks are made now
    plt.close(figure)


def test_a_learning_curve_shows_exact_match_and_loss(axes):
    history = [{"examples": 10, "exact": 0.1, "loss": 2.0}, {"examples": 20, "exact": 0.2, "val_exact": 0.5, "loss": 1}]
    assert plots.learning_curve(history, axes) is axes
    (exact,) = axes.lines
    assert exact.get_xydata().tolist() == [[10, 0.1], [20, 0.5]]  # of the training where nothing is held out
    (loss,) = axes.figure.axes[1].lines
    assert loss.get_ydata().tolist() == [2, 1]


def test_an_attention_heatmap_has_a_label_for_each_byte_and_for_eos(axes):
    attention = np.random.default_rng(0).random((3, 5))
    assert plots.attention_heatmap("a é", "x\x01", attention, axes) is axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "␣", "·", "·", "■"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["x", "·", "■"]
    np.testing.assert_array_equal(axes.images[0].get_array(), attention)


def test_a_risk_coverage_curve_marks_the_threshold(axes):
    rng = random.Random(0)
    made = evaluation(["1"] * 8, [rng.choice("12") for _ in range(8)])
    made.confidence = np.arange(8) / 8
    plots.risk_coverage_curve(made, 0.5, axes)
    assert axes.lines[1].get_xdata() == [0.5, 0.5] and "0.500" in axes.get_legend().texts[0].get_text()
    plots.risk_coverage_curve(made, 2.0, axes)
    assert axes.get_legend().texts[-1].get_text() == "none is trusted"
