"""From a function to its learned copy, in one call."""

import contextlib
import dataclasses
import hashlib
import json
import math
import platform
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from urlseq.answering import NONE_TRUSTED
from urlseq.cards import FORMAT
from urlseq.checkpoint import Checkpoint
from urlseq.decoding import gradients_forgotten
from urlseq.encoding import ENCODING
from urlseq.errors import InvalidSetting, NotSaved
from urlseq.evaluation import Evaluation, percent
from urlseq.functions import Function
from urlseq.learned import LearnedCopy
from urlseq.model import Architecture, build_model
from urlseq.report import Progress, ShowPredictions, WarnEarly, duration, ending
from urlseq.sampling import ListSampler, hash_rank
from urlseq.sources import FEWEST_INPUTS, InputSource
from urlseq.store import copy_of
from urlseq.task import Task, Training
from urlseq.training import Batches, Schedule, Validation, fit, short_first_for

# From so many different inputs, or fewer, a copy gate teaches more.
FEW_INPUTS = 5000


def copy_function(
    function: Function | Task | None = None,
    inputs: InputSource | Training | None = None,
    training: Training | None = None,
    *,
    inverse: Function | None = None,
    architecture: Architecture | None = None,
    attempts: int | Sequence[str] = 4,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    **settings,
) -> LearnedCopy:
    """Learns to copy `function` (any `str -> JSON`) from examples, and returns the copy.

    With `inverse` in its place, the inverse of that function is learned, and the function certifies each answer. With
    `pairs`, such as a list of (input, output) or a CSV file, there is no function: the copy learns what they show.
    `settings` are the fields of `Task` (such as `max_input_bytes`) and of `Training` (such as `minutes`, `examples`,
    `folder`, `seed`); or give both as objects: `copy_function(Task(...), Training(...))`. Without a `Training`, few
    inputs have settings that suit them.

    `attempts` are inputs to show at each epoch, or how many held-out ones. Raises UnfitFunction where the function's
    values can't be JSON, InvalidInput where inputs are not usable text, InvalidSetting.
    """
    if isinstance(inputs, Training):
        inputs, training = None, inputs
    task, training = settled(function, inputs, inverse, training, settings)
    if training.folder is not None:
        Path(training.folder).mkdir(parents=True, exist_ok=True)  # better to fail now than after the training
    # A cell that is run twice has to start from nothing, both in Keras and in its random numbers.
    keras.utils.clear_session()
    architecture = architecture or Architecture(copy_gate=input_count(task) <= FEW_INPUTS)
    card = {"format": FORMAT, "encoding": ENCODING, "task": task.record(),
            "architecture": dataclasses.asdict(architecture), "training": training.record()}  # fmt: skip
    with seeded(training.seed), gradients_forgotten():
        return learn(build_model(architecture), card, task, training, attempts, callbacks)


