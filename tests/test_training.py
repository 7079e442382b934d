import builtins
import contextlib
import dataclasses
import io
import itertools
import json
import random
import shutil
import zipfile

import keras
import numpy as np
import pytest
from conftest import LETTERS, largest_difference, words, words_of

import urlseq.checkpoint
from urlseq import Task, Training, copy_function, learn, load, training
from urlseq.checkpoint import Checkpoint
from urlseq.encoding import to_answers
from urlseq.errors import NotSaved, UnfitFunction
from urlseq.model import Architecture, build_model, masked_crossentropy
from urlseq.report import ending
from urlseq.sampling import is_held_out
from urlseq.task import Examples
from urlseq.training import LONG_BYTES, WIDER, Batches, Schedule, Validation, even_batches, muon
from urlseq.vectorize import PADDING_STEP, byte_lengths, make_batch, to_texts, written

SMALL = Architecture(units=8, embedding=4, attention=8, heads=2, hidden=8)
EPOCH_BATCHES, BATCH_SIZE, EPOCHS = 5, 8, 3


def train_a_little(folder=None, seed=0, **options):
    """The same short training each time: three epochs of five batches."""
    choices = {"architecture": SMALL, "max_input_bytes": 12, "examples": EPOCHS * EPOCH_BATCHES * BATCH_SIZE,
               "batch_size": BATCH_SIZE, "epoch_batches": EPOCH_BATCHES, "validation_count": 12, "attempts": 0,
               "learning_rate": 0.2, "verbose": False} | options  # fmt: skip
    return copy_function(**{"function": str.upper, "inputs": words, "folder": folder, "seed": seed} | choices)


class Interruption(keras.callbacks.Callback):
    """Ctrl-C after so many batches; after none, before TensorFlow makes a graph of the training, for seconds."""

    def __init__(self, after: int):
        super().__init__()
        self.left = after

    def on_train_begin(self, logs=None):
        if self.left == 0:
            raise KeyboardInterrupt

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


# ---------------------------------------------------------------- schedule and optimizer


def test_the_learning_rate_warms_up_and_comes_down():
    model = build_model(SMALL)
    model.compile(keras.optimizers.Adam())
    schedule = Schedule(Training(examples=1000, learning_rate=0.5, batch_size=10), warm_up_batches=20)
    schedule.set_model(model)
    schedule.on_train_begin()
    rates = []
    while not model.stop_training:
        schedule.on_train_batch_begin(0)
        rates.append(float(model.optimizer.learning_rate))
        schedule.on_train_batch_end(0)
    assert len(rates) == 100 and rates[0] == pytest.approx(0.5 / 20)
    assert (np.diff(rates[:20]) > 0).all() and (np.diff(rates[20:]) < 0).all()
    assert max(rates) < 0.5 and rates[-1] < 0.001


def test_a_step_is_as_large_in_all_directions_of_a_matrix_but_not_of_embeddings_and_logits():
    keras.utils.set_random_seed(0)
    model = build_model(SMALL)
    model.compile(muon(0.1), masked_crossentropy, jit_compile=False)
    before = model.get_weights()
    texts = ["abcd", "xyz", "hello", "Zq"] * 4
    model.train_on_batch(*make_batch(texts, [text.upper() for text in texts]))
    paths = [variable.path for variable in model.weights]
    steps = {path: now - then for path, now, then in zip(paths, model.get_weights(), before, strict=True)}

    def directions(path):
        sizes = np.linalg.svd(steps[path], compute_uv=False)
        return sizes / sizes.max()

    for path in ("forward_encoder/lstm_cell/kernel", "decoder/lstm_cell/kernel", "hidden/kernel"):
        assert directions(path).min() > 0.5, path
    assert directions("logits/kernel")[1] < 0.3
    met = {byte for text in texts for byte in text.encode()}
    moved = np.flatnonzero(np.abs(steps["input_embedding/embeddings"]).max(axis=1))
    assert met <= set(moved) and len(moved) < 20  # a byte that is never met has no reason to move


