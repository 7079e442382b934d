"""URLs a second, each way that there is: the clear and slow loop, batches, the graph, and `urlparse` itself."""

import statistics
import tempfile
from pathlib import Path
from urllib.parse import urlparse

import tensorflow as tf

from benchmarks.common import keep, machine, reference_urls, seconds, spread, table
from urlseq import load
from urlseq.decode import slow_greedy
from urlseq.export import write_saved_model
from urlseq.graph import GraphDecoder
from urlseq.sources import registry_urls
from urlseq.vectorize import to_matrix, to_texts

BATCH = 64


def main(quick: bool = False) -> None:
    copied = load("urlparse")
    texts = [text for text in reference_urls("downloads") or registry_urls() if copied.refusal(text) is None]
    texts = texts[:: max(1, len(texts) // 1000)][:1000]
    few = texts[:: 500 if quick else 250]
    batches = [sorted(texts, key=len)[start : start + BATCH] for start in range(0, len(texts), BATCH)]
    decode = tf.function(
        GraphDecoder(copied.model, copied.limit).decode, input_signature=[tf.TensorSpec([None, None], tf.int32)]
    )
    with tempfile.TemporaryDirectory() as folder:
        write_saved_model(copied, Path(folder))
        served = tf.saved_model.load(folder).signatures["serving_default"]

    def in_graph(batch: list[str]) -> list[str]:
        return to_texts(decode(tf.constant(to_matrix(batch).astype("int32")))["answer"].numpy())

    ways = {  # what is asked, and how
        "`slow_greedy`": (few, lambda asked: [slow_greedy(copied.model, text) for text in asked]),
        "the graph, one by one": (texts[:100], lambda asked: [in_graph([text])[0] for text in asked]),
        "numpy, in batches": (texts, lambda asked: [prediction.text for prediction in copied.predict(asked)]),
        "the graph, in batches": (texts, lambda asked: [in_graph(batch) for batch in batches]),
        "SavedModel, texts in, JSON out": (texts, lambda asked: served(text=tf.constant(asked))["json"].numpy()),
        "`urlparse` itself": (texts * 100, lambda asked: [urlparse(text) for text in asked]),
    }
    slowly, at_once = ways["`slow_greedy`"][1], ways["numpy, in batches"][1]
    assert slowly(few) == at_once(few), "they differ"
    rates = {}
    for name, (asked, answer) in ways.items():
        answer(asked)  # the first call also makes the kernels
        times = seconds(lambda asked=asked, answer=answer: answer(asked), 2 if quick or asked is few else 5)
        rates[name] = [len(asked) / value for value in times]
    slowest = statistics.median(rates["`slow_greedy`"])
    rows = [[name, f"{len(ways[name][0]):,}", spread(of), f"{statistics.median(of) / slowest:,.0f}"]
            for name, of in rates.items()]  # fmt: skip
    head = ["way", "URLs", "URLs a second, median (range)", "times as fast"]
    print(machine(), table(head, rows), sep="\n\n")
    if not quick:
        keep("decoding", [dict(zip(["name", "urls", "urls_per_second", "ratio"], row, strict=True)) for row in rows])


if __name__ == "__main__":
    main()
