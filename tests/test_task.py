import dataclasses
import itertools
import json
import math
import random
import warnings

import numpy as np
import pyarrow as pa
import pytest
from conftest import LETTERS, words, words_of

from urlseq import Architecture, Task, Training, copy_function, learn, samplers
from urlseq.errors import InvalidSetting, UnfitFunction, WrongType
from urlseq.evaluation import interval
from urlseq.functions import Inverse
from urlseq.sampling import LabelledInput, is_held_out
from urlseq.task import LONGEST_ANSWER, Examples
from urlseq.vectorize import byte_lengths


def any_case(rng) -> str:
    return "".join(rng.choices("abcABC", k=rng.randint(1, 6)))


# ---------------------------------------------------------------- how long and how


def test_ten_minutes_are_the_budget_of_those_who_give_none():
    assert Training().budget == {"minutes": 10.0, "examples": None}
    assert Training(examples=64).budget == {"minutes": None, "examples": 64}
    assert Training(minutes=1, examples=64).budget == {"minutes": 1, "examples": 64}


@pytest.mark.parametrize(("training", "seconds", "examples", "progress"), [
    (Training(), 60, 10**9, 0.1), (Training(minutes=2), 60, 10**9, 0.5), (Training(minutes=2), 500, 0, 1.0),
    (Training(examples=200), 10**9, 50, 0.25), (Training(examples=200), 0, 500, 1.0), (Training(1, 100), 30, 20, 0.5),
    (Training(1, 100), 30, 80, 0.8), (Training(1, 100), 0, 0, 0.0),
])  # fmt: skip
def test_the_part_of_the_budget_that_is_used_up_first_is_the_progress(training, seconds, examples, progress):
    assert training.progress(seconds, examples) == pytest.approx(progress)


@pytest.mark.parametrize("budget", [{"minutes": 0}, {"minutes": -1}, {"minutes": math.nan}, {"examples": 0},
                                    {"minutes": 1, "examples": -5}])  # fmt: skip
def test_a_budget_of_nothing_is_refused(budget):
    with pytest.raises(InvalidSetting, match="budget has to be above 0, but minutes is .* and examples is ") as caught:
        Training(**budget)
    assert all(f"{name} is {value}" in str(caught.value) for name, value in budget.items())


@pytest.mark.parametrize("until", [0, 1, -0.5, 99.9])
def test_a_target_is_a_share(until):
    with pytest.raises(InvalidSetting, match=f"above 0 and below 1, such as 0.999: {until}"):
        Training(until=until)


@pytest.mark.parametrize("until", [0.5, 0.9, 0.99, 0.999, 0.9999])
def test_a_target_can_be_reached_with_a_few_mistakes_on_as_many_held_out_inputs_as_it_takes(until):
    count = Training(until=until, validation_count=1).held_out_count
    assert interval(count - 2, count)[0] > until > interval(count - 5, count)[0]
    assert Training(until=until, validation_count=10**6).held_out_count == 10**6
    assert Training(validation_count=7).held_out_count == 7


@pytest.mark.parametrize(
    "counts", [{"batch_size": 0}, {"epoch_batches": -3}, {"epoch_batches": 1}, {"validation_count": -1}]
)
def test_counts_that_make_no_training_are_refused(counts):
    ((name, value),) = counts.items()
    with pytest.raises(InvalidSetting, match=rf"{name} (has to be )?at least . \({value}\)"):
        Training(**counts)
    assert Training(validation_count=0).validation_count == 0


def test_settings_are_frozen_and_changed_by_a_copy_of_them():
    for settings, change in ((Training(seed=1), {"seed": 2}), (Task(str.upper, words), {"max_input_bytes": 5})):
        changed = dataclasses.replace(settings, **change)
        assert changed != settings and changed == dataclasses.replace(settings, **change)
        for name, value in change.items():
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(settings, name, value)
            assert getattr(changed, name) == value != getattr(settings, name)