def cross_validate(function: Function | Task | None = None, inputs: InputSource | Training | None = None,
                   training: Training | None = None, *, inverse: Function | None = None, folds: int = 4,
                   architecture: Architecture | None = None, **settings) -> Evaluation:  # fmt: skip
    """Answers to all inputs of a short list, or of few pairs, each by a copy that did not learn it.

    One copy alone is measured on its held-out inputs only. Here the inputs are dealt to `folds` parts by the rank of
    their hashes, and each part is answered by a copy that learned the others. So this takes the time of `folds`
    trainings. The arguments are those of `copy_function`; nothing is saved.
    Raises the same errors, and InvalidSetting for an inverse, and where the inputs are no list or fewer than the folds.
    """
    if isinstance(inputs, Training):
        inputs, training = None, inputs
    task, training = settled(function, inputs, inverse, training, settings)
    if task.inverse or not isinstance(task.sampler, ListSampler):
        raise InvalidSetting(
            "Cross-validation is for a function with a list of inputs, or for pairs, not for an inverse."
        )
    known = sorted((text for text in task.sampler.distinct if 0 < len(text.encode()) <= task.max_input_bytes),
                   key=hash_rank)  # fmt: skip
    if not 1 < folds <= len(known):
        raise InvalidSetting(f"{len(known)} inputs can't be dealt to {folds} folds; at least two are needed.")
    # A part that chose the best epoch of its own copy would make it look better than it is.
    training = dataclasses.replace(training, folder=None, verbose=False, validation_count=0, until=None)
    found = []
    for fold in range(folds):
        part = ListSampler(known)
        part.held_out = known[fold::folds]
        others = {"pairs": dataclasses.replace(task.pairs, sampler=part)} if task.pairs else {"inputs": part}
        copy = copy_function(dataclasses.replace(task, **others), training, architecture=architecture, attempts=0)
        found.append(copy.evaluate(part.held_out))
    return Evaluation.joined(found)


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Keras draws from the random numbers that are everybody's: they begin with the seed here, and go on as before."""
    states = random.getstate(), np.random.get_state()
    keras.utils.set_random_seed(seed)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])


def learn(model: keras.Model, card: dict, task: Task, training: Training, attempts: int | Sequence[str],
          callbacks: Sequence[keras.callbacks.Callback]) -> LearnedCopy:  # fmt: skip
    """Trains the model on the task, measures it on held-out inputs, and saves it where a folder is given."""
    held_out = task.examples(f"{training.seed} held out", training.held_out_count, held_out=True).distinct()
    task.check(held_out)
    batches = Batches(task, training, short_first_for(held_out, training.examples))
    schedule = Schedule(training, held_out=len(held_out))
    # Another sampler under the same name must not go on with this one's state.
    first = json.dumps([held_out.inputs[:100], held_out.answers[:100]])
    settings = card | {"inputs or answers": hashlib.sha256(first.encode()).hexdigest()}
    checkpoint = Checkpoint(training.folder, settings, schedule, batches)
    watched = held_out.inputs[:attempts] if isinstance(attempts, int) else list(attempts)
    attempted = [ShowPredictions(watched, task.expected(watched), task.reverse_output)] if watched else []
    shown = [Progress(schedule), WarnEarly(schedule, task, held_out), *attempted] if training.verbose else []
    fit(model, batches, Validation(held_out) if len(held_out) else None, checkpoint, [*shown, *callbacks])
    found = {"threshold": NONE_TRUSTED, "trusted_risk": None, "ended_by": checkpoint.ended_by,
             "history": checkpoint.history, "left_out": len(task.left_out),
             "versions": {"python": platform.python_version(), "keras": keras.__version__, "numpy": np.__version__,
                          "backend": keras.backend.backend()}}  # fmt: skip
    task.check_again(held_out)
    copy = copy_of(model, card | batches.seen() | found, task.target)
    if len(held_out):
        # The best epoch was chosen on `held_out`; the figures come from examples that had no part in that, but for
        # those drawn again where there are few: each once.
        examples = task.examples(f"{training.seed} calibration", 5 * training.held_out_count, held_out=True)
        copy.set_threshold(examples.distinct(), training.kept_examples)
    if training.verbose:
        print(f"Of this copy, {copy.promise}.")
        print(ending(schedule, checkpoint.best, checkpoint.ended_by), flush=True)
    keep(copy, training.folder)
    checkpoint.end()
    if task.pairs and training.learning_curve and len(held_out) and checkpoint.ended_by != "interruption":
        with contextlib.suppress(KeyboardInterrupt):  # the copy is whole without
            add_learning_curve(copy, task, training)
    return copy


def keep(copy: LearnedCopy, folder: str | Path | None) -> None:
    """Saves the copy where there is a folder. Raises NotSaved, which holds the copy."""
    try:
        if folder is not None:
            copy.save(folder)
    except OSError as error:
        raise NotSaved(copy, error) from None


