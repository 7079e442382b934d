"""`copy_function` ties the road together; a `LearnedCopy` is what comes out of it, and `load` brings one back."""

import dataclasses
import hashlib
import io
import json
import math
import platform
import random
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlparse

import keras
import numpy as np

from urlseq.decode import LONGEST_ANSWER
from urlseq.evaluate import Attempts
from urlseq.files import locked
from urlseq.functions import INVERSE_OF, Function, Inverse, UnfitFunction, answers, name_of
from urlseq.gallery import GALLERY
from urlseq.learned import CARD, FORMAT, LearnedCopy, copy_of
from urlseq.model import Architecture, build_model, masked_crossentropy
from urlseq.sampler import urls
from urlseq.sources import Inputs, pairs, sampler_of, texts_for
from urlseq.training import LEARNING_RATE, SHORT_FIRST_EXAMPLES, Batches, Budget, Validation, muon, train
from urlseq.vectorize import byte_lengths, shown

# The functions that a card may bring in by their names: they compute, and do nothing else.
KNOWN_FUNCTIONS = {
    name_of(function): function for function in (urlparse, *(entry.function for entry in GALLERY.values()))
}
SHIPPED = Path(__file__).parent.parent / "models"


class BadModel(ValueError):
    """A folder that holds no copy, or a damaged one; the message says what to do."""


