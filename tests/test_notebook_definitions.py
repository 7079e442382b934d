"""What the notebooks define by hand: each definition is taken from the notebook's file and compared with the package.

So a reader builds what the package does, and the two can't drift apart.
"""

import ast
import json
import random
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlparse

import keras
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import TEXT, random_model, untrained_copy, words_of
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from keras import layers

from benchmarks.seconds import days_off
from urlseq import Architecture, Task, Training, gallery, load_lite, samplers, tables, urls
from urlseq.decoding import Decoder, slow_greedy
from urlseq.encoding import EOS, PADDING, VOCABULARY, batches_by_length, to_answers
from urlseq.functions import Inverse, answer, to_json
from urlseq.graph import Graph
from urlseq.inverse import BeamSearch
from urlseq.model import (
    ReverseText,
    RotaryAttention,
    build_model,
    exact_match,
    masked_crossentropy,
    rotate,
)
from urlseq.sampling import is_held_out
from urlseq.training import Batches, Schedule
from urlseq.training import muon as package_muon
from urlseq.vectorize import features, make_batch, pad, to_matrix, to_texts, written

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
LONGEST_CELL = 25
TEXTS = ["http://a.example/b?c#d", "", "é", "日本語", "a" * 30, "tictac-tictac"]
ANSWERS = ['["http","a.example"]', "1", '"É"', '{"error":"ValueError"}', "[]", '"tic"']
# Targets: rows of a few bytes, some of them padding.
TARGETS = arrays.arrays(np.int32, st.tuples(st.integers(1, 5), st.integers(1, 8)), elements=st.integers(0, 5))
SOME_TEXTS = st.lists(TEXT, min_size=1, max_size=6)


def code_cells(name: str) -> list[str]:
    cells = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def parsed(source: str) -> ast.Module:
    """A cell's code, its lines for the shell left out."""
    lines = source.splitlines()
    return ast.parse(
        "\n".join(line.replace("!", "pass  # ", 1) if line.lstrip()[:1] == "!" else line for line in lines)
    )


def names_of(node: ast.stmt) -> set[str]:
    """What a statement defines: a function, a class, or variables."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Assign):
        return {name.id for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name)}
    return set()


def definitions(notebook: str, *names: str) -> SimpleNamespace:
    """Runs a notebook's imports and the statements that define these names, and nothing else of it."""
    known: dict = {"__name__": "notebook"}
    missing = set(names)
    for source in code_cells(notebook):
        for node in parsed(source).body:
            inner = node.body if isinstance(node, ast.With) else [node]
            imports = [part for part in inner if isinstance(part, ast.Import | ast.ImportFrom)]
            needed = names_of(node) & missing
            if needed:
                assert source.count("\n") < LONGEST_CELL, f"the cell with {needed} is too long to be read at once"
                missing -= names_of(node)
            body = imports + [node] * bool(needed)
            exec(compile(ast.Module(body, []), f"<{notebook}>", "exec"), known)
    assert not missing, f"{notebook} does not define {', '.join(sorted(missing))}"
    return SimpleNamespace(**{name: known[name] for name in names})


def largest_difference(first, second) -> float:
    return float(np.abs(np.asarray(first) - np.asarray(second)).max())


def inputs_and_answers() -> tuple[list[str], list[str]]:
    task = Task(urlparse, max_input_bytes=64)
    examples = task.examples("definitions", 20, held_out=False)
    return examples.inputs + TEXTS, examples.answers + task.expected(TEXTS)


@pytest.mark.parametrize("name", sorted(path.stem for path in NOTEBOOKS.glob("0*.ipynb")))
def test_no_cell_is_longer_than_a_screen(name):
    assert max(source.count("\n") + 1 for source in code_cells(name)) <= LONGEST_CELL


# ---------------------------------------------------------------- notebook 1


@pytest.fixture(scope="module")
def opening():
    pytest.importorskip("pyspark")
    return definitions(
        "01_spark_setup", "archive_row", "is_whole", "pieces_of", "pieces_to_read", "simple_sample", "answer_text",
        "label", "leak", "simple_held_out",
    )  # fmt: skip


