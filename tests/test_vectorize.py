import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from conftest import TEXT, TEXTS, words_of
from hypothesis import given
from hypothesis import strategies as st
from keras.utils import to_categorical

from urlseq.encoding import (
    ATTENTION_NUMBERS,
    BATCH,
    BOS,
    EOS,
    JSON_OF_BYTE,
    NUL_WRITTEN,
    PADDING,
    QUOTE,
    VOCABULARY,
    batches_by_length,
    invalid_reason,
    to_answers,
)
from urlseq.errors import InvalidInput, WrongType
from urlseq.functions import to_json
from urlseq.vectorize import (
    PADDING_STEP,
    byte_lengths,
    features,
    make_batch,
    pad,
    to_matrix,
    to_texts,
    written,
)

PAIRS = st.lists(st.tuples(TEXT, TEXT))
# What a function may return, NUL and all: no input, but an answer may hold it.
STRINGS = st.text(st.characters(exclude_categories=("Cs",))) | st.text(st.sampled_from('\0"\\/\n\t\x01\x7fué😀'))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | STRINGS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(STRINGS, inner, max_size=3),
    max_leaves=6,
)


def row_by_row(texts: list[str], length: int) -> np.ndarray:
    """The same matrix, made by the plain loop that `to_matrix` does without."""
    matrix = np.zeros((len(texts), length), np.uint8)
    for row, text in enumerate(texts):
        data = text.encode() + bytes([EOS])
        matrix[row, : len(data)] = list(data)
    return matrix


@given(TEXTS)
def test_texts_come_back_from_their_matrix(texts):
    assert to_texts(to_matrix(texts)) == texts


@given(TEXTS)
def test_matrix_equals_the_plain_loop(texts):
    matrix = to_matrix(texts)
    assert matrix.dtype == np.uint8
    longest = max((len(text.encode()) for text in texts), default=0)
    np.testing.assert_array_equal(matrix, row_by_row(texts, longest + 1))


@given(TEXTS, st.integers(1, 50))
def test_a_longer_matrix_holds_more_padding_and_the_same_texts(texts, more):
    matrix = to_matrix(texts)
    longer = to_matrix(texts, matrix.shape[1] + more)
    np.testing.assert_array_equal(longer, np.pad(matrix, ((0, 0), (0, more))))
    assert to_texts(longer) == texts


@given(TEXTS)
def test_every_row_has_one_eos_and_only_padding_behind_it(texts):
    matrix = to_matrix(texts)
    assert ((matrix == EOS).sum(axis=1) == 1).all()
    ends = (matrix == EOS).argmax(axis=1)
    np.testing.assert_array_equal(ends, byte_lengths(texts))
    behind = np.arange(matrix.shape[1]) > ends[:, None]
    np.testing.assert_array_equal(matrix == PADDING, behind)


@given(TEXTS, st.sampled_from([pa.string(), pa.large_string()]), st.data())
def test_arrow_arrays_and_their_slices_give_what_lists_give(texts, kind, data):
    start = data.draw(st.integers(0, len(texts)))
    count = data.draw(st.integers(0, len(texts) - start))
    sliced = pa.array(texts, kind).slice(start, count)
    np.testing.assert_array_equal(to_matrix(sliced), to_matrix(texts[start : start + count]))


@given(st.lists(TEXTS), st.sampled_from([pa.string(), pa.large_string()]))
def test_chunked_arrays_give_what_lists_give(chunks, kind):
    chunked = pa.chunked_array(chunks, kind)
    np.testing.assert_array_equal(to_matrix(chunked), to_matrix([text for chunk in chunks for text in chunk]))


@given(TEXTS)
def test_one_hot_vectors_of_a_perfect_identity_give_the_texts_back(texts):
    # Padded, since `to_categorical` takes a matrix of one column for a vector.
    assert to_texts(to_categorical(pad(to_matrix(texts)), VOCABULARY).argmax(axis=-1)) == texts


def test_empty_lists_and_empty_texts():
    assert to_matrix([]).shape == (0, 1)
    assert to_texts(to_matrix([])) == []
    assert to_matrix([""]).tolist() == [[EOS]]
    assert to_texts(to_matrix([""])) == [""]
    assert byte_lengths([]).tolist() == []


@given(TEXTS, TEXT, TEXT, TEXTS)
def test_nul_is_refused_wherever_it_stands(before, start, end, after):
    with pytest.raises(InvalidInput, match=rf"(?s)Text {len(before)} is .*: it holds a NUL"):
        to_matrix([*before, f"{start}\0{end}", *after])


