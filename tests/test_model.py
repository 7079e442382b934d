import numpy as np
import pytest
from conftest import TEXT, random_model
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from urlseq.encoding import EOS, PADDING, VOCABULARY
from urlseq.errors import InvalidSetting
from urlseq.model import (
    Architecture,
    ReverseText,
    RotaryAttention,
    build_model,
    exact_match,
    frequencies,
    masked_crossentropy,
    rotate,
)
from urlseq.vectorize import make_batch, pad, to_matrix

TEXTS = ["http://a.example/b?c#d", "", "é", "日本語", "a" * 30, "tictac-tictac"]
ANSWERS = ['["http","a.example"]', "1", '"É"', '{"error":"ValueError"}', "[]", '"tic"']
# Targets: rows of a few bytes, some of them padding.
TARGETS = arrays.arrays(np.int32, st.tuples(st.integers(1, 5), st.integers(1, 8)), elements=st.integers(0, 5))


@pytest.fixture(scope="module")
def random_tiny():
    """With weights of a usual size, so that a difference of 1e-5 means something."""
    return random_model(scale=2.0)


def one_batch():
    return make_batch(TEXTS, ANSWERS)


def logits_of(model, inputs) -> np.ndarray:
    # Called as it is, not compiled: each new shape would be compiled anew, which takes far longer than it saves.
    return np.asarray(model(inputs))


def logits_for(target: np.ndarray, seed: int, wrong: float) -> np.ndarray:
    """Logits [batch, out, 8] that are correct at all but a share `wrong` of the positions."""
    rng = np.random.default_rng(seed)
    predicted = np.where(rng.random(target.shape) < wrong, rng.integers(0, 8, target.shape), target)
    logits = rng.random((*target.shape, 8)).astype(np.float32)
    np.put_along_axis(logits, predicted[..., None], 2.0, axis=-1)
    return logits


# ---------------------------------------------------------------- padding and neighbours


def test_more_padding_changes_no_logits(random_tiny):
    inputs, _ = one_batch()
    before = logits_of(random_tiny, inputs)
    wider = {name: np.pad(matrix, ((0, 0), (0, 16))) for name, matrix in inputs.items()}
    after = logits_of(random_tiny, wider)[:, : before.shape[1]]
    np.testing.assert_allclose(after, before, atol=1e-5)
    assert np.ptp(before) > 1


@pytest.mark.parametrize("name", ["encoder_input", "decoder_input"])
def test_more_padding_of_one_input_changes_no_logits(random_tiny, name):
    inputs, _ = one_batch()
    before = logits_of(random_tiny, inputs)
    after = logits_of(random_tiny, {**inputs, name: np.pad(inputs[name], ((0, 0), (0, 16)))})
    np.testing.assert_allclose(after[:, : before.shape[1]], before, atol=1e-5)


def test_neighbours_in_the_batch_change_no_logits(random_tiny):
    inputs, target = one_batch()
    together = logits_of(random_tiny, inputs)
    for row in (0, 1, 4):
        alone_inputs, _ = make_batch(TEXTS[row : row + 1], ANSWERS[row : row + 1])
        alone = logits_of(random_tiny, alone_inputs)[0]
        count = np.count_nonzero(target[row])
        np.testing.assert_allclose(alone[:count], together[row, :count], atol=1e-5)


def test_the_answer_depends_on_the_input(random_tiny):
    inputs, _ = one_batch()
    changed = {**inputs, "encoder_input": inputs["encoder_input"][::-1].copy()}
    assert np.abs(logits_of(random_tiny, changed) - logits_of(random_tiny, inputs)).max() > 0.01


def test_a_byte_never_depends_on_later_ones_of_the_answer(random_tiny):
    inputs, _ = one_batch()
    before = logits_of(random_tiny, inputs)
    changed = {**inputs, "decoder_input": inputs["decoder_input"].copy()}
    changed["decoder_input"][:, 5:] = 7
    after = logits_of(random_tiny, changed)
    np.testing.assert_allclose(after[:, :5], before[:, :5], atol=1e-5)
    assert np.abs(after[:, 5:] - before[:, 5:]).max() > 0.01


# ---------------------------------------------------------------- layers


@settings(max_examples=20)
@given(st.lists(TEXT, min_size=1, max_size=5))
def test_reverse_text_against_a_loop(texts):
    tokens = pad(to_matrix(texts)).astype(np.int32)
    values = np.random.default_rng(0).random((*tokens.shape, 3)).astype(np.float32)
    expected = values.copy()
    for row, text in enumerate(texts):
        length = len(text.encode()) + 1
        expected[row, :length] = values[row, :length][::-1]
    layer = ReverseText()
    once = np.asarray(layer([values, tokens]))
    np.testing.assert_array_equal(once, expected)
    np.testing.assert_array_equal(np.asarray(layer([once, tokens])), values)


HEADS = 2


def attention_weights(queries, keys, tokens) -> np.ndarray:
    """The first head's weights [batch, out, in]: bytes that are one-hot by position come out as the weights."""
    batch, width = tokens.shape
    positions = np.broadcast_to(np.eye(width, dtype=np.float32), (batch, width, width))
    nothing = np.zeros((batch, width, HEADS), np.float32)
    joined = np.asarray(RotaryAttention(HEADS)([queries, keys, nothing, positions, tokens]))
    return joined.reshape(batch, -1, HEADS, 1 + width)[:, :, 0, 1:]


