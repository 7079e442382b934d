"""Texts as vectors to search by: bringing embeddings to scale, exact neighbours, and what makes two URLs alike."""

import random
import re
from collections.abc import Sequence
from urllib.parse import urlsplit

import numpy as np


class Scale:
    """What a collection's vectors are measured by: how far each number is from its mean, in standard deviations.

    Without it the few states that differ most would decide alone. Queries take the scale of what they search in.
    """

    def __init__(self, vectors: np.ndarray):
        self.mean, self.deviation = vectors.mean(axis=0), np.maximum(vectors.std(axis=0), 1e-6)

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        """Vectors [texts, width] to scale and of length 1, so that the product of two is their cosine."""
        scaled = (vectors - self.mean) / self.deviation
        return scaled / np.maximum(np.linalg.norm(scaled, axis=1, keepdims=True), 1e-12)


def nearest(queries, vectors, count: int = 10, but: Sequence[int] | None = None) -> np.ndarray:
    """The places of the `count` nearest vectors to each query, int [queries, count], the nearest first, by trying all.

    Both may be dense or sparse, with rows of length 1. `but` names for each query a place that does not count: its own.
    Where there are fewer vectors than `count`, that many are found.
    """
    products = queries @ vectors.T
    products = np.asarray(products if isinstance(products, np.ndarray) else products.toarray())
    if but is not None:
        products[np.arange(len(products)), but] = -np.inf
        count = min(count, products.shape[1] - 1)  # the place itself would come last
    return np.argsort(-products, axis=1, kind="stable")[:, :count]


def shape(url: str) -> tuple:
    """How a URL is built, whatever is written in it: its scheme, which parts there are, and how many segments."""
    parts = urlsplit(url)
    segments = [segment for segment in parts.path.split("/") if segment]
    last = segments[-1] if segments else ""
    kind = "number" if last.isdigit() else "file" if re.search(r"\.\w{1,5}$", last) else "word"
    return (parts.scheme, len(segments), kind, parts.path.endswith("/"),
            len(parts.query.split("&")) if parts.query else 0, bool(parts.fragment))  # fmt: skip


def template(url: str) -> str:
    """The host and the path with every segment that has a digit, and each value of a query, left open."""
    parts = urlsplit(url)
    path = re.sub(r"[^/]*\d[^/]*", "*", parts.path)
    return f"{parts.netloc}{path}?{re.sub(r'=[^&]*', '=*', parts.query)}"


def near_duplicate(url: str, rng: random.Random) -> str:
    """The URL as somebody else would write it: another scheme, a slash, `www.`, a tracking parameter, a typo."""
    scheme, _, rest = url.partition("://")
    place = rng.randrange(len(url) // 2, len(url))
    return rng.choice([
        f"{'http' if scheme == 'https' else 'https'}://{rest}",
        url.removesuffix("/") if url.endswith("/") else f"{url}/",
        f"{scheme}://{rest.removeprefix('www.') if rest.startswith('www.') else 'www.' + rest}",
        f"{url}{'&' if '?' in url else '?'}utm_source=feed",
        f"{url}#top",
        f"{url[:place]}{rng.choice('abcdefghijklmnopqrstuvwxyz')}{url[place + 1 :]}",
    ])  # fmt: skip


def found_again(found: np.ndarray, wanted: Sequence[int]) -> float:
    """The share of queries whose wanted place is among those found [queries, count]."""
    return float(np.mean([place in row for place, row in zip(wanted, found, strict=True)]))


def shared(found: np.ndarray, rows: Sequence[int], groups: np.ndarray) -> float:
    """Of the neighbours found, the share of the query's own group, of as many as there are of it; groups of one aside.

    `found` [queries, count] are places in `groups`, `rows` the queries' own places.
    """
    shares = []
    for row, places in zip(rows, found, strict=True):
        others = int((groups == groups[row]).sum()) - 1
        if others:
            shares.append((groups[places] == groups[row]).sum() / min(len(places), others))
    return float(np.mean(shares))