@pytest.fixture(scope="module")
def archive(opening, tmp_path_factory):
    """The rows of a small table like that of notebook 1, and its files."""
    sampler, rng, folder = urls(128, noise=0), random.Random(0), tmp_path_factory.mktemp("archive")
    found = sorted({text for text in (sampler(rng) for _ in range(800)) if opening.is_whole(text)})
    rows = sorted(map(opening.archive_row, found), key=lambda row: row["url_host_name_reversed"])
    for number in range(4):
        part = pa.Table.from_pylist(rows[number * 120 : (number + 1) * 120])
        pq.write_table(part, folder / f"part-{number}.parquet", row_group_size=40)
    return rows[:480], tables.local_table(folder)


@pytest.mark.parametrize(("row_groups", "count"), [(1, 9), (3, 50), (10, 100), (16, 1000)])
def test_the_sample_of_notebook_1_is_the_packages(opening, archive, row_groups, count):
    columns, (_, files) = ["url", "url_host_tld"], archive
    ours = opening.simple_sample(files, count, columns, seed=count, row_groups=row_groups)
    assert ours.equals(tables.sample(files, count, columns, seed=count, row_groups=row_groups))


def test_a_query_of_notebook_1_needs_the_row_groups_that_have_its_rows(opening, archive):
    rows, files = archive
    pieces = opening.pieces_of(files)
    assert len(pieces) == 12 * len(rows[0])
    for domain in {row["url_host_tld"] for row in rows}:
        needed = pieces[opening.pieces_to_read(pieces, ["url"], "url_host_tld", domain)]
        having = {number // 40 for number, row in enumerate(rows) if row["url_host_tld"] == domain}
        assert having <= set(needed.group)
        assert set(needed.column) == {"url", "url_host_tld"}
        assert len(needed) < 24  # of two columns, some row groups are left out
    assert opening.pieces_to_read(pieces, list(rows[0])).all()


@given(TEXT)
def test_the_answer_of_notebook_1_is_the_packages(opening, text):
    assert opening.answer_text(text) == answer(urlparse, text)


def test_the_labels_of_notebook_1_are_the_packages(opening):
    [labelled] = opening.label([pa.RecordBatch.from_pydict({"url": TEXTS})])
    assert labelled.to_pydict() == {"url": TEXTS, "answer": [answer(urlparse, text) for text in TEXTS]}


def test_what_notebook_1_holds_out_is_what_the_package_holds_out(opening, archive):
    found = [row["url"] for row in archive[0]]
    held_out = [opening.simple_held_out(text) for text in found]
    assert held_out == [tables.TableSampler.is_held_out(text) for text in found]
    assert opening.leak([tables.host_of(text) for text in found], held_out) == 0
    assert opening.leak(["a", "a", "b", "c", "c"], [True, False, True, True, True]) == 0.25


# ---------------------------------------------------------------- notebook 2


@pytest.fixture(scope="module")
def wrangling():
    return definitions(
        "02_data_wrangling", "simple_answer", "PADDING", "EOS", "simple_matrix", "simple_texts", "with_a_loop", "BOS",
        "QUOTE", "simple_written", "simple_features", "simple_held_out", "task", "simple_batch", "padding_share",
        "simple_batches", "padded_batch", "rules", "expand",
    )  # fmt: skip


@given(TEXT)
def test_the_answer_of_notebook_2_is_the_packages(wrangling, text):
    for function in (urlparse, str.upper, int, gallery.total):
        assert wrangling.simple_answer(function, text) == answer(function, text)


@given(SOME_TEXTS)
def test_the_matrix_of_notebook_2_is_the_packages(wrangling, texts):
    np.testing.assert_array_equal(wrangling.simple_matrix(texts), to_matrix(texts))
    np.testing.assert_array_equal(wrangling.with_a_loop(texts), to_matrix(texts))


@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 4), st.integers(1, 12))))
def test_the_texts_of_notebook_2_are_the_packages(wrangling, matrix):
    assert wrangling.simple_texts(matrix) == to_texts(matrix)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
                    lambda values: st.lists(values) | st.dictionaries(TEXT, values), max_leaves=8))  # fmt: skip
def test_what_the_network_writes_in_notebook_2_is_the_packages(wrangling, value):
    assert written([to_json(value)]).to_pylist() == [wrangling.simple_written(value)]


@given(SOME_TEXTS, st.data())
def test_the_features_of_notebook_2_are_the_packages(wrangling, inputs, data):
    answers = data.draw(st.lists(TEXT, min_size=len(inputs), max_size=len(inputs)))
    ours, theirs = wrangling.simple_features(inputs, answers), features(inputs, answers)
    assert set(ours) == {"encoder_input", "decoder_input", "target"}
    for name, matrix in ours.items():
        np.testing.assert_array_equal(matrix, theirs[name])


