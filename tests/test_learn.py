import dataclasses
import itertools
import json

import numpy as np
import pytest
from conftest import LETTERS, LONGEST_WORD, tiny_architecture, untrained_copy, words, words_of

from urlseq import learn
from urlseq.answering import NONE_TRUSTED
from urlseq.errors import InvalidSetting, UnfitFunction
from urlseq.learn import copy_function
from urlseq.model import exact_match
from urlseq.sampling import is_held_out
from urlseq.task import Task, Training
from urlseq.vectorize import make_batch

FRESH = [text for text in dict.fromkeys(words_of(5000, seed=77)) if is_held_out(text)]
# Two epochs of five batches: nothing is learned, but everything is done.
BRIEF = {"architecture": tiny_architecture(), "attempts": 0, "examples": 80, "batch_size": 8, "epoch_batches": 5,
         "validation_count": 12, "max_input_bytes": 12, "verbose": False}  # fmt: skip


@pytest.fixture
def settings_of(monkeypatch):
    """What a call of `copy_function` settles on, without the training: (task, training, attempts, card)."""

    def settle(*arguments, **settings):
        found = []
        monkeypatch.setattr(learn, "build_model", lambda architecture: None)
        monkeypatch.setattr(learn.keras.utils, "clear_session", lambda: None)  # it takes half a second
        monkeypatch.setattr(learn, "learn", lambda model, card, task, training, attempts, callbacks: found.append(
            (task, training, attempts, card)))  # fmt: skip
        copy_function(*arguments, **settings)
        return found[0]

    return settle


# ---------------------------------------------------------------- learning


@pytest.mark.slow
def test_a_short_training_learns_the_function(learned):
    counts = learned.evaluate(FRESH).counts
    assert counts["count"] > 100
    assert counts["exact"] >= 0.9 * counts["count"]
    assert counts["trusted"] >= 0.5 * counts["count"]


def test_without_training_nothing_is_learned():
    counts = untrained_copy().evaluate(FRESH[:60]).counts
    assert counts["exact"] <= 0.05 * counts["count"]


@pytest.mark.slow
def test_the_card_tells_what_was_trained(learned):
    card = learned.card
    assert card["task"] == Task(str.upper, words, max_input_bytes=LONGEST_WORD).record()
    assert learned.name == "str.upper" and not learned.is_inverse
    assert card["held_out_counts"]["exact"] >= 0.9 * card["held_out_counts"]["count"]
    low, high = card["held_out_counts"]["interval"]
    assert 0.8 < low < high <= 1
    assert card["longest_answer"] == LONGEST_WORD + 2
    assert set(card["bytes_seen"]) == set(LETTERS.encode())
    assert "str.upper" in repr(learned) and str(LONGEST_WORD) in repr(learned)
    json.dumps(card, allow_nan=False)


@pytest.mark.slow
def test_exact_match_under_teacher_forcing_is_that_of_greedy_answers(learned):
    inputs = [*FRESH[:60], "", "hgfedcbahgfedcba", "xyz"]
    expected = [json.dumps(text.upper()) for text in inputs]
    model_inputs, target = make_batch(inputs, expected)
    forced = np.asarray(exact_match(target, learned.model.predict_on_batch(model_inputs)))
    greedy = learned.decoder(np.asarray(model_inputs["encoder_input"], np.uint8)).answers
    assert forced.tolist() == [predicted == answer for predicted, answer in zip(greedy, expected, strict=True)]
    assert 0 < forced.mean() < 1


def test_without_validation_nothing_is_measured_or_trusted_and_nothing_is_shown(capsys):
    settings = BRIEF | {"examples": 64, "epoch_batches": 2, "validation_count": 0, "attempts": ["abc"]}
    copy = copy_function(str.upper, words, **settings)
    assert "held_out_counts" not in copy.card and copy.card["trusted_risk"] is None
    assert copy.card["threshold"] == NONE_TRUSTED and copy.card["ended_by"] == "examples"
    assert capsys.readouterr().out == ""


@pytest.mark.slow
def test_an_epoch_is_shown_with_its_attempts(capsys):
    copy_function(str.upper, words, **BRIEF | {"verbose": True, "attempts": ["abc"]})
    shown = capsys.readouterr().out
    assert "Of this copy, nothing is trusted: " in shown and "Training ended after 0:" in shown.splitlines()[-1]
    assert shown.endswith(": the examples are used up.\n")
    assert shown.count("80 examples") == 1 and shown.count("held out: ") == 2 and shown.count('\n      "ABC"\n') == 2


# ---------------------------------------------------------------- the arguments


def test_the_short_form_and_the_objects_mean_the_same(settings_of):
    task, training = Task(str.upper, words, max_input_bytes=20), Training(examples=64, seed=3)
    short = settings_of(str.upper, words, max_input_bytes=20, examples=64, seed=3, attempts=2)
    assert short == settings_of(task, training, attempts=2)
    assert short == settings_of(task, training=training, attempts=2)
    assert short == settings_of(task, Training(examples=64), seed=3, attempts=2)
    assert short == settings_of(function=str.upper, inputs=words, training=training, max_input_bytes=20, attempts=2)
    assert short[:3] == (task, training, 2)
    inverse = settings_of(Task(inputs=words, inverse=str.upper), training)
    assert inverse == settings_of(inverse=str.upper, inputs=words, examples=64, seed=3)
    assert inverse[3]["task"] == inverse[0].record() and inverse[3]["task"]["inverse"]


