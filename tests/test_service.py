"""The service: TensorFlow Serving's REST protocol in process, and what can go wrong, with a real process."""

import asyncio
import base64
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.common import process_memory
from urlseq.answering import Prediction
from urlseq.cards import CARD, SHIPPED
from urlseq.lite import load_lite

service = pytest.importorskip("urlseq.service")
httpx = pytest.importorskip("httpx")
testclient = pytest.importorskip("fastapi.testclient")

ROOT = Path(__file__).parent.parent
URLS = ["https://example.org/a?b=c#d", "", "mailto:someone@example.org", "é", "//cdn.example.com/lib.js"] * 5
INVALID = {"a\0b": "NUL", "x" * 1025: "1,025 bytes", "\ud800": "surrogate"}
PREDICT = "/v1/models/urlparse:predict"


class Made:
    """Stands for a copy that gives long answers, or none, or takes its time."""

    card: dict = {}

    def __init__(self, text: str = "", seconds: float = 0.0):
        self.text, self.seconds = text, seconds

    def predict_all(self, inputs):
        if inputs and self.seconds:
            print("asked", flush=True)
            time.sleep(self.seconds)
        return [Prediction(None, self.text, 1.0, True)] * len(inputs)


def client_of(**models):
    made = {name: service.Model(SHIPPED / "urlparse", lambda _, copy=copy: copy) for name, copy in models.items()}
    return testclient.TestClient(service.application(made), raise_server_exceptions=False)


@pytest.fixture(scope="module")
def copy():
    return load_lite("urlparse")


@pytest.fixture(scope="module")
def client(copy):
    return client_of(urlparse=copy, slow=Made(seconds=0.2))


def expected_rows(copy, texts: list[str]) -> list[dict]:
    names = {"json": "text", "confidence": "confidence", "trusted": "trusted", "reason": "reason"}
    found = copy.predict_all(texts)
    return [{key: getattr(prediction, name) for key, name in names.items()} for prediction in found]


def same(rows: list[dict], expected: list[dict]) -> bool:
    """Whether rows are equal, where a confidence may differ in its last digits: it depends on what is beside it."""
    confidences = [[row.pop("confidence") for row in some] for some in (rows, expected)]
    return rows == expected and np.allclose(*confidences, atol=1e-5)


# ---------------------------------------------------------------- the protocol


def test_rows_and_columns_hold_what_the_copy_answers(client, copy):
    rows = client.post(PREDICT, json={"instances": URLS}).json()
    assert rows.keys() == {"predictions"}
    named = client.post(PREDICT, json={"instances": [{"text": url} for url in URLS]}).json()
    assert rows == named
    columns = client.post(PREDICT, json={"inputs": URLS}).json()
    assert columns == client.post(PREDICT, json={"inputs": {"text": URLS}}).json()
    assert list(columns["outputs"]) == ["json", "confidence", "trusted", "reason"]
    assert columns["outputs"] == {key: [row[key] for row in rows["predictions"]] for key in columns["outputs"]}
    assert same(rows["predictions"], expected_rows(copy, URLS))


def test_no_texts_are_answered_by_none(client):
    assert client.post(PREDICT, json={"instances": []}).json() == {"predictions": []}
    assert client.post(PREDICT, json={"inputs": {"text": []}}).json() == {
        "outputs": {"json": [], "confidence": [], "trusted": [], "reason": []}
    }


def test_bytes_and_texts_may_be_mixed(client):
    url, latin = base64.b64encode(URLS[0].encode()).decode(), base64.b64encode(b"http://caf\xe9/").decode()
    asked = {"instances": [{"b64": url}, URLS[0], {"text": {"b64": url}}, {"b64": latin}]}
    *three, not_utf8 = client.post(PREDICT, json=asked).json()["predictions"]
    assert [json.loads(row["json"])[1] for row in three] == ["example.org"] * 3
    assert not not_utf8["trusted"] and "UTF-8" in not_utf8["reason"]


