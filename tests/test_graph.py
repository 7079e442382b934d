import numpy as np
import pytest
import tensorflow as tf

from urlseq.decode import GreedyDecoder
from urlseq.graph import GraphDecoder
from urlseq.model import Architecture, build_model
from urlseq.vectorize import END, PADDING, to_matrix, to_texts

TEXTS = ["", "a", "https://example.org/", "Ωμέγα 😀", "the quick brown fox jumps over the lazy dog" * 2]


def model(heads, seed=0):
    import keras

    keras.utils.set_random_seed(seed)
    made = build_model(Architecture(units=16, embedding=8, attention=8, hidden=16, heads=heads))
    # Random weights of a fair size write all kinds of bytes, and an end mark now and then.
    rng = np.random.default_rng(seed)
    weights = [rng.normal(0, 0.5, weight.shape).astype(np.float32) for weight in made.get_weights()]
    weights[-1][PADDING] = -100  # no trained model writes padding
    made.set_weights(weights)
    return made


def same(found, decoded):
    assert to_texts(found["answer"].numpy()) == decoded.texts
    assert np.allclose(found["confidence"], decoded.confidence, atol=1e-3)
    assert (found["ended"].numpy() == decoded.ended).all()


@pytest.mark.parametrize("stride", [1, 3, 4])
@pytest.mark.parametrize("heads", [1, 2])
def test_the_graph_says_what_the_numpy_loop_says(heads, stride):
    for seed in range(4):
        trained = model(heads, seed)
        matrix = to_matrix(TEXTS)
        decoded = GreedyDecoder(trained)(matrix, 40, attention=True)
        graph = GraphDecoder(trained, 40)
        found = tf.function(lambda tokens, graph=graph: graph.decode(tokens, attention=True, stride=stride))(
            tf.constant(matrix.astype(np.int32))
        )
        same(found, decoded)
        for row, attention in enumerate(decoded.attention):
            steps, width = attention.shape
            assert np.allclose(found["attention"][row, :steps, :width], attention, atol=1e-3)


def test_a_static_shape_and_a_shorter_limit():
    trained = model(2, seed=1)
    matrix = to_matrix(TEXTS[:3], 32).astype(np.int32)
    graph = GraphDecoder(trained, 40)
    found = tf.function(
        lambda tokens: graph.decode(tokens, limit=5), input_signature=[tf.TensorSpec([3, 32], tf.int32)]
    )(matrix)
    assert found["answer"].shape == (3, 5)
    same(found, GreedyDecoder(trained)(matrix.astype(np.uint8), 5))


def test_an_empty_batch_has_no_answers():
    graph = GraphDecoder(model(2), 40)
    found = graph.decode(tf.zeros([0, 7], tf.int32), attention=True)
    assert found["answer"].shape[0] == found["confidence"].shape[0] == found["attention"].shape[0] == 0


def test_rows_do_not_depend_on_their_neighbours():
    graph = GraphDecoder(model(2, seed=2), 40)
    alone = [to_texts(graph.decode(tf.constant(to_matrix([text]).astype(np.int32)))["answer"])[0] for text in TEXTS]
    assert to_texts(graph.decode(tf.constant(to_matrix(TEXTS).astype(np.int32)))["answer"]) == alone


@pytest.mark.parametrize("name", ["urlparse", "dates_in_hex", "html_escape"])
def test_shipped_copies_answer_the_same_in_the_graph(name):
    from urlseq import load
    from urlseq.export import example_texts

    copied = load(name)
    texts = example_texts(copied, 100)
    matrix = to_matrix(texts)
    found = GraphDecoder(copied.model, copied.limit).decode(tf.constant(matrix.astype(np.int32)))
    same(found, copied.decoder(matrix, copied.limit))
    assert (found["answer"].numpy() == END).any(axis=1).mean() > 0.9
