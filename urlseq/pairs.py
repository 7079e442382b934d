"""Pairs of inputs and outputs, to learn from where nobody has the function: from lists, tables and files."""

import collections
import contextlib
import dataclasses
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from urlseq.encoding import input_list, invalid_reason, shown
from urlseq.errors import BadSource, InvalidInput, InvalidSetting, MissingColumns, NoFunction, UnfitFunction, WrongType
from urlseq.functions import to_json
from urlseq.sampling import LabelledInput, ListSampler
from urlseq.sources import read_table

LONGEST_INPUT = 1024  # bytes; longer ones are left out of pairs whose limit is not given
MOST_CONFLICTS = 0.05  # the share of inputs that may have several outputs


@dataclasses.dataclass(frozen=True, eq=False)
class Pairs:
    """Inputs, each once, which carry their outputs as JSON. `counts` is what a card tells of them."""

    name: str
    sampler: ListSampler = dataclasses.field(repr=False)
    max_input_bytes: int
    counts: dict[str, Any]

    def labelled(self, inputs: Iterable[str]) -> list[str]:
        """The inputs with their outputs. Raises NoFunction on one that has none."""
        known = {str(text): text for text in self.sampler.inputs}
        try:
            return [text if isinstance(text, LabelledInput) else known[text] for text in inputs]
        except KeyError as error:
            raise NoFunction(f"{error} is not among the {self.name}: its output is not known.") from None


def pairs_of(source: Any, columns: Sequence[str] | None = None, max_input_bytes: int | None = None) -> Pairs:
    """Pairs from a list of (input, output), a dictionary, a frame, an Arrow table, a file or a folder of parquet files.

    A table's columns are those named by `columns`, else `input` and `output`, else its only two. What can't be learned
    is left out, with a warning; of several outputs to one input the most frequent is kept. Raises MissingColumns,
    BadSource where no pair is usable, and UnfitFunction where too many inputs have several outputs.
    """
    if isinstance(source, Pairs):
        return source
    name, names, rows = rows_of(source, columns)
    found: dict[str, collections.Counter[str]] = {}
    left_out = []
    for value, output in rows:
        try:
            if reason := invalid_reason(value, max_input_bytes or LONGEST_INPUT):
                raise InvalidInput(reason)
            (answer := to_json(output)).encode()
            found.setdefault(value, collections.Counter())[answer] += 1
        except (TypeError, ValueError) as error:
            left_out.append(f", such as {value!r:.60} with {output!r:.60}: {error}")
    if not found:
        raise BadSource(f"None of the {len(rows):,} {name} can be learned{''.join(left_out[:1])}.")
    if left_out:
        warnings.warn(f"{len(left_out):,} of {len(rows):,} {name} are left out{left_out[0]}.", stacklevel=4)
    if conflicts := [(text, outputs) for text, outputs in found.items() if len(outputs) > 1]:
        text, outputs = conflicts[0]
        several = ", ".join(f"{answer} ({times} x)" for answer, times in outputs.most_common(3))
        message = f"{len(conflicts):,} of {len(found):,} inputs have several outputs, such as {shown(text)}: {several}."
        if len(conflicts) > MOST_CONFLICTS * len(found):
            raise UnfitFunction(f"{message} What decides is not in the input: put it there.")
        warnings.warn(f"{message} The most frequent one is learned.", stacklevel=4)
    inputs = [LabelledInput(text, outputs.most_common(1)[0][0]) for text, outputs in found.items()]
    counts = {"count": len(inputs), "columns": names, "left_out": len(left_out), "conflicts": len(conflicts)}
    return Pairs(name, ListSampler(inputs), max_input_bytes or max(1, *(len(text.encode()) for text in inputs)), counts)


def rows_of(source: Any, columns: Sequence[str] | None) -> tuple[str, list[str], list[Any]]:
    """What to call the pairs, the names of their columns, and the pairs as they are. Raises WrongType."""
    if isinstance(source, str | Path):
        name, table = f"pairs of {Path(source).name}", read_table(Path(source))
    elif hasattr(source, "columns"):  # a frame, or an Arrow table
        names = getattr(source, "column_names", source.columns)
        name, table = "pairs", {str(each): input_list(source[each]) for each in names}
    else:
        rows: list[Any] = list(source.items()) if isinstance(source, Mapping) else input_list(source)
        if wrong := [row for row in rows if isinstance(row, str) or not isinstance(row, Sequence) or len(row) != 2]:
            raise WrongType(f"A list of pairs is needed, each an input and its output, but it holds {wrong[0]!r:.80}.")
        return "pairs", [], rows
    chosen = chosen_columns([*table], columns, name)
    return name, chosen, [*zip(*(table[each] for each in chosen), strict=True)]


def chosen_columns(names: list[str], columns: Sequence[str] | None, where: str) -> list[str]:
    """The columns of the inputs and of the outputs. Raises MissingColumns."""
    from urlseq.tables import find_columns

    if columns is not None and (isinstance(columns, str) or len(columns) != 2):
        raise InvalidSetting(f"columns are two, of inputs and of outputs, such as ('name', 'e164'), not {columns!r}.")
    chosen = [*map(str, columns or ("input", "output"))]
    with contextlib.suppress(MissingColumns):
        return find_columns(chosen, names, where)
    has = f"The {where} have no columns {' and '.join(chosen)}, but {', '.join(names)}."
    if columns or len(names) != 2:
        raise MissingColumns(f"{has} Say which are inputs and outputs: columns=('name', 'e164'), --columns name,e164.")
    warnings.warn(f"{has} These are taken for inputs and outputs. (A CSV's first line names them: where it is a pair, "
                  "put `input,output` before it.)", stacklevel=6)  # fmt: skip
    return names
