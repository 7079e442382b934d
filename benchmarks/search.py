"""What the encoder's state is good for in a search, beside character n-grams by TF-IDF; and the index' recall."""

import random
from urllib.parse import urlparse

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from usearch.index import Index

from benchmarks.common import keep, machine, reference_urls, table
from urlseq import load
from urlseq.functions import answer
from urlseq.search import Scale, found_again, near_duplicate, nearest, shape, shared, template
from urlseq.sources import registry_urls

TEXTS, QUERIES = 6_000, 500
LISTS = ("registry", "news_links", "sitemaps", "legislators")


def usable(copied, name: str) -> list[str]:
    texts = registry_urls() if name == "registry" else reference_urls(name)
    texts = [text for text in dict.fromkeys(texts) if copied.refusal(text) is None and is_url(text)]
    random.Random("search").shuffle(texts)
    return texts[:TEXTS]


def is_url(text: str) -> bool:
    """Whether it has parts at all: of what `urlparse` refuses there is no shape."""
    return "error" not in answer(urlparse, text)[:8]


def groups_of(texts: list[str], key) -> np.ndarray:
    return np.unique([repr(key(text)) for text in texts], return_inverse=True)[1]


def measured(texts: list[str], vectors, queries, rows: list[int]) -> dict[str, float]:
    """Shares of what is found, by the vectors of all texts and of near duplicates of those in `rows`."""
    neighbours = nearest(vectors[rows], vectors, but=rows)
    return {
        "near duplicates": found_again(nearest(queries, vectors), rows),
        "same shape": shared(neighbours, rows, groups_of(texts, shape)),
        "same template": shared(neighbours, rows, groups_of(texts, template)),
    }


def recall(vectors: np.ndarray, queries: np.ndarray, count: int = 10) -> float:
    """Of the `count` nearest by exact search, the share that the index finds."""
    # Many of these vectors are nearly equal, so the index looks at more candidates than it would by default (64).
    index = Index(ndim=vectors.shape[1], metric="cos", expansion_search=256)
    index.add(np.arange(len(vectors)), vectors)
    found, exact = index.search(queries, count).keys, nearest(queries, vectors, count)
    return float(np.mean([len(np.intersect1d(one, other)) for one, other in zip(found, exact, strict=True)]) / count)


def main(quick: bool = False) -> None:
    copied = load("urlparse")
    result = {}
    for name in LISTS:
        texts = usable(copied, name)[: 1_000 if quick else None]
        if not texts:
            print(f"The list {name} is not here.")
            continue
        rng = random.Random(f"search {name}")
        rows = rng.sample(range(len(texts)), min(QUERIES, len(texts)))
        altered = [near_duplicate(texts[row], rng) for row in rows]
        altered = [new if copied.refusal(new) is None else texts[row] for new, row in zip(altered, rows, strict=True)]
        states, asked = copied.embed(texts), copied.embed(altered)
        scale = Scale(states)
        grams = TfidfVectorizer(analyzer="char", ngram_range=(2, 4), lowercase=False)
        sparse = grams.fit_transform(texts)
        result[name] = {
            "texts": len(texts),
            "states": measured(texts, scale(states), scale(asked), rows),
            "TF-IDF": measured(texts, sparse, grams.transform(altered), rows),
            "recall at 10": recall(scale(states), scale(asked)),
            "numbers a text": {"states": states.shape[1], "TF-IDF": sparse.shape[1]},
        }
    lines = [[name, what, f"{of['states'][what]:.1%}", f"{of['TF-IDF'][what]:.1%}"]
             for name, of in result.items() for what in of["states"]]  # fmt: skip
    print(machine(), table(["list", "of the ten nearest", "states", "TF-IDF"], lines), sep="\n\n")
    print({name: round(of["recall at 10"], 4) for name, of in result.items()})
    if not quick:
        keep("search", result)


if __name__ == "__main__":
    main()
