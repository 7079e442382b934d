"""Functions to copy, each with inputs that suit it: the standard library's, everyday ones, and two hopeless ones."""

import dataclasses
import datetime
import html
import ipaddress
import json
import os.path
import random
import shlex
import zlib
from email.utils import parseaddr
from urllib.parse import parse_qs, quote

from urlseq import inputs, sampler
from urlseq.functions import Function
from urlseq.sampler import Sampler

DAY = datetime.timedelta(days=1)


@dataclasses.dataclass(frozen=True)
class Entry:
    """A function of the gallery; as `inverse`, its inverse is learned, from what it makes of the inputs.

    Large steps forget what comes up rarely: where there are many facts to learn, the learning rate is lower. Where
    the inputs to learn from have something rare made common, `measured_on` has the ordinary ones.
    """

    function: Function
    inputs: Sampler
    max_bytes: int
    examples: int = 64_000
    inverse: bool = False
    batch_size: int = 32
    learning_rate: float = 1.2e-2
    measured_on: Sampler | None = None


# ---------------------------------------------------------------- functions that are no one-word names


def hex_of_number(text: str) -> str:
    return hex(int(text))


def hex_of_text(text: str) -> str:
    return text.encode().hex()


def title(text: str) -> str:
    return text.title()


def full_address(text: str) -> str:
    return ipaddress.ip_address(text).exploded


def date_parts(text: str) -> list[int]:
    return list(datetime.datetime.fromisoformat(text).timetuple()[:5])


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
    moment = datetime.datetime.fromisoformat(text)
    return f"{moment:%A}, {moment.day:x} {moment:%B} {moment.year:x}, {moment.hour:x}:{moment.minute:02x}"


def seconds_in_hex(text: str) -> str:
    """The seconds since 1970 in hexadecimal, as a computer's clock counts them, in UTC."""
    moment = datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC)
    return f"{int(moment.timestamp()):x}"


def days_off(answer: str, date: str) -> float:
    """How far from a date the text of an answer is, in days; a century for what is no date at all."""
    try:
        return abs((datetime.datetime.fromisoformat(json.loads(answer)) - datetime.datetime.fromisoformat(date)) / DAY)
    except (TypeError, ValueError):
        return 36_525.0


# ---------------------------------------------------------------- inputs that only they need


def shell_command(rng: random.Random) -> str:
    """A few words, some of them quoted in one of the shell's ways, and some quotes that are never closed."""
    words = []
    for _ in range(rng.randint(1, 4)):
        word = rng.choice([inputs.word, inputs.word, sampler.number])(rng)
        inner = f"{word}{rng.choice(['', ' ', '  ', '$', '-'])}{inputs.word(rng) if rng.random() < 0.5 else ''}"
        forms = [word, word, f"--{word}", f"'{inner}'", f'"{inner}"', f"{word}\\ {word[:3]}", f"{word}='{inner}'"]
        words.append(rng.choice(forms))
    line = rng.choice([" ", " ", "  "]).join(words)
    return line if rng.random() < 0.8 else sampler.edited(rng, line)


def mail_address(rng: random.Random) -> str:
    """An address with a name or without, the name with quotes or without, and some with a slip of the pen."""
    user = rng.choice(
        [inputs.word(rng), f"{inputs.word(rng)}.{inputs.word(rng)}", f"{inputs.word(rng)}+{rng.random():.2}"]
    )
    address = f"{user.lower()}@{sampler.host_name(rng)}"
    name = " ".join(inputs.word(rng).capitalize() for _ in range(rng.randint(1, 3)))
    turned = f"{inputs.word(rng).capitalize()}, {inputs.word(rng).capitalize()}"
    forms = [address, f"<{address}>", f"{name} <{address}>", f'"{turned}" <{address}>', f"{address} ({name})"]
    made = rng.choice(forms)
    return made if rng.random() < 0.8 else sampler.edited(rng, made)


def file_path(rng: random.Random) -> str:
    """A path from the root or from where one is."""
    path = sampler.path(rng)
    return path if rng.random() < 0.5 else path.lstrip("/")


def ip_address(rng: random.Random) -> str:
    return sampler.ipv6(rng, slips=0).strip("[]") if rng.random() < 0.8 else sampler.ipv4(rng)


# The letters of Latin, Greek, Cyrillic and Armenian that have a capital. That Ћ is the one of ћ is a fact that no other
# letter teaches, so `title` has to meet each of them.
CASED = "".join(chr(code) for code in range(0x80, 0x590) if chr(code).lower() != chr(code).upper())

# The first month and the first years again: what is near zero teaches the arithmetic of what is far from it.
SINCE_1970 = inputs.mixture(
    inputs.dates("1970-01-01", "2038-01-18"),
    inputs.dates("1970-01-01", "1973-12-31"),
    inputs.dates("1970-01-01", "1970-01-31"),
    weights=[6, 3, 1],
)

GALLERY = {
    "hex": Entry(hex_of_number, inputs.numbers(0, 2**16), 5, 1_500_000, batch_size=256),
    "hex_of_text": Entry(hex_of_text, inputs.text(20), 20),
    "html_escape": Entry(html.escape, inputs.text(24), 24, 128_000, learning_rate=5e-3),
    "quote": Entry(quote, inputs.text(24, "/ ?&=#~-_.%"), 24, 96_000),
    "parse_qs": Entry(parse_qs, sampler.query, 48, 160_000, learning_rate=5e-3),
    "shlex_split": Entry(shlex.split, shell_command, 48, 160_000, learning_rate=5e-3),
    "parseaddr": Entry(parseaddr, mail_address, 48, 160_000, learning_rate=5e-3),
    "splitext": Entry(os.path.splitext, file_path, 48, 128_000),
    "title": Entry(
        title,
        inputs.text(24, "'-._" * (len(CASED) // 4) + CASED),
        24,
        320_000,
        learning_rate=4e-3,
        measured_on=inputs.text(24, "'-._"),
    ),
    "full_address": Entry(full_address, ip_address, 40, 160_000, learning_rate=5e-3),
    "date_parts": Entry(date_parts, inputs.dates("1900-01-01", "2100-12-31"), 16, 32_000),
    "roman": Entry(roman, inputs.numbers(1, 4000), 4, 96_000),
    "total": Entry(
        total, inputs.arguments(inputs.numbers(0, 1000), inputs.numbers(0, 1000)), 13, 512_000, batch_size=256
    ),
    "checksum": Entry(checksum, inputs.numbers(0, 2**16), 5, 32_000),
    "dates_in_hex": Entry(
        my_date_format,
        inputs.dates("1900-01-01", "2100-12-31"),
        40,
        96_000,
        inverse=True,
    ),
    "seconds_in_hex": Entry(seconds_in_hex, SINCE_1970, 8, 1_500_000, inverse=True, batch_size=256),
}
