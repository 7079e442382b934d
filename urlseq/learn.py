"""From a function to its learned copy, in one call."""

import dataclasses
import hashlib
import json
import platform
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from urlseq.checkpoint import Checkpoint
from urlseq.errors import InvalidSetting
from urlseq.evaluation import NONE_TRUSTED
from urlseq.functions import Function
from urlseq.learned import LearnedCopy
from urlseq.model import Architecture, build_model, masked_crossentropy
from urlseq.report import Progress, ShowPredictions, ending
from urlseq.sources import InputSource
from urlseq.store import FORMAT, copy_of
from urlseq.task import Task, Training
from urlseq.training import Batches, Schedule, Validation, fit, short_first_for
from urlseq.vectorize import ENCODING


def copy_function(
    function: Function | Task | None = None,
    inputs: InputSource | Training | None = None,
    training: Training | None = None,
    *,
    inverse: Function | None = None,
    architecture: Architecture | None = None,
    start: LearnedCopy | None = None,
    attempts: int | Sequence[str] = 4,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    **settings,
) -> LearnedCopy:
    """Learns to copy `function` (any `str -> JSON`) from examples, and returns the copy.

    With `inverse` in its place, the inverse of that function is learned, and the function certifies each answer.
    `settings` are the fields of `Task` (such as `max_input_bytes`) and of `Training` (such as `minutes`, `examples`,
    `folder`, `seed`); or give both as objects: `copy_function(Task(...), Training(...))`.

    Training begins with the weights and the architecture of `start`, where there is one. `attempts` are inputs to
    show at each epoch, or how many held-out ones. Raises UnfitFunction where the function's values can't be JSON,
    InvalidInput where inputs are not usable text, InvalidSetting.
    """
    if isinstance(inputs, Training):
        inputs, training = None, inputs
    task, training = settled(function, inputs, inverse, training, settings)
    if training.folder is not None:
        Path(training.folder).mkdir(parents=True, exist_ok=True)  # better to fail now than after the training
    # A cell that is run twice has to start from nothing, both in Keras and in its random numbers.
    keras.utils.clear_session()
    keras.utils.set_random_seed(training.seed)
    architecture = Architecture(**start.card["architecture"]) if start else architecture or Architecture()
    model = build_model(architecture)
    if start is not None:
        model.set_weights(start.model.get_weights())
    card = {"format": FORMAT, "encoding": ENCODING, "task": task.record(),
            "architecture": dataclasses.asdict(architecture), "training": training.record(),
            "start_examples": examples_seen(start)}  # fmt: skip
    return learn(model, card, task, training, attempts, callbacks)


def learn(model: keras.Model, card: dict, task: Task, training: Training, attempts: int | Sequence[str],
          callbacks: Sequence[keras.callbacks.Callback]) -> LearnedCopy:  # fmt: skip
    """Trains the model on the task, measures it on held-out inputs, and saves it where a folder is given."""
    started_from = digest(*map(np.ascontiguousarray, model.get_weights())) if card["start_examples"] else ""
    held_out = task.examples(f"{training.seed} held out", training.held_out_count, held_out=True).distinct()
    task.check(held_out)
    batches = Batches(task, training, short_first_for(held_out, training.examples))
    schedule = Schedule(training, held_out=len(held_out))
    # Another sampler under the same name, or another start, must not go on with this one's state.
    inputs_digest = digest(json.dumps([held_out.inputs, held_out.answers]).encode())
    state = Path(training.folder) / "training.npz" if training.folder else None
    checkpoint = Checkpoint(state, card | {"digests": [inputs_digest, started_from]}, schedule, batches)
    watched = held_out.inputs[:attempts] if isinstance(attempts, int) else list(attempts)
    attempted = [ShowPredictions(task.target, watched, reverse_output=task.reverse_output)] if watched else []
    fit(model, batches, Validation(held_out) if len(held_out) else None, checkpoint,
        [*([Progress(schedule), *attempted] if training.verbose else []), *callbacks])  # fmt: skip
    ended_by = schedule.ended_by(checkpoint.best) or "callback"
    found = {"threshold": NONE_TRUSTED, "trusted_risk": None, "ended_by": ended_by, "history": checkpoint.history,
             "versions": versions()}  # fmt: skip
    copy = copy_of(model, card | batches.seen() | found, task.target)
    if len(held_out):
        # The best epoch was chosen on `held_out`; the figures come from examples that had no part in that, but for
        # those drawn again where there are few: each once.
        examples = task.examples(f"{training.seed} calibration", 5 * training.held_out_count, held_out=True)
        copy.set_threshold(examples.distinct())
    if training.verbose:
        print(f"Of this copy, {copy.promise}.")
        print(ending(schedule, checkpoint.best, ended_by), flush=True)
    if state is not None:
        copy.save(state.parent)
        state.unlink(missing_ok=True)
    return copy


def settled(function, inputs, inverse, training: Training | None, settings: dict) -> tuple[Task, Training]:
    """The task and the training that the arguments of `copy_function` mean. Raises InvalidSetting."""
    names = {kind: [field.name for field in dataclasses.fields(kind)] for kind in (Task, Training)}
    if unknown := [name for name in settings if name not in names[Task] + names[Training]]:
        known = ", ".join([*names[Task], *names[Training], "architecture", "start", "attempts", "callbacks"])
        raise InvalidSetting(f"There is no setting {', '.join(unknown)}. There are: {known}.")
    for_task = {name: value for name, value in settings.items() if name in names[Task]}
    if isinstance(function, Task):
        if for_task or inputs is not None or inverse is not None:
            raise InvalidSetting("A Task has its own inputs and limits: change them there (dataclasses.replace).")
        task = function
    else:
        task = Task(function, inputs, inverse, **for_task)
    for_training = {name: value for name, value in settings.items() if name in names[Training]}
    training = dataclasses.replace(training or Training(), **for_training)
    return task, training if training.loss else dataclasses.replace(training, loss=masked_crossentropy)


def examples_seen(copy: LearnedCopy | None) -> int:
    """In all trainings, one after another, that made the copy."""
    return copy.card["start_examples"] + copy.card["history"][-1]["examples"] if copy else 0


def digest(*data) -> str:
    return hashlib.sha256(b"".join(data)).hexdigest()


def versions() -> dict[str, str]:
    return {"python": platform.python_version(), "keras": keras.__version__, "numpy": np.__version__,
            "backend": keras.backend.backend()}  # fmt: skip