def test_the_message_names_the_text_with_nul():
    with pytest.raises(InvalidInput, match=r"Text 1 is 'good\\x00evil': it holds a NUL character"):
        to_matrix(["fine", "good\0evil", "fine"])


@pytest.mark.parametrize("texts", [["fine", "half \ud83d"], [None, "half \ud83d"]])
def test_lone_surrogates_are_refused_by_name(texts):
    with pytest.raises(InvalidInput, match=r"half \\ud83d"):
        to_matrix(texts)


@pytest.mark.parametrize("texts", [["fine", None], pa.array(["fine", None]), pd.Series(["fine", None])])
def test_missing_texts_are_refused_by_row(texts):
    with pytest.raises(WrongType, match="Text 1 is missing"):
        to_matrix(texts)


@pytest.mark.parametrize(("texts", "named"), [(["fine", 5], "holds 5"), (["fine", ["x"]], r"holds \['x'\]"),
                                              ([1.5], "holds 1.5"), ("one text", "'one text'"),
                                              (pa.array([1, 2]), "int64")])  # fmt: skip
def test_what_is_no_text_is_refused_by_name(texts, named):
    with pytest.raises(WrongType, match=named):
        to_matrix(texts)


def test_a_text_may_fill_its_row_but_not_more():
    assert to_texts(to_matrix(["abc", "é"], 4)) == ["abc", "é"]
    with pytest.raises(InvalidInput, match="Text 1 has 4 bytes; 3 is the limit: 'éé'"):
        to_matrix(["abc", "éé"], 4)


def test_a_long_text_is_cut_in_the_message():
    with pytest.raises(InvalidInput) as caught:
        to_matrix(["x" * 100_000], 10)
    assert "100,000" in str(caught.value) and len(str(caught.value)) < 300


def test_bytes_that_are_no_text_become_replacement_characters():
    matrix = np.array([[*b"a", 0xC3, EOS, 0], [0x80, *b"bc", EOS], [*"é".encode(), *b"ab"], [BOS, 0xFD, EOS, 9]])
    assert to_texts(matrix) == ["a\ufffd", "\ufffdbc", "éab", "\ufffd\ufffd"]


@given(st.lists(st.lists(st.integers(0, 255), min_size=9, max_size=9)))
def test_any_bytes_decode_as_python_does(rows):
    matrix = np.array(rows, np.uint8).reshape(-1, 9)
    expected = [bytes(row).split(b"\xff")[0].split(b"\0")[0].decode("utf-8", "replace") for row in rows]
    assert to_texts(matrix) == expected


@given(TEXTS, st.integers(0, 3))
def test_the_width_after_padding_is_a_multiple_of_the_step_and_what_is_asked_for(texts, extra):
    matrix = to_matrix(texts)
    wide = pad(matrix, extra)
    assert (wide.shape[1] - extra) % PADDING_STEP == 0
    assert wide.shape[1] - matrix.shape[1] - extra in range(PADDING_STEP)
    assert to_texts(wide) == texts


def test_what_can_be_an_input_and_what_can_not():
    assert [invalid_reason(text, 6) for text in ("", "abcdef", "ééé", "\r\n\u2028")] == [""] * 4
    assert "7 bytes, more than the 6 " in invalid_reason("abcdefg", 6)
    assert "8 bytes, more than the 6 " in invalid_reason("éééé", 6)
    assert "NUL" in invalid_reason("a\0b", 6) and "half a surrogate pair" in invalid_reason("a\ud83d", 6)


@pytest.mark.parametrize("value", [None, 5, b"bytes", ["a"]])
def test_what_is_no_text_at_all_is_no_input(value):
    with pytest.raises(WrongType) as caught:
        invalid_reason(value, 6)
    assert repr(value) in str(caught.value)


# ---------------------------------------------------------------- answers as the network writes them


@given(st.lists(VALUES), st.booleans())
def test_any_json_comes_back_from_what_is_written(values, reverse_output):
    answers = [to_json(value) for value in values]
    assert to_answers(to_matrix(written(answers, reverse_output)), reverse_output) == answers


@pytest.mark.parametrize(("value", "expected"), [
    ('a"b', [QUOTE, *b'a"b', QUOTE]), ("\\", [QUOTE, *b"\\", QUOTE]), ("\\u0041", [QUOTE, *rb"\u0041", QUOTE]),
    ("\n\x1f\x7f", [QUOTE, *b"\n\x1f\x7f", QUOTE]), ("\0", [QUOTE, NUL_WRITTEN, QUOTE]),
    ("é/", [QUOTE, *"é/".encode(), QUOTE]), ([-1.5, None], [*b"[-1.5,null]"]),
    ({"": []}, [*b"{", QUOTE, QUOTE, *b":[]}"]),
])  # fmt: skip
def test_within_quotes_of_their_own_nothing_is_escaped(value, expected):
    assert list(written([to_json(value)])[0].as_py()) == expected
    assert list(written([to_json(value)], reverse_output=True)[0].as_py()) == expected[::-1]


