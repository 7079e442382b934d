"""Exact match of a copy on the lists of real URLs that training never saw, on edge cases, and on URLs made for it."""

import argparse
import gzip
import itertools
import json
import random
from urllib.parse import urlparse

from benchmarks.common import REFERENCE, keep, machine, reference_urls, table
from urlseq import load
from urlseq.evaluation import interval
from urlseq.report import by_group, kinds_of_mistakes
from urlseq.samplers import symbol
from urlseq.sources import draw, registry_urls

LISTS = ["downloads", "scholarly", "news_links", "sitemaps", "legislators", "media_pages"]
LIMITS = [128, 256, 1024]  # bytes
EDGES = ["web_platform", "cpython", "curl"]


def edge_cases(name: str) -> list[str]:
    path = REFERENCE / f"edge_{name}.jsonl.gz"
    if not path.exists():
        return []
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def beginnings() -> list[str]:
    """All inputs of a page that answers at each key press, while 150 real URLs are typed."""
    urls = random.Random(0).sample([url for url in registry_urls() if len(url) <= 128], 150)
    return list(dict.fromkeys(url[:length] for url in urls for length in range(1, len(url))))


def tiny_urls() -> list[str]:
    """All combinations of a few short parts. (Most of these may have been in training.)"""
    starts, ends = ["", "a:", "http:", "http://a", "//b", "//B.c"], [["", ";", ";e"], ["", "?", "?f", "?f=g"]]
    return ["".join(parts) for parts in itertools.product(starts, ["", "/", "/d", "/d/"], *ends, ["", "#", "#h"])]


def ipv6_hosts() -> list[str]:
    """Held-out URLs whose host is an IPv6 address, or nearly one; to be told apart by counting."""
    ipv6 = symbol("ipv6")
    return list(dict.fromkeys(draw(lambda rng: f"http://{ipv6(rng)}/x", random.Random(0), 3000, True, 128)))


def lists() -> dict[str, list[str]]:
    """Real URLs and edge cases that others collected, by name; a list is empty where it is missing."""
    found = {f"urls_{name}": reference_urls(name) for name in [*LISTS, "long"]} | {"bioregistry": registry_urls()}
    return found | {f"edge_{name}": edge_cases(name) for name in EDGES}


def made_for_it() -> dict[str, list[str]]:
    """URLs that ask for one ability each, by name."""
    return {"beginnings": beginnings(), "tiny": tiny_urls(), "ipv6": ipv6_hosts()}


def components(text: str) -> list[str]:
    """Which parts a URL has, as its characters show them."""
    rest, _, fragment = text.partition("#")
    rest, _, query = rest.partition("?")
    authority = rest.partition("://")[2].partition("/")[0]
    checks = {"query": query, "fragment": fragment, "port or userinfo": ":" in authority or "@" in authority,
              ";params": ";" in rest, "percent-encoded": "%" in text, "upper case": text != text.lower(),
              "not ASCII": not text.isascii()}  # fmt: skip
    return ["all", *(name for name, holds in checks.items() if holds)]


def row(source: str, most: int, counts: list[int]) -> list:
    """A row of the table: of inputs up to `most` bytes, how many there are, are exact, trusted, trusted and wrong."""
    low, high = interval(counts[1], counts[0])
    return [source, most, *counts, f"{counts[1] / counts[0]:.3%}", f"{low:.2%} to {high:.2%}"]


def main(quick: bool = False, folder: str = "urlparse", name: str = "accuracy") -> None:
    copy = load(folder, urlparse)
    rows, total = [], {}
    for source, inputs in (lists() | made_for_it()).items():
        inputs = [text for text in inputs if not copy.invalid_reason(text)][: 300 if quick else None]
        if not inputs:
            print(f"{source}: the list is not here, skipped")
            continue
        evaluation = copy.evaluate(inputs)
        for most in sorted({min(limit, copy.max_input_bytes) for limit in LIMITS}):
            short = [len(text.encode()) <= most for text in inputs]
            if not any(short):
                continue
            correct, trusted = evaluation.correct[short], evaluation.trusted[short]
            counts = [len(correct), int(correct.sum()), int(trusted.sum()), int((trusted & ~correct).sum())]
            rows.append(row(source, most, counts))
            if source.removeprefix("urls_") in LISTS:
                total[most] = [a + b for a, b in zip(total.get(most, [0] * 4), counts, strict=True)]
        if source.startswith("urls_"):
            print(source, dict(kinds_of_mistakes(evaluation)), by_group(evaluation, components))
    rows += [row("the six lists", most, counts) for most, counts in total.items()]
    head = ["list", "bytes at most", "count", "exact", "trusted", "trusted_wrong", "share exact", "95 % interval"]
    print(machine(), table(head, rows), sep="\n\n")
    if not quick:
        keep(name, [dict(zip(head, cells, strict=True)) for cells in rows])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", default="urlparse", help="a shipped copy, or a folder (%(default)s)")
    parser.add_argument("--name", default="accuracy", help="of the file in results/ (%(default)s)")
    main(**vars(parser.parse_args()))
