"""What the benchmarks say of themselves. They are run by hand, on a quiet machine: no figure is a test."""

import importlib
import os
import sys
import types

import keras
import pytest

import urlseq.model
from benchmarks import __main__ as all_of_them
from benchmarks import training_speed
from benchmarks.common import gpus, machine


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


@pytest.mark.parametrize("name", [*all_of_them.NAMES, "seconds"])
def test_each_can_be_run_by_its_name(name):
    assert callable(importlib.import_module(f"benchmarks.{name}").main)


def test_a_measurement_of_another_engine_is_kept_under_another_name(monkeypatch):
    assert training_speed.kept_as() == "training_speed" or gpus()
    tensor = type("Tensor", (), {"device": "cuda:0"})
    monkeypatch.setattr(urlseq.model.ops, "convert_to_tensor", lambda value: tensor)
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
