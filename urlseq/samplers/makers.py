"""Makers of inputs: each returns a sampler, `random.Random -> str`. Any function of that kind is one, too."""

import datetime
import json
import random
from collections.abc import Sequence

from urlseq.samplers.grammar import Grammar, Rule, characters
from urlseq.samplers.noise import noisy_url, shorten
from urlseq.samplers.url_grammar import DIGITS, symbol
from urlseq.sampling import Sampler, held_out_rule, is_held_out

ORDINARY_BYTES = 256  # longer URLs are made on purpose


def urls(max_input_bytes: int = 128, noise: float = 0.5) -> Sampler:
    """URLs of at most `max_input_bytes` bytes, a share `noise` of them noisy: the function answers those, too.

    Where there is room for more than ordinary URLs have, one in 50 is a long one: each takes as long as ten others.
    """
    long_share = 1 / 50 if max_input_bytes > ORDINARY_BYTES else 0.0

    def sample(rng: random.Random) -> str:
        kind, limit = "url", min(max_input_bytes, ORDINARY_BYTES)
        if rng.random() < long_share:
            kind, limit = "long url", max_input_bytes
        # Most are made to fit; the others are cut, which fills the bins near the limit.
        for _ in range(4):
            text = noisy_url(rng, kind) if rng.random() < noise else symbol(kind)(rng)
            if len(text) <= limit:
                break
        return shorten(text, limit)

    return sample


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

    sample.is_held_out = lambda date: is_held_out(date[:10])  # type: ignore[attr-defined]
    return sample


def text(max_input_bytes: int = 24, marked: str = "&<>\"'") -> Sampler:
    """Text of at most `max_input_bytes` bytes: words mostly, characters of any script, and those in `marked`."""
    kinds: Rule = {" ": 25, characters(marked, 1, 1): 25, symbol("character"): 30, characters(DIGITS, 1, 1): 20}
    word, character = symbol("text word"), Grammar({"character": kinds}).sampler("character")

    def sample(rng: random.Random) -> str:
        text, length, strange = "", rng.randint(1, max_input_bytes), rng.choice([0.1, 0.3, 0.9])
        while len(text) < length:
            text += character(rng) if rng.random() < strange else word(rng)
        return shorten(text, length)

    return sample


def mixture(*samplers: Sampler, weights: Sequence[float] | None = None) -> Sampler:
    """Inputs of several kinds, in equal or in given shares. Whatever is held out of one kind is held out of all."""
    rules = {held_out_rule(sampler) for sampler in samplers}

    def sample(rng: random.Random) -> str:
        return rng.choices(samplers, weights)[0](rng)

    sample.is_held_out = lambda text: any(rule(text) for rule in rules)  # type: ignore[attr-defined]
    return sample


def arguments(*samplers: Sampler) -> Sampler:
    """The arguments of a function of several, as a JSON list of texts: one of each sampler."""
    return lambda rng: json.dumps([made(rng) for made in samplers], separators=(",", ":"), ensure_ascii=False)