def test_what_notebook_2_holds_out_is_what_the_package_holds_out(wrangling):
    sampler, rng = urls(128), random.Random(0)
    inputs = [text for text in (sampler(rng) for _ in range(2000)) if text]
    held_out = [wrangling.simple_held_out(text) for text in inputs]
    assert held_out == [is_held_out(text) for text in inputs]
    assert 0 < sum(held_out) < len(held_out)


@given(st.lists(st.integers(2, 300), min_size=1, max_size=40), st.integers(1, 9))
def test_the_cut_into_batches_of_notebook_2_is_the_packages(wrangling, lengths, size):
    ours, theirs = wrangling.simple_batches(np.array(lengths), size), batches_by_length(np.array(lengths), size)
    assert [batch.tolist() for batch in ours] == [batch.tolist() for batch in theirs]


@settings(max_examples=20)
@given(SOME_TEXTS)
def test_a_batch_of_notebook_2_is_what_the_package_gives_to_fit(wrangling, inputs):
    answers = [answer(urlparse, text) for text in inputs]
    ours, theirs = wrangling.padded_batch(inputs, answers), make_batch(inputs, answers)
    for mine, other in zip([*ours[0].values(), ours[1]], [*theirs[0].values(), theirs[1]], strict=True):
        np.testing.assert_array_equal(mine, other)
        assert mine.dtype == other.dtype
    assert list(ours[0]) == list(theirs[0])


def test_what_notebook_2_draws_from_a_grammar_is_what_the_package_draws(wrangling):
    grammar = samplers.Grammar(wrangling.rules)
    for name in wrangling.rules:
        for seed in range(100):
            assert wrangling.expand(name, wrangling.rules, random.Random(seed)) == grammar.sampler(name)(
                random.Random(seed)
            )


@pytest.mark.parametrize("number", [1, 5, 31, 32, 70])
def test_the_batches_of_notebook_2_are_the_packages(wrangling, number):
    batches = Batches(wrangling.task, Training(examples=6400), short_first=0)
    model_inputs, target = wrangling.simple_batch(number)
    package_inputs, package_target = batches[number]
    np.testing.assert_array_equal(target, package_target)
    for name, matrix in model_inputs.items():
        np.testing.assert_array_equal(matrix, package_inputs[name])


def test_the_padding_of_notebook_2_is_what_matrices_hold(wrangling):
    inputs, _ = inputs_and_answers()
    lengths = np.array([len(text.encode()) + 1 for text in inputs])
    rows = np.array_split(np.arange(len(inputs)), 3)
    matrices = [to_matrix([inputs[row] for row in batch]) for batch in rows]
    for step, made in ((1, matrices), (16, [pad(matrix) for matrix in matrices])):
        padding, cells = sum((matrix == PADDING).sum() for matrix in made), sum(matrix.size for matrix in made)
        assert wrangling.padding_share(lengths, rows, step) == pytest.approx(padding / cells)


# ---------------------------------------------------------------- notebook 3: the network


@pytest.fixture(scope="module")
def network():
    return definitions(
        "03_seq2seq_attention", "sigmoid", "lstm_step", "Reverse", "attend", "rotated", "Attention", "network",
        "weighted_crossentropy", "masked_loss", "capped_weights", "capped_crossentropy", "exact", "muon", "greedy",
        "learning_rate", "head_weights", "encoder_states", "train_step", "encode", "decoder_step", "greedy_by_steps",
        "simple_threshold",
    )  # fmt: skip


def one_batch():
    return make_batch(*inputs_and_answers())


def test_the_lstm_step_of_notebook_3_is_keras(network):
    keras.utils.set_random_seed(0)
    vectors = np.random.default_rng(0).normal(size=(3, 7, 5)).astype(np.float32)
    lstm = layers.LSTM(4, return_sequences=True)
    expected = np.asarray(lstm(vectors))
    weights, h, c = [np.asarray(weight) for weight in lstm.weights], np.zeros((3, 4)), np.zeros((3, 4))
    for step in range(7):
        h, c = network.lstm_step(vectors[:, step], h, c, *weights)
        np.testing.assert_allclose(h, expected[:, step], atol=1e-6)


