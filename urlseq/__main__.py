"""The command line: `python -m urlseq` learns to copy `urlparse`; its commands do the rest, such as `copy` and `call`.

Results go to standard output (JSON lines where a pipe may want them), everything else to standard error.
Exit codes: 0 done, 1 it could not be done (one line says why), 2 the command's words are off, 130 interrupted.
"""

import argparse
import contextlib
import io
import itertools
import json
import os
import sys
import time
from pathlib import Path
from urllib.parse import urlparse

from urlseq import quiet

RUNS = Path("runs")
# URLs to question the main job's copy with: one of each kind.
QUESTIONS = [
    "https://www.example.com/learning/functions?from=examples#top",
    "HTTP://user:secret@[2001:db8::7]:8080/a/b;v=1.2?q=%C3%A9t%C3%A9",
    "ftp://mirror.example.net/pub/archive.tar.gz",
    "mailto:someone@example.org",
    "//cdn.example.com/lib.js",
]


def main(words: list[str] | None = None) -> int:
    arguments = parser().parse_args(words)
    try:
        with quiet():  # the frameworks say a lot when they are first imported and used
            from urlseq.model import has_gpu

            arguments.device = "a GPU" if has_gpu() else "the CPU"
        arguments.command(arguments)
    except KeyboardInterrupt:
        resumes = arguments.command in (main_job, copy_command)
        print("\nInterrupted." + " The same command goes on from the last whole epoch." * resumes, file=sys.stderr)
        return 130
    except BrokenPipeError:  # such as `| head`
        sys.stderr.close()
        return 0
    except (ValueError, LookupError, OSError, TypeError, ImportError) as error:
        # Each of these has a message made for people; a page of calls would hide it.
        print(f"urlseq: {error}", file=sys.stderr)
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    main_parser = argparse.ArgumentParser(
        prog="python -m urlseq",
        description="Learns copies of Python functions from examples. Without a command: learns to copy "
        "urllib.parse.urlparse, measures the copy on real URLs that it never saw, and keeps it.",
    )
    add_budget(main_parser, minutes=10.0)
    main_parser.add_argument(
        "--folder", type=Path, default=RUNS / "urlparse", help="where the copy is kept (%(default)s)"
    )
    main_parser.set_defaults(command=main_job)
    commands = main_parser.add_subparsers(title="commands", metavar="{copy,call,evaluate,export,serve}")

    copy = commands.add_parser("copy", help="learn to copy a function", description="Learns to copy a function.")
    copy.add_argument("function", help="its dotted name, such as html.escape")
    copy.add_argument(
        "--inputs",
        type=Path,
        help="a file of inputs: text, one a line, or parquet; or a folder of parquet files "
        "(default: those of the gallery for its functions, for others URLs and noise)",
    )
    copy.add_argument(
        "--inverse", action="store_true", help="learn the function's inverse, of what it makes of the inputs"
    )
    copy.add_argument("--folder", type=Path, help=f"where the copy is kept (default: {RUNS}/NAME)")
    add_budget(copy, minutes=10.0, max_bytes=None)
    copy.set_defaults(command=copy_command)

    call = commands.add_parser(
        "call",
        help="call a copy",
        description="Calls a copy with each TEXT, or each line of standard input, and prints a line of JSON for each.",
    )
    call.add_argument("copy", help="the name of a shipped copy, such as urlparse, or a folder")
    call.add_argument("text", nargs="*")
    call.set_defaults(command=call_command)

    evaluate = commands.add_parser(
        "evaluate",
        help="measure a copy",
        description="Compares a copy with its function on the inputs of a file: count, exact, trusted and "
        "trusted_wrong are all counts. Inputs that no text can be (NUL) or that are too long are left out.",
    )
    evaluate.add_argument("copy", help="the name of a shipped copy, such as urlparse, or a folder")
    evaluate.add_argument("file", type=Path, help="inputs: text, one a line, gzipped or not, or parquet")
    evaluate.add_argument("--max-bytes", type=int, help="leave out longer inputs (default: the copy's own limit)")
    evaluate.add_argument("--function", help="the function's dotted name, if it is not urlparse")
    evaluate.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    evaluate.add_argument("--mistakes", type=int, default=0, metavar="N", help="show N of the mistakes")
    evaluate.set_defaults(command=evaluate_command)
    export = commands.add_parser(
        "export", help="a copy for servers and browsers",
        description="Writes copies as SavedModel, TensorFlow.js model and LiteRT file, each checked against the copy.",
    )  # fmt: skip
    export.add_argument("copy", nargs="+", help="a copy's folder, or the name of a shipped one")
    export.add_argument("--folder", type=Path, default=Path("web/models"),
                        help="where a folder for each is made (%(default)s)")  # fmt: skip
    export.add_argument(
        "--inputs", type=Path, help="a file of texts to check with (default: inputs that it learned from)"
    )
    export.add_argument("--precision", choices=["float32", "float16"], default="float16", help="(%(default)s)")
    export.set_defaults(command=export_command)

    serve = commands.add_parser(
        "serve", help="a copy for TensorFlow Serving",
        description="Adds copies as new versions, numbered folders with warm-up requests in them, to the folder that "
        "TensorFlow Serving takes its models from. No version that is there is changed.",
    )  # fmt: skip
    serve.add_argument("copy", nargs="+", help="a copy's folder, or the name of a shipped one")
    serve.add_argument("--folder", type=Path, default=Path("serving"), help="where a folder for each is (%(default)s)")
    serve.add_argument("--version", type=positive(int), help="its number (default: the next one)")
    serve.add_argument(
        "--inputs", type=Path, help="a file of texts to check with (default: inputs that it learned from)"
    )
    serve.set_defaults(command=serve_command)
    return main_parser


