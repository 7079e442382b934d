"""Versions for TensorFlow Serving, called as TensorFlow Serving is: over a socket, in its own protocol."""

import json
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from conftest import untrained_copy

import urlseq.export.saved_model
from urlseq import load
from urlseq.errors import ExportError, InvalidSetting
from urlseq.export import SIGNATURES
from urlseq.graph import Graph
from urlseq.sources import registry_urls

grpc = pytest.importorskip("grpc")
prediction = pytest.importorskip("tensorflow_serving.apis.prediction_service_pb2_grpc")
serving = pytest.importorskip("urlseq.export.serving")
benchmark = pytest.importorskip("benchmarks.serving")

ROOT = Path(__file__).parent.parent
URL = "https://example.org/a?b=c#d"
# Valid inputs of no bytes to the most, and invalid ones.
MIXED = [b"", URL.encode(), b"https://example.org/" + b"x" * 1004, b"\xff\xfe", b"a\x00b", b"x" * 1025, "é".encode()]
REASONS = ["", "", "it is no UTF-8", "it holds a NUL character", "it has more than 1024 bytes"]


@pytest.fixture(scope="module")
def parser():
    return load("urlparse")


@pytest.fixture(scope="module")
def folder(parser, tmp_path_factory):
    folder = tmp_path_factory.mktemp("serving") / "urlparse"
    serving.add_version(parser, folder, count=50)
    return folder


@pytest.fixture(scope="module")
def server(folder):
    with benchmark.server(folder) as found:
        yield found


@pytest.fixture(scope="module")
def client(server):
    return server[0]


def arrays(response) -> dict[str, np.ndarray]:
    return {name: tf.make_ndarray(proto) for name, proto in response.outputs.items()}


@pytest.mark.slow
def test_an_answer_of_more_than_4_mb_needs_an_option_of_the_client(server):
    client, address, _ = server
    asked = serving.request("urlparse", [""] * 2100, "embedding")
    with pytest.raises(grpc.RpcError) as refused:
        client.Predict(asked, 60)
    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    with grpc.insecure_channel(address, options=[("grpc.max_receive_message_length", -1)]) as channel:
        found = arrays(prediction.PredictionServiceStub(channel).Predict(asked, 60))
    assert found["embedding"].nbytes > 2**22 and len(found["embedding"]) == 2100


@pytest.mark.slow
def test_answers_over_a_socket_are_the_copys(client, parser):
    inputs = [text for text in registry_urls() if not parser.invalid_reason(text)][::300]
    found = arrays(client.Predict(serving.request("urlparse", inputs), 60))
    expected = parser.predict(inputs)
    assert [answer.decode() for answer in found["json"]] == [p.text for p in expected]
    assert found["trusted"].tolist() == [p.trusted for p in expected]
    assert found["confidence"] == pytest.approx(np.array([p.confidence for p in expected]), abs=1e-4)


@pytest.mark.slow
def test_a_batch_of_any_bytes_and_lengths(client, parser):
    found = arrays(client.Predict(serving.request("urlparse", MIXED), 60))
    assert [json.loads(found["json"][row]) for row in (0, 1)] == [[""] * 6, list(parser(URL))]
    assert [found["reason"][row].decode() for row in (0, 1, 3, 4, 5)] == REASONS
    assert found["json"][3:6].tolist() == [b""] * 3 and not found["trusted"][3:6].any()
    vectors = arrays(client.Predict(serving.request("urlparse", MIXED, "embedding"), 60))
    valid = [0, 1, 2, 6]
    expected = parser.embed([MIXED[row].decode() for row in valid])
    assert vectors["embedding"][valid] == pytest.approx(expected, abs=1e-4)
    assert not vectors["embedding"][3:6].any()
    assert [vectors["reason"][row].decode() for row in (0, 1, 3, 4, 5)] == REASONS


@pytest.mark.slow
def test_an_empty_batch(client):
    for signature, shapes in (("serving_default", {(0,)}), ("embedding", {(0, 512), (0,)})):
        found = arrays(client.Predict(serving.request("urlparse", [], signature), 60))
        assert {array.shape for array in found.values()} == shapes


