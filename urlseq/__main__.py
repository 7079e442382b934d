"""The command line: `urlseq` learns to copy `urlparse`; its commands do the rest, such as `copy` and `call`.

Results go to standard output (JSON lines where a pipe may need them), everything else to standard error.
Exit codes: 0 done, 1 it could not be done (one line says why), 2 the arguments are wrong, 130 interrupted.
"""

import argparse
import contextlib
import dataclasses
import functools
import io
import itertools
import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import urlseq
from urlseq.errors import InvalidSetting, MissingPackage, NoFunction, UrlseqError

RUNS = Path("runs")
NAMES_A_COPY = "the name of a shipped copy, such as urlparse, or a folder"
# URLs to show the main job's copy with: one of each kind.
SHOWN = [
    "https://www.example.com/learning/functions?from=examples#top",
    "HTTP://user:secret@[2001:db8::7]:8080/a/b;v=1.2?q=%C3%A9t%C3%A9",
    "ftp://mirror.example.net/pub/archive.tar.gz",
    "mailto:someone@example.org",
    "//cdn.example.com/lib.js",
]


def main(words: list[str] | None = None) -> int:
    arguments = parser().parse_args(words)
    try:
        if arguments.command not in (call_command, serve_command):
            load_frameworks()
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_, **__: print(f"urlseq: {message}", file=sys.stderr)
            arguments.command(arguments)
    except KeyboardInterrupt:
        resumes = arguments.command in (main_job, copy_command)
        print("\nInterrupted." + " The same command goes on from the last whole epoch." * resumes, file=sys.stderr)
        return 130
    except BrokenPipeError:  # such as `| head`
        sys.stderr.close()
        return 0
    except (UrlseqError, OSError, ImportError) as error:  # their messages are made for people
        print(f"urlseq: {error}", file=sys.stderr)
        return 1
    return 0


def load_frameworks() -> None:
    """Imports TensorFlow, which takes seconds, without all that it says then."""
    with urlseq.quiet():
        _ = urlseq.load  # the first use of a name imports what it needs


def parser() -> argparse.ArgumentParser:
    main_parser = argparse.ArgumentParser(
        prog="urlseq",
        description="Learns copies of Python functions from examples. Without a command: learns to copy "
        "urllib.parse.urlparse, measures the copy on real URLs that it never saw, and keeps it.",
    )
    add_training(main_parser)
    main_parser.set_defaults(command=main_job)
    commands = main_parser.add_subparsers(title="commands", metavar="{copy,call,evaluate,export,serve}")
    copy = add(commands, "copy", copy_command, "learn to copy a function, or what pairs show")
    copy.add_argument("function", nargs="?", help="its dotted name, such as html.escape")
    copy.add_argument("--inputs", help="a regular expression, or a file of inputs: text, .csv, .tsv, .jsonl, parquet; "
                      "or a folder of parquet files (default: those of the gallery, or URLs)")  # fmt: skip
    copy.add_argument("--pairs", type=Path, help="learn from pairs instead: a .csv, .tsv, .jsonl or parquet file")
    copy.add_argument("--inverse", action="store_true", help="learn the function's inverse, of its values for inputs")
    add_training(copy)
    summary = "call a copy with each TEXT, or each line of standard input, and print a line of JSON for each"
    call = add(commands, "call", call_command, summary)
    call.add_argument("copy", help=NAMES_A_COPY)
    call.add_argument("text", nargs="*")
    evaluate = add(commands, "evaluate", evaluate_command, "compare a copy with its function on the inputs of a file")
    evaluate.add_argument("copy", help=NAMES_A_COPY)
    evaluate.add_argument("file", type=Path, help="inputs, as `copy` takes them; or pairs, for a copy of pairs")
    for command in (copy, evaluate):
        command.add_argument("--columns", "--column", type=lambda names: names.split(","), metavar="A[,B]",
                             help="the table's column of inputs; of pairs, those of inputs and outputs")  # fmt: skip
    evaluate.add_argument("--max-input-bytes", type=int, help="leave out longer inputs (default: the copy's own limit)")
    evaluate.add_argument("--function", help="the function's dotted name, if it is not urlparse")
    evaluate.add_argument("--json", action="store_true", help="print one JSON object of counts and nothing else")
    evaluate.add_argument("--mistakes", type=int, default=0, metavar="N", help="show N of the mistakes, and all kinds")
    add_export_and_serve(commands)
    return main_parser


def add_export_and_serve(commands: Any) -> None:
    export = add(commands, "export", export_command, "write copies as SavedModel, TensorFlow.js model and LiteRT file")
    export.add_argument("--precision", choices=["float32", "float16", "int8"], default="float16", help="(%(default)s)")
    export.add_argument("--folder", type=Path, help="where each gets its folder (web/models; with --serving: serving)")
    export.add_argument("--inputs", type=Path, help="inputs to check with (default: those in its card)")
    export.add_argument("--serving", action="store_true", help="add new versions for TensorFlow Serving instead")
    export.add_argument("--version", type=int, help="with --serving, the version's number (default: the next one)")
    serve = add(commands, "serve", serve_command, "answer over HTTP, by TensorFlow Serving's REST protocol")
    serve.add_argument("--host", default="127.0.0.1", help="the address to listen at (%(default)s)")
    serve.add_argument("--port", type=int, default=8501, help="(%(default)s)")
    for command in (export, serve):
        command.add_argument("copy", nargs="+", help=NAMES_A_COPY)


