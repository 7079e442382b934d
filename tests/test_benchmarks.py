"""The benchmarks' own claims. They are run by hand, on a quiet machine: no figure is a test."""

import importlib
import json
import os
import shutil
import sys
import types

import keras
import pytest

from benchmarks import __main__ as all_of_them
from benchmarks import shipped, training_speed
from benchmarks.common import gpus, machine
from urlseq import load
from urlseq.store import CARD, SHIPPED


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


@pytest.mark.parametrize("name", [*all_of_them.NAMES, "seconds", "shipped"])
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
        if name != "urlparse":  # which learned in stages
            assert card["training"] == training.record()


def test_cards_hold_nothing_but_what_the_script_writes():
    for path in SHIPPED.glob(f"*/{CARD}"):
        assert tuple(json.loads(path.read_text())) == shipped.KEYS


def test_a_card_is_written_anew_and_the_weights_stay(tmp_path):
    folder = shutil.copytree(SHIPPED / "dates_in_hex", tmp_path / "copy")
    path, files = folder / CARD, sorted(folder.iterdir())
    known = json.loads(path.read_text())
    for written in ({"left_over": 1} | known, known):
        path.write_text(json.dumps(written))
        shipped.rewrite_card(folder)
        assert json.loads(path.read_text()) == known
    assert sorted(folder.iterdir()) == files
    assert load(folder)("Wednesday, 9 September 7ce, 7:05") == "1998-09-09T07:05"


def test_a_shipped_copy_is_trained_by_the_table(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(shipped, "copy_function", lambda *settings: calls.append(settings) or load("quote"))
    monkeypatch.setattr(shipped, "SHIPPED", tmp_path)
    shipped.main(names=["quote"])
    ((task, training),) = calls
    assert task.record()["function"] == "urllib.parse.quote"
    assert (training.folder, training.examples, training.seed) == (tmp_path / "quote", 96_000, 0)
