"""Copies by LiteRT: they answer as the copies do, need next to nothing, and stand threads, forks and damage."""

import hashlib
import json
import multiprocessing
import pickle
import random
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from urlseq import load, load_lite
from urlseq.answering import BaseCopy
from urlseq.cards import CARD, SHIPPED
from urlseq.encoding import to_tokens
from urlseq.errors import BadModel, InvalidInput, MissingPackage, NoFunction
from urlseq.export.litert import add_litert, litert_model, rounded, steps_of
from urlseq.gallery import GALLERY
from urlseq.lite_model import operations
from urlseq.sources import registry_urls
from urlseq.task import Task

NAMES = sorted(path.name for path in SHIPPED.iterdir() if path.is_dir())


@pytest.fixture(scope="module")
def lite():
    return load_lite("urlparse")


def inputs_of(name: str, count: int) -> list[str]:
    task = GALLERY[name].task if name in GALLERY else Task(load(name).function)
    return list(map(str, task.examples("lite", count, held_out=True).inputs))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_answers_are_the_copys(name):
    """On 1,000 inputs of the parser, half of them hard and half real, and on 100 of each other copy."""
    copy, lite = load(name), load_lite(name)
    inputs = inputs_of(name, 100 if name in GALLERY else 500)
    if name == "urlparse":
        inputs += random.Random(0).sample(registry_urls(), 500)
    for text, ours, theirs in zip(inputs, lite.predict(inputs), BaseCopy.predict(copy, inputs), strict=True):
        assert (ours.value, ours.text, ours.trusted) == (theirs.value, theirs.text, theirs.trusted), text
        assert ours.confidence == pytest.approx(theirs.confidence, abs=1e-4)
    assert np.allclose(lite.embed(inputs[:50]), copy.embed(inputs[:50]), atol=1e-4)


def test_the_floats_that_run_give_what_the_stored_weights_give(lite):
    stored = schema.ModelT.InitFromPackedBuf(lite.model, 0)
    floats = schema.ModelT.InitFromPackedBuf(lite.quick_model, 0)
    dequantize = schema.BuiltinOperator.DEQUANTIZE
    used = [{operations(parsed)[each.opcodeIndex] for part in parsed.subgraphs for each in part.operators}
            for parsed in (stored, floats)]  # fmt: skip
    assert dequantize in used[0] and dequantize not in used[1]
    inputs = {"tokens": to_tokens([text.encode() for text in inputs_of("urlparse", 16)]), "limit": np.int32(300)}
    runs = [Interpreter(model_content=model).get_signature_runner("answer") for model in (lite.model, lite.quick_model)]
    as_stored, as_floats = (run(**inputs) for run in runs)
    assert np.array_equal(as_stored["answer"], as_floats["answer"])
    assert np.allclose(as_stored["confidence"], as_floats["confidence"], atol=1e-5)


def test_it_needs_neither_tensorflow_nor_arrow_and_hardly_any_memory():
    program = """
import json, sys
from urlseq import load_lite
copy = load_lite("urlparse")
value = copy("https://a.example/b?c#d")
heavy = [name for name in ("tensorflow", "keras", "pyarrow", "pandas", "hypothesis") if name in sys.modules]
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps([value, heavy, int(peak.split()[1]) // 1024]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    value, heavy, megabytes = json.loads(done.stdout)
    assert value == ["https", "a.example", "/b", "", "c", "d"] and heavy == [] and megabytes < 80
    assert done.stderr == ""


def test_what_learning_needs_is_named_where_it_is_missing(folder):
    change_card(folder, litert=None)  # a copy without a LiteRT file, which TensorFlow would have to make
    program = """
import sys
sys.modules |= dict.fromkeys(["tensorflow", "keras", "pyarrow"])  # as if they were not installed
import urlseq, urlseq.gallery
assert urlseq.load_lite("urlparse")("a:b")[0] == "a"
assert urlseq.load_lite("urlparse")("a\\0b", fallback=True)[2] == "a\\0b"
assert urlseq.load_lite("dates_in_hex").predict(urlseq.gallery.my_date_format("2026-11-27T10:00")).trusted
for needed in (lambda: urlseq.load, lambda: urlseq.load_lite(sys.argv[1])):
    try:
        needed()
    except urlseq.UrlseqError as error:
        print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", program, str(folder)], capture_output=True, text=True, check=True)
    for line in done.stdout.splitlines():
        assert line.startswith("MissingPackage load needs") and "pip install -e '.[learn]'" in line
    assert done.stdout.count("\n") == 2


