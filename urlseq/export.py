"""A learned copy for other places, as SavedModel, TensorFlow.js model and LiteRT file, each checked before it counts.

TensorFlow.js' converter is installed by `setup_colab.sh --export`.
"""

import dataclasses
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import types
import warnings
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import tensorflow as tf

from urlseq.copying import KNOWN_FUNCTIONS
from urlseq.files import beside, locked, write_file
from urlseq.functions import INVERSE_OF, Inverse, name_of
from urlseq.gallery import GALLERY
from urlseq.graph import GraphDecoder
from urlseq.learned import BATCH, LearnedCopy, copy_of
from urlseq.model import Architecture, build_model
from urlseq.sampler import urls
from urlseq.sources import pairs, texts_for
from urlseq.vectorize import END, PADDING, padded, to_matrix, to_texts

FORMAT = 1
MANIFEST = "manifest.json"
PRECISIONS = ("float32", "float16")
# In TensorFlow.js each turn of a loop costs by itself; more steps in one make the model's file longer.
BROWSER_STRIDE = 4
WEB = Path(__file__).parent.parent / "web"
HOW_TO_CHECK = "That takes Node and `npm ci` in web/."


class ExportError(ValueError):
    """An exported form is missing, or answers other than the copy does; the message names the input."""


def export(copy: LearnedCopy, folder: str | Path, texts: Sequence[str] | None = None, *,
           precision: str = "float16", count: int = 1000) -> Path:  # fmt: skip
    """Writes a copy as SavedModel, TensorFlow.js model and LiteRT file with a manifest, and returns the folder.

    Each form answers `count` texts, by default inputs like those that it learned from, and has to say what the copy
    says. The SavedModel has 32-bit weights; the other two have weights of `precision`, and are compared with the copy
    under such weights. How many answers that changes is in the manifest.

    An export that is in `folder` is replaced at the end, or stays as it was. Raises ExportError, and ValueError where
    `folder` holds anything else or no texts are known to check with.
    """
    folder = Path(folder)
    if precision not in PRECISIONS:
        raise ValueError(f"The precision is one of {', '.join(PRECISIONS)}, not {precision!r}.")
    if folder.exists() and not (folder / MANIFEST).is_file() and any(folder.iterdir()):
        raise ValueError(f"{folder} holds files that are no export: give another folder, or empty that one.")
    # Confidence alone decides about trust, as it has to wherever the real function is not at hand.
    copy = copy_of(copy.model, copy.card, None)
    texts = texts_to_check(copy, texts, count)
    part = beside(folder)
    try:
        part.mkdir()
        manifest = write_forms(copy, part, texts, precision)
        write_file(part / MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode())
        replace(folder, part)
    except tf.errors.OpError as error:  # a full disk, for instance, which TensorFlow has errors of its own for
        raise ExportError(f"{folder} was not written: {error.message}") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def write_forms(copy: LearnedCopy, folder: Path, texts: list[str], precision: str) -> dict:
    small = with_weights_of(copy, precision)
    wanted = answered(copy, texts)
    wanted_small = wanted if small is copy else answered(small, texts)
    graph = GraphDecoder(small.model, small.limit)
    write_saved_model(copy, folder / "saved_model")
    check("SavedModel", texts, wanted, saved_model_answers(folder / "saved_model", texts))
    signatures = write_litert(graph, copy.max_bytes, folder / "litert" / "copy.tflite", precision)
    check("LiteRT file", texts, wanted_small, litert_answers(folder / "litert" / "copy.tflite", signatures, texts))
    write_tensorflowjs(graph, folder / "tensorflowjs", precision)
    in_node = tensorflowjs_answers(folder / "tensorflowjs", texts)
    if in_node is None:
        warnings.warn(f"The TensorFlow.js model is not checked. {HOW_TO_CHECK}", stacklevel=3)
    else:
        check("TensorFlow.js model", texts, wanted_small, in_node)
    card = copy.card
    return {
        "format": FORMAT,
        "function": card["function"],
        "inverse": card["function"].startswith(INVERSE_OF),
        "max_bytes": copy.max_bytes,
        "limit": copy.limit,
        "threshold": card["threshold"],
        "bytes_seen": card["bytes_seen"],
        "held_out": card.get("held_out"),
        "weights": card.get("sha256"),
        "saved_model": {"folder": "saved_model", "signatures": list(SIGNATURES)},
        "tensorflowjs": {"model": "tensorflowjs/model.json", "precision": precision},
        "litert": {"model": "litert/copy.tflite", "precision": precision,
                   "signatures": [dataclasses.asdict(signature) for signature in signatures]},
        "checked": {"texts": len(texts), "tensorflowjs": in_node is not None,
                    "changed_by_precision": sum(a.text != b.text for a, b in zip(wanted, wanted_small, strict=True))},
        "versions": {name: version(name) for name in ("tensorflow", "keras", "tensorflowjs", "numpy")},
        "files": {path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256(path)}
                  for path in sorted(folder.rglob("*")) if path.is_file()},
    }  # fmt: skip


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def replace(folder: Path, new: Path) -> None:
    """Puts the new folder in the place of the old one, which is gone only after that."""
    with locked(folder.parent):
        old = beside(folder, "old")
        if folder.exists():
            os.rename(folder, old)
        os.rename(new, folder)
    shutil.rmtree(old, ignore_errors=True)


