"""Texts to byte matrices and back, a batch at a time, with no Python loop over the texts.

The same few functions serve training and answering, so that the two can't drift apart.
"""

import itertools
import json
import re
from collections.abc import Mapping, Sequence, Set
from typing import Any

import numpy as np
import pyarrow as pa

from urlseq.errors import InvalidInput, InvalidSetting, WrongType

# UTF-8 never uses the bytes 0xFE and 0xFF, so they can mark where an output begins (BOS) and a text ends (EOS).
# Padding is byte 0, so NUL can't be part of a text.
PADDING, BOS, EOS = 0x00, 0xFE, 0xFF
VOCABULARY = 256
# An answer is JSON, but as the network writes it, strings stand between quotes that are a byte of their own, which
# UTF-8 never uses either, and nothing is escaped in them. With an escape the answer would be a byte ahead of the input
# from there on, for no reason of the function's, and the network would have to count. NUL has a byte of its own, too.
QUOTE, NUL_WRITTEN = 0xF8, 0xF9
ENCODING = "JSON without escapes"
# What each byte that the network writes is in JSON.
JSON_OF_BYTE = [json.dumps(chr(byte), ensure_ascii=False)[1:-1].encode() for byte in range(0x80)]
JSON_OF_BYTE += [bytes([byte]) for byte in range(0x80, VOCABULARY)]
JSON_OF_BYTE[QUOTE], JSON_OF_BYTE[NUL_WRITTEN] = b'"', rb"\u0000"
JSON_LENGTHS = np.array([len(text) for text in JSON_OF_BYTE])
BYTE_OF_JSON = {text: bytes([byte]) for byte, text in enumerate(JSON_OF_BYTE) if byte != PADDING}
ESCAPED = re.compile(rb'\\u[0-9a-f]{4}|\\.|"')
# Models get their rows in multiples of this length. A new shape makes a CPU's kernels anew, which costs as much
# as a whole step of training; with so few shapes that is soon over.
PADDING_STEP = 16
# Rows that are computed at once. In larger batches more rows wait for the longest, and keys and values, which each
# step of decoding reads whole, outgrow the processor's cache.
BATCH = 64
# Of all pairs of positions attention keeps numbers at once. So many may a batch have: about 300 MB.
ATTENTION_NUMBERS = 2**26
# Of an iterator so many inputs are read: one that gives more may go on for ever.
MOST_ITERATED = 10**6

Texts = Sequence[str] | Any  # or an Arrow array


def to_arrow(texts: Texts) -> pa.Array:
    """Texts as an Arrow array. Raises InvalidInput on half a surrogate pair, and WrongType on what is no text.

    An Arrow array of bytes, such as `written` makes, is left as it is.
    """
    if isinstance(texts, str):
        raise WrongType(f"A list of texts is needed, not one text: {shown(texts)}.")
    try:
        array = texts if isinstance(texts, pa.Array | pa.ChunkedArray) else pa.array(texts, pa.string())
    except UnicodeEncodeError:
        broken = next(text for text in texts if isinstance(text, str) and invalid_reason(text, 0) == HALF_SURROGATE)
        raise InvalidInput(f"{shown(broken)} is no text: {HALF_SURROGATE}. Mend or drop it.") from None
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        wrong = next(text for text in texts if text is not None and not isinstance(text, str))
        raise WrongType(f"A list of texts is needed, but it holds {wrong!r}.") from None
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if array.type not in (pa.string(), pa.large_string(), pa.binary()):
        raise WrongType(f"A list of texts is needed, but the Arrow array holds {array.type}.")
    if array.null_count:
        row = array.is_null().to_pylist().index(True)
        raise WrongType(f"Text {row} is missing (None). Drop the missing ones or put '' in their place.")
    return array


HALF_SURROGATE = "it holds half a surrogate pair, which UTF-8 can't"
NUL = "it holds a NUL character, which marks padding here"


def invalid_reason(text: str, max_input_bytes: int) -> str:
    """Why a text can't be an input; "" for one that can. Raises WrongType on what is no text."""
    if not isinstance(text, str):
        raise WrongType(f"An input has to be text, but there is {text!r:.100}. Of a table, give the column of texts.")
    try:
        length = len(text.encode())
    except UnicodeEncodeError:
        return HALF_SURROGATE
    if "\0" in text:
        return NUL
    return f"it has {length:,} bytes, more than the {max_input_bytes:,} that were learned" * (length > max_input_bytes)


