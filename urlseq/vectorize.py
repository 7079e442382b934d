"""Texts to byte matrices and back, a batch at a time, with no Python loop over the texts.

The same few functions serve training and answering, so that the two can't drift apart.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from urlseq.encoding import (
    BOS,
    BYTE_OF_JSON,
    EOS,
    ESCAPED,
    HALF_SURROGATE,
    NUL,
    PADDING,
    before_end,
    invalid_reason,
    shown,
)
from urlseq.errors import InvalidInput, WrongType

if TYPE_CHECKING:  # imported where it is used: to name a function of the gallery takes none of it
    import pyarrow as pa

# Models get their rows in multiples of this length. A new shape makes a CPU's kernels anew, which costs as much
# as a whole step of training; with so few shapes that is soon over.
PADDING_STEP = 16
Texts = Sequence[str] | Any  # or an Arrow array


def to_arrow(texts: Texts) -> "pa.Array":
    """Texts as an Arrow array. Raises InvalidInput on half a surrogate pair, and WrongType on what is no text.

    An Arrow array of bytes, such as `written` makes, is left as it is.
    """
    import pyarrow as pa

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


def buffers(texts: Texts) -> tuple[np.ndarray, np.ndarray]:
    """The UTF-8 bytes of all texts, uint8 [bytes], and where each begins and ends, int64 [texts + 1].

    Views into Arrow's own memory: nothing is copied.
    """
    array = to_arrow(texts)
    width = np.int64 if str(array.type) == "large_string" else np.int32
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


def pad(matrix: np.ndarray, extra: int = 0) -> np.ndarray:
    """The matrix with more padding at the right, up to a multiple of PADDING_STEP, and so many bytes more."""
    width = -(-matrix.shape[1] // PADDING_STEP) * PADDING_STEP + extra
    return np.pad(matrix, ((0, 0), (0, width - matrix.shape[1])))


def to_texts(matrix: np.ndarray) -> list[str]:
    """Rows of bytes [texts, length] back to texts: each ends before its first EOS or padding.

    Bytes that are no UTF-8 (a model may write anything) come out as U+FFFD.
    """
    import pyarrow as pa

    matrix = np.asarray(matrix, np.uint8)
    inside = before_end(matrix)
    offsets = np.append(0, inside.sum(axis=1).cumsum()).astype(np.int32)
    found = [None, pa.py_buffer(offsets), pa.py_buffer(matrix[inside])]
    rows = pa.BinaryArray.from_buffers(pa.binary(), len(matrix), found)
    try:
        return rows.cast(pa.string()).to_pylist()
    except pa.ArrowInvalid:
        return [row.decode("utf-8", "replace") for row in rows.to_pylist()]


def written(answers: Sequence[str], reverse_output: bool = False) -> "pa.Array":
    """JSON texts as the network writes them, an Arrow array of bytes: with `QUOTE` for a quote, and no escapes.

    With `reverse_output` each is written from its end. Raises InvalidInput on escapes that `to_json` does not make.
    """
    import pyarrow as pa

    try:
        rows = [ESCAPED.sub(lambda found: BYTE_OF_JSON[found[0]], answer.encode()) for answer in answers]
    except KeyError as error:
        escape = error.args[0].decode()
        raise InvalidInput(f"An answer holds {escape}. Write answers by `urlseq.functions.to_json`.") from None
    return pa.array([row[::-1] for row in rows] if reverse_output else rows, pa.binary())


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
    inputs: Texts, answers: Sequence[str], reverse_output: bool = False, extra: int = 0
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """What `fit` takes of one batch: `({"encoder_input", "decoder_input"}, target)`, int32. Answers are JSON."""
    matrices = features(inputs, written(answers, reverse_output))
    names = ("encoder_input", "decoder_input", "target")
    encoder_input, decoder_input, target = (pad(matrices[name], extra).astype(np.int32) for name in names)
    return {"encoder_input": encoder_input, "decoder_input": decoder_input}, target
