"""The time of a call in the graph and over a socket, as percentiles, and the memory of one server process."""

import contextlib
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import prediction_service_pb2_grpc

from benchmarks.common import keep, machine, process_memory, table
from urlseq import load
from urlseq.export.serving import add_version, request
from urlseq.sources import registry_urls

ROOT = Path(__file__).parent.parent
BATCH = 256
PERCENTILES = (50, 90, 99)


@contextlib.contextmanager
def server(folder: Path) -> Iterator[tuple]:
    """A client of a server in a process of its own, the server's address, and that process' id."""
    command = [sys.executable, "-m", "benchmarks.server", str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            address = re.search(r"at (127.0.0.1:\d+)", process.stdout.readline())[1]
            with grpc.insecure_channel(address) as channel:
                yield prediction_service_pb2_grpc.PredictionServiceStub(channel), address, process.pid
        finally:
            process.terminate()


def percentiles(call, batches: list[list[str]]) -> dict[str, float]:
    """Milliseconds of a call with each of the batches."""
    times = []
    for batch in batches:
        start = time.perf_counter()
        call(batch)
        times.append(1e3 * (time.perf_counter() - start))
    return {f"p{percent}": round(float(np.percentile(times, percent)), 2) for percent in PERCENTILES}


def main(quick: bool = False) -> None:
    singles, batches = (30, 2) if quick else (300, 20)
    copy = load("urlparse")
    inputs = [text for text in registry_urls() if not copy.invalid_reason(text)]
    inputs = np.random.default_rng(0).permutation(inputs).tolist()
    sets = {"one URL": [[text] for text in inputs[:singles]],
            f"{BATCH} URLs": [inputs[BATCH * n : BATCH * (n + 1)] for n in range(batches)]}  # fmt: skip
    result, memory = {}, {}
    with tempfile.TemporaryDirectory() as home:
        version = add_version(copy, Path(home) / "urlparse")
        signature = tf.saved_model.load(str(version)).signatures["serving_default"]
        with server(version.parent) as (client, _, pid):
            calls = {"in the graph": lambda batch: signature(text=tf.constant(batch)),
                     "over a socket": lambda batch: client.Predict(request("urlparse", batch), 600)}  # fmt: skip
            memory["ready"] = process_memory(pid)
            for what, batch_set in sets.items():
                for how, call in calls.items():
                    percentiles(call, batch_set[:5])  # the first ones are slower
                    result[f"{what}, {how}"] = percentiles(call, batch_set)
                memory[f"after {len(batch_set)} calls with {what}"] = process_memory(pid)
    memory = {when: round(size) for when, size in memory.items()}
    rows = [[what, *of.values()] for what, of in result.items()]
    print(machine(), table(["milliseconds", *(f"p{percent}" for percent in PERCENTILES)], rows), sep="\n\n")
    print("memory of the server process, MB:", memory)
    if not quick:
        keep("serving", {"milliseconds": result, "server_memory_mb": memory})


if __name__ == "__main__":
    main()
