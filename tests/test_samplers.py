"""The grammar compiler, the grammar of URLs, and noise: what they draw, and how often."""

import doctest
import gzip
import itertools
import json
import math
import random
import re
import subprocess
import sys
from collections import Counter
from urllib.parse import urlparse

import pytest
from conftest import TEXT
from hypothesis import assume, given
from hypothesis import strategies as st
from rates_support import MAX_BYTES, RECORD, deviations, rates

from benchmarks.common import REFERENCE
from urlseq.errors import InvalidSetting
from urlseq.functions import answer
from urlseq.samplers import Grammar, grammar, symbol, urls
from urlseq.samplers.noise import NOISES, shorten
from urlseq.samplers.url_grammar import ODD_SCHEMES, RULES

# All that UTF-8 text without NUL can hold: ASCII, continuation bytes, and leading bytes.
TEXT_BYTES = {*range(0x01, 0x80), *range(0x80, 0xC0), *range(0xC2, 0xF5)}


def sample(count: int, seed: int = 0, **options) -> list[str]:
    return drawn(urls(**options), count, seed)


def drawn(sampler, count: int, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    return [sampler(rng) for _ in range(count)]


@pytest.fixture(scope="module")
def realistic() -> list[str]:
    return sample(5000, noise=0)


@pytest.fixture(scope="module")
def mixed() -> list[str]:
    return sample(20_000)


# ---------------------------------------------------------------- the compiler


def escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


# A literal, or a field: symbol, method, percentage, and fewest, more, separator.
LITERALS = st.text("ab{}%.+*é\n", max_size=3)
AMOUNTS = st.one_of(
    st.none(),
    st.sampled_from([0, 25, 37.5, 100]),
    st.tuples(st.integers(0, 3), st.integers(0, 2), st.sampled_from("- &")),
)
CHANGES = st.sampled_from(["", "upper", "capitalize", "swapcase", "0", "2"])


@st.composite
def grammars(draw) -> tuple[dict, dict]:
    """Rules without recursion, and all texts that each symbol can stand for."""
    rules, texts = {}, {}
    for name in ("one", "two words", "three-3"):
        alternatives = draw(st.lists(st.lists(parts(list(rules)), max_size=2), min_size=1, max_size=2))
        rules[name] = {"".join(map(written, alternative)): draw(st.integers(1, 9)) for alternative in alternatives}
        texts[name] = {text for alternative in alternatives for text in sequences(alternative, texts)}
    return rules, texts


def parts(symbols: list[str]):
    fields = st.tuples(st.sampled_from(symbols), CHANGES, AMOUNTS) if symbols else st.nothing()
    return st.one_of(LITERALS, fields)


def written(part) -> str:
    """A part as a template has it."""
    if isinstance(part, str):
        return escaped(part)
    symbol, change, amount = part
    if isinstance(amount, tuple):
        amount = f"{amount[0]}-{amount[0] + amount[1]} {amount[2]}"
    return "{" + symbol + (f"!{change}" if change else "") + ("" if amount is None else f":{amount}") + "}"


def sequences(alternative: list, texts: dict) -> set[str]:
    """All texts of an alternative, by brute force."""
    found = {""}
    for part in alternative:
        found = {before + after for before in found for after in possible(part, texts)}
        assume(len(found) < 2000)
    return found


def possible(part, texts: dict) -> set[str]:
    if isinstance(part, str):
        return {part}
    symbol, change, amount = part
    single = {
        text[: int(change)] if change.isdigit() else getattr(text, change or "__str__")() for text in texts[symbol]
    }
    if amount is None or amount == 100:
        return single
    if not isinstance(amount, tuple):
        return {""} if amount == 0 else single | {""}
    fewest, more, separator = amount
    assume(len(single) ** (fewest + more) < 2000)
    counts = range(fewest, fewest + more + 1)
    return {separator.join(row) for count in counts for row in itertools.product(sorted(single), repeat=count)}


@given(grammars(), st.integers(0, 100))
def test_samples_are_texts_that_the_grammar_allows(rules_and_texts, seed):
    rules, texts = rules_and_texts
    compiled = Grammar(rules)
    for name in rules:
        assert {*drawn(compiled.sampler(name), 30, seed)} <= texts[name]


@given(grammars(), st.integers(0, 100))
def test_the_seed_decides_what_a_grammar_draws(rules_and_texts, seed):
    rules, _ = rules_and_texts
    first, second = Grammar(rules), Grammar(rules)
    for name in rules:
        assert drawn(first.sampler(name), 20, seed) == drawn(second.sampler(name), 20, seed)


@given(TEXT)
def test_text_with_doubled_braces_stands_for_itself(text):
    for rule in (escaped(text), [escaped(text)], {escaped(text): 0.3}, lambda rng: text):
        assert Grammar({"text": rule}).sampler("text")(random.Random(0)) == text


@given(st.lists(st.floats(0, 10), min_size=1, max_size=6).filter(lambda weights: sum(weights) > 1e-3))
def test_alternatives_come_up_as_often_as_their_weights_say(weights):
    rule = {f"text {index}": weight for index, weight in enumerate(weights)}
    counts = Counter(drawn(Grammar({"text": rule}).sampler("text"), 2000))
    for text, weight in rule.items():
        share = weight / sum(weights)
        assert abs(counts[text] / 2000 - share) <= 5 * math.sqrt(share * (1 - share) / 2000) + 1e-9


def test_percentages_and_counts_are_as_likely_as_they_say():
    rules = {"a": "a", "some": "{a:12.5}", "many": "{a:2-5 ,}", "equal": ["x", "{a}", lambda rng: "z"]}
    for name, expected in [
        ("some", {"a": 0.125, "": 0.875}), ("many", {",".join("a" * count): 0.25 for count in (2, 3, 4, 5)}),
        ("equal", {"x": 1 / 3, "a": 1 / 3, "z": 1 / 3}),
    ]:  # fmt: skip
        counts = Counter(drawn(Grammar(rules).sampler(name), 20_000))
        assert {text: count / 20_000 for text, count in counts.items()} == pytest.approx(expected, abs=0.015)


def test_a_symbol_may_contain_itself_and_others_that_contain_it():
    sums = Grammar({
        "sum": {"{term}": 3, "{sum}+{term}": 1}, "term": {"{digit}": 4, "({sum})": 1}, "digit": list("123"),
    }).sampler("sum")  # fmt: skip
    texts = drawn(sums, 500)
    assert all(eval(text) > 0 for text in texts)
    assert any(text.count("(") > 1 for text in texts) and any(text.count("+") > 2 for text in texts)


@pytest.mark.parametrize(("rules", "message"), [
    ({"a": "x{b}"}, "unknown symbol in '{b}'"), ({"a": ["{a", "a"]}, "'{a' of 'a' can't be read from '{a' on"),
    ({"a": "x}y"}, "from '}y' on"), ({"a": "{}"}, "A field is"), ({"a": "{a!split}"}, "can't be read"),
    ({"a": "{a:4-2}"}, "can't be read"), ({"a": "{a:101}"}, "can't be read"), ({"a": "{a:-5}"}, "can't be read"),
    ({"a": "{a:}"}, "can't be read"), ({"a": "{a:2+}"}, "can't be read"), ({"a": "{a:50 +}"}, "can't be read"),
    ({"a": {"x": -1, "y": 2}}, "weights of 'a'"), ({"a": {"x": 0}}, "weights of 'a'"), ({"a": []}, "weights of 'a'"),
    ({"a": {"x": math.nan}}, "weights of 'a'"), ({"a": {"x": math.inf}}, "weights of 'a'"),
])  # fmt: skip
def test_rules_that_make_no_sense_are_refused_when_the_grammar_is_made(rules, message):
    with pytest.raises(InvalidSetting, match=re.escape(message)):
        Grammar(rules)


def test_an_unknown_symbol_is_refused_with_the_known_ones():
    with pytest.raises(InvalidSetting, match="no symbol 'querry', only .*query, "):
        symbol("querry")


def test_the_example_in_the_documentation_is_what_comes_out():
    results = doctest.testmod(grammar, extraglobs={"random": random})
    assert results.attempted >= 3 and not results.failed


# ---------------------------------------------------------------- URLs


@pytest.mark.parametrize("noise", ["0", "1"])
def test_rates_are_the_recorded_ones(noise):
    """Whoever changes the grammar without meaning to is told; whoever means to makes the record anew."""
    recorded = json.loads(RECORD.read_text(encoding="utf-8"))[noise]
    found = rates(urls(MAX_BYTES, float(noise)), 20_000, "found")
    off = deviations(recorded["rates"], recorded["count"], found, 20_000)
    assert len(off) > 100
    assert {
        name: error for name, error in off.items() if abs(error) > 4.5
    } == {}  # of so many, one is beyond 4 now and then
    # One standard error is what chance alone makes; they hang together, so it is not quite 1.
    assert 0.7 < math.sqrt(sum(error**2 for error in off.values()) / len(off)) < 1.4


def test_a_sampler_that_is_a_little_different_would_be_noticed():
    recorded = json.loads(RECORD.read_text(encoding="utf-8"))["0"]
    found = rates(urls(MAX_BYTES, 0.03), 20_000, "found")
    off = deviations(recorded["rates"], recorded["count"], found, 20_000)
    assert max(map(abs, off.values())) > 5


@pytest.mark.parametrize("name", RULES)
def test_each_symbol_yields_text(name):
    texts = drawn(symbol(name), 300)
    assert all("\0" not in text and text.encode() is not None for text in texts)


def test_the_seed_decides_everything():
    assert sample(300, seed=5) == sample(300, seed=5)
    assert sample(300, seed=5) != sample(300, seed=6)


@pytest.mark.parametrize("max_input_bytes", [0, 1, 7, 32, 128, 256])
def test_inputs_are_valid_and_fit(max_input_bytes):
    for text in sample(1500, max_input_bytes=max_input_bytes):
        assert len(text.encode()) <= max_input_bytes
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
    addresses = drawn(symbol("ipv6"), 20_000)
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
    schemes = {*drawn(symbol("scheme"), 50_000)}
    known = [name for name in ODD_SCHEMES if len(name) > 3]
    assert len(schemes & {name[:index] + name[index + 1 :] for name in known for index in range(len(name))}) > 20


def test_noise_is_noisier_than_none(realistic, mixed):
    def odd(text):
        return not text.isprintable()

    assert share(realistic, odd) < 0.02 < share(mixed, odd)


@given(TEXT, st.integers(0, 40))
def test_shorten_keeps_the_longest_prefix_of_whole_characters(text, limit):
    short = shorten(text, limit)
    assert text.startswith(short) and len(short.encode()) <= limit
    if short != text:
        assert len(text[: len(short) + 1].encode()) > limit


@given(TEXT, st.integers(0, 1000), st.sampled_from(NOISES))
def test_noise_makes_text_of_any_text(text, seed, noise):
    made = noise(random.Random(seed), text)
    assert "\0" not in made
    assert made.encode().decode() == made


def test_no_sampled_url_is_in_a_real_list(mixed):
    paths = sorted(REFERENCE.glob("urls_*.txt.gz"))
    if not paths:
        pytest.skip("the lists of real URLs are not here")
    # A bare scheme or a host and nothing else would say nothing about a leak.
    sampled = {text for text in mixed if len(text) > 15}
    for path in paths:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            shared = sampled.intersection(line.rstrip("\n") for line in itertools.islice(lines, 2_000_000))
        assert not shared, path.name


def test_importing_samplers_imports_nothing_large():
    code = "import sys, urlseq.samplers; print({*sys.modules} & {'keras', 'tensorflow', 'numpy', 'pyarrow', 'pandas'})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
