"""Faults, for real: processes killed at any moment, full disks, servers that stop, 100,000 strange inputs."""

import hashlib
import http.server
import importlib.util
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import fault_support
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from conftest import largest_difference, untrained_copy

from urlseq import cards, export, store, tables
from urlseq.__main__ import main
from urlseq.answering import Decoded
from urlseq.cards import CARD
from urlseq.errors import InvalidInput
from urlseq.export.saved_model import write_saved_model
from urlseq.learned import LearnedCopy
from urlseq.store import load
from urlseq.vectorize import to_matrix, to_texts

ROOT = Path(__file__).parents[1]
# Nothing here takes so long; it is there so that a process that hangs fails the test.
PATIENCE = 300


@pytest.fixture(scope="module")
def forks():
    return fault_support.forks()


def start(context, work, *arguments):
    process = context.Process(target=work, args=arguments)
    process.start()
    return process


def ended(process) -> int:
    """The exit code of a process, -9 if it was killed."""
    process.join(PATIENCE)
    assert process.exitcode is not None, "it hangs"
    return process.exitcode


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    """Two saved copies, `0` and `1`, with different weights."""
    folder = tmp_path_factory.mktemp("copies")
    for seed in (0, 1):
        untrained_copy(seed).save(folder / str(seed))
    return folder


def saved_weights(folder: Path) -> list[np.ndarray]:
    return load(folder).model.get_weights()


# ---------------------------------------------------------------- killed while training and saving


def epoch_of(state: Path) -> int:
    """The epoch that a training would go on from."""
    if not state.exists():
        return 0
    with np.load(state) as arrays:
        return json.loads(str(arrays["state"]))["epoch"]


def kill_after_epochs(process, state: Path, epochs: int, seconds: float) -> int:
    """Kills a training some time after its state was written so often; how often it was, at least."""
    until = time.monotonic() + PATIENCE
    written, last = 0, state.stat().st_ino if state.exists() else None
    while written < epochs and process.is_alive() and time.monotonic() < until:
        now = state.stat().st_ino if state.exists() else None
        written, last = written + (now != last), now
        time.sleep(0.0005)
    time.sleep(seconds)
    process.kill()
    assert ended(process) == -signal.SIGKILL, "it ended before it was killed"
    return written


@pytest.mark.slow
def test_a_training_that_is_killed_again_and_again_ends_with_a_whole_copy(forks, copies, tmp_path):
    """At random moments: while it begins, then after some epochs and within the next, which takes some 30 ms."""
    folder = shutil.copytree(copies / "0", tmp_path / "copy")
    before, state, rng = saved_weights(folder), folder / "training.npz", random.Random()
    for epochs, longest in ((0, 3.0), (rng.randint(1, 3), 0.03), (rng.randint(1, 3), 0.03)):
        reached = epoch_of(state)
        process = start(forks, fault_support.train, folder)
        written = kill_after_epochs(process, state, epochs, rng.uniform(0, longest))
        assert epoch_of(state) >= reached + written  # whole, and gone on from the one before
        assert largest_difference(saved_weights(folder), before) == 0
    assert ended(start(forks, fault_support.train, folder)) == 0
    assert len(names(folder)) == 3 and "ended.npz" in names(folder), "a part is left, or no state to go on from"
    examples = [epoch["examples"] for epoch in load(folder).card["history"]]
    step = fault_support.EPOCH_EXAMPLES
    assert examples == [step * epoch for epoch in range(1, fault_support.EPOCHS + 1)]


def test_a_copy_is_whole_whenever_its_saving_is_killed(forks, copies, tmp_path):
    """Before each single thing that saving asks of the file system, until it is through."""
    old, new = (saved_weights(copies / name) for name in "01")
    moment, seen = 0, set()
    while True:
        moment += 1
        folder = shutil.copytree(copies / "0", tmp_path / str(moment) / "copy")
        work = (fault_support.save, copies / "1", folder)
        code = ended(start(forks, fault_support.killed_at, moment, folder, *work))
        found = saved_weights(folder)
        seen.add("old" if largest_difference(found, old) == 0 else "new")
        assert largest_difference(found, old if "new" not in seen else new) == 0
        fault_support.save(copies / "1", folder)  # the next one is not disturbed, and cleans up
        assert len(names(folder)) == 2 and largest_difference(saved_weights(folder), new) == 0
        if code == 0:
            break
        assert code == -signal.SIGKILL
    assert seen == {"old", "new"} and moment > 6