@settings(max_examples=20)
@given(SOME_TEXTS)
def test_the_reversal_of_notebook_3_is_the_packages(network, texts):
    tokens = pad(to_matrix(texts)).astype(np.int32)
    values = np.random.default_rng(0).random((*tokens.shape, 3)).astype(np.float32)
    np.testing.assert_array_equal(network.Reverse()([values, tokens]), ReverseText()([values, tokens]))


def test_the_rotation_of_notebook_3_is_the_packages(network):
    vectors = np.random.default_rng(0).normal(size=(2, 3, 140, 16)).astype(np.float32)
    ours = network.rotated(vectors, np.arange(140, dtype=np.float32))
    assert largest_difference(ours, rotate(vectors)) < 1e-6
    assert largest_difference(ours, vectors) > 1


def test_a_rotated_product_depends_on_distance_alone(network):
    vector = np.random.default_rng(1).normal(size=(1, 16)).astype(np.float32)

    def product(query: float, key: float) -> float:
        rotated = [np.asarray(network.rotated(vector, np.array([position], np.float32))) for position in (query, key)]
        return float(np.vdot(*rotated))

    assert product(3, 5) == pytest.approx(product(10, 12), rel=1e-5) == pytest.approx(product(12, 10), rel=1e-5)
    assert product(3, 5) < product(3, 3) == pytest.approx(float(np.vdot(vector, vector)), rel=1e-5)


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_the_attention_of_notebook_3_is_the_packages(network, heads):
    model_inputs, target = one_batch()
    tokens, rng = model_inputs["encoder_input"], np.random.default_rng(heads)
    batch, time = tokens.shape
    shapes = [(batch, target.shape[1], 16), (batch, time, 16), (batch, time, 24), (batch, time, 5)]
    vectors = [rng.normal(size=shape).astype(np.float32) for shape in shapes]
    ours, theirs = network.Attention(heads)([*vectors, tokens]), RotaryAttention(heads)([*vectors, tokens])
    assert ours.shape == theirs.shape == (batch, target.shape[1], 24 + heads * 5)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_attention_weights_sum_to_one_and_skip_padding(network):
    tokens = to_matrix(TEXTS)
    rng = np.random.default_rng(0)
    queries, keys = rng.normal(size=(len(TEXTS), 6, 8)), rng.normal(size=(*tokens.shape, 8))
    mask = (tokens != PADDING)[:, None]
    fetched, weights = map(np.asarray, network.attend(queries, keys, keys, mask))
    np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-5)
    assert (weights[np.broadcast_to(~mask, weights.shape)] == 0).all()
    np.testing.assert_allclose(fetched, weights @ keys, atol=1e-5)


@pytest.mark.parametrize("size", [{}, {"units": 16, "embedding": 8, "attention": 8, "heads": 2, "hidden": 16}])
def test_the_network_of_notebook_3_is_the_packages(network, size):
    keras.utils.set_random_seed(0)
    ours, theirs = network.network(**size), build_model(Architecture(**size))
    theirs.set_weights([2 * weights for weights in theirs.get_weights()])
    ours.set_weights(theirs.get_weights())
    assert [weight.path.split("/")[-2:] for weight in ours.weights] == [
        weight.path.split("/")[-2:] for weight in theirs.weights
    ]
    model_inputs, _ = one_batch()
    logits = np.asarray(theirs(model_inputs))
    np.testing.assert_allclose(ours(model_inputs), logits, atol=1e-4)
    assert np.ptp(logits) > 1


# ---------------------------------------------------------------- notebook 3: loss, optimizer, decoding


def logits_for(target: np.ndarray, seed: int, wrong: float) -> np.ndarray:
    """Logits [batch, out, 8] that are correct at all but a share `wrong` of the positions."""
    rng = np.random.default_rng(seed)
    written = np.where(rng.random(target.shape) < wrong, rng.integers(0, 8, target.shape), target)
    logits = rng.random((*target.shape, 8)).astype(np.float32)
    np.put_along_axis(logits, written[..., None], 2.0, axis=-1)
    return logits


@given(TARGETS, st.integers(0, 99), st.sampled_from([0.0, 0.1, 0.9]))
def test_loss_and_measure_of_notebook_3_are_the_packages(network, target, seed, wrong):
    target[:, 0] = EOS % 8  # no batch is all padding
    logits = logits_for(target, seed, wrong)
    assert float(network.masked_loss(target, logits)) == pytest.approx(
        float(masked_crossentropy(target, logits)), rel=1e-4, abs=1e-6
    )
    np.testing.assert_array_equal(network.exact(target, logits), exact_match(target, logits))


