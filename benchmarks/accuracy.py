"""Exact match of a copy on the lists of real URLs that training never saw, on edge cases, and on URLs made for it."""

import argparse
import gzip
import itertools
import json
import random

from benchmarks.common import REFERENCE, keep, machine, reference_urls, table
from urlseq import load
from urlseq.evaluate import by_group, interval, kinds_of_mistakes
from urlseq.functions import function_named
from urlseq.sampler import ipv6
from urlseq.sources import registry_urls, texts_for

LISTS = ["downloads", "scholarly", "news_links", "sitemaps", "legislators", "media_pages"]
EDGES = ["web_platform", "cpython", "curl"]


def edge_cases(name: str) -> list[str]:
    path = REFERENCE / f"edge_{name}.jsonl.gz"
    if not path.exists():
        return []
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def beginnings() -> list[str]:
    """What a page that answers at each key press is asked while 150 real URLs are typed."""
    urls = random.Random(0).sample([url for url in registry_urls() if len(url) <= 128], 150)
    return list(dict.fromkeys(url[:length] for url in urls for length in range(1, len(url))))


def tiny_urls() -> list[str]:
    """All that can be put together of a few short parts. (Most of these may have been in training.)"""
    starts, marks = ["", "a:", "http:", "http://a", "//b", "//B.c"], [["", ";", ";e"], ["", "?", "?f", "?f=g"]]
    return ["".join(parts) for parts in itertools.product(starts, ["", "/", "/d", "/d/"], *marks, ["", "#", "#h"])]


def ipv6_hosts() -> list[str]:
    """Held-out URLs whose host is an IPv6 address, or nearly one; to be told apart by counting."""
    found = texts_for(lambda rng: f"http://{ipv6(rng)}/x", random.Random(0), 3000, held_out=True)
    return list(dict.fromkeys(found))


def lists() -> dict[str, list[str]]:
    """Real URLs and edge cases that others collected, by name; a list is empty where it is missing."""
    found = {f"urls_{name}": reference_urls(name) for name in LISTS} | {"bioregistry": registry_urls()}
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


def main(quick: bool = False, copied: str = "urlparse", name: str = "accuracy") -> None:
    copied = load(copied, function_named("urllib.parse.urlparse"))
    rows, total = [], {}
    for source, texts in (lists() | made_for_it()).items():
        texts = [text for text in texts if copied.refusal(text) is None][: 300 if quick else None]
        if not texts:
            print(f"{source}: the list is not here, skipped")
            continue
        evaluation = copied.evaluate(texts)
        for limit in sorted({min(128, copied.max_bytes), copied.max_bytes}):
            keep_ = [len(text.encode()) <= limit for text in texts]
            right, trusted = evaluation.right[keep_], evaluation.trusted[keep_]
            counts = [len(right), int(right.sum()), int(trusted.sum()), int((trusted & ~right).sum())]
            low, high = interval(counts[1], counts[0])
            rows.append([source, limit, *counts, f"{counts[1] / counts[0]:.3%}", f"{low:.2%} to {high:.2%}"])
            if source.startswith("urls_"):
                total[limit] = [a + b for a, b in zip(total.get(limit, [0] * 4), counts, strict=True)]
        if source.startswith("urls_"):
            print(source, dict(kinds_of_mistakes(evaluation)), by_group(evaluation, components))
    for limit, counts in total.items():
        low, high = interval(counts[1], counts[0])
        rows.append(["all urls_*", limit, *counts, f"{counts[1] / counts[0]:.3%}", f"{low:.2%} to {high:.2%}"])
    head = ["list", "bytes at most", "count", "exact", "trusted", "trusted_wrong", "share exact", "95 % interval"]
    print(machine(), table(head, rows), sep="\n\n")
    if not quick:
        keep(name, [dict(zip(head, row, strict=True)) for row in rows])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("copied", nargs="?", default="urlparse", help="a shipped copy, or a folder (%(default)s)")
    parser.add_argument("--name", default="accuracy", help="of the file in results/ (%(default)s)")
    main(**vars(parser.parse_args()))
