"""The benchmarks' own claims. They are run by hand, on a quiet machine: no figure is a test."""

import importlib
import os
import sys
import types

import keras
import numpy as np
import pytest

from benchmarks import __main__ as all_of_them
from benchmarks import learning, shipped, training_speed
from benchmarks.common import gpus, machine
from urlseq import load
from urlseq.cards import CARD, SHIPPED
from urlseq.gallery import GALLERY
from urlseq.learned import TRUSTED_RISK


def test_one_that_fails_does_not_stop_the_others(monkeypatch, capsys):
    done = []

    def fails(quick):
        raise OSError("no disk is left")

    modules = {"fine": lambda quick: done.append(quick), "broken": fails, "last": lambda quick: done.append(quick)}
    for name, main in modules.items():
        monkeypatch.setitem(sys.modules, f"benchmarks.{name}", types.SimpleNamespace(main=main))
    with pytest.raises(SystemExit, match="Not done: broken"):
        all_of_them.main(quick=True, names=list(modules))
    assert done == [True, True]
    printed = capsys.readouterr()
    assert "no disk is left" in printed.err and "all: " in printed.out


@pytest.mark.parametrize("name", [*all_of_them.NAMES, "seconds", "shipped", "ladder"])
def test_each_can_be_run_by_its_name(name):
    assert callable(importlib.import_module(f"benchmarks.{name}").main)


def test_a_measurement_of_another_engine_is_kept_under_another_name(monkeypatch):
    assert training_speed.kept_as() == "training_speed" or gpus()
    tensor = type("Tensor", (), {"device": "cuda:0"})
    monkeypatch.setattr(training_speed.ops, "convert_to_tensor", lambda value: tensor)
    assert training_speed.kept_as() == f"training_speed_{keras.config.backend()}_gpu"
    tensor.device = "TFRT_CPU_0"
    monkeypatch.setattr(training_speed.keras.config, "backend", lambda: "jax")
    assert training_speed.kept_as() == "training_speed_jax_cpu"


def test_a_machine_is_named_with_its_gpu_and_the_backend(monkeypatch, tmp_path):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho NVIDIA Example\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert "cores, NVIDIA Example, 2" in machine()
    assert machine().endswith(f"Keras on {keras.config.backend()}")
    program.write_text("#!/bin/sh\necho NVIDIA-SMI has failed\nexit 9\n")
    assert gpus() == []
    monkeypatch.delitem(sys.modules, "keras")
    assert "Keras on" not in machine() and "keras" not in sys.modules


# ---------------------------------------------------------------- the shipped copies


def test_each_shipped_copy_is_in_the_table_with_its_task():
    assert set(shipped.TABLE) == {card.parent.name for card in SHIPPED.glob(f"*/{CARD}")}
    for name, (task, training) in shipped.TABLE.items():
        card = load(name).card
        assert card["task"] == task.record()
        assert card["training"] == training.record()


def test_a_shipped_copy_is_trained_by_the_table(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(shipped, "copy_function", lambda *settings, **_: calls.append(settings) or load("quote"))
    monkeypatch.setattr(shipped, "round_weights", lambda copy, examples: 0)
    monkeypatch.setattr(shipped, "THRESHOLD_INPUTS", 200)
    monkeypatch.setattr(shipped, "SHIPPED", tmp_path)
    assert shipped.train("quote", quick=False)["changed_by_rounding"] == 0
    ((task, training),) = calls
    assert task.record()["function"] == "urllib.parse.quote"
    assert (training.examples, training.seed) == (GALLERY["quote"].training["examples"], 0)
    assert load(tmp_path / "quote")("a b") == "a%20b"


def test_weights_are_rounded_and_what_that_changes_is_counted(tmp_path):
    copy, task = load("dates_in_hex"), GALLERY["dates_in_hex"].task
    examples = task.examples("rounding", 100, held_out=True)
    exact = [weights * 1.0001 for weights in copy.model.get_weights()]
    copy.set_weights(exact)
    assert shipped.round_weights(copy, examples) == 0
    assert any(map(np.any, map(np.not_equal, copy.model.get_weights(), exact)))
    result = shipped.ship(copy, examples, tmp_path)
    assert result["exact"] == 100
    assert result["litert_bytes"] < 150_000
    (path,) = tmp_path.glob("weights-*")
    with np.load(path) as arrays:
        assert {array.dtype for array in arrays.values()} == {np.dtype(np.float16)}


def test_a_shipped_copy_gets_a_new_threshold_without_training(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "SHIPPED", tmp_path)
    monkeypatch.setattr(shipped, "THRESHOLD_INPUTS", 8_000)
    result, before = shipped.set_threshold_anew("dates_in_hex", quick=False), load("dates_in_hex")
    copy = load(tmp_path / "dates_in_hex")
    assert result["count"] == copy.card["held_out_counts"]["count"] > 7_900
    assert result["minutes"] > 0  # of the training, as it was
    assert 0 < copy.card["trusted_risk"] <= TRUSTED_RISK
    assert all(map(np.array_equal, copy.model.get_weights(), before.model.get_weights()))


def test_rounding_that_changes_answers_is_counted():
    copy, task = load("dates_in_hex"), GALLERY["dates_in_hex"].task
    examples = task.examples("rounding", 100, held_out=True)
    # Weights so small that rounding makes many of them nothing write something else.
    rng = np.random.default_rng(0)
    copy.set_weights([rng.normal(size=weights.shape) ** 5 for weights in copy.model.get_weights()])
    assert shipped.round_weights(copy, examples) > 0


def test_each_variant_of_the_recipe_takes_what_training_asks_of_its_optimizer():
    for variant in learning.VARIANTS.values():
        assert variant.optimizer(1e-3, averages=True).use_ema