def test_attention_rows_sum_to_one_and_skip_padding():
    tokens = pad(to_matrix(TEXTS)).astype(np.int32)
    rng = np.random.default_rng(0)
    queries = rng.normal(size=(len(TEXTS), 6, 8)).astype(np.float32)
    keys = rng.normal(size=(*tokens.shape, 8)).astype(np.float32)
    weights = attention_weights(queries, keys, tokens)
    np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-5)
    is_padding = np.broadcast_to((tokens == PADDING)[:, None, :], weights.shape)
    assert (weights[is_padding] == 0).all()
    assert (weights[~is_padding] > 0).all()


def test_attention_depends_on_distance_alone_when_content_is_the_same():
    same = np.ones((1, 12, 8), np.float32)
    weights = attention_weights(same, same, np.ones((1, 12), np.int32))[0]
    scores = np.log(weights) - np.log(np.diagonal(weights))[:, None]  # against the position at distance 0
    for row in range(1, 11):
        np.testing.assert_allclose(scores[row, 1:], scores[row - 1, :-1], atol=1e-4)
    assert np.ptp(scores[0]) > 0.1


def test_each_head_attends_by_its_own_part_alone():
    tokens = pad(to_matrix(TEXTS)).astype(np.int32)
    rng = np.random.default_rng(0)
    queries, keys, states, embedded = (
        rng.normal(size=(len(TEXTS), time, width)).astype(np.float32)
        for time, width in ((6, 8), (tokens.shape[1], 8), (tokens.shape[1], 6), (tokens.shape[1], 3))
    )
    together = np.asarray(RotaryAttention(2)([queries, keys, states, embedded, tokens]))
    apart = [RotaryAttention(1)([queries[..., start : start + 4], keys[..., start : start + 4],
                                 states[..., start * 3 // 4 : start * 3 // 4 + 3], embedded, tokens])
             for start in (0, 4)]  # fmt: skip
    np.testing.assert_allclose(together, np.concatenate(apart, axis=-1), atol=1e-5)


def test_each_pair_is_rotated_by_its_position_times_its_frequency():
    vectors = np.random.default_rng(0).normal(size=(2, 5, 6)).astype(np.float32)
    rotated = np.asarray(rotate(vectors))
    angles = np.arange(5)[:, None] * frequencies(6)
    pairs = (vectors[..., :3] + 1j * vectors[..., 3:]) * np.exp(1j * angles)
    np.testing.assert_allclose(rotated[..., :3] + 1j * rotated[..., 3:], pairs, atol=1e-5)
    assert frequencies(6)[0] == 1 and (np.diff(frequencies(6)) < 0).all() and frequencies(6)[-1] > 1 / 1000


@pytest.mark.parametrize("sizes", [{"heads": 3}, {"units": 132}, {"attention": 60}])
def test_sizes_that_heads_can_not_share_are_refused(sizes):
    with pytest.raises(InvalidSetting, match=f"multiples of twice the {sizes.get('heads', 4)} heads"):
        Architecture(**sizes)


def test_layers_have_the_names_by_which_stored_weights_are_found():
    model = build_model(Architecture(units=8, embedding=4, attention=8, heads=2, hidden=8))
    assert {variable.path.split("/")[0] for variable in model.weights} == {
        "input_embedding", "forward_encoder", "backward_encoder", "output_embedding", "decoder", "queries", "keys",
        "hidden", "logits"}  # fmt: skip
    assert set(model.input) == {"encoder_input", "decoder_input"}


# ---------------------------------------------------------------- losses and the measure


@given(TARGETS, st.integers(0, 99))
def test_the_masked_loss_ignores_padding(target, seed):
    target[:, 0] = EOS % 8  # no batch is all padding
    logits = logits_for(target, seed, 0.3)
    elsewhere = logits.copy()
    elsewhere[target == PADDING] = np.random.default_rng(seed).random(8) * 9
    loss = float(masked_crossentropy(target, logits))
    assert loss == pytest.approx(float(masked_crossentropy(target, elsewhere)), rel=1e-5)
    logarithms = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    chosen = np.take_along_axis(logarithms, target[..., None], axis=-1)[..., 0]
    assert loss == pytest.approx(-chosen[target != PADDING].mean(), rel=1e-4)


@given(TARGETS, st.integers(0, 99), st.sampled_from([0.0, 0.1, 0.9]))
def test_exact_match_is_every_byte_correct(target, seed, wrong):
    logits = logits_for(target, seed, wrong)
    predicted = logits.argmax(axis=-1)
    expected = [
        all(a == b or b == PADDING for a, b in zip(*rows, strict=True)) for rows in zip(predicted, target, strict=True)
    ]
    assert np.asarray(exact_match(target, logits)).tolist() == expected


def test_exact_match_sees_a_missing_eos():
    target = to_matrix(["ab"]).astype(np.int32)
    logits = np.eye(VOCABULARY, dtype=np.float32)[target]
    assert np.asarray(exact_match(target, logits)).tolist() == [1]
    logits[0, 2] = np.eye(VOCABULARY)[ord("c")]
    assert np.asarray(exact_match(target, logits)).tolist() == [0]