def test_a_change_is_checked_as_well():
    with pytest.raises(InvalidSetting, match="above 0"):
        dataclasses.replace(Training(), examples=0)
    with pytest.raises(InvalidSetting, match="above 0"):
        dataclasses.replace(Task(str.upper), max_input_bytes=0)


def some_loss(target, logits):
    return 0


def test_the_record_of_a_training_is_json_of_all_that_decides_what_is_learned():
    record = Training(examples=64, seed=3, folder="runs/mine", verbose=False).record()
    assert record == json.loads(json.dumps(record)) == {
        "minutes": None, "examples": 64, "seed": 3, "learning_rate": 1.2e-2, "batch_size": 64, "epoch_batches": 400,
        "validation_count": 2000, "until": None, "loss": "masked_crossentropy",
    }  # fmt: skip
    assert Training(loss=some_loss).record()["loss"] == "some_loss"
    changes = {"seed": 4, "learning_rate": 1.0, "batch_size": 1, "epoch_batches": 2, "validation_count": 1,
               "loss": some_loss, "minutes": 1.0, "examples": 65, "until": 0.5}  # fmt: skip
    assert changes.keys() == record.keys()
    for name, value in changes.items():
        assert Training(**{"examples": 64, "seed": 3, name: value}).record() != record, name


# ---------------------------------------------------------------- what is learned


@pytest.mark.parametrize("functions", [{}, {"function": str.upper, "inverse": str.upper}])
def test_a_task_has_a_function_or_an_inverse(functions):
    with pytest.raises(InvalidSetting, match="Give a function to copy, or a function whose inverse .* one of them"):
        Task(**functions)


@pytest.mark.parametrize(("value", "named"), [("html.escape", "'html.escape'"), (["a", "b"], r"\['a', 'b'\]")])
def test_what_is_no_function_is_refused(value, named):
    for task in ({"function": value}, {"inverse": value}):
        with pytest.raises(WrongType, match=f"A function is needed, not .*{named}"):
            Task(**task)


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_of_nothing_is_refused(limit):
    with pytest.raises(InvalidSetting, match=f"max_input_bytes has to be above 0, but it is {limit}"):
        Task(str.upper, max_input_bytes=limit)


def test_the_function_that_is_learned():
    assert Task(str.upper).target is str.upper
    inverse = Task(inverse=str.upper)
    assert isinstance(inverse.target, Inverse) and inverse.target.function is str.upper
    assert inverse.target is inverse.target


def test_any_callable_is_a_function():
    class Empty(dict):
        def __call__(self, text):
            return text

    function = Empty()  # false, as it has no items
    assert Task(function).target is function


def test_the_record_of_a_task_is_json():
    assert Task(str.upper).record() == {
        "function": "str.upper", "inverse": False, "max_input_bytes": 128, "reverse_output": False,
    }  # fmt: skip
    record = Task(inverse=str.upper, inputs=words, max_input_bytes=9).record()
    assert (record["function"], record["inverse"], record["max_input_bytes"]) == ("str.upper", True, 9)
    assert json.loads(json.dumps(record)) == record


def test_a_sample_is_valid_the_same_each_time_and_not_held_out():
    task = Task(str.upper, lambda rng: words(rng) * rng.randint(1, 5), max_input_bytes=7)
    sample = task.sample(50)
    assert sample == task.sample(50) != task.sample(50, seed=1)
    assert len(task.sample()) == 5 and not any(map(is_held_out, sample))
    assert byte_lengths(sample).max() <= 7


def test_without_inputs_they_are_urls_that_keep_the_limit():
    sample = Task(str.upper, max_input_bytes=40).sample(200)
    assert sum("://" in text for text in sample) > 20
    assert 30 < byte_lengths(sample).max() <= 40


@pytest.mark.parametrize("kind", [list, tuple, pa.array])
def test_inputs_may_be_a_list(kind):
    inputs = words_of(50)
    assert set(Task(str.upper, kind(inputs)).sample(20)) <= set(inputs)


