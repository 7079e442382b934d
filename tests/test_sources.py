import gzip
import importlib.util
import itertools
import random
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from conftest import words

from urlseq.errors import (
    BadSource,
    InvalidInput,
    InvalidSetting,
    MissingColumns,
    MissingPackage,
    MissingSource,
    WrongType,
)
from urlseq.sampling import HELD_OUT_SHARE, LabelledInput, is_held_out
from urlseq.sources import draw, read_inputs, registry_urls, sampler_of

TEXTS = ["http://a.example/", "é", "", "http://b.example/?q=1", "日本語"]
LINES = "".join(f"{text}\n" for text in TEXTS).encode()


def drawn(inputs, count: int = 300) -> set[str]:
    sampler, rng = sampler_of(inputs), random.Random(0)
    return {sampler(rng) for _ in range(count)}


@pytest.fixture
def parquet(tmp_path):
    table = pa.table({"number": range(len(TEXTS)), "url": TEXTS})
    pa.parquet.write_table(table, tmp_path / "one.parquet")
    (tmp_path / "many").mkdir()
    pa.parquet.write_table(table.slice(0, 2), tmp_path / "many" / "part-0.parquet")
    pa.parquet.write_table(table.slice(2), tmp_path / "many" / "part-1.parquet")
    return tmp_path


@pytest.mark.parametrize("inputs", [TEXTS, tuple(TEXTS), pa.array(TEXTS), pa.chunked_array([TEXTS[:2], TEXTS[2:]])])
def test_sequences_are_drawn_from(inputs):
    assert drawn(inputs) == set(TEXTS)


@pytest.mark.parametrize(("inputs", "error", "message"), [
    (pd.DataFrame({"url": TEXTS}), WrongType, r"A DataFrame is no list of texts: give one column, .* table\['url'\]"),
    (pa.table({"url": TEXTS}), WrongType, "A Table is no list of texts"),
    ({"url": TEXTS}, WrongType, r"A dict is no list of texts.*list\(values\)"),
    (5, WrongType, "A text, or a list of texts, is needed, not 5"),
    (itertools.repeat("a"), InvalidSetting, "A repeat gave more than 1,000,000 inputs: give a list"),
])  # fmt: skip
def test_what_is_no_list_of_texts_is_told_with_the_way_out(inputs, error, message):
    with pytest.raises(error, match=message):
        sampler_of(inputs)


@pytest.mark.parametrize("inputs", [pd.Series(TEXTS), np.array(TEXTS), np.array(TEXTS, object), list(pa.array(TEXTS)),
                                    dict.fromkeys(TEXTS).keys(), iter(TEXTS)])  # fmt: skip
def test_other_lists_of_texts_are_taken(inputs):
    assert drawn(inputs) == set(TEXTS)


def test_a_set_is_sorted_since_its_order_differs_from_one_python_to_the_next():
    sampler = sampler_of({f"text {number:03}" for number in range(300)})
    assert sampler.inputs == [f"text {number:03}" for number in range(300)]


def test_a_sampler_is_a_sampler_already():
    assert sampler_of(words) is words


def test_text_files_and_gzipped_ones(tmp_path):
    (tmp_path / "urls.txt").write_bytes(LINES)
    (tmp_path / "urls.txt.gz").write_bytes(gzip.compress(LINES))
    for name in ("urls.txt", "urls.txt.gz"):
        assert read_inputs(tmp_path / name) == TEXTS
        assert drawn(str(tmp_path / name)) == drawn(tmp_path / name) == set(TEXTS)


def test_only_line_feeds_end_a_line(tmp_path):
    (tmp_path / "odd.txt").write_bytes("a\rb\x85c\u2028d\n\nlast".encode())
    assert read_inputs(tmp_path / "odd.txt") == ["a\rb\x85c\u2028d", "", "last"]


def test_parquet_files_and_folders(parquet):
    for name in ("one.parquet", "many"):
        assert sorted(read_inputs(parquet / name)) == sorted(TEXTS)
        assert drawn(parquet / name) == set(TEXTS)


def test_nulls_of_a_parquet_file_are_left_out(tmp_path):
    holes = [None, *TEXTS, None]
    for name, column in {"text": holes, "codes": pa.array(holes).dictionary_encode(), "none": [None]}.items():
        pa.parquet.write_table(pa.table({"url": column}), tmp_path / f"{name}.parquet")
    assert read_inputs(tmp_path / "text.parquet") == read_inputs(tmp_path / "codes.parquet") == TEXTS
    assert drawn(tmp_path / "text.parquet") == set(TEXTS)
    with pytest.raises(InvalidSetting, match="no inputs"):
        sampler_of(tmp_path / "none.parquet")


@pytest.mark.parametrize("values, kind", [([None, 1], "int64"), ([b"a"], "binary"), ([["a"]], "list")])
def test_a_column_that_is_not_text_is_named(tmp_path, values, kind):
    pa.parquet.write_table(pa.table({"url": values}), tmp_path / "odd.parquet")
    with pytest.raises(BadSource, match=rf"Column 'url' of .*odd\.parquet holds {kind}.*, not text"):
        read_inputs(tmp_path / "odd.parquet")


def test_a_column_that_is_missing_is_named_beside_those_there(parquet):
    with pytest.raises(MissingColumns, match="no column adress; it has number, url"):
        read_inputs(parquet / "one.parquet", column="adress")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(MissingSource, match="nothing.txt"):
        sampler_of(tmp_path / "nothing.txt")


