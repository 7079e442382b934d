"""The command line: exit codes, one clear line for what can't be done, JSON lines for pipes."""

import functools
import gzip
import html
import io
import json
import re
import sys
import warnings
from pathlib import Path

import pytest
from conftest import LONGEST_WORD, card, untrained_copy

from urlseq import learn
from urlseq.__main__ import main
from urlseq.gallery import GALLERY, my_date_format
from urlseq.task import Task


@pytest.fixture(scope="module")
def folder(learned, tmp_path_factory):
    return learned.save(tmp_path_factory.mktemp("copies") / "upper")


def run(capsys, *words: str) -> tuple[int, str, str]:
    code = main([str(word) for word in words])
    output = capsys.readouterr()
    return code, output.out, output.err


@pytest.mark.slow
def test_call_prints_a_line_of_json_for_each_input(capsys, folder):
    code, out, _ = run(capsys, "call", folder, "abc", "", "a\0b", "far too long for this")
    records = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [record["input"] for record in records] == ["abc", "", "a\0b", "far too long for this"]
    assert records[0]["value"] == "ABC" and records[0]["text"] == '"ABC"' and 0 < records[0]["confidence"] <= 1
    assert all(list(record) == ["input", "value", "text", "confidence", "trusted", "reason"] for record in records)
    assert all(record["trusted"] == (not record["reason"]) for record in records)
    assert [record["value"] for record in records[2:]] == [None, None]
    assert "NUL" in records[2]["reason"] and f"more than the {LONGEST_WORD} that were learned" in records[3]["reason"]


@pytest.mark.slow
def test_call_reads_standard_input(capsys, folder, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("abc\ndef\n" * 300))
    code, out, _ = run(capsys, "call", folder)
    assert code == 0
    assert [json.loads(line)["value"] for line in out.splitlines()] == ["ABC", "DEF"] * 300


@pytest.mark.slow
@pytest.mark.parametrize("lines,inputs", [("abc\r\nde\r\n\r\n", ["abc", "de", ""]), ("abc\r\nde\n", ["abc\r", "de"])])
def test_call_leaves_out_the_cr_of_files_from_windows(capsys, folder, monkeypatch, lines, inputs):
    monkeypatch.setattr(sys, "stdin", io.StringIO(lines, newline="\n"))
    code, out, error = run(capsys, "call", folder)
    assert code == 0
    assert [json.loads(line)["input"] for line in out.splitlines()] == inputs
    assert ("from Windows" in error) == (inputs[0] == "abc")


@pytest.mark.slow
@pytest.mark.parametrize("packed", [False, True])
def test_evaluate_counts(capsys, folder, tmp_path, packed):
    inputs = ["abc", "def", "hab", "longer than five bytes", "a\0b", "abcd"]
    data = "\n".join(inputs).encode()
    path = tmp_path / ("inputs.txt.gz" if packed else "inputs.txt")
    path.write_bytes(gzip.compress(data) if packed else data)
    words = ["evaluate", folder, path, "--function", "str.upper"]
    code, out, _ = run(capsys, *words, "--json", "--max-input-bytes", 3)
    counts = json.loads(out)
    assert code == 0 and list(counts) == ["count", "exact", "trusted", "trusted_wrong"]
    assert counts["count"] == 3  # one is too long for the copy, one for --max-input-bytes, one holds NUL
    assert counts["trusted_wrong"] <= counts["trusted"] <= counts["count"]
    assert json.loads(run(capsys, *words, "--json", "--max-input-bytes", 100)[1])["count"] == 4
    assert re.search(r"exact \(\d of 4; .* 2 of 6 inputs left out\.", run(capsys, *words)[1])


def test_evaluate_shows_mistakes_when_asked(capsys, tmp_path):
    (tmp_path / "inputs.txt").write_text("abc\ndef\nghi\n")
    words = ["evaluate", untrained_copy().save(tmp_path / "copy"), tmp_path / "inputs.txt", "--function", "str.upper"]
    assert run(capsys, *words)[1].count("\n") == 1
    out = run(capsys, *words, "--mistakes", 2)[1]
    assert "Its mistakes: " in out and out.count("✗") == 2 and '      "ABC"\n' in out


