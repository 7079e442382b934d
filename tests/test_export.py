import gzip
import hashlib
import importlib.util
import json
import shutil
import subprocess
import sys
import types

import numpy as np
import pytest
import tensorflow as tf
from conftest import card, quoting_model

import urlseq.export.browser
import urlseq.export.saved_model
from urlseq import load
from urlseq.answering import Decoded
from urlseq.errors import ExportError, InvalidSetting
from urlseq.export import check, export
from urlseq.export.browser import litert_web, litert_web_answers, tensorflowjs_answers, tensorflowjs_converter
from urlseq.export.saved_model import saved_model_answers
from urlseq.graph import Graph
from urlseq.learned import LearnedCopy
from urlseq.lite import load_lite
from urlseq.store import copy_of

if importlib.util.find_spec("tensorflowjs") is None:
    pytest.skip("tensorflowjs is missing: bash setup_colab.sh --export", allow_module_level=True)


@pytest.fixture(scope="module")
def dates():
    return load("dates_in_hex")


@pytest.fixture(scope="module")
def exported(exported_dates):
    """What the command exports."""
    told = json.loads((exported_dates / "told.json").read_text())
    assert told["folder"] == str(exported_dates / "dates_in_hex") and told["checked"]["inputs"] == 200
    return exported_dates / "dates_in_hex"


def test_every_form_is_there_with_its_hash_and_was_checked(exported):
    manifest = json.loads((exported / "manifest.json").read_text())
    assert manifest["format"] == 4 and manifest["checked"]["inputs"] == 200
    assert len(manifest["examples"]) == 4 and set(manifest["examples"]) < set(load("dates_in_hex").examples)
    assert manifest["expected"] == {text: load("dates_in_hex").card["examples"][text] for text in manifest["examples"]}
    assert manifest["function"] == "urlseq.gallery.my_date_format" and manifest["inverse"]
    assert (manifest["max_input_bytes"], manifest["max_answer_bytes"]) == (40, 36)
    assert manifest["litert"]["signatures"] == [{"length": 48, "max_answer_bytes": 36}]
    for path, file in manifest["files"].items():
        assert (exported / path).stat().st_size == file["bytes"]
        assert hashlib.sha256((exported / path).read_bytes()).hexdigest() == file["sha256"]
    forms = {path.split("/")[0].split("-")[0] for path in manifest["files"]}
    assert forms == {"copy.json", "weights", "litert", "saved_model", "tensorflowjs"}
    assert str(load_lite(exported).predict(manifest["examples"])) == str(load(exported).predict(manifest["examples"]))
    browser = [(exported / path).read_bytes() for path in manifest["files"] if path.startswith("tensorflowjs")]
    assert sum(len(gzip.compress(data)) for data in browser) < 600_000  # as it comes to a browser


def test_a_process_without_this_package_answers(exported):
    program = """
import json, sys
import tensorflow as tf
assert "urlseq" not in sys.modules
found = tf.saved_model.load(sys.argv[1]).signatures["serving_default"](text=tf.constant(eval(sys.argv[2])))
plain = lambda value: value.decode() if isinstance(value, bytes) else value
print(json.dumps({name: [plain(value) for value in values.numpy().tolist()] for name, values in found.items()}))
"""
    texts = [b"Wednesday, 9 September 7ce, 7:05", b"", b"\xff\xfe", b"a\x00b", b"x" * 200, "é".encode()]
    process = subprocess.run([sys.executable, "-c", program, str(exported / "saved_model"), repr(texts)],
                             capture_output=True, text=True, cwd="/")  # fmt: skip
    assert process.returncode == 0, process.stderr[-2000:]
    found = json.loads(process.stdout)
    assert found["json"][0] == '"1998-09-09T07:05"' and found["trusted"][0] and found["confidence"][0] > 0.9
    assert found["trusted"][2:] == [False] * 4
    assert found["reason"][2:5] == ["it is no UTF-8", "it holds a NUL character", "it has more than 40 bytes"]
    assert found["reason"][5] == "it holds bytes that training never did"
    assert found["json"][2:5] == ["", "", ""]


