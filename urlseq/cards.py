"""Folders of learned copies: the card, plain JSON, says what a copy is. Each file is written whole or not at all."""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

from urlseq.encoding import ENCODING
from urlseq.errors import BadModel

FORMAT = 4
CARD = "copy.json"
SHIPPED = Path(__file__).parent / "models"


def folder_of(folder: str | Path) -> Path:
    """The folder itself, or that of the shipped copy with this name. Raises BadModel where it has no card."""
    path = Path(folder)
    if not path.exists() and len(path.parts) == 1 and (SHIPPED / path).is_dir():
        path = SHIPPED / path
    if not (path / CARD).is_file():
        names = ", ".join(sorted(card.parent.name for card in SHIPPED.glob(f"*/{CARD}")))
        raise BadModel(f"There is no learned copy in {path} (no {CARD}). Shipped ones: {names or 'none'}.")
    return path


def read_card(path: Path) -> dict:
    """The card in a copy's folder. Raises BadModel where it is not such as this version reads."""
    card = json.loads((path / CARD).read_text(encoding="utf-8"))
    if card["format"] != FORMAT:
        raise BadModel(f"{path} is of format {card['format']}; this version reads format {FORMAT}. Train it again.")
    needed = {"encoding", "task", "architecture", "longest_answer", "threshold", "bytes_seen", "weights", "sha256"}
    of_task = {"function", "inverse", "max_input_bytes", "reverse_output"}
    if missing := needed - card.keys() or of_task - card["task"].keys():
        raise BadModel(f"{path / CARD} lacks {', '.join(sorted(missing))}. Get the copy again, or train it again.")
    if (encoding := card["encoding"]) != ENCODING:
        raise BadModel(f"{path} writes answers as {encoding!r}; this version reads {ENCODING!r}. Train it again.")
    return card


def card_file(card: dict) -> bytes:
    """The content of a card's file."""
    return (json.dumps(card, indent=1) + "\n").encode()


def read(path: Path, kind: str = "weights") -> tuple[dict, bytes]:
    """The card in a copy's folder, and its "weights" or "litert" file, b"" where it names none. Raises BadModel."""
    with locked(path):  # no writer is in mid-change now
        card = read_card(path)
        if kind not in card:
            return card, b""
        name, digest = card["litert"] if kind == "litert" else (card["weights"], card["sha256"])
        file = path / Path(name).name
        data = file.read_bytes()
    if hashlib.sha256(data).hexdigest() != digest:
        raise BadModel(f"{file} is damaged: its hash is not the one in {CARD}. Get or train it again.")
    return card, data


# What JSON, numpy, zipfile, Keras and LiteRT raise on files that are damaged.
DAMAGED = (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, struct.error, zipfile.BadZipFile)


@contextlib.contextmanager
def bad_model(path: Path) -> Iterator[None]:
    """Whatever is raised in here says that the folder holds no whole copy: as BadModel."""
    try:
        yield
    except BadModel:
        raise
    except DAMAGED as error:
        what = f"{path} holds no whole learned copy ({type(error).__name__}: {error})"
        raise BadModel(f"{what}. Get or train it again.") from None


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
    except OSError as error:
        return isinstance(error, PermissionError)  # somebody else's
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