@pytest.mark.parametrize(("training", "best", "ended_by"), [
    (Training(until=0.9, examples=100), 0.95, "until"), (Training(until=0.9, examples=100), 0.91, "examples"),
    (Training(until=0.9, examples=101), 0.91, ""), (Training(until=0.9, examples=101), -1.0, ""),
    (Training(minutes=1, examples=100), 1.0, "examples"), (Training(minutes=0.1, examples=90), 0.0, "minutes"),
])  # fmt: skip
def test_what_ends_a_training(training, best, ended_by):
    """The target, above which the interval has to be, or the part of the budget that was used up first."""
    schedule = Schedule(dataclasses.replace(training, batch_size=10), held_out=1000)
    schedule.batches, schedule.seconds = 10, 12.0
    assert schedule.ended_by(best) == ended_by


@pytest.mark.parametrize(("until", "ended_by", "line"), [
    (None, "minutes", "Training ended after 3:12: the minutes are used up."),
    (None, "callback", "Training ended after 3:12: a callback stopped it."),
    (0.999, "until", "The target of 99.9 % was met after 3:12: 7,690 of 7,691 held-out inputs exact (95 % interval "
     "99.93 % to 100.00 %)."),
    (0.999, "examples", "The target of 99.9 % was not met in 3:12, and the examples are used up: 7,690 of 7,691 "
     "held-out inputs exact (95 % interval 99.93 % to 100.00 %)."),
])  # fmt: skip
def test_what_ended_a_training_is_said_in_a_line(until, ended_by, line):
    schedule = Schedule(Training(until=until), held_out=7691)
    schedule.seconds = 192.9
    assert ending(schedule, 7690 / 7691, ended_by) == line


# ---------------------------------------------------------------- batches


@pytest.fixture(scope="module", autouse=True)
def small_chunks():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "CHUNK_BATCHES", 4)
        yield


def batches(seed=0, sampler=words, reverse_output=False, **options):
    settings = Training(examples=1000, seed=seed, epoch_batches=10, batch_size=8)
    return Batches(Task(str.upper, sampler, reverse_output=reverse_output), settings, **options)


def assert_same(one, other):
    for first, second in zip([*one[0].values(), one[1]], [*other[0].values(), other[1]], strict=True):
        np.testing.assert_array_equal(first, second)


def test_a_batch_is_the_same_whenever_it_is_made():
    in_order = [batches()[index] for index in range(10)]
    one_dataset, indices = batches(), list(range(10)) * 2
    random.Random(0).shuffle(indices)
    for index in indices:
        assert_same(one_dataset[index], in_order[index])


def test_seeds_and_epochs_give_other_batches():
    first = batches()
    inputs = [first.examples(number).inputs for number in range(20)]
    assert len({tuple(batch) for batch in inputs}) == 20
    other = batches(seed=1)
    assert all(other.examples(number).inputs != inputs[number] for number in range(20))
    second_epoch = batches()
    second_epoch.on_epoch_end()
    assert to_texts(second_epoch[3][0]["encoder_input"]) == inputs[13]


@pytest.mark.parametrize("reverse_output", [False, True])
def test_a_batch_holds_the_inputs_and_the_functions_answers(reverse_output):
    inputs, target = batches(reverse_output=reverse_output)[1]
    texts = to_texts(inputs["encoder_input"])
    answers = to_answers(target, reverse_output)
    assert [json.loads(answer) for answer in answers] == [text.upper() for text in texts]
    assert len(texts) == 8 and target.dtype == inputs["decoder_input"].dtype == np.int32


def long_and_short(rng) -> str:
    return words(rng) * rng.randint(1, 20)


def test_lengths_within_a_batch_are_similar(monkeypatch):
    monkeypatch.setattr(training, "CHUNK_BATCHES", 32)
    made = batches(sampler=long_and_short, short_first=0)
    spreads = [np.ptp(byte_lengths(made.examples(number).inputs)) for number in range(32)]
    everything = np.concatenate([byte_lengths(made.examples(number).inputs) for number in range(32)])
    assert np.ptp(everything) > 60 and np.median(spreads) < 5


