"""Learned copies on disk: a folder with the card and the weights."""

import contextlib
import hashlib
import io
import pickle
from pathlib import Path
from typing import Any, cast

import keras
import numpy as np

from urlseq.cards import CARD, FORMAT, bad_model, card_file, folder_of, locked, read, write_file
from urlseq.decoding import Decoder
from urlseq.errors import Forked
from urlseq.functions import Function
from urlseq.gallery import known_functions
from urlseq.inverse import InverseCopy
from urlseq.learned import LearnedCopy
from urlseq.model import Architecture, build_model


def save(copy: LearnedCopy, folder: str | Path) -> Path:
    """Writes a copy into a folder, whole or not at all, and returns the folder.

    The weights' file is named by its own hash; the card, put in place last, names it: a reader never sees a mixture.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    weights = {variable.path.replace("/", "."): shortest(np.asarray(variable)) for variable in copy.model.weights}
    np.savez_compressed(buffer, **cast(dict[str, Any], weights))
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    name = f"weights-{digest[:12]}.npz"
    card = {key: value for key, value in copy.card.items() if key != "litert"}  # that file is in another folder
    card |= {"format": FORMAT, "weights": name, "sha256": digest}
    with locked(folder):  # until its card is in place, another writer's weights look like those of an earlier copy
        write_file(folder / name, buffer.getvalue())
        write_file(folder / CARD, card_file(card))
        for path in (*folder.glob("weights-*"), *folder.glob("litert-*")):  # of an earlier copy, or of a killed process
            if path.name != name:
                path.unlink(missing_ok=True)
    return folder


def shortest(weights: np.ndarray) -> np.ndarray:
    """The weights as 16-bit floats where these hold each of them exactly, else as they are."""
    with np.errstate(over="ignore"):
        halves = weights.astype(np.float16)
    return halves if np.array_equal(halves, weights) else weights


def load(folder: str | Path, function: Function | None = None) -> LearnedCopy:
    """A copy from its folder, or a shipped one by its name, such as `urlparse`.

    The real function is found by itself if it is `urlparse` or one of the gallery's. Any other that a card names is
    not imported, since that would let a file decide which code runs. Raises BadModel.
    """
    path = folder_of(folder)
    Decoder.check_process()
    with bad_model(path):
        card, data = read(path)
        model = build_model(Architecture(**card["architecture"]))
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            model.set_weights([arrays[variable.path.replace("/", ".")] for variable in model.weights])
        known = known_functions().get(card["task"]["function"])
        return copy_of(model, card, known if function is None else function)


def restored(card: dict, weights: list[np.ndarray], pickled: bytes) -> LearnedCopy:
    """A copy that was pickled, with its function if that was, and is found here."""
    model = function = None
    with contextlib.suppress(Forked):  # if this failed, a pool of processes would wait for ever: the calls fail
        Decoder.check_process()
        model = build_model(Architecture(**card["architecture"]))
        model.set_weights(weights)
    with contextlib.suppress(Exception):  # such as a function of a notebook, which is not found elsewhere
        function = pickle.loads(pickled)
    return copy_of(model, card, function)


def copy_of(model: keras.Model, card: dict, function: Function | None) -> LearnedCopy:
    """The copy, or the inverse, that a card describes."""
    return (InverseCopy if card["task"]["inverse"] else LearnedCopy)(model, card, function)
