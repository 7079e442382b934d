"""`copy_function` ties the road together; a `LearnedCopy` is what comes out of it."""

import dataclasses
import hashlib
import io
import json
import platform
import random
import zipfile
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from urlseq.decode import GreedyDecoder
from urlseq.evaluate import (
    Attempts,
    Evaluation,
    Prediction,
    compare,
    interval,
    reasons_against,
    threshold_for,
)
from urlseq.functions import Function, UnfitFunction, answers, function_named, name_of
from urlseq.model import Architecture, build_model, masked_crossentropy
from urlseq.sampler import urls
from urlseq.sources import Inputs, sampler_of, texts_for
from urlseq.training import SHORT_FIRST_EXAMPLES, Batches, Budget, Validation, by_length, train, write_file
from urlseq.vectorize import BadText, byte_lengths, shown, to_matrix

FORMAT = 1
CARD = "copy.json"
# Of the answers that a copy calls trusted, no more than this share may be wrong on the held-out inputs. Half of the
# default ones are noise, far harder than real URLs: on these, next to none of the trusted answers is wrong.
TRUSTED_RISK = 0.003
# Functions that a card may bring in by their name: they compute, and do nothing else.
KNOWN_FUNCTIONS = {"urllib.parse.urlparse"}
SHIPPED = Path(__file__).parent.parent / "models"


class BadModel(ValueError):
    """A folder that holds no copy, or a damaged one; the message says what to do."""


