"""The gallery's own functions say what they should, and its inputs suit them. `benchmarks/gallery.py` learns them."""

import datetime
import random

import pytest

from benchmarks.seconds import days_off
from urlseq import gallery
from urlseq.functions import function_named, name_of
from urlseq.gallery import GALLERY, known_functions
from urlseq.task import Training


@pytest.mark.parametrize("function, text, value", [
    (gallery.hex_of_number, "65535", "0xffff"), (gallery.hex_of_text, "é1", "c3a931"),
    (gallery.title, "a b'c", "A B'C"),
    (gallery.full_address, "::1", "0000:0000:0000:0000:0000:0000:0000:0001"),
    (gallery.date_parts, "1998-09-09T07:05", [1998, 9, 9, 7, 5]),
    (gallery.roman, "1994", "MCMXCIV"), (gallery.roman, "3888", "MMMDCCCLXXXVIII"), (gallery.total, '["19","3"]', 22),
    (gallery.checksum, "123456789", "cbf43926"),
    (gallery.my_date_format, "1998-09-09T07:05", "Wednesday, 9 September 7ce, 7:05"),
    (gallery.seconds_in_hex, "2001-09-09T01:46", "3b9ac9d8"),
])  # fmt: skip
def test_functions(function, text, value):
    assert function(text) == value


@pytest.mark.parametrize("answer, days", [
    ('"1998-09-09T07:05"', 0), ('"1998-09-08T19:05"', 0.5), ('"1998-09-10T07:05"', 1),
    ('"1998-13-10T07:05"', 36_525), ('"1998', 36_525), ("12", 36_525), ('{"error":"ValueError"}', 36_525),
])  # fmt: skip
def test_days_off(answer, days):
    assert days_off(answer, "1998-09-09T07:05") == days


@pytest.mark.parametrize("name", GALLERY)
def test_inputs_suit_the_function(name):
    task = GALLERY[name].task
    examples = task.examples("gallery", 300, held_out=True)
    assert max(len(text.encode()) for text in examples.inputs) > task.max_input_bytes * 0.6
    task.check(examples)
    assert sum(answer.startswith('{"error"') for answer in examples.answers) < 0.3 * len(examples)


@pytest.mark.parametrize("name", GALLERY)
def test_settings_are_those_of_training(name):
    entry = GALLERY[name]
    training = Training(**entry.training)
    assert training.minutes is None and training.examples >= 32_000 and training.batch_size in (32, 256)
    if entry.measured_on:
        assert entry.measured_on(random.Random(0)) is not None


def test_cards_may_name_them():
    for entry in GALLERY.values():
        function = entry.task.function or entry.task.inverse
        name = name_of(function)
        assert known_functions()[name] is function
        assert function_named(name) is function


def test_capital_letters_of_four_scripts_are_common_where_they_are_to_be_learned():
    def share(sampler):
        rng = random.Random(0)
        return sum(any(letter in gallery.LETTERS for letter in sampler(rng)) for _ in range(2000)) / 2000

    entry = GALLERY["title"]
    assert share(entry.task.inputs) > 2 * share(entry.measured_on) > 0


def test_moments_near_1970_are_common():
    rng = random.Random(0)
    years = [datetime.datetime.fromisoformat(gallery.MOMENTS(rng)).year for _ in range(5000)]
    # All of a tenth, a quarter of three tenths, and one of 68 years of the rest.
    assert years.count(1970) / len(years) == pytest.approx(0.1 + 0.3 / 4 + 0.6 / 68, abs=0.02)
    assert max(years) >= 2037
