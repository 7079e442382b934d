"""URLs a second: the clear and slow loop, one by one, in batches, a SavedModel, and `urlparse` itself."""

import statistics
import tempfile
from pathlib import Path
from urllib.parse import urlparse

import tensorflow as tf

from benchmarks.common import keep, machine, reference_urls, seconds, spread, table
from urlseq import load
from urlseq.decoding import slow_greedy
from urlseq.export.saved_model import write_saved_model
from urlseq.sources import registry_urls


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

    ways = {  # inputs, and how they are answered
        "`slow_greedy`": (few, slowly),
        "one by one": (urls[:100], lambda inputs: [copy.predict(text).text for text in inputs]),
        "in batches": (urls, in_batches),
        "SavedModel, texts in, JSON out": (urls, lambda inputs: served(text=tf.constant(inputs))["json"].numpy()),
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
    if not quick:
        keep("decoding", [dict(zip(["name", "urls", "urls_per_second", "ratio"], row, strict=True)) for row in rows])


if __name__ == "__main__":
    main()