@pytest.mark.parametrize("signature", ["serving_default", "embedding"])
def test_an_invalid_text_is_answered_as_such_in_its_row(client, signature):
    asked = json.dumps({"signature_name": signature, "instances": [URLS[0], *INVALID, URLS[0]]})
    answered = client.post(PREDICT, content=asked)
    first, *invalid, last = answered.json()["predictions"]
    assert answered.status_code == 200 and first["reason"] == last["reason"] == ""
    for row, reason in zip(invalid, INVALID.values(), strict=True):
        assert reason in row["reason"]
        assert not (any(row["embedding"]) if signature == "embedding" else row["trusted"] or row["confidence"])


def test_vectors_are_the_copy_s(client, copy):
    found = client.post(PREDICT, json={"inputs": URLS, "signature_name": "embedding"}).json()["outputs"]
    assert found["reason"] == [""] * len(URLS)
    np.testing.assert_allclose(found["embedding"], copy.embed(URLS), atol=1e-4)


@pytest.mark.parametrize(
    ("status", "path", "body", "reason"),
    [
        (400, PREDICT, "{", "no JSON"),
        (400, PREDICT, "", "no JSON"),
        (400, PREDICT, "[" * 100_000, "no JSON"),
        (400, PREDICT, b"\xff\xfe\xff", "no JSON"),
        (400, PREDICT, "[]", "`instances`"),
        (400, PREDICT, "{}", "`instances`"),
        (400, PREDICT, '{"instances": "a"}', "`instances`"),
        (400, PREDICT, '{"instances": ["a"], "inputs": ["a"]}', "`instances`"),
        (400, PREDICT, '{"inputs": {"url": ["a"]}}', "`inputs`"),
        (400, PREDICT, '{"instances": ["a", 5]}', "instances[1] has to be a text"),
        (400, PREDICT, '{"instances": [null]}', "instances[0]"),
        (400, PREDICT, '{"instances": [["a"]]}', "instances[0]"),
        (400, PREDICT, '{"inputs": [{"b64": "?"}]}', "inputs[0]"),
        (400, PREDICT, '{"inputs": [{"b64": ["a"]}]}', "inputs[0]"),
        (400, PREDICT, '{"instances": ["a"], "signature_name": "tokens"}', "no signature 'tokens'"),
        (400, PREDICT, '{"instances": ["a"], "signature_name": ["a"]}', "no signature"),
        (400, PREDICT, json.dumps({"instances": ["a"] * (service.MOST_TEXTS + 1)}), "at most 1,024 texts"),
        (413, PREDICT, " " * (service.MOST_BYTES + 1), "1,048,576 bytes"),
        (404, "/v1/models/other:predict", '{"instances": []}', "no model 'other'; there are urlparse"),
        (404, "/v1/models/urlparse/versions/3:predict", '{"instances": []}', "no version 3"),
        (404, "/v2", "", "Not Found"),
        (405, "/healthz", "", "Method Not Allowed"),
    ],
)
def test_a_bad_request_is_told_why(client, status, path, body, reason):
    answered = client.post(path, content=body)
    assert answered.status_code == status and answered.json().keys() == {"error"}
    assert reason in answered.json()["error"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["text", "b64", "a"]), inner),
)


@given(st.dictionaries(st.sampled_from(["instances", "inputs", "signature_name", "a"]), JSON) | JSON)
def test_whatever_json_is_sent_is_answered_or_refused(client, body):
    answered = client.post(PREDICT, content=json.dumps(body))
    assert answered.status_code in (200, 400)
    assert answered.json().keys() < {"predictions", "outputs", "error"}


