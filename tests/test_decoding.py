import math
import random

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import quoting_model, random_model, words_of

from urlseq import load
from urlseq.answering import Decoded
from urlseq.decoding import Decoder, slow_greedy
from urlseq.encoding import BOS, EOS, JSON_OF_BYTE, PADDING, to_answers
from urlseq.evaluation import probability_of
from urlseq.graph import Graph
from urlseq.inverse import BeamSearch
from urlseq.model import Architecture, build_model, exact_match
from urlseq.samplers import urls
from urlseq.vectorize import byte_lengths, make_batch, pad, to_matrix, written

MAX_ANSWER_BYTES = 12
INPUTS = ["", "a", "https://example.org/", "Ωμέγα 😀", "the quick brown fox jumps over the lazy dog" * 2]


def some_inputs(count: int) -> list[str]:
    """Inputs of many lengths and scripts, not in order of length."""
    sampler, rng = urls(30), random.Random(3)
    return ["", "é", "日本語", "\x7f\x01", *(sampler(rng) for _ in range(count))]


def decode(model, inputs, max_answer_bytes=MAX_ANSWER_BYTES, **options) -> Decoded:
    return Decoder(model, max_answer_bytes)(to_matrix(inputs), **options)


def tokens(inputs, length=None):
    return tf.constant(to_matrix(inputs, length), tf.int32)


def varied_model(heads: int, seed: int = 0, copy_gate: bool = False) -> keras.Model:
    """A model whose weights are of such a size that its answers hold all kinds of bytes, and EOS now and then."""
    made = build_model(Architecture(units=16, embedding=8, attention=8, hidden=16, heads=heads, copy_gate=copy_gate))
    set_varied_weights(made, seed)
    return made


