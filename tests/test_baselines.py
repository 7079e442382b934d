import zlib
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import words, words_of

from urlseq.encoding import sketch, to_tokens
from urlseq.functions import answers
from urlseq.report import WarnEarly, baselines
from urlseq.task import Examples, Task


def examples_of(function, inputs) -> Examples:
    return Examples(inputs, answers(function, inputs))


def test_what_needs_no_learning():
    inputs = list(dict.fromkeys(words_of(600)))
    known, asked = inputs[:200], inputs[200:300]
    for name, function in [
        ("the input itself", str),
        ("the same answer to all", lambda text: "always"),
        ("the answer to the nearest input", lambda text: nearest(text, known)),
    ]:
        found = baselines(examples_of(function, known), examples_of(function, asked))
        assert found[name] == len(asked), name
    found = baselines(examples_of(checksum, known), examples_of(checksum, asked))
    assert max(found.values()) <= 2


def nearest(text: str, known: list[str]) -> str:
    vector, *others = sketch(to_tokens([each.encode() for each in [text, *known]]), 1024)
    return known[int(np.argmax(others @ vector))]


def checksum(text: str) -> int:
    return zlib.crc32(text.encode())


@pytest.mark.parametrize(
    ("function", "exact", "seconds", "warns"),
    [(checksum, 0.0, 70, True), (checksum, 0.0, 50, False), (checksum, 0.3, 70, False), (len, 0.1, 70, True)],
)
def test_a_function_that_is_hardly_learned_is_told_after_a_minute(function, exact, seconds, warns, capsys):
    task = Task(function, words)
    held_out = task.examples("asked", 100, held_out=True)
    schedule = SimpleNamespace(seconds=seconds, exact=lambda share: round(share * len(held_out)))
    callback = WarnEarly(schedule, task, held_out)
    for epoch in range(2):
        callback.on_epoch_end(epoch, {"val_exact": exact})
    assert capsys.readouterr().out.count("hardly more than") == warns