def test_evaluate_imports_no_function_that_a_card_names(capsys, tmp_path):
    untrained_copy().save(tmp_path / "copy")
    (tmp_path / "inputs.txt").write_text("abc\n")
    code, out, error = run(capsys, "evaluate", tmp_path / "copy", tmp_path / "inputs.txt")
    assert code == 1 and out == "" and "--function str.upper" in error


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["call", "no-such-copy", "x"], "no learned copy"),
        (["copy", "str.upper", "--until", "99.9"], "above 0 and below 1"),
        (["copy", "str.upper", "--until", "0"], "above 0 and below 1"),
        (["copy", "str.upper", "--minutes", "nan"], "budget has to be above 0, but minutes is nan"),
        (["copy", "html.escape", "--max-input-bytes", "0"], "max_input_bytes has to be above 0"),
        (["copy", "no.such.function"], "no function named"),
        (["copy", "html.escape", "--inputs", "missing.txt", "--folder", "copy"], "missing.txt"),
        (["copy", "os.getcwd", "--folder", "copy"], "does not take one text alone"),
    ],
)
def test_one_clear_line_says_what_is_wrong(capsys, tmp_path, monkeypatch, words, part):
    monkeypatch.chdir(tmp_path)
    code, out, error = run(capsys, *words)
    assert code == 1 and out == ""
    assert part in error and error.count("\n") == 1


def test_wrong_arguments_exit_with_2(capsys):
    for words in (["nonsense"], ["call"], ["copy", "hex", "--examples", "0.5"]):
        with pytest.raises(SystemExit) as exit_:
            main(words)
        assert exit_.value.code == 2
        assert "usage:" in capsys.readouterr().err


def interrupted(*_, **__):
    raise KeyboardInterrupt


def test_interruption_exits_with_130(capsys, monkeypatch):
    monkeypatch.setattr("urlseq.learn.copy_function", interrupted)
    code, _, error = run(capsys, "copy", "html.escape")
    assert code == 130 and "goes on" in error


def test_interruption_of_what_keeps_nothing_promises_nothing(capsys, monkeypatch):
    monkeypatch.setattr("urlseq.lite.load_lite", interrupted)
    code, _, error = run(capsys, "call", "urlparse", "a")
    assert code == 130 and "Interrupted." in error and "goes on" not in error


@pytest.mark.slow
def test_main_job_keeps_a_copy_and_says_where(capsys, tmp_path, monkeypatch):
    """A few hundred examples teach nothing, but the whole job runs: learn, measure, keep, show."""
    small = functools.partial(learn.copy_function, validation_count=64, epoch_batches=5)
    monkeypatch.setattr(learn, "copy_function", small)
    monkeypatch.setattr("urlseq.sources.registry_urls", lambda: ["http://a.b/c", "https://example.org/" + "x" * 30])
    code, out, _ = run(capsys, "--examples", 640, "--max-input-bytes", 24, "--folder", tmp_path / "copy")
    assert code == 0
    assert re.search(r"of [23]\d\d exact", out) and "of 1;" in out and f"The copy is in {tmp_path / 'copy'}" in out
    assert "Its mistakes: " in out and "  //cdn.example.com/lib.js\n    ✗ " in out and "It abstains (" in out
    names = sorted(path.name for path in (tmp_path / "copy").iterdir())
    assert names[:2] == ["copy.json", "ended.npz"] and len(names) == 3 and names[2].startswith("weights-")
    task = json.loads((tmp_path / "copy" / "copy.json").read_text())["task"]
    assert (task["function"], task["max_input_bytes"]) == ("urllib.parse.urlparse", 24)


def test_copy_knows_the_gallerys_inputs_and_inverses(capsys, monkeypatch, tmp_path):
    calls = []

    def remember(task, **settings):
        calls.append((task, settings))
        return untrained_copy(held_out_counts={})

    monkeypatch.setattr("urlseq.learn.copy_function", remember)
    (tmp_path / "inputs.txt").write_text("a\nb\n")
    run(capsys, "copy", "urlseq.gallery.my_date_format", "--inverse", "--folder", tmp_path)
    run(capsys, "copy", "html.escape", "--max-input-bytes", 20, "--folder", tmp_path, "--seed", 3, "--examples", 640)
    run(capsys, "copy", "str.upper", "--minutes", 2, "--until", 0.99)
    run(capsys, "copy", "html.escape", "--inverse", "--folder", tmp_path)
    run(capsys, "copy", "html.escape", "--inputs", tmp_path / "inputs.txt", "--folder", tmp_path)
    (inverse, _), (copy, tuned), (other, untuned), (unescape, _), (own, also_untuned) = calls
    assert inverse.inverse is my_date_format and inverse.function is None
    assert inverse.inputs is GALLERY["dates_in_hex"].task.inputs and inverse.max_input_bytes == 40
    assert copy == Task(html.escape, GALLERY["html_escape"].task.inputs, max_input_bytes=20)
    assert tuned == {"folder": tmp_path, "minutes": 10, "examples": 640, "until": None, "seed": 3, "batch_size": 32,
                     "learning_rate": GALLERY["html_escape"].training["learning_rate"]}  # fmt: skip
    assert other == Task(str.upper, None, max_input_bytes=128)
    assert untuned == {"folder": Path("runs/str.upper"), "minutes": 2, "examples": None, "until": 0.99, "seed": 0}
    assert unescape == Task(inverse=html.escape)  # the entry's limit is for what is escaped
    assert own == Task(html.escape, str(tmp_path / "inputs.txt")) and "batch_size" not in also_untuned