def copy_function(
    function: Function,
    inputs: Inputs | None = None,
    *,
    max_bytes: int = 128,
    minutes: float | None = None,
    examples: int | None = None,
    folder: str | Path | None = None,
    architecture: Architecture = Architecture(),
    loss=masked_crossentropy,
    learning_rate: float = 3e-3,
    batch_size: int = 64,
    epoch_batches: int = 400,
    validation_count: int = 2000,
    attempts: int | Sequence[str] = 4,
    seed: int = 0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: bool = True,
) -> "LearnedCopy":
    """Learns to copy `function` (any `str -> JSON`) from examples, and returns the copy.

    `inputs` may be a sampler (`random.Random -> str`), a list of texts, an Arrow array or a file; by default
    URLs of all kinds. Those longer than `max_bytes` are left out. Training ends with `minutes` or `examples`,
    whichever is used up first (10 minutes if neither is given). With a `folder`, the copy is saved there, and
    a training that was interrupted goes on where it stopped when the same call is made again.
    `attempts` are texts to show at each epoch, or how many held-out ones.

    Raises UnfitFunction where the function's values can't be JSON, BadText where inputs are not usable text.
    """
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

    def fits(text: str) -> bool:
        return len(text.encode()) <= max_bytes

    held_out = texts_for(sampler, random.Random(f"{seed} held out"), validation_count, held_out=True, check=fits)
    wanted = answers(function, held_out)
    check_answers(function, held_out, wanted)

    model = build_model(architecture)
    # A small budget has to see long inputs, too.
    short_first = min(SHORT_FIRST_EXAMPLES, examples // 4) if examples else SHORT_FIRST_EXAMPLES
    batches = Batches(function, sampler, fits, seed, epoch_batches, batch_size, short_first=short_first)
    settings = {
        "function": name_of(function),
        "max_bytes": max_bytes,
        "architecture": dataclasses.asdict(architecture),
        "minutes": minutes,
        "examples": examples,
        "loss": loss.__name__,
        "learning_rate": learning_rate,
        "batch_size": batch_size,
        "epoch_batches": epoch_batches,
        "seed": seed,
        # Another sampler under the same name must not go on with this one's state.
        "held_out": hashlib.sha256(json.dumps([held_out, wanted]).encode()).hexdigest(),
    }
    watch = list(attempts) if not isinstance(attempts, int) else held_out[:attempts]
    state = Path(folder) / "training.npz" if folder is not None else None
    keeper = train(
        model,
        batches,
        Validation(held_out, wanted) if held_out else None,
        Budget(minutes, examples),
        loss=loss,
        learning_rate=learning_rate,
        state=state,
        settings=settings,
        callbacks=[*([Attempts(function, watch)] if watch else []), *callbacks],
        verbose=verbose,
    )
    card = {
        "format": FORMAT,
        **{name: value for name, value in settings.items() if name != "held_out"},
        "bytes_seen": np.flatnonzero(batches.bytes_seen).tolist(),
        "longest_answer": batches.longest_answer,
        "threshold": 1.0,
        "history": keeper.history,
        "versions": {"python": platform.python_version(), "keras": keras.__version__, "numpy": np.__version__,
                     "backend": keras.backend.backend()},
    }  # fmt: skip
    copy = LearnedCopy(model, card, function)
    if held_out:
        # The best epoch was chosen on `held_out`; what is reported comes from texts that had no part in it.
        count = 5 * validation_count
        copy.calibrate(texts_for(sampler, random.Random(f"{seed} calibration"), count, held_out=True, check=fits))
    if folder is not None:
        copy.save(folder)
        state.unlink(missing_ok=True)
    return copy


def check_answers(function: Function, texts: Sequence[str], wanted: Sequence[str]) -> None:
    """Raises UnfitFunction where there is nothing to learn, with an example."""
    if texts and all(answer.startswith('{"error":') for answer in wanted):
        raise UnfitFunction(
            f"{name_of(function)} raises on each of {len(texts):,} inputs: {wanted[0]} on {texts[0]!r}."
        )
    if len(texts) > 1 and len(set(wanted)) == 1:
        raise UnfitFunction(f"{name_of(function)} says {wanted[0]} to each of {len(texts):,} inputs: nothing to learn.")
    for text, answer in zip(texts[:100], wanted, strict=False):
        # str: a text that carries its answer would only repeat it.
        if answers(function, [str(text)]) != [answer]:
            raise UnfitFunction(
                f"{name_of(function)}({text!r}) is not what it was before: either it gives another value each time, "
                "and can't be copied, or the answers kept with the inputs are those of another function."
            )


class LearnedCopy:
    """A learned copy of a function: call it with a text or with a list of texts."""

    def __init__(self, model: keras.Model, card: dict, function: Function | None = None):
        """`card` is what is known of the copy, plain JSON; `function` is the real one, for evaluation and fallback."""
        self.model, self.card, self.function = model, card, function
        self.decoder = GreedyDecoder(model)
        self.bytes_seen = np.zeros(256, bool)
        self.bytes_seen[card["bytes_seen"]] = True

    def __repr__(self) -> str:
        weights = f"{self.model.count_params():,} weights"
        return f"<copy of {self.card['function']}, {weights}, inputs up to {self.max_bytes} bytes>"

    @property
    def max_bytes(self) -> int:
        return self.card["max_bytes"]

    @property
    def limit(self) -> int:
        """How many bytes an answer may have before it is given up."""
        return 2 * self.card["longest_answer"]

    def __call__(self, text: str | Sequence[str], fallback: bool = False):
        """The value for a text, or a list of values for a list of texts.

        Raises BadText on a text that is too long, holds NUL or half a surrogate pair. With `fallback` the real
        function answers these, and each one whose answer is not trusted.
        """
        if isinstance(text, str):
            return self([text], fallback)[0]
        texts = list(text)
        if not fallback:
            return [prediction.value for prediction in self.predict(texts)]
        if self.function is None:
            raise ValueError("There is no function to fall back on: load(folder, function=...) brings it in.")
        usable = [row for row, text in enumerate(texts) if self.refusal(text) is None]
        values = {row: p.value for row, p in zip(usable, self.predict([texts[row] for row in usable]), strict=True)
                  if p.trusted}  # fmt: skip
        return [values[row] if row in values else json.loads(answers(self.function, [text])[0])
                for row, text in enumerate(texts)]  # fmt: skip

    def refusal(self, text: str) -> str | None:
        """Why a text can't be an input at all; None for one that can."""
        try:
            to_matrix([text], self.max_bytes + 1)
        except (BadText, TypeError) as error:
            return str(error)
        return None

    def predict(self, text: str | Sequence[str]) -> Prediction | list[Prediction]:
        """The record for a text, or a list of records: value, text, confidence, trusted and the reason if not."""
        if isinstance(text, str):
            return self.predict([text])[0]
        texts = list(text)
        got, confidence, ended = [""] * len(texts), np.ones(len(texts), np.float32), np.ones(len(texts), bool)
        self.check(texts)
        for rows in by_length(texts, [""] * len(texts)):
            decoded = self.decoder(to_matrix([texts[row] for row in rows]), self.limit)
            confidence[rows], ended[rows] = decoded.confidence, decoded.ended
            for row, answer in zip(rows, decoded.texts, strict=True):
                got[row] = answer
        reasons = self.reasons(texts, got, confidence, ended)
        return [
            Prediction(value_of(answer), answer, float(sure), not reason, reason)
            for answer, sure, reason in zip(got, confidence, reasons, strict=True)
        ]

    def check(self, texts: list[str]) -> None:
        """Raises BadText for the first text that can't be an input."""
        lengths = byte_lengths(texts)
        if lengths.max(initial=0) > self.max_bytes:
            row = int(np.argmax(lengths > self.max_bytes))
            raise BadText(
                f"{shown(texts[row])} has {lengths[row]:,} bytes, and this copy of {self.card['function']} learned "
                f"{self.max_bytes} at most. Train one with a larger max_bytes, or call with fallback=True."
            )
        for text in texts:
            if "\0" in text:
                raise BadText(
                    f"{shown(text)} holds a NUL character, which marks padding. Drop it, or call with fallback=True."
                )

    def reasons(self, texts, got, confidence, ended) -> list[str]:
        return reasons_against(texts, got, confidence, ended, self.card["threshold"], self.bytes_seen)

    def trusted(self, texts, got, confidence, ended) -> np.ndarray:
        return np.array([not reason for reason in self.reasons(texts, got, confidence, ended)], bool)

    def attention(self, text: str) -> tuple[str, np.ndarray]:
        """The answer, and how much each of its bytes (rows, with the end mark) attends to each of the input's."""
        self.check([text])
        decoded = self.decoder(to_matrix([text]), self.limit, attention=True)
        return decoded.texts[0], decoded.attention[0]

    def evaluate(self, texts: Sequence[str]) -> Evaluation:
        """The copy's answers beside the function's. Raises BadText where a text can't be an input."""
        if self.function is None:
            raise ValueError("There is no function to compare with: load(folder, function=...) brings it in.")
        texts = list(texts)
        self.check(texts)
        wanted, got, confidence, ended = compare(self.decoder, self.function, texts, self.limit)
        return Evaluation(texts, wanted, got, confidence, self.trusted(texts, got, confidence, ended))

    def calibrate(self, texts: Sequence[str]) -> None:
        """Sets from held-out texts the confidence from which on answers are trusted, and notes the exact match."""
        wanted, got, confidence, ended = compare(self.decoder, self.function, texts, self.limit)
        right = np.array([answer == text for answer, text in zip(wanted, got, strict=True)], bool)
        self.card["threshold"] = threshold_for(confidence, right, TRUSTED_RISK)
        counts = Evaluation(texts, wanted, got, confidence, self.trusted(texts, got, confidence, ended)).counts
        self.card["held_out"] = counts | {"interval": interval(counts["exact"], counts["count"])}

    def save(self, folder: str | Path) -> Path:
        """Writes the copy into a folder, whole or not at all.

        The weights' file is named by its own hash; the card, put in place last, names it. So whoever reads or
        writes at the same time sees one copy or the other, never a mixture.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer, **{variable.path.replace("/", "."): np.asarray(variable) for variable in self.model.weights}
        )
        digest = hashlib.sha256(buffer.getvalue()).hexdigest()
        name = f"weights-{digest[:12]}.npz"
        previous = {path for path in folder.glob("weights-*.npz") if path.name != name}
        write_file(folder / name, buffer.getvalue())
        card = self.card | {"weights": name, "sha256": digest}
        write_file(folder / CARD, (json.dumps(card, indent=1) + "\n").encode())
        for path in previous:
            path.unlink(missing_ok=True)
        return folder


def value_of(answer: str):
    """The JSON value of an answer; None where it is no JSON (its prediction is then not trusted)."""
    try:
        return json.loads(answer)
    except ValueError:
        return None


def load(folder: str | Path, function: Function | None = None) -> LearnedCopy:
    """A copy from its folder, or a shipped one by its name, such as `urlparse`.

    The real function is found by itself if it is one of KNOWN_FUNCTIONS. What else a card names is not imported,
    since that would let a file decide which code runs. Raises BadModel.
    """
    path = Path(folder)
    if not path.exists() and len(path.parts) == 1 and (SHIPPED / path).is_dir():
        path = SHIPPED / path
    if not (path / CARD).is_file():
        shipped_names = ", ".join(sorted(card.parent.name for card in SHIPPED.glob(f"*/{CARD}")))
        raise BadModel(f"There is no learned copy in {path} (no {CARD}). Shipped ones: {shipped_names or 'none'}.")
    try:
        card = json.loads((path / CARD).read_text(encoding="utf-8"))
        if card["format"] != FORMAT:
            raise BadModel(f"{path} is of format {card['format']}; this version reads format {FORMAT}. Train it again.")
        if missing := {"function", "max_bytes", "longest_answer", "threshold", "bytes_seen"} - card.keys():
            raise BadModel(f"{path / CARD} lacks {', '.join(sorted(missing))}. Get the copy again, or train it again.")
        weights_file = path / Path(card["weights"]).name
        data = weights_file.read_bytes()
        if hashlib.sha256(data).hexdigest() != card["sha256"]:
            raise BadModel(f"{weights_file} is damaged: its hash is not the one in {CARD}. Get or train it again.")
        model = build_model(Architecture(**card["architecture"]))
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            model.set_weights([arrays[variable.path.replace("/", ".")] for variable in model.weights])
        if function is None and card["function"] in KNOWN_FUNCTIONS:
            function = function_named(card["function"])
        copy = LearnedCopy(model, card, function)
    except BadModel:
        raise
    except (OSError, ValueError, LookupError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise BadModel(
            f"{path} holds no whole learned copy ({type(error).__name__}: {error}). Get or train it again."
        ) from None
    return copy
