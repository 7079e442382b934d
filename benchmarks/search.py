"""How good `embed` is for a search, beside its two parts, TF-IDF and chance; time and recall of an index."""

import random
import re
import time
from collections.abc import Sequence
from urllib.parse import urlparse, urlsplit

import numpy as np

from benchmarks.common import keep, machine, reference_urls, table
from urlseq import LiteCopy, load_lite
from urlseq.functions import answer
from urlseq.sources import registry_urls

INPUTS, QUERIES = 6_000, 500
LISTS = ("registry", "news_links", "sitemaps", "legislators")


def urls_in(copy: LiteCopy, name: str) -> list[str]:
    """The distinct URLs of a list, in random order."""
    inputs = registry_urls() if name == "registry" else reference_urls(name)
    inputs = [text for text in dict.fromkeys(inputs) if not copy.invalid_reason(text) and is_url(text)]
    random.Random("search").shuffle(inputs)
    return inputs


def is_url(text: str) -> bool:
    """Whether `urlparse` finds parts in it: without them there is no shape."""
    return "error" not in answer(urlparse, text)[:8]


# ---------------------------------------------------------------- neighbours


def standardized(vectors: np.ndarray, collection: np.ndarray) -> np.ndarray:
    """Vectors in standard deviations from the collection's mean, then of length 1: products of two are cosines.

    Otherwise the few states that vary most would decide alone.
    """
    scaled = (vectors - collection.mean(axis=0)) / np.maximum(collection.std(axis=0), 1e-6)
    return scaled / np.maximum(np.linalg.norm(scaled, axis=1, keepdims=True), 1e-12)


def nearest(queries, vectors, count: int = 10, own: Sequence[int] | None = None) -> np.ndarray:
    """The indices of the `count` nearest vectors to each query, int [queries, count], the nearest first, by trying all.

    Both may be dense or sparse, with rows of length 1. `own` names for each query the vector that does not count.
    """
    products = queries @ vectors.T
    products = np.asarray(products if isinstance(products, np.ndarray) else products.toarray())
    if own is not None:
        products[np.arange(len(products)), own] = -np.inf
        count = min(count, products.shape[1] - 1)  # its own vector would come last
    return np.argsort(-products, axis=1, kind="stable")[:, :count]


def found_again(found: np.ndarray, expected: Sequence[int]) -> np.ndarray:
    """For each query 1 if its expected index is among those found [queries, count], else 0."""
    return np.array([float(index in row) for index, row in zip(expected, found, strict=True)])


def shared(found: np.ndarray, own: Sequence[int], groups: np.ndarray) -> np.ndarray:
    """For each query the share of neighbours found [queries, count] that are of its group, of as many as there are.

    `own` are the queries' indices in `groups`; a query that is alone in its group does not count.
    """
    shares = []
    for row, neighbours in zip(own, found, strict=True):
        others = int((groups == groups[row]).sum()) - 1
        if others:
            shares.append((groups[neighbours] == groups[row]).sum() / min(len(neighbours), others))
    return np.array(shares)


def with_interval(shares: np.ndarray) -> list[float]:
    """The mean of the queries' shares, its 95 % interval, and how many they are."""
    mean, spread = shares.mean(), 1.96 * shares.std() / len(shares) ** 0.5
    return [round(float(number), 4) for number in (mean, mean - spread, mean + spread)] + [len(shares)]


# ---------------------------------------------------------------- which URLs are alike


def shape(url: str) -> tuple:
    """The form of a URL: its scheme, which parts there are, and how many segments, whatever is written in them."""
    parts = urlsplit(url)
    segments = [segment for segment in parts.path.split("/") if segment]
    last = segments[-1] if segments else ""
    kind = "number" if last.isdigit() else "file" if re.search(r"\.\w{1,5}$", last) else "word"
    return (parts.scheme, len(segments), kind, parts.path.endswith("/"),
            len(parts.query.split("&")) if parts.query else 0, bool(parts.fragment))  # fmt: skip


def template(url: str) -> str:
    """The host and the path, with `*` for every segment that has a digit and for each value of a query."""
    parts = urlsplit(url)
    path = re.sub(r"[^/]*\d[^/]*", "*", parts.path)
    return f"{parts.netloc}{path}?{re.sub(r'=[^&]*', '=*', parts.query)}"


