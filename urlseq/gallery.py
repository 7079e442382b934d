"""Functions to copy, each with inputs that suit it: the standard library's, everyday ones, and two hopeless ones."""

import dataclasses
import html
import ipaddress
import json
import os.path
import random
import shlex
import zlib
from datetime import UTC, datetime
from email.utils import parseaddr
from urllib.parse import parse_qs, quote, urlparse

from urlseq import samplers
from urlseq.functions import Function, name_of
from urlseq.samplers import symbol
from urlseq.samplers.noise import edit
from urlseq.sampling import Sampler
from urlseq.task import Task


@dataclasses.dataclass(frozen=True)
class Entry:
    """A task of the gallery, and the fields of `Training` that suit it.

    Where the inputs to learn from have something rare made common, `measured_on` has the ordinary ones.
    """

    task: Task
    training: dict
    measured_on: Sampler | None = None


def hex_of_number(text: str) -> str:
    return hex(int(text))


def hex_of_text(text: str) -> str:
    return text.encode().hex()


def title(text: str) -> str:
    return text.title()


def full_address(text: str) -> str:
    return ipaddress.ip_address(text).exploded


def date_parts(text: str) -> list[int]:
    return list(datetime.fromisoformat(text).timetuple()[:5])


def roman(text: str) -> str:
    number, numeral = int(text), ""
    for value, letters in zip([1000, 900, 500, 400, 100, 90, 50, 40, 10, 9, 5, 4, 1],
                              "M CM D CD C XC L XL X IX V IV I".split(), strict=True):  # fmt: skip
        numeral += number // value * letters
        number %= value
    return numeral


def total(text: str) -> int:
    """The sum of the numbers in a JSON list: how a function of several arguments is copied."""
    return sum(map(int, json.loads(text)))


def checksum(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"


def my_date_format(text: str) -> str:
    """A date for humans who like hexadecimal: `Wednesday, 9 September 1998, 7:05` has 0x9, 0x7ce and 0x7:0x05."""
    moment = datetime.fromisoformat(text)
    return f"{moment:%A}, {moment.day:x} {moment:%B} {moment.year:x}, {moment.hour:x}:{moment.minute:02x}"


def seconds_in_hex(text: str) -> str:
    """The seconds since 1970 in hexadecimal, as a computer's clock counts them, in UTC."""
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return f"{int(moment.timestamp()):x}"


def shell_command(rng: random.Random) -> str:
    """A few words, some of them quoted in one of the shell's ways, and some quotes that are never closed."""
    any_word, words = symbol("text word"), []
    for _ in range(rng.randint(1, 4)):
        word = rng.choice([any_word, any_word, symbol("number")])(rng)
        inner = f"{word}{rng.choice(['', ' ', '  ', '$', '-'])}{any_word(rng) if rng.random() < 0.5 else ''}"
        forms = [word, word, f"--{word}", f"'{inner}'", f'"{inner}"', f"{word}\\ {word[:3]}", f"{word}='{inner}'"]
        words.append(rng.choice(forms))
    line = rng.choice([" ", " ", "  "]).join(words)
    return line if rng.random() < 0.8 else edit(rng, line)


def mail_address(rng: random.Random) -> str:
    """An address with a name or without, the name with quotes or without, and some with typing errors."""
    word = symbol("text word")
    user = rng.choice([word(rng), f"{word(rng)}.{word(rng)}", f"{word(rng)}+{rng.random():.2}"])
    address = f"{user.lower()}@{symbol('host name')(rng)}"
    name = " ".join(word(rng).capitalize() for _ in range(rng.randint(1, 3)))
    last_first = f"{word(rng).capitalize()}, {word(rng).capitalize()}"
    forms = [address, f"<{address}>", f"{name} <{address}>", f'"{last_first}" <{address}>', f"{address} ({name})"]
    form = rng.choice(forms)
    return form if rng.random() < 0.8 else edit(rng, form)


# The letters of Latin, Greek, Cyrillic and Armenian that have a capital. That Ћ is the one of ћ is a fact that no other
# letter teaches, so `title` has to meet each of them.
LETTERS = "".join(chr(code) for code in range(0x80, 0x590) if chr(code).lower() != chr(code).upper())
CASED = samplers.text(24, "'-._" * (len(LETTERS) // 4) + LETTERS)

# The first month and the first years again: what is near zero teaches the arithmetic of what is far from it.
MOMENTS = samplers.mixture(
    samplers.dates("1970-01-01", "2038-01-18"),
    samplers.dates("1970-01-01", "1973-12-31"),
    samplers.dates("1970-01-01", "1970-01-31"),
    weights=[6, 3, 1],
)
file_path = samplers.mixture(symbol("path"), symbol("rootless path"))
ip_address = samplers.mixture(symbol("ipv6 address"), symbol("ipv4"), weights=[0.8, 0.2])
TWO_BYTES, TWO_NUMBERS = samplers.numbers(0, 2**16), samplers.arguments(*[samplers.numbers(0, 1000)] * 2)
TWO_CENTURIES = samplers.dates("1900-01-01", "2100-12-31")


def entry(task: Task, examples: int, learning_rate: float = 1.2e-2, batch_size: int = 32, **fields) -> Entry:
    """An entry with these settings. Large steps forget rare facts: where there are many, the learning rate is lower."""
    return Entry(task, {"examples": examples, "learning_rate": learning_rate, "batch_size": batch_size}, **fields)


GALLERY = {
    "hex": entry(Task(hex_of_number, TWO_BYTES, max_input_bytes=5), 1_500_000, batch_size=256),
    "hex_of_text": entry(Task(hex_of_text, samplers.text(128), max_input_bytes=128), 128_000),
    "html_escape": entry(Task(html.escape, samplers.text(128), max_input_bytes=128), 200_000, 5e-3),
    "quote": entry(Task(quote, samplers.text(128, "/ ?&=#~-_.%"), max_input_bytes=128), 160_000),
    "parse_qs": entry(Task(parse_qs, symbol("query"), max_input_bytes=48), 160_000, 5e-3),
    "shlex_split": entry(Task(shlex.split, shell_command, max_input_bytes=48), 160_000, 5e-3),
    "parseaddr": entry(Task(parseaddr, mail_address, max_input_bytes=48), 160_000, 5e-3),
    "splitext": entry(Task(os.path.splitext, file_path, max_input_bytes=128), 200_000),
    "title": entry(Task(title, CASED, max_input_bytes=24), 320_000, 4e-3, measured_on=samplers.text(24, "'-._")),
    "full_address": entry(Task(full_address, ip_address, max_input_bytes=40), 160_000, 5e-3),
    "date_parts": entry(Task(date_parts, TWO_CENTURIES, max_input_bytes=16), 32_000),
    "roman": entry(Task(roman, samplers.numbers(1, 4000), max_input_bytes=4), 96_000),
    "total": entry(Task(total, TWO_NUMBERS, max_input_bytes=13), 512_000, batch_size=256),
    "checksum": entry(Task(checksum, TWO_BYTES, max_input_bytes=5), 32_000),
    "dates_in_hex": entry(Task(inverse=my_date_format, inputs=TWO_CENTURIES, max_input_bytes=40), 96_000),
    "seconds_in_hex": entry(Task(inverse=seconds_in_hex, inputs=MOMENTS, max_input_bytes=8), 1_500_000, batch_size=256),
}


def known_functions() -> dict[str, Function]:
    """The functions that a card may bring in by their names: they compute, and do nothing else."""
    functions = [urlparse, *(entry.task.function or entry.task.inverse for entry in GALLERY.values())]
    return {name_of(function): function for function in functions if function}