def add_learning_curve(copy: LearnedCopy, task: Task, training: Training) -> None:
    """Notes in the card how exact match grew with the pairs: it learns again from a quarter and a half of them, with as
    large a part of the budget. Not so where nothing is learned, nearly all is, or there are hardly any pairs.
    """
    counts, pairs = copy.card["held_out_counts"], len(task.pairs.sampler.inputs) - len(task.pairs.sampler.held_out)
    if not 0 < counts["exact"] < 0.999 * counts["count"] or pairs < 4 * FEWEST_INPUTS:
        return
    if training.verbose:
        more = duration(0.75 * copy.card["history"][-1]["seconds"])
        print(f"Would more pairs help? It learns again from a quarter and a half of them, in {more} more.", flush=True)
    curve, (minutes, examples) = [], training.budget.values()
    for parts in (4, 2):
        budget = {"minutes": minutes and minutes / parts, "examples": examples and -(-examples // parts)}
        less = dataclasses.replace(training, folder=None, verbose=False, learning_curve=False, **budget)
        part = dataclasses.replace(task, pairs=dataclasses.replace(task.pairs, sampler=task.pairs.sampler.part(parts)))
        found = copy_function(part, less, architecture=Architecture(**copy.card["architecture"]), attempts=0).card
        if found["ended_by"] == "interruption":
            return
        curve.append([pairs // parts, found["held_out_counts"]["exact"], counts["count"]])
    copy.card["learning_curve"] = [*curve, [pairs, counts["exact"], counts["count"]]]
    if training.verbose:
        print(curve_in_words(copy.card["learning_curve"]), flush=True)
    keep(copy, training.folder)


def curve_in_words(curve: list[list[int]]) -> str:
    """Whether more pairs would help, by the exact match after fewer of them."""
    (_, half, _), (_, exact, count) = curve[-2:]
    points = ", ".join(f"{percent(exact, count)} from {pairs:,}" for pairs, exact, count in curve)
    meaning = "more minutes may help, or more pairs" if exact < count / 2 else "more pairs would hardly help"
    # By chance, the two hardly ever differ by more than this: twice the deviation of two binomials.
    if exact - half > 2 * ((half * (count - half) + exact * (count - exact)) / count) ** 0.5:
        meaning = "more pairs would help"
    return f"Exact match on the {count:,} held-out pairs: {points}. So {meaning}."


def settled(function, inputs, inverse, training: Training | None, settings: dict) -> tuple[Task, Training]:
    """The task and the training that the arguments of `copy_function` mean. Raises InvalidSetting."""
    kinds = {field.name: kind for kind in (Task, Training) for field in dataclasses.fields(kind) if field.init}
    if unknown := [name for name in settings if name not in kinds]:
        known = ", ".join([*kinds, "architecture", "attempts", "callbacks"])
        raise InvalidSetting(f"There is no setting {', '.join(unknown)}. There are: {known}.")
    for_task = {name: value for name, value in settings.items() if kinds[name] is Task}
    if isinstance(function, Task):
        if for_task or inputs is not None or inverse is not None:
            raise InvalidSetting("A Task has its own inputs and limits: change them there (dataclasses.replace).")
        task = function
    else:
        task = Task(function, inputs, inverse, **for_task)
    for_training = {name: value for name, value in settings.items() if kinds[name] is Training}
    return task, dataclasses.replace(training or Training(**suited(task)), **for_training)


def suited(task: Task) -> dict[str, Any]:
    """Settings for few inputs: smaller batches and a lower learning rate."""
    count = input_count(task)
    return {"batch_size": 16 if count <= 500 else 32, "learning_rate": 5e-3} if count <= FEW_INPUTS else {}


def input_count(task: Task) -> float:
    """How many different inputs a list or pairs hold; a sampler has no end of them."""
    return len(task.sampler.distinct) if type(task.sampler) is ListSampler else math.inf
