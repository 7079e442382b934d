"""The size of each form of each shipped copy, on the disk and compressed."""

import gzip
import tempfile
from pathlib import Path

from benchmarks.common import keep, machine, table
from urlseq import load
from urlseq.cards import SHIPPED
from urlseq.export import export

FORMS = ("saved_model", "tensorflowjs", "litert")


def kilobytes(folder: Path) -> str:
    contents = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    return f"{sum(map(len, contents)) / 1e3:,.0f} / {sum(len(gzip.compress(of)) for of in contents) / 1e3:,.0f}"


def main(quick: bool = False) -> None:
    names = ["urlparse"] if quick else sorted(path.name for path in SHIPPED.iterdir() if path.is_dir())
    rows = []
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            exported = export(load(name), Path(folder) / name, count=20)
            rows.append([name, kilobytes(SHIPPED / name), *(kilobytes(exported / form) for form in FORMS)])
    head = ["kB / compressed", "the copy itself", "SavedModel", "TensorFlow.js", "LiteRT"]
    print(machine(), table(head, rows), sep="\n\n")
    if not quick:
        keep("export_sizes", {"head": head, "rows": rows})


if __name__ == "__main__":
    main()