@given(TARGETS, st.integers(0, 99))
def test_the_weighted_loss_is_the_mean_with_these_weights(network, target, seed):
    logits = logits_for(target, seed, 0.5)
    weights = np.random.default_rng(seed).random(target.shape).astype(np.float32) + 0.1
    logarithms = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    chosen = np.take_along_axis(logarithms, target[..., None], axis=-1)[..., 0]
    loss = float(network.weighted_crossentropy(target, logits, weights))
    assert loss == pytest.approx(-np.average(chosen, weights=weights), rel=1e-4)


@given(TARGETS)
def test_padding_never_weighs_more_than_the_bytes(network, target):
    weights = np.asarray(network.capped_weights(target))
    assert (weights[target != PADDING] == 1).all()
    on_bytes, on_padding = weights[target != PADDING].sum(), weights[target == PADDING].sum()
    assert on_padding <= on_bytes * (1 + 1e-5)
    np.testing.assert_allclose(on_padding, min((target == PADDING).sum(), on_bytes), rtol=1e-5)


def test_the_capped_loss_does_look_at_padding(network):
    target = np.array([[3, 4, 0, 0]], np.int32)
    logits = logits_for(target, 0, 0)
    elsewhere = logits.copy()
    elsewhere[0, 3] = [0, 0, 9, 0, 0, 0, 0, 0]
    assert (
        float(network.capped_crossentropy(target, elsewhere)) > float(network.capped_crossentropy(target, logits)) + 0.1
    )
    assert float(network.masked_loss(target, elsewhere)) == pytest.approx(float(network.masked_loss(target, logits)))


def test_a_missing_eos_is_no_exact_match(network):
    target = to_matrix(["ab"]).astype(np.int32)
    logits = np.eye(VOCABULARY, dtype=np.float32)[target]
    assert np.asarray(network.exact(target, logits)).tolist() == [1]
    logits[0, 2] = np.eye(VOCABULARY)[ord("c")]
    assert np.asarray(network.exact(target, logits)).tolist() == [0]


def test_the_optimizer_of_notebook_3_is_the_packages(network):
    ours, theirs = network.muon(0.01).get_config(), package_muon(0.01).get_config()
    assert ours | {"name": ""} == theirs | {"name": ""}


def test_the_learning_rate_of_notebook_3_is_the_packages(network):
    training = Training(examples=64 * 1000)
    schedule = Schedule(training)
    schedule.set_model(SimpleNamespace(optimizer=SimpleNamespace(learning_rate=None), stop_training=False))
    schedule.on_train_begin()
    for batch in range(1000):
        schedule.on_train_batch_begin(batch)
        expected = schedule.model.optimizer.learning_rate
        assert network.learning_rate(batch / 1000, batch) == pytest.approx(expected, rel=1e-9)
        schedule.on_train_batch_end(batch)
    assert schedule.model.stop_training


def test_the_greedy_answers_of_notebook_3_are_the_packages(network):
    model = random_model()
    for text in ["abc", "", "é", *words_of(3)]:
        assert network.greedy(model, text, 8) == slow_greedy(model, text, 8)


def test_the_heads_of_notebook_3_have_the_packages_attention_as_their_mean(network):
    copy = untrained_copy()
    for text in ["abcdef", "", "aé"]:
        answer, attention = copy.attention(text)
        if "\ufffd" not in answer:
            weights = network.head_weights(copy.model, text, answer)
            assert len(weights) == copy.model.get_layer("attention").heads
            shared = min(len(attention), weights.shape[1])  # an answer without an end has no EOS
            np.testing.assert_allclose(weights.mean(axis=0)[:shared], attention[:shared], atol=1e-4)


def test_the_attention_of_notebook_3_without_positions_is_the_packages_without_rotation(network, monkeypatch):
    model_inputs, target = one_batch()
    tokens, rng = model_inputs["encoder_input"], np.random.default_rng(0)
    shapes = [(len(tokens), target.shape[1], 16), *[(*tokens.shape, width) for width in (16, 16, 5)]]
    vectors = [*(rng.normal(size=shape).astype(np.float32) for shape in shapes), tokens]
    plain = network.Attention(2, rotary=False)(vectors)
    assert largest_difference(plain, RotaryAttention(2)(vectors)) > 0.1
    monkeypatch.setattr("urlseq.model.rotate", lambda states: states)
    np.testing.assert_allclose(plain, RotaryAttention(2)(vectors), atol=1e-5)


