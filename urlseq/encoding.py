"""Which bytes the network reads and writes, and what they mean in text and in JSON. It needs numpy alone."""

import itertools
import json
import re
from collections.abc import Mapping, Sequence, Set
from typing import Any

import numpy as np

from urlseq.errors import InvalidSetting, WrongType

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
# Rows that are computed at once. In larger batches more rows wait for the longest, and keys and values, which each
# step of decoding reads whole, outgrow the processor's cache.
BATCH = 64
# Of all pairs of positions attention keeps numbers at once. So many may a batch have: about 300 MB.
ATTENTION_NUMBERS = 2**26
# Numbers in an embedding: the encoder's, and for all others a sketch of the text's pieces.
EMBEDDING = 512
PIECES = (2, 3, 4)  # bytes
# Of an iterator so many inputs are read: one that gives more may go on for ever.
MOST_ITERATED = 10**6
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


def before_end(matrix: np.ndarray) -> np.ndarray:
    """Which bytes of each row stand before its first EOS or padding, bool [texts, length]."""
    return np.logical_and.accumulate((matrix != EOS) & (matrix != PADDING), axis=1)


def to_answers(matrix: np.ndarray, reverse_output: bool = False) -> list[str]:
    """Rows of bytes [texts, length], as the network writes them, back to JSON texts: the inverse of `written`."""
    rows = [row[inside].tolist() for row, inside in zip(matrix, before_end(matrix), strict=True)]
    texts = [b"".join([JSON_OF_BYTE[byte] for byte in (row[::-1] if reverse_output else row)]) for row in rows]
    return [text.decode("utf-8", "replace") for text in texts]


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


def to_tokens(rows: Sequence[bytes]) -> np.ndarray:
    """Rows of bytes with EOS and padding, int32 [rows, longest + 1]: as `vectorize.to_matrix`, which needs Arrow."""
    width = max(map(len, rows)) + 1
    data = b"".join([(row + bytes([EOS])).ljust(width, b"\0") for row in rows])
    return np.frombuffer(data, np.uint8).reshape(len(rows), width).astype(np.int32)


def piece_hashes(marked, size: int):
    """A number below 2**32 for each piece of `size` bytes of rows that begin with BOS, int64 [rows, time].

    For arrays of numpy and of TensorFlow. Source: FNV-1a's multiplication, and a mixing of the bits at the end.
    """
    hashes = size
    for offset in range(size):
        hashes = (hashes * 16777619 & 0xFFFFFFFF) ^ marked[:, offset : offset - size + 1 or None]
    hashes = (hashes ^ hashes // 2**15) * 0x2C1B3C6D & 0xFFFFFFFF
    return hashes ^ hashes // 2**13


def sketch(tokens: np.ndarray, width: int) -> np.ndarray:
    """Which pieces of 2 to 4 bytes each text [batch, time] has: how often, with a sign, in columns that their hashes
    choose. Of length 1, float32 [batch, width]. Source: Weinberger et al., Feature hashing, 2009 (arXiv:0902.2206).
    """
    marked = np.pad(tokens.astype(np.int64), ((0, 0), (1, 0)), constant_values=BOS)
    counts, rows = np.zeros(len(tokens) * width), np.arange(len(tokens))[:, None] * width
    for size in PIECES:
        hashes, inside = piece_hashes(marked, size), marked[:, size - 1 :] != PADDING
        signs = np.where(hashes < 2**31, 1.0, -1.0)[inside]
        counts += np.bincount((rows + hashes % width)[inside], signs, len(counts))
    vectors = counts.reshape(len(tokens), width)
    return (vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)).astype(np.float32)
