"""Where the inputs come from. Whatever it is, training sees one thing: a sampler, `random.Random -> str`."""

import gzip
import importlib.util
import json
import random
import re
import zlib
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from urlseq.functions import Inverse, UnfitFunction, name_of
from urlseq.sampler import Sampler, is_held_out
from urlseq.tables import TableSampler
from urlseq.vectorize import BadText, is_unicode, shown

Inputs = Sampler | Sequence[str] | pa.Array | str | Path


def sampler_of(inputs: Inputs) -> Sampler:
    """A sampler from a sampler, from a list, an Arrow array, or a file (text, gzipped text, or parquet).

    A folder of parquet files may be of any size: only parts of it are ever in memory.
    """
    if callable(inputs):
        return inputs
    if isinstance(inputs, str | Path) and Path(inputs).is_dir():
        return TableSampler(inputs)
    texts = read_texts(inputs) if isinstance(inputs, str | Path) else inputs
    texts = texts.to_pylist() if isinstance(texts, pa.Array | pa.ChunkedArray) else list(texts)
    if not texts:
        raise ValueError("There are no inputs: the list or file is empty.")
    return lambda rng: rng.choice(texts)


def read_texts(path: str | Path, column: str = "url") -> list[str]:
    """Texts of a file: one a line of UTF-8 (`.gz` is unpacked), or a parquet file's `column` without its nulls.

    Raises ValueError where the column is missing or holds no text, and where the file is damaged.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}.")
    if path.is_dir() or path.suffix == ".parquet":
        names = pa.parquet.ParquetDataset(path).schema.names
        if column not in names:
            raise ValueError(f"{path} has no column {column!r}; it has {', '.join(names)}.")
        values = pa.parquet.read_table(path, columns=[column])[column].drop_null()
        texts = values.to_pylist()
        if texts and not isinstance(texts[0], str):
            raise ValueError(f"Column {column!r} of {path} holds {values.type}, not text. Make text of it first.")
        return texts
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8", newline="\n") as lines:
            return [line.removesuffix("\n") for line in lines]
    except UnicodeDecodeError as error:
        raise BadText(f"{path} is not UTF-8 text ({error.reason} at byte {error.start:,}).") from None
    except (gzip.BadGzipFile, zlib.error, EOFError):
        raise ValueError(f"{path} is no whole gzip file. Get it again.") from None


def texts_for(sampler: Sampler, rng: random.Random, count: int, held_out: bool, check=None) -> list[str]:
    """`count` texts of the sampler, all held out or none. Each is checked: it has to be text without NUL.

    Raises ValueError where the sampler yields too few distinct texts to find any of that side.
    """
    texts: list[str] = []
    rejected = 0
    # A sampler may know better what belongs together, such as all URLs of a host.
    on_held_out_side = getattr(sampler, "is_held_out", is_held_out)
    while len(texts) < count:
        text = sampler(rng)
        if not isinstance(text, str):
            raise TypeError(f"Inputs have to be text, but there is {text!r}.")
        if "\0" in text or not is_unicode(text):
            raise BadText(f"The input {shown(text)} holds NUL or half a surrogate pair. Mend or drop it.")
        if on_held_out_side(text) == held_out and (check is None or check(text)):
            texts.append(text)
            continue
        rejected += 1
        if rejected > 1000 and rejected > 200 * (len(texts) + 1):
            side = "held out for validation" if held_out else "left for training"
            raise ValueError(
                f"Hardly any input is {side} (each is by a hash of its bytes, or it is too long): the last of "
                f"{rejected:,} that were not is {shown(text)}. Give more, and more different, or shorter, inputs."
            )
    return texts


def pairs(function: Inverse, sampler: Sampler) -> Sampler:
    """A sampler of the inverse's inputs, each with its answer: what `function` makes of the texts of `sampler`.

    Values of which it makes nothing, since it raises, are left out. What the sampler itself holds out is held out;
    by default, each input by its own bytes.
    """

    def sample(rng: random.Random) -> str:
        for _ in range(1000):
            value = sampler(rng)
            try:
                return function.pair(value)
            except Exception as error:
                raised = error
        raise UnfitFunction(
            f"{name_of(function.function)} raises on each of 1,000 inputs: {type(raised).__name__} on {value!r}."
        )

    if rule := getattr(sampler, "is_held_out", None):
        sample.is_held_out = lambda text: rule(json.loads(text.answer))
    return sample


def registry_urls() -> list[str]:
    """The addresses in the data files of the package `bioregistry` (CC0), sorted, each once.

    38,000 real URLs on 10,800 hosts, to look at and to evaluate on; nothing trains on them. The package is
    read, not imported.
    """
    spec = importlib.util.find_spec("bioregistry")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("Real URLs come from the package bioregistry: pip install --no-deps bioregistry")
    address = re.compile(r"https?://[^\s\"'<>\\{}|^`]+")
    found: set[str] = set()
    for path in Path(spec.submodule_search_locations[0]).rglob("*"):
        if path.suffix in (".json", ".csv", ".tsv", ".yml"):
            found.update(address.findall(path.read_text(encoding="utf-8", errors="ignore")))
    return sorted({text.rstrip(".,;)]") for text in found} - {""})