@pytest.mark.parametrize("empty", [[], (), pa.array([], pa.string())])
def test_no_inputs_are_refused(empty):
    with pytest.raises(InvalidSetting, match="no inputs"):
        sampler_of(empty)


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "empty.txt").write_bytes(b"")
    with pytest.raises(InvalidSetting, match="no inputs"):
        sampler_of(tmp_path / "empty.txt")


def damaged(data: bytes, kind: str) -> bytes:
    if kind == "truncated":
        return data[: len(data) // 2]
    if kind == "garbled":
        middle = bytes(byte ^ 0xFF for byte in data[30:60])
        return data[:30] + middle + data[60:]
    return b"not gzip at all"


@pytest.mark.parametrize("kind", ["truncated", "garbled", "other"])
def test_a_damaged_gzip_file_is_named(tmp_path, kind):
    letters = np.random.default_rng(0).integers(97, 120, 5000, dtype=np.uint8)
    path = tmp_path / "urls.txt.gz"
    path.write_bytes(damaged(gzip.compress(letters.tobytes()), kind))
    with pytest.raises(BadSource, match=r"urls\.txt\.gz is no whole gzip file"):
        read_inputs(path)


def test_a_file_that_is_not_utf8_is_named(tmp_path):
    (tmp_path / "latin.txt").write_bytes(b"good\ncaf\xe9\n")
    with pytest.raises(BadSource, match=r"latin\.txt is not UTF-8"):
        read_inputs(tmp_path / "latin.txt")


# ---------------------------------------------------------------- two sides


def test_held_out_and_training_inputs_are_disjoint():
    held_out = draw(words, random.Random(1), 300, held_out=True, max_input_bytes=4)
    trained = draw(words, random.Random(2), 3000, held_out=False, max_input_bytes=4)
    assert all(map(is_held_out, held_out)) and not any(map(is_held_out, trained))
    assert len(held_out) == 300 and len(trained) == 3000
    assert set(held_out).isdisjoint(trained)


def test_about_one_input_in_sixteen_is_held_out():
    share = np.mean([is_held_out(f"https://example.com/{number}") for number in range(20_000)])
    assert abs(share - 1 / HELD_OUT_SHARE) < 0.01


def test_the_empty_text_is_never_held_out():
    assert not is_held_out("")


def test_a_sampler_may_know_what_is_held_out():
    def sampler(rng):
        return words(rng)

    sampler.is_held_out = lambda text: text.startswith("a")
    for held_out in (True, False):
        drawn_inputs = draw(sampler, random.Random(0), 200, held_out, max_input_bytes=4)
        assert {text.startswith("a") for text in drawn_inputs} == {held_out}


def test_the_generator_decides_what_is_drawn():
    one, again, other = (draw(words, random.Random(seed), 50, False, max_input_bytes=4) for seed in (0, 0, 1))
    assert one == again != other


def test_inputs_that_are_too_long_are_left_out():
    inputs = draw(lambda rng: rng.choice("abé") * rng.randint(1, 4), random.Random(0), 200, False, max_input_bytes=3)
    assert {len(text.encode()) for text in inputs} == {1, 2, 3}


def test_an_input_keeps_its_answer():
    (text,) = draw(lambda rng: LabelledInput(words(rng), '"known"'), random.Random(0), 1, False, max_input_bytes=4)
    assert text.answer == '"known"'


@pytest.mark.parametrize("held_out", [True, False])
def test_a_sampler_of_too_few_inputs_is_refused_with_an_example(held_out):
    other_side = next(f"text {n}" for n in range(1000) if is_held_out(f"text {n}") != held_out)
    with pytest.raises(InvalidSetting, match=f"Hardly any input is.*'{other_side}'"):
        draw(lambda rng: other_side, random.Random(0), 1, held_out, max_input_bytes=100)


def test_a_limit_that_no_input_keeps_is_told():
    with pytest.raises(InvalidSetting, match="Hardly any input is left for training.*too long"):
        draw(words, random.Random(0), 1, held_out=False, max_input_bytes=0)


@pytest.mark.parametrize("text", ["a\0b", "half \ud83d"])
def test_unusable_inputs_are_named(text):
    with pytest.raises(InvalidInput) as caught:
        draw(lambda rng: text, random.Random(0), 1, held_out=False, max_input_bytes=100)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("value", [None, 5, b"bytes"])
def test_inputs_that_are_no_text_are_named(value):
    with pytest.raises(WrongType, match=repr(value)):
        draw(lambda rng: value, random.Random(0), 1, held_out=False, max_input_bytes=100)


# ---------------------------------------------------------------- real URLs of a package


def test_real_urls_of_the_registry():
    if importlib.util.find_spec("bioregistry") is None:
        pytest.skip("the package bioregistry is not installed")
    found = registry_urls()
    assert len(found) > 30_000
    assert found == sorted(set(found))
    hosts = set()
    for url in found:
        assert url.startswith(("http://", "https://"))
        if "[" not in url:  # one of them is a pattern for URLs
            hosts.add(urlsplit(url).hostname)
    assert len(hosts) > 10_000 and None not in hosts


def test_a_missing_registry_is_told_with_what_to_do(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPackage, match="pip install --no-deps bioregistry"):
        registry_urls()
