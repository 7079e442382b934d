import gzip
import json
import random
import re
from collections import Counter
from itertools import islice
from urllib.parse import urlparse

import pytest
from conftest import REAL_LISTS, TEXT
from hypothesis import given
from hypothesis import strategies as st

from urlseq import sampler
from urlseq.functions import answer

# All that UTF-8 text without NUL can hold: ASCII, continuation bytes, and leading bytes.
TEXT_BYTES = {*range(0x01, 0x80), *range(0x80, 0xC0), *range(0xC2, 0xF5)}


def sample(count: int, seed: int = 0, **options) -> list[str]:
    draw, rng = sampler.urls(**options), random.Random(seed)
    return [draw(rng) for _ in range(count)]


@pytest.fixture(scope="module")
def realistic() -> list[str]:
    return sample(5000, noise=0)


@pytest.fixture(scope="module")
def mixed() -> list[str]:
    return sample(20_000)


def test_the_seed_decides_everything():
    assert sample(300, seed=5) == sample(300, seed=5)
    assert sample(300, seed=5) != sample(300, seed=6)


@pytest.mark.parametrize("max_bytes", [0, 1, 7, 32, 128, 256])
def test_texts_are_valid_and_fit(max_bytes):
    for text in sample(1500, max_bytes=max_bytes):
        assert len(text.encode()) <= max_bytes
        assert "\0" not in text


def test_lengths_reach_the_limit(mixed):
    lengths = [len(text.encode()) for text in mixed]
    assert min(lengths) <= 3 and max(lengths) == 128
    assert sum(length > 110 for length in lengths) > 200


def test_every_byte_that_text_can_hold_appears(mixed):
    found = set(b"".join(text.encode() for text in mixed))
    assert found == TEXT_BYTES


def share(texts, predicate) -> float:
    return sum(map(predicate, texts)) / len(texts)


@pytest.mark.parametrize(("name", "low", "high", "holds"), [
    ("https", 0.45, 0.75, lambda text: text.startswith("https://")),
    ("http", 0.15, 0.45, lambda text: text.startswith("http://")),
    ("www", 0.30, 0.55, lambda text: "://www." in text),
    ("query", 0.10, 0.50, lambda text: "?" in text),
    ("fragment", 0.05, 0.35, lambda text: "#" in text),
    ("params", 0.01, 0.15, lambda text: ";" in text),
    ("userinfo", 0.01, 0.15, lambda text: "@" in text.split("/")[2:3][0] if text.count("/") > 1 else False),
    ("address of version 6", 0.01, 0.08, lambda text: "://[" in text or "@[" in text),
    ("percent", 0.03, 0.40, lambda text: "%" in text),
    ("no scheme", 0.01, 0.15, lambda text: ":" not in text),
    ("not ASCII", 0.01, 0.30, lambda text: not text.isascii()),
])  # fmt: skip
def test_rates_of_components(realistic, name, low, high, holds):
    assert low <= share(realistic, holds) <= high


def test_ports_and_odd_schemes_occur(realistic):
    parsed = [json.loads(answer(urlparse, text)) for text in realistic]
    parsed = [parts for parts in parsed if isinstance(parts, list)]
    schemes = Counter(parts[0] for parts in parsed)
    assert len(schemes) > 40
    ports = [parts for parts in parsed if parts[1].rpartition(":")[2].isdigit()]
    assert len(ports) > 0.02 * len(parsed)


def test_the_parsers_errors_occur_but_are_few(mixed):
    errors = share(mixed, lambda text: answer(urlparse, text) == '{"error":"ValueError"}')
    assert 0.005 <= errors <= 0.2


def test_ipv6_addresses_are_some_and_some_are_nearly_some():
    rng = random.Random(0)
    addresses = [sampler.ipv6(rng) for _ in range(20_000)]
    refused = [address for address in addresses if answer(urlparse, f"http://{address}").startswith('{"error"')]
    assert 0.25 < len(refused) / len(addresses) < 0.4
    slips = {
        "one colon in front": r"\[:[0-9a-f]",
        "one at the end": r".*[^:]:\]",
        "twice `::`": r".*::.+::",
        "nothing": r"\[\]",
        "not hexadecimal": r".*g",
        "a group too long": r".*[0-9a-f]{5}:",
        "a version of nothing": r"\[v[0-9a-f]+\.\]",
        "an IPv4 address": r"\[\d+(\.\d+){3}\]",
        "a dot where a colon was": r"\[[0-9a-f:]+\.[0-9a-f:]+\]",
    }
    for name, pattern in slips.items():
        assert any(re.match(pattern, address.lower()) for address in refused), name


def test_hosts_after_brackets_and_nearly_known_schemes_occur(mixed):
    assert sum(bool(re.match(r"[a-z]*:?//[^/?#]*\[[^/?#@]*@", text)) for text in mixed) > 40
    rng = random.Random(0)
    schemes = {sampler.scheme(rng) for _ in range(50_000)}
    known = [name for name in sampler.ODD_SCHEMES if len(name) > 3]
    assert len(schemes & {name[:place] + name[place + 1 :] for name in known for place in range(len(name))}) > 20


def test_noise_is_noisier_than_none(realistic, mixed):
    def odd(text):
        return not text.isprintable()

    assert share(realistic, odd) < 0.02 < share(mixed, odd)


@given(TEXT, st.integers(0, 40))
def test_shorten_keeps_the_longest_prefix_of_whole_characters(text, limit):
    short = sampler.shorten(text, limit)
    assert text.startswith(short) and len(short.encode()) <= limit
    if short != text:
        assert len(text[: len(short) + 1].encode()) > limit


@given(TEXT, st.integers(0, 1000), st.sampled_from(sampler.NOISES))
def test_noise_makes_text_of_any_text(text, seed, noise):
    made = noise(random.Random(seed), text)
    assert "\0" not in made
    assert made.encode().decode() == made


def test_no_sampled_url_is_in_a_real_list(mixed):
    paths = sorted(REAL_LISTS.glob("urls_*.txt.gz"))
    if not paths:
        pytest.skip("the lists of real URLs are not here")
    # A bare scheme or a host and nothing else would say nothing about a leak.
    sampled = {text for text in mixed if len(text) > 15}
    for path in paths:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            shared = sampled.intersection(line.rstrip("\n") for line in islice(lines, 2_000_000))
        assert not shared, path.name