def set_varied_weights(model: keras.Model, seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = [rng.normal(0, 0.5, weight.shape).astype(np.float32) for weight in model.get_weights()]
    model.set_weights(weights)
    kernel, bias = model.get_layer("logits").get_weights()
    bias[PADDING] = -100  # no trained model writes padding
    model.get_layer("logits").set_weights([kernel, bias])


def assert_same(found: dict, decoded: Decoded) -> None:
    assert to_answers(found["answer"].numpy()) == decoded.answers
    assert np.allclose(found["confidence"], decoded.confidence, atol=1e-3)
    assert (found["ended"].numpy() == decoded.ended).all()


@pytest.fixture(scope="module")
def quoting():
    return quoting_model()


@pytest.fixture(scope="module")
def answers_of_a_random_model(random_tiny):
    inputs = some_inputs(8)
    return inputs, decode(random_tiny, inputs, attention=True)


# ---------------------------------------------------------------- greedy answers


def test_batched_answers_are_those_of_the_clear_loop(random_tiny, answers_of_a_random_model):
    inputs, together = answers_of_a_random_model
    assert together.answers == [slow_greedy(random_tiny, text, MAX_ANSWER_BYTES) for text in inputs]
    # Some rows end early and some never, so that both cases were tried.
    assert together.ended.any() and not together.ended.all()
    assert len(set(together.answers)) > 5


@pytest.mark.parametrize(("heads", "copy_gate"), [(1, False), (2, False), (2, True)])
def test_any_number_of_heads_and_a_copy_gate_answer_as_the_clear_loop(heads, copy_gate):
    model = varied_model(heads, seed=1, copy_gate=copy_gate)
    assert decode(model, INPUTS[:3]).answers == [slow_greedy(model, text, MAX_ANSWER_BYTES) for text in INPUTS[:3]]


@pytest.mark.parametrize("reverse_output", [False, True])
def test_answers_with_quotes_and_such_are_those_of_the_clear_loop(quoting, reverse_output):
    inputs = some_inputs(8)
    found = Decoder(quoting, MAX_ANSWER_BYTES, reverse_output)(to_matrix(inputs)).answers
    assert found == [slow_greedy(quoting, text, MAX_ANSWER_BYTES, reverse_output) for text in inputs]
    for part in ('"', '\\"', "\\\\", "\\u0000"):
        assert any(part in answer for answer in found), part


def test_an_answer_that_was_written_from_its_end_is_reversed(quoting):
    inputs = some_inputs(8)
    forward, backward = (Decoder(quoting, 12, reverse_output)(to_matrix(inputs)) for reverse_output in (False, True))
    rows = [row for row, answer in enumerate(forward.answers) if "\ufffd" not in answer + backward.answers[row]]
    assert len(rows) > 5
    backward_written = written([backward.answers[row] for row in rows], reverse_output=True)
    assert backward_written == written([forward.answers[row] for row in rows])
    assert backward.confidence.tolist() == forward.confidence.tolist()
    assert backward.ended.tolist() == forward.ended.tolist()


def test_batched_answers_are_those_of_the_clear_loop_when_learned(learned):
    inputs = ["", *words_of(10, seed=9), "abcdefgh" * 2]
    assert learned.decoder(to_matrix(inputs)).answers == [
        slow_greedy(learned.model, text, learned.max_answer_bytes) for text in inputs
    ]


@pytest.mark.parametrize("name", ["urlparse", "dates_in_hex", "html_escape"])
def test_answers_of_shipped_copies_are_greedy_by_the_whole_model(name):
    copy = load(name)
    inputs = copy.examples[:100]
    found = copy.decode(inputs)
    assert found.ended.mean() > 0.9
    rows = [row for row in range(100) if found.ended[row] and "\ufffd" not in found.answers[row]]
    model_inputs, target = make_batch([inputs[row] for row in rows], [found.answers[row] for row in rows])
    logits = copy.model.predict_on_batch(model_inputs)
    assert np.asarray(exact_match(target, logits)).all()
    np.testing.assert_allclose(found.confidence[rows], probability_of(target, logits), atol=1e-3)


def test_rows_do_not_depend_on_their_neighbours(random_tiny, answers_of_a_random_model):
    inputs, together = answers_of_a_random_model
    decoder = Decoder(random_tiny, MAX_ANSWER_BYTES)
    alone = [decoder(to_matrix([text])) for text in inputs]
    assert together.answers == [one.answers[0] for one in alone]
    assert together.ended.tolist() == [bool(one.ended[0]) for one in alone]
    np.testing.assert_allclose(together.confidence, [one.confidence[0] for one in alone], atol=1e-5)


def test_the_limit_cuts_and_ended_tells(random_tiny, answers_of_a_random_model):
    inputs, longer = answers_of_a_random_model
    for most in (1, 2):
        short = decode(random_tiny, inputs, most)
        assert short.answers == [slow_greedy(random_tiny, text, most) for text in inputs]
        assert not (short.ended & ~longer.ended).any()


def test_an_empty_batch(random_tiny):
    none = decode(random_tiny, [], attention=True)
    assert (none.answers, none.attention) == ([], [])
    assert none.confidence.shape == none.ended.shape == (0,)
    assert decode(random_tiny, []).attention is None
    found = Graph(random_tiny, 40).decode(tf.zeros([0, 7], tf.int32), attention=True)
    assert found["answer"].shape[0] == found["confidence"].shape[0] == found["attention"].shape[0] == 0


def test_new_weights_count_once_the_graph_is_updated():
    model, other = random_model(seed=1), random_model(seed=2)
    inputs = some_inputs(10)
    decoder = Decoder(model, MAX_ANSWER_BYTES)
    before = decoder(to_matrix(inputs)).answers
    model.set_weights(other.get_weights())
    decoder.graph.update(model)
    assert decoder(to_matrix(inputs)).answers == decode(other, inputs).answers != before


# ---------------------------------------------------------------- confidence and attention


def written_bytes(model, text: str, max_answer_bytes: int) -> tuple[list[int], list[float]]:
    """The bytes that the whole model writes, its EOS included, and the probability of each."""
    encoder_input = pad(to_matrix([text])).astype(np.int32)
    written, probabilities = [BOS], []
    while len(written) <= max_answer_bytes:
        inputs = {"encoder_input": encoder_input, "decoder_input": np.array([written], np.int32)}
        softmax = keras.ops.convert_to_numpy(keras.ops.softmax(model(inputs)[0, -1]))
        written.append(int(softmax.argmax()))
        probabilities.append(float(softmax.max()))
        if written[-1] in (EOS, PADDING):
            break
    return written[1:], probabilities


def test_confidence_is_the_probability_of_the_whole_answer(random_tiny, answers_of_a_random_model):
    inputs, together = answers_of_a_random_model
    for row in range(0, len(inputs), 4):
        written, probabilities = written_bytes(random_tiny, inputs[row], MAX_ANSWER_BYTES)
        assert together.confidence[row] == pytest.approx(math.prod(probabilities), abs=1e-4)
        assert together.ended[row] == (written[-1] in (EOS, PADDING))
    assert np.ptp(together.confidence) > 0.01


def rows_of_json(steps: list[int], reverse_output: bool) -> list[int]:
    """Of each byte of the JSON text, and of EOS, the step at which it was written, by a plain loop."""
    end = [len(steps) - 1] * (steps[-1] == EOS)
    order = list(range(len(steps) - len(end)))
    rows = [step for step in (order[::-1] if reverse_output else order) for _ in JSON_OF_BYTE[steps[step]]]
    return rows + end


@pytest.mark.parametrize("reverse_output", [False, True])
def test_each_byte_of_the_json_text_has_the_attention_of_the_step_that_wrote_it(quoting, reverse_output):
    inputs = some_inputs(8)
    as_written = Graph(quoting, MAX_ANSWER_BYTES).decode(tokens(inputs), attention=True)
    decoded = Decoder(quoting, MAX_ANSWER_BYTES, reverse_output)(to_matrix(inputs), attention=True)
    assert decoded.ended.any() and not decoded.ended.all()
    for row, text in enumerate(inputs):
        answer = as_written["answer"][row].numpy()
        steps = rows_of_json(answer[answer != PADDING].tolist(), reverse_output)
        expected = as_written["attention"][row].numpy()[steps, : len(text.encode()) + 1]
        np.testing.assert_allclose(decoded.attention[row], expected, atol=1e-6)
        if "\ufffd" not in decoded.answers[row]:
            assert len(steps) == byte_lengths(decoded.answers)[row] + decoded.ended[row]


def test_attention_has_a_row_a_byte_and_each_sums_to_one(random_tiny, answers_of_a_random_model):
    inputs, together = answers_of_a_random_model
    assert len(together.attention) == len(inputs)
    for row in range(0, len(inputs), 4):
        written, _ = written_bytes(random_tiny, inputs[row], MAX_ANSWER_BYTES)
        weights = together.attention[row]
        assert weights.shape == (sum(len(JSON_OF_BYTE[byte]) for byte in written), len(inputs[row].encode()) + 1)
        np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)
        assert (weights >= 0).all()


