import random

import keras
import numpy as np
import pytest
from conftest import random_model, words_of

from urlseq.decode import BeamDecoder, GreedyDecoder, slow_greedy
from urlseq.sampler import urls
from urlseq.training import model_batch
from urlseq.vectorize import END, PADDING, START, padded, to_matrix

LIMIT = 12


def some_texts(count: int) -> list[str]:
    """Texts of many lengths and scripts, none of them in order of length."""
    sampler, rng = urls(30), random.Random(3)
    return ["", "é", "日本語", "\x7f\x01", *(sampler(rng) for _ in range(count))]


def decoded(model, texts, limit=LIMIT, **options):
    return GreedyDecoder(model)(to_matrix(texts), limit, **options)


@pytest.fixture(scope="module")
def answers_of_a_random_model(random_tiny):
    texts = some_texts(8)
    return texts, decoded(random_tiny, texts, attention=True)


def test_batched_decoding_says_what_the_clear_loop_says(random_tiny, answers_of_a_random_model):
    texts, together = answers_of_a_random_model
    assert together.texts == [slow_greedy(random_tiny, text, LIMIT) for text in texts]
    # Some rows leave early and some never end, so that both ways out were taken.
    assert together.ended.any() and not together.ended.all()
    assert len(set(together.texts)) > 5


def test_batched_decoding_says_what_the_clear_loop_says_when_learned(learned):
    texts = ["", *words_of(10, seed=9), "abcdefgh" * 2]
    assert decoded(learned.model, texts, learned.limit).texts == [
        slow_greedy(learned.model, text, learned.limit) for text in texts
    ]


def test_a_batch_says_what_its_rows_say_alone(random_tiny, answers_of_a_random_model):
    texts, together = answers_of_a_random_model
    decoder = GreedyDecoder(random_tiny)
    alone = [decoder(to_matrix([text]), LIMIT) for text in texts]
    assert together.texts == [answer.texts[0] for answer in alone]
    assert together.ended.tolist() == [bool(answer.ended[0]) for answer in alone]
    np.testing.assert_allclose(together.confidence, [answer.confidence[0] for answer in alone], atol=1e-5)


def test_limit_cuts_and_says_so(random_tiny, answers_of_a_random_model):
    texts, longer = answers_of_a_random_model
    for limit in (1, 2):
        short = decoded(random_tiny, texts, limit)
        assert short.texts == [slow_greedy(random_tiny, text, limit) for text in texts]
        assert not (short.ended & ~longer.ended).any()


def test_a_limit_of_nothing_gives_nothing(random_tiny):
    none = decoded(random_tiny, ["a", "b"], 0)
    assert none.texts == ["", ""] and not none.ended.any()


def written_bytes(model, text: str, limit: int) -> tuple[list[int], list[float]]:
    """The bytes that the whole model writes, its end mark included, and how probable it holds each."""
    encoder_input = padded(to_matrix([text])).astype(np.int32)
    written, probabilities = [START], []
    while len(written) <= limit:
        inputs = {"encoder_input": encoder_input, "decoder_input": np.array([written], np.int32)}
        softmax = keras.ops.convert_to_numpy(keras.ops.softmax(model(inputs)[0, -1]))
        written.append(int(softmax.argmax()))
        probabilities.append(float(softmax.max()))
        if written[-1] in (END, PADDING):
            break
    return written[1:], probabilities


def test_confidence_is_the_smallest_probability_along_the_answer(random_tiny, answers_of_a_random_model):
    texts, together = answers_of_a_random_model
    for row in range(0, len(texts), 4):
        written, probabilities = written_bytes(random_tiny, texts[row], LIMIT)
        assert together.confidence[row] == pytest.approx(min(probabilities), abs=1e-4)
        assert together.ended[row] == (written[-1] in (END, PADDING))
    assert np.ptp(together.confidence) > 0.01


def test_attention_has_a_row_a_byte_and_each_sums_to_one(random_tiny, answers_of_a_random_model):
    texts, together = answers_of_a_random_model
    assert len(together.attention) == len(texts)
    for row in range(0, len(texts), 4):
        written, _ = written_bytes(random_tiny, texts[row], LIMIT)
        weights = together.attention[row]
        assert weights.shape == (len(written), len(texts[row].encode()) + 1)
        np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)
        assert (weights >= 0).all()