def test_the_progress_of_copy_is_no_result(capsys, monkeypatch, tmp_path):
    def progress(task, **_):
        print("an epoch")
        return untrained_copy(held_out_counts={"count": 5}, ended_by="until", trusted_risk=0.01)

    monkeypatch.setattr("urlseq.learn.copy_function", progress)
    _, out, error = run(capsys, "copy", "html.escape", "--folder", tmp_path)
    assert json.loads(out) == {"folder": str(tmp_path), "function": "str.upper", "ended_by": "until",
                               "trusted_risk": 0.01, "held_out_counts": {"count": 5}}  # fmt: skip
    assert "an epoch" in error


def test_a_copy_in_the_current_folder_has_that_folders_name(capsys, monkeypatch, tmp_path):
    untrained_copy().save(tmp_path / "mine")
    written = []

    def add_version(copy, folder, inputs, *, version):
        written.append((folder, version))
        return folder

    monkeypatch.setattr("urlseq.export.serving.add_version", add_version)
    monkeypatch.chdir(tmp_path / "mine")
    run(capsys, "export", ".", "--serving", "--folder", tmp_path / "out")
    (tmp_path / "newest").symlink_to("mine")
    run(capsys, "export", "../newest", "--serving", "--folder", tmp_path / "out", "--version", 3)
    assert written == [(tmp_path / "out" / "mine", None), (tmp_path / "out" / "newest", 3)]


def test_serve_does_without_the_frameworks(capsys, monkeypatch):
    service = pytest.importorskip("urlseq.service")
    calls = []
    monkeypatch.setattr("urlseq.__main__.load_frameworks", lambda: calls.append("frameworks"))
    monkeypatch.setattr(service, "serve", lambda *arguments: calls.append(arguments))
    assert run(capsys, "serve", "urlparse", "runs/mine")[0] == 0
    assert run(capsys, "serve", "quote", "--host", "0.0.0.0", "--port", 80)[0] == 0
    assert calls == [(["urlparse", "runs/mine"], "127.0.0.1", 8501), (["quote"], "0.0.0.0", 80)]


def test_serve_says_which_extra_is_missing(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "urlseq.service", None)
    code, _, error = run(capsys, "serve", "urlparse")
    assert code == 1 and "pip install -e '.[service]'" in error and error.count("\n") == 1


def test_export_writes_a_folder_for_each_copy_and_tells_what_was_checked(capsys, monkeypatch, tmp_path):
    for name in "ab":
        untrained_copy().save(tmp_path / name)
    (tmp_path / "inputs.txt").write_text("abc\n")

    def export(copy, folder, inputs, *, precision):
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text(json.dumps({"checked": [inputs, precision]}))
        warnings.warn("The model is not checked.", stacklevel=1)
        warnings.warn("A library will change.", DeprecationWarning, stacklevel=1)
        return folder

    monkeypatch.setattr("urlseq.export.export", export)
    words = [tmp_path / "a", tmp_path / "b", "--folder", tmp_path / "out", "--inputs", tmp_path / "inputs.txt"]
    code, out, error = run(capsys, "export", *words, "--precision", "float32")
    assert code == 0
    assert "urlseq: The model is not checked." in error and "library" not in error
    assert [json.loads(line) for line in out.splitlines()] == [
        {"folder": str(tmp_path / "out" / name), "checked": [["abc"], "float32"]} for name in "ab"
    ]


def save_with_task(folder: Path, **changes) -> Path:
    return untrained_copy(task=card()["task"] | changes).save(folder)


def test_a_function_with_an_unknown_name_is_told_how_to_bring_it(capsys, tmp_path):
    save_with_task(tmp_path / "copy", function="my.own", inverse=True)
    (tmp_path / "inputs.txt").write_text("a\n")
    code, _, error = run(capsys, "evaluate", tmp_path / "copy", tmp_path / "inputs.txt")
    assert code == 1 and "inverse of my.own" in error and "add --function my.own." in error


def test_call_tells_that_the_answer_of_an_inverse_is_not_certified(capsys, tmp_path):
    save_with_task(tmp_path / "dates", function="urlseq.gallery.my_date_format", inverse=True)
    code, out, _ = run(capsys, "call", tmp_path / "dates", "1 May")
    assert code == 0
    record = json.loads(out)
    assert (record["input"], record["trusted"], record["reason"]) == (
        "1 May",
        False,
        "the function does not certify it",
    )
