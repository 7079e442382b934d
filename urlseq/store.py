"""Learned copies on disk: a folder with the card, plain JSON, and the weights. Each is written whole or not at all."""

import contextlib
import fcntl
import hashlib
import io
import json
import os
import pickle
import re
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlparse

import keras
import numpy as np

from urlseq.decoding import Decoder
from urlseq.errors import BadModel, Forked
from urlseq.functions import Function, Inverse, name_of
from urlseq.learned import LearnedCopy
from urlseq.model import Architecture, build_model
from urlseq.vectorize import ENCODING

FORMAT = 4
CARD = "copy.json"
SHIPPED = Path(__file__).parent / "models"


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
    card = copy.card | {"format": FORMAT, "weights": name, "sha256": digest}
    with locked(folder):  # until its card is in place, another writer's weights look like those of an earlier copy
        write_file(folder / name, buffer.getvalue())
        write_file(folder / CARD, (json.dumps(card, indent=1) + "\n").encode())
        for path in folder.glob("weights-*"):  # of an earlier copy, or of a process that was killed
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
    try:
        with locked(path):  # no writer is in mid-change now
            card = json.loads((path / CARD).read_text(encoding="utf-8"))
            check_card(path, card)
            weights_file = path / Path(card["weights"]).name
            data = weights_file.read_bytes()
        if hashlib.sha256(data).hexdigest() != card["sha256"]:
            raise BadModel(f"{weights_file} is damaged: its hash is not the one in {CARD}. Get or train it again.")
        model = build_model(Architecture(**card["architecture"]))
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            model.set_weights([arrays[variable.path.replace("/", ".")] for variable in model.weights])
        if function is None:
            function = known_functions().get(card["task"]["function"])
        return copy_of(model, card, Inverse(function) if function is not None and card["task"]["inverse"] else function)
    except BadModel:
        raise
    except (OSError, ValueError, LookupError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        what = f"{path} holds no whole learned copy ({type(error).__name__}: {error})"
        raise BadModel(f"{what}. Get or train it again.") from None


def folder_of(folder: str | Path) -> Path:
    """The folder itself, or that of the shipped copy with this name. Raises BadModel where it has no card."""
    path = Path(folder)
    if not path.exists() and len(path.parts) == 1 and (SHIPPED / path).is_dir():
        path = SHIPPED / path
    if not (path / CARD).is_file():
        names = ", ".join(sorted(card.parent.name for card in SHIPPED.glob(f"*/{CARD}")))
        raise BadModel(f"There is no learned copy in {path} (no {CARD}). Shipped ones: {names or 'none'}.")
    return path


def check_card(path: Path, card: dict) -> None:
    if card["format"] != FORMAT:
        raise BadModel(f"{path} is of format {card['format']}; this version reads format {FORMAT}. Train it again.")
    needed = {"encoding", "task", "architecture", "longest_answer", "threshold", "bytes_seen", "weights", "sha256"}
    of_task = {"function", "inverse", "max_input_bytes", "reverse_output"}
    if missing := needed - card.keys() or of_task - card["task"].keys():
        raise BadModel(f"{path / CARD} lacks {', '.join(sorted(missing))}. Get the copy again, or train it again.")
    if (encoding := card["encoding"]) != ENCODING:
        raise BadModel(f"{path} writes answers as {encoding!r}; this version reads {ENCODING!r}. Train it again.")


class NoAnswer:
    """Stands for a copy that can't answer here: a pool of processes would wait for ever if unpickling it failed."""

    def __call__(self, *_, **__):
        Decoder.check_process()

    def __getattr__(self, name: str):
        return self


def restored(card: dict, weights: list[np.ndarray], pickled: bytes | None) -> LearnedCopy:
    """A copy that was pickled, with its function if that was, and is found here."""
    try:
        Decoder.check_process()
    except Forked:
        return cast(LearnedCopy, NoAnswer())
    model = build_model(Architecture(**card["architecture"]))
    model.set_weights(weights)
    function = None
    with contextlib.suppress(Exception):  # such as a function of a notebook, which is not found elsewhere
        function = pickle.loads(pickled) if pickled else None
    return copy_of(model, card, function)


def copy_of(model: keras.Model, card: dict, function: Function | None) -> LearnedCopy:
    """The copy, or the inverse, that a card describes."""
    if card["task"]["inverse"]:
        from urlseq.inverse import InverseCopy

        return InverseCopy(model, card, function)
    return LearnedCopy(model, card, function)


def known_functions() -> dict[str, Function]:
    """The functions that a card may bring in by their names: they compute, and do nothing else."""
    from urlseq.gallery import GALLERY

    functions = [urlparse, *(entry.task.function or entry.task.inverse for entry in GALLERY.values())]
    return {name_of(function): function for function in functions if function}


def write_file(path: Path, data: bytes) -> None:
    """Writes a file whole or not at all: under a temporary name first, then it is renamed."""
    temporary = temporary_path(path)
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    except OSError as error:  # for a full disk, Python doesn't name the file
        raise OSError(error.errno, f"{error.strerror}, so it was not written", str(path)) from None
    finally:
        temporary.unlink(missing_ok=True)


def replace_folder(folder: Path, new: Path) -> None:
    """Puts the new folder in the place of the old one, which is removed only after that."""
    with locked(folder.parent):
        old = temporary_path(folder, "old")
        if folder.exists():
            os.rename(folder, old)
        os.rename(new, folder)
    shutil.rmtree(old, ignore_errors=True)


def temporary_path(path: Path, ending: str = "part") -> Path:
    """A free name next to `path` that is this process' own. Leftovers of killed processes are removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    leftover = re.compile(rf"{re.escape(path.name)}\.(\d{{1,9}})\.{ending}")
    for other in path.parent.iterdir():
        found = leftover.fullmatch(other.name)
        # In a container, the next process often has the number of the one that was killed.
        if found and (int(found[1]) == os.getpid() or not is_running(int(found[1]))):
            shutil.rmtree(other, ignore_errors=True) if other.is_dir() else other.unlink(missing_ok=True)
    return path.with_name(f"{path.name}.{os.getpid()}.{ending}")


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)  # sends nothing
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Only one process at a time gets in, of all that lock this folder. A killed one holds no lock any more."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network file systems have no locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