def test_a_training_step_of_notebook_3_is_keras(network):
    ours, theirs = random_model(scale=1), random_model(scale=1)
    theirs.compile(network.muon(0.01), masked_crossentropy, jit_compile=False)
    optimizer, (model_inputs, target) = network.muon(0.01), one_batch()
    losses = [float(network.train_step(ours, optimizer, network.masked_loss, model_inputs, target)) for _ in range(3)]
    for _ in range(3):
        theirs.train_on_batch(model_inputs, target)
    loss = [float(masked_crossentropy(target, model(model_inputs))) for model in (ours, theirs)]
    assert loss[0] == pytest.approx(loss[1], rel=1e-2)
    assert loss[0] < losses[0]


def test_the_answers_by_steps_of_notebook_3_are_the_packages(network):
    model = random_model()
    for text in ["abc", "", "é", *words_of(3)]:
        answer, confidence, steps = network.greedy_by_steps(model, text, 8)
        assert answer == slow_greedy(model, text, 8)
        assert confidence == pytest.approx(float(Decoder(model, 8)(to_matrix([text])).confidence[0]), rel=1e-2)
        np.testing.assert_allclose(steps.sum(axis=1), 1, atol=1e-4)


@given(st.lists(st.booleans(), min_size=1), st.sampled_from([0.0, 0.1, 0.5]))
def test_the_threshold_of_notebook_3_keeps_to_the_risk(network, answers, risk):
    correct, confidence = np.array(answers), np.random.default_rng(0).permutation(len(answers))
    kept = confidence >= network.simple_threshold(confidence, correct, risk)
    assert not kept.any() or (~correct[kept]).mean() <= risk


# ---------------------------------------------------------------- notebook 3: cuDNN


@pytest.fixture(scope="module")
def cudnn():
    return definitions("03_seq2seq_attention", "cudnn_obstacles", "has_gpu")


def test_the_models_own_lstms_may_run_on_cudnn(cudnn):
    lstms = [layer for layer in random_model().layers if isinstance(layer, layers.LSTM)]
    assert {layer.name for layer in lstms} == {"forward_encoder", "backward_encoder", "decoder"}
    assert [cudnn.cudnn_obstacles(layer) for layer in lstms] == [[], [], []]


@pytest.mark.parametrize(("options", "reason"), [
    ({"activation": "relu"}, "activation is not tanh"),
    ({"recurrent_activation": "hard_sigmoid"}, "gates' activation is not sigmoid"),
    ({"unroll": True}, "unrolled"),
    ({"recurrent_dropout": 0.1}, "drops out recurrent values"),
    ({"use_bias": False}, "no bias"),
    ({"use_cudnn": False}, "use_cudnn=False"),
])  # fmt: skip
def test_what_keeps_an_lstm_from_cudnn(cudnn, options, reason):
    (obstacle,) = cudnn.cudnn_obstacles(layers.LSTM(4, **options))
    assert reason in obstacle


def test_padding_on_the_left_keeps_an_lstm_from_cudnn(cudnn):
    lstm = layers.LSTM(4)
    assert cudnn.cudnn_obstacles(lstm, masked=True) == []
    (obstacle,) = cudnn.cudnn_obstacles(lstm, masked=True, right_padded=False)
    assert "padding on the left" in obstacle
    assert cudnn.cudnn_obstacles(lstm, masked=False, right_padded=False) == []


def test_all_obstacles_are_told(cudnn):
    assert len(cudnn.cudnn_obstacles(layers.LSTM(4, activation="relu", use_bias=False, unroll=True))) == 3


def test_keras_agrees_on_what_cudnn_takes(cudnn, monkeypatch):
    """Keras' own rule, by which it takes cuDNN, judges the same layers in the same way."""
    rnn = pytest.importorskip("keras.src.backend.tensorflow.rnn")
    monkeypatch.setattr(rnn, "_is_gpu_available", lambda: True)
    for options in (
        {},
        {"activation": "relu"},
        {"recurrent_activation": "relu"},
        {"unroll": True},
        {"use_bias": False},
    ):
        lstm = layers.LSTM(4, **options)
        allowed = rnn.cudnn_ok(lstm.activation, lstm.recurrent_activation, lstm.unroll, use_bias=lstm.use_bias)
        assert allowed == (not cudnn.cudnn_obstacles(lstm)), options


