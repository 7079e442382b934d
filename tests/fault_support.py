"""Processes that can be killed: what each of them does, and how they are started quickly."""

import gc
import json
import multiprocessing
import os
import resource
import signal
import sys
import traceback
from pathlib import Path

import numpy as np
from conftest import LONGEST_WORD, tiny_architecture, untrained_copy, words

from urlseq import copy_function
from urlseq.export import export
from urlseq.learned import LearnedCopy

HERE = Path(__file__).parent
EPOCHS, EPOCH_EXAMPLES = 12, 16
# The inputs that exports are checked with.
INPUTS = ["abc", "é"]
gc.freeze()  # what was imported stays: else each forked process looks for garbage in it when it begins to train


def forks() -> multiprocessing.context.BaseContext:
    """Processes forked off a server that has imported all that they need, TensorFlow too, and used nothing of it."""
    os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE.parent), str(HERE), os.environ.get("PYTHONPATH", "")])
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["fault_support", "urlseq.learn"])
    return context


def train(folder: Path) -> None:
    """A training of a few small epochs, always the same."""
    copy_function(
        str.upper, words, max_input_bytes=LONGEST_WORD, folder=folder, architecture=tiny_architecture(), batch_size=4,
        examples=EPOCHS * EPOCH_EXAMPLES, epoch_batches=EPOCH_EXAMPLES // 4, validation_count=8, attempts=0,
        verbose=False,
    )  # fmt: skip


def write_export(folder: Path, seed: int = 0) -> None:
    export(untrained_copy(seed), folder, INPUTS)


class Weight(np.ndarray):
    """A weight as Keras has it, to be saved without Keras."""

    path = ""


def save(copy: Path, folder: Path, times: int = 1) -> None:
    """Saves the copy that is in one folder into another one, again and again."""
    saved = LearnedCopy.__new__(LearnedCopy)
    (file,) = copy.glob("weights-*.npz")
    saved.model = type("Model", (), {"weights": []})
    with np.load(file) as arrays:
        for name, array in arrays.items():
            weight = array.view(Weight)
            weight.path = name.replace(".", "/")
            saved.model.weights.append(weight)
    saved.card = json.loads((copy / "copy.json").read_text())
    for _ in range(times):
        saved.save(folder)


# ---------------------------------------------------------------- the faults


def killed_at(moment: int, folder: Path, work, *arguments) -> None:
    """Does some work, and dies of SIGKILL right before the file system is asked for the `moment`-th time."""
    count = 0

    def watch(event: str, details: tuple) -> None:
        nonlocal count
        if event.startswith(("open", "os.", "shutil.")) and any(str(folder) in str(detail) for detail in details):
            count += 1
            if count == moment:
                signal.raise_signal(signal.SIGKILL)

    sys.addaudithook(watch)
    work(*arguments)


def with_files_of_at_most(limit: int, log: Path, work, *arguments) -> None:
    """Does some work where no file can get larger than `limit` bytes; writes the last line of a failure to `log`."""
    log.touch()
    report = log.open("w")  # opened before, and short
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        work(*arguments)
    except Exception as error:
        report.write("".join(traceback.format_exception_only(error)))
        report.close()
        sys.exit(1)