def test_leftovers_of_a_killed_process_are_removed_and_files_of_a_living_one_are_not(tmp_path):
    killed = subprocess.Popen([sys.executable, "-c", ""])
    killed.wait()
    for process in (killed.pid, os.getpid(), os.getppid()):
        (tmp_path / f"x[1].{process}.part").touch()
        (tmp_path / f"x[1].{process}.old").mkdir()
    (tmp_path / f"y.{killed.pid}.part").touch()
    cards.write_file(tmp_path / "x[1]", b"data")
    left = {f"x[1].{os.getppid()}.part", f"y.{killed.pid}.part", "x[1]"}
    assert {name for name in names(tmp_path) if not name.endswith("old")} == left
    cards.temporary_path(tmp_path / "x[1]", "old")
    assert [name for name in names(tmp_path) if name.endswith("old")] == [f"x[1].{os.getppid()}.old"]


# ---------------------------------------------------------------- two at once


def test_two_processes_save_into_one_folder_and_readers_see_a_whole_copy(forks, copies, tmp_path, monkeypatch):
    folder = shutil.copytree(copies / "0", tmp_path / "copy")
    known = {json.loads((copies / name / CARD).read_text())["sha256"] for name in "01"}

    class Model:
        """As much of a model as `load` fills: thousands of them can be made."""

        weights = ()
        set_weights = print

    monkeypatch.setattr(store, "build_model", lambda _: Model())
    monkeypatch.setattr(Model, "set_weights", lambda self, weights: None)
    monkeypatch.setattr(store, "copy_of", lambda model, card, function: card)
    writers = [start(forks, fault_support.save, copies / name, folder, 400) for name in "01"]
    seen = set()
    while any(writer.is_alive() for writer in writers):
        seen.add(load(folder)["sha256"])  # which is compared with that of the weights
    assert [ended(writer) for writer in writers] == [0, 0]
    assert seen == known
    assert len(names(folder)) == 2 and load(folder)["sha256"] in known


# ---------------------------------------------------------------- killed while exporting

needs_converter = pytest.mark.skipif(
    importlib.util.find_spec("tensorflowjs") is None,
    reason="tensorflowjs is missing: bash setup_colab.sh --export",
)


def export_in(folder: Path) -> str | None:
    """The hash of an export's manifest, after a check that all is there which it names; None if there is none."""
    if not folder.exists():
        return None
    text = (folder / export.MANIFEST).read_bytes()
    for path, file in json.loads(text)["files"].items():
        assert hashlib.sha256((folder / path).read_bytes()).hexdigest() == file["sha256"]
    return hashlib.sha256(text).hexdigest()


@pytest.fixture(scope="module")
def exported(forks, tmp_path_factory):
    """A folder with an export, and how many seconds it took."""
    folder = tmp_path_factory.mktemp("exports") / "copy"
    began = time.monotonic()
    assert ended(start(forks, fault_support.write_export, folder)) == 0
    return folder, time.monotonic() - began


@pytest.mark.slow
@needs_converter
def test_an_export_that_is_killed_leaves_a_whole_one_or_none_and_does_not_disturb_the_next(forks, exported, tmp_path):
    folder = shutil.copytree(exported[0], tmp_path / "copy")
    before, rng = export_in(folder), random.Random()
    for _ in range(2):
        process = start(forks, fault_support.write_export, folder, 1)
        time.sleep(rng.uniform(0, 0.9 * exported[1]))
        process.kill()
        ended(process)
        export_in(folder)  # the old one whole or, where that was late, the new one; or none
    assert ended(start(forks, fault_support.write_export, folder, 1)) == 0
    assert export_in(folder) not in (before, None)
    assert names(tmp_path) == ["copy"], "something is left of those that were killed"


def put_in_place(folder: Path) -> None:
    """The end of an export: a new folder takes the place of the old one. All processes have one number here."""
    os.getpid = lambda: 999_999_999
    new = cards.temporary_path(folder)
    new.mkdir()
    (new / "new").touch()
    cards.replace_folder(folder, new)