def test_a_gpu_is_seen_where_keras_lists_one(cudnn):
    assert cudnn.has_gpu() == any(not device.startswith("cpu") for device in keras.distribution.list_devices())


# ---------------------------------------------------------------- notebook 4


@pytest.fixture(scope="module")
def copying():
    return definitions(
        "04_function_copying", "file_path", "my_date_format", "seconds_in_hex", "days_off", "certifies"
    )  # fmt: skip


def test_the_functions_of_notebook_4_are_the_gallerys(copying):
    sampler, rng = gallery.TWO_CENTURIES, random.Random(0)
    for _ in range(200):
        date, other = sampler(rng), sampler(rng)
        assert copying.my_date_format(date) == gallery.my_date_format(date)
        assert copying.seconds_in_hex(date) == gallery.seconds_in_hex(date)
        assert copying.days_off(f'"{other}"', date) == days_off(f'"{other}"', date)
    for no_date in ("", '"x"', "3", "[1]"):
        assert copying.days_off(no_date, date) == days_off(no_date, date) == 36_525
    paths, expected = random.Random(1), random.Random(1)
    assert [copying.file_path(paths) for _ in range(200)] == [gallery.file_path(expected) for _ in range(200)]


def test_the_certificates_of_notebook_4_are_the_packages(copying):
    sampler, rng, inverse = gallery.TWO_CENTURIES, random.Random(0), Inverse(gallery.my_date_format)
    for _ in range(100):
        date, other = sampler(rng), sampler(rng)
        text = gallery.my_date_format(date)
        assert copying.certifies(gallery.my_date_format, date, text)
        for value in (date, other, "1998-09-31T07:05", ""):
            assert copying.certifies(gallery.my_date_format, value, text) == inverse.certifies(value, text)


# ---------------------------------------------------------------- notebook 5


@pytest.fixture(scope="module")
def graphs():
    pytest.importorskip("IPython")
    return definitions(
        "05_browser_export", "python_loop", "parser", "ANY_LENGTH", "OPEN", "START", "unfinished", "append",
        "first_graph", "layer", "encode", "second_graph", "third_graph", "lstm_loop", "by_keras",
    )  # fmt: skip


def test_the_loops_of_notebook_5_answer_as_the_packages_graph(graphs):
    for text in ["http://a.example/b?c=d#e", "", "https://[::1", "日本語"]:
        decoded = graphs.parser.decoder(to_matrix([text]))
        tokens = to_matrix([text]).astype(np.int32)
        assert graphs.python_loop(graphs.parser.model, text, 100) == decoded.answers[0]
        written, confidence = graphs.third_graph(tokens)
        for found in (graphs.first_graph(tokens), graphs.second_graph(tokens), written):
            assert to_answers(np.asarray(found)[:, 1:]) == decoded.answers
        assert float(confidence[0]) == pytest.approx(float(decoded.confidence[0]), abs=1e-4)
        same, of_keras = graphs.by_keras([text], decoded.answers)
        assert same.all() and of_keras[0] == pytest.approx(float(decoded.confidence[0]), abs=1e-4)


def test_the_python_loop_of_notebook_5_gives_up_where_the_packages_does(graphs):
    model = random_model()
    for text in ["abc", "", "é", *words_of(3)]:
        assert graphs.python_loop(model, text, 8) == slow_greedy(model, text, 8)


def test_the_plain_lstm_of_notebook_5_is_keras(graphs):
    keras.utils.set_random_seed(0)
    vectors = np.random.default_rng(0).normal(size=(1, 7, 5)).astype(np.float32)
    lstm = layers.LSTM(4, return_sequences=True)
    expected = np.asarray(lstm(vectors))[0]
    np.testing.assert_allclose(graphs.lstm_loop(vectors[0], *lstm.get_weights()), expected, atol=1e-6)


# ---------------------------------------------------------------- notebook 6


@pytest.fixture(scope="module")
def serving():
    for package in ("pyspark", "grpc", "tensorflow_serving.apis", "usearch", "sklearn"):
        pytest.importorskip(package)
    return definitions(
        "06_serving_spark_search", "answer_batches", "parser", "encoder", "states_of", "middle", "sketch",
        "standardized", "nearest", "shape", "template", "near_duplicate",
    )  # fmt: skip