def input_list(inputs: Any) -> list[str]:
    """The inputs in a list, an Arrow array or any iterable; those of a set, whose order differs from one Python to the
    next, are sorted. Raises WrongType, and InvalidSetting on too many.
    """
    if hasattr(inputs, "columns") or isinstance(inputs, Mapping):  # a loop would give names of columns, or keys
        kind = type(inputs).__name__
        raise WrongType(f"A {kind} is no list of texts: give one column, such as table['url'], or list(values).")
    most = None if hasattr(inputs, "__len__") else MOST_ITERATED
    try:
        found = list(itertools.islice(inputs, most and most + 1))
    except TypeError:
        raise WrongType(f"A text, or a list of texts, is needed, not {inputs!r:.100}.") from None
    if most and len(found) > most:
        raise InvalidSetting(f"A {type(inputs).__name__} gave more than {MOST_ITERATED:,} inputs: give a list of them.")
    found = sorted(found, key=repr) if isinstance(inputs, Set) else found
    return [text.as_py() if hasattr(text, "as_py") else text for text in found]  # Arrow has texts of its own


def shown(text: str) -> str:
    """A text for an error message: quoted, and short."""
    return repr(text) if len(text) <= 60 else f"{text[:60]!r}… ({len(text):,} characters)"


def buffers(texts: Texts) -> tuple[np.ndarray, np.ndarray]:
    """The UTF-8 bytes of all texts, uint8 [bytes], and where each begins and ends, int64 [texts + 1].

    Views into Arrow's own memory: nothing is copied.
    """
    array = to_arrow(texts)
    width = np.int64 if pa.types.is_large_string(array.type) else np.int32
    _, offsets, data = array.buffers()
    if len(array) == 0:
        return np.empty(0, np.uint8), np.zeros(1, np.int64)
    offsets = np.frombuffer(offsets, width)[array.offset : array.offset + len(array) + 1].astype(np.int64)
    data = np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
    return data[offsets[0] : offsets[-1]], offsets - offsets[0]


def byte_lengths(texts: Texts) -> np.ndarray:
    """Bytes of UTF-8 in each text, int64 [texts]."""
    return np.diff(buffers(texts)[1])


def to_matrix(texts: Texts, length: int | None = None) -> np.ndarray:
    """Texts as rows of bytes, uint8 [texts, length]: the text, EOS, then padding.

    Without `length`, the longest text of this batch defines it. Raises InvalidInput on a text that holds NUL
    (it would look like padding) or that is longer than `length` allows.
    """
    data, offsets = buffers(texts)
    starts, lengths = offsets[:-1], np.diff(offsets)
    longest = int(lengths.max(initial=0))
    if length is None:
        length = longest + 1
    elif longest >= length:
        row = int(lengths.argmax())
        text = shown(to_arrow(texts)[row].as_py())
        raise InvalidInput(f"Text {row} has {longest} bytes; {length - 1} is the limit: {text}")
    if np.count_nonzero(data) < len(data):
        row = int(np.searchsorted(offsets, data.argmin(), side="right")) - 1
        raise InvalidInput(f"Text {row} is {shown(to_arrow(texts)[row].as_py())}: {NUL}.")
    # Each row starts as `length` bytes copied from where its text begins; what follows the text is then
    # blanked, by a row that holds as many ones as the text has bytes.
    matrix = windows(np.concatenate([data, np.zeros(length, np.uint8)]), starts, length)
    matrix *= windows(np.repeat(np.array([1, 0], np.uint8), length), length - lengths, length)
    matrix[np.arange(len(matrix)), lengths] = EOS
    return matrix


