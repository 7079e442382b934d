"""Trust where inputs are of a kind that nobody collects: exact match, and answers that are trusted and wrong.

The kinds are made of real URLs (of the package bioregistry) and of code points, not by the sampler that training uses.
"""

import argparse
import random
import unicodedata
from collections.abc import Callable
from urllib.parse import urlparse

from benchmarks.common import keep, machine, table
from urlseq import load
from urlseq.evaluation import percent
from urlseq.sources import registry_urls

SCRIPTS = {"Chinese": (0x4E00, 0x9FBF), "Japanese": (0x3041, 0x30FE), "Korean": (0xAC00, 0xD7A3)}
FULL_WIDTH = [chr(code) for code in range(0xFF01, 0xFF5F)]
DELIMITING = [mark for mark in FULL_WIDTH if set(unicodedata.normalize("NFKC", mark)) & set("/?#@:")]
QUOTES = '"\\'
HARMLESS = [mark for mark in FULL_WIDTH if mark not in DELIMITING]


def inserted(rng: random.Random, text: str, marks: list[str] | str, count: int) -> str:
    characters = list(text)
    for _ in range(count):
        characters.insert(rng.randint(0, len(characters)), rng.choice(marks))
    return "".join(characters)


def east_asian_host(rng: random.Random) -> str:
    first, last = rng.choice([*SCRIPTS.values()])
    characters = [chr(rng.randint(first, last)) for _ in range(rng.randint(1, 16))]
    dot = rng.randint(0, len(characters) - 1)
    return ".".join(
        ["".join(characters[:dot]) or "www", "".join(characters[dot:]), rng.choice(["com", "jp", "cn", "kr", "net"])]
    )


def wide_marks(marks: list[str]) -> Callable[[random.Random, str], str]:
    def make(rng: random.Random, url: str) -> str:
        return f"https://{inserted(rng, east_asian_host(rng), marks, rng.randint(1, 3))}{urlparse(url).path}"

    return make


def removed(count: int) -> Callable[[random.Random, str], str]:
    return lambda rng, url: inserted(rng, url, "\t\n\r", count)


def quotes(rng: random.Random, url: str) -> str:
    words = rng.choice(["name", "to be or not", "C:dir"])
    return f"{url}?q={inserted(rng, words, QUOTES, rng.randint(4, 16))}"


def wrapped(rng: random.Random, url: str) -> str:
    width, end = rng.randint(20, 76), rng.choice(["\n", "\r\n", "\r\n ", "\n\t", "=\r\n", "\n> "])
    return end.join(url[start : start + width] for start in range(0, len(url), width))


def ipv6(rng: random.Random, url: str) -> str:
    groups = [f"{rng.getrandbits(rng.choice([4, 8, 16, 16])):x}" for _ in range(8)]
    if rng.random() < 0.5:
        start = rng.randint(0, 6)
        groups[start : rng.randint(start + 1, 8)] = [""]
    address = ":".join(groups)
    address = ":" * address.startswith(":") + address + ":" * address.endswith(":")
    if rng.random() < 0.3:  # one group or colon too many, or a letter that is no digit
        address = inserted(rng, address, [":", "1:", "g", "12345"], 1)
    return f"http://[{address}]{rng.choice(['', ':8080'])}{urlparse(url).path}"


def repeats(rng: random.Random, url: str) -> str:
    part = url[(start := rng.randrange(8, len(url))) : start + rng.randint(2, 8)]
    return f"{url}/{part * rng.randint(2, 6)}"


def nested(rng: random.Random, url: str) -> str:
    return f"{url}?next={url}#{rng.choice(['a', 'b=c', '?d'])}"


def blanks(rng: random.Random, url: str) -> str:
    index = rng.randint(0, len(url))
    return url[:index] + " " * rng.randint(1, 12) + url[index:]


KINDS: dict[str, Callable[[random.Random, str], str]] = {
    "delimiting full-width marks in an East Asian host": wide_marks(DELIMITING),
    "harmless full-width marks in an East Asian host": wide_marks(HARMLESS),
    "3 removed characters": removed(3),
    "8 removed characters": removed(8),
    "12 removed characters": removed(12),
    "4 to 16 quotes and backslashes in a query": quotes,
    "wrapped by a mail program": wrapped,
    "IPv6 hosts": ipv6,
    "repeats": repeats,
    # and two of their neighbourhood
    "URLs within URLs": nested,
    "runs of blanks": blanks,
}


def draws(kind: str, count: int, seed: int = 0) -> list[str]:
    """Different inputs of a kind, of at most 128 bytes; the same ones for the same seed."""
    rng, urls, found = random.Random(f"{kind} {seed}"), registry_urls(), dict[str, None]()
    while len(found) < count:
        text = KINDS[kind](rng, rng.choice(urls))
        if len(text.encode()) <= 128:
            found[text] = None
    return list(found)


def main(quick: bool = False, folder: str = "urlparse", seed: int = 0, count: int = 1000) -> None:
    copy, rows = load(folder, urlparse), []
    for kind in KINDS:
        found = copy.evaluate(draws(kind, 100 if quick else count, seed)).counts
        rows.append([kind, found["count"], found["exact"], percent(found["exact"], found["count"]), found["trusted"],
                     found["trusted_wrong"]])  # fmt: skip
    head = ["kind", "count", "exact", "share exact", "trusted", "trusted_wrong"]
    print(machine(), table(head, rows), sep="\n\n")
    if not quick:
        keep("kinds", [dict(zip(head, cells, strict=True)) for cells in rows])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", default="urlparse", help="a shipped copy, or a folder (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the draws (%(default)s)")
    main(**vars(parser.parse_args()))