def texts_to_check(copy: LearnedCopy, texts: Sequence[str] | None, count: int) -> list[str]:
    """Up to `count` of the texts that the copy takes, by default examples of its inputs. Raises ValueError on none."""
    texts = example_texts(copy, count) if texts is None else texts
    taken = [text for text in texts if copy.refusal(text) is None]
    if not taken:
        raise ValueError(f"None of the texts to check with is one that {copy!r} takes.")
    return taken[:count]


def example_texts(copy: LearnedCopy, count: int) -> list[str]:
    """Held-out inputs of a function that is known here: `urlparse`, or one of the gallery's."""
    name = copy.card["function"].removeprefix(INVERSE_OF)
    known = {name_of(entry.function): entry.inputs for entry in GALLERY.values()}
    if name not in KNOWN_FUNCTIONS:
        raise ValueError(f"What inputs {name} takes is not known here: give `texts` to check the export with.")
    sampler = known.get(name) or urls(copy.max_bytes)
    if copy.card["function"].startswith(INVERSE_OF):
        sampler = pairs(Inverse(KNOWN_FUNCTIONS[name]), sampler)
    fits = lambda text: len(text.encode()) <= copy.max_bytes  # noqa: E731
    return [str(text) for text in texts_for(sampler, random.Random("export"), count, held_out=True, check=fits)]


def with_weights_of(copy: LearnedCopy, precision: str) -> LearnedCopy:
    """The copy with weights that a number of this precision holds."""
    if precision == "float32":
        return copy
    model = build_model(Architecture(**copy.card["architecture"]))
    model.set_weights([weight.astype(precision).astype(np.float32) for weight in copy.model.get_weights()])
    return copy_of(model, copy.card, None)


# ---------------------------------------------------------------- what the forms are compared in


@dataclasses.dataclass
class Answered:
    """What one form says of one text: the answer's text, its confidence and whether it came to an end."""

    text: str
    confidence: float
    ended: bool


def answered(copy: LearnedCopy, texts: Sequence[str]) -> list[Answered]:
    found = []
    for start in range(0, len(texts), 256):
        decoded = copy.decoder(to_matrix(texts[start : start + 256]), copy.limit)
        found += [Answered(text, float(confidence), bool(ended)) for text, confidence, ended in zip(
            decoded.texts, decoded.confidence, decoded.ended, strict=True)]  # fmt: skip
    return found


def check(form: str, texts: Sequence[str], wanted: Sequence[Answered], got: Iterable[Answered]) -> None:
    """Raises ExportError at the first text to which a form says anything else than the copy."""
    for text, expected, found in zip(texts, wanted, got, strict=True):
        same = (found.text, found.ended) == (expected.text, expected.ended)
        if not same or abs(found.confidence - expected.confidence) > 1e-3:
            raise ExportError(f"The {form} differs from the copy on {text!r}: {found} instead of {expected}.")


# ---------------------------------------------------------------- SavedModel


SIGNATURES = ("serving_default", "embedding", "tokens")


def write_saved_model(copy: LearnedCopy, folder: Path) -> None:
    """A SavedModel with `serving_default` (texts to answers), `embedding` (texts to vectors) and `tokens` (bytes)."""
    graph = GraphDecoder(copy.model, copy.limit)
    graph.tokens = tf.function(
        lambda tokens: graph.decode(tokens, attention=True),
        input_signature=[tf.TensorSpec([None, None], tf.int32, name="tokens")],
    )
    texts = [tf.TensorSpec([None], tf.string, name="text")]
    graph.texts = tf.function(serving(graph, copy.card), input_signature=texts)
    graph.vectors = tf.function(embedding(graph, copy.card), input_signature=texts)
    signatures = dict(zip(SIGNATURES, (graph.texts, graph.vectors, graph.tokens), strict=True))
    tf.saved_model.save(graph, str(folder), signatures=signatures)


