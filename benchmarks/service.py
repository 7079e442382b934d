"""The service under load, on the loopback: requests a second, percentiles, processor time and memory.

    python -m benchmarks.service [--requests 100000]

A client asks for one URL at a time over a connection that it keeps. A SavedModel answers some of them in the same run.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

import numpy as np

from benchmarks.common import keep, machine, process_memory, processor_seconds, table
from urlseq.lite import load_lite
from urlseq.sources import registry_urls

CLIENTS = (1, 8, 64)
BATCH = 256


class Client(asyncio.Protocol):
    """Asks one thing after the other, as long as there are any, and notes how long each took."""

    def __init__(self, bodies: Iterator[bytes], answers: list[tuple[float, bytes]], done: asyncio.Future):
        self.bodies, self.answers, self.done = bodies, answers, done

    def connection_made(self, transport):
        self.transport = transport
        self.ask()

    def ask(self):
        if (body := next(self.bodies, None)) is None:
            self.transport.close()
            return
        head = f"POST /v1/models/urlparse:predict HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n"
        self.data, self.start = b"", time.perf_counter()
        self.transport.write(head.encode() + body)

    def data_received(self, data):
        self.data += data
        head, _, body = self.data.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        if length and len(body) == int(length[1]):
            assert b" 200 " in head, self.data
            self.answers.append((time.perf_counter() - self.start, body))
            self.ask()

    def connection_lost(self, error):
        self.done.set_result(error)


async def load(port: int, urls: list[str], clients: int) -> tuple[float, list[tuple[float, bytes]]]:
    """How many seconds all URLs took together, and of each request the seconds and the answer, as they came."""
    loop, answers = asyncio.get_running_loop(), []
    bodies = iter([json.dumps({"instances": [url]}).encode() for url in urls])
    done = [loop.create_future() for _ in range(clients)]
    start = time.perf_counter()
    for future in done:
        await loop.create_connection(lambda future=future: Client(bodies, answers, future), "127.0.0.1", port)
    await asyncio.gather(*done)
    assert len(answers) == len(urls)
    return time.perf_counter() - start, answers


@contextlib.contextmanager
def service() -> Iterator[tuple[int, int]]:
    """The process and the port of a service of the shipped parser."""
    command = [sys.executable, "-m", "urlseq", "serve", "urlparse", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            yield process.pid, int(re.search(r":(\d+)/", process.stdout.readline())[1])
        finally:
            process.terminate()


def measured(pid: int, port: int, urls: list[str], clients: int) -> dict[str, float]:
    before = processor_seconds(pid)
    seconds, answers = asyncio.run(load(port, urls, clients))
    milliseconds = 1e3 * np.array([taken for taken, _ in answers])
    return {
        "requests_a_second": round(len(urls) / seconds),
        "median_ms": round(float(np.median(milliseconds)), 2),
        "p99_ms": round(float(np.percentile(milliseconds, 99)), 2),
        "processor_ms_a_request": round(1e3 * (processor_seconds(pid) - before) / len(urls), 2),
        "memory_mb": round(process_memory(pid)),
    }


def differing(port: int, urls: list[str]) -> int:
    """How many answers of the service to one client differ from the copy's."""
    _, answers = asyncio.run(load(port, urls, 1))
    texts = [json.loads(body)["predictions"][0]["json"] for _, body in answers]
    copy = load_lite("urlparse")
    return sum(text != copy.predict(url).text for url, text in zip(urls, texts, strict=True))


def saved_model_rates(urls: list[str]) -> dict[str, int]:
    """The URLs a second that a SavedModel answers in this process: in calls of one, and of `BATCH`."""
    import tensorflow as tf

    from urlseq import load
    from urlseq.export.saved_model import write_saved_model

    rates = {}
    with tempfile.TemporaryDirectory() as folder:
        write_saved_model(load("urlparse"), folder)
        answer = tf.saved_model.load(folder).signatures["serving_default"]
        for size in (1, BATCH):
            batches = [urls[start : start + size] for start in range(0, len(urls), size)]
            answer(text=tf.constant(batches[0]))  # the first one is slower
            start = time.perf_counter()
            for batch in batches[: 300 if size == 1 else None]:
                answer(text=tf.constant(batch))
            count = sum(map(len, batches[: 300 if size == 1 else None]))
            rates[f"in calls of {size}"] = round(count / (time.perf_counter() - start))
    return rates


def main(quick: bool = False, requests: int = 20_000) -> None:
    copy = load_lite("urlparse")
    urls = [text for text in registry_urls() if not copy.invalid_reason(text)]
    urls = np.random.default_rng(0).permutation(urls).tolist()
    few = urls[: 200 if quick else 3000]
    result = {}
    with service() as (pid, port):
        result["memory when ready, MB"] = round(process_memory(pid))
        result["answers that differ from the copy's"] = f"{differing(port, few)} of {len(few)}"
        result["clients"] = {clients: measured(pid, port, few, clients) for clients in CLIENTS}
        many = list(itertools.islice(itertools.cycle(urls), 1000 if quick else requests))
        result[f"8 clients, {len(many):,} more"] = measured(pid, port, many, 8)
    result["SavedModel, URLs a second"] = saved_model_rates(few[: 2 * BATCH])
    rows = [[f"{clients} clients", *of.values()] for clients, of in result["clients"].items()]
    rows += [[what, *of.values()] for what, of in result.items() if what.endswith("more")]
    names = [name.replace("_", " ") for name in result["clients"][CLIENTS[0]]]
    others = {what: of for what, of in result.items() if what != "clients" and not what.endswith("more")}
    print(machine(), table(["", *names], rows), others, sep="\n\n")
    if not quick:
        keep("service", result)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=20_000, help="how many follow, for memory (%(default)s)")
    main(**vars(parser.parse_args()))
