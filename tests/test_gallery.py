"""The gallery's own functions say what they should, and its inputs suit them. `benchmarks/gallery.py` learns them."""

import random

import pytest

from urlseq import gallery
from urlseq.copying import KNOWN_FUNCTIONS, check_answers
from urlseq.functions import Inverse, answers, function_named, name_of
from urlseq.gallery import GALLERY
from urlseq.sources import pairs, texts_for


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
    assert gallery.days_off(answer, "1998-09-09T07:05") == days


@pytest.mark.parametrize("name", GALLERY)
def test_inputs_suit_the_function(name):
    entry = GALLERY[name]
    function = Inverse(entry.function) if entry.inverse else entry.function
    sampler = pairs(function, entry.inputs) if entry.inverse else entry.inputs

    def fits(text):
        return len(text.encode()) <= entry.max_bytes

    texts = texts_for(sampler, random.Random(0), 300, held_out=True, check=fits)
    assert max(len(text.encode()) for text in texts) > entry.max_bytes * 0.6
    wanted = answers(function, texts)
    check_answers(function, texts, wanted)
    assert sum(answer.startswith('{"error"') for answer in wanted) < 0.3 * len(wanted)


def test_cards_may_name_them():
    for entry in GALLERY.values():
        name = name_of(entry.function)
        assert KNOWN_FUNCTIONS[name] is entry.function
        assert function_named(name) is entry.function
