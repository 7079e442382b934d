"""URLs a second by each runtime; and of one answer the time, and the memory and start of the process that gives it."""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlparse

import numpy as np
import tensorflow as tf

from benchmarks.common import keep, machine, reference_urls, seconds, spread, table
from urlseq import load, load_lite
from urlseq.decoding import slow_greedy
from urlseq.export.saved_model import write_saved_model
from urlseq.sources import registry_urls

# A process that answers: seconds from its start to the first answer, and then its memory, MB. Linux only.
PROCESS = """
import json, sys, time
import urlseq
copy = getattr(urlseq, sys.argv[1])("urlparse")
copy("https://example.com/a?b=c#d")
taken = time.time() - float(sys.argv[2])
kilobytes = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps([round(taken, 3), round(kilobytes / 1e3)]))
"""


def process(opener: str) -> list[float]:
    """Seconds to the first answer, and the memory, of a process that opens a copy by `load` or `load_lite`."""
    command = [sys.executable, "-c", PROCESS, opener, str(time.time())]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def one_answer(ways: dict, count: int) -> dict[str, list[float]]:
    """Milliseconds of an answer to a URL of 75 bytes by each way, taken in turns: median, 99th percentile."""
    url = "https://www.example.com/learning/functions?from=examples&and=nothing-else#2"
    assert len(url) == 75
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(count):
        for name, answer in ways.items():
            start = time.perf_counter()
            answer([url])
            times[name].append(1e3 * (time.perf_counter() - start))
    return {name: np.percentile(of[count // 10 :], [50, 99]).round(2).tolist() for name, of in times.items()}


def main(quick: bool = False) -> None:
    copy = load("urlparse")
    urls = [text for text in reference_urls("downloads") or registry_urls() if not copy.invalid_reason(text)]
    urls = urls[:: max(1, len(urls) // 1000)][:1000]
    few = urls[:: 500 if quick else 250]
    with tempfile.TemporaryDirectory() as folder:
        write_saved_model(copy, Path(folder))
        served = tf.saved_model.load(folder).signatures["serving_default"]

    def slowly(inputs: list[str]) -> list[str]:
        return [slow_greedy(copy.model, text, copy.max_answer_bytes) for text in inputs]

    def in_batches(inputs: list[str]) -> list[str]:
        return [prediction.text for prediction in copy.predict(inputs)]

    lite = load_lite("urlparse")

    def by_two_threads(inputs: list[str]) -> None:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lite.predict, [inputs[part::8] for part in range(8)]))

    ways = {  # inputs, and how they are answered
        "`slow_greedy`": (few, slowly),
        "one by one": (urls[:100], lambda inputs: [copy.predict(text).text for text in inputs]),
        "in batches": (urls, in_batches),
        "SavedModel, texts in, JSON out": (urls, lambda inputs: served(text=tf.constant(inputs))["json"].numpy()),
        "LiteRT, one by one": (urls[:100], lambda inputs: [lite.predict(text) for text in inputs]),
        "LiteRT, in batches": (urls, lite.predict),
        "LiteRT, in batches, two threads": (urls, by_two_threads),
        "`urlparse` itself": (urls * 100, lambda inputs: [urlparse(text) for text in inputs]),
    }
    assert slowly(few) == in_batches(few), "they differ"
    rates = {}
    for name, (inputs, answer) in ways.items():
        answer(inputs)  # the first call also makes the kernels
        times = seconds(lambda inputs=inputs, answer=answer: answer(inputs), 2 if quick or inputs is few else 5)
        rates[name] = [len(inputs) / value for value in times]
    slowest = statistics.median(rates["`slow_greedy`"])
    rows = [[name, f"{len(ways[name][0]):,}", spread(of), f"{statistics.median(of) / slowest:,.0f}"]
            for name, of in rates.items()]  # fmt: skip
    head = ["way", "URLs", "URLs a second, median (range)", "times as fast"]
    print(machine(), table(head, rows), sep="\n\n")
    alone = {"SavedModel": lambda inputs: served(text=tf.constant(inputs)), "the copy": copy.predict,
             "LiteRT": lite.predict}  # fmt: skip
    answer = one_answer(alone, 50 if quick else 500)
    processes = {opener: process(opener) for opener in ("load", "load_lite")}
    print("one answer, ms, median and 99th percentile:", answer)
    print("a process that answers, seconds to its first answer, and MB:", processes)
    if not quick:
        rates = [dict(zip(["name", "urls", "urls_per_second", "ratio"], row, strict=True)) for row in rows]
        keep("decoding", {"rates": rates, "one answer, ms": answer, "process": processes})


if __name__ == "__main__":
    main()
