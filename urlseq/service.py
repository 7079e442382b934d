"""A service of copies over HTTP, without TensorFlow, that speaks TensorFlow Serving's REST protocol.

A copy whose folder changes is loaded and checked beside the old one, which goes on where the new one is damaged.
"""

import asyncio
import base64
import contextlib
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Histogram, generate_latest
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from urlseq.cards import folder_of
from urlseq.encoding import batches_by_length
from urlseq.errors import BadModel, InvalidInput, InvalidSetting, UrlseqError
from urlseq.lite import load_lite

MOST_BYTES = 2**20  # of a request
MOST_TEXTS = 1024  # the vectors of so many are ten megabytes of JSON
BATCH = 8  # texts that a thread answers before it is the turn of another request
SECONDS = 30.0  # for a request to come, to be answered, and its answer to be taken: as many for each
WATCH_SECONDS = 2.0
MOST_CONNECTIONS = 500


def tensor(dtype: str, rank: int = 1) -> dict:
    return {"dtype": dtype, "tensor_shape": {"dim": [{"size": "-1", "name": ""}] * rank, "unknown_rank": False}}


def signature_of(**outputs: dict) -> dict:
    return {"inputs": {"text": TEXT}, "outputs": outputs, "method_name": "tensorflow/serving/predict"}


# The SavedModel's, as TensorFlow Serving tells of them, but for `tokens`.
TEXT, NUMBER, FLAG, VECTOR = tensor("DT_STRING"), tensor("DT_FLOAT"), tensor("DT_BOOL"), tensor("DT_FLOAT", 2)
SIGNATURES = {
    "serving_default": signature_of(json=TEXT, confidence=NUMBER, trusted=FLAG, reason=TEXT),
    "embedding": signature_of(embedding=VECTOR, reason=TEXT),
}
TIME = Histogram("urlseq_request_seconds", "Answered requests, and how long each took", ["model", "signature"],
                 buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30))  # fmt: skip
ANSWERS = Counter("urlseq_answers", "Texts that were answered", ["model"])
TRUSTED = Counter("urlseq_trusted", "Answers that were trusted", ["model"])
REFUSED = Counter("urlseq_refused", "Requests that were refused", ["status"])
log = logging.getLogger("uvicorn.error")  # the server's own: one form and one place for all that it says


def answers(copy: Any, texts: Sequence[str], signature: str = "serving_default") -> list[dict]:
    """What a signature returns of each text: zeros, or "", and the reason where it is invalid."""
    if signature == "serving_default":
        return [{"json": found.text, "confidence": found.confidence, "trusted": found.trusted, "reason": found.reason}
                for found in copy.predict_all(texts)]  # fmt: skip
    reasons = [copy.invalid_reason(text) for text in texts]
    vectors = copy.embed(["" if reason else text for text, reason in zip(texts, reasons, strict=True)])
    rows = zip(vectors, reasons, strict=True)
    return [{"embedding": (vector * (not reason)).tolist(), "reason": reason} for vector, reason in rows]


