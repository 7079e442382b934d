"""The programs in ports/ that ask a copy in other languages, built and run, beside the copy in Python."""

import json
import os
import random
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import card, quoting_model

from urlseq import load
from urlseq.cards import folder_of
from urlseq.export import encoding_of
from urlseq.export.browser import write_tensorflowjs
from urlseq.export.litert import add_litert
from urlseq.export.saved_model import write_saved_model
from urlseq.graph import Graph
from urlseq.learned import LearnedCopy
from urlseq.samplers import urls
from urlseq.sources import registry_urls

pytestmark = pytest.mark.slow
PORTS = Path(__file__).parent.parent / "ports"
WEB = PORTS.parent / "web"
FORMS = {"cpp": "saved_model", "java": "saved_model", "java_litert": "litert"}  # what each answers by
MISSING = 3  # what `run` ends with where it needs something to be installed first
# All lengths of UTF-8, and what looks like JSON, an escape or another line.
EDGES = [
    "",
    " ",
    "\r",
    "\t",
    "a\r",
    '"',
    "\\",
    '\\u0041"]}',
    "[[[{",
    "http://[::1",
    "é",
    "中文.example",
    "😀" * 9,
    "\x7f\x01",
]
LONGEST = "é" * 512
# Lines that can't be inputs, each with the reason.
INVALID = {
    b"a\x00b": "it holds a NUL character",
    b"\x00": "it holds a NUL character",
    b"\xff\xfe": "it is no UTF-8",
    b"https://\xc3\xa9.example/\xe9": "it is no UTF-8",
    b"\xed\xa0\x80": "it is no UTF-8",
    b"\xf0\x9f\x98": "it is no UTF-8",
    b"x" * 1025: "it has more than 1024 bytes",
    "é".encode() * 513: "it has more than 1024 bytes",
    b"x" * 5_000_000: "it has more than 1024 bytes",
}


@pytest.fixture(scope="module", params=FORMS)
def port(request) -> str:
    """The name of a port, which is built."""
    done = subprocess.run([PORTS / request.param / "run"], capture_output=True, text=True)
    if done.returncode == MISSING:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    return request.param


@pytest.fixture(scope="module")
def parser():
    return load("urlparse")


@pytest.fixture(scope="module")
def forms(parser, tmp_path_factory) -> dict[str, Path]:
    """The folder of each form of the parser."""
    folder = tmp_path_factory.mktemp("ports")
    write_saved_model(parser, folder)
    return {"saved_model": folder, "litert": folder_of("urlparse")}


@pytest.fixture(scope="module")
def wild(tmp_path_factory):
    """A copy whose answers are hardly ever JSON, and the folder of each of its forms."""
    copy, folder = LearnedCopy(quoting_model(), card(longest_answer=20), str.upper), tmp_path_factory.mktemp("wild")
    write_saved_model(copy, folder / "saved_model")
    add_litert(copy, copy.save(folder / "litert"))
    return copy, {form: folder / form for form in set(FORMS.values())}


@pytest.fixture(scope="module")
def expected(parser):
    """The copy's predictions for 1,000 inputs, real ones and hard ones."""
    rng, sampler = random.Random(0), urls()
    hard = [text for text in (sampler(rng) for _ in range(1000)) if "\n" not in text]
    inputs = list(dict.fromkeys([*rng.sample(sorted(registry_urls()), 500), *EDGES, *hard]))[:1000]
    return dict(zip(inputs, parser.predict_all(inputs), strict=True))


