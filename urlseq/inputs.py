"""Makers of inputs: each returns a sampler, `random.Random -> str`. Any function of that kind is one, too."""

import datetime
import json
import random
from collections.abc import Sequence

from urlseq.sampler import Sampler, any_character, is_held_out, piece, shorten, syllables


def numbers(start: int, stop: int) -> Sampler:
    """Whole numbers from `start` up to and without `stop`, in decimal, each as likely as any other."""
    return lambda rng: str(rng.randrange(start, stop))


def dates(first: str, last: str, minutes: int = 1) -> Sampler:
    """Moments in ISO format, to the minute, from the day `first` to the day `last`, in steps of `minutes`.

    Steps of whole days give dates without a time. Whole days are held out, so no day is known from another minute.
    """
    step = datetime.timedelta(minutes=minutes)
    start = datetime.datetime.fromisoformat(first)
    count = (datetime.datetime.fromisoformat(last) + datetime.timedelta(days=1) - start) // step

    def sample(rng: random.Random) -> str:
        moment = start + rng.randrange(count) * step
        return moment.isoformat(timespec="minutes") if step % datetime.timedelta(days=1) else str(moment.date())

    sample.is_held_out = day_is_held_out
    return sample


def day_is_held_out(date: str) -> bool:
    return is_held_out(date[:10])


def text(max_bytes: int = 24, marked: str = "&<>\"'") -> Sampler:
    """Text of at most `max_bytes` bytes: words in most places, characters of any script, and those in `marked`."""

    def character(rng: random.Random) -> str:
        kind = rng.random()
        if kind < 0.25:
            return " "
        if kind < 0.5:
            return rng.choice(marked)
        return any_character(rng) if kind < 0.8 else rng.choice("0123456789")

    def sample(rng: random.Random) -> str:
        length, strange = rng.randint(1, max_bytes), rng.choice([0.1, 0.3, 0.9])
        parts = []
        while sum(map(len, parts)) < length:
            parts.append(character(rng) if rng.random() < strange else word(rng))
        return shorten("".join(parts), length)

    return sample


def word(rng: random.Random) -> str:
    """A made-up word, written in one of the ways in which people write words."""
    made = syllables(rng, 1, 3)
    return rng.choice([made, made, made.capitalize(), made.upper(), piece(rng)[:8]])


def mixture(*samplers: Sampler, weights: Sequence[float] | None = None) -> Sampler:
    """Inputs of several kinds, in equal or in given shares. Whatever is held out of one kind is held out of all."""
    weights = weights or [1.0] * len(samplers)
    rules = [getattr(sampler, "is_held_out", is_held_out) for sampler in samplers]

    def sample(rng: random.Random) -> str:
        return rng.choices(samplers, weights)[0](rng)

    sample.is_held_out = rules[0] if len({*rules}) == 1 else lambda text: any(rule(text) for rule in rules)
    return sample


def arguments(*samplers: Sampler) -> Sampler:
    """The arguments of a function of several, as a JSON list of texts: one of each sampler."""

    def sample(rng: random.Random) -> str:
        return json.dumps([sampler(rng) for sampler in samplers], separators=(",", ":"), ensure_ascii=False)

    return sample