class Model:
    """What is served under one name: the copy that answers, its version, and why a newer one does not answer."""

    def __init__(self, folder: Path, load: Callable[[Path], Any] = load_lite):
        self.folder, self.load, self.failure = folder, load, ""
        self.seen = self.newest()
        self.served = self.checked(), self.seen

    def newest(self) -> str:
        """The version in the folder: the millisecond in which it was last written to, so a restart changes nothing."""
        with contextlib.suppress(OSError):
            return str(max(path.stat().st_mtime_ns for path in (self.folder, *self.folder.iterdir())) // 10**6)
        return "0"

    def checked(self) -> Any:
        """The copy in the folder. Raises BadModel where it is damaged, or not half as good as its card says."""
        copy = self.load(self.folder)
        examples = copy.card.get("examples", {})
        # One at a time, since LiteRT keeps the memory that its largest batch took.
        exact = sum(copy.predict_all([text])[0].text == expected for text, expected in examples.items())
        known = copy.card.get("held_out_counts", {"exact": 0, "count": 1})
        if 2 * exact * known["count"] < known["exact"] * len(examples):
            raise BadModel(f"{self.folder}: only {exact} of the {len(examples)} examples in its card are exact.")
        return copy

    def refresh(self) -> None:
        """Where the folder has changed, serves what it holds now; if that is damaged, the old version goes on."""
        if (number := self.newest()) == self.seen:
            return
        self.seen = number
        try:
            self.served, self.failure = (self.checked(), number), ""
            log.info(f"{self.folder}: version {number} answers from now on.")
        except Exception as error:  # whatever it is, it may not stop the version that answers
            self.failure = str(error)
            log.error(f"Version {self.served[1]} goes on, as a newer one is damaged: {error}")


class Connection(HttpToolsProtocol):
    """A connection with a deadline for each request and its answer; uvicorn itself waits for slow clients for ever."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.deadline = self.loop.call_later(3 * SECONDS, transport.abort)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.deadline.cancel()
        self.deadline = self.loop.call_later(3 * SECONDS, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self.deadline.cancel()
        super().connection_lost(exc)


def as_json(value: object, status: int = 200) -> Response:
    if status >= 400:
        REFUSED.labels(status).inc()
    return Response(json.dumps(value), status, media_type="application/json")


async def body_of(request: Request) -> dict:
    """The JSON object in a request, {} for other JSON. Raises InvalidInput on no JSON, HTTPException on too much."""
    data, length = bytearray(), int(request.headers.get("content-length", 0))
    async for part in request.stream():
        data += part
        if max(length, len(data)) > MOST_BYTES:
            raise HTTPException(413, f"A request may have {MOST_BYTES:,} bytes. Send fewer texts at once.")
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"The request is no JSON ({error}).") from None
    return found if isinstance(found, dict) else {}


def texts_of(request: dict) -> list[str]:
    """The texts of a request in rows (`instances`) or columns (`inputs`). Raises InvalidInput."""
    what = " and ".join(request.keys() & {"instances", "inputs"})
    texts = request.get(what)
    texts = texts.get("text") if isinstance(texts, dict) else texts
    if not isinstance(texts, list) or len(texts) > MOST_TEXTS:
        raise InvalidInput(f"Either `instances` or `inputs` has to be there: a list of at most {MOST_TEXTS:,} texts.")
    return [text_of(text, f"{what}[{index}]") for index, text in enumerate(texts)]


def text_of(value: Any, where: str) -> str:
    """A text, or bytes as {"b64": ...}, where those that are no UTF-8 become a text that no copy takes."""
    value = value.get("text", value) if isinstance(value, dict) else value
    if isinstance(value, str):
        return value
    with contextlib.suppress(LookupError, TypeError, ValueError):  # it is something else, or no base64
        return base64.b64decode(value["b64"], validate=True).decode(errors="surrogateescape")
    raise InvalidInput(f"""{where} has to be a text, or bytes as {{"b64": base64}}, not {value!r:.60}.""")


async def in_threads(threads: ThreadPoolExecutor, copy: Any, texts: Sequence[str], signature: str) -> list[dict]:
    """A few texts at a time, so that a long request leaves room for others, of about one length, which is quicker."""
    rows: dict[int, dict] = {}
    for some in batches_by_length(np.array([len(text) for text in texts], int), BATCH):
        part = [texts[index] for index in some]
        found = await asyncio.get_running_loop().run_in_executor(threads, answers, copy, part, signature)
        rows |= zip(some, found, strict=True)
    return [rows[index] for index in range(len(texts))]


def model_of(request: Request, name: str, version: str | None) -> Model:
    """The model that a request names. Raises HTTPException where it is not served."""
    models = request.app.state.models
    if name not in models:
        raise HTTPException(404, f"There is no model {name!r}; there are {', '.join(models)}.")
    if version not in (None, number := models[name].served[1]):
        raise HTTPException(404, f"Of {name} there is version {number}, and no version {version}.")
    return models[name]


async def predict(request: Request, name: str, version: str | None = None) -> Response:
    """Answers `instances` by `predictions`, a row for each text, or `inputs` by `outputs`, a column for each output."""
    began, (copy, _) = time.perf_counter(), model_of(request, name, version).served
    asked = await body_of(request)
    texts, signature = texts_of(asked), str(asked.get("signature_name") or "serving_default")
    if signature not in SIGNATURES:
        raise InvalidInput(f"There is no signature {signature!r:.60}; there are {', '.join(SIGNATURES)}.")
    try:
        async with asyncio.timeout(SECONDS):
            rows = await in_threads(request.app.state.threads, copy, texts, signature)
    except TimeoutError:
        raise HTTPException(503, f"No answer in {SECONDS:g} s. Send fewer texts at once, or later.") from None
    TIME.labels(name, signature).observe(time.perf_counter() - began)
    ANSWERS.labels(name).inc(len(rows))
    TRUSTED.labels(name).inc(sum(row.get("trusted", False) for row in rows))
    if "instances" in asked:
        return as_json({"predictions": rows})
    return as_json({"outputs": {key: [row[key] for row in rows] for key in SIGNATURES[signature]["outputs"]}})


async def status(request: Request, name: str, version: str | None = None) -> Response:
    """Which version answers, and why a newer one does not."""
    model = model_of(request, name, version)
    serves = {"error_code": "OK", "error_message": ""}, {"error_code": "DATA_LOSS", "error_message": model.failure}
    versions = [{"version": model.served[1], "state": "AVAILABLE", "status": serves[0]}]
    versions += [{"version": model.seen, "state": "END", "status": serves[1]}] if model.failure else []
    return as_json({"model_version_status": versions})


async def metadata(request: Request, name: str, version: str | None = None) -> Response:
    """The signatures, and what the card says of the copy."""
    copy, number = model_of(request, name, version).served
    card = {key: value for key, value in copy.card.items() if key not in ("examples", "history")}
    known = {"signature_def": {"signature_def": SIGNATURES}, "card": card}
    return as_json({"model_spec": {"name": name, "signature_name": "", "version": number}, "metadata": known})


def application(models: Mapping[str, Model]) -> FastAPI:
    """The service of some models, by name, as an ASGI application."""
    app = FastAPI(title="urlseq", description="Learned copies of functions.")
    app.state.models, app.state.threads = models, ThreadPoolExecutor(os.cpu_count())
    example = {"example": {"instances": ["https://example.org/a?b=c#d"]}}
    body = {"requestBody": {"required": True, "content": {"application/json": example}}}
    for path in ("/v1/models/{name}", "/v1/models/{name}/versions/{version}"):
        app.add_api_route(f"{path}:predict", predict, methods=["POST"], openapi_extra=body)
        app.add_api_route(path, status)
        app.add_api_route(f"{path}/metadata", metadata)
    app.add_api_route("/healthz", lambda: {"status": "ok"}, summary="Tells that the service answers")
    app.add_api_route("/metrics", lambda: Response(generate_latest(), media_type=CONTENT_TYPE_LATEST),
                      summary="Counts and times, for Prometheus")  # fmt: skip
    app.add_exception_handler(ClientDisconnect, lambda *_: as_json({"error": "The client has gone."}, 400))
    app.add_exception_handler(UrlseqError, lambda _, error: as_json({"error": str(error)}, 400))
    app.add_exception_handler(HTTPException, lambda _, error: as_json({"error": error.detail}, error.status_code))
    app.add_exception_handler(Exception, lambda *_: as_json({"error": "The service failed; its log says why."}, 500))
    return app


def watch(models: Iterable[Model]) -> None:
    while True:
        time.sleep(WATCH_SECONDS)
        for model in models:
            model.refresh()


def serve(copies: Sequence[str], host: str = "127.0.0.1", port: int = 8501) -> None:
    """Serves folders of copies, or shipped ones, by their names, until SIGTERM or Ctrl+C; who waits then is answered.

    Raises BadModel, InvalidSetting where two have one name, and OSError where the port is not free.
    """
    folders = {os.path.basename(os.path.abspath(copy)): folder_of(copy) for copy in copies}
    if len(folders) < len(copies):
        raise InvalidSetting(f"Two copies have one name, and can't be told apart: {', '.join(copies)}.")
    models = {name: Model(folder) for name, folder in folders.items()}
    listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # its connections get it: no answer waits for more
    threading.Thread(target=watch, args=[models.values()], daemon=True).start()
    config = uvicorn.Config(application(models), loop="asyncio", http=Connection, ws="none", access_log=False,
                            server_header=False, limit_concurrency=MOST_CONNECTIONS, timeout_keep_alive=int(SECONDS),
                            timeout_graceful_shutdown=int(SECONDS))  # fmt: skip
    for name in models:
        print(f"http://{host}:{listener.getsockname()[1]}/v1/models/{name}:predict", flush=True)
    uvicorn.Server(config).run([listener])