def near_duplicate(url: str, rng: random.Random) -> str:
    """The URL as somebody else would write it: another scheme, a slash, `www.`, a tracking parameter, a typo."""
    scheme, _, rest = url.partition("://")
    index = rng.randrange(len(url) // 2, len(url))
    return rng.choice([
        f"{'http' if scheme == 'https' else 'https'}://{rest}",
        url.removesuffix("/") if url.endswith("/") else f"{url}/",
        f"{scheme}://{rest.removeprefix('www.') if rest.startswith('www.') else 'www.' + rest}",
        f"{url}{'&' if '?' in url else '?'}utm_source=feed",
        f"{url}#top",
        f"{url[:index]}{rng.choice('abcdefghijklmnopqrstuvwxyz')}{url[index + 1 :]}",
    ])  # fmt: skip


def groups_of(inputs: list[str], key) -> np.ndarray:
    """The number of each input's group, int [inputs]: those with an equal key are of one group."""
    return np.unique([repr(key(text)) for text in inputs], return_inverse=True)[1]


# ---------------------------------------------------------------- measured


def measures(inputs: list[str], vectors, queries, rows: list[int]) -> dict[str, list[float]]:
    """The shares found, with intervals, by the vectors of all inputs and of near duplicates of those in `rows`."""
    neighbours = nearest(vectors[rows], vectors, own=rows)
    return {
        "near duplicates": with_interval(found_again(nearest(queries, vectors), rows)),
        "same shape": with_interval(shared(neighbours, rows, groups_of(inputs, shape))),
        "same template": with_interval(shared(neighbours, rows, groups_of(inputs, template))),
    }


def by_chance(inputs: list[str], rows: list[int]) -> dict[str, list[float]]:
    """What ten neighbours drawn at random share with each query."""
    rng = np.random.default_rng(0)
    drawn = np.array([rng.choice(np.delete(np.arange(len(inputs)), row), 10, replace=False) for row in rows])
    return {"near duplicates": [10 / len(inputs)],
            "same shape": with_interval(shared(drawn, rows, groups_of(inputs, shape))),
            "same template": with_interval(shared(drawn, rows, groups_of(inputs, template)))}  # fmt: skip


def measure(copy: LiteCopy, name: str, inputs: list[str]) -> dict:
    """All that is measured on one list."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    rng = random.Random(f"search {name}")
    rows = rng.sample(range(len(inputs)), min(QUERIES, len(inputs)))
    altered = [near_duplicate(inputs[row], rng) for row in rows]
    altered = [inputs[row] if copy.invalid_reason(new) else new for new, row in zip(altered, rows, strict=True)]
    vectors, queries = copy.embed(inputs), copy.embed(altered)
    states = copy.card["architecture"]["units"]
    parts = {"embed": slice(None), "states alone": slice(states), "sketch alone": slice(states, None)}
    found: dict[str, dict] = {
        name: measures(inputs, standardized(vectors[:, part], vectors[:, part]),
                       standardized(queries[:, part], vectors[:, part]), rows)
        for name, part in parts.items()
    }  # fmt: skip
    grams = TfidfVectorizer(analyzer="char", ngram_range=(2, 4), lowercase=False)
    sparse = grams.fit_transform(inputs)
    found["TF-IDF"] = measures(inputs, sparse, grams.transform(altered), rows)
    return {"texts": len(inputs), "by": found | {"chance": by_chance(inputs, rows)}}


def index_of(vectors: np.ndarray, queries: np.ndarray, count: int = 10) -> dict[str, float]:
    """An index's time and recall beside exact search."""
    from usearch.index import Index

    # Many of these vectors are nearly equal, so the index looks at more candidates than it would by default (64).
    index, start = Index(ndim=vectors.shape[1], metric="cos", expansion_search=256), time.monotonic()
    index.add(np.arange(len(vectors)), vectors)
    built, start = time.monotonic() - start, time.monotonic()
    found = index.search(queries, count).keys
    searched, start = time.monotonic() - start, time.monotonic()
    exact = nearest(queries, vectors, count)
    compared = time.monotonic() - start
    both = [len(np.intersect1d(one, other)) for one, other in zip(found, exact, strict=True)]
    milliseconds = {"a query": searched, "a query, exact": compared}
    return {"texts": len(vectors), "seconds to build": round(built, 2), "recall": float(np.mean(both)) / count} | {
        name: round(1e3 * seconds / len(queries), 3) for name, seconds in milliseconds.items()
    }


def main(quick: bool = False) -> None:
    copy = load_lite("urlparse")
    lists = {name: urls_in(copy, name)[: 1_000 if quick else INPUTS] for name in LISTS}
    if missing := [name for name, inputs in lists.items() if not inputs]:
        print(f"Not here: {', '.join(missing)}.")
    result: dict = {name: measure(copy, name, inputs) for name, inputs in lists.items() if inputs}
    lines = [[name, what, *(f"{of['by'][way][what][0]:.1%}" for way in of["by"])]
             for name, of in result.items() for what in of["by"]["embed"]]  # fmt: skip
    head = ["list", "of the ten nearest", *result["registry"]["by"]]
    print(machine(), table(head, lines), sep="\n\n")
    everything = copy.embed(urls_in(copy, "registry")[: 1_000 if quick else 30_000])
    counts = [1_000] if quick else [1_000, 6_000, 30_000]
    scaled = [standardized(everything[:count], everything[:count]) for count in counts]
    sizes = [index_of(vectors, vectors[:QUERIES]) for vectors in scaled]
    print(*sizes, sep="\n")
    if not quick:
        keep("search", {"lists": result, "index": sizes})


if __name__ == "__main__":
    main()