def test_the_udf_of_notebook_6_answers_as_the_packages(serving):
    import pandas as pd

    from urlseq.spark.transformer import answer_all

    lite = load_lite("urlparse")
    serving.answer_batches.__globals__["broadcast"] = SimpleNamespace(value=(lite.card, lite.model))
    batches = [["http://a.example/b?c=d#e", None, "", "x" * 1100], [None], ["https://[::1", "a\0b"]]
    found = list(serving.answer_batches(pd.Series(batch, index=range(3, 3 + len(batch))) for batch in batches))
    for batch, answered in zip(batches, found, strict=True):
        expected = answer_all(lite, batch, False, False).answer
        assert [None if missing else text for text, missing in zip(answered, answered.isna(), strict=True)] == [
            None if missing else text for text, missing in zip(expected, expected.isna(), strict=True)
        ]


def test_the_vector_of_notebook_6_is_the_packages(serving):
    for text in ["http://a.example/b?c=d#e", "", "日本語", "x" * 300]:
        vector = np.concatenate([serving.middle(serving.states_of(text)), serving.sketch(text)])
        np.testing.assert_allclose(vector, serving.parser.embed(text), atol=1e-4)


def test_what_is_alike_in_notebook_6_is_alike_in_the_benchmark(serving):
    from benchmarks import search

    sampler, rng = urls(128), random.Random(0)
    texts = [text for text in (sampler(rng) for _ in range(300)) if text and search.is_url(text)]
    ours, theirs = random.Random(1), random.Random(1)
    for text in texts:
        assert serving.shape(text) == search.shape(text)
        assert serving.template(text) == search.template(text)
        assert serving.near_duplicate(text, ours) == search.near_duplicate(text, theirs)
    vectors = np.random.default_rng(0).normal(size=(30, 8))
    scaled = serving.standardized(vectors, vectors)
    np.testing.assert_allclose(scaled, search.standardized(vectors, vectors), atol=1e-5)
    np.testing.assert_array_equal(serving.nearest(scaled, scaled, 5), search.nearest(scaled, scaled, 5))


@pytest.fixture(scope="module")
def searching():
    return definitions("04_function_copying", "beam_search", "rate", "shrink", "simplify", "certifies", "without_year")


def test_the_beam_search_of_notebook_4_is_the_packages(searching):
    for seed in range(3):
        model = random_model(seed)
        package = BeamSearch(Graph(model, 6))
        for text in ["abc", "é", *words_of(2)]:
            for width in (1, 3, 8):
                found = searching.beam_search(model, text, width, 6)
                scores, answers = zip(*found, strict=True)
                probabilities, texts = zip(*package(to_matrix([text]), width)[0], strict=True)
                assert answers == texts and np.exp(scores) == pytest.approx(probabilities, rel=1e-3)
                assert found == sorted(found, key=lambda each: -each[0])


def test_the_learning_rates_that_notebook_4_draws_are_the_packages(searching):
    schedule = Schedule(Training(examples=32 * 500, batch_size=32))
    schedule.set_model(SimpleNamespace(optimizer=SimpleNamespace(learning_rate=None), stop_training=False))
    schedule.on_train_begin()
    for batch in range(500):
        schedule.on_train_batch_begin(batch)
        drawn = searching.rate(32 * batch, 32 * 500)
        assert drawn == pytest.approx(schedule.model.optimizer.learning_rate, abs=0.012 / 200)
        schedule.on_train_batch_end(batch)


@given(st.text(alphabet="ab?#/1", max_size=20), st.sets(st.sampled_from("b?#1"), max_size=3))
def test_what_notebook_4_shrinks_stays_wrong_and_loses_all_that_is_not_needed(searching, text, needed):
    def is_wrong(text: str) -> bool:
        return needed <= set(text)

    if is_wrong(text):
        assert sorted(searching.shrink(text, is_wrong)) == sorted(needed)
        assert is_wrong(searching.simplify(text, is_wrong))
        assert len(searching.simplify(text, is_wrong)) == len(text)


def test_a_certificate_of_notebook_4_may_hold_for_many_values(searching):
    text = searching.without_year("1998-09-09")
    dates = [f"{year}-09-09" for year in range(1900, 2101)]
    assert sum(searching.certifies(searching.without_year, date, text) for date in dates) == 29
