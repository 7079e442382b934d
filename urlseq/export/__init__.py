"""A learned copy for other places, as SavedModel, TensorFlow.js model and LiteRT file, each checked before it counts.

The extra `export` and `pip install --no-deps tensorflowjs==4.22.0` are needed; `setup_colab.sh --export` brings both.
"""

import contextlib
import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from copy import deepcopy
from importlib.metadata import version
from pathlib import Path

import tensorflow as tf

from urlseq.answering import Decoded
from urlseq.cards import replace_folder, temporary_path, write_file
from urlseq.encoding import ENCODING, JSON_OF_BYTE
from urlseq.errors import ExportError, InvalidSetting
from urlseq.export import browser
from urlseq.export.litert import add_litert, rounded
from urlseq.export.saved_model import SIGNATURES, saved_model_answers, write_saved_model
from urlseq.learned import LearnedCopy
from urlseq.lite import load_lite

FORMAT = 4
MANIFEST = "manifest.json"
PRECISIONS = ("float32", "float16", "int8")


def export(copy: LearnedCopy, folder: str | Path, inputs: Sequence[str] | None = None, *,
           precision: str = "float16", count: int = 1000) -> Path:  # fmt: skip
    """Writes a copy with a LiteRT file, as `load` and `load_lite` read it, and beside it as SavedModel, TensorFlow.js
    model and a LiteRT file for the page, with a manifest. Returns the folder.

    Each form answers up to `count` inputs, by default the held-out ones that the card keeps, and each answer has to
    equal the copy's. The SavedModel has 32-bit weights; all others have weights of `precision`, and are compared with
    the copy under such weights. An export that is in `folder` is replaced at the end, or stays as it was. Raises
    ExportError, and InvalidSetting where `folder` holds anything else or no inputs are known to check with.
    """
    folder = Path(folder)
    if precision not in PRECISIONS:
        raise InvalidSetting(f"The precision is one of {', '.join(PRECISIONS)}, not {precision!r}.")
    if folder.exists() and not (folder / MANIFEST).is_file() and any(folder.iterdir()):
        raise InvalidSetting(f"{folder} holds files that are no export: give another folder, or empty that one.")
    inputs = inputs_to_check(copy, inputs, count)
    with new_folder(folder) as temporary:
        manifest = write_forms(copy, temporary, inputs, precision)
        write_file(temporary / MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode())
        replace_folder(folder, temporary)
    return folder


@contextlib.contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """An empty folder next to `folder`, removed at the end where it was not renamed. Raises ExportError."""
    temporary = temporary_path(folder)
    try:
        temporary.mkdir()
        yield temporary
    except tf.errors.OpError as error:  # a full disk, for instance, which TensorFlow has errors of its own for
        raise ExportError(f"{folder} was not written: {error.message}") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_forms(copy: LearnedCopy, folder: Path, inputs: list[str], precision: str) -> dict:
    """Writes and checks each form, and returns the manifest."""
    expected = copy.decode(inputs)
    write_saved_model(copy, folder / "saved_model")
    check("SavedModel", inputs, expected, saved_model_answers(folder / "saved_model", inputs, copy.reverse_output))
    small = deepcopy(copy)
    small.set_weights(rounded(copy.model, precision))
    answers = small.decode(inputs)
    add_litert(small, small.save(folder))
    check("LiteRT file", inputs, answers, load_lite(folder).decode(inputs))
    page_file, lengths = folder / "litert" / "copy.tflite", browser.lengths_for(copy)
    write_file(page_file, browser.litert_web(small, lengths))
    in_page = browser.litert_web_answers(page_file, lengths, inputs, copy.reverse_output)
    check("LiteRT file of the page", inputs, answers, in_page)
    browser.write_tensorflowjs(small.decoder.graph, folder / "tensorflowjs", precision)
    in_node = browser.tensorflowjs_answers(folder / "tensorflowjs", inputs, encoding_of(copy))
    if in_node is not None:
        check("TensorFlow.js model", inputs, answers, in_node)
    changed = sum(map(str.__ne__, expected.answers, answers.answers))
    checked = {"inputs": len(inputs), "tensorflowjs": in_node is not None, "changed_by_precision": changed}
    return manifest_of(copy, folder, inputs, precision) | {"checked": checked}


def manifest_of(copy: LearnedCopy, folder: Path, inputs: list[str], precision: str) -> dict:
    """What the page needs to know of the forms in a folder."""
    examples = sorted(filter(str.strip, inputs[:20]), key=len)[:4]
    signatures = [{"length": length, "max_answer_bytes": most} for length, most in browser.lengths_for(copy).items()]
    return {
        "format": FORMAT,
        "function": copy.card["task"]["function"],
        "inverse": copy.is_inverse,
        "max_input_bytes": copy.max_input_bytes,
        "max_answer_bytes": copy.max_answer_bytes,
        "encoding": encoding_of(copy),
        **{name: copy.card.get(name) for name in ("threshold", "bytes_seen", "held_out_counts")},
        "examples": examples,
        "expected": {text: answer for text, answer in copy.card.get("examples", {}).items() if text in examples},
        "weights": copy.card.get("sha256"),
        "saved_model": {"folder": "saved_model", "signatures": list(SIGNATURES)},
        "tensorflowjs": {"model": "tensorflowjs/model.json", "precision": precision},
        "litert": {"model": "litert/copy.tflite", "precision": precision, "signatures": signatures},
        "versions": {name: version(name) for name in ("tensorflow", "keras", "tensorflowjs", "numpy")},
        "files": {path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size,
                                                        "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
                  for path in sorted(folder.rglob("*")) if path.is_file()},
    }  # fmt: skip


def encoding_of(copy: LearnedCopy) -> dict:
    """How to turn the bytes that the network writes into JSON text: those listed into their texts, all others as they
    are, and with `reverse_output` from the last one on.
    """
    texts = {str(byte): text.decode() for byte, text in enumerate(JSON_OF_BYTE) if text != bytes([byte])}
    return {"name": ENCODING, "reverse_output": copy.reverse_output, "texts": texts}


def check(form: str, inputs: Sequence[str], expected: Decoded, found: Decoded) -> None:
    """Raises ExportError at the first input to which a form gives another answer, confidence or end than the copy."""
    for row, text in enumerate(inputs):
        ours, theirs = ((each.answers[row], float(each.confidence[row]), bool(each.ended[row]))
                        for each in (expected, found))  # fmt: skip
        if ours[::2] != theirs[::2] or abs(ours[1] - theirs[1]) > 1e-3:
            says = f"(answer, confidence, ended) is {theirs} instead of {ours}"
            raise ExportError(f"The {form} differs from the copy on {text!r}: {says}. Please report that.")


def inputs_to_check(copy: LearnedCopy, inputs: Sequence[str] | None, count: int) -> list[str]:
    """Up to `count` valid inputs, by default of those that the card keeps. Raises InvalidSetting if there are none."""
    valid = [str(text) for text in (copy.examples if inputs is None else inputs) if not copy.invalid_reason(text)]
    if not valid:
        raise InvalidSetting(f"None of the inputs to check with is a valid one for {copy!r}.")
    return valid[:count]