def copy_function(
    function: Function | None = None,
    inputs: Inputs | None = None,
    *,
    inverse: Function | None = None,
    start: LearnedCopy | None = None,
    max_bytes: int = 128,
    minutes: float | None = None,
    examples: int | None = None,
    folder: str | Path | None = None,
    architecture: Architecture = Architecture(),
    loss=masked_crossentropy,
    learning_rate: float = LEARNING_RATE,
    batch_size: int = 64,
    epoch_batches: int = 400,
    validation_count: int = 2000,
    attempts: int | Sequence[str] = 4,
    seed: int = 0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: bool = True,
) -> "LearnedCopy":
    """Learns to copy `function` (any `str -> JSON`) from examples, and returns the copy.

    Given as `inverse`, it is the function's inverse that is learned, of what the function makes of the inputs; the
    function then certifies each answer.

    `inputs` may be a sampler (`random.Random -> str`), a list of texts, an Arrow array or a file; by default
    URLs of all kinds. Those longer than `max_bytes` are left out. Training ends with `minutes` or `examples`,
    whichever is used up first (10 minutes if neither is given). `learning_rate` is the schedule's peak; where exact
    match goes up and down, with small batches or many rare facts, a third of it is better. With a `folder`, the copy
    is saved there, and a training that was interrupted goes on where it stopped when the same call is made again.
    `attempts` are texts to show at each epoch, or how many held-out ones; `verbose=False` shows nothing. Training
    begins with the weights of `start`, where there is one, in its architecture.

    Raises UnfitFunction where the function's values can't be JSON, BadText where inputs are not usable text.
    """
    if (function is None) == (inverse is None):
        raise TypeError("copy_function takes a function to copy, or the function whose inverse is wanted: one of them.")
    if minutes is None and examples is None:
        minutes = 10.0
    if (minutes is not None and minutes <= 0) or (examples is not None and examples <= 0):
        raise ValueError(f"The budget has to be above 0, but minutes is {minutes} and examples is {examples}.")
    if folder is not None:
        Path(folder).mkdir(parents=True, exist_ok=True)  # better to fail now than after the training
    # A cell that is run twice has to start from nothing, both in Keras and in its random numbers.
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    sampler = sampler_of(urls(max_bytes) if inputs is None else inputs)
    if inverse is not None:
        function = Inverse(inverse)
        sampler = pairs(function, sampler)

    def fits(text: str) -> bool:
        return len(text.encode()) <= max_bytes

    held_out = texts_for(sampler, random.Random(f"{seed} held out"), validation_count, held_out=True, check=fits)
    wanted = answers(function, held_out)
    check_answers(function, held_out, wanted)
    if inverse is not None:
        rng = random.Random(f"{seed} collisions")
        warn_of_collision(function, [sampler(rng) for _ in range(5000)])

    if start is not None:
        architecture = Architecture(**start.card["architecture"])
    model = build_model(architecture)
    if start is not None:
        model.set_weights(start.model.get_weights())
    # A small budget has to see long inputs, too. And where all are about as long, the shortest are a biased choice.
    lengths = byte_lengths(held_out)
    varied = len(lengths) > 0 and np.quantile(lengths, 1 / 8) < np.median(lengths) / 2
    short_first = min(SHORT_FIRST_EXAMPLES, examples // 4 if examples else math.inf) if varied else 0
    batches = Batches(function, sampler, fits, seed, epoch_batches, batch_size, short_first=short_first)
    settings = {
        "function": name_of(function),
        "max_bytes": max_bytes,
        "architecture": dataclasses.asdict(architecture),
        "minutes": minutes,
        "examples": examples,
        "start_examples": examples_seen(start) if start is not None else 0,
        "loss": loss.__name__,
        "learning_rate": learning_rate,
        "batch_size": batch_size,
        "epoch_batches": epoch_batches,
        "seed": seed,
        # Another sampler under the same name, or another start, must not go on with this one's state.
        "held_out": hashlib.sha256(json.dumps([held_out, wanted]).encode()).hexdigest(),
        "start": start and hashlib.sha256(b"".join(map(np.ascontiguousarray, start.model.get_weights()))).hexdigest(),
    }
    watch = list(attempts) if not isinstance(attempts, int) else held_out[:attempts]
    state = Path(folder) / "training.npz" if folder is not None else None
    keeper = train(
        model,
        batches,
        Validation(held_out, wanted) if held_out else None,
        Budget(minutes, examples),
        loss=loss,
        optimizer=muon(learning_rate),
        state=state,
        settings=settings,
        callbacks=[*([Attempts(function, watch)] if watch and verbose else []), *callbacks],
        verbose=verbose,
    )
    card = {
        "format": FORMAT,
        **{name: value for name, value in settings.items() if name not in ("held_out", "start")},
        "bytes_seen": np.flatnonzero(batches.bytes_seen).tolist(),
        "longest_answer": batches.longest_answer,
        "threshold": 1.0,
        "history": keeper.history,
        "versions": {"python": platform.python_version(), "keras": keras.__version__, "numpy": np.__version__,
                     "backend": keras.backend.backend()},
    }  # fmt: skip
    copy = copy_of(model, card, function)
    if held_out:
        # The best epoch was chosen on `held_out`; what is reported comes from texts that had no part in it, but for
        # those drawn again where there are few.
        count = 5 * validation_count
        texts = texts_for(sampler, random.Random(f"{seed} calibration"), count, held_out=True, check=fits)
        copy.calibrate(list(dict.fromkeys(texts)))  # each once: there may be fewer than that
    if folder is not None:
        copy.save(folder)
        state.unlink(missing_ok=True)
    return copy


def examples_seen(copy: LearnedCopy) -> int:
    """In all trainings, one upon the other, that made the copy."""
    return copy.card.get("start_examples", 0) + copy.card["history"][-1]["examples"]


def check_answers(function: Function, texts: Sequence[str], wanted: Sequence[str]) -> None:
    """Raises UnfitFunction where there is nothing to learn, or what no copy can learn, with an example."""
    name = name_of(function)
    if texts and all(answer.startswith('{"error":') for answer in wanted):
        raise UnfitFunction(f"{name} raises on each of {len(texts):,} inputs: {wanted[0]} on {texts[0]!r}.")
    if len(texts) > 1 and len(set(wanted)) == 1:
        raise UnfitFunction(f"{name} says {wanted[0]} to each of {len(texts):,} inputs: nothing to learn.")
    lengths = byte_lengths(wanted)
    if lengths.max(initial=0) > LONGEST_ANSWER:
        row = int(lengths.argmax())
        raise UnfitFunction(
            f"{name}({shown(texts[row])}) has {lengths[row]:,} bytes, and a copy's answer {LONGEST_ANSWER:,} at most: "
            f"{shown(wanted[row])}. Give shorter inputs, or a function that says less."
        )
    for text, answer in zip(texts[:100], wanted, strict=False):
        if not says_again(function, text, answer):
            raise UnfitFunction(
                f"{name}({text!r}) is not what it was before: either it gives another value each time, "
                "and can't be copied, or the answers kept with the inputs are those of another function."
            )


def says_again(function: Function, text: str, answer: str) -> bool:
    """Whether the function, called once more, bears out a text and its answer; for an inverse, the inverted one."""
    if isinstance(function, Inverse):
        return function.certifies(json.loads(answer), text)
    return answers(function, [str(text)]) == [answer]  # str: a text that carries its answer would only repeat it


def warn_of_collision(function: Inverse, texts: Sequence[str]) -> None:
    """Says which two values the function makes the same text of, if there are any among these."""
    known: dict[str, str] = {}
    for text in texts:
        if known.setdefault(text, text.answer) != text.answer:
            warnings.warn(
                f"{name_of(function.function)} makes {shown(text)} of {known[text]} and of {text.answer}, so it has no "
                "one inverse. One of the values is learned; any that the function certifies counts as right.",
                stacklevel=3,
            )
            return


def load(folder: str | Path, function: Function | None = None) -> LearnedCopy:
    """A copy from its folder, or a shipped one by its name, such as `urlparse`.

    The real function is found by itself if it is `urlparse` or one of the gallery's. What else a card names is not
    imported, since that would let a file decide which code runs. Raises BadModel.
    """
    path = Path(folder)
    if not path.exists() and len(path.parts) == 1 and (SHIPPED / path).is_dir():
        path = SHIPPED / path
    if not (path / CARD).is_file():
        shipped_names = ", ".join(sorted(card.parent.name for card in SHIPPED.glob(f"*/{CARD}")))
        raise BadModel(f"There is no learned copy in {path} (no {CARD}). Shipped ones: {shipped_names or 'none'}.")
    try:
        text = (path / CARD).read_text(encoding="utf-8")
        card = json.loads(text)
        if card["format"] != FORMAT:
            raise BadModel(f"{path} is of format {card['format']}; this version reads format {FORMAT}. Train it again.")
        if missing := {"function", "max_bytes", "longest_answer", "threshold", "bytes_seen"} - card.keys():
            raise BadModel(f"{path / CARD} lacks {', '.join(sorted(missing))}. Get the copy again, or train it again.")
        weights_file = path / Path(card["weights"]).name
        try:
            data = weights_file.read_bytes()
        except FileNotFoundError:
            with locked(path):  # no writer is in mid-change now
                if (path / CARD).read_text(encoding="utf-8") == text and not weights_file.exists():
                    raise
            return load(path, function)  # another copy was saved just now, and these weights removed
        if hashlib.sha256(data).hexdigest() != card["sha256"]:
            raise BadModel(f"{weights_file} is damaged: its hash is not the one in {CARD}. Get or train it again.")
        model = build_model(Architecture(**card["architecture"]))
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            model.set_weights([arrays[variable.path.replace("/", ".")] for variable in model.weights])
        name = card["function"].removeprefix(INVERSE_OF)
        if function is None:
            function = KNOWN_FUNCTIONS.get(name)
        if function is not None and name != card["function"]:
            function = Inverse(function)
        copy = copy_of(model, card, function)
    except BadModel:
        raise
    except (OSError, ValueError, LookupError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise BadModel(
            f"{path} holds no whole learned copy ({type(error).__name__}: {error}). Get or train it again."
        ) from None
    return copy
