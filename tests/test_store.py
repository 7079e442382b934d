import hashlib
import io
import itertools
import json
import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor, wait

import numpy as np
import pytest
from conftest import card, untrained_copy
from test_learn import FRESH

from urlseq import cards, store
from urlseq.cards import CARD
from urlseq.errors import BadModel, NoFunction
from urlseq.functions import Inverse
from urlseq.inverse import InverseCopy
from urlseq.store import load


@pytest.fixture(scope="module")
def unlearned():
    return untrained_copy()


@pytest.fixture
def folder(unlearned, tmp_path):
    return unlearned.save(tmp_path / "copy")


# ---------------------------------------------------------------- saving and loading


def assert_same_predictions(one, other):
    inputs = ["", "abc", "日本語", "hgfedcba"]
    for first, second in zip(one.predict(inputs), other.predict(inputs), strict=True):
        assert (first.text, first.trusted) == (second.text, second.trusted)
        assert first.confidence == pytest.approx(second.confidence, abs=1e-6)


def test_a_saved_copy_predicts_the_same(unlearned, folder):
    loaded = load(folder, str.upper)
    assert_same_predictions(loaded, unlearned)
    assert loaded.evaluate(["abc"]).expected == ['"ABC"']
    assert {name: loaded.card[name] for name in unlearned.card} == unlearned.card
    assert load(str(folder)).max_input_bytes == 12


@pytest.mark.slow
def test_a_learned_copy_is_the_same_after_loading(learned, tmp_path):
    loaded = load(learned.save(tmp_path), str.upper)
    assert loaded(FRESH[:30]) == learned(FRESH[:30])
    assert loaded.evaluate(FRESH).counts == learned.evaluate(FRESH).counts


def test_an_inverse_is_loaded_as_one(tmp_path):
    task = card()["task"] | {"inverse": True}
    loaded = load(untrained_copy(task=task).save(tmp_path), str.upper)
    assert isinstance(loaded, InverseCopy) and loaded.is_inverse and loaded.name == "inverse of str.upper"
    assert isinstance(loaded.function, Inverse) and loaded.function.function is str.upper
    assert load(tmp_path).function is None


def test_saving_again_replaces_the_weights(folder):
    other = untrained_copy(seed=5)
    other.save(folder)
    assert len(list(folder.glob("weights-*.npz"))) == 1
    assert_same_predictions(load(folder), other)