def add(commands: Any, name: str, command: Callable, summary: str) -> argparse.ArgumentParser:
    added = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
    added.set_defaults(command=command)
    return added


def add_training(to: argparse.ArgumentParser) -> None:
    to.add_argument("--folder", type=Path, help=f"where the copy is kept (default: {RUNS}/ and the function's name)")
    to.add_argument("--minutes", type=float, default=10.0, help="train for so long (%(default)s)")
    to.add_argument("--examples", type=int, help="or for so many examples, if these are used up first")
    to.add_argument("--until", type=float, help="or until this share of answers is exact, such as 0.999")
    to.add_argument("--max-input-bytes", type=int, help="the longest input (128, or as in the gallery)")
    to.add_argument("--seed", type=int, default=0, help="for everything random (%(default)s)")


def main_job(arguments: argparse.Namespace) -> None:
    """Learn, measure, keep, show."""
    from urlseq.functions import answer
    from urlseq.report import attempt
    from urlseq.task import Task

    started = time.monotonic()
    print(f"Learning to copy urllib.parse.urlparse for {arguments.minutes:g} minutes at most.", flush=True)
    folder = arguments.folder or RUNS / "urlparse"
    copied = learn(Task(urlparse, max_input_bytes=arguments.max_input_bytes), folder, arguments)
    measure(copied)
    print("\nIts answers, compared with the function's:")
    valid = [text for text in SHOWN if not copied.invalid_reason(text)]
    for text, prediction in zip(valid, copied.predict(valid), strict=True):
        print(f"{attempt(text, answer(urlparse, text), prediction.text)}  (confidence {prediction.confidence:.3f})")
        if not prediction.trusted:
            print(f"      It abstains ({prediction.reason}). The function: {answer(urlparse, text)}")
    print(f"\nDone in {(time.monotonic() - started) / 60:.1f} minutes. The copy is in {folder}. Try")
    python = min(sys.executable, os.path.relpath(sys.executable), key=len)
    print(f"  {python} -m urlseq call {folder} 'https://example.org/a?b=c'")


def learn(task, folder: Path, arguments: argparse.Namespace, **settings):
    """The copy, as the options that `add_training` added say."""
    settings |= {name: getattr(arguments, name) for name in ("minutes", "examples", "until", "seed")}
    return urlseq.copy_function(task, folder=folder, **settings)


def measure(copied) -> None:
    """Prints the exact match on held-out inputs and on real URLs."""
    from urlseq.sources import registry_urls

    counts = copied.card["held_out_counts"]
    print(f"\nHeld-out inputs, half of them noise: {counts['exact']:,} of {counts['count']:,} exact.")
    try:
        real = [text for text in registry_urls() if not copied.invalid_reason(text)]
    except MissingPackage as error:
        print(f"Not measured on real URLs: {error}")
        return
    evaluation = copied.evaluate(real)
    print(f"Real URLs (bioregistry), none of them seen in training: {evaluation}.")
    show_mistakes(evaluation, 3)


def show_mistakes(evaluation, count: int) -> None:
    from urlseq.report import attempt, kinds_of_mistakes

    if mistakes := evaluation.mistakes()[:count]:
        kinds = ", ".join(f"{kind} {number}" for kind, number in kinds_of_mistakes(evaluation).most_common())
        print(f"Its mistakes: {kinds}. The first ones:")
        for mistake in mistakes:
            print(attempt(*mistake))


def copy_command(arguments: argparse.Namespace) -> None:
    task, settings = task_and_settings(arguments)
    folder = arguments.folder or RUNS / (arguments.function or arguments.pairs.name.partition(".")[0])
    with contextlib.redirect_stdout(sys.stderr):  # progress is no result
        copied = learn(task, folder, arguments, **settings)
    known = {name: copied.card.get(name) for name in ("ended_by", "trusted_risk", "held_out_counts")}
    print(json.dumps({"folder": str(folder), "function": copied.name} | known))


