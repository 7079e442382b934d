"""Where the inputs come from. Whatever it is, training sees one thing: a sampler, `random.Random -> str`."""

import gzip
import importlib.util
import random
import re
import zlib
from collections.abc import Iterable
from pathlib import Path

from urlseq.errors import BadSource, InvalidInput, InvalidSetting, MissingPackage, MissingSource
from urlseq.sampling import Sampler, held_out_rule
from urlseq.vectorize import invalid_reason, shown

# A sampler, texts (a list, an Arrow array), or the path of a file or a folder of parquet files.
InputSource = Sampler | Iterable[str] | str | Path


def sampler_of(source: InputSource) -> Sampler:
    """A sampler from a sampler, from a list, an Arrow array, or a file (text, gzipped text, or parquet).

    A folder of parquet files may be of any size: only parts of it are ever in memory. Raises InvalidSetting where
    there are no inputs.
    """
    if isinstance(source, str | Path):
        if Path(source).is_dir():
            from urlseq.tables import TableSampler

            return TableSampler(source)
        source = read_inputs(source)
    if callable(source):
        return source
    inputs = source.to_pylist() if hasattr(source, "to_pylist") else list(source)
    if not inputs:
        raise InvalidSetting("There are no inputs: the list or file is empty.")
    return lambda rng: rng.choice(inputs)


def read_inputs(path: str | Path, column: str = "url") -> list[str]:
    """The inputs in a file: one a line of UTF-8 (`.gz` is unpacked), or a parquet file's `column` without its nulls.

    Raises MissingSource, and BadSource where the column is missing or holds no text, and where the file is damaged.
    """
    path = Path(path)
    if not path.exists():
        raise MissingSource(f"There is no file {path}.")
    if path.is_dir() or path.suffix == ".parquet":
        from urlseq.tables import read_column

        return read_column(path, column)
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8", newline="\n") as lines:
            return [line.removesuffix("\n") for line in lines]
    except UnicodeDecodeError as error:
        raise BadSource(f"{path} is not UTF-8 text ({error.reason} at byte {error.start:,}).") from None
    except (gzip.BadGzipFile, zlib.error, EOFError):
        raise BadSource(f"{path} is no whole gzip file. Get it again.") from None


def draw(sampler: Sampler, rng: random.Random, count: int, held_out: bool, max_input_bytes: int) -> list[str]:
    """`count` inputs of at most `max_input_bytes` bytes from the sampler, all held out or none of them.

    Raises WrongType or InvalidInput on what can't be an input at all, and InvalidSetting where the sampler yields
    too few distinct inputs to find any of that side.
    """
    inputs: list[str] = []
    rejected, is_held_out = 0, held_out_rule(sampler)
    while missing := count - len(inputs):
        drawn = [sampler(rng) for _ in range(missing)]
        reasons = [invalid_reason(text, max_input_bytes) for text in drawn]
        for text, reason in zip(drawn, reasons, strict=True):
            if reason and len(text.encode("utf-8", "replace")) <= max_input_bytes:
                raise InvalidInput(f"{shown(text)} can't be an input: {reason}. Mend or drop it.")
        valid = [text for text, reason in zip(drawn, reasons, strict=True) if not reason]
        inputs += [text for text in valid if is_held_out(text) == held_out]
        rejected += count - len(inputs)
        if rejected > 1000 and rejected > 200 * (len(inputs) + 1):
            side = "held out for validation" if held_out else "left for training"
            raise InvalidSetting(
                f"Hardly any input is {side} (each is by a hash of its bytes, or it is too long), such as "
                f"{shown(drawn[-1])}: {rejected:,} were not. Give more, and more different, or shorter, inputs."
            )
    return inputs


def registry_urls() -> list[str]:
    """The addresses in the data files of the package `bioregistry` (CC0), sorted, each once.

    38,000 real URLs on 10,800 hosts, to look at and to evaluate on; nothing trains on them. The package is
    read, not imported. Raises MissingPackage.
    """
    spec = importlib.util.find_spec("bioregistry")
    if spec is None or not spec.submodule_search_locations:
        raise MissingPackage("Real URLs come from the package bioregistry: pip install --no-deps bioregistry")
    address = re.compile(r"https?://[^\s\"'<>\\{}|^`]+")
    found: set[str] = set()
    for path in Path(spec.submodule_search_locations[0]).rglob("*"):
        if path.suffix in (".json", ".csv", ".tsv", ".yml"):
            found.update(address.findall(path.read_text(encoding="utf-8", errors="ignore")))
    return sorted({url.rstrip(".,;)]") for url in found} - {""})
