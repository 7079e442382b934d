import hashlib
import io
import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import LETTERS, LONGEST_WORD, card, tiny_architecture, untrained_copy, words, words_of

from urlseq import copying, files, functions
from urlseq.copying import BadModel, copy_function, load
from urlseq.functions import UnfitFunction
from urlseq.learned import CARD, LearnedCopy
from urlseq.model import exact_match
from urlseq.sampler import is_held_out
from urlseq.training import model_batch
from urlseq.vectorize import BadText

FRESH = [text for text in dict.fromkeys(words_of(5000, seed=77)) if is_held_out(text)]
BAD_TEXTS = {"nul": "a\0b", "surrogate": "half \ud83d", "long": "a" * 13, "long by bytes": "é" * 7}


@pytest.fixture(scope="module")
def unlearned():
    return untrained_copy()


@pytest.fixture
def folder(unlearned, tmp_path):
    return unlearned.save(tmp_path / "copy")


# ---------------------------------------------------------------- learning


@pytest.mark.slow
def test_a_short_training_learns_the_function(learned):
    counts = learned.evaluate(FRESH).counts
    assert counts["count"] > 100
    assert counts["exact"] >= 0.9 * counts["count"]
    assert counts["trusted"] >= 0.5 * counts["count"]


def test_without_training_nothing_is_learned(unlearned):
    counts = unlearned.evaluate(FRESH[:60]).counts
    assert counts["exact"] <= 0.05 * counts["count"]


@pytest.mark.slow
def test_the_card_tells_what_was_trained(learned):
    assert learned.card["function"] == "str.upper"
    assert learned.card["held_out"]["exact"] >= 0.9 * learned.card["held_out"]["count"]
    low, high = learned.card["held_out"]["interval"]
    assert 0.8 < low < high <= 1
    assert learned.card["longest_answer"] == LONGEST_WORD + 2
    assert set(learned.card["bytes_seen"]) == set(LETTERS.encode())
    assert "str.upper" in repr(learned) and str(LONGEST_WORD) in repr(learned)
    json.dumps(learned.card, allow_nan=False)


@pytest.mark.slow
def test_exact_match_under_teacher_forcing_is_that_of_greedy_answers(learned):
    texts = [*FRESH[:60], "", "hgfedcbahgfedcba", "xyz"]
    wanted = [json.dumps(text.upper()) for text in texts]
    inputs, target = model_batch(texts, wanted)
    forced = np.asarray(exact_match(target, learned.model.predict_on_batch(inputs)))
    greedy = learned.decoder(np.asarray(inputs["encoder_input"], np.uint8), 40).texts
    assert forced.tolist() == [got == text for got, text in zip(greedy, wanted, strict=True)]
    assert 0 < forced.mean() < 1


@pytest.mark.slow
def test_a_training_may_start_with_a_copy(learned):
    examples = 320
    settings = {"max_bytes": LONGEST_WORD, "examples": examples, "batch_size": 16, "epoch_batches": 10, "attempts": 0,
                "validation_count": 100, "verbose": False, "seed": 5}  # fmt: skip
    further = copy_function(str.upper, words, start=learned, learning_rate=3e-4, **settings)
    anew = copy_function(str.upper, words, **settings)
    assert further.card["architecture"] == learned.card["architecture"]
    assert further.card["start_examples"] == learned.card["history"][-1]["examples"] and not anew.card["start_examples"]
    shares = [copy.evaluate(FRESH[:200]).counts["exact"] / 200 for copy in (further, anew)]
    assert shares[0] > shares[1] + 0.4


# ---------------------------------------------------------------- calling


def test_a_list_gives_what_its_texts_give_one_at_a_time(unlearned):
    texts = ["", "abc", "日本語", *words_of(12)]
    records = unlearned.predict(texts)
    alone = [unlearned.predict(text) for text in texts]
    assert [record.text for record in records] == [record.text for record in alone]
    np.testing.assert_allclose([r.confidence for r in records], [r.confidence for r in alone], atol=1e-5)
    assert unlearned(texts) == [record.value for record in records] == [unlearned(text) for text in texts]


@pytest.mark.slow
def test_a_learned_copy_says_the_values(learned):
    texts = FRESH[:30]
    right = [value == text.upper() for value, text in zip(learned(texts), texts, strict=True)]
    assert np.mean(right) >= 0.8
    record = learned.predict(texts[right.index(True)])
    assert json.loads(record.text) == record.value == texts[right.index(True)].upper()
    assert 0 < record.confidence <= 1 and record.trusted == (not record.reason)


def test_no_texts_and_an_empty_text(unlearned):
    assert unlearned([]) == unlearned.predict([]) == []
    assert unlearned([], fallback=True) == []
    assert unlearned.predict("").text == unlearned.predict([""])[0].text
    assert unlearned.evaluate([]).counts["count"] == 0


def test_a_tuple_and_a_generator_are_lists_of_texts(unlearned):
    assert unlearned(("a", "b")) == unlearned(text for text in "ab") == unlearned(["a", "b"])


