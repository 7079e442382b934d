"""A copy as an object: pickled, copied, in threads and other processes, in a notebook."""

import copy
import multiprocessing
import os
import pickle
import random
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import tensorflow as tf
from conftest import card, untrained_copy, words_of
from tensorflow.python.framework import ops

from urlseq import copy_function, learn
from urlseq.answering import Decoded
from urlseq.decoding import Decoder, gradients_forgotten
from urlseq.errors import Forked, InvalidSetting
from urlseq.functions import Inverse
from urlseq.inverse import InverseCopy
from urlseq.learned import LearnedCopy
from urlseq.sampling import LabelledInput
from urlseq.store import load
from urlseq.task import Examples

INPUTS = ["", "abc", "日本語", *words_of(5)]


@pytest.fixture(scope="module")
def unlearned():
    return untrained_copy()


# ---------------------------------------------------------------- copies of a copy


def through_pickle(copied):
    return pickle.loads(pickle.dumps(copied))


@pytest.mark.parametrize("again", [through_pickle, copy.copy, copy.deepcopy])
def test_a_copy_of_a_copy_predicts_the_same(unlearned, again):
    other = again(unlearned)
    assert other.predict(INPUTS) == unlearned.predict(INPUTS)
    assert other.card == unlearned.card and other.function is str.upper
    other.set_weights([weights * 0 for weights in other.model.get_weights()])
    assert other.predict(INPUTS) != unlearned.predict(INPUTS)


def test_joblib_and_an_inverse():
    joblib = pytest.importorskip("joblib")
    task = card()["task"] | {"inverse": True}
    inverse = InverseCopy(untrained_copy().model, card(task=task), Inverse(str.upper))
    assert through_pickle(inverse).function.function is str.upper
    assert joblib.hash(inverse.predict(INPUTS)) == joblib.hash(through_pickle(inverse).predict(INPUTS))


def test_a_function_that_is_not_found_elsewhere_stays_behind(unlearned):
    local = LearnedCopy(unlearned.model, unlearned.card, lambda text: text)
    assert through_pickle(local).function is copy.deepcopy(local).function is None
    made, (known, weights, _) = unlearned.__reduce__()
    assert made(known, weights, b"cno_such_module\nfunction\n.").function is None
    assert made(known, weights, b"").predict(INPUTS) == unlearned.predict(INPUTS)


def test_threads_answer_the_same_from_the_first_call_on(unlearned):
    fresh = through_pickle(unlearned)
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(fresh.predict, INPUTS * 3)) == [unlearned.predict(text) for text in INPUTS] * 3


