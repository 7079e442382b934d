"""Makers of inputs: numbers, dates, text, mixtures, arguments."""

import datetime
import json
import random

import pytest

from urlseq import samplers
from urlseq.sampling import is_held_out
from urlseq.sources import draw


def drawn(sampler, count=500, seed=0):
    rng = random.Random(seed)
    return [sampler(rng) for _ in range(count)]


@pytest.mark.parametrize("maker", [
    samplers.numbers(0, 100), samplers.dates("1999-01-01", "1999-12-31"), samplers.text(20),
    samplers.mixture(samplers.numbers(0, 9), samplers.text(5)),
    samplers.arguments(samplers.text(5), samplers.numbers(0, 9)),
])  # fmt: skip
def test_what_is_drawn_is_text_and_depends_on_the_generator_alone(maker):
    assert drawn(maker) == drawn(maker) != drawn(maker, seed=1)
    assert all(isinstance(text, str) and "\0" not in text and text.encode() is not None for text in drawn(maker))


def test_numbers_cover_their_range_and_nothing_else():
    assert {*drawn(samplers.numbers(5, 25), 2000)} == {str(number) for number in range(5, 25)}


def test_dates_reach_from_the_first_day_to_the_last_in_the_steps_asked_for():
    days = samplers.dates("2000-02-27", "2000-03-01", minutes=1440)
    assert {*drawn(days)} == {"2000-02-27", "2000-02-28", "2000-02-29", "2000-03-01"}
    quarters = [datetime.datetime.fromisoformat(text) for text in drawn(samplers.dates("2000-01-01", "2000-01-01", 15))]
    assert {moment.minute for moment in quarters} == {0, 15, 30, 45}
    assert {moment.hour for moment in quarters} == {*range(24)} and {moment.day for moment in quarters} == {1}


def test_whole_days_are_held_out():
    dates = samplers.dates("1970-01-01", "1971-12-31")
    sides = [{text[:10] for text in draw(dates, random.Random(0), 2000, side, 16)} for side in (True, False)]
    assert sides[0] and sides[1] and not sides[0] & sides[1]


def test_text_is_of_any_script_and_holds_what_was_asked_for():
    texts = drawn(samplers.text(24, marked="&<"), 2000)
    assert max(len(text.encode()) for text in texts) <= 24
    assert {"&", "<", " "} <= {*"".join(texts)} and any(ord(character) > 0x3000 for character in "".join(texts))


def test_a_mixture_holds_out_what_any_of_its_parts_does():
    dates = samplers.dates("1970-01-01", "1970-12-31")
    mixed = samplers.mixture(dates, samplers.numbers(0, 10**6), weights=[1, 3])
    assert 0.2 < sum(not text.isdigit() for text in drawn(mixed, 2000)) / 2000 < 0.3
    for text in drawn(mixed):
        assert mixed.is_held_out(text) >= (dates.is_held_out(text) or is_held_out(text))


def test_arguments_are_a_json_list():
    for text in drawn(samplers.arguments(samplers.numbers(0, 10), samplers.text(6))):
        number, word = json.loads(text)
        assert 0 <= int(number) < 10 and isinstance(word, str)