@pytest.mark.parametrize("kind", BAD_TEXTS)
@pytest.mark.parametrize("call", ["__call__", "predict", "evaluate", "attention"])
def test_a_text_that_cannot_be_an_input_is_named(unlearned, kind, call):
    text = BAD_TEXTS[kind]
    with pytest.raises(BadText) as caught:
        getattr(unlearned, call)(text if call == "attention" else ["fine", text])
    assert repr(text) in str(caught.value)


def test_a_text_may_be_as_long_as_the_copy_allows(unlearned):
    assert isinstance(unlearned.predict("é" * 6).text, str)


@pytest.mark.parametrize("kind", BAD_TEXTS)
def test_with_fallback_the_function_answers_what_the_copy_cannot(unlearned, kind):
    if kind == "surrogate":
        with pytest.raises(UnfitFunction, match=r"ud83d"):  # str.upper's own value is no JSON text either
            unlearned(BAD_TEXTS[kind], fallback=True)
        unlearned = LearnedCopy(unlearned.model, unlearned.card, len)
    assert unlearned(BAD_TEXTS[kind], fallback=True) == unlearned.function(BAD_TEXTS[kind])


def test_with_fallback_the_function_answers_what_is_not_trusted():
    texts = ["abc", "", "é", *words_of(5)]
    sceptic = untrained_copy(threshold=1.01)
    assert not any(record.trusted for record in sceptic.predict(texts))
    assert sceptic(texts, fallback=True) == [text.upper() for text in texts]


def test_without_fallback_the_function_is_not_called(unlearned):
    def never(text):
        raise AssertionError("called")

    copy = LearnedCopy(unlearned.model, unlearned.card, never)
    assert copy(["a", "b"]) == unlearned(["a", "b"])


def test_fallback_and_evaluation_ask_for_a_function(unlearned):
    alone = LearnedCopy(unlearned.model, unlearned.card)
    for call in (lambda: alone("a", fallback=True), lambda: alone.evaluate(["a"])):
        with pytest.raises(ValueError, match=r"load\(folder, function=\.\.\.\)"):
            call()


def test_an_unseen_byte_is_a_reason(unlearned):
    record = unlearned.predict("é")
    assert not record.trusted and "never did" in record.reason


def test_attention_of_one_text(unlearned):
    answer, attention = unlearned.attention("abé")
    assert answer == unlearned.predict("abé").text
    assert attention.shape[1] == 5
    np.testing.assert_allclose(attention.sum(axis=1), 1, atol=1e-5)


def test_calibration_keeps_the_risk_on_its_texts():
    copy = untrained_copy()
    texts = words_of(60)
    copy.calibrate(texts)
    evaluation = copy.evaluate(texts)
    assert evaluation.counts["trusted_wrong"] == 0
    assert {name: copy.card["held_out"][name] for name in evaluation.counts} == evaluation.counts


# ---------------------------------------------------------------- what can't be copied


def steady(value):
    return lambda text: value


def raising(text):
    raise ValueError(text)


def changing(text, numbers=itertools.count()):  # noqa: B008 - one counter for all calls is what is wanted
    return next(numbers)


def on_sets(text):
    return {text}


@pytest.mark.parametrize(("function", "message"), [
    (steady("same"), 'says "same" to each of 12 inputs'),
    (raising, 'raises on each of 12 inputs: {"error":"ValueError"}'),
    (changing, "gives another value each time"),
    (on_sets, "JSON text can't hold"),
    (steady(float("nan")), "JSON text can't hold"),
])  # fmt: skip
def test_unfit_functions_are_told_before_training(monkeypatch, function, message):
    monkeypatch.setattr(copying, "train", lambda *_, **__: pytest.fail("training began"))
    with pytest.raises(UnfitFunction) as caught:
        copy_function(function, words, max_bytes=12, examples=10, validation_count=12, verbose=False)
    assert message in str(caught.value)


def test_inputs_that_are_all_too_long_are_told_before_training(monkeypatch):
    monkeypatch.setattr(copying, "train", lambda *_, **__: pytest.fail("training began"))
    with pytest.raises(ValueError, match="too long"):
        copy_function(str.upper, lambda rng: "a" * 50 + words(rng), max_bytes=20, validation_count=12)


# ---------------------------------------------------------------- saving and loading


def records(copy, texts=("", "abc", "日本語", "hgfedcba")):
    return [(record.text, record.trusted, record.reason, record.confidence) for record in copy.predict(list(texts))]


def assert_same_records(one, other):
    for first, second in zip(records(one), records(other), strict=True):
        assert first[:2] == second[:2]
        assert first[3] == pytest.approx(second[3], abs=1e-6)


def test_a_saved_copy_predicts_the_same(unlearned, folder):
    loaded = load(folder, str.upper)
    assert_same_records(loaded, unlearned)
    assert loaded.evaluate(["abc"]).wanted == ['"ABC"']
    assert {name: loaded.card[name] for name in unlearned.card} == unlearned.card
    assert load(str(folder)).max_bytes == 12


