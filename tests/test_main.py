"""The command line: exit codes, one clear line for what can't be done, JSON lines for pipes."""

import functools
import gzip
import html
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import LONGEST_WORD, untrained_copy

from urlseq import copying
from urlseq.__main__ import main
from urlseq.gallery import GALLERY, my_date_format

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def folder(learned, tmp_path_factory):
    return learned.save(tmp_path_factory.mktemp("copies") / "upper")


def run(capsys, *words: str) -> tuple[int, str, str]:
    code = main([str(word) for word in words])
    output = capsys.readouterr()
    return code, output.out, output.err


def test_call_prints_a_line_of_json_for_each_text(capsys, folder):
    code, out, _ = run(capsys, "call", folder, "abc", "", "a\0b", "far too long for this")
    records = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [record["input"] for record in records] == ["abc", "", "a\0b", "far too long for this"]
    assert records[0]["value"] == "ABC" and "confidence" in records[0] and "trusted" in records[0]
    assert "NUL" in records[2]["error"] and f"learned {LONGEST_WORD} at most" in records[3]["error"]


def test_call_reads_standard_input(capsys, folder, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("abc\ndef\n" * 300))
    code, out, _ = run(capsys, "call", folder)
    assert code == 0
    assert [json.loads(line)["value"] for line in out.splitlines()] == ["ABC", "DEF"] * 300


@pytest.mark.parametrize("packed", [False, True])
def test_evaluate_counts(capsys, folder, tmp_path, packed):
    texts = ["abc", "def", "hab", "longer than five bytes", "a\0b", "abcde"]
    data = "\n".join(texts).encode()
    path = tmp_path / ("texts.txt.gz" if packed else "texts.txt")
    path.write_bytes(gzip.compress(data) if packed else data)
    code, out, _ = run(capsys, "evaluate", folder, path, "--function", "str.upper", "--json", "--max-bytes", 4)
    counts = json.loads(out)
    assert code == 0 and list(counts) == ["count", "exact", "trusted", "trusted_wrong"]
    assert counts["count"] == 3  # one is too long for the copy, one for --max-bytes, one holds NUL
    assert counts["trusted_wrong"] <= counts["trusted"] <= counts["count"]


def test_evaluate_imports_no_function_that_a_card_names(capsys, folder, tmp_path):
    (tmp_path / "texts.txt").write_text("abc\n")
    code, out, error = run(capsys, "evaluate", folder, tmp_path / "texts.txt")
    assert code == 1 and out == "" and "--function str.upper" in error


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["call", "no-such-copy", "x"], "no learned copy"),
        (["copy", "no.such.function"], "no function named"),
        (["copy", "html.escape", "--inputs", "missing.txt", "--folder", "copy"], "missing.txt"),
        (["copy", "os.getcwd", "--folder", "copy"], "raises on each"),
    ],
)
def test_one_clear_line_says_what_is_wrong(capsys, tmp_path, monkeypatch, words, part):
    monkeypatch.chdir(tmp_path)
    code, out, error = run(capsys, *words)
    assert code == 1 and out == ""
    assert part in error and error.count("\n") == 1


def test_wrong_words_exit_with_2(capsys):
    for words in (["nonsense"], ["--minutes", "-1"], ["call"]):
        with pytest.raises(SystemExit) as exit_:
            main(words)
        assert exit_.value.code == 2
        assert "usage:" in capsys.readouterr().err