def test_attention_is_the_models_own(random_tiny):
    """The attention weights are those of the model's layer: values that are one-hot by position show these."""
    text = "http://a.example/b"
    inputs, count = to_matrix([text]), 6
    ours = Graph(random_tiny, count).decode(tokens([text]), attention=True)["attention"][0]
    written, _ = written_bytes(random_tiny, text, MAX_ANSWER_BYTES)
    decoder_input = np.array([[BOS, *written[: count - 1]]], np.int32)
    parts = keras.Model(random_tiny.inputs, [random_tiny.get_layer(name).output for name in ("queries", "keys")])
    encoder_input = inputs.astype(np.int32)
    queries, keys = parts.predict_on_batch({"encoder_input": encoder_input, "decoder_input": decoder_input})
    attention, width = random_tiny.get_layer("attention"), inputs.shape[1]
    positions = np.eye(width, dtype=np.float32)[None]
    nothing = np.zeros((1, width, attention.heads), np.float32)
    theirs = np.asarray(attention([queries, keys, nothing, positions, encoder_input]))
    by_head = theirs.reshape(-1, attention.heads, 1 + width)[:, :, 1:]
    np.testing.assert_allclose(ours, by_head.mean(axis=1)[: len(ours)], atol=1e-4)


# ---------------------------------------------------------------- the graph's other forms