def test_attention_is_the_models_own(random_tiny):
    """What decoding attends to is what the model's layer does: values that are one-hot by place show it."""
    text = "http://a.example/b"
    inputs, count = to_matrix([text]), 6
    ours = decoded(random_tiny, [text], attention=True).attention[0][:count]
    written, _ = written_bytes(random_tiny, text, LIMIT)
    tokens = np.array([[START, *written[: count - 1]]], np.int32)
    parts = keras.Model(random_tiny.inputs, [random_tiny.get_layer(name).output for name in ("queries", "keys")])
    encoder_input = inputs.astype(np.int32)
    queries, keys = parts.predict_on_batch({"encoder_input": encoder_input, "decoder_input": tokens})
    attention, width = random_tiny.get_layer("attention"), inputs.shape[1]
    places = np.eye(width, dtype=np.float32)[None]
    nothing = np.zeros((1, width, attention.heads), np.float32)
    theirs = np.asarray(attention([queries, keys, nothing, places, encoder_input]))
    by_head = theirs.reshape(-1, attention.heads, 1 + width)[:, :, 1:]
    np.testing.assert_allclose(ours, by_head.mean(axis=1)[: len(ours)], atol=1e-4)


def test_an_empty_batch(random_tiny):
    none = decoded(random_tiny, [], attention=True)
    assert (none.texts, none.attention) == ([], [])
    assert none.confidence.shape == none.ended.shape == (0,)
    assert decoded(random_tiny, []).attention is None


def test_new_weights_are_read_when_asked():
    model, other = random_model(seed=1), random_model(seed=2)
    texts = some_texts(10)
    decoder = GreedyDecoder(model)
    before = decoder(to_matrix(texts), LIMIT).texts
    model.set_weights(other.get_weights())
    decoder.read_weights()
    assert decoder(to_matrix(texts), LIMIT).texts == decoded(other, texts).texts != before


# ---------------------------------------------------------------- beam search


def log_probability(model, text: str, answer: str) -> float:
    """Of an answer and its end mark, by teacher forcing."""
    inputs, target = model_batch([text], [answer])
    logits = np.asarray(model.predict_on_batch(inputs), np.float64)
    logarithms = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    chosen = np.take_along_axis(logarithms, target[..., None], axis=-1)[..., 0]
    return float(chosen[target != PADDING].sum())


def test_a_wide_beam_finds_the_very_best_of_all_short_answers(random_tiny):
    """With 256 beams and one byte to write, nothing is left out: so the order has to be that of all answers."""
    text = "some text"
    found = BeamDecoder(random_tiny).best(to_matrix([text]), 256, limit=2)[0]
    ascii_ones = ["", *map(chr, range(1, 128))]
    ranked = sorted(ascii_ones, key=lambda answer: -log_probability(random_tiny, text, answer))
    assert [answer for answer in found if answer in ascii_ones][:20] == ranked[:20]


def test_beams_are_different_sorted_and_no_worse_than_greedy(random_tiny):
    texts = ["", "a", "bb b", "a longer text than the others", "é"]
    decoder = BeamDecoder(random_tiny)
    greedy = decoder(to_matrix(texts), 30)
    compared = 0
    for text, answers, greedy_answer, ended in zip(
        texts, decoder.best(to_matrix(texts), 5, 30), greedy.texts, greedy.ended, strict=True
    ):
        whole = [
            answer for answer in answers if "\ufffd" not in answer
        ]  # others are no UTF-8: different bytes, one text
        assert 0 < len(answers) <= 5 and len(set(whole)) == len(whole)
        probabilities = [log_probability(random_tiny, text, answer) for answer in whole]
        assert probabilities == sorted(probabilities, reverse=True)
        if ended and whole and "\ufffd" not in greedy_answer:
            compared += 1
            assert probabilities[0] >= log_probability(random_tiny, text, greedy_answer) - 1e-3
    assert compared
    assert decoder.best(to_matrix([]), 5) == []