def read_texts(text, card: dict):
    """Any bytes to rows of bytes int32 [batch, time] with end marks, and why each can't be an input ("" if it can).

    What can't is read as the empty text.
    """
    utf8 = tf.strings.unicode_transcode(text, "UTF-8", "UTF-8", errors="replace", replace_control_characters=False)
    lengths = tf.strings.length(text)
    reason = tf.fill(tf.shape(text), "")
    reason = tf.where(lengths > card["max_bytes"], f"it has more than {card['max_bytes']} bytes", reason)
    reason = tf.where(tf.strings.regex_full_match(text, r"(?s:.*\x00.*)"), "it holds a NUL character", reason)
    reason = tf.where(utf8 != text, "it is no UTF-8", reason)
    usable = tf.equal(reason, "")
    text = tf.where(usable, text, "")
    lengths = tf.expand_dims(tf.where(usable, lengths, 0), 1)
    width = tf.maximum(tf.reduce_max(lengths), 0) + 1
    tokens = tf.cast(tf.io.decode_raw(text, tf.uint8, fixed_length=width), tf.int32)
    return tf.where(tf.equal(tf.expand_dims(tf.range(width), 0), lengths), END, tokens), reason


def serving(graph: GraphDecoder, card: dict) -> Callable:
    """Texts in, any bytes; out come `json`, `confidence`, `trusted` and, where it is false, the `reason`.

    Whether the answer is JSON is not looked at: no graph can parse it, so that is left to who takes the answer.
    """
    letters = tf.constant([b"" if byte in (PADDING, END) else bytes([byte]) for byte in range(256)])
    seen = tf.constant(np.isin(np.arange(256), [PADDING, END, *card["bytes_seen"]]))

    def decoded(tokens):
        found = graph.decode(tokens)
        written = tf.strings.reduce_join(tf.gather(letters, found["answer"]), axis=1)
        written = tf.strings.unicode_transcode(written, "UTF-8", "UTF-8", errors="replace",
                                               replace_control_characters=False)  # fmt: skip
        return {"json": written, "confidence": found["confidence"], "ended": found["ended"]}

    def answer(text):
        tokens, reason = read_texts(text, card)
        usable = tf.equal(reason, "")
        known = tf.reduce_all(tf.gather(seen, tokens), axis=1)
        found = in_batches(decoded, tokens)
        doubts = tf.where(found["confidence"] < card["threshold"], "its confidence is too low", "")
        doubts = tf.where(found["ended"] > 0, doubts, "the answer has no end")
        doubts = tf.where(known, doubts, "it holds bytes that training never did")
        reason = tf.where(usable, doubts, reason)
        return {
            "json": tf.where(usable, found["json"], ""),
            "confidence": tf.where(usable, found["confidence"], 0.0),
            "trusted": tf.equal(reason, ""),
            "reason": reason,
        }

    return answer


def in_batches(decoded: Callable, tokens, size: int = BATCH) -> dict:
    """What `decoded` says of rows of bytes [batch, time], asked for `size` rows at once, those of about one length."""
    lengths = tf.reduce_sum(tf.cast(tf.not_equal(tokens, PADDING), tf.int32), axis=1)
    order = tf.argsort(lengths)
    columns = {"json": tf.string, "confidence": tf.float32, "ended": tf.int32}

    def some(place, found):
        rows = order[place : place + size]
        width = tf.reduce_max(tf.gather(lengths, rows))
        more = decoded(tf.gather(tokens, rows)[:, :width])
        return place + size, {name: tf.concat([found[name], more[name]], 0) for name in columns}

    nothing = {name: tf.zeros([0], kind) for name, kind in columns.items()}
    open_ended = dict.fromkeys(columns, tf.TensorShape([None]))
    _, found = tf.while_loop(lambda place, _: place < tf.size(order), some, (0, nothing),
                             shape_invariants=(tf.TensorShape([]), open_ended))  # fmt: skip
    return {name: tf.gather(found[name], tf.argsort(order)) for name in columns}


def embedding(graph: GraphDecoder, card: dict) -> Callable:
    """Texts in, any bytes; out come `embedding`, the encoder's states, zeros for what can't be an input, and `reason`,
    why it can't."""

    def embed(text):
        tokens, reason = read_texts(text, card)
        usable = tf.cast(tf.expand_dims(tf.equal(reason, ""), 1), tf.float32)
        return {"embedding": graph.embed(tokens) * usable, "reason": reason}

    return embed


def saved_model_answers(folder: Path, texts: Sequence[str]) -> Iterable[Answered]:
    """By both signatures, which have to agree."""
    signatures = tf.saved_model.load(str(folder)).signatures
    for start in range(0, len(texts), 32):
        batch = texts[start : start + 32]
        served = signatures["serving_default"](text=tf.constant([text.encode() for text in batch]))
        decoded = signatures["tokens"](tokens=tf.constant(to_matrix(batch).astype(np.int32)))
        for row, text in enumerate(to_texts(decoded["answer"].numpy())):
            if served["json"][row].numpy().decode() != text:
                raise ExportError(f"The SavedModel's two signatures differ on {batch[row]!r}.")
            yield Answered(text, float(served["confidence"][row]), bool(decoded["ended"][row]))