def test_a_setting_for_a_training_changes_that_alone(settings_of):
    training = Training(minutes=5, batch_size=32)
    _, settled, *_ = settings_of(str.upper, words, training, learning_rate=1e-3)
    assert settled == Training(minutes=5, batch_size=32, learning_rate=1e-3)
    assert training == Training(minutes=5, batch_size=32)


def test_examples_alone_are_the_budget_whatever_else_is_set(settings_of):
    """Ten minutes are for those who give neither."""
    for settings in ({"examples": 64}, {"training": Training(seed=1), "examples": 64}):
        _, training, *_ = settings_of(str.upper, words, **settings)
        assert training.progress(seconds=10**9, examples=32) == 0.5
    _, training, *_ = settings_of(str.upper, words)
    assert training.progress(seconds=300, examples=10**9) == 0.5


def test_an_unknown_setting_is_named_with_all_that_there_are():
    with pytest.raises(InvalidSetting, match="There is no setting limit, minute[.] There are: ") as caught:
        copy_function(str.upper, limit=12, minute=3, seed=1)
    for name in ("max_input_bytes", "minutes", "inverse", "architecture", "attempts", "callbacks"):
        assert name in str(caught.value).split("There are")[1]


@pytest.mark.parametrize("settings", [{"inputs": words}, {"inverse": str.upper}, {"max_input_bytes": 12}])
def test_a_task_has_its_own_inputs_and_limits(settings):
    with pytest.raises(InvalidSetting, match="A Task has its own"):
        copy_function(Task(str.upper, words), **settings)


@pytest.mark.parametrize("arguments", [{}, {"function": str.upper, "inverse": str.upper}])
def test_one_function_is_needed(arguments):
    with pytest.raises(InvalidSetting, match="one of them"):
        copy_function(inputs=words, **arguments)


@pytest.mark.parametrize("budget", [{"examples": 0}, {"minutes": -1}])
def test_a_budget_of_nothing_is_refused(budget):
    """Taken as no limit, it would train for ever."""
    with pytest.raises(InvalidSetting, match="has to be above 0"):
        copy_function(str.upper, ["a", "b"], **budget)


# ---------------------------------------------------------------- what an interrupted training goes on from


class Weights:
    """As much of a model as is needed before its training begins."""

    def set_weights(self, weights):
        self.weights = weights

    def get_weights(self):
        return self.weights


class Enough(Exception):
    """Ends a call of `copy_function` where its training would begin."""


@pytest.fixture
def state_settings(monkeypatch, tmp_path):
    """The settings by which a call knows the state of its own training again, as they are on disk."""

    def settings_of_call(function=str.upper, **changes) -> dict:
        found = []

        def instead_of_training(model, batches, validation, checkpoint, callbacks):
            found.append(checkpoint.settings)
            raise Enough

        monkeypatch.setattr(learn, "fit", instead_of_training)
        monkeypatch.setattr(learn, "build_model", lambda architecture: Weights())
        monkeypatch.setattr(learn.keras.utils, "clear_session", lambda: None)  # it takes half a second
        with pytest.raises(Enough):
            copy_function(function, **BRIEF | {"inputs": words, "folder": tmp_path} | changes)
        return json.loads(json.dumps(found[0]))

    return settings_of_call


def other_words(rng) -> str:
    return words(rng) * 2


def test_what_is_shown_and_where_it_is_kept_is_no_part_of_a_training(state_settings, tmp_path):
    known = state_settings()
    assert known == state_settings(folder=tmp_path / "other", verbose=True, attempts=["abc"])


@pytest.mark.parametrize("changes", [
    {"seed": 1}, {"learning_rate": 1e-3}, {"max_input_bytes": 11}, {"inputs": other_words}, {"batch_size": 4},
    {"examples": 88}, {"minutes": 1}, {"epoch_batches": 6}, {"validation_count": 13}, {"until": 0.1},
    {"function": str.lower}, {"loss": lambda target, logits: 0},
    {"architecture": dataclasses.replace(tiny_architecture(), hidden=32)},
])  # fmt: skip
def test_another_training_does_not_go_on_from_the_state(state_settings, changes):
    assert state_settings(**changes) != state_settings()


# ---------------------------------------------------------------- what can't be copied


def steady(value):
    return lambda text: value


def raising(text):
    raise ValueError(text)


def changing(text, numbers=itertools.count()):  # noqa: B008 - one counter for all calls is needed
    return next(numbers)


def on_sets(text):
    return {text}


@pytest.mark.parametrize(("function", "message"), [
    (steady("same"), 'gives "same" for each of 9 inputs'),
    (raising, 'raises on each of 9 inputs: {"error":"ValueError"}'),
    (changing, "gives another value each time"),
    (on_sets, "JSON text can't hold"),
    (steady(float("nan")), "JSON text can't hold"),
])  # fmt: skip
def test_unfit_functions_are_told_before_training(monkeypatch, function, message):
    monkeypatch.setattr(learn, "fit", lambda *_, **__: pytest.fail("training began"))
    with pytest.raises(UnfitFunction) as caught:
        copy_function(function, words, max_input_bytes=12, examples=10, validation_count=12, verbose=False)
    assert message in str(caught.value)


def test_inputs_that_are_all_too_long_are_told_before_training(monkeypatch):
    monkeypatch.setattr(learn, "fit", lambda *_, **__: pytest.fail("training began"))
    with pytest.raises(InvalidSetting, match="too long"):
        copy_function(str.upper, lambda rng: "a" * 50 + words(rng), max_input_bytes=20, validation_count=12)
