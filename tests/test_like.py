"""Inputs without writing a sampler: recombined samples, regular expressions, and strategies of hypothesis."""

import random
import re
import sys
import time
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from urlseq import Task, samplers
from urlseq.errors import InvalidInput, InvalidSetting, MissingSource, WrongType
from urlseq.functions import answers
from urlseq.samplers import strategies
from urlseq.sampling import ListSampler
from urlseq.sources import draw, sampler_of

MODULE = sys.modules["urlseq.samplers.like"]  # in the package this name is the sampler's
MONTHS = "January February March April May June July August September October November December".split()
NUMERALS = {"M": 1000, "CM": 900, "D": 500, "CD": 400, "C": 100, "XC": 90, "L": 50, "XL": 40, "X": 10, "IX": 9, "V": 5,
            "IV": 4, "I": 1}  # fmt: skip


def drawn(sampler, count: int = 2000, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    return [sampler(rng) for _ in range(count)]


def word(rng: random.Random) -> str:
    """Of fifteen letters that follow each other as they like."""
    return "".join(rng.choices("abdefiklmnorstu", k=rng.randint(7, 9)))


def names(count: int = 400) -> list[str]:
    """Names with a title now and then, in one of two orders; no two have a part in common but the title."""
    rng, found = random.Random("names"), []
    for _ in range(count):
        first, last = word(rng).title(), word(rng).title()
        found.append(rng.choice([f"{first} {last}", f"{last}, {first}", f"Dr. {first} {last}"]))
    return found


def dates(count: int = 600) -> list[str]:
    rng = random.Random("dates")
    return [rng.choice([f"{rng.randint(1, 28)} {rng.choice(MONTHS)} {rng.randint(1900, 2099)}",
                        f"{rng.randint(1, 28):02}.{rng.randint(1, 12):02}.{rng.randint(1900, 2099)}"])
            for _ in range(count)]  # fmt: skip


def roman(number: int) -> str:
    text = ""
    for letters, value in NUMERALS.items():
        text += letters * (number // value)
        number %= value
    return text


VALUES = {roman(number): number for number in range(1, 400)}  # case 81: what is not among these raises an error


def shape(text: str) -> str:
    """The text with `a` for each word and `0` for each number."""
    return re.sub(r"\d+", "0", re.sub(r"[^\W\d_]+", "a", text))


# ---------------------------------------------------------------- like


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=12), min_size=1, max_size=40), st.integers(0, 99))
def test_any_texts_will_do_and_what_is_drawn_depends_on_the_generator_alone(samples, seed):
    found = drawn(samplers.like(samples), 30, seed)
    assert found == drawn(samplers.like(samples), 30, seed)
    assert all(isinstance(text, str) and text.encode() is not None for text in found)


def test_held_out_samples_lend_no_part_to_training():
    samples = names()
    likely = samplers.like(samples)
    held_out = {part for text in likely.real_held_out for part in re.findall(r"\w+", text)} - {"Dr"}
    trained = draw(likely, random.Random(0), 5000, held_out=False, max_input_bytes=64)
    assert len(likely.real_held_out) >= 64
    assert not held_out & {part for text in trained for part in re.findall(r"\w+", text)}
    assert not {*trained} & {*likely.held_out}


def test_held_out_inputs_are_the_real_ones_and_others_only_while_these_are_few(monkeypatch):
    samples = names()
    likely = samplers.like(samples)
    assert likely.real_held_out == ListSampler(samples).held_out == likely.held_out[:64]
    assert MODULE.ENOUGH_HELD_OUT < len(likely.held_out) < 2 * MODULE.ENOUGH_HELD_OUT
    assert {*draw(likely, random.Random(1), 10**4, held_out=True, max_input_bytes=256)} == {*likely.held_out}
    monkeypatch.setattr(MODULE, "ENOUGH_HELD_OUT", 64)
    assert samplers.like(samples).held_out == likely.real_held_out