@given(st.lists(st.lists(st.integers(0, 255), min_size=9, max_size=9)), st.booleans())
def test_any_bytes_become_json_text_byte_by_byte(rows, reverse_output):
    expected = []
    for row in rows:
        before_end = bytes(row).split(b"\xff")[0].split(b"\0")[0]
        texts = [JSON_OF_BYTE[byte] for byte in (before_end[::-1] if reverse_output else before_end)]
        expected.append(b"".join(texts).decode("utf-8", "replace"))
    assert to_answers(np.array(rows, np.uint8).reshape(-1, 9), reverse_output) == expected


# ---------------------------------------------------------------- batches


@given(PAIRS)
def test_decoder_input_is_the_target_one_step_late(pairs):
    inputs, answers = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    made = features(inputs, answers)
    assert list(made) == ["inputs", "answers", "encoder_input", "target", "decoder_input"]
    assert to_texts(made["encoder_input"]) == inputs
    assert to_texts(made["target"]) == answers
    for row, answer in zip(made["decoder_input"], answers, strict=True):
        late = [BOS, *answer.encode()]
        assert row.tolist() == late + [PADDING] * (made["target"].shape[1] - len(late))


@given(PAIRS)
def test_the_frame_to_look_at_holds_what_training_uses(pairs):
    frame = pd.DataFrame(pairs, columns=["inputs", "answers"], dtype=object)
    # The frame of the notebooks: the same function, chained, each column a list of rows.
    looked = frame.assign(**{name: list(column) for name, column in features(**frame).items()})
    looked_at_all_at_once = pd.DataFrame({name: list(column) for name, column in features(**frame).items()})
    pd.testing.assert_frame_equal(looked, looked_at_all_at_once, check_dtype=False, check_column_type=False)

    answers = list(map(to_json, frame["answers"]))
    model_inputs, target = make_batch(frame["inputs"].tolist(), answers)
    looked = features(frame["inputs"], written(answers))
    for name, trained_on in {**model_inputs, "target": target}.items():
        assert len(looked[name]) == len(trained_on)
        for row, wide in zip(looked[name], trained_on, strict=True):
            assert row.tolist() == wide[: len(row)].tolist()
            assert not wide[len(row) :].any()


def test_training_uses_nothing_but_features():
    made, (model_inputs, _) = features(["a"], ["b"]), make_batch(["a"], ["b"])
    assert {*model_inputs, "target"} == set(made) - {"inputs", "answers"}


@given(PAIRS, st.booleans(), st.integers(0, 2))
def test_a_batch_holds_answers_as_they_are_written(pairs, reverse_output, extra):
    inputs, answers = [pair[0] for pair in pairs], [to_json(pair[1]) for pair in pairs]
    model_inputs, target = make_batch(inputs, answers, reverse_output, extra)
    assert to_texts(model_inputs["encoder_input"]) == inputs
    assert to_answers(target, reverse_output) == answers
    for matrix in (*model_inputs.values(), target):
        assert matrix.dtype == np.int32 and (matrix.shape[1] - extra) % PADDING_STEP == 0 < matrix.shape[1] - extra
    assert model_inputs["decoder_input"].shape == target.shape


def test_batches_by_length_hold_all_indices_the_short_ones_first():
    lengths = byte_lengths(words_of(50))
    batches = batches_by_length(lengths, batch_size=20)
    assert [len(batch) for batch in batches] == [20, 20, 10]
    order = np.concatenate(batches)
    assert (np.diff(lengths[order]) >= 0).all()
    assert sorted(order) == list(range(50))
    assert [len(batch) for batch in batches_by_length(np.zeros(BATCH + 1))] == [BATCH, 1]
    assert batches_by_length(byte_lengths([])) == []


def test_batches_of_long_rows_are_smaller():
    longest = int(ATTENTION_NUMBERS**0.5)
    batches = batches_by_length(np.array([longest * 2, longest // 4, 5] * 20))
    assert sorted(np.concatenate(batches)) == list(range(60))
    assert [len(batch) for batch in batches[-20:]] == [1] * 20  # those too long for any other beside them
    assert len(batches[0]) > 5