@pytest.mark.slow
def test_a_spawned_process_answers_the_same(unlearned):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply_async(unlearned.predict, [INPUTS]).get(300) == unlearned.predict(INPUTS)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_says_what_to_do_and_does_not_wait_for_ever(unlearned, tmp_path):
    program = f"""
import multiprocessing
from urlseq import load
copied = load({str(unlearned.save(tmp_path))!r})
calls = [copied, copied.predict_all, copied.embed, load]
with multiprocessing.get_context("fork").Pool(1) as pool:
    for call in calls:
        try:
            pool.apply_async(call, [{str(tmp_path)!r} if call is load else "abc"]).get(120)
        except Exception as error:
            print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 4
    assert all(line.startswith("Forked") and "Load it in each process" in line and "spawn" in line for line in lines)


def test_in_another_process_than_the_first_no_copy_answers(unlearned, monkeypatch):
    data = pickle.dumps(unlearned)
    monkeypatch.setattr(Decoder, "process", -1)
    for call in (unlearned, unlearned.predict, unlearned.embed, unlearned.attention, unlearned.evaluate):
        with pytest.raises(Forked, match="Load it in each process and not before, or start them by .*spawn"):
            call("a")
    other = pickle.loads(data)  # to fail here would have a pool of processes wait for ever
    for call in (lambda: other("a"), lambda: other.embed("a"), lambda: load("urlparse")):
        with pytest.raises(Forked):
            call()


# ---------------------------------------------------------------- another Python than the labels came from


def test_another_python_than_the_labels_came_from_is_told_once_when_the_function_is_asked():
    old = untrained_copy(versions={"python": "3.9.1"}, threshold=2.0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        old(["a"], fallback=True)
        old.evaluate(["a"])
        old.evaluate(["b"])
    (warning,) = caught
    assert "learned str.upper of Python 3.9.1; this is " in str(warning.message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        old.predict(["a"])
        untrained_copy(versions={"python": sys.version.split()[0]}).evaluate(["a"])
        untrained_copy().evaluate(["a"])


# ---------------------------------------------------------------- held-out inputs in the card, and what is shown


def with_examples(kept: int = 200, inputs: list[str] | None = None) -> LearnedCopy:
    copied, inputs = untrained_copy(), list(dict.fromkeys(inputs or words_of(300)))
    answers = [f'"{text}"' for text in inputs]
    answers[:5] = [prediction.text for prediction in copied.predict(inputs[:5])]  # so that something is exact
    copied.card["history"] = [{"examples": 10, "exact": 0.1, "loss": 2.0}, {"examples": 20, "exact": 0.2, "loss": 1.0}]
    copied.set_threshold(Examples(inputs, answers), kept)
    return copied


def test_the_card_keeps_some_of_the_held_out_inputs_and_is_evaluated_on_them(tmp_path):
    copied = with_examples()
    assert len(copied.examples) == 200 == len(set(copied.examples))
    assert isinstance(copied.examples[0], LabelledInput) and copied.card["examples"] == with_examples().card["examples"]
    loaded = load(copied.save(tmp_path))
    assert loaded.examples == copied.examples and loaded.function is None
    assert loaded.evaluate(loaded.examples).expected == [text.answer for text in copied.examples]
    assert len(with_examples(kept=7).examples) == 7
    for none in (with_examples(kept=0), untrained_copy()):
        with pytest.raises(InvalidSetting, match="keeps no held-out inputs: give some"):
            _ = none.examples


def test_long_inputs_fill_no_more_than_30_kb_of_the_card(monkeypatch):
    def compare(self, examples):
        return examples.answers, Decoded(examples.answers, np.ones(len(examples)), np.ones(len(examples), bool))

    monkeypatch.setattr(LearnedCopy, "compare", compare)
    copied, inputs = untrained_copy(), [f"{number:0500}" for number in range(300)]
    copied.set_threshold(Examples(inputs, [f'"{text}"' for text in inputs]))
    assert len(copied.card["examples"]) == 30_000 // 1002


def test_a_notebook_shows_what_there_is_to_know_of_a_copy():
    copied = with_examples(inputs=["<b>", *words_of(40)])
    copied.card["examples"] = {"<b>": '"<B>"', **copied.card["examples"]}
    shown = copied._repr_html_()
    count = copied.card["held_out_counts"]["count"]
    for part in ("str.upper", f"of {count}; 95 % interval", "nothing is trusted", "up to 12 bytes",
                 "weights", "&lt;b&gt;", "?"):  # fmt: skip
        assert part in shown, part
    assert "<b>" not in shown and shown.count("<tr>") == 5 + 5
    assert "<th>held-out inputs</th><td>none</td>" in untrained_copy()._repr_html_()


def test_a_report_has_four_plots():
    matplotlib.use("Agg")
    copied = with_examples()
    figure = copied.report()
    figure.canvas.draw()
    exact, loss = figure.axes[0].get_legend().texts
    assert (exact.get_text(), loss.get_text()) == ("exact match, held out", "training loss")
    bars = [bar.get_height() for bar in figure.axes[1].patches]
    assert len(bars) == 8 and np.mean(bars) == pytest.approx(copied.evaluate(copied.examples).correct.mean(), abs=0.01)
    assert "mistakes: " in figure.axes[3].get_xlabel() and sum(bar.get_width() for bar in figure.axes[3].patches) > 190
    plt.close(figure)
    figure = copied.report(["a", "ab"])
    assert "in 2 answers" in figure.axes[3].get_xlabel()
    plt.close(figure)


# ---------------------------------------------------------------- what a training leaves behind


def test_random_numbers_go_on_as_before_a_training(monkeypatch):
    monkeypatch.setattr(learn, "learn", lambda *_: random.random())
    random.seed(5)
    np.random.seed(5)
    expected = [random.random(), np.random.random()]
    random.seed(5)
    np.random.seed(5)
    drawn = [copy_function(str.upper, ["a"] * 20, seed=np.int64(3)) for _ in range(2)]
    assert drawn[0] == drawn[1] and [random.random(), np.random.random()] == expected


def test_gradients_that_are_registered_meanwhile_are_forgotten():
    registry = getattr(ops.gradient_registry, "_registry")  # noqa: B009
    same = tf.custom_gradient(lambda value: (value, lambda gradient: gradient))
    before = set(registry)
    with gradients_forgotten():
        tf.function(same).get_concrete_function(tf.constant(1.0))
        assert set(registry) > before
    assert set(registry) == before
