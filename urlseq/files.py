"""Files and folders that are there whole or not at all, whoever is killed meanwhile and however many write at once."""

import contextlib
import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path


def write_file(path: Path, data: bytes) -> None:
    """Writes a file whole or not at all: into one beside it first, which then takes its place."""
    temporary = beside(path)
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    except OSError as error:  # of a full disk, Python doesn't say which file it was for
        raise OSError(error.errno, f"{error.strerror}, so it was not written", str(path)) from None
    finally:
        temporary.unlink(missing_ok=True)


def beside(path: Path, ending: str = "part") -> Path:
    """A free name beside `path` that is this process' own, for what is to take its place, or makes place for it.

    What processes that were killed have left under such names is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    left = re.compile(rf"{re.escape(path.name)}\.(\d{{1,9}})\.{ending}")
    for other in path.parent.iterdir():
        found = left.fullmatch(other.name)
        # In a container, the next process often has the number of the one that was killed.
        if found and (int(found[1]) == os.getpid() or not runs(int(found[1]))):
            remove(other)
    return path.with_name(f"{path.name}.{os.getpid()}.{ending}")


def runs(process: int) -> bool:
    try:
        os.kill(process, 0)  # sends nothing
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One process at a time is in here, of all that lock this folder. Who is killed holds no lock any more."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some file systems of networks know no locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