def add_budget(to: argparse.ArgumentParser, minutes: float, max_bytes: int | None = 128) -> None:
    to.add_argument("--minutes", type=positive(float), default=minutes, help="train for so long (%(default)s)")
    to.add_argument("--examples", type=positive(int), help="or for so many examples, if these are used up first")
    to.add_argument("--max-bytes", type=positive(int), default=max_bytes, help="the longest input in bytes (128)")
    to.add_argument("--seed", type=int, default=0, help="for everything random (%(default)s)")


def budget_of(arguments: argparse.Namespace) -> dict:
    """The options that `add_budget` added, as arguments of `copy_function`."""
    return {name: getattr(arguments, name) for name in ("minutes", "examples", "max_bytes", "seed")}


def positive(kind):
    def convert(word: str):
        number = kind(word)
        if not number > 0:
            raise argparse.ArgumentTypeError(f"{word} is not above 0")
        return number

    convert.__name__ = kind.__name__  # argparse's own message names the type
    return convert


def main_job(arguments: argparse.Namespace) -> None:
    """Learn, measure, keep, show."""
    from urlseq import copy_function

    started = time.monotonic()
    print(f"Learning to copy urllib.parse.urlparse, {arguments.minutes:g} minutes on {arguments.device}.")
    copied = copy_function(urlparse, folder=arguments.folder, **budget_of(arguments))
    measure(copied)
    print("\nWhat it says, beside what the function says:")
    usable = [text for text in QUESTIONS if copied.refusal(text) is None]
    for text, prediction in zip(usable, copied.predict(usable), strict=True):
        right = prediction.value == list(urlparse(text))
        print(f"  {text}\n    {'✓' if right else '✗'} {prediction.text}  (confidence {prediction.confidence:.3f})")
    print(f"\nDone in {(time.monotonic() - started) / 60:.1f} minutes. The copy is in {arguments.folder}. Try")
    python = min(sys.executable, os.path.relpath(sys.executable), key=len)
    print(f"  {python} -m urlseq call {arguments.folder} 'https://example.org/a?b=c'")


def measure(copied) -> None:
    """Prints the exact match on held-out inputs and on real URLs."""
    from urlseq.evaluate import attempt, kinds_of_mistakes
    from urlseq.sources import registry_urls

    held_out = copied.card["held_out"]
    print(f"\nHeld-out inputs, half of them noise: {held_out['exact']:,} of {held_out['count']:,} exact.")
    try:
        real = [text for text in registry_urls() if copied.refusal(text) is None]
    except ModuleNotFoundError as error:
        print(f"Not measured on real URLs: {error}")
        return
    evaluation = copied.evaluate(real)
    print(f"Real URLs (bioregistry), none of them seen in training: {evaluation}.")
    mistakes = evaluation.mistakes()
    if mistakes:
        kinds = ", ".join(f"{kind} {count}" for kind, count in kinds_of_mistakes(evaluation).most_common())
        print(f"Its mistakes: {kinds}. The first ones:")
        for mistake in mistakes[:3]:
            print(attempt(*mistake))