def test_batches_do_not_come_in_order_of_length(monkeypatch):
    monkeypatch.setattr(training, "CHUNK_BATCHES", 32)
    made = batches(sampler=long_and_short, short_first=0)
    means = [byte_lengths(made.examples(number).inputs).mean() for number in range(32)]
    assert sorted(means) != means


def test_short_inputs_come_first_and_long_ones_in_the_end(monkeypatch):
    monkeypatch.setattr(training, "CHUNK_BATCHES", 16)
    made = batches(sampler=long_and_short, short_first=1000)
    longest = [max(byte_lengths(made.examples(16 * chunk + index).inputs).max() for index in range(16))
               for chunk in (0, 8)]  # fmt: skip
    assert longest[0] < 50 < longest[1]


def test_a_small_budget_still_sees_long_inputs(monkeypatch):
    monkeypatch.setattr(training, "CHUNK_BATCHES", 32)

    class Enough(Exception):
        pass

    def instead_of_training(model, made, *_, **__):
        lengths = np.concatenate([byte_lengths(made.examples(number).inputs) for number in range(4096 // 16)])
        assert lengths[:1024].max() < 60 < lengths[-1024:].max()
        raise Enough

    monkeypatch.setattr(learn, "fit", instead_of_training)
    with pytest.raises(Enough):
        copy_function(str.upper, long_and_short, max_input_bytes=100, architecture=SMALL, examples=4096, batch_size=16,
                      validation_count=12, verbose=False)  # fmt: skip


def test_no_held_out_input_is_ever_trained_on():
    made = batches(short_first=0)
    trained = {text for number in range(60) for text in made.examples(number).inputs}
    assert len(trained) > 100 and not any(map(is_held_out, trained))


def test_bytes_and_lengths_that_were_seen_are_noted():
    made = batches()
    made[0]
    inputs = [text for examples in made.chunk for text in examples.inputs]
    answers = [answer for examples in made.chunk for answer in examples.answers]
    assert set(np.flatnonzero(made.bytes_seen)) == set("".join(inputs).encode()) <= set(LETTERS.encode())
    assert made.longest_answer == byte_lengths(written(answers)).max()


def test_bytes_of_inputs_that_are_left_out_were_not_seen():
    """Here the function has NaN, which is no JSON, for each text with an `e`."""
    made = Batches(Task(lambda text: float("nan") if "e" in text else text, words), Training(epoch_batches=10))
    made[0]
    assert "e" in LETTERS and not made.bytes_seen[ord("e")] and made.bytes_seen[ord("a")]


def test_validation_holds_each_input_once():
    texts = [text * 3 for text in words_of(600)]
    validation = Validation(Examples(texts, texts))
    seen = [text for index in range(len(validation)) for text in to_texts(validation[index][0]["encoder_input"])]
    assert sorted(seen) == sorted(texts)


def widths(batch) -> tuple[int, int]:
    return batch[0]["encoder_input"].shape[1], batch[1].shape[1]


@pytest.mark.parametrize("length", [9, 15])
def test_the_first_batch_has_other_lengths_than_the_second(length):
    """Else Keras would take them for constants. Of these inputs, all matrices would be as wide."""
    made = batches(sampler=lambda rng: "".join(rng.choices(LETTERS, k=length)))
    first, *others = [widths(made[index]) for index in range(10)]
    assert set(others) == {tuple(width - WIDER for width in first)}
    assert {width % PADDING_STEP for width in others[0]} == {0} and 0 < WIDER < PADDING_STEP
    assert to_texts(made[0][0]["encoder_input"]) == made.examples(0).inputs
    texts = ["".join(random.Random(number).choices(LETTERS, k=length)) for number in range(300)]
    first, second = map(widths, Validation(Examples(texts, texts)))
    assert first == tuple(width + WIDER for width in second)


def test_a_chunk_is_cut_into_batches_with_fewer_long_rows():
    rng = np.random.default_rng(0)
    lengths = rng.permutation(np.append(rng.integers(1, LONG_BYTES, 240), rng.integers(2000, 4000, 16)))
    cut = even_batches(lengths, 16)
    assert len(cut) == 16 and sorted(np.concatenate(cut)) == list(range(256))
    assert (np.diff(lengths[np.concatenate(cut)]) >= 0).all()
    sizes = [len(rows) for rows in cut]
    assert 0 < sizes[-1] < 4 and sizes[0] > 16 and sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize("lengths", [[5] * 64, range(64), [10**6] * 64])
def test_rows_that_are_all_short_or_all_as_long_are_cut_evenly(lengths):
    assert {len(rows) for rows in even_batches(np.array(lengths), 8)} == {8}


@pytest.mark.parametrize("rows", [4, 8, 32])
def test_no_batch_of_a_chunk_is_empty(rows):
    lengths = np.array([1] * (rows - 2) + [10**6] * 2)
    assert min(len(batch) for batch in even_batches(lengths, 4)) > 0


@pytest.mark.slow
def test_inputs_of_one_length_train_as_well():
    copy = train_a_little(inputs=lambda rng: "".join(rng.choices(LETTERS, k=9)))
    assert len(copy.card["history"]) == EPOCHS


# ---------------------------------------------------------------- interruption


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """The folder of a training that nothing interrupted, and its copy."""
    folder = tmp_path_factory.mktemp("ended")
    return folder, train_a_little(folder)


@pytest.fixture(scope="module")
def uninterrupted(ended):
    return ended[1]


@pytest.fixture(scope="module")
def again(interrupted, tmp_path_factory):
    """The same training once more, in a folder with a damaged state: what it says, and its copy."""
    folder = tmp_path_factory.mktemp("damaged")
    (folder / "training.npz").write_bytes((interrupted / "training.npz").read_bytes()[:1000])
    with contextlib.redirect_stdout(io.StringIO()) as said:
        copy = train_a_little(folder, verbose=True)
    return said.getvalue(), copy


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """The folder of a training that was interrupted in the middle of its second epoch."""
    folder = tmp_path_factory.mktemp("interrupted")
    with pytest.raises(KeyboardInterrupt):
        train_a_little(folder, callbacks=[Interruption(after=EPOCH_BATCHES + 3)])
    return folder


@pytest.fixture
def state(interrupted, tmp_path):
    """A copy of that training's state, to go on from or to damage."""
    return shutil.copy(interrupted / "training.npz", tmp_path / "training.npz")


def test_interruption_leaves_a_state_and_no_copy(interrupted):
    assert [path.name for path in interrupted.iterdir()] == ["training.npz"]


@pytest.mark.slow
def test_going_on_ends_where_no_interruption_ends(uninterrupted, state, tmp_path, capsys):
    resumed = train_a_little(tmp_path, verbose=True)
    assert "Goes on after epoch 1" in capsys.readouterr().out
    difference = largest_difference(resumed.model.get_weights(), uninterrupted.model.get_weights())
    print(f"largest difference of a weight: {difference:.1e}")
    assert difference < 1e-6
    histories = [[{**epoch, "seconds": 0} for epoch in copy.card["history"]] for copy in (resumed, uninterrupted)]
    assert histories[0] == [pytest.approx(epoch, abs=1e-5) for epoch in histories[1]]
    for name in ("longest_answer", "bytes_seen", "threshold"):
        assert resumed.card[name] == pytest.approx(uninterrupted.card[name], abs=1e-5)
    # When all is done there is nothing to go on from, so that the next call starts from nothing.
    assert not (tmp_path / "training.npz").exists()
    with pytest.raises(KeyboardInterrupt):
        train_a_little(tmp_path, verbose=True, callbacks=[Interruption(after=0)])
    assert "Goes on" not in capsys.readouterr().out


@pytest.mark.slow
def test_a_larger_budget_goes_on_where_the_smaller_one_ended(ended, tmp_path, capsys):
    folder = shutil.copytree(ended[0], tmp_path / "ended")
    longer = train_a_little(folder, examples=5 * EPOCH_BATCHES * BATCH_SIZE, verbose=True)
    assert f"Goes on after epoch {EPOCHS}" in capsys.readouterr().out
    assert len(longer.card["history"]) == 5
    larger = {"examples": 7 * EPOCH_BATCHES * BATCH_SIZE, "seed": 3}
    with pytest.raises(KeyboardInterrupt):
        train_a_little(folder, verbose=True, callbacks=[Interruption(after=0)], **larger)
    assert "Goes on" not in capsys.readouterr().out


def test_another_setting_is_named_before_an_interrupted_training_starts_anew(state, capsys):
    settings = settings_of(state)
    other = settings | {"training": settings["training"] | {"seed": 7, "minutes": 9}, "inputs or answers": ""}
    assert restored(state, other) == 0
    assert "another inputs or answers, seed." in capsys.readouterr().out


def test_an_interruption_in_a_notebook_gives_the_copy_so_far(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(builtins, "__IPYTHON__", True, raising=False)
    with pytest.raises(KeyboardInterrupt):  # there is nothing yet
        train_a_little(tmp_path, callbacks=[Interruption(after=2)])
    copy = train_a_little(tmp_path, verbose=True, callbacks=[Interruption(after=EPOCH_BATCHES + 3)])
    assert "the same call goes on" in capsys.readouterr().out
    assert copy.card["ended_by"] == "interruption" and copy.card["held_out_counts"]["count"]
    assert load(tmp_path).predict("abc").text == copy.predict("abc").text
    train_a_little(tmp_path, verbose=True, callbacks=[Interruption(after=0)])
    assert "Goes on after epoch 1" in capsys.readouterr().out


def test_a_folder_that_is_away_for_a_while_does_not_end_a_training(tmp_path, monkeypatch):
    original, failures = urlseq.checkpoint.write_file, [OSError(107, "Transport endpoint is not connected")]

    def write_file(path, data):
        if failures:
            raise failures.pop()
        original(path, data)

    monkeypatch.setattr(urlseq.checkpoint, "write_file", write_file)
    with pytest.warns(UserWarning, match="training goes on.*not connected"):
        train_a_little(tmp_path)
    assert not failures and load(tmp_path)


def test_a_copy_that_can_not_be_saved_is_not_lost(tmp_path):
    class Vanishes(keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            shutil.rmtree(tmp_path / "runs")
            (tmp_path / "runs").write_text("no folder any more")

    with pytest.raises(NotSaved, match="could not be saved") as raised:
        train_a_little(tmp_path / "runs", callbacks=[Vanishes()])
    assert raised.value.copy.predict("abc").confidence > 0


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(uninterrupted, again):
    other = train_a_little(seed=1)
    weights = uninterrupted.model.get_weights()
    assert largest_difference(again[1].model.get_weights(), weights) < 1e-6
    assert largest_difference(other.model.get_weights(), weights) > 0.01


@pytest.mark.slow
def test_a_damaged_state_is_passed_over(uninterrupted, again):
    said, copy = again
    assert f"{EPOCHS * EPOCH_BATCHES * BATCH_SIZE} examples" in said and "Goes on" not in said
    assert largest_difference(copy.model.get_weights(), uninterrupted.model.get_weights()) < 1e-6


def checkpoint_of(path, settings) -> Checkpoint:
    model = build_model(SMALL)
    model.compile(muon(0.1), masked_crossentropy)
    model.optimizer.build(model.trainable_variables)  # as `fit` does
    schedule = Schedule(Training(examples=100, learning_rate=0.1, batch_size=BATCH_SIZE))
    checkpoint = Checkpoint(path and path.parent, settings, schedule, batches())
    checkpoint.set_model(model)
    return checkpoint


def restored(path, settings) -> int:
    checkpoint = checkpoint_of(path, settings)
    before = checkpoint.model.get_weights()
    epoch = checkpoint.restore()
    assert bool(epoch) == (largest_difference(before, checkpoint.model.get_weights()) > 0)
    assert bool(epoch) == bool(checkpoint.schedule.batches) == bool(checkpoint.best_weights)
    return epoch


def test_the_weights_of_the_best_epoch_are_kept_and_of_equal_ones_the_later():
    checkpoint = checkpoint_of(None, {})
    start = checkpoint.model.get_weights()
    for epoch, exact in enumerate([0.2, 0.5, 0.5, 0.4]):
        checkpoint.model.set_weights([weights + epoch for weights in start])
        checkpoint.on_epoch_end(epoch, {"exact": 1.0, "val_exact": exact})
    assert checkpoint.best == 0.5 and [epoch["val_exact"] for epoch in checkpoint.history] == [0.2, 0.5, 0.5, 0.4]
    assert largest_difference(checkpoint.best_weights, [weights + 2 for weights in start]) == 0


def settings_of(path) -> dict:
    with np.load(path) as arrays:
        return json.loads(str(arrays["state"]))["settings"]


def test_a_state_is_for_its_own_settings_alone(state):
    settings = settings_of(state)
    assert restored(state, settings) == 1
    for name, value in {
        "task": "other",
        "architecture": {},
        "training": {"seed": 7},
        "inputs or answers": "other",
    }.items():
        assert restored(state, settings | {name: value}) == 0
    longer = settings["training"] | {"examples": 10**6}
    assert restored(state, settings | {"training": longer}) == 1
    assert restored(state, settings | {"training": longer | {"until": 0.9}}) == 0  # its optimizer keeps averages, too
    assert restored(state.parent / "nothing" / state.name, settings) == 0
    assert restored(None, settings) == 0


@pytest.mark.parametrize("keep", [0, 1, 3, 100, 10_000, -1])
def test_a_truncated_state_is_no_state(state, keep):
    settings = settings_of(state)
    state.write_bytes(state.read_bytes()[:keep])
    assert restored(state, settings) == 0


@pytest.mark.parametrize("contents", [b"no archive", b"\x93NUMPY\x01\x00", b"PK\x03\x04 and then nothing"])
def test_a_foreign_file_is_no_state(state, contents):
    settings = settings_of(state)
    state.write_bytes(contents)
    assert restored(state, settings) == 0


def test_another_archive_is_no_state(state):
    settings = settings_of(state)
    np.savez(state, other=np.zeros(3))
    assert restored(state, settings) == 0


@pytest.mark.parametrize("damage", ["state", "weights"])
def test_a_flipped_bit_is_noticed(state, damage):
    settings = settings_of(state)
    data = bytearray(state.read_bytes())
    data[data.find(b'"settings"') + 3 if damage == "state" else len(data) // 2] ^= 0x40
    state.write_bytes(data)
    assert restored(state, settings) == 0


def test_any_flipped_bit_is_noticed(state):
    """Many of those that the archive's own checksums leave out: of its directory, and of the headers within."""
    settings, data = settings_of(state), state.read_bytes()
    with zipfile.ZipFile(state) as archive:
        directory = archive.start_dir
        headers = [index for member in archive.infolist() for index in header(member)]
    rng = random.Random(0)
    indices = rng.sample(range(directory, len(data)), 200) + rng.sample(headers, 100) + rng.sample(range(directory), 50)
    # And some by which it seems encrypted, compressed, from the future, without its first array, with a short one.
    chosen = [(directory + 8, 0), (directory + 10, 3), (directory + 6, 7), (directory + 52, 0)]
    chosen.append((data.index(b"'shape': (256,") + len("'shape': (2"), 2))
    checkpoint = checkpoint_of(state, settings)
    for index, bit in [*chosen, *((index, rng.randrange(8)) for index in indices)]:
        damaged = bytearray(data)
        damaged[index] ^= 1 << bit
        state.write_bytes(damaged)
        assert checkpoint.restore() == 0, (index, bit)
    state.write_bytes(data)
    assert checkpoint.restore() == 1


def header(member: zipfile.ZipInfo) -> range:
    """Where a member's own header is (20 bytes of it are of zip64), and its array's."""
    return range(member.header_offset, member.header_offset + 30 + len(member.filename) + 20 + 128)


# ---------------------------------------------------------------- until a target is met


def is_long(text: str) -> bool:
    return len(text) > 2


def train_until(until: float, folder=None, **options):
    """Which of two answers is right is learned in some epochs, which of many is not."""
    options = {"epoch_batches": 20, "examples": 4000, "learning_rate": 0.02, "verbose": True} | options
    return train_a_little(folder, until=until, function=is_long, **options)


@pytest.mark.slow
def test_training_ends_when_the_target_is_met_and_an_interrupted_one_as_well(tmp_path, capsys, monkeypatch):
    copy = train_until(0.4)
    *earlier, last = copy.card["history"]
    assert copy.card["ended_by"] == "until" and last["examples"] < 4000 and copy.card["training"]["until"] == 0.4
    assert "The target of 40 % was met after 0:" in capsys.readouterr().out.splitlines()[-1]
    with pytest.raises(KeyboardInterrupt):
        train_until(0.4, tmp_path, callbacks=[Interruption(after=30)])
    with monkeypatch.context() as patch:
        patch.setattr("urlseq.learned.LearnedCopy.set_threshold", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            train_until(0.4, tmp_path)
    resumed = train_until(0.4, tmp_path)
    assert resumed.card["ended_by"] == "until" and len(resumed.card["history"]) == len(earlier) + 1
    assert largest_difference(resumed.model.get_weights(), copy.model.get_weights()) < 1e-5


@pytest.mark.slow
def test_a_target_that_is_not_met_is_said_to_be(capsys):
    copy = train_a_little(until=0.5, verbose=True)
    line = capsys.readouterr().out.splitlines()[-1]
    assert copy.card["ended_by"] == "examples" and len(copy.card["history"]) == EPOCHS
    assert line.startswith("The target of 50 % was not met in 0:") and "the examples are used up: 0 of " in line


def test_what_is_validated_and_kept_is_the_average_where_there_is_one():
    model = build_model(SMALL)
    model.compile(muon(0.1, averages=True), masked_crossentropy, jit_compile=False)
    checkpoint = Checkpoint(None, {}, Schedule(Training(until=0.5)), batches())
    checkpoint.set_model(model)
    batch = make_batch(["abcd", "xyz"], ['"ABCD"', '"XYZ"'])
    seen = []
    for _ in range(3):
        model.train_on_batch(*batch)
        seen.append(model.get_weights())
    checkpoint.on_test_begin()
    checkpoint.on_epoch_end(0, {"exact": 0.0, "val_exact": 0.3})
    averages = [0.99**2 * one + 0.01 * 0.99 * two + 0.01 * three for one, two, three in zip(*seen, strict=True)]
    assert largest_difference(checkpoint.best_weights, averages) < 1e-6
    checkpoint.on_epoch_begin(1)
    assert largest_difference(model.get_weights(), seen[-1]) == 0


# ---------------------------------------------------------------- what goes wrong while training


@pytest.mark.slow
def test_a_function_that_proves_unfit_while_training_is_told_as_such():
    """What held-out inputs did not show yet, a set for one input in many, ends the training with its own message."""
    calls = itertools.count()

    def unfit_later(text):
        return {1} if next(calls) > 400 else text

    with pytest.raises(UnfitFunction, match="unfit_later.*can't hold"):
        copy_function(unfit_later, words, max_input_bytes=12, architecture=SMALL, examples=20_000,
                      batch_size=BATCH_SIZE, epoch_batches=40, validation_count=12,
                      attempts=0, verbose=False)  # fmt: skip
