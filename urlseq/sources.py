"""Where the inputs come from. Whatever it is, training sees one thing: a sampler, `random.Random -> str`."""

import gzip
import importlib.util
import itertools
import json
import random
import re
import warnings
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from urlseq.encoding import input_list, invalid_reason, shown
from urlseq.errors import BadSource, InvalidInput, InvalidSetting, MissingColumns, MissingPackage, MissingSource
from urlseq.sampling import ListSampler, Sampler, held_out_rule
from urlseq.vectorize import to_arrow

# A sampler, texts (a list, an Arrow array), or the path of a file or a folder of parquet files.
InputSource = Sampler | Iterable[str] | str | Path
FEWEST_INPUTS = 10  # a list of fewer is refused


def sampler_of(source: InputSource, column: str | None = None) -> Sampler:
    """A sampler from a sampler, from a list, an Arrow array, or a file or folder as of `read_inputs`; of what a regular
    expression matches, which is any other text, or of a strategy of hypothesis.

    Tables of parquet with a column `answer`, JSON, bring the inputs' answers along. A folder may be of any size: only
    parts of it are ever in memory. Raises InvalidSetting where there are no inputs.
    """
    if isinstance(source, str) or type(source).__module__.startswith("hypothesis."):
        from urlseq.samplers.strategies import StrategySampler, is_expression, matching

        if not isinstance(source, str):
            return StrategySampler(source)
        if is_expression(source):
            return matching(source)
    if isinstance(source, str | Path):
        if kind_of(path := Path(source)) == "parquet":
            from urlseq.tables import TableSampler, column_names

            if "answer" in (names := column_names(path)) or path.is_dir():
                return TableSampler(path, input_column(names, column, path))
        source = read_inputs(path, column)
    if callable(source):
        return source
    inputs = input_list(source)
    if not inputs:
        raise InvalidSetting("There are no inputs: the list or file is empty.")
    to_arrow(inputs)  # says which of them is no text
    return ListSampler(inputs)


def kind_of(path: Path) -> str:
    """What a file is by its name, whether gzipped or not: csv, tsv, jsonl, parquet (as a folder is), or text."""
    suffix = Path(re.sub(r"\.gz(ip)?$", "", path.name.lower())).suffix
    kinds = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parq": "parquet", ".pq": "parquet"}
    return "parquet" if path.is_dir() or suffix == ".parquet" else kinds.get(suffix, "text")


def read_inputs(path: str | Path, column: str | None = None) -> list[str]:
    """The inputs in a file: one a line of UTF-8 (`.gz` is unpacked), or the `column` of a table (`.csv`, `.tsv`,
    `.jsonl` or parquet) without its nulls, by default `url` or the only one.

    Raises MissingSource, and BadSource where the column is missing or holds no text, and where the file is damaged.
    """
    if (kind := kind_of(path := Path(path))) == "text":
        return read_lines(path)
    if kind == "parquet":
        from urlseq.tables import column_names, read_column

        return read_column(path, input_column(column_names(path), column, path))
    table = read_table(path)
    return [text for text in table[input_column(list(table), column, path)] if text is not None]


def input_column(names: Sequence[str], column: str | None, path: Path) -> str:
    """The name of the column with the inputs, which may be in another case. Raises MissingColumns."""
    from urlseq.tables import find_columns

    try:
        return find_columns([column or (names[0] if len(names) == 1 else "url")], names, str(path))[0]
    except MissingColumns as error:
        raise MissingColumns(f"{error} Name one: column=..., --column.") from None


def read_lines(path: Path) -> list[str]:
    """The lines of a text file, which only line feeds end. What Windows adds to them is left out, with a warning."""
    try:
        with (gzip.open if path.suffix.lower() == ".gz" else open)(path, "rt", encoding="utf-8", newline="\n") as file:
            text = file.read()
    except FileNotFoundError:
        raise MissingSource(f"There is no file {path}.") from None
    except UnicodeDecodeError as error:
        raise BadSource(f"{path} is not UTF-8 text ({error.reason} at byte {error.start:,}).") from None
    except (gzip.BadGzipFile, zlib.error, EOFError):
        raise BadSource(f"{path} is no whole gzip file. Get it again.") from None
    plain = text.removeprefix("\ufeff")
    if plain.count("\n") == plain.count("\r\n"):
        plain = plain.replace("\r\n", "\n")
    if plain != text:
        warnings.warn(f"{path} comes from Windows: the mark at its beginning, or the CR at the end of each line, is "
                      "left out. To keep it, give a list of lines.", stacklevel=2)  # fmt: skip
    return plain.removesuffix("\n").split("\n") if plain else []


