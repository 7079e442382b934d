"""Embeddings: the same in any batch, and good for a search; and the measures of benchmarks/search.py."""

import random

import keras
import numpy as np
import pytest

from benchmarks.search import found_again, groups_of, near_duplicate, nearest, shape, shared, standardized, template
from urlseq import load
from urlseq.encoding import sketch, to_tokens
from urlseq.errors import InvalidInput
from urlseq.sources import registry_urls
from urlseq.vectorize import pad, to_matrix


@pytest.fixture(scope="module")
def parser():
    return load("urlparse")


@pytest.fixture(scope="module")
def urls(parser):
    return [text for text in registry_urls() if not parser.invalid_reason(text)][::20]


@pytest.fixture(scope="module")
def vectors(parser, urls):
    return parser.embed(urls)


def test_a_vector_does_not_depend_on_the_batch_or_on_padding(parser, urls, vectors):
    assert vectors.shape == (len(urls), 512) and vectors.dtype == np.float32
    assert len(np.unique(vectors, axis=0)) == len(urls)
    for row in (0, len(urls) // 2, -1):
        assert parser.embed(urls[row]) == pytest.approx(vectors[row], abs=1e-5)
    assert parser.embed([]).shape == (0, 512)
    assert parser.embed("").shape == (512,) and np.isfinite(parser.embed("")).all()


def test_a_vector_begins_with_the_middle_of_each_state(parser, urls, vectors):
    states = keras.Model(parser.model.get_layer("encoder_input").output, parser.model.get_layer("states").output)
    for row in (0, 7):
        found = np.asarray(states.predict_on_batch(to_matrix([urls[row]]).astype(np.int32)))[0]  # [in, units]
        assert (found.max(axis=0) + found.min(axis=0)) / 2 == pytest.approx(vectors[row][:64], abs=1e-4)
    longer = pad(to_matrix(urls[:40]), 4)
    assert parser.midrange(longer.astype(np.int32)) == pytest.approx(vectors[:40, :64], abs=1e-4)


def test_an_invalid_input_has_no_vector(parser):
    with pytest.raises(InvalidInput, match="has 1,025 bytes, more than the 1,024 that were learned"):
        parser.embed(["", "x" * 1025])
    with pytest.raises(InvalidInput, match="NUL"):
        parser.embed("a\0b")


def test_neighbours_are_built_alike_more_often_than_by_tfidf_and_near_duplicates_are_found(parser, urls, vectors):
    text = pytest.importorskip("sklearn.feature_extraction.text")
    groups, rows = groups_of(urls, shape), range(0, len(urls), 5)
    scaled = standardized(vectors, vectors)
    by_vector = np.mean(shared(nearest(scaled[rows], scaled, own=rows), rows, groups))
    grams = text.TfidfVectorizer(analyzer="char", ngram_range=(2, 4), lowercase=False).fit_transform(urls)
    by_grams = np.mean(shared(nearest(grams[list(rows)], grams, own=rows), rows, groups))
    assert by_vector > by_grams + 0.05
    altered = [near_duplicate(urls[row], random.Random(row)) for row in rows]
    found = nearest(standardized(parser.embed(altered), vectors), scaled)
    assert np.mean(found_again(found, rows)) > 0.98


def test_a_sketch_counts_the_pieces_of_a_text():
    tokens = to_tokens([b"", b"ab", b"abab", b"xyz"])
    found = sketch(tokens, 448)
    assert found.shape == (4, 448) and np.linalg.norm(found, axis=1) == pytest.approx(np.ones(4))
    # BOS and EOS are pieces, too: `ab` has 3 of 2 bytes, 2 of 3 and 1 of 4.
    assert np.count_nonzero(found, axis=1).tolist() == [1, 6, 11, 9]
    assert found[1] @ found[2] > 0.3 > found[1] @ found[3]
    assert np.array_equal(sketch(to_tokens([b"ab"]), 448)[0], found[1])  # padding does not count


def test_with_arrow_and_without_the_rows_are_the_same(urls):
    assert np.array_equal(to_tokens([text.encode() for text in ["", "é", *urls]]), to_matrix(["", "é", *urls]))


@pytest.mark.slow
def test_an_index_finds_what_exact_search_finds(vectors, urls):
    index_of = pytest.importorskip("usearch.index")
    scaled = standardized(vectors, vectors)
    index = index_of.Index(ndim=scaled.shape[1], metric="cos")
    index.add(np.arange(len(scaled)), scaled)
    found = index.search(scaled[::10], 10).keys
    exact = nearest(scaled[::10], scaled)
    assert np.mean([len(set(one) & set(other)) for one, other in zip(found, exact, strict=True)]) / 10 >= 0.95


def test_exact_neighbours():
    vectors = np.array([[1, 0], [0, 1], [0.8, 0.6], [0.6, 0.8]])
    assert nearest(vectors[:1], vectors, 3).tolist() == [[0, 2, 3]]
    assert nearest(vectors[:2], vectors, 2, own=[0, 1]).tolist() == [[2, 3], [3, 2]]
    assert found_again(np.array([[0, 2], [1, 2]]), [2, 0]).tolist() == [1, 0]
    # The first has one companion, which is found; the last is alone and does not count.
    assert shared(np.array([[2, 1], [0, 1]]), [0, 3], np.array([5, 6, 5, 7])).tolist() == [1.0]
    assert shared(np.array([[1, 3]]), [0], np.array([5, 6, 5, 7])).tolist() == [0.0]


def test_with_few_vectors_a_query_is_still_not_its_own_neighbour():
    vectors = np.eye(5)
    found = nearest(vectors, vectors, own=range(5))
    assert found.shape == (5, 4) and not any(row in indices for row, indices in enumerate(found))
    assert shared(found, range(5), np.zeros(5)).tolist() == [1.0] * 5
    assert nearest(vectors, vectors).shape == (5, 5)


def test_standardized_numbers_have_the_same_weight():
    vectors = np.random.default_rng(0).normal([5, 0], [100, 0.01], [500, 2])
    scaled = standardized(vectors, vectors)
    assert np.linalg.norm(scaled, axis=1) == pytest.approx(np.ones(500))
    assert np.abs(scaled).mean(axis=0) == pytest.approx(np.full(2, 2 / np.pi), abs=0.05)
    constant = np.ones([3, 2])
    assert np.isfinite(standardized(constant, constant)).all()


def test_shape_and_template():
    assert shape("https://a.org/x/12") == shape("https://bcd.com/word/7")
    assert len({shape(url) for url in ("https://a.org/", "http://a.org/", "https://a.org/?q=1", "https://a.org/#f",
                                       "https://a.org/x.pdf", "https://a.org/x", "https://a.org/x/")}) == 7  # fmt: skip
    assert template("https://a.org/item/12?id=7") == template("https://a.org/item/ab9?id=8") == "a.org/item/*?id=*"
    assert template("https://a.org/item/12") != template("https://b.org/item/12")


def test_a_near_duplicate_is_another_text():
    rng, url = random.Random(0), "https://www.example.org/a/b/"
    made = {near_duplicate(url, rng) for _ in range(200)}
    assert {"http://www.example.org/a/b/", "https://www.example.org/a/b", "https://example.org/a/b/",
            "https://www.example.org/a/b/?utm_source=feed", "https://www.example.org/a/b/#top"} < made  # fmt: skip
