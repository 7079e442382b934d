"""What several test files share: texts of any kind, tiny models, and one tiny copy that has learned something."""

import fcntl
import gc
import os
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

# Each process of pytest-xdist has one core: with more threads, they wait for each other. (Of the threads between
# operations there have to be several: one that waits for Keras' batches would stop all.)
if "PYTEST_XDIST_WORKER" in os.environ:
    for name in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, "1")

# In a second Python, functions of test files would import TensorFlow once more for each training.
os.environ["URLSEQ_ASKED_ELSEWHERE"] = "1"

# Java's second compiler pays where a program runs for minutes; until then it takes the core from what it compiles.
os.environ.setdefault("SPARK_SUBMIT_OPTS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")

# Examples are drawn the same way each time, and no test fails because the machine was busy.
settings.register_profile(
    "urlseq", deadline=None, derandomize=True, max_examples=40, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("urlseq")

# Any text that can be an input: Unicode without NUL and without halves of surrogate pairs.
TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"))
TEXTS = st.lists(TEXT)

# How much the tiny copy sees: 600 batches.
TINY_EXAMPLES = 600 * 32

LETTERS, LONGEST_WORD = "abcdefghijklmnop", 4


def pytest_collection_finish():
    """What was imported stays to the end: else Python looks for garbage in all of it in each training."""
    gc.collect()
    gc.freeze()


def words(rng: random.Random) -> str:
    return "".join(rng.choices(LETTERS, k=rng.randint(1, LONGEST_WORD)))


def words_of(count: int, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    return [words(rng) for _ in range(count)]


def tiny_architecture():
    from urlseq.model import Architecture

    return Architecture(units=32, embedding=32, attention=32, heads=4, hidden=64)


def random_model(seed: int = 0, scale: float = 6.0, likely: Sequence[int] = (), copy_gate: bool = False):
    """A model that has learned nothing. Large weights make it give many answers, some of which end and some never.

    The bytes that are `likely` it writes more often than others.
    """
    import keras

    from urlseq.encoding import EOS, PADDING
    from urlseq.model import Architecture, build_model

    keras.utils.set_random_seed(seed)
    model = build_model(Architecture(units=16, embedding=8, attention=8, heads=2, hidden=16, copy_gate=copy_gate))
    model.set_weights([weights * scale for weights in model.get_weights()])
    kernel, bias = model.get_layer("logits").get_weights()
    bias[EOS] += 4
    bias[list(likely)] += 6
    bias[PADDING] = -1e4  # no trained model writes padding
    model.get_layer("logits").set_weights([kernel, bias])
    if copy_gate:  # it is open now and then, so that some bytes are copied and others not
        kernel, bias = model.get_layer("gate").get_weights()
        model.get_layer("gate").set_weights([kernel / scale, bias - 2])
    return model


def quoting_model(copy_gate: bool = False):
    """A model whose answers are full of quotes, of strings and within them, backslashes, line breaks and NUL."""
    from urlseq.encoding import NUL_WRITTEN, QUOTE

    return random_model(seed=1, likely=[QUOTE, NUL_WRITTEN, *b'"\\\n'], copy_gate=copy_gate)


def card(**changes) -> dict:
    """What is known of a copy that has learned nothing."""
    from urlseq.cards import FORMAT
    from urlseq.encoding import ENCODING

    known = {
        "format": FORMAT,
        "encoding": ENCODING,
        "task": {"function": "str.upper", "inverse": False, "max_input_bytes": 12, "reverse_output": False},
        "architecture": {"units": 16, "embedding": 8, "attention": 8, "heads": 2, "hidden": 16},
        "bytes_seen": list(range(1, 128)),
        "longest_answer": 10,
        "threshold": 0.0,
    }
    return known | changes


def untrained_copy(seed: int = 0, **changes):
    from urlseq.learned import LearnedCopy

    return LearnedCopy(random_model(seed), card(**changes), str.upper)


@pytest.fixture(scope="session")
def random_tiny():
    return random_model()


def tiny_budget() -> dict:
    """Arguments of `copy_function` for some seconds of training, after which words of four letters are mostly right."""
    return {
        "inputs": words,
        "max_input_bytes": LONGEST_WORD,
        "examples": TINY_EXAMPLES,
        "architecture": tiny_architecture(),
        "learning_rate": 1.5e-2,
        "batch_size": 32,
        "epoch_batches": TINY_EXAMPLES // 32 // 4,
        "validation_count": 100,
        "attempts": 0,
        "verbose": False,
    }


def made_once(tmp_path_factory, name: str, make: Callable[[Path], object]) -> Path:
    """The folder that `make` fills. Of all processes of a test run, one does so; the others take what it made."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # each process has a folder of its own in there
        base = base.parent
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (base / f"{name}.made").exists():
            make(base / name)
            (base / f"{name}.made").touch()
    return base / name


@pytest.fixture(scope="session")
def learned(tmp_path_factory):
    """A copy of `str.upper`."""
    from urlseq import copy_function, load

    learn = partial(copy_function, str.upper, **tiny_budget())
    return load(made_once(tmp_path_factory, "learned", lambda folder: learn().save(folder)), str.upper)


@pytest.fixture(scope="session")
def inverted(tmp_path_factory):
    """A copy of the inverse of `str.upper`."""
    from urlseq import copy_function, load

    learn = partial(copy_function, inverse=str.upper, **tiny_budget())
    return load(made_once(tmp_path_factory, "inverted", lambda folder: learn().save(folder)), str.upper)


@pytest.fixture(scope="session")
def exported_dates(tmp_path_factory):
    """A folder where the command exported the copy `dates_in_hex`, and beside it, in `told.json`, what it told."""

    def export(folder: Path) -> None:
        command = [sys.executable, "-m", "urlseq", "export", "dates_in_hex", "--folder", str(folder)]
        process = subprocess.run(command, capture_output=True, text=True)
        assert process.returncode == 0, process.stderr[-2000:]
        (folder / "told.json").write_text(process.stdout)

    return made_once(tmp_path_factory, "exported", export)


def largest_difference(first, second) -> float:
    """Between two lists of arrays, such as two models' weights."""
    return max(float(np.abs(one - other).max()) for one, other in zip(first, second, strict=True))