@pytest.mark.slow
def test_a_learned_copy_is_the_same_after_loading(learned, tmp_path):
    loaded = load(learned.save(tmp_path), str.upper)
    assert loaded(FRESH[:30]) == learned(FRESH[:30])
    assert loaded.evaluate(FRESH).counts == learned.evaluate(FRESH).counts


def test_saving_again_replaces_the_weights(folder):
    other = untrained_copy(seed=5)
    other.save(folder)
    assert len(list(folder.glob("weights-*.npz"))) == 1
    assert_same_records(load(folder), other)


@pytest.mark.parametrize("failing", [1, 2])
def test_when_saving_fails_the_copy_from_before_stays(unlearned, folder, monkeypatch, failing):
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
    assert_same_records(load(folder), unlearned)


@pytest.mark.parametrize("failing", [1, 2])
def test_when_replacing_fails_the_copy_from_before_stays(unlearned, folder, monkeypatch, failing):
    replace, calls = files.os.replace, itertools.count(1)

    def interrupted(source, target):
        if next(calls) == failing:
            raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as patched:
        patched.setattr("os.replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            untrained_copy(seed=5).save(folder)
    assert not list(folder.glob("*.part"))
    assert_same_records(load(folder), unlearned)
    # The next save cleans up what the failed one left.
    untrained_copy(seed=6).save(folder)
    assert len(list(folder.iterdir())) == 2


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


@pytest.mark.parametrize("contents", ["", "{", "[]", "null", "5", '"text"', "{}", '{"format": 1}', "\ufeff{}"])
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
    {"sha256": "0" * 64}, {"bytes_seen": [999]}, {"bytes_seen": "all"},
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


def test_another_format_is_told(folder):
    change_card(folder, format=99)
    with pytest.raises(BadModel, match="format 99; this version reads format 2"):
        load(folder)


def test_weights_that_another_writer_took_away_and_brought_back_are_read(unlearned, folder, monkeypatch):
    """Between the card and the weights, another copy was saved, and then this one again: the card is the same."""
    whole, asked = Path.read_bytes, []

    def read_bytes(path):
        asked.append(path.name)
        if len(asked) == 1:
            raise FileNotFoundError(path)
        return whole(path)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    assert load(folder).card["sha256"] == json.loads((folder / CARD).read_text())["sha256"]
    assert len(asked) == 2


def test_weights_are_taken_from_the_folder_alone(folder):
    outside = shutil.move(weights_of(folder), folder.parent / weights_of(folder).name)
    change_card(folder, weights=f"../{outside.name}")
    with pytest.raises(BadModel, match="no whole learned copy"):
        load(folder)


# ---------------------------------------------------------------- no code from a file


def test_a_function_that_a_card_names_is_not_imported(folder, monkeypatch):
    monkeypatch.setattr(functions.importlib, "import_module", lambda name: pytest.fail(f"{name} was imported"))
    change_card(folder, function="os.system")
    loaded = load(folder)
    assert loaded.function is None
    assert isinstance(loaded.predict("true").text, str)
    with pytest.raises(ValueError, match="no function to fall back on"):
        loaded("true", fallback=True)
    with pytest.raises(ValueError, match="no function to compare with"):
        loaded.evaluate(["true"])


def test_only_a_bare_name_is_that_of_a_shipped_copy(unlearned, tmp_path, monkeypatch):
    monkeypatch.setattr(copying, "SHIPPED", tmp_path / "models")
    monkeypatch.setattr(copying, "KNOWN_FUNCTIONS", {"str.upper": str.upper})
    unlearned.save(tmp_path / "models" / "upper")
    unlearned.save(tmp_path / "elsewhere")
    change_card(tmp_path / "elsewhere", function="os.system")
    assert load("upper").function is str.upper
    with pytest.raises(BadModel, match="no learned copy"):
        load("../elsewhere")


def test_pickles_are_not_read(unlearned, folder):
    """An archive that holds an object would run its code when unpickled."""
    buffer = io.BytesIO()
    names = [variable.path.replace("/", ".") for variable in unlearned.model.weights]
    np.savez(buffer, **{name: np.array([{}], object) for name in names})
    weights_of(folder).write_bytes(buffer.getvalue())
    change_card(folder, sha256=hashlib.sha256(buffer.getvalue()).hexdigest())
    with pytest.raises(BadModel, match="no whole learned copy"):
        load(folder)


@pytest.mark.parametrize("budget", [{"examples": 0}, {"minutes": -1}])
def test_a_budget_of_nothing_is_refused(budget):
    """Taken as no limit, it would train for ever."""
    with pytest.raises(ValueError, match="has to be above 0"):
        copying.copy_function(str.upper, ["a", "b"], **budget)


def test_without_validation_nothing_is_measured_or_trusted_and_nothing_is_shown(capsys):
    copy = copy_function(str.upper, words, max_bytes=12, examples=64, epoch_batches=1, architecture=tiny_architecture(),
                         validation_count=0, attempts=["abc"], verbose=False)  # fmt: skip
    assert "held_out" not in copy.card and copy.card["threshold"] == 1.0
    assert capsys.readouterr().out == ""
