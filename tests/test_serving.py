"""Versions for TensorFlow Serving, called as TensorFlow Serving is: over a socket, in its own protocol."""

import contextlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import urlseq.export
from tests.conftest import untrained_copy
from urlseq import load, serving
from urlseq.export import SIGNATURES, ExportError
from urlseq.sources import registry_urls

grpc = pytest.importorskip("grpc")
prediction = pytest.importorskip("tensorflow_serving.apis.prediction_service_pb2_grpc")

ROOT = Path(__file__).parent.parent
URL = "https://example.org/a?b=c#d"
# Lengths from nothing to the longest that it takes, and what can't be an input.
MIXED = [b"", URL.encode(), b"https://example.org/" + b"x" * 236, b"\xff\xfe", b"a\x00b", b"x" * 257, "é".encode()]
REASONS = ["", "", "it is no UTF-8", "it holds a NUL character", "it has more than 256 bytes"]


@pytest.fixture(scope="module")
def parser():
    return load("urlparse")


@pytest.fixture(scope="module")
def folder(parser, tmp_path_factory):
    folder = tmp_path_factory.mktemp("serving") / "urlparse"
    serving.add_version(parser, folder, count=50)
    return folder


@contextlib.contextmanager
def served(folder: Path):
    """A client of a server in a process of its own."""
    command = [sys.executable, "-m", "urlseq.server", str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            address = re.search(r"at (127.0.0.1:\d+)", process.stdout.readline())[1]
            with grpc.insecure_channel(address) as channel:
                yield prediction.PredictionServiceStub(channel)
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def client(folder):
    with served(folder) as stub:
        yield stub


def arrays(response) -> dict[str, np.ndarray]:
    return {name: tf.make_ndarray(proto) for name, proto in response.outputs.items()}


@pytest.mark.slow
def test_a_call_over_a_socket_says_what_the_copy_says(client, parser):
    texts = [text for text in registry_urls() if parser.refusal(text) is None][::300]
    found = arrays(client.Predict(serving.request("urlparse", texts), 60))
    wanted = parser.predict(texts)
    assert [answer.decode() for answer in found["json"]] == [p.text for p in wanted]
    assert found["trusted"].tolist() == [p.trusted for p in wanted]
    assert found["confidence"] == pytest.approx(np.array([p.confidence for p in wanted]), abs=1e-4)


@pytest.mark.slow
def test_a_batch_of_any_bytes_and_lengths(client, parser):
    found = arrays(client.Predict(serving.request("urlparse", MIXED), 60))
    assert [json.loads(found["json"][row]) for row in (0, 1)] == [[""] * 6, list(parser(URL))]
    assert [found["reason"][row].decode() for row in (0, 1, 3, 4, 5)] == REASONS
    assert found["json"][3:6].tolist() == [b""] * 3 and not found["trusted"][3:6].any()
    vectors = arrays(client.Predict(serving.request("urlparse", MIXED, "embedding"), 60))
    usable = [0, 1, 2, 6]
    wanted = parser.embed([MIXED[row].decode() for row in usable])
    assert vectors["embedding"][usable] == pytest.approx(wanted, abs=1e-4)
    assert not vectors["embedding"][3:6].any()
    assert [vectors["reason"][row].decode() for row in (0, 1, 3, 4, 5)] == REASONS


@pytest.mark.slow
def test_an_empty_batch(client):
    for signature, shapes in (("serving_default", {(0,)}), ("embedding", {(0, 256), (0,)})):
        found = arrays(client.Predict(serving.request("urlparse", [], signature), 60))
        assert {array.shape for array in found.values()} == shapes


@pytest.mark.slow
def test_what_a_caller_does_wrong_is_said(client):
    wrong_version = serving.request("urlparse", [URL])
    wrong_version.model_spec.version.value = 7
    wrong_input = serving.request("urlparse", [URL])
    wrong_input.inputs["text"].CopyFrom(tf.make_tensor_proto([1, 2]))
    for request, code, message in (
        (serving.request("other", [URL]), grpc.StatusCode.NOT_FOUND, "Here is urlparse, version 1, not other"),
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
    assert done.stdout.splitlines() == ['["https","example.org","/a","","b=c","d"]', "(1, 256)"], done.stderr[-2000:]


def test_the_warm_up_is_of_tensorflow_servings_kind_and_replays(folder):
    requests = list(serving.warm_up_requests(folder / "1"))
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
    with pytest.raises(FileExistsError, match="never overwritten"):
        add(version=9)
    with pytest.raises(ValueError, match="numbered from 1"):
        add(version=0)
    assert {path: path.read_bytes() for path in before} == before
    assert serving.versions(folder) == [1, 2, 9, 10]
    assert sorted(path.name for path in folder.iterdir()) == ["1", "10", "2", "9"]  # no part is left over


def test_two_writers_at_once_get_two_numbers(tmp_path, monkeypatch):
    """The other one takes the number between the look and the rename."""
    part, folder = tmp_path / "upper" / "5.part", tmp_path / "upper"
    part.mkdir(parents=True)
    seen = iter([[], [1]])

    def versions(folder):
        found = next(seen)
        if not found:
            (folder / "1").mkdir()
            (folder / "1" / "saved_model.pb").touch()
        return found

    monkeypatch.setattr(serving, "versions", versions)
    assert serving.put_in_place(part, folder, None).name == "2"


def test_a_broken_version_never_appears(untrained, tmp_path, monkeypatch):
    whole = urlseq.export.GraphDecoder

    class Broken(whole):
        def __init__(self, model, limit):
            super().__init__(model, limit)
            self.weights["key_kernel"].assign(self.weights["key_kernel"][::-1] + 1)

    monkeypatch.setattr(urlseq.export, "GraphDecoder", Broken)
    with pytest.raises(ExportError, match="SavedModel differs from the copy on"):
        serving.add_version(untrained, tmp_path / "upper", ["abc", "ponm", "hgfe"])
    assert not list((tmp_path / "upper").iterdir())


def test_texts_to_check_with_are_needed(untrained, tmp_path):
    with pytest.raises(ValueError, match="give `texts`"):
        serving.add_version(untrained, tmp_path / "upper")
    with pytest.raises(ValueError, match="None of the texts"):
        serving.add_version(untrained, tmp_path / "upper", ["x" * 99])


@pytest.mark.slow
def test_the_command_adds_a_version(tmp_path):
    texts = tmp_path / "texts.txt"
    texts.write_text("Wednesday, 9 September 7ce, 7:05\n")
    words = ["serve", "dates_in_hex", "--folder", str(tmp_path / "models"), "--inputs", str(texts), "--version", "3"]
    done = subprocess.run([sys.executable, "-m", "urlseq", *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout) == {"folder": str(tmp_path / "models" / "dates_in_hex" / "3")}
    again = subprocess.run([sys.executable, "-m", "urlseq", *words], cwd=ROOT, capture_output=True, text=True)
    assert again.returncode == 1 and "never overwritten" in again.stderr


def test_a_file_with_the_number_of_the_next_version_is_told(untrained, tmp_path):
    (tmp_path / "upper").mkdir()
    (tmp_path / "upper" / "1").touch()
    with pytest.raises(OSError, match="upper/1"):
        serving.add_version(untrained, tmp_path / "upper", ["abc"])
    assert [path.name for path in (tmp_path / "upper").iterdir()] == ["1"]


def test_what_a_killed_writer_of_this_number_left_is_in_nobodys_way(untrained, tmp_path):
    (tmp_path / "upper" / f"new.{os.getpid()}.part" / "variables").mkdir(parents=True)
    assert serving.add_version(untrained, tmp_path / "upper", ["abc"]).name == "1"
    assert [path.name for path in (tmp_path / "upper").iterdir()] == ["1"]


def test_an_error_of_tensorflows_is_told_as_one_of_the_export(untrained, tmp_path, monkeypatch):
    def full(*_):
        raise tf.errors.ResourceExhaustedError(None, None, "no space left")

    monkeypatch.setattr(serving, "write_saved_model", full)
    with pytest.raises(ExportError, match="No version was added to .*no space left"):
        serving.add_version(untrained, tmp_path / "upper", ["abc"])
    assert not list((tmp_path / "upper").iterdir())