def windows(data: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
    """The `length` bytes from each start on, uint8 [starts, length].

    Seen as items of `length` bytes, which overlap, they are copied whole: the fastest thing numpy does.
    """
    items = np.ndarray(len(data) - length + 1, f"V{length}", data, strides=(1,))
    return items[starts].view(np.uint8).reshape(len(starts), length)


def pad(matrix: np.ndarray, extra_steps: int = 0) -> np.ndarray:
    """The matrix with more padding at the right, up to a multiple of PADDING_STEP, and so many steps more."""
    width = (-(-matrix.shape[1] // PADDING_STEP) + extra_steps) * PADDING_STEP
    return np.pad(matrix, ((0, 0), (0, width - matrix.shape[1])))


def to_texts(matrix: np.ndarray) -> list[str]:
    """Rows of bytes [texts, length] back to texts: each ends before its first EOS or padding.

    Bytes that are no UTF-8 (a model may write anything) come out as U+FFFD.
    """
    matrix = np.asarray(matrix, np.uint8)
    inside = before_end(matrix)
    offsets = np.append(0, inside.sum(axis=1).cumsum()).astype(np.int32)
    found = [None, pa.py_buffer(offsets), pa.py_buffer(matrix[inside])]
    rows = pa.BinaryArray.from_buffers(pa.binary(), len(matrix), found)
    try:
        return rows.cast(pa.string()).to_pylist()
    except pa.ArrowInvalid:
        return [row.decode("utf-8", "replace") for row in rows.to_pylist()]


def before_end(matrix: np.ndarray) -> np.ndarray:
    """Which bytes of each row stand before its first EOS or padding, bool [texts, length]."""
    return np.logical_and.accumulate((matrix != EOS) & (matrix != PADDING), axis=1)


def written(answers: Sequence[str], reverse_output: bool = False) -> pa.Array:
    """JSON texts as the network writes them, an Arrow array of bytes: with `QUOTE` for a quote, and no escapes.

    With `reverse_output` each is written from its end. Raises InvalidInput on escapes that `to_json` does not make.
    """
    try:
        rows = [ESCAPED.sub(lambda found: BYTE_OF_JSON[found[0]], answer.encode()) for answer in answers]
    except KeyError as error:
        escape = error.args[0].decode()
        raise InvalidInput(f"An answer holds {escape}. Write answers by `urlseq.functions.to_json`.") from None
    return pa.array([row[::-1] for row in rows] if reverse_output else rows, pa.binary())


def to_answers(matrix: np.ndarray, reverse_output: bool = False) -> list[str]:
    """Rows of bytes [texts, length], as the network writes them, back to JSON texts: the inverse of `written`."""
    rows = [row[inside].tolist() for row, inside in zip(matrix, before_end(matrix), strict=True)]
    texts = [b"".join([JSON_OF_BYTE[byte] for byte in (row[::-1] if reverse_output else row)]) for row in rows]
    return [text.decode("utf-8", "replace") for text in texts]


def one_hot_to_texts(one_hot: np.ndarray) -> list[str]:
    """Texts from one-hot vectors, logits or probabilities [texts, length, VOCABULARY]."""
    return to_texts(np.argmax(one_hot, axis=-1))


def features(inputs: Texts, answers: Texts) -> dict[str, np.ndarray]:
    """All that the model needs of one batch, by name: the same for training and for looking.

    `encoder_input` [texts, longest input + 1] and `target` [texts, longest answer + 1] are bytes with EOS;
    `decoder_input` is the target one step late, behind BOS (teacher forcing). Answers are `written`.
    """
    encoder_input = to_matrix(inputs)
    target = to_matrix(answers)
    decoder_input = np.roll(target, 1, axis=1)
    decoder_input[:, 0] = BOS
    decoder_input[decoder_input == EOS] = PADDING
    return locals()


def make_batch(
    inputs: Texts, answers: Sequence[str], reverse_output: bool = False, extra_steps: int = 0
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """What `fit` takes of one batch: `({"encoder_input", "decoder_input"}, target)`, int32. Answers are JSON."""
    matrices = features(inputs, written(answers, reverse_output))
    names = ("encoder_input", "decoder_input", "target")
    encoder_input, decoder_input, target = (pad(matrices[name], extra_steps).astype(np.int32) for name in names)
    return {"encoder_input": encoder_input, "decoder_input": decoder_input}, target


def batches_by_length(lengths: np.ndarray, batch_size: int = BATCH) -> list[np.ndarray]:
    """The indices of all lengths [rows], the short ones first, cut into batches, smaller ones where rows are long."""
    order, batches = np.argsort(lengths, kind="stable"), []
    while len(order):
        count = min(batch_size, len(order))
        while count > 1 and count * int(lengths[order[count - 1]]) ** 2 > ATTENTION_NUMBERS:
            count = -(-count // 2)
        batches.append(order[:count])
        order = order[count:]
    return batches
