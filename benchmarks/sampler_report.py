"""Sampled URLs beside real lists of URLs: their lengths, how often each part occurs, and how many different bytes."""

import random
from urllib.parse import urlparse

import numpy as np

from benchmarks.accuracy import LISTS
from benchmarks.common import keep, machine, reference_urls, table
from urlseq.samplers import urls
from urlseq.sources import registry_urls
from urlseq.vectorize import buffers, byte_lengths


def rates(inputs: list[str]) -> dict[str, str]:
    """The share of inputs with each part, their lengths, and how many different bytes occur."""
    parts = []
    for text in inputs:
        try:
            parts.append(urlparse(text))
        except ValueError:
            continue
    shares = {
        "https": [part.scheme == "https" for part in parts],
        "www.": [part.netloc.startswith("www.") for part in parts],
        "port": [":" in part.netloc.rpartition("@")[2] for part in parts],
        "userinfo": ["@" in part.netloc for part in parts],
        ";params": [bool(part.params) for part in parts],
        "query": [bool(part.query) for part in parts],
        "fragment": [bool(part.fragment) for part in parts],
        "root path": [part.path in ("", "/") for part in parts],
        "trailing slash": [part.path.endswith("/") for part in parts],
        "percent-encoding": ["%" in text for text in inputs],
        "upper case": [text != text.lower() for text in inputs],
        "not ASCII": [not text.isascii() for text in inputs],
    }
    lengths = byte_lengths(inputs)
    return {
        "count": f"{len(inputs):,}",
        "bytes at 50 / 90 / 99 %": " / ".join(f"{value:.0f}" for value in np.percentile(lengths, [50, 90, 99])),
        "raises": f"{1 - len(parts) / len(inputs):.1%}",
        **{name: f"{np.mean(values):.1%}" for name, values in shares.items()},
        "different bytes": str(len(np.unique(buffers(inputs)[0]))),
    }


def main(quick: bool = False) -> None:
    rng, count = random.Random(0), 2_000 if quick else 20_000
    columns = {}
    for name, noise in (("sampler, realistic", 0.0), ("sampler, noisy", 1.0)):
        sampler = urls(256, noise)
        columns[name] = rates([sampler(rng) for _ in range(count)])
    real = {name: reference_urls(name) for name in LISTS} | {"bioregistry": registry_urls()}
    columns |= {name: rates(inputs) for name, inputs in real.items() if inputs}
    names = list(next(iter(columns.values())))
    print(
        machine(), table(["", *columns], [[name, *(c[name] for c in columns.values())] for name in names]), sep="\n\n"
    )
    if not quick:
        keep("sampler_report", columns)


if __name__ == "__main__":
    main()
