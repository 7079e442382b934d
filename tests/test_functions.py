import html
import json
import math
import random
from collections import namedtuple
from urllib.parse import urlparse

import pytest
from conftest import TEXT, words
from hypothesis import given
from hypothesis import strategies as st

from urlseq.__main__ import function_named
from urlseq.errors import NoFunction, NoKnownInverse, UnfitFunction
from urlseq.functions import Inverse, answer, answers, from_json, name_of, to_json
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


def test_interruption_is_no_answer():
    def interrupted(text):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        answer(interrupted, "a")


@pytest.mark.parametrize("value", [math.nan, math.inf, {1, 2}, b"bytes", "half \ud83d", ["deep", {"er": object()}]])
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
def test_from_json_gives_back_what_to_json_took(value):
    assert from_json(to_json(value)) == value


@pytest.mark.parametrize("text", ["", "{", "NaN", "[-Infinity]", "1e999", "[" * 100_000, "1 2", "'a'"])
def test_what_is_no_json_raises_a_value_error(text):
    with pytest.raises(ValueError):
        from_json(text)


# ---------------------------------------------------------------- inverses and inputs that carry their answer


def test_the_name_of_an_inverse():
    assert name_of(Inverse(str.upper)) == "inverse of str.upper"


def test_the_value_of_an_inverse_is_not_known():
    with pytest.raises(NoKnownInverse, match="inverse of str.upper is not known for 'A'"):
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
