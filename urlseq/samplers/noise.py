"""Noise: changes of a text, each at random, and URLs with such changes."""

import random
import re

from urlseq.samplers.grammar import characters
from urlseq.samplers.url_grammar import (
    DECEPTIVE,
    DELIMITERS,
    DIGITS,
    HEX,
    LETTERS_AND_DIGITS,
    LOWER,
    STRUCTURE,
    WIDE_MARKS,
    insert_anywhere,
    symbol,
)

any_character = symbol("character")


def replace_characters(rng: random.Random, text: str) -> str:
    """Some characters, or nearly all, replaced by any others."""
    share = rng.choice([0.02, 0.05, 0.2, 0.6])
    return "".join(any_character(rng) if rng.random() < share else character for character in text)


def edit(rng: random.Random, text: str) -> str:
    """One to four characters inserted or taken out."""
    for _ in range(rng.randint(1, 4)):
        index = rng.randint(0, len(text))
        inserted, removed = (any_character(rng), 0) if rng.random() < 0.7 else ("", rng.randint(1, 3))
        text = text[:index] + inserted + text[index + removed :]
    return text


def repeat_part(rng: random.Random, text: str) -> str:
    """A part of the text repeated, near or far: the same bytes on both sides, told apart by position alone."""
    start = rng.randrange(max(1, len(text)))
    part = text[start : start + rng.choice([1, 2, 3, 4, 6, 10, 20])]
    for _ in range(rng.choice([1, 1, 2, 4])):
        index = rng.choice([start, start + len(part), rng.randint(0, len(text))])
        text = text[:index] + part + text[index:]
    return text


def shuffle_parts(rng: random.Random, text: str) -> str:
    """The text cut at its delimiters, and one to three pairs of its parts exchanged."""
    parts = re.split(f"([{re.escape(STRUCTURE)}])", text)
    for _ in range(rng.randint(1, 3)):
        first, second = rng.randrange(len(parts)), rng.randrange(len(parts))
        parts[first], parts[second] = parts[second], parts[first]
    return "".join(parts)


def add_blanks(rng: random.Random, text: str) -> str:
    """Blanks at an end or within: `urlparse` strips some, drops others, and keeps the rest."""
    index = rng.choice([0, 0, len(text), rng.randint(0, len(text))])
    blanks = characters(rng.choice(["  \t\n\r\x01\x0b\x1f", " \t"]), 1, 6)(rng)
    return text[:index] + blanks + text[index:] + (rng.choice(blanks) if rng.random() < 0.3 else "")


def scatter(rng: random.Random, text: str) -> str:
    """One to twenty characters inserted anywhere, one by one: such as `urlparse` drops, quotes, blanks, wide marks."""
    kinds = ["\t\n\r", "\t\n\r", rng.choice("\t\n\r"), '"\\', "\"\\'", " ", DECEPTIVE, WIDE_MARKS]
    inserted = rng.choice(kinds)
    return insert_anywhere(rng, text, lambda rng: rng.choice(inserted), rng.choice([1, 2, 3, 4, 6, 8, 12, 16, 20]))


def wrap(rng: random.Random, text: str) -> str:
    """The text in lines of equal length, as mail programs break and quote them, some in angle brackets."""
    width = min(rng.randint(16, 80), len(text) // 2 + 1)
    lines = [text[start : start + width] for start in range(0, len(text), width)]
    wrapped = rng.choice(["\n", "\r\n", "\n ", "\r\n\t", "=\n", "=\r\n", "\n> ", "\r\n    "]).join(lines)
    return f"<{wrapped}>" if rng.random() < 0.2 else wrapped


def change_slashes(rng: random.Random, text: str) -> str:
    """One slash made several, or a backslash; how many there are at the start decides whether a host follows."""
    indices = [index for index, character in enumerate(text) if character == "/"] or [0]
    index = rng.choice([indices[0], rng.choice(indices)])
    slashes = rng.choice(["//", "///", "////", "\\", "/\\", "\\\\"])
    return (text[:index] if rng.random() < 0.6 else "") + slashes + text[index + 1 :]


def change_case(rng: random.Random, text: str) -> str:
    """The text in upper case, title case, or with its cases swapped."""
    return rng.choice([text.upper(), text.title(), text.swapcase()])


def random_characters(rng: random.Random, text: str) -> str:
    """A text at most as long, but of one kind of characters throughout."""
    kinds = [STRUCTURE + "ab1", DELIMITERS + LOWER, LETTERS_AND_DIGITS, LETTERS_AND_DIGITS + "-", DIGITS, "ab", ""]
    alphabet, length = rng.choice(kinds), rng.randint(1, max(4, len(text)))
    if alphabet:
        return "".join(rng.choices(alphabet, k=length))
    return "".join(any_character(rng) for _ in range(length // 2))


def random_words(rng: random.Random, text: str) -> str:
    """Each run of letters and digits replaced by as many random ones: the shape stays, the words go."""
    alphabet = rng.choice([LOWER, LETTERS_AND_DIGITS, LETTERS_AND_DIGITS + "-_%", HEX])
    return "".join(rng.choice(alphabet) if character.isalnum() else character for character in text)


# Those that are repeated come up more often than the others.
NOISES = [shuffle_parts, add_blanks, change_slashes, change_case, random_characters, wrap,
          *[replace_characters, edit, repeat_part, random_words, scatter, scatter] * 2]  # fmt: skip
# Made without noise: hosts that are odd, wide or addresses, whose errors take many examples, and the shortest of parts.
STRANGE = ["odd url", "tiny url", *["wide url"] * 2, *["ipv6 url"] * 3]


def noisy_url(rng: random.Random, kind: str = "url") -> str:
    """A URL of this kind with one kind of noise, or with two, one upon the other; or a strange one."""
    if rng.random() < 0.3:
        return symbol(rng.choice(STRANGE))(rng)
    text = symbol(kind)(rng)
    for _ in range(rng.choice([1, 1, 2])):
        text = rng.choice(NOISES)(rng, text)
    return text


def shorten(text: str, byte_limit: int) -> str:
    """The longest prefix of `text` that is whole characters in at most `byte_limit` bytes of UTF-8."""
    return text.encode()[:byte_limit].decode("utf-8", "ignore")