def test_an_empty_batch_is_served(exported):
    served = tf.saved_model.load(str(exported / "saved_model")).signatures["serving_default"](
        text=tf.zeros([0], tf.string)
    )
    assert {name: tuple(value.shape) for name, value in served.items()} == dict.fromkeys(
        ["json", "confidence", "trusted", "reason"], (0,)
    )


def test_trust_is_the_copys_trust(exported, dates):
    inputs = dates.examples[:60] + ["Friday, 99 May 7ce, 7:05", "Monday", "?", "9"]
    judge = copy_of(dates.model, dates.card, None)  # without the function, confidence alone decides about trust
    served = tf.saved_model.load(str(exported / "saved_model")).signatures["serving_default"](text=tf.constant(inputs))
    assert served["trusted"].numpy().tolist() == [prediction.trusted for prediction in judge.predict(inputs)]


def test_the_graph_model_holds_only_small_weights(exported):
    model = json.loads((exported / "tensorflowjs" / "model.json").read_text())
    weights = [weight for group in model["weightsManifest"] for weight in group["weights"]]
    assert {weight["quantization"]["dtype"] for weight in weights if weight["dtype"] == "float32"} == {"float16"}
    assert sum(np.prod(weight["shape"]) for weight in weights) < 300_000


TEXTS = ["", "a", "abc", "é", "hgfedcba", "x y", "12345", "日本語"]


@pytest.fixture(scope="module", params=[False, True], ids=["from the beginning", "from the end, with a copy gate"])
def quoting(request, tmp_path_factory):
    """A copy whose answers hold quotes, backslashes and NUL, and its export, each form of which was checked."""
    task = card()["task"] | {"reverse_output": request.param}
    architecture = card()["architecture"] | {"copy_gate": request.param}
    known = card(task=task, architecture=architecture)
    copy = LearnedCopy(quoting_model(copy_gate=request.param), known, str.upper)
    return copy, export(copy, tmp_path_factory.mktemp("export") / "quoting", TEXTS, precision="float32")


def test_the_manifest_tells_how_answers_are_written(quoting):
    copy, folder = quoting
    encoding = json.loads((folder / "manifest.json").read_text())["encoding"]
    assert (encoding["name"], encoding["reverse_output"]) == ("JSON without escapes", copy.reverse_output)
    texts = encoding["texts"]
    assert (texts["248"], texts["249"], texts["34"], texts["92"]) == ('"', "\\u0000", '\\"', r"\\")
    assert (texts["10"], texts["31"]) == (r"\n", r"\u001f") and len(texts) == 32 + 4
    decode = tf.saved_model.load(str(folder / "saved_model")).signatures["tokens"]
    for text, answer in zip(TEXTS, copy.predict(TEXTS), strict=True):
        found = decode(tokens=tf.constant([[*text.encode(), 255]]))["answer"].numpy()[0]
        written = bytes(found.astype(np.uint8)).split(b"\xff")[0]
        in_order = written[::-1] if encoding["reverse_output"] else written
        data = b"".join(texts[str(byte)].encode() if str(byte) in texts else bytes([byte]) for byte in in_order)
        assert data.decode("utf-8", "replace") == answer.text


def test_every_form_gives_json_of_what_is_written_without_escapes(quoting):
    copy, folder = quoting
    expected = [prediction.text for prediction in copy.predict(TEXTS)]
    for part in ('"', '\\"', r"\\", r"\u0000"):
        assert any(part in answer for answer in expected), part
    manifest = json.loads((folder / "manifest.json").read_text())
    saved_model = tf.saved_model.load(str(folder / "saved_model"))
    served = saved_model.signatures["serving_default"](text=tf.constant(TEXTS))
    assert [text.decode() for text in served["json"].numpy()] == expected
    lengths = {of["length"]: of["max_answer_bytes"] for of in manifest["litert"]["signatures"]}
    by_litert = litert_web_answers(folder / "litert" / "copy.tflite", lengths, TEXTS, copy.reverse_output)
    assert by_litert.answers == expected
    assert [prediction.text for prediction in load_lite(folder).predict(TEXTS)] == expected
    if manifest["checked"]["tensorflowjs"]:
        assert tensorflowjs_answers(folder / "tensorflowjs", TEXTS, manifest["encoding"]).answers == expected
    with pytest.raises(ExportError, match="two signatures differ"):
        saved_model_answers(folder / "saved_model", TEXTS, not copy.reverse_output)


