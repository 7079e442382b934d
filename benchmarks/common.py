"""What all benchmarks share: the machine they ran on, and tables that README can quote."""

import datetime
import json
import multiprocessing
import os
import platform
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest import mock

RESULTS = Path(__file__).parent / "results"
REFERENCE = Path(__file__).parent.parent.parent / "shared" / "data"
# New processes inherit these, so they are set before TensorFlow is imported.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1"}
ARCHIVE_COLUMNS = ["url_surtkey", "url", "url_host_name", "url_host_tld", "url_protocol", "url_path", "url_query",
                   "fetch_status", "content_digest", "warc_filename", "warc_record_offset"]  # fmt: skip


def machine() -> str:
    """Processor, cores, GPUs, date, versions and Keras' backend: without these no figure means anything."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        processor = platform.processor() or platform.machine()
    keras = sys.modules.get("keras")  # a script that does without need not load it for this
    backend = [keras.config.backend()] if keras else []
    names = dict.fromkeys(["tensorflow", "keras", "numpy", "pyarrow", *backend])
    return ", ".join(
        [processor, f"{os.cpu_count()} cores", *gpus(), str(datetime.date.today())]
        + [f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in names)]
        + [f"Keras on {name}" for name in backend]
    )


def gpus() -> list[str]:
    """The names of NVIDIA's GPUs, used or not, as their driver tells them."""
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        return []


def side_by_side(task: Callable, names: Iterable[Hashable], *arguments) -> Iterator[tuple[Hashable, Any]]:
    """`(name, task(name, *arguments))` as each is done: as many at a time as there are cores, each on one of its own.

    Together they get more done than one training on all cores. Each runs in a fresh process.
    """
    context = multiprocessing.get_context("spawn")
    with (
        mock.patch.dict(os.environ, ONE_THREAD),
        ProcessPoolExecutor(mp_context=context, max_tasks_per_child=1) as pool,
    ):
        running = {pool.submit(task, name, *arguments): name for name in names}
        for future in as_completed(running):
            yield running[future], future.result()


def seconds(function: Callable[[], object], repeats: int = 5) -> list[float]:
    """The wall-clock time of each of a few calls."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return times


def spread(times: list[float]) -> str:
    return f"{statistics.median(times):.3g} ({min(times):.3g} to {max(times):.3g})"


def table(head: list[str], rows: list[list]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def keep(name: str, result) -> None:
    """Stores a result beside the scripts, with the machine, for README and the notebooks."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": machine(), "result": result}, indent=1, ensure_ascii=False) + "\n")


def keep_entry(name: str, key: str, result) -> None:
    """Stores one entry of a result. The others are loaded only now: another run may have kept one meanwhile."""
    path = RESULTS / f"{name}.json"
    known = json.loads(path.read_text())["result"] if path.exists() else {}
    keep(name, known | {key: result})


def reference_urls(name: str) -> list[str]:
    """One of the lists of real URLs beside the project, for measuring only; an empty list where it is missing."""
    from urlseq.sources import read_inputs

    path = REFERENCE / f"urls_{name}.txt.gz"
    return read_inputs(path) if path.exists() else []


def write_archive(folder: str | Path, rows: int, parts: int = 8, seed: int = 0) -> Path:
    """A table of made-up URLs in the layout of a web archive's index: the folder, with `parts` files in it.

    Like an archive's, it is sorted by reversed host, and a few hosts have most of the URLs.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = random.Random(seed)
    word = lambda length: "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=length))  # noqa: E731
    hosts = [f"{word(rng.randint(3, 12))}.{rng.choice(['com', 'com', 'com', 'org', 'net', 'de', 'fr', 'gov'])}"
             for _ in range(rows // 8 + 1)]  # fmt: skip
    records = []
    for _ in range(rows):
        host = hosts[int(len(hosts) * rng.random() ** 3)]
        scheme, path = rng.choice(["http", "https"]), "".join(f"/{word(6)}" for _ in range(rng.randint(1, 5)))
        query = f"{word(2)}={rng.randrange(10**6)}" if rng.random() < 0.3 else None
        record = [f"{','.join(host.split('.')[::-1])}){path}", f"{scheme}://{host}{path}{f'?{query}' if query else ''}",
                  host, host.rpartition(".")[2], scheme, path, query, rng.choice([200, 200, 200, 301, 404]),
                  word(32).upper(), f"crawl-data/{word(24)}/warc/{word(12)}.warc.gz", rng.randrange(2**30)]  # fmt: skip
        records.append(dict(zip(ARCHIVE_COLUMNS, record, strict=True)))
    records.sort(key=lambda record: record["url_surtkey"])
    partition = Path(folder) / "crawl=MADE-UP"
    partition.mkdir(parents=True)
    size = -(-rows // parts)
    for number in range(parts):
        table = pa.Table.from_pylist(records[number * size : (number + 1) * size])
        pq.write_table(table, partition / f"part-{number:05}.parquet", compression="gzip", row_group_size=4096)
    return Path(folder)


def process_memory(pid: int | str = "self", field: str = "VmRSS") -> float:
    """The memory of a process, MB: what it has now or, by `VmHWM`, the most that it had. Linux only."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1e3


def processor_seconds(pid: int) -> float:
    """What a process has had of the processors' time so far. Linux only."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