@pytest.mark.parametrize("stride", [3, 4])
@pytest.mark.parametrize("heads", [1, 2])
def test_several_steps_in_one_iteration_change_nothing(heads, stride):
    model = varied_model(heads)
    decoder = Decoder(model, 40)
    decode_strided = tf.function(lambda rows: decoder.graph.decode(rows, attention=True, stride=stride))
    for seed in range(4):
        set_varied_weights(model, seed)
        decoder.graph.update(model)
        decoded, found = decoder(to_matrix(INPUTS), attention=True), decode_strided(tokens(INPUTS))
        assert_same(found, decoded)
        rows = zip(found["attention"].numpy(), found["answer"].numpy(), decoded.attention, strict=True)
        for weights, answer, attention in rows:
            as_written = decoder.by_json_byte(weights[:, : attention.shape[1]], answer)
            assert np.allclose(as_written, attention, atol=1e-3)


def test_a_static_shape_and_a_shorter_limit():
    model = varied_model(2, seed=1)
    graph = Graph(model, 40)
    decode_five = tf.function(
        lambda rows: graph.decode(rows, max_answer_bytes=5), input_signature=[tf.TensorSpec([3, 32], tf.int32)]
    )
    found = decode_five(tokens(INPUTS[:3], 32))
    assert found["answer"].shape == (3, 5)
    assert_same(found, decode(model, INPUTS[:3], 5))


# ---------------------------------------------------------------- beam search


def log_probability(model, text: str, answer: str) -> float:
    """Of an answer and its EOS, by teacher forcing."""
    inputs, target = make_batch([text], [answer])
    logits = np.asarray(model.predict_on_batch(inputs), np.float64)
    logarithms = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    chosen = np.take_along_axis(logarithms, target[..., None], axis=-1)[..., 0]
    return float(chosen[target != PADDING].sum())


def test_a_wide_beam_finds_the_very_best_of_all_short_answers(random_tiny):
    """With 256 beams and one byte to write, nothing is left out: so the order has to be that of all answers."""
    text = "some text"
    found = [answer for _, answer in BeamSearch(Graph(random_tiny, 2))(to_matrix([text]), 256)[0]]
    ascii_ones = ["", '"', *(json.decode() for json in JSON_OF_BYTE[:128])]  # NUL among them is no padding
    ranked = sorted(ascii_ones, key=lambda answer: -log_probability(random_tiny, text, answer))
    assert [answer for answer in found if answer in ascii_ones][:20] == ranked[:20]


def test_beams_are_different_sorted_and_no_worse_than_greedy(random_tiny):
    inputs = ["", "a", "bb b", "a longer text than the others", "é"]
    decoder = Decoder(random_tiny, 30)
    search, greedy = BeamSearch(decoder.graph), decoder(to_matrix(inputs))
    found, compared = search(to_matrix(inputs), 5), 0
    for text, answers, greedy_answer, ended in zip(inputs, found, greedy.answers, greedy.ended, strict=True):
        # Others are no UTF-8: different bytes, one text.
        assert 0 < len(answers) <= 5 and answers == sorted(answers, key=lambda pair: -pair[0])
        scores = {answer: score for score, answer in answers if "\ufffd" not in answer}
        whole = list(scores)
        assert len(whole) == sum("\ufffd" not in answer for _, answer in answers)
        probabilities = [log_probability(random_tiny, text, answer) for answer in whole]
        assert probabilities == sorted(probabilities, reverse=True)
        assert np.exp(probabilities) == pytest.approx(list(scores.values()), rel=1e-3)
        if ended and whole and "\ufffd" not in greedy_answer:
            compared += 1
            assert probabilities[0] >= log_probability(random_tiny, text, greedy_answer) - 1e-3
    assert compared
    assert search(to_matrix([]), 5) == []


def test_beams_hold_json_and_are_reversed(quoting):
    inputs = to_matrix(["", "a", "bb b"])
    graph = Graph(quoting, 6)
    forward, backward = (BeamSearch(graph, reverse_output)(inputs, 8) for reverse_output in (False, True))
    pairs = [pair for rows in zip(forward, backward, strict=True) for pair in zip(*rows, strict=True)]
    answers = [answer for (_, answer), _ in pairs]
    assert any('\\"' in answer for answer in answers) and any("\\u0000" in answer for answer in answers)
    for (_, answer), (_, other) in pairs:
        if "\ufffd" not in answer + other:
            assert written([other], reverse_output=True) == written([answer])