def read_table(path: Path) -> dict[str, list]:
    """The columns of a table by name: text of `.csv` and `.tsv`, else any values. Raises MissingSource, BadSource."""
    if not path.exists():
        raise MissingSource(f"There is no file {path}.")
    if (kind := kind_of(path)) == "parquet":
        from urlseq.tables import column_names, read_columns

        return read_columns(path, column_names(path)).to_pydict()
    try:
        if kind == "jsonl":  # Arrow would make dates of some texts, and add keys to objects
            rows = [json.loads(line) for line in read_lines(path) if line.strip()]
            if not all(isinstance(row, dict) for row in rows):
                raise BadSource('each line has to be an object, such as {"input": "a", "output": 1}')
            return {name: [row.get(name) for row in rows] for name in dict.fromkeys(itertools.chain(*rows))}
        if kind in ("csv", "tsv"):
            return read_csv(path)
    except (ValueError, OSError) as error:
        raise BadSource(f"{path} can't be read as {kind}: {str(error).splitlines()[0]}") from None
    raise BadSource(f"{path} is no table. Save it as .csv, .tsv, .jsonl or parquet.")


def read_csv(path: Path) -> dict[str, list]:
    """The columns of a `.tsv` or a `.csv`. Excel's delimiters differ by country: the first line tells."""
    import pyarrow as pa
    import pyarrow.csv as csv

    with pa.input_stream(str(path)) as stream:
        header = stream.read(4096).partition(b"\n")[0]
    delimiter = max(",;\t", key=lambda mark: header.count(mark.encode())) if kind_of(path) == "csv" else "\t"
    parse = csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    with csv.open_csv(path, parse_options=parse) as stream:
        names = stream.schema.names
    as_text = csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()))
    return csv.read_csv(path, parse_options=parse, convert_options=as_text).to_pydict()


def draw(sampler: Sampler, rng: random.Random, count: int, held_out: bool, max_input_bytes: int) -> list[str]:
    """`count` inputs of at most `max_input_bytes` bytes from the sampler, all held out or none of them. Of a list each
    held-out input comes once, so they may be fewer.

    Raises WrongType or InvalidInput on what can't be an input at all, and InvalidSetting where the sampler yields
    too few distinct inputs to find any of that side.
    """
    inputs: list[str] = []
    rejected, is_held_out = 0, held_out_rule(sampler)
    if held_out and count and isinstance(sampler, ListSampler):
        if (distinct := len(sampler.distinct)) < FEWEST_INPUTS:
            raise InvalidSetting(f"{distinct} different inputs are too few to learn from: give {FEWEST_INPUTS} at "
                                 "least, better some hundreds.")  # fmt: skip
        if known := [text for text in sampler.held_out if not invalid_reason(text, max_input_bytes)]:
            return rng.sample(known, min(count, len(known)))
    while missing := count - len(inputs):
        for text in [sampler(rng) for _ in range(missing)]:
            reason = invalid_reason(text, max_input_bytes)
            if reason and len(text.encode("utf-8", "replace")) <= max_input_bytes:
                raise InvalidInput(f"{shown(text)} can't be an input: {reason}. Mend or drop it.")
            if not reason and is_held_out(text) == held_out:
                inputs.append(text)
        rejected += count - len(inputs)
        if rejected > 1000 and rejected > 200 * (len(inputs) + 1):
            side = "held out for validation" if held_out else "left for training"
            raise InvalidSetting(
                f"Hardly any input is {side} (each is by a hash of its bytes, or it is too long), such as "
                f"{shown(text)}: {rejected:,} were not. Give more, and more different, or shorter, inputs."
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
    files = Path(spec.submodule_search_locations[0]).rglob("*")
    data = (file for file in files if file.suffix in (".json", ".csv", ".tsv", ".yml"))
    found = (url for file in data for url in address.findall(file.read_text(encoding="utf-8", errors="ignore")))
    return sorted({url.rstrip(".,;)]") for url in found})
