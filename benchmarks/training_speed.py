"""Training's share of the machine's peak: the FLOP/s of its matrix products against those of one large product.

Runs on each of Keras' backends and on a GPU, too: `KERAS_BACKEND=jax python -m benchmarks.training_speed`.
"""

import random
import statistics
import time
from urllib.parse import urlparse

import keras
import numpy as np
from keras import ops

from benchmarks.common import keep, machine, spread, table
from urlseq.encoding import VOCABULARY
from urlseq.functions import answers
from urlseq.model import Architecture, build_model, masked_crossentropy
from urlseq.samplers import symbol
from urlseq.task import Training
from urlseq.training import muon
from urlseq.vectorize import make_batch

SIZE = 2048


def step_flops(size: Architecture, batch: int, text: int, answer: int) -> int:
    """Floating point operations in the matrix products of one training step on `text` and `answer` time steps.

    Two for each product of two weights' numbers; and the gradients, of weights and of inputs, take each product twice.
    """
    half = size.units // 2
    encoder = 2 * text * (size.embedding + half) * 4 * half
    decoder = answer * (size.embedding + size.units) * 4 * size.units
    attention = (text + answer) * size.units * size.attention
    attention += text * answer * (size.attention + size.units + size.heads * size.embedding)
    joined = 2 * size.units + size.heads * size.embedding
    output = answer * (joined * size.hidden + size.hidden * VOCABULARY)
    return 2 * 3 * batch * (encoder + decoder + attention + output)


def peak(repeats: int) -> list[float]:
    """FLOP/s of a product of two large matrices."""
    matrix = ops.convert_to_tensor(np.random.default_rng(0).normal(size=(SIZE, SIZE)).astype("float32"))
    found = []
    for _ in range(repeats):
        start = time.perf_counter()
        np.asarray(ops.matmul(matrix, matrix)[0, 0])  # reading a number waits for all of them
        found.append(2 * SIZE**3 / (time.perf_counter() - start))
    return found[1:]


def step_seconds(batch: int, text_bytes: int, repeats: int) -> tuple[list[float], tuple[int, int]]:
    """Seconds of training steps on a batch of URLs of about so many bytes, and the time steps in and out."""
    url, rng, texts = symbol("url"), random.Random(0), []
    while len(texts) < batch:
        if text_bytes - 16 < len(text := url(rng)) < text_bytes:
            texts.append(text)
    inputs, target = make_batch(texts, answers(urlparse, texts))
    keras.utils.clear_session()
    model = build_model()
    model.compile(muon(Training().learning_rate), masked_crossentropy, jit_compile=False)
    found = []
    for _ in range(repeats):
        start = time.perf_counter()
        model.train_on_batch(inputs, target)
        found.append(time.perf_counter() - start)
    return found[2:], (inputs["encoder_input"].shape[1], target.shape[1])


def has_gpu() -> bool:
    """Whether Keras puts its tensors on a GPU. Each backend has its own name for one, all have "cpu" for the other."""
    return "cpu" not in str(ops.convert_to_tensor(0.0).device).lower()


def kept_as() -> str:
    """The result's name, with the backend and the device unless they are TensorFlow and the CPU."""
    engine = f"{keras.config.backend()}_{'gpu' if has_gpu() else 'cpu'}"
    return "training_speed" if engine == "tensorflow_cpu" else f"training_speed_{engine}"


def main(quick: bool = False) -> None:
    repeats, rows = 5 if quick else 20, []
    best = statistics.median(peak(repeats))
    for batch, text_bytes in ((64, 48), (64, 128), (256, 48), (256, 128)):
        times, (text, answer) = step_seconds(batch, text_bytes, repeats)
        seconds = statistics.median(times)
        reached = step_flops(Architecture(), batch, text, answer) / seconds
        rows.append([batch, f"{text} / {answer}", spread([1e3 * value for value in times]), f"{batch / seconds:,.0f}",
                     f"{reached / 1e9:.1f}", f"{reached / best:.0%}"])  # fmt: skip
    head = ["batch", "time steps in / out", "ms a step, median (range)", "examples a second", "GFLOP/s", "of the peak"]
    print(machine(), f"peak: {best / 1e9:.1f} GFLOP/s in a product of {SIZE} × {SIZE}", table(head, rows), sep="\n\n")
    if not quick:
        keep(kept_as(), {"peak_gflops": round(best / 1e9, 1), "head": head, "rows": rows})


if __name__ == "__main__":
    main()