def test_whenever_an_export_is_killed_the_folder_is_the_old_one_or_the_new_one_or_absent(forks, tmp_path):
    """In a container, where the next process has the number of the one that was killed."""
    moment, seen, code = 0, set(), None
    while code != 0:
        moment += 1
        folder = tmp_path / str(moment) / "copy"
        folder.mkdir(parents=True)
        (folder / "old").touch()
        code = ended(start(forks, fault_support.killed_at, moment, folder.parent, put_in_place, folder))
        seen.add(tuple(names(folder)) if folder.exists() else ())
        assert ended(start(forks, put_in_place, folder)) == 0
        assert names(folder.parent) == ["copy"] and names(folder) == ["new"]
    assert seen == {("old",), (), ("new",)} and moment > 6


@pytest.mark.skipif(not (ROOT / "web" / "node_modules").is_dir(), reason="the page's tools are missing: npm ci in web/")
def test_the_page_does_not_show_what_a_killed_export_left(tmp_path):
    for name in ("copy", "copy.7.old", "copy.7.part"):
        (tmp_path / "models" / name).mkdir(parents=True)
        (tmp_path / "models" / name / "manifest.json").write_text("{}")
    words = ["node", ROOT / "web" / "build.mjs", tmp_path / "models", tmp_path / "page"]
    subprocess.run(words, check=True, capture_output=True, timeout=PATIENCE, cwd=ROOT / "web")
    assert 'data-copies="copy"' in (tmp_path / "page" / "index.html").read_text()


# ---------------------------------------------------------------- a full disk


def failure(context, limit: int, tmp_path: Path, work, *arguments) -> str:
    """The message when the work can't write a file of more than `limit` bytes."""
    log = tmp_path / "log"
    assert ended(start(context, fault_support.with_files_of_at_most, limit, log, work, *arguments)) == 1
    return log.read_text()


def test_a_full_disk_while_saving(forks, copies, tmp_path):
    folder = shutil.copytree(copies / "0", tmp_path / "copy")
    for limit, name in ((10_000, "weights-"), (500, "weights-")):
        said = failure(forks, limit, tmp_path, fault_support.save, copies / "1", folder)
        assert "so it was not written" in said and f"{folder}/{name}" in said
    assert len(names(folder)) == 2
    assert largest_difference(saved_weights(folder), saved_weights(copies / "0")) == 0


@pytest.mark.slow
def test_a_full_disk_while_training(forks, copies, tmp_path):
    folder = shutil.copytree(copies / "0", tmp_path / "copy")
    said = failure(forks, 50_000, tmp_path, fault_support.train, folder)
    assert "could not be saved" in said and f"so it was not written: '{folder}/weights-" in said
    assert len(names(folder)) == 2
    assert largest_difference(saved_weights(folder), saved_weights(copies / "0")) == 0


@pytest.mark.slow
@needs_converter
def test_a_full_disk_while_exporting(forks, exported, tmp_path):
    folder = shutil.copytree(exported[0], tmp_path / "copy")
    said = failure(forks, 40_000, tmp_path, fault_support.write_export, folder, 1)
    assert said.startswith("urlseq.errors.ExportError") and f"{folder} was not written" in said
    assert export_in(folder) == export_in(exported[0])
    assert names(tmp_path) == ["copy", "log"]


# ---------------------------------------------------------------- a server that stops