def copy_command(arguments: argparse.Namespace) -> None:
    from urlseq import copy_function
    from urlseq.functions import function_named
    from urlseq.gallery import GALLERY

    function = function_named(arguments.function)
    folder = arguments.folder or RUNS / arguments.function
    settings = budget_of(arguments) | {"inputs": arguments.inputs}
    settings["inverse" if arguments.inverse else "function"] = function
    entries = (entry for entry in GALLERY.values() if (entry.function, entry.inverse) == (function, arguments.inverse))
    known = next(entries, None)
    if known and not arguments.inputs:
        settings |= {"inputs": known.inputs, "batch_size": known.batch_size, "learning_rate": known.learning_rate}
        # What the gallery's own inputs are shorter than was never learned.
        settings["max_bytes"] = settings["max_bytes"] or known.max_bytes
    settings["max_bytes"] = settings["max_bytes"] or 128
    with contextlib.redirect_stdout(sys.stderr):  # progress is no result
        copied = copy_function(folder=folder, **settings)
    print(json.dumps({"folder": str(folder), "function": copied.card["function"], "held_out": copied.card["held_out"]}))


def call_command(arguments: argparse.Namespace) -> None:
    from urlseq import load

    copied = load(arguments.copy)
    if isinstance(sys.stdin, io.TextIOWrapper):
        # Every byte reaches the copy: what is no UTF-8 is refused for that, and "\n" alone ends a line.
        sys.stdin.reconfigure(encoding="utf-8", errors="surrogateescape", newline="\n")
    lines = iter(arguments.text or (line.removesuffix("\n") for line in sys.stdin))
    # A person who types wants each answer at once; a pipe wants batches.
    while texts := list(itertools.islice(lines, 1 if sys.stdin.isatty() else 256)):
        refusals = [copied.refusal(text) for text in texts]
        usable = [text for text, refusal in zip(texts, refusals, strict=True) if refusal is None]
        # An inverse answers with its certificate.
        predictions = iter(copied(usable) if copied.certifies else copied.predict(usable))
        for text, refusal in zip(texts, refusals, strict=True):
            record = {"error": refusal} if refusal else vars(next(predictions))
            print(json.dumps({"input": text} | record), flush=True)


def evaluate_command(arguments: argparse.Namespace) -> None:
    from urlseq import load
    from urlseq.evaluate import attempt
    from urlseq.functions import INVERSE_OF, function_named
    from urlseq.sources import read_texts

    function = function_named(arguments.function) if arguments.function else None
    copied = load(arguments.copy, function)
    if copied.function is None:
        raise ValueError(
            f"{arguments.copy} says that it copies {copied.card['function']!r}. "
            f"If you trust it, say --function {copied.card['function'].removeprefix(INVERSE_OF)}."
        )
    longest = min(arguments.max_bytes or copied.max_bytes, copied.max_bytes)
    texts = read_texts(arguments.file)
    usable = [
        text for text in texts if len(text.encode("utf-8", "replace")) <= longest and copied.refusal(text) is None
    ]
    evaluation = copied.evaluate(usable)
    if arguments.json:
        print(json.dumps(evaluation.counts))
        return
    print(f"{evaluation}; {len(texts) - len(usable):,} of {len(texts):,} inputs left out.")
    for mistake in evaluation.mistakes()[: arguments.mistakes]:
        print(attempt(*mistake))


def folder_for(arguments: argparse.Namespace, copy: str) -> Path:
    """A folder of the copy's own name for what is made of it; `.` has the name of where one is."""
    return arguments.folder / os.path.basename(os.path.abspath(copy))


def export_command(arguments: argparse.Namespace) -> None:
    from urlseq import load
    from urlseq.export import HOW_TO_CHECK, MANIFEST, export
    from urlseq.sources import read_texts

    texts = read_texts(arguments.inputs) if arguments.inputs else None
    for name in arguments.copy:
        folder = folder_for(arguments, name)
        with quiet():
            export(load(name), folder, texts, precision=arguments.precision)
        manifest = json.loads((folder / MANIFEST).read_text())
        if not manifest["checked"]["tensorflowjs"]:
            print(f"{folder}: the TensorFlow.js model is not checked. {HOW_TO_CHECK}", file=sys.stderr)
        print(json.dumps({"folder": str(folder), "checked": manifest["checked"]}), flush=True)


def serve_command(arguments: argparse.Namespace) -> None:
    from urlseq import load
    from urlseq.serving import add_version
    from urlseq.sources import read_texts

    texts = read_texts(arguments.inputs) if arguments.inputs else None
    for name in arguments.copy:
        with quiet():
            path = add_version(load(name), folder_for(arguments, name), texts, version=arguments.version)
        print(json.dumps({"folder": str(path)}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