def decoded(*records: tuple[str, float, bool]) -> Decoded:
    answers, confidence, ended = zip(*records, strict=True)
    return Decoded(list(answers), np.array(confidence), np.array(ended))


def test_a_difference_names_the_first_input():
    right = ('"a"', 0.9, True)
    check("form", ["x", "y"], decoded(right, right), decoded(('"a"', 0.9001, True), right))
    for wrong in (('"b"', 0.9, True), ('"a"', 0.5, True), ('"a"', 0.9, False)):
        with pytest.raises(ExportError, match="form differs from the copy on 'y'"):
            check("form", ["x", "y"], decoded(right, right), decoded(right, wrong))


def test_a_broken_form_is_found_and_the_old_export_stays(exported, dates, monkeypatch, tmp_path):
    folder = shutil.copytree(exported, tmp_path / "dates")
    before = (folder / "manifest.json").read_bytes()

    class Broken(Graph):
        def __init__(self, model, max_answer_bytes):
            super().__init__(model, max_answer_bytes)
            keys = self.variables_by_name["key_kernel"]
            keys.assign(keys[::-1])

    monkeypatch.setattr(urlseq.export.saved_model, "Graph", Broken)
    with pytest.raises(ExportError, match="SavedModel differs from the copy on"):
        export(dates, folder, count=5)
    assert (folder / "manifest.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["dates"]


def test_other_folders_are_not_touched(dates, tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(ValueError, match="holds files that are no export"):
        export(dates, tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "precious"


def test_an_old_export_is_replaced_and_without_the_page_not_all_is_checked(exported, dates, tmp_path, monkeypatch):
    """The folder is missing in an installed wheel."""
    folder = shutil.copytree(exported, tmp_path / "mine")
    (folder / "left_over").touch()
    monkeypatch.setattr(urlseq.export.browser, "WEB", tmp_path / "web")
    with pytest.warns(UserWarning, match="not checked.*a checkout of this project"):
        export(dates, folder, count=3, precision="float32")
    checked = json.loads((folder / "manifest.json").read_text())["checked"]
    assert checked["inputs"] == 3 and not checked["tensorflowjs"]
    assert not (folder / "left_over").exists()


def test_without_examples_in_the_card_inputs_are_needed(dates, tmp_path):
    unknown = copy_of(dates.model, dates.card | {"examples": {}}, None)
    with pytest.raises(InvalidSetting, match="keeps no held-out inputs: give some"):
        export(unknown, tmp_path / "unknown")
    with pytest.raises(InvalidSetting, match="None of the inputs"):
        export(unknown, tmp_path / "unknown", inputs=["x" * 999])
    with pytest.raises(InvalidSetting, match="float32, float16"):
        export(unknown, tmp_path / "unknown", inputs=["x"], precision="uint8")


def test_where_a_signature_is_too_short_for_an_answer_a_longer_one_gives_it(dates, tmp_path):
    path, lengths = tmp_path / "copy.tflite", {41: 4, 48: dates.max_answer_bytes}
    path.write_bytes(litert_web(dates, lengths))
    found = litert_web_answers(path, lengths, ["Wednesday, 9 September 7ce, 7:05"])
    assert found.answers == ['"1998-09-09T07:05"'] and found.ended.all()


def test_the_converter_leaves_no_module_behind_that_is_none(monkeypatch):
    known = types.ModuleType("jax")
    monkeypatch.setitem(sys.modules, "jax", known)
    tensorflowjs_converter()
    assert sys.modules["jax"] is known and "jax.experimental.jax2tf" not in sys.modules
