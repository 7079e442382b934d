"""python web/replay.py: trains as the main job does and writes what the page's replay shows, `src/replay.json`.

Snapshots are close together at first, when the most happens: the answers to a few URLs, the attention for the shortest
of them, and how many of some real URLs, which training never sees, are exact.
"""

import argparse
import json
import time
from pathlib import Path
from urllib.parse import urlparse

import keras
import numpy as np

from urlseq import copy_function
from urlseq.decoding import Decoder
from urlseq.functions import answers
from urlseq.sources import registry_urls
from urlseq.task import Task, Training
from urlseq.vectorize import to_matrix

WATCHED = [
    "https://a.example/b?c=d#e",
    "HTTP://user@[2001:db8::7]:8080/a/b;v=1?q=%C3%A9",
    "ftp://mirror.example.net/pub/archive.tar.gz",
    "mailto:someone@example.org",
    "//cdn.example.com/lib.js",
]
LONGEST = 90  # bytes of an answer: a network that can't end yet writes on and on
REAL_URLS = 200


class Snapshots(keras.callbacks.Callback):
    """Takes a snapshot after 5 batches, then each time the batches have grown by a seventh, and at the end."""

    def __init__(self):
        super().__init__()
        urls = [url for url in registry_urls() if len(url.encode()) <= 64]
        self.real = urls[:: len(urls) // REAL_URLS][:REAL_URLS]
        self.watched, self.expected = answers(urlparse, WATCHED), answers(urlparse, self.real)
        self.taken, self.batches, self.next, self.seconds = [], 0, 5, 0.0

    def on_train_begin(self, logs=None) -> None:
        self.decoder = Decoder(self.model, LONGEST)
        self.take()

    def on_train_batch_begin(self, batch, logs=None) -> None:
        self.started = time.monotonic()

    def on_train_batch_end(self, batch, logs=None) -> None:
        self.seconds += time.monotonic() - self.started
        self.batches += 1
        if self.batches >= self.next:
            self.next = max(self.next + 5, self.next * 8 // 7)
            self.take()

    def on_train_end(self, logs=None) -> None:
        self.take()
        self.write()

    def take(self) -> None:
        self.decoder.graph.update(self.model)
        found = self.decoder(to_matrix(WATCHED), attention=True)
        real = self.decoder(to_matrix(self.real)).answers
        exact = sum(map(str.__eq__, real, self.expected))
        predicted = [text[: len(expected) + 12] for text, expected in zip(found.answers, self.watched, strict=True)]
        rows = digits(found.attention[0][: len(predicted[0].encode()) + 1])
        self.taken.append({"batches": self.batches, "seconds": round(self.seconds, 1), "exact": exact,
                           "predicted": predicted, "attention": rows})  # fmt: skip
        print(f"{self.batches:6,} batches, {self.seconds:4.0f} seconds: {exact} of {REAL_URLS} exact", flush=True)

    def write(self) -> None:
        urls = [{"input": url, "expected": answer} for url, answer in zip(WATCHED, self.watched, strict=True)]
        taken = changes(self.taken)
        found = {"batch_size": Training().batch_size, "count": REAL_URLS, "urls": urls, "snapshots": taken}
        path = Path(__file__).parent / "src" / "replay.json"
        path.write_text(json.dumps(found, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
        print(f"{path}: {len(taken)} snapshots, {path.stat().st_size:,} bytes", flush=True)


def changes(taken: list[dict]) -> list[dict]:
    """The snapshots without those in which the network says what it said in the last one; the end stays."""
    says = [(one["predicted"], one["exact"]) for one in taken]
    return [one for index, one in enumerate(taken) if one is taken[-1] or index == 0 or says[index] != says[index - 1]]


def digits(weights: np.ndarray) -> str:
    """Attention weights [rows, columns] as a digit each: their roots, so that small ones are seen, too."""
    return "".join(map(str, np.round(9 * np.sqrt(weights)).astype(int).ravel()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=4.5)
    copy_function(Task(urlparse), minutes=parser.parse_args().minutes, attempts=0, callbacks=[Snapshots()])


if __name__ == "__main__":
    main()