def task_and_settings(arguments: argparse.Namespace) -> tuple[Any, dict]:
    """The task that the arguments of `copy` mean, and the gallery's settings for it, where it has any."""
    from urlseq.functions import function_named, name_of
    from urlseq.gallery import GALLERY
    from urlseq.task import Task

    if bool(arguments.function) == bool(arguments.pairs) or (arguments.pairs and arguments.inverse):
        raise InvalidSetting("Give the name of a function, perhaps with --inverse, or --pairs and a file: one of them.")
    inputs, longest = arguments.inputs, arguments.max_input_bytes
    if arguments.pairs:
        return Task(inputs=inputs, pairs=arguments.pairs, columns=arguments.columns, max_input_bytes=longest), {}
    named, inverse = function_named(arguments.function), arguments.inverse
    column = arguments.columns[0] if arguments.columns else None
    task = Task(None if inverse else named, inputs, named if inverse else None, longest, column=column)
    entry = next((entry for entry in GALLERY.values() if name_of(entry.task.target) == name_of(task.target)), None)
    if not entry or inputs:
        return task, {}
    # The gallery's inputs are no longer than its limit, so a longer one would promise what was never learned.
    task = entry.task if longest is None else dataclasses.replace(entry.task, max_input_bytes=longest)
    return task, {name: entry.training[name] for name in ("batch_size", "learning_rate")}


def call_command(arguments: argparse.Namespace) -> None:
    copied = copy_to_call(arguments.copy)
    if isinstance(sys.stdin, io.TextIOWrapper):
        # Every byte reaches the copy: what is no UTF-8 is refused for that, and "\n" alone ends a line.
        sys.stdin.reconfigure(encoding="utf-8", errors="surrogateescape", newline="\n")
    lines = iter(arguments.text or (line.removesuffix("\n") for line in sys.stdin))
    windows = False if arguments.text else None  # not known yet
    # A person who types needs each answer at once; a pipe is faster in batches.
    while texts := list(itertools.islice(lines, 1 if sys.stdin.isatty() else 256)):
        if windows is None and (windows := all(text.endswith("\r") for text in texts)):
            warnings.warn("The lines come from Windows: the CR at the end of each is left out.", stacklevel=2)
        texts = [text.removesuffix("\r") for text in texts] if windows else texts
        for text, prediction in zip(texts, copied.predict_all(texts), strict=True):
            print(json.dumps({"input": text} | vars(prediction)), flush=True)


def copy_to_call(name: str):
    """The copy by LiteRT, which starts at once, where it has such a file; an inverse by TensorFlow, which searches."""
    from urlseq.cards import bad_model, folder_of, read_card

    with bad_model(path := folder_of(name)):
        card = read_card(path)
    if "litert" in card and not card["task"]["inverse"]:
        return urlseq.load_lite(name)
    load_frameworks()
    return urlseq.load(name)


def evaluate_command(arguments: argparse.Namespace) -> None:
    from urlseq.encoding import invalid_reason
    from urlseq.functions import function_named
    from urlseq.pairs import pairs_of
    from urlseq.sources import read_inputs

    copied = urlseq.load(arguments.copy, function_named(arguments.function) if arguments.function else None)
    of_pairs = "pairs" in copied.card["task"] or len(arguments.columns or ()) == 2
    if copied.function is None and not of_pairs:
        name = copied.card["task"]["function"]
        raise NoFunction(f"{arguments.copy} is a copy of {copied.name!r}. If you trust it, add --function {name}.")
    longest = min(arguments.max_input_bytes or copied.max_input_bytes, copied.max_input_bytes)
    if of_pairs:
        inputs = pairs_of(arguments.file, arguments.columns, longest).sampler.inputs
    else:
        inputs = read_inputs(arguments.file, arguments.columns[0] if arguments.columns else None)
    evaluation = copied.evaluate([text for text in inputs if not invalid_reason(text, longest)])
    if arguments.json:
        print(json.dumps(evaluation.counts))
        return
    print(f"{evaluation}; {len(inputs) - len(evaluation.inputs):,} of {len(inputs):,} inputs left out.")
    show_mistakes(evaluation, arguments.mistakes)


def export_command(arguments: argparse.Namespace) -> None:
    """Writes each copy into a folder of its own name: an export, or a new version for TensorFlow Serving."""
    from urlseq.export import MANIFEST, export
    from urlseq.sources import read_inputs

    if arguments.serving:
        from urlseq.export.serving import add_version

        home, write = Path("serving"), functools.partial(add_version, version=arguments.version)
    else:
        home, write = Path("web/models"), functools.partial(export, precision=arguments.precision)
    inputs = read_inputs(arguments.inputs) if arguments.inputs else None
    for copy in arguments.copy:
        name = os.path.basename(os.path.abspath(copy))  # `.` has the name of the current folder
        with warnings.catch_warnings(record=True) as told, urlseq.quiet():
            path = write(urlseq.load(copy), (arguments.folder or home) / name, inputs)
        for warning in told:
            if warning.category is UserWarning:  # what could not be checked; the others are libraries' own
                warnings.warn(str(warning.message), stacklevel=1)
        checked = {} if arguments.serving else {"checked": json.loads((path / MANIFEST).read_text())["checked"]}
        print(json.dumps({"folder": str(path)} | checked), flush=True)


def serve_command(arguments: argparse.Namespace) -> None:
    try:
        from urlseq.service import serve
    except ImportError as error:
        raise MissingPackage(f"The service needs more packages ({error}): pip install -e '.[service]'") from None
    serve(arguments.copy, arguments.host, arguments.port)


if __name__ == "__main__":
    sys.exit(main())
