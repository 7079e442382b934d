import argparse
import functools
import html
import io
import json
import math
import operator
import random
import re
import warnings
from collections import namedtuple
from urllib.parse import urlparse

import pytest
from conftest import TEXT, words
from hypothesis import given
from hypothesis import strategies as st

from urlseq import functions
from urlseq.answering import parse
from urlseq.errors import NoFunction, UnfitFunction, WrongType
from urlseq.functions import (
    Inverse,
    answer,
    answers,
    answers_elsewhere,
    changed_answer,
    check_callable,
    function_named,
    name_of,
    to_json,
)
from urlseq.sampling import LabelledInput

Point = namedtuple("Point", "x y")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=10,
)


def test_named_tuples_become_lists():
    assert to_json(Point(1, Point("a", None))) == '[1,["a",null]]'
    assert answer(urlparse, "http://é.com/a?b#c") == '["http","é.com","/a","","b","c"]'


@given(JSON)
def test_any_json_value_comes_back_from_its_answer(value):
    assert json.loads(answer(lambda _: value, "")) == value


@pytest.mark.parametrize(("raised", "expected"), [(ValueError("x"), '{"error":"ValueError"}'),
                                                  (KeyError(1), '{"error":"KeyError"}'),
                                                  (RecursionError(), '{"error":"RecursionError"}')])  # fmt: skip
def test_errors_are_answers(raised, expected):
    def raises(text):
        raise raised

    assert answer(raises, "a") == expected


def test_urlparse_errors_are_answers():
    assert answers(urlparse, ["http://[", "a"]) == ['{"error":"ValueError"}', '["","","a","","",""]']


def test_leaving_the_program_is_an_answer(capsys):
    parser = argparse.ArgumentParser()
    parser.add_argument("--n", type=int)
    found = answers(lambda text: vars(parser.parse_args(text.split())), ["--n 3", "--n x"])
    assert found == ['{"n":3}', '{"error":"SystemExit"}']


@pytest.mark.parametrize("error", [TimeoutError("late"), MemoryError(), ConnectionResetError(), OSError(28, "full")])
def test_an_error_of_the_world_is_asked_again_and_then_told_but_never_an_answer(monkeypatch, error):
    monkeypatch.setattr(functions, "WAITS", (0, 0))
    asked = []

    def fails(times):
        def function(text):
            asked.append(text)
            if len(asked) <= times:
                raise error
            return text

        asked.clear()
        return function

    assert answer(fails(2), "the input") == '"the input"'
    with pytest.raises(UnfitFunction, match=rf"\('the input'\) raises {type(error).__name__} again.*return something"):
        answer(fails(3), "the input")


def test_an_error_of_a_value_is_the_functions_even_if_it_is_one_of_the_world_as_well():
    def unsupported(text):
        raise io.UnsupportedOperation(text)

    assert answer(unsupported, "a") == '{"error":"UnsupportedOperation"}'


def test_interruption_is_no_answer():
    def interrupted(text):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        answer(interrupted, "a")


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(10**5000, id="too many digits"),
        math.nan,
        math.inf,
        {1, 2},
        b"bytes",
        "half \ud83d",
        ["deep", {"er": object()}],
    ],
)
def test_what_json_cannot_hold_is_refused_with_the_input(value):
    def unfit(text):
        return value

    with pytest.raises(UnfitFunction, match="unfit.*the input"):
        answer(unfit, "the input")


def test_values_that_hold_themselves_are_refused():
    def endless(text):
        endless = []
        endless.append(endless)
        return endless

    with pytest.raises(UnfitFunction):
        answer(endless, "a")


# ---------------------------------------------------------------- what can be called, and answers the same elsewhere


@pytest.mark.parametrize("function", [urlparse, hex, str.upper, functools.cache(len), dict, lambda text, base=10: text,
                                      functools.partial(int, base=2), math.gcd])  # fmt: skip
def test_what_can_be_called_with_one_text_passes(function):
    check_callable(function)


def test_a_decorator_may_give_further_arguments():
    def with_ten(function):
        return functools.wraps(function)(lambda text: function(text, 10))

    check_callable(with_ten(lambda text, base: int(text, base)))


@pytest.mark.parametrize(("function", "message"), [
    ("upper", "A function is needed"), (None, "A function is needed"),
    (operator.add, r"add does not take one text alone \(missing.*Wrap it.*lambda text: .*add\(text, ...\)"),
    (Point, "Point does not take one text alone"), (lambda: 1, "take one text alone.*too many"),
])  # fmt: skip
def test_what_does_not_take_one_text_is_told_how_to_be_wrapped(function, message):
    with pytest.raises(WrongType, match=message):
        check_callable(function)


BY_HASH = """
def letters(text):
    print(text)
    return list(set(text))

def set_up(text):
    return READY
"""


@pytest.fixture
def by_hash(tmp_path, monkeypatch):
    """A function of a module, whose answers depend on the hashes of text; it is asked in a second Python, too."""
    monkeypatch.delenv(functions.ASKED)
    (tmp_path / "mine_by_hash.py").write_text(BY_HASH)
    monkeypatch.syspath_prepend(tmp_path)
    return function_named("mine_by_hash.letters")


def test_an_answer_that_depends_on_hashes_is_named(by_hash):
    inputs = ["a", "abcdefgh", "b"]
    changed = changed_answer(by_hash, inputs, answers(by_hash, inputs))
    assert re.match(r"mine_by_hash.letters gives \[.*\] and \[.*\] for 'abcdefgh'. .*sort what", changed)
    assert changed_answer(Inverse(by_hash), ["[]"], ['""']) == ""
    assert "inverse of mine_by_hash.letters gives" in changed_answer(Inverse(by_hash), ["x"], ['"abcdefgh"'])