class Stopping(http.server.BaseHTTPRequestHandler):
    """One parquet file by HTTP and by S3. The next few answers stop in the middle."""

    data, left = b"", 0

    def do_HEAD(self):
        self.send(200, self.data, {})

    def do_GET(self):
        if "list-type" in self.path:
            return self.send(200, self.listing(), {"Content-Type": "application/xml"})
        first, last = self.headers["Range"].removeprefix("bytes=").split("-")
        part = self.data[int(first) : int(last) + 1]
        self.send(206, part, {"Content-Range": f"bytes {first}-{last}/{len(self.data)}"})

    def listing(self) -> bytes:
        file = f"<Key>table/a.parquet</Key><Size>{len(self.data)}</Size>"
        found = f"<Name>b</Name><KeyCount>1</KeyCount><Contents>{file}</Contents>"
        return f"<ListBucketResult>{found}</ListBucketResult>".encode()

    def send(self, status: int, body: bytes, headers: dict):
        self.send_response(status)
        for name, value in {"Accept-Ranges": "bytes", "Content-Length": len(body), **headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command == "GET":
            stops = Stopping.left > 0
            Stopping.left -= stops
            self.wfile.write(body[: len(body) // 2] if stops else body)
            self.close_connection = True

    def log_message(self, *words):
        pass


@pytest.fixture(scope="module")
def stopping():
    """The address of a server that stops when told to, and the texts of its table."""
    texts = [f"http://h{number}/{'x' * 50}" for number in range(2000)]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"url": texts}), sink, compression="none", use_dictionary=False, row_group_size=2000)
    Stopping.data = sink.getvalue().to_pybytes()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stopping) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{found.server_port}", texts
        found.shutdown()


@pytest.mark.parametrize("kind", ["http", "s3"])
def test_a_server_that_stops_in_mid_read(stopping, monkeypatch, kind):
    """It is asked again, so no row is lost; and if it stops each time, that is said."""
    address, texts = stopping
    waits, Stopping.left = [], 0
    monkeypatch.setattr(tables.time, "sleep", waits.append)
    if kind == "http":
        pytest.importorskip("aiohttp")
        table = tables.http_table([f"{address}/table/a.parquet"])
    else:
        table = tables.s3_table("s3://b/table", endpoint=address)
    Stopping.left = 4  # more often than Arrow's own client asks again
    sampler = tables.TableSampler(table)
    rng = random.Random(0)
    assert sorted(sampler(rng) for _ in texts) == sorted(texts)
    assert Stopping.left == 0 and waits and waits == [2**number for number in range(len(waits))]
    waits.clear()
    Stopping.left = 10**9
    with pytest.raises(ConnectionError, match="a.parquet broke off each of 6 requests"):
        sampler(random.Random(1))
    assert waits == [1, 2, 4, 8, 16]


# ---------------------------------------------------------------- 100,000 random inputs

ODD = ["", "\0", "\r", "\r\n", "\x85", "\u2028", "\ufeff", "\ufffe", "\uffff", "\ud83d", "\udcff", "\U0010ffff", "é",
       "{", "[" * 12, '"', "\\", "NaN", "-", "\x7f", "%s", "aaaaaaaaaaaa", "aaaaaaaaaaaaa", "é" * 6]  # fmt: skip


def strange_text(rng: random.Random) -> str:
    """Any code points, halves of surrogate pairs and NUL included, mixed with letters and with what breaks things."""
    makers = [lambda: chr(rng.randrange(32, 127)), lambda: chr(rng.randrange(0x800)), lambda: rng.choice(ODD)]
    if rng.random() < 0.2:
        makers.append(lambda: chr(rng.randrange(0x110000)))
    return "".join(rng.choice(makers)() for _ in range(rng.choice([0, 1, 2, 3, 5, 8, 20])))


def strange_bytes(rng: random.Random) -> bytes:
    """Bytes of a strange text, or of no text at all."""
    if rng.random() < 0.3:
        return rng.randbytes(rng.randrange(16))
    return strange_text(rng).encode("utf-8", "surrogatepass")