def test_lengths_characters_and_shapes_are_as_of_the_samples():
    for samples in (names(), dates()):
        found = drawn(samplers.like(samples), 4000)
        characters = {*"".join(samples)}
        assert {*"".join(found)} <= characters | {*"".join(map(str.swapcase, samples))}
        lengths = [np.mean([len(text) for text in texts]) for texts in (samples, found)]
        assert abs(lengths[1] / lengths[0] - 1) < 0.15
        expected, counts = Counter(map(shape, samples)), Counter(map(shape, found))
        shares = [sum(min(expected[each] / len(samples), counts[each] / len(found)) for each in expected)]
        assert shares[0] > 0.75  # the rest are slips, and splices of two shapes


def test_what_has_often_been_seen_is_not_made_up_and_what_is_new_each_time_is():
    words = Counter(part for text in drawn(samplers.like(dates())) for part in re.findall(r"[A-Z][a-z]+", text))
    assert sum(words[month] for month in MONTHS) > 0.97 * words.total()  # all but slips
    years = {part for text in drawn(samplers.like(dates())) for part in re.findall(r"\d{4}", text)}
    assert len(years - {part for text in dates() for part in re.findall(r"\d{4}", text)}) > 20
    known = {part for text in names() for part in re.findall(r"\w+", text)}
    made_up = [part for text in drawn(samplers.like(names())) for part in re.findall(r"\w+", text) if part not in known]
    assert len({*made_up}) > 300 and np.mean([part.istitle() for part in made_up]) > 0.9


def test_a_function_finds_about_as_many_errors_as_in_the_samples():
    rng = random.Random("numerals")
    samples = [
        roman(rng.randint(1, 399)) + rng.choice(["", "", "X"]) for _ in range(300)
    ]  # many of the last are errors
    shares = [np.mean([text.startswith('{"error":') for text in answers(VALUES.__getitem__, texts)])
              for texts in (samples, drawn(samplers.like(samples)))]  # fmt: skip
    assert 0.2 < shares[0] < shares[1] < 0.7


def test_samples_may_be_an_array_and_belong_to_a_mixture():
    samples = names(100)
    assert drawn(samplers.like(pa.array(samples)), 50) == drawn(samplers.like(tuple(samples)), 50)
    mixed = samplers.mixture(samplers.like(samples), samplers.numbers(0, 10**6))
    held_out = draw(mixed, random.Random(0), 300, held_out=True, max_input_bytes=64)
    assert {text.isdigit() for text in held_out} == {True, False}
    assert not {*held_out} & {*draw(mixed, random.Random(1), 3000, held_out=False, max_input_bytes=64)}


@pytest.mark.parametrize("samples, error, message", [
    ([], InvalidSetting, "no samples"), (["a", None], WrongType, "Text 1 is missing"),
    ("John Smith", WrongType, "not one text"), (["a", 5], WrongType, "holds 5"),
    (["\ud800"], InvalidInput, "surrogate"), ({"a": "b"}, WrongType, "dict is no list"),
    (7, WrongType, "list of texts"),
])  # fmt: skip
def test_samples_that_are_none_are_refused(samples, error, message):
    with pytest.raises(error, match=message):
        samplers.like(samples)


def test_five_samples_are_refused_where_they_would_be_learned_from():
    with pytest.raises(InvalidSetting, match="5 different inputs are too few"):
        Task(str.upper, samplers.like(["a b", "c d", "e f", "g h", "i j"])).examples("0", 10, held_out=True)


def test_sampling_takes_hardly_any_time_beside_training():
    likely, start = samplers.like(names()), time.process_time()
    drawn(likely, 5000)
    assert time.process_time() - start < 5  # 0.1 s; a training takes 300 to 650 a second


# ---------------------------------------------------------------- regular expressions


@pytest.mark.parametrize("pattern", [
    r"[A-Z]{2}\d{4,6}", r"(?:Mr|Mrs|Dr)\. [A-Z][a-z]+", r"(\w)-\1", r"[01]{8}", r"yes|no", r"[^ab]{3}", r"a\tb\d",
    r"[à-ü]{3}", r"(?i)ab{2}", r".{2,9}",
])  # fmt: skip
def test_what_is_drawn_matches_all_of_the_expression(pattern):
    found = drawn(sampler_of(pattern), 500)
    assert all(re.fullmatch(pattern, text) for text in found)
    assert found == drawn(sampler_of(pattern), 500) != drawn(sampler_of(pattern), 500, seed=1)