def test_inputs_may_be_a_file(tmp_path):
    (tmp_path / "inputs.txt").write_text("one\ntwo\nthree\nfour\n")
    for path in (tmp_path / "inputs.txt", str(tmp_path / "inputs.txt")):
        assert set(Task(str.upper, path).sample(50)) <= {"one", "two", "three", "four"}


def test_a_file_is_read_once(tmp_path):
    (tmp_path / "inputs.txt").write_text("one\ntwo\nthree\nfour\n")
    task = Task(str.upper, tmp_path / "inputs.txt")
    sample = task.sample()
    (tmp_path / "inputs.txt").unlink()
    assert task.sample() == sample


def test_the_expected_answers_are_the_functions_as_json():
    assert Task(str.upper).expected(["é", "a b"]) == ['"É"', '"A B"']
    assert Task(int).expected(["12", "x"]) == ["12", '{"error":"ValueError"}']
    assert Task(str.upper).expected([]) == []
    assert Task(str.upper).expected([LabelledInput("a", '"kept"')]) == ['"kept"']


def test_of_an_inverse_inputs_are_the_functions_values_and_answers_what_they_are_made_of():
    task = Task(inverse=str.upper, inputs=words)
    sample = task.sample(20)
    assert all(set(text) <= set(LETTERS.upper()) for text in sample)
    assert task.expected(sample) == [json.dumps(text.lower()) for text in sample]


def test_no_input_of_an_inverse_is_on_both_sides_though_its_values_are():
    dates = samplers.dates("1990-01-01", "2020-12-31", minutes=1440)
    for function, rule in ((lambda date: date[5:], is_held_out), (lambda date: date + "!", dates.is_held_out)):
        task = Task(inverse=function, inputs=dates)
        held_out, trained = (set(task.draw(random.Random(side), 500, side)) for side in (True, False))
        assert held_out and not held_out & trained
        assert all(map(rule, held_out))


def test_the_limit_of_an_inverse_is_that_of_its_inputs():
    doubled = Task(inverse=lambda text: text * 2, inputs=words, max_input_bytes=4)
    assert set(byte_lengths(doubled.sample(50))) == {2, 4}


# ---------------------------------------------------------------- examples


@pytest.mark.parametrize("held_out", [True, False])
def test_examples_are_inputs_of_one_side_with_their_answers(held_out):
    task = Task(str.upper, words)
    examples = task.examples("seed", 30, held_out)
    assert len(examples) == len(examples.inputs) == 30
    assert {is_held_out(text) for text in examples.inputs} == {held_out}
    assert examples.answers == [json.dumps(text.upper()) for text in examples.inputs]
    assert examples == task.examples("seed", 30, held_out) != task.examples("another seed", 30, held_out)


def test_rows_and_lengths_of_examples():
    examples = Examples(["a", "é", "ccc"], ['"A"', '"É"', '"CCC"'])
    assert examples.lengths.tolist() == [1 + 3, 2 + 4, 3 + 5]
    assert examples.rows(np.array([2, 0])) == examples.rows([2, 0]) == Examples(["ccc", "a"], ['"CCC"', '"A"'])
    assert examples.rows(index for index in (1,)).lengths.tolist() == [6]
    assert Examples(["b", "a", "b"], ["1", "2", "1"]).distinct() == Examples(["b", "a"], ["1", "2"])
    assert len(examples.rows([])) == 0 == len(examples.rows([]).lengths)


# ---------------------------------------------------------------- what can't be learned


def raising(text):
    raise ValueError(text)


def steady(text):
    return "same"


def changing(text, numbers=itertools.count()):  # noqa: B008 - one counter for all calls is needed
    return next(numbers)


def long_winded(text):
    return text * LONGEST_ANSWER