def test_status_and_metadata_are_those_of_tensorflow_serving(client, copy):
    (state,) = client.get("/v1/models/urlparse").json()["model_version_status"]
    number = state.pop("version")
    assert state == {"state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    assert client.get(f"/v1/models/urlparse/versions/{number}").status_code == 200
    assert client.post(f"/v1/models/urlparse/versions/{number}:predict", json={"inputs": []}).status_code == 200
    known = client.get(f"/v1/models/urlparse/versions/{number}/metadata").json()
    assert known["model_spec"] == {"name": "urlparse", "signature_name": "", "version": number}
    definitions = known["metadata"]["signature_def"]["signature_def"]
    assert set(definitions) == {"serving_default", "embedding"}
    text = {"dtype": "DT_STRING", "tensor_shape": {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False}}
    assert definitions["serving_default"]["inputs"] == {"text": text}
    assert {name: of["dtype"] for name, of in definitions["serving_default"]["outputs"].items()} == {
        "json": "DT_STRING", "confidence": "DT_FLOAT", "trusted": "DT_BOOL", "reason": "DT_STRING"
    }  # fmt: skip
    assert known["metadata"]["card"]["task"] == copy.card["task"]


def test_health_metrics_and_openapi(client):
    def measured() -> dict[str, float]:
        lines = client.get("/metrics").text.splitlines()
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}

    assert client.get("/healthz").json() == {"status": "ok"}
    assert PREDICT.replace("urlparse", "{name}") in client.get("/openapi.json").json()["paths"]
    client.post(PREDICT, json={"instances": [URLS[0], "a\0b"]})
    client.post(PREDICT, content="{")
    before = measured()
    client.post(PREDICT, json={"instances": [URLS[0], "a\0b"]})
    client.post(PREDICT, content="{")
    more = {name: value - before[name] for name, value in measured().items() if name.startswith("urlseq")}
    labels = '{model="urlparse"}'
    assert more[f"urlseq_answers_total{labels}"] == 2 and more[f"urlseq_trusted_total{labels}"] == 1
    assert more['urlseq_request_seconds_count{model="urlparse",signature="serving_default"}'] == 1
    assert more['urlseq_refused_total{status="400"}'] == 1


def test_a_failure_within_is_no_stack_trace():
    answered = client_of(broken=Made()).post(
        "/v1/models/broken:predict", json={"inputs": ["a"], "signature_name": "embedding"}
    )
    assert answered.status_code == 500 and answered.json() == {"error": "The service failed; its log says why."}


def test_an_answer_that_takes_too_long_is_given_up(client, monkeypatch):
    monkeypatch.setattr(service, "SECONDS", 0.05)
    answered = client.post("/v1/models/slow:predict", json={"instances": ["a"]})
    assert answered.status_code == 503 and "No answer in 0.05 s" in answered.json()["error"]


def test_a_long_request_leaves_room_for_short_ones():
    """The only thread answers the short one after a part of the long one; parts are of about one length."""
    asked = []

    class Remembers(Made):
        def predict_all(self, inputs):
            asked.append(inputs)
            return super().predict_all(inputs)

    async def both():
        parts = [service.in_threads(thread, Remembers(), texts, "serving_default") for texts in (long, ["short"])]
        return await asyncio.gather(*parts)

    long = ["b" * 50, *["a"] * service.BATCH]
    with ThreadPoolExecutor(1) as thread:
        assert [len(rows) for rows in asyncio.run(both())] == [service.BATCH + 1, 1]
    assert asked == [["a"] * service.BATCH, ["short"], ["b" * 50]]


def test_a_port_that_is_taken_is_named():
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        service.serve(["quote"], port=taken.getsockname()[1])


def test_two_copies_of_one_name_are_refused(tmp_path):
    shutil.copytree(SHIPPED / "quote", tmp_path / "quote")
    with pytest.raises(service.InvalidSetting, match="one name"):
        service.serve(["quote", str(tmp_path / "quote")])


# ---------------------------------------------------------------- new versions


def put(name: str, folder: Path) -> None:
    """Puts a shipped copy into a folder, the card last, as all writers do."""
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    for path in sorted((SHIPPED / name).iterdir(), key=lambda path: path.name == CARD):
        shutil.copy(path, folder)


@pytest.fixture
def model(tmp_path):
    put("quote", tmp_path / "copy")
    return service.Model(tmp_path / "copy")


def answer_of(model) -> str:
    return service.answers(model.served[0], ["a b.txt"])[0]["json"]


