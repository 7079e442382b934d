"""The programs in ports/ beside Python: start, one answer, many, and memory, each on one core."""

import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.common import ONE_THREAD, keep, machine, process_memory, processor_seconds, table
from urlseq import load
from urlseq.cards import folder_of
from urlseq.export.saved_model import write_saved_model
from urlseq.sources import registry_urls

PORTS = Path(__file__).parent.parent / "ports"
# Answers lines as they come, as the programs do: where many are there, up to 256 of them together.
PYTHON = """
import os, sys
from urlseq import {load}
copy, left = {load}("urlparse"), b""
while data := os.read(0, 1 << 16):
    *lines, left = (left + data).split(b"\\n")
    for first in range(0, len(lines), 256):
        print(*copy.predict_all([line.decode() for line in lines[first : first + 256]]), sep="\\n", flush=True)
"""
PROGRAMS = {
    "Python, by TensorFlow (`load`)": [sys.executable, "-c", PYTHON.format(load="load")],
    "Python, by LiteRT (`load_lite`)": [sys.executable, "-c", PYTHON.format(load="load_lite")],
    "C++": [PORTS / "cpp" / "run", "saved_model"],
    "Java, by TensorFlow": [PORTS / "java" / "run", "saved_model"],
    "Java, by LiteRT": [PORTS / "java_litert" / "run", "litert"],
}


@contextlib.contextmanager
def running(command: list) -> Iterator[subprocess.Popen]:
    """A program that answers lines, on one core."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(["taskset", "-c", "0", *command], env=os.environ | ONE_THREAD, **pipes)
    try:
        yield process
    finally:
        process.stdin.close()
        process.stdout.read()
        process.wait()


def ask(process: subprocess.Popen, lines: list[bytes]) -> float:
    """Seconds until as many lines are answered, which are written at once."""
    start = time.perf_counter()
    process.stdin.write(b"".join(line + b"\n" for line in lines))
    process.stdin.flush()
    for _ in lines:
        process.stdout.readline()
    return time.perf_counter() - start


def measure(command: list, lines: list[bytes]) -> dict[str, float]:
    """One round: seconds to the first answer, of one answer, answers for a second of CPU time, and memory in MB."""
    start = time.perf_counter()
    with running(command) as process:
        ask(process, lines[:1])
        first = time.perf_counter() - start
        one = statistics.median(ask(process, [line]) for line in lines[:100])
        used = processor_seconds(process.pid)
        for begin in range(0, len(lines), 256):  # as much as a pipe holds
            ask(process, lines[begin : begin + 256])
        used = processor_seconds(process.pid) - used
        return {"first_s": first, "one_ms": 1e3 * one, "per_cpu_s": len(lines) / used,
                "memory_mb": process_memory(process.pid, "VmHWM")}  # fmt: skip


def main(quick: bool = False) -> None:
    lines = [text.encode() for text in registry_urls()[: 256 if quick else 2048]]
    rounds: dict[str, list[dict]] = {name: [] for name in PROGRAMS}
    with tempfile.TemporaryDirectory() as folder:
        write_saved_model(load("urlparse"), Path(folder))
        forms = {"saved_model": folder, "litert": folder_of("urlparse")}
        for name, command in PROGRAMS.items():  # builds what is missing
            if command[0] != sys.executable and subprocess.run(command[:1]).returncode:
                del rounds[name]
        for _ in range(1 if quick else 5):  # in turns: the machine may be busy for a while
            for name, found in rounds.items():
                found.append(measure([forms.get(word, word) for word in PROGRAMS[name]], lines))
    best = {"first_s": min, "one_ms": min, "per_cpu_s": max, "memory_mb": statistics.median}
    result = {name: {key: round(choose(each[key] for each in found), 3) for key, choose in best.items()}
              for name, found in rounds.items()}  # fmt: skip
    head = ["", "start to the first answer, s", "one answer, ms", "URLs for a second of CPU time", "memory, MB"]
    print(machine(), table(head, [[name, *found.values()] for name, found in result.items()]), sep="\n\n")
    if not quick:
        keep("ports", result)


if __name__ == "__main__":
    main()