@pytest.mark.parametrize("failing", [1, 2])
def test_when_saving_fails_the_earlier_copy_stays(unlearned, folder, monkeypatch, failing):
    """The disk is full at the weights (1) or at the card (2)."""
    write_bytes, calls = type(folder).write_bytes, itertools.count(1)

    def full(path, data):
        if next(calls) == failing:
            write_bytes(path, data[: len(data) // 2])
            raise OSError(28, "No space left on device")
        return write_bytes(path, data)

    with monkeypatch.context() as patched:
        patched.setattr(type(folder), "write_bytes", full)
        with pytest.raises(OSError, match="No space left"):
            untrained_copy(seed=5).save(folder)
    assert not list(folder.glob("*.part"))
    assert_same_predictions(load(folder), unlearned)


@pytest.mark.parametrize("failing", [1, 2])
def test_when_renaming_fails_the_earlier_copy_stays(unlearned, folder, monkeypatch, failing):
    replace, calls = os.replace, itertools.count(1)

    def interrupted(source, target):
        if next(calls) == failing:
            raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as patched:
        patched.setattr("os.replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            untrained_copy(seed=5).save(folder)
    assert not list(folder.glob("*.part"))
    assert_same_predictions(load(folder), unlearned)
    # The next save cleans up what the failed one left.
    untrained_copy(seed=6).save(folder)
    assert len(list(folder.iterdir())) == 2


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "new" / "file"
    cards.write_file(path, b"before")

    def full(self, data):
        with open(self, "wb") as file:
            file.write(data[:3])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        cards.write_file(path, b"afterwards")
    assert path.read_bytes() == b"before"
    assert list(path.parent.iterdir()) == [path]


# ---------------------------------------------------------------- damage


def test_a_folder_without_a_copy_is_told(tmp_path):
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(BadModel, match="no learned copy in"):
            load(path)


def test_a_missing_card_is_told(folder):
    (folder / CARD).unlink()
    with pytest.raises(BadModel, match=f"no {CARD}"):
        load(folder)


def weights_of(folder):
    (path,) = folder.glob("weights-*.npz")
    return path


def truncate(folder):
    path = weights_of(folder)
    path.write_bytes(path.read_bytes()[:-100])


def flip_a_bit(folder):
    path = weights_of(folder)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def exchange(folder):
    untrained_copy(seed=9).save(folder.parent / "other")
    shutil.copy(weights_of(folder.parent / "other"), weights_of(folder))


@pytest.mark.parametrize("damage", [truncate, flip_a_bit, exchange])
def test_damaged_or_foreign_weights_are_told(folder, damage):
    damage(folder)
    with pytest.raises(BadModel, match="is damaged"):
        load(folder)


def test_missing_weights_are_told(folder):
    weights_of(folder).unlink()
    with pytest.raises(BadModel, match="no whole learned copy"):
        load(folder)


def change_card(folder, **changes):
    known = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps(known | changes))


@pytest.mark.parametrize(
    "contents", ["", "{", "[]", "null", "5", '"text"', "{}", '{"format": 1}', '{"format": 4}', "\ufeff{}"]
)
def test_what_is_no_card_is_told(folder, contents):
    (folder / CARD).write_text(contents)
    with pytest.raises(BadModel, match="copy"):
        load(folder)


def test_a_card_that_is_no_text_is_told(folder):
    (folder / CARD).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadModel, match="no whole learned copy"):
        load(folder)


@pytest.mark.parametrize("changes", [
    {"architecture": {"units": 24, "embedding": 8, "attention": 8, "heads": 2, "hidden": 16}},
    {"architecture": {"layers": 3}}, {"architecture": {"attention": 8, "heads": 3}},
    {"architecture": {"units": "many"}}, {"architecture": None}, {"weights": 5}, {"weights": "nothing.npz"},
    {"sha256": "0" * 64}, {"bytes_seen": [999]}, {"bytes_seen": "all"}, {"task": None}, {"task": "str.upper"},
])  # fmt: skip
def test_a_tampered_card_is_told(folder, changes):
    change_card(folder, **changes)
    with pytest.raises(BadModel):
        load(folder)


@pytest.mark.parametrize("name", sorted({*card(), "weights", "sha256"}))
def test_a_card_that_lacks_something_is_told(folder, name):
    known = json.loads((folder / CARD).read_text())
    del known[name]
    (folder / CARD).write_text(json.dumps(known))
    with pytest.raises(BadModel, match=name):
        load(folder)


@pytest.mark.parametrize("name", card()["task"])
def test_a_card_whose_task_lacks_something_is_told(folder, name):
    change_card(folder, task={other: value for other, value in card()["task"].items() if other != name})
    with pytest.raises(BadModel, match=f"lacks {name}"):
        load(folder)


def test_another_format_is_told(folder):
    change_card(folder, format=99)
    with pytest.raises(BadModel, match="format 99; this version reads format 4"):
        load(folder)


@pytest.mark.parametrize("encoding", ["JSON", "", None, 5, ["JSON without escapes"]])
def test_another_encoding_of_answers_is_told_in_one_line(folder, encoding):
    change_card(folder, encoding=encoding)
    with pytest.raises(BadModel, match="writes answers as .*; this version reads 'JSON without escapes'") as caught:
        load(folder)
    assert "\n" not in str(caught.value) and repr(encoding) in str(caught.value)


def test_a_reader_waits_until_a_writer_is_done(folder):
    with ThreadPoolExecutor() as threads:
        with cards.locked(folder):
            weights = weights_of(folder).rename(folder / "away")  # as between the old card and the new one
            reader = threads.submit(load, folder)
            assert not wait([reader], timeout=0.3).done
            weights.rename(folder / json.loads((folder / CARD).read_text())["weights"])
        assert reader.result(60).card["threshold"] == 0


def test_weights_are_taken_from_the_folder_alone(folder):
    outside = shutil.move(weights_of(folder), folder.parent / weights_of(folder).name)
    change_card(folder, weights=f"../{outside.name}")
    with pytest.raises(BadModel, match="no whole learned copy"):
        load(folder)


# ---------------------------------------------------------------- no code from a file


def test_a_function_that_a_card_names_is_not_imported(folder, monkeypatch):
    (folder.parent / "never_imported.py").write_text("raise SystemError")
    monkeypatch.syspath_prepend(folder.parent)
    change_card(folder, task=card()["task"] | {"function": "never_imported.function"})
    loaded = load(folder)
    assert loaded.function is None and "never_imported" not in sys.modules
    assert isinstance(loaded.predict("true").text, str)
    for call in (lambda: loaded("true", fallback=True), lambda: loaded.evaluate(["true"])):
        with pytest.raises(NoFunction, match="never_imported.function is needed"):
            call()


def test_only_a_bare_name_is_that_of_a_shipped_copy(unlearned, tmp_path, monkeypatch):
    monkeypatch.setattr(cards, "SHIPPED", tmp_path / "models")
    monkeypatch.setattr(store, "known_functions", lambda: {"str.upper": str.upper})
    unlearned.save(tmp_path / "models" / "upper")
    unlearned.save(tmp_path / "elsewhere")
    change_card(tmp_path / "elsewhere", task=card()["task"] | {"function": "os.system"})
    assert load("upper").function is str.upper
    with pytest.raises(BadModel, match="no learned copy"):
        load("../elsewhere")


def test_the_functions_that_a_card_may_name_are_those_of_the_gallery():
    known = store.known_functions()
    assert known["urllib.parse.urlparse"]("a:b").scheme == "a"
    assert known["urlseq.gallery.my_date_format"]("1998-09-09T07:05") == "Wednesday, 9 September 7ce, 7:05"
    assert len(known) > 10 and all(map(callable, known.values()))


def test_pickles_are_not_read(unlearned, folder):
    """An archive that holds an object would run its code when unpickled."""
    buffer = io.BytesIO()
    names = [variable.path.replace("/", ".") for variable in unlearned.model.weights]
    np.savez(buffer, **{name: np.array([{}], object) for name in names})
    weights_of(folder).write_bytes(buffer.getvalue())
    change_card(folder, sha256=hashlib.sha256(buffer.getvalue()).hexdigest())
    with pytest.raises(BadModel, match="no whole learned copy"):
        load(folder)