# ---------------------------------------------------------------- LiteRT


@dataclasses.dataclass
class StaticSignature:
    """A signature of a LiteRT file: rows of `length` bytes, end mark included, and answers of up to `limit` bytes."""

    name: str
    length: int
    limit: int


def write_litert(graph: GraphDecoder, max_bytes: int, path: Path, precision: str) -> list[StaticSignature]:
    """One file with a signature for each of a few lengths, so that a short text does not pay for a long one."""
    full = padded(np.zeros((1, max_bytes + 1))).shape[1]
    signatures = [StaticSignature(f"tokens_{length}", length, min(graph.limit, 2 * length + 64))
                  for length in (64, 128) if length < full]  # fmt: skip
    signatures.append(StaticSignature(f"tokens_{full}", full, graph.limit))
    functions = {}
    for signature in signatures:
        function = tf.function(lambda tokens, limit=signature.limit: graph.decode(tokens, limit, attention=True))
        functions[signature.name] = function.get_concrete_function(
            tf.TensorSpec([1, signature.length], tf.int32, name="tokens")
        )
    source = path.with_name("source")
    tf.saved_model.save(graph, str(source), signatures=functions)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(source), signature_keys=list(functions))
    if precision == "float16":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
    write_file(path, converter.convert())
    shutil.rmtree(source)
    return signatures


def litert_answers(path: Path, signatures: list[StaticSignature], texts: Sequence[str]) -> Iterable[Answered]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "[\\s\\S]*tf.lite.Interpreter is deprecated")
        interpreter = tf.lite.Interpreter(str(path))
    several = len(signatures) > 1
    runners = {s.length: interpreter.get_signature_runner(s.name if several else None) for s in signatures}
    for text in texts:
        for length, run in runners.items():
            if len(text.encode()) >= length:
                continue
            found = run(tokens=to_matrix([text], length).astype(np.int32))
            if found["ended"][0]:
                break
        yield Answered(to_texts(found["answer"])[0], float(found["confidence"][0]), bool(found["ended"][0]))


# ---------------------------------------------------------------- TensorFlow.js


def write_tensorflowjs(graph: GraphDecoder, folder: Path, precision: str) -> None:
    convert = tensorflowjs_converter()
    graph.tokens = tf.function(
        lambda tokens: graph.decode(tokens, attention=True, stride=BROWSER_STRIDE),
        input_signature=[tf.TensorSpec([None, None], tf.int32, name="tokens")],
    )
    source = folder.with_name("source")
    tf.saved_model.save(graph, str(source), signatures={"tokens": graph.tokens})
    quantization = {"float16": {"float16": "*"}, "float32": None}[precision]
    convert(str(source), str(folder), signature_def="tokens", control_flow_v2=True, quantization_dtype_map=quantization)
    shutil.rmtree(source)


def tensorflowjs_converter() -> Callable:
    """The converter of the package `tensorflowjs`, which asks for packages that this conversion never uses."""
    unused = ("tensorflow_decision_forests", "tensorflow_hub", "jax", "jax.experimental", "jax.experimental.jax2tf")
    stubs = {name: types.ModuleType(name) for name in unused}
    stubs["jax.experimental"].jax2tf = stubs["jax.experimental.jax2tf"]
    real = {name: sys.modules[name] for name in unused if name in sys.modules}
    sys.modules.update(stubs)
    try:
        from tensorflowjs.converters.tf_saved_model_conversion_v2 import convert_tf_saved_model
    except ImportError as error:
        raise ExportError(f"TensorFlow.js' converter is missing ({error}): bash setup_colab.sh --export") from None
    finally:  # whoever imports one of them later is to get the real one
        for name in unused:
            del sys.modules[name]
        sys.modules.update(real)
    return convert_tf_saved_model


def tensorflowjs_answers(folder: Path, texts: Sequence[str]) -> list[Answered] | None:
    """What the model says when TensorFlow.js runs it in Node; None where that is not installed."""
    if shutil.which("node") is None or not (WEB / "node_modules").is_dir():
        return None
    process = subprocess.run(
        ["node", str(WEB / "answers.mjs"), str(folder)], input=json.dumps(list(texts)), capture_output=True, text=True
    )
    if process.returncode != 0:
        raise ExportError(f"TensorFlow.js can't run the model in Node: {process.stderr.strip()[-2000:]}")
    return [Answered(**record) for record in json.loads(process.stdout)]