def test_a_new_version_takes_over(model):
    old = model.served
    model.refresh()
    assert model.served is old and answer_of(model) == '"a%20b.txt"'
    put("splitext", model.folder)
    model.refresh()
    assert answer_of(model) == '["a b",".txt"]' and model.served[1] > old[1] and not model.failure


def cut(folder: Path) -> None:
    (path,) = folder.glob("litert-*")
    path.write_bytes(path.read_bytes()[:1000])


def other_examples(folder: Path) -> None:
    card = json.loads((folder / CARD).read_text())
    card["examples"] = dict.fromkeys(card["examples"], '"something else"')
    (folder / CARD).write_text(json.dumps(card))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (cut, "damaged"),
        (lambda folder: (folder / CARD).write_text("{"), "JSONDecodeError"),
        (lambda folder: (folder / CARD).unlink(), "no copy.json"),
        (shutil.rmtree, "no copy.json"),
        (other_examples, "only 0 of the"),
    ],
)
def test_a_damaged_version_does_not_take_over(model, damage, reason, caplog):
    old = model.served
    damage(model.folder)
    model.refresh()
    assert model.served is old and answer_of(model) == '"a%20b.txt"' and reason in model.failure
    assert f"Version {old[1]} goes on" in caplog.text and reason in caplog.text
    client = testclient.TestClient(service.application({"quote": model}))
    first, second = client.get("/v1/models/quote").json()["model_version_status"]
    assert (first["version"], first["state"]) == (old[1], "AVAILABLE")
    assert second["state"] == "END" and reason in second["status"]["error_message"]
    put("quote", model.folder)
    model.refresh()
    assert model.served[0] is not old[0] and not model.failure and answer_of(model) == '"a%20b.txt"'


# ---------------------------------------------------------------- a real process

SECONDS = 2.0  # what a slow client has for each of three parts, instead of half a minute
SERVER = f"""
import sys
from urlseq import service
from test_service import SHIPPED, Made

service.SECONDS, service.WATCH_SECONDS = {SECONDS}, 0.1
application = service.application


def with_made(models):
    assert "urlparse" in models and "tensorflow" not in sys.modules
    return application(dict(models) | made)


made = {{"large": Made("x" * 20_000_000), "slow": Made(seconds=1.0)}}
made = {{name: service.Model(SHIPPED / "urlparse", lambda _, copy=copy: copy) for name, copy in made.items()}}
service.application = with_made
service.serve(sys.argv[2:], port=int(sys.argv[1]))
"""


@contextlib.contextmanager
def started(folder: Path, port: int = 0):
    """The process of a service and a client of it."""
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    command = [sys.executable, "-c", SERVER, str(port), "urlparse", str(folder)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            address = re.match(rb"(http://.*)/v1/", process.stdout.readline())[1].decode()
            with httpx.Client(base_url=address, timeout=60) as client:
                yield process, client
        finally:
            process.kill()


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served") / "mine"
    put("quote", folder)
    with started(folder) as (process, client):
        yield process, client, folder


def raw(client, data: bytes) -> socket.socket:
    """A connection on which just these bytes were sent, and which takes little at a time."""
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    found.settimeout(60)
    found.connect((client.base_url.host, client.base_url.port))
    found.sendall(data)
    return found


def post(path: str, length: int, body: bytes = b"") -> bytes:
    return b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s" % (path.encode(), length, body)


def read_all(connection: socket.socket) -> bytes:
    """What comes until the other side ends the connection."""
    data = bytearray()
    with contextlib.suppress(ConnectionResetError), connection:
        while part := connection.recv(2**16):
            data += part
    return bytes(data)


def answers(client) -> bool:
    rows = client.post(PREDICT, json={"instances": URLS}).json()["predictions"]
    return [json.loads(row["json"])[1] for row in rows[:1]] == ["example.org"]


def test_slow_clients_hold_nobody_and_are_dropped(running):
    _, client, _ = running
    large = json.dumps({"instances": ["a"]}).encode()
    slow = {
        "sends nothing": raw(client, b""),
        "sends half a head": raw(client, b"POST /v1/models/urlparse:predict HTTP/1.1\r\nHost"),
        "sends half a body": raw(client, post(PREDICT, 100, b'{"instances": ["a')),
        "does not read": raw(client, post("/v1/models/large:predict", len(large), large)),
    }
    started = time.monotonic()
    assert all(answers(client) for _ in range(20))
    time.sleep(max(0, 3 * SECONDS + 1 - (time.monotonic() - started)))
    took = {what: len(read_all(connection)) for what, connection in slow.items()}
    assert took.pop("does not read") < 20_000_000 and not any(took.values())
    assert answers(client)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is told by Linux")
def test_a_flood_of_requests_that_are_too_long(running):
    process, client, _ = running
    body = b" " * (2 * service.MOST_BYTES)
    before = process_memory(process.pid)

    def ask(number: int) -> int:
        if number % 2:  # of no known length, in parts
            return client.post(PREDICT, content=(body[: 2**16] for _ in range(32))).status_code
        return client.post(PREDICT, content=body).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(100))) == {413}
    assert process_memory(process.pid) - before < 30 and answers(client)