@pytest.mark.parametrize(("function", "message"), [
    (raising, r'raising raises on each of 12 inputs: \{"error":"ValueError"\} on \''),
    (steady, 'steady gives "same" for each of 12 inputs: nothing to learn'),
    (changing, "changing gives .* and .* for .*another value each time"),
    (long_winded, r"long_winded\('[a-p]+'\) has .* bytes, and a copy's answer 2,048 at most: .*Give shorter inputs"),
])  # fmt: skip
def test_a_function_that_can_not_be_learned_is_refused_with_an_example(function, message):
    task = Task(function, words)
    with pytest.raises(UnfitFunction, match=message):
        task.check(task.examples("seed", 12, held_out=True))


@pytest.mark.parametrize("value", [{1, 2}, b"bytes", math.nan, object()])
def test_a_value_that_json_can_not_hold_is_refused(value):
    task = Task(lambda text: value, words)
    with pytest.raises(UnfitFunction, match="JSON text can't hold"):
        task.check(task.examples("seed", 12, held_out=True))


def test_a_few_values_that_can_be_no_answers_are_left_out_and_told():
    def rarely(text):
        return math.nan if text == "ab" else text * LONGEST_ANSWER if text == "ba" else text

    task = Task(rarely, words)
    held_out = task.examples("seed", 300, held_out=True)
    task.check(held_out)
    labelled = task.labelled(["ab", "c", "ba", "d"])
    assert labelled.inputs == ["c", "d"] and labelled.answers == ['"c"', '"d"']
    assert list(task.left_out) == ["ab", "ba"]
    with pytest.warns(UserWarning, match="2 inputs were left out of the training. .*a float that JSON text can't hold"):
        task.check_again(held_out)


def test_after_the_training_a_function_of_the_day_gives_a_warning():
    day = ["monday"]
    task = Task(lambda text: text + day[0], words)
    held_out = task.examples("seed", 12, held_out=True)
    task.check(held_out)
    task.check_again(held_out)
    day[0] = "tuesday"
    with pytest.warns(UserWarning, match="After the training: .*monday.* and .*tuesday.* for '.*another day"):
        task.check_again(held_out)


def test_answers_of_another_function_are_refused():
    task = Task(str.upper, lambda rng: LabelledInput(text := words(rng), json.dumps(text)))
    with pytest.raises(UnfitFunction, match="the answers kept with the inputs are those of another function"):
        task.check(task.examples("seed", 12, held_out=True))


def test_an_inverse_is_checked_by_its_function():
    count = itertools.count()
    task = Task(inverse=lambda text: f"{text}{next(count):04}", inputs=words)
    with pytest.raises(UnfitFunction, match="inverse of .* gives .* and .* for .*another value each time"):
        task.check(task.examples("seed", 12, held_out=True))


@pytest.mark.parametrize("task", [Task(str.upper, words), Task(inverse=str.upper, inputs=words)])
def test_what_can_be_learned_passes_without_a_word(task):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        task.check(task.examples("seed", 12, held_out=True))
        task.check(task.examples("seed", 0, held_out=True))


def test_two_values_of_which_a_function_makes_the_same_text_are_named_where_it_was_called(monkeypatch):
    class Enough(Exception):
        pass

    def instead_of_training(*_, **__):
        raise Enough

    monkeypatch.setattr(learn, "fit", instead_of_training)
    with pytest.warns(UserWarning, match='str.upper makes .* of ".*" and of ".*", so it has no one inverse') as caught:
        with pytest.raises(Enough):
            copy_function(inverse=str.upper, inputs=any_case, examples=10, validation_count=12)
    assert [warning.filename for warning in caught if "inverse" in str(warning.message)] == [__file__]


def test_numbers_of_numpy_are_plain_numbers_in_settings():
    task = Task(str.upper, words, max_input_bytes=np.int64(40), reverse_output=np.True_)
    training = Training(minutes=np.float32(2), examples=np.int64(9), seed=np.uint8(3), folder=np.str_("runs"))
    sizes = dataclasses.asdict(Architecture(units=np.int64(32), heads=np.int8(2)))
    assert json.dumps([task.record(), training.record(), sizes])
    assert (type(task.max_input_bytes), type(training.seed), training.folder) == (int, int, "runs")