def refused(data: bytes, longest: int) -> bool:
    """Whether a copy can't take it: the rule in other words than the package's."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return True
    return 0 in data or len(data) > longest


def encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def test_40_000_random_texts_to_a_matrix_and_back():
    rng = random.Random(1)
    texts = [strange_text(rng) for _ in range(40_000)]
    bad = [text for text in texts if refused(encoded(text), longest=10**9)]
    good = [text for text in texts if not refused(encoded(text), longest=10**9)]
    assert min(len(bad), len(good)) > 5000
    for text in bad:
        with pytest.raises(InvalidInput, match="NUL|surrogate"):
            to_matrix([text])
    for start_ in range(0, len(good), 100):
        assert to_texts(to_matrix(good[start_ : start_ + 100])) == good[start_ : start_ + 100]


def test_10_000_random_texts_to_a_copy():
    """Each is answered or refused with a reason; with fallback, each is answered."""
    learned = untrained_copy()
    copy = LearnedCopy(learned.model, learned.card, len)
    rng = random.Random(2)
    texts = [strange_text(rng) for _ in range(10_000)]
    reasons = [copy.invalid_reason(text) for text in texts]
    assert [bool(reason) for reason in reasons] == [refused(encoded(text), copy.max_input_bytes) for text in texts]
    usable = [text for text, reason in zip(texts, reasons, strict=True) if not reason]
    assert 2000 < len(usable) < 8000
    predictions = copy.predict(usable)
    assert len(predictions) == len(usable)
    assert all(prediction.trusted == (not prediction.reason) for prediction in predictions)
    assert all(0 <= prediction.confidence <= 1 for prediction in predictions)
    trusted = {text: p.value for text, p in zip(usable, predictions, strict=True) if p.trusted}
    assert copy(texts, fallback=True) == [trusted.get(text, len(text)) for text in texts]


def test_25_000_random_bytes_to_the_serving_function(tmp_path):
    copy = untrained_copy()
    write_saved_model(copy, tmp_path / "served")
    served = tf.saved_model.load(str(tmp_path / "served")).signatures["serving_default"]
    rng = random.Random(3)
    for _ in range(25_000 // 250):
        batch = [strange_bytes(rng) for _ in range(250)]
        found = {name: values.numpy().tolist() for name, values in served(text=tf.constant(batch)).items()}
        usable = [data.decode() for data in batch if not refused(data, copy.max_input_bytes)]
        predictions = iter(copy.predict(usable))
        for row, data in enumerate(batch):
            reason = found["reason"][row].decode()
            assert found["trusted"][row] == (not reason)
            if refused(data, copy.max_input_bytes):
                assert found["json"][row] == b"" and reason in (
                    "it is no UTF-8", "it holds a NUL character", "it has more than 12 bytes")  # fmt: skip
                continue
            prediction = next(predictions)
            assert found["json"][row].decode() == prediction.text
            assert found["confidence"][row] == pytest.approx(prediction.confidence, abs=1e-3)
            assert bool(reason) == (prediction.reason not in ("", "the answer is no JSON"))


@pytest.mark.slow
def test_25_000_random_lines_to_the_command_line(copies):
    rng = random.Random(4)
    lines = [strange_bytes(rng).replace(b"\n", b"") for _ in range(25_000)]
    words = [sys.executable, "-m", "urlseq", "call", copies / "0"]
    process = subprocess.run(words, input=b"\n".join([*lines, b""]), capture_output=True, cwd=ROOT, timeout=PATIENCE)
    assert process.returncode == 0, process.stderr[-2000:]
    records = process.stdout.decode("ascii").splitlines()
    assert len(records) == len(lines)
    for line, record in zip(lines, map(json.loads, records), strict=True):
        assert record["input"] == line.decode("utf-8", "surrogateescape")
        invalid = record["reason"].startswith(("it has ", "it holds a NUL", "it holds half"))
        assert invalid == refused(line, 12)
        assert not invalid or (record["value"], record["text"], record["trusted"]) == (None, "", False)


@pytest.mark.parametrize("answer", ["NaN", "[-Infinity]", "[1e999]", "[" * 3000, "{" * 50, "9" * 5000])
def test_an_answer_that_is_nearly_json_is_no_value(answer):
    copy = saying(answer)
    prediction = copy.predict("abc")
    assert (prediction.value, prediction.trusted, prediction.reason) == (None, False, "the answer is no JSON")


def test_a_deeply_nested_answer_is_a_line_of_the_command_line(monkeypatch, capsys):
    nested = "[" * 600 + "]" * 600
    monkeypatch.setattr("urlseq.__main__.copy_to_call", lambda name: saying(nested))
    assert main(["call", "copy", "abc"]) == 0
    assert json.loads(capsys.readouterr().out)["text"] == nested


def saying(answer: str) -> LearnedCopy:
    """A copy that gives the same answer to everything, and is sure of it."""
    copy = untrained_copy()

    def decoder(matrix):
        return Decoded([answer] * len(matrix), np.ones(len(matrix)), np.ones(len(matrix), bool))

    copy.decoder = decoder
    return copy