@pytest.mark.slow
def test_a_callers_mistakes_are_named(client):
    wrong_version = serving.request("urlparse", [URL])
    wrong_version.model_spec.version.value = 7
    wrong_input = serving.request("urlparse", [URL])
    wrong_input.inputs["text"].CopyFrom(tf.make_tensor_proto([1, 2]))
    for request, code, message in (
        (serving.request("other", [URL]), grpc.StatusCode.NOT_FOUND, "This is urlparse, version 1, not other"),
        (wrong_version, grpc.StatusCode.NOT_FOUND, "not urlparse, version 7"),
        (serving.request("urlparse", [URL], "parse"), grpc.StatusCode.INVALID_ARGUMENT, "no signature parse"),
        (wrong_input, grpc.StatusCode.INVALID_ARGUMENT, "string"),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            client.Predict(request, 60)
        assert caught.value.code() == code and message in caught.value.details()


@pytest.mark.slow
def test_saved_model_cli_shows_and_runs_it(folder):
    cli = Path(sys.executable).with_name("saved_model_cli")
    words = [cli, "run", "--dir", folder / "1", "--tag_set", "serve", "--signature_def", "serving_default",
             "--input_exprs", f"text=[b'{URL}']"]  # fmt: skip
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert '["https","example.org","/a","","b=c","d"]' in done.stdout
    assert re.search(r"key trusted:\n\[ ?True\]", done.stdout)


@pytest.mark.slow
def test_it_loads_where_there_is_no_urlseq(folder):
    program = """
import sys
import tensorflow as tf
signatures = tf.saved_model.load(sys.argv[1]).signatures
assert "urlseq" not in sys.modules
print(signatures["serving_default"](text=tf.constant([sys.argv[2]]))["json"][0].numpy().decode())
print(signatures["embedding"](text=tf.constant([sys.argv[2]]))["embedding"].shape)
"""
    done = subprocess.run([sys.executable, "-I", "-c", program, str(folder / "1"), URL],
                          capture_output=True, text=True, cwd="/")  # fmt: skip
    assert done.stdout.splitlines() == ['["https","example.org","/a","","b=c","d"]', "(1, 512)"], done.stderr[-2000:]


def warm_up_requests(version: Path) -> list:
    """The PredictRequests that a version's folder holds."""
    records = tf.data.TFRecordDataset(str(version / serving.WARM_UP))
    return [serving.PredictionLog.FromString(record.numpy()).predict_log.request for record in records]


def test_the_warm_up_is_of_tensorflow_servings_kind_and_replays(folder):
    requests = warm_up_requests(folder / "1")
    sizes = [len(request.inputs["text"].string_val) for request in requests]
    assert sizes == [size for size in serving.WARM_UP_BATCHES for _ in range(2)]
    assert {request.model_spec.name for request in requests} == {"urlparse"}
    signatures = tf.saved_model.load(str(folder / "1")).signatures
    assert set(signatures) == set(SIGNATURES)
    for request in requests:
        found = signatures[request.model_spec.signature_name](text=tf.constant(tf.make_ndarray(request.inputs["text"])))
        assert not any(found["reason"].numpy()[found["reason"].numpy() == b"it is no UTF-8"])
        assert {len(tensor) for tensor in found.values()} == {len(request.inputs["text"].string_val)}


@pytest.fixture
def untrained():
    return untrained_copy()


def test_versions_are_numbered_and_never_overwritten(untrained, tmp_path):
    folder = tmp_path / "upper"
    add = lambda **more: serving.add_version(untrained, folder, ["abc", "d"], **more).name  # noqa: E731
    assert [add(), add(), add(version=9), add()] == ["1", "2", "9", "10"]
    before = {path: path.read_bytes() for path in (folder / "9").rglob("*") if path.is_file()}
    with pytest.raises(ExportError, match="never overwritten"):
        add(version=9)
    with pytest.raises(InvalidSetting, match="numbered from 1"):
        add(version=0)
    assert {path: path.read_bytes() for path in before} == before
    assert serving.versions(folder) == [1, 2, 9, 10]
    assert sorted(path.name for path in folder.iterdir()) == ["1", "10", "2", "9"]  # no temporary folder is left over


def test_a_number_that_is_taken_is_refused_before_the_work(untrained, tmp_path, monkeypatch):
    (tmp_path / "upper" / "3").mkdir(parents=True)
    monkeypatch.setattr(serving, "write_saved_model", lambda *_: pytest.fail("It was exported first."))
    with pytest.raises(ExportError, match="upper/3 is there already, and is never overwritten"):
        serving.add_version(untrained, tmp_path / "upper", ["abc"], version=3)
    assert [path.name for path in (tmp_path / "upper").iterdir()] == ["3"]


def test_a_number_that_another_writer_took_during_the_work_is_refused(untrained, tmp_path, monkeypatch):
    write = serving.write_saved_model
    monkeypatch.setattr(serving, "write_saved_model", lambda *to: (write(*to), (tmp_path / "upper" / "3").mkdir()))
    with pytest.raises(ExportError, match="upper/3 is there already, and is never overwritten"):
        serving.add_version(untrained, tmp_path / "upper", ["abc"], version=3)
    assert [path.name for path in (tmp_path / "upper").iterdir()] == ["3"]


def test_two_writers_at_once_get_two_numbers(tmp_path, monkeypatch):
    """Neither may look for the next number while the other is about to take it."""
    folder, known = tmp_path / "upper", serving.versions
    for name in ("first", "second"):
        (folder / name).mkdir(parents=True)

    def slow_versions(folder):
        numbers = known(folder)
        time.sleep(0.3)
        return numbers

    monkeypatch.setattr(serving, "versions", slow_versions)
    with ThreadPoolExecutor() as pool:
        done = pool.map(lambda name: serving.put_in_place(folder / name, folder, None).name, ("first", "second"))
        assert sorted(done) == ["1", "2"]


def test_a_broken_version_never_appears(untrained, tmp_path, monkeypatch):
    class Broken(Graph):
        def __init__(self, model, max_answer_bytes):
            super().__init__(model, max_answer_bytes)
            keys = self.variables_by_name["key_kernel"]
            keys.assign(keys[::-1] + 1)

    monkeypatch.setattr(urlseq.export.saved_model, "Graph", Broken)
    with pytest.raises(ExportError, match="SavedModel differs from the copy on"):
        serving.add_version(untrained, tmp_path / "upper", ["abc", "ponm", "hgfe"])
    assert not list((tmp_path / "upper").iterdir())


def test_inputs_to_check_with_are_needed(untrained, tmp_path):
    with pytest.raises(InvalidSetting, match="keeps no held-out inputs: give some"):
        serving.add_version(untrained, tmp_path / "upper")
    with pytest.raises(InvalidSetting, match="None of the inputs"):
        serving.add_version(untrained, tmp_path / "upper", ["x" * 99])


@pytest.mark.slow
def test_the_command_adds_a_version(tmp_path):
    inputs = tmp_path / "inputs.txt"
    inputs.write_text("Wednesday, 9 September 7ce, 7:05\n")
    words = ["export", "dates_in_hex", "--serving", "--folder", str(tmp_path / "models")]
    words += ["--inputs", str(inputs), "--version", "3"]
    done = subprocess.run([sys.executable, "-m", "urlseq", *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout) == {"folder": str(tmp_path / "models" / "dates_in_hex" / "3")}
    again = subprocess.run([sys.executable, "-m", "urlseq", *words], cwd=ROOT, capture_output=True, text=True)
    assert again.returncode == 1 and "never overwritten" in again.stderr


def test_a_file_with_the_number_of_the_next_version_is_named(untrained, tmp_path):
    (tmp_path / "upper").mkdir()
    (tmp_path / "upper" / "1").touch()
    with pytest.raises(ExportError, match="upper/1"):
        serving.add_version(untrained, tmp_path / "upper", ["abc"])
    assert [path.name for path in (tmp_path / "upper").iterdir()] == ["1"]


def test_leftovers_of_a_killed_process_with_this_number_are_removed(untrained, tmp_path):
    (tmp_path / "upper" / f"next.{os.getpid()}.part" / "variables").mkdir(parents=True)
    assert serving.add_version(untrained, tmp_path / "upper", ["abc"]).name == "1"
    assert [path.name for path in (tmp_path / "upper").iterdir()] == ["1"]


def test_an_error_of_tensorflow_becomes_one_of_the_export(untrained, tmp_path, monkeypatch):
    def full(*_):
        raise tf.errors.ResourceExhaustedError(None, None, "no space left")

    monkeypatch.setattr(serving, "write_saved_model", full)
    with pytest.raises(ExportError, match="upper/next was not written.*no space left"):
        serving.add_version(untrained, tmp_path / "upper", ["abc"])
    assert not list((tmp_path / "upper").iterdir())