def answers(port: str, forms: dict[str, Path], lines: list[bytes]) -> list[dict]:
    done = subprocess.run(
        [PORTS / port / "run", forms[FORMS[port]]], input=b"\n".join(lines) + b"\n", capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return [json.loads(line) for line in done.stdout.decode().split("\n")[:-1]]


def compare(records: list[dict], predictions: dict) -> None:
    """Asserts that a port wrote what `urlseq call` would, but for the words of reasons."""
    for record, (text, prediction) in zip(records, predictions.items(), strict=True):
        assert list(record) == ["input", *vars(prediction)]
        assert as_bytes(record["input"]) == as_bytes(text)
        assert record["text"] == prediction.text and record["value"] == prediction.value, text
        assert record["trusted"] == prediction.trusted, text
        assert record["confidence"] == pytest.approx(prediction.confidence, abs=1e-3)
        assert bool(record["reason"]) == bool(prediction.reason)


def as_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def test_a_port_answers_as_python_does(port, forms, expected):
    assert len(expected) == 1000 and 700 < sum(prediction.trusted for prediction in expected.values()) < 1000
    compare(answers(port, forms, list(map(as_bytes, expected))), expected)


def test_what_can_t_be_an_input_is_answered_with_the_reason(port, forms, parser):
    inputs = [*(line.decode("utf-8", "surrogateescape") for line in INVALID), LONGEST]
    records = answers(port, forms, list(map(as_bytes, inputs)))
    compare(records, dict(zip(inputs, parser.predict_all(inputs), strict=True)))
    assert [record["reason"] for record in records[:-1]] == list(INVALID.values())


def test_an_answer_that_is_no_json_has_no_value(port, wild):
    copy, forms = wild
    inputs = [f"{number:x}" for number in range(60)]
    records = answers(port, forms, list(map(as_bytes, inputs)))
    compare(records, dict(zip(inputs, copy.predict_all(inputs), strict=True)))
    assert {"the answer is no JSON", "the answer has no end"} <= {record["reason"] for record in records}


def test_each_line_is_answered_at_once(port, forms):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([PORTS / port / "run", forms[FORMS[port]]], **pipes) as asked:
        for text in (b"//a.example\n", b"\n", b"//b.example\n"):
            asked.stdin.write(text)
            asked.stdin.flush()
            assert json.loads(asked.stdout.readline())["input"] == text.decode().strip()
        asked.stdin.write(b"without a line's end")
        asked.stdin.close()
        assert json.loads(asked.stdout.readline())["input"] == "without a line's end"
        assert asked.stdout.read() == b"" and asked.wait(60) == 0


def test_what_can_t_be_loaded_is_said_in_a_line(port, tmp_path):
    problems = {"saved_model": "Could not find SavedModel", "litert": f"{tmp_path} is not the folder of a copy"}
    for words, problem in (([tmp_path], problems[FORMS[port]]), (["a", "b"], "give one argument, the folder")):
        done = subprocess.run([PORTS / port / "run", *words], input="", capture_output=True, text=True)
        assert done.returncode == 1 and done.stdout == ""
        assert done.stderr.splitlines()[-1].startswith(f"call: {problem}")


@pytest.mark.parametrize(
    ("name", "variable", "problem"), [("cpp", "PYTHON", "has no TensorFlow"), ("java", "JAVA_HOME", "there is no")]
)
def test_what_is_missing_is_said_in_a_line(name, variable, problem):
    done = subprocess.run([PORTS / name / "run"], env=os.environ | {variable: "/none"}, capture_output=True, text=True)
    assert done.returncode == MISSING and problem in done.stderr and done.stderr.count("\n") == 1


def test_the_example_for_node_answers_as_python_does(tmp_path):
    if shutil.which("node") is None or not (WEB / "node_modules").is_dir():
        pytest.skip("Node, or what npm ci brings, is missing: bash setup_colab.sh --export")
    copy = load("dates_in_hex")
    write_tensorflowjs(Graph(copy.model, copy.max_answer_bytes), tmp_path / "tensorflowjs", "float32")
    (tmp_path / "manifest.json").write_text(json.dumps({"encoding": encoding_of(copy)}))
    [program] = re.findall("```js\n(.*?)```", (PORTS.parent / "docs" / "ports.md").read_text(), re.DOTALL)
    for text in [*copy.card["examples"]][:2]:
        command = ["node", "--input-type=module", "-", tmp_path, text]
        done = subprocess.run(command, cwd=WEB, input=program, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        [prediction] = copy.predict_all([text])
        assert json.loads(done.stdout) == {
            "value": prediction.value,
            "confidence": pytest.approx(prediction.confidence, abs=1e-3),
        }


def test_the_programs_are_short():
    sources = [*PORTS.glob("*/*.java"), *PORTS.glob("*/*.cc")]
    assert len(sources) == 4 and all(len(path.read_text().splitlines()) < 100 for path in sources)