def test_an_answer_is_given_one_by_one_or_in_lists(lite):
    texts = ["https://a.example/b", "mailto:someone@example.org", "https://a.example/b?c=d&e=" + "f" * 400, ""]
    together = lite.predict(texts)
    for text, known in zip(texts, together, strict=True):
        alone = lite.predict(text)
        assert (alone.text, alone.trusted) == (known.text, known.trusted)
        assert alone.confidence == pytest.approx(known.confidence, abs=1e-4)
    assert lite.predict([]) == [] and lite.embed([]).shape == (0, 512)
    assert lite("a\0b", fallback=True) == ["", "", "a\0b", "", "", ""]
    refused, fine = lite.predict_all(["x" * 1025, "a:b"])
    assert refused.value is None and "more than the 1,024" in refused.reason and fine.value[0] == "a"
    with pytest.raises(InvalidInput, match="holds a NUL"):
        lite("a\0b")


def test_an_answer_much_longer_than_its_input_is_whole():
    text = '"' * 30  # of six bytes each when escaped
    (answer,) = [prediction.text for prediction in load_lite("html_escape").predict([text])]
    assert len(answer) > 2 * len(text) + 64 and answer == load("html_escape").predict(text).text


def test_an_inverse_is_certified_by_the_function():
    lite = load_lite("dates_in_hex")
    known, nonsense = lite.predict(["Wednesday, 9 September 7ce, 7:05", "Monday, 9 September 7ce, 7:05"])
    assert known.trusted and known.value == "1998-09-09T07:05"
    assert not nonsense.trusted and nonsense.reason == "the function does not certify it"
    assert lite(["Monday, 9 September 7ce, 7:05", "Wednesday, 9 September 7ce, 7:05"]) == [None, "1998-09-09T07:05"]


def test_threads_answer_side_by_side(lite):
    texts = [f"https://host{number}.example/{'p' * (number % 50)}" for number in range(200)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lite, texts)) == lite(texts)


def answer_of(copy) -> list:
    return copy("https://a.example/b")


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_other_processes_answer(lite, start):
    with multiprocessing.get_context(start).Pool(1) as pool:
        assert pool.apply_async(answer_of, [lite]).get(60) == answer_of(lite)


def test_it_can_be_pickled(lite):
    again = pickle.loads(pickle.dumps(lite))
    assert answer_of(again) == answer_of(lite) and again.card == lite.card


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(SHIPPED / "urlparse", tmp_path / "copy")


def change_card(folder, **changes) -> None:
    """Changes the card's fields; None takes one away."""
    card = json.loads((folder / CARD).read_text()) | changes
    (folder / CARD).write_text(json.dumps({name: value for name, value in card.items() if value is not None}))


def test_damage_is_told(folder):
    (path,) = folder.glob("litert-*")
    data = path.read_bytes()
    path.write_bytes(data[:-1] + b"?")
    with pytest.raises(BadModel, match="damaged"):
        load_lite(folder)
    path.unlink()
    with pytest.raises(BadModel, match="no whole learned copy"):
        load_lite(folder)
    path.write_bytes(b"no model")
    change_card(folder, litert=[path.name, hashlib.sha256(b"no model").hexdigest()])
    with pytest.raises(BadModel, match="no whole learned copy"):
        load_lite(folder)


def test_a_copy_without_a_litert_file_makes_one(folder):
    copy = load(folder)
    copy.save(folder)  # a file of other weights would be wrong
    assert not list(folder.glob("litert-*"))
    made = load_lite(folder)
    assert answer_of(made) == answer_of(copy)
    assert made.model == add_litert(copy, folder).read_bytes() == load_lite(folder).model


def test_the_function_is_found_or_asked_for(folder):
    change_card(folder, task=load_lite(folder).card["task"] | {"function": "nobody.knows"})
    lite = load_lite(folder)
    with pytest.raises(NoFunction, match="nobody.knows is needed"):
        lite("x" * 2000, fallback=True)
    assert load_lite(folder, len)("x" * 2000, fallback=True) == 2000


def test_an_inverse_has_no_fallback():
    inverse, text = load_lite("dates_in_hex"), "Monday, 31 February 7ce, 7:05"  # no function ever writes this
    assert inverse(text, fallback=True) is inverse(text) is None


def test_litert_has_to_be_installed(lite, monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(MissingPackage, match="pip install ai-edge-litert"):
        pickle.loads(pickle.dumps(lite))


@pytest.mark.slow
def test_weights_take_as_many_bits_as_they_need():
    copy, sizes = load("dates_in_hex"), []
    exact = [weights + 1e-4 for weights in copy.model.get_weights()]
    for precision in ("float32", "float16"):
        copy.set_weights(exact)
        copy.set_weights(rounded(copy.model, precision))
        sizes.append(len(litert_model(copy)))
    assert sizes[0] > 1.5 * sizes[1] > 1.9 * len(load_lite("dates_in_hex").model), sizes


def test_rounded_weights_are_whole_steps_of_at_most_127():
    model = load("quote").model
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=weights.shape) for weights in model.get_weights()])
    for before, after in zip(model.get_weights(), rounded(model, "int8"), strict=True):
        if before.ndim == 2:
            assert np.abs(before - after).max() <= np.abs(before).max() / 100
            numbers = after / steps_of(after, 1)
            assert np.array_equal(numbers, np.round(numbers)) and np.abs(numbers).max() <= 127