def test_what_is_not_found_in_another_process_or_hangs_there_is_asked_here_alone(by_hash, monkeypatch):
    assert answers_elsewhere(urlparse, ["a:b"]) == answers(urlparse, ["a:b"])
    assert answers_elsewhere(lambda text: text, ["a"]) is answers_elsewhere(by_hash, ["a"], seconds=0) is None
    monkeypatch.setenv(functions.ASKED, "1")
    assert answers_elsewhere(by_hash, ["a"]) is None


def test_an_error_elsewhere_is_no_other_answer(by_hash, monkeypatch):
    monkeypatch.setattr("mine_by_hash.READY", True, raising=False)
    function = function_named("mine_by_hash.set_up")
    assert answers_elsewhere(function, ["a"]) == ['{"error":"NameError"}']
    assert changed_answer(function, ["a"], ["true"]) == ""
    assert "set_up gives false and true for 'a'" in changed_answer(function, ["a"], ["false"])


def test_a_function_that_can_not_be_asked_again_is_told(monkeypatch):
    def offline(text):
        raise OSError

    monkeypatch.setattr(functions, "WAITS", ())
    assert "raises OSError again and again" in changed_answer(offline, ["a"], ['"monday"'])


def test_keys_that_json_makes_text_are_told_once():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        assert answers(lambda text: {1: text}, ["a", "b"]) == ['{"1":"a"}', '{"1":"b"}']
    assert len(caught) == 1 and "keys that are no text" in str(caught[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        answer(lambda text: {text: (Point(1, 2), [text])}, "a")


@pytest.mark.parametrize(("function", "name"), [(urlparse, "urllib.parse.urlparse"), (hex, "hex"),
                                                (html.escape, "html.escape"), (str.title, "str.title")])  # fmt: skip
def test_names_go_both_ways(function, name):
    assert name_of(function) == name
    assert function_named(name) is function


@pytest.mark.parametrize(
    "name", ["", ".", "..x", "nowhere", "nowhere.at_all", "html.nothing", "html", "sys.path", "a b"]
)
def test_names_of_nothing_callable_are_refused(name):
    with pytest.raises(NoFunction, match="no function named"):
        function_named(name)


def test_a_module_that_lacks_another_says_which(tmp_path, monkeypatch):
    (tmp_path / "mine_that_lacks.py").write_text("import a_package_that_nobody_has\n\ndef f(text):\n    return text\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="a_package_that_nobody_has"):
        function_named("mine_that_lacks.f")


# ---------------------------------------------------------------- JSON


@given(JSON)
def test_an_answer_is_parsed_to_what_to_json_took(value):
    assert parse(to_json(value)) == (value, "")


@pytest.mark.parametrize("text", ["", "{", "NaN", "[-Infinity]", "1e999", "[" * 100_000, "1 2", "'a'"])
def test_what_is_no_json_has_no_value(text):
    assert parse(text) == (None, "the answer is no JSON")


# ---------------------------------------------------------------- inverses and inputs that carry their answer


def test_the_name_of_an_inverse():
    assert name_of(Inverse(str.upper)) == "inverse of str.upper"


def test_the_value_of_an_inverse_is_not_known():
    with pytest.raises(NoFunction, match="inverse of str.upper is not known for 'A'"):
        Inverse(str.upper)("A")


def test_an_input_that_carries_its_answer_is_not_computed():
    labelled = LabelledInput("a", '"of another function"')
    assert answer(str.upper, labelled) == '"of another function"'
    assert answers(str.upper, [labelled, "a"]) == ['"of another function"', '"A"']
    assert labelled == "a" and answer(str.upper, str(labelled)) == '"A"'


def test_the_inputs_of_an_inverse_are_the_functions_values_with_what_they_were_made_of():
    """Text stays as it is, other values become JSON; what raises is left out."""
    drawn = [Inverse(int).pairs(lambda rng: rng.choice(["7", "x"]))(random.Random(seed)) for seed in range(20)]
    assert {(text, text.answer) for text in drawn} == {("7", '"7"')}
    upper = Inverse(str.upper).pairs(words)(random.Random(0))
    assert json.loads(upper.answer).upper() == upper
    with pytest.raises(UnfitFunction, match="int raises on each of 1,000 inputs: ValueError on 'x'"):
        Inverse(int).pairs(lambda rng: "x")(random.Random(0))


def test_a_sampler_that_knows_what_is_held_out_decides_for_the_inverse():
    def sampler(rng):
        return words(rng)

    assert not hasattr(Inverse(str.upper).pairs(sampler), "is_held_out")  # then each text's own bytes decide
    sampler.is_held_out = lambda value: value.startswith("a")
    rule = Inverse(str.upper).pairs(sampler).is_held_out
    assert rule(LabelledInput("AB", '"ab"')) and not rule(LabelledInput("BA", '"ba"'))


def test_an_inverse_certifies_just_the_values_that_the_function_makes_the_text_of():
    assert Inverse(str.upper).certifies("ab", "AB") and Inverse(str.upper).certifies("aB", "AB")
    assert not any(Inverse(str.upper).certifies(value, "AB") for value in ("b", None, 5, ["ab"]))
    assert Inverse(int).certifies("7", "7") and not Inverse(int).certifies("x", "7")