def test_interruption_exits_with_130(capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("urlseq.copying.copy_function", interrupted)
    code, _, error = run(capsys, "copy", "html.escape")
    assert code == 130 and "goes on" in error


def test_interruption_of_what_keeps_nothing_promises_nothing(capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("urlseq.copying.load", interrupted)
    code, _, error = run(capsys, "call", "urlparse", "a")
    assert code == 130 and "Interrupted." in error and "goes on" not in error


@pytest.mark.slow
def test_main_job_keeps_a_copy_and_says_where(capsys, tmp_path, monkeypatch):
    """A few hundred examples teach nothing, but the whole job runs: learn, measure, keep, show."""
    small = functools.partial(copying.copy_function, validation_count=64, epoch_batches=5)
    monkeypatch.setattr(copying, "copy_function", small)
    monkeypatch.setattr("urlseq.sources.registry_urls", lambda: ["http://a.b/c", "https://example.org/" + "x" * 30])
    code, out, _ = run(capsys, "--examples", 640, "--max-bytes", 24, "--folder", tmp_path / "copy")
    assert code == 0
    assert re.search(r"of [23]\d\d exact", out) and "of 1;" in out and f"The copy is in {tmp_path / 'copy'}" in out
    names = sorted(path.name for path in (tmp_path / "copy").iterdir())
    assert len(names) == 2 and names[0] == "copy.json" and names[1].startswith("weights-")
    assert json.loads((tmp_path / "copy" / "copy.json").read_text())["function"] == "urllib.parse.urlparse"


def test_copy_knows_the_gallerys_inputs_and_inverses(capsys, monkeypatch, tmp_path):
    asked = []

    def remember(**words):
        asked.append(words)
        return untrained_copy(held_out={})

    monkeypatch.setattr("urlseq.copying.copy_function", remember)
    run(capsys, "copy", "urlseq.gallery.my_date_format", "--inverse", "--folder", tmp_path)
    run(capsys, "copy", "html.escape", "--max-bytes", 20, "--folder", tmp_path)
    run(capsys, "copy", "str.upper", "--folder", tmp_path)
    run(capsys, "copy", "html.escape", "--inverse", "--folder", tmp_path)
    inverse, copy, other, unescape = asked
    assert inverse["inverse"] is my_date_format and "function" not in inverse
    assert inverse["inputs"] is GALLERY["dates_in_hex"].inputs and inverse["max_bytes"] == 40
    assert copy["function"] is html.escape and copy["max_bytes"] == 20
    assert copy["inputs"] is GALLERY["html_escape"].inputs
    assert copy["batch_size"] == 32 and copy["learning_rate"] == GALLERY["html_escape"].learning_rate
    assert other["inputs"] is None and other["max_bytes"] == 128
    assert unescape["inputs"] is None and unescape["max_bytes"] == 128  # the entry's limit is for what is escaped


def test_the_progress_of_copy_is_no_result(capsys, monkeypatch, tmp_path):
    def progress(**_):
        print("an epoch")
        return untrained_copy(held_out={})

    monkeypatch.setattr("urlseq.copying.copy_function", progress)
    _, out, error = run(capsys, "copy", "html.escape", "--folder", tmp_path)
    assert json.loads(out)["folder"] == str(tmp_path) and "an epoch" in error


def test_a_copy_in_the_folder_where_one_is_has_that_folders_name(capsys, monkeypatch, tmp_path):
    untrained_copy().save(tmp_path / "mine")
    written = []
    monkeypatch.setattr("urlseq.serving.add_version", lambda copy, folder, *_, **__: written.append(folder) or folder)
    monkeypatch.chdir(tmp_path / "mine")
    run(capsys, "serve", ".", "--folder", tmp_path / "out")
    (tmp_path / "newest").symlink_to("mine")
    run(capsys, "serve", "../newest", "--folder", tmp_path / "out")
    assert written == [tmp_path / "out" / "mine", tmp_path / "out" / "newest"]


def test_a_function_with_an_unknown_name_is_told_how_to_bring_it(capsys, tmp_path):
    untrained_copy(function="inverse of my.own").save(tmp_path / "copy")
    (tmp_path / "texts.txt").write_text("a\n")
    code, _, error = run(capsys, "evaluate", tmp_path / "copy", tmp_path / "texts.txt")
    assert code == 1 and "say --function my.own." in error


def test_call_prints_the_certificate_of_an_inverse(capsys, tmp_path):
    untrained_copy(function="inverse of urlseq.gallery.my_date_format").save(tmp_path / "dates")
    code, out, _ = run(capsys, "call", tmp_path / "dates", "1 May")
    assert code == 0
    record = json.loads(out)
    assert (record["input"], record["value"], record["certified"]) == ("1 May", None, False)


def test_importing_the_package_loads_no_framework():
    code = "import sys, urlseq; print([m for m in ('tensorflow', 'keras', 'pyspark', 'pandas') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