def test_more_connections_than_allowed_are_refused_at_once(running):
    _, client, _ = running
    idle = [raw(client, b"") for _ in range(service.MOST_CONNECTIONS)]
    with httpx.Client(base_url=client.base_url, timeout=60) as other:
        assert other.get("/healthz").status_code == 503
    for connection in idle:
        connection.close()
    until = time.monotonic() + 30
    while client.get("/healthz").status_code != 200 and time.monotonic() < until:
        time.sleep(0.05)
    assert answers(client)


def until_asked(process) -> None:
    """Waits until somebody waits for the slow copy."""
    while process.stdout.readline() != b"asked\n":
        assert process.poll() is None


def versions_when(client, count: int) -> list[dict]:
    """The states of the model that is watched, as soon as there are so many."""
    until = time.monotonic() + 30
    while len(found := client.get("/v1/models/mine").json()["model_version_status"]) != count:
        assert time.monotonic() < until, found
        time.sleep(0.05)
    return found


def test_a_folder_damaged_under_a_running_service(running):
    _, client, folder = running
    (old,) = versions_when(client, 1)
    cut(folder)
    still, damaged = versions_when(client, 2)
    assert still == old and damaged["state"] == "END" and "damaged" in damaged["status"]["error_message"]
    ask = {"instances": ["a b.txt"]}
    assert client.post("/v1/models/mine:predict", json=ask).json()["predictions"][0]["json"] == '"a%20b.txt"'
    put("splitext", folder)
    (new,) = versions_when(client, 1)
    assert new["state"] == "AVAILABLE" and new["version"] > old["version"]
    assert client.post("/v1/models/mine:predict", json=ask).json()["predictions"][0]["json"] == '["a b",".txt"]'


def test_killed_in_mid_request_started_again_and_stopped(tmp_path):
    put("quote", tmp_path / "mine")
    ask = {"instances": ["a"]}
    with ThreadPoolExecutor(1) as pool:
        with started(tmp_path / "mine") as (process, client):
            number = client.get("/v1/models/mine").json()["model_version_status"][0]["version"]
            waiting = pool.submit(client.post, "/v1/models/slow:predict", json=ask)
            until_asked(process)
            process.kill()
            with pytest.raises(httpx.TransportError):
                waiting.result()
            port = client.base_url.port
        with started(tmp_path / "mine", port) as (process, client):
            assert answers(client)
            assert client.get("/v1/models/mine").json()["model_version_status"][0]["version"] == number
            waiting = pool.submit(client.post, "/v1/models/slow:predict", json=ask)
            until_asked(process)
            process.send_signal(signal.SIGTERM)
            assert waiting.result().status_code == 200  # whoever waits is answered
            assert process.wait(30) == -signal.SIGTERM
            with pytest.raises(httpx.TransportError):
                client.get("/healthz")