def test_digits_are_those_of_ascii_and_each_of_them_comes_up():
    codes = drawn(sampler_of(r"[A-Z]{2}\d{4,6}"), 5000)
    assert len({*codes}) > 2000 and {*map(len, codes)} == {6, 7, 8}
    shares = Counter(character for code in codes for character in code[2:])
    assert {*shares} == {*"0123456789"} and max(shares.values()) < 0.4 * shares.total()


def test_a_task_takes_an_expression_as_its_inputs():
    task = Task(str.lower, r"[A-Z]{2}\d{4,6}")
    sides = [{*task.examples("0", 200, side).inputs} for side in (True, False)]
    assert len(sides[0]) > 50 and not sides[0] & sides[1]
    assert all(re.fullmatch(r"[A-Z]{2}\d{4,6}", text) for side in sides for text in side)


@pytest.mark.parametrize("pattern, message", [
    (r"[A-Z", "unterminated character set at position 0"), (r"a(?!.)b", "draws no text"), (r"ab)", "at position 2"),
])  # fmt: skip
def test_an_expression_that_means_nothing_is_refused(pattern, message):
    with pytest.raises(InvalidSetting, match=message):
        sampler_of(pattern)


def test_a_text_is_a_file_where_there_is_one_and_a_path_always(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    inputs = [f"line {number}" for number in range(20)]
    (tmp_path / "data (1)+").write_text("\n".join(inputs))
    assert {*drawn(sampler_of("data (1)+"))} == {*inputs}
    with pytest.raises(MissingSource, match=r"no file .*\[a-z\]\+"):
        sampler_of(tmp_path / "[a-z]+")
    assert all(re.fullmatch(r"\w+\.csv", text) for text in drawn(sampler_of(r"\w+\.csv"), 50))


@pytest.mark.parametrize("missing", ["names.txt", "runs/table", "data*.csv", "table (1).parquet", "name"])
def test_a_text_that_is_neither_file_nor_expression_is_named(missing):
    with pytest.raises(MissingSource, match=f"no file {re.escape(missing)}.*regular expression"):
        sampler_of(missing)


# ---------------------------------------------------------------- strategies


def test_a_strategy_is_drawn_from_and_nobody_s_random_state_changes():
    states = random.getstate(), np.random.get_state()[1].tolist()
    strategy = st.tuples(st.sampled_from(MONTHS), st.integers(1, 28)).map(lambda pair: f"{pair[0]} {pair[1]}")
    found = drawn(sampler_of(strategy), 500)
    assert all(re.fullmatch(r"[A-Z][a-z]+ \d+", text) for text in found) and len({*found}) > 150
    assert found == drawn(sampler_of(strategy), 500) != drawn(sampler_of(strategy), 500, seed=1)
    assert states == (random.getstate(), np.random.get_state()[1].tolist())
    held_out = Task(str.upper, strategy).examples("0", 20, held_out=True).inputs
    assert not {*held_out} & {*Task(str.upper, strategy).examples("0", 500, held_out=False).inputs}


@pytest.mark.parametrize(
    "strategy, message", [(st.nothing(), "draws no text"), (st.text().filter(lambda text: False), "draws no")]
)
def test_a_strategy_of_nothing_is_refused(strategy, message):
    with pytest.raises(InvalidSetting, match=message):
        drawn(sampler_of(strategy), 1)


def test_a_strategy_of_numbers_is_told_that_inputs_are_texts():
    with pytest.raises(WrongType, match="has to be text"):
        Task(str.upper, st.integers()).examples("0", 10, held_out=False)


def test_strategies_of_a_single_text_or_of_long_ones_are_drawn_from():
    assert {*drawn(strategies.StrategySampler(st.just("x")), 50)} == {"x"}
    assert min(map(len, drawn(strategies.StrategySampler(st.text(min_size=300)), 50))) >= 300
