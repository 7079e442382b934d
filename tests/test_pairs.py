"""Pairs without a function, and little data: what is read, what is left out, what is held out, what the copy says."""

import gzip
import json
import random
import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from conftest import tiny_architecture, words_of

from urlseq import Task, copy_function, find_counterexample, learn, load
from urlseq.__main__ import main
from urlseq.answering import NONE_TRUSTED
from urlseq.errors import BadSource, InvalidSetting, MissingColumns, MissingSource, NoFunction, UnfitFunction, WrongType
from urlseq.evaluation import SURE, threshold_for
from urlseq.learn import curve_in_words
from urlseq.pairs import LONGEST_INPUT, pairs_of
from urlseq.sampling import HELD_OUT_OF_FEW, LabelledInput, ListSampler, is_held_out
from urlseq.sources import draw, read_inputs, sampler_of

PAIRS = [("Smith, John", "John Smith"), ('the "big" one', "a\nb"), ("é", ""), ("007", "7")]
WORDS = list(dict.fromkeys(words_of(200)))
# Two epochs of five batches: nothing is learned, but everything is done.
BRIEF = {"architecture": tiny_architecture(), "attempts": 0, "examples": 80, "batch_size": 8, "epoch_batches": 5,
         "verbose": False}  # fmt: skip


def known(pairs) -> list[tuple[str, object]]:
    return [(str(text), json.loads(text.answer)) for text in pairs.sampler.inputs]


# ---------------------------------------------------------------- where pairs come from

CSV = '{mark}input{d}output{end}"Smith, John"{d}John Smith{end}"the ""big"" one"{d}"a\nb"{end}é{d}{end}007{d}7{end}'


@pytest.mark.parametrize(("name", "mark", "delimiter", "end"), [
    ("pairs.csv", "", ",", "\n"), ("pairs.csv", "\ufeff", ",", "\r\n"), ("pairs.CSV", "", ";", "\n"),
    ("pairs.tsv", "", "\t", "\r\n"), ("pairs.csv.gz", "\ufeff", ";", "\r\n"),
])  # fmt: skip
def test_a_csv_is_read_as_one(tmp_path, name, mark, delimiter, end):
    data = CSV.format(mark=mark, d=delimiter, end=end).encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    assert known(pairs_of(tmp_path / name)) == PAIRS


VALUES = [("a", 1), ("b", None), ("c", {"d": [True]}), ("d", "2020-01-01"), ("e", {"f": 0.5})]


def test_jsonl_keeps_its_values(tmp_path):
    lines = [json.dumps({"output": output, "input": text}) for text, output in VALUES]
    (tmp_path / "pairs.jsonl").write_text("\ufeff" + "\r\n".join(lines) + "\r\n\r\n")
    with pytest.warns(UserWarning, match="comes from Windows"):
        assert known(pairs_of(tmp_path / "pairs.jsonl")) == VALUES


def test_parquet_is_read_from_a_file_and_from_a_folder(tmp_path):
    table = pa.table(
        {"other": range(4), "output": [output for _, output in PAIRS], "input": [text for text, _ in PAIRS]}
    )
    (tmp_path / "folder").mkdir()
    for name, part in {"one.PARQ": table, "folder/a.parquet": table[:1], "folder/b.parquet": table[1:]}.items():
        pa.parquet.write_table(part, tmp_path / name)
    for name in ("one.PARQ", "folder"):
        assert known(pairs_of(str(tmp_path / name))) == PAIRS


@pytest.mark.parametrize("kind", [list, dict, iter, pa.table, pd.DataFrame])
def test_pairs_may_be_objects(kind):
    columns = kind in (pa.table, pd.DataFrame)
    source = {"input": [text for text, _ in PAIRS], "output": [output for _, output in PAIRS]} if columns else PAIRS
    assert known(pairs_of(kind(source))) == PAIRS


@pytest.mark.parametrize("kind", [pa.table, pd.DataFrame])
def test_columns_in_another_case_are_found(kind):
    assert known(pairs_of(kind({"OUTPUT": ["A"], "Input": ["a"]}))) == [("a", "A")]
    assert known(pairs_of(kind({"E164": ["1"], "Name": ["x"], "n": [2]}), columns=("name", "e164"))) == [("x", "1")]


def test_columns_may_be_numbers():
    with pytest.warns(UserWarning, match="no columns input and output, but 0, 1. These are taken"):
        assert known(pairs_of(pd.DataFrame(PAIRS))) == PAIRS
    assert known(pairs_of(pd.DataFrame(PAIRS), columns=(1, 0))) == [(output, text) for text, output in PAIRS]


def test_numbers_of_a_frame_are_numbers():
    assert known(pairs_of(pd.DataFrame({"input": ["a", "b"], "output": [1, 2]}))) == [("a", 1), ("b", 2)]


def test_columns_are_found_named_or_asked_for(tmp_path):
    table = pa.table({"n": [1], "e164": ["+1"], "name": ["x"]})
    assert known(pairs_of(table, columns=("name", "e164"))) == [("x", "+1")]
    with pytest.raises(MissingColumns, match="no columns input and output, but n, e164, name. Say which .*columns="):
        pairs_of(table)
    with pytest.raises(MissingColumns, match="no columns name and phone, but n, e164, name"):
        pairs_of(table, columns=("name", "phone"))
    with pytest.raises(InvalidSetting, match="columns are two"):
        pairs_of(table, columns="name")
    with pytest.warns(UserWarning, match="but name, e164. These are taken for inputs and outputs"):
        assert pairs_of(table.select(["name", "e164"])).counts["columns"] == ["name", "e164"]


def test_a_csv_without_a_header_is_told_what_is_taken_for_it(tmp_path):
    (tmp_path / "bare.csv").write_text("a,A\nb,B\nc,C\n")
    with pytest.warns(UserWarning, match="but a, A. These are taken for.* put `input,output` before it"):
        assert known(pairs_of(tmp_path / "bare.csv")) == [("b", "B"), ("c", "C")]


@pytest.mark.parametrize(("name", "data", "error", "message"), [
    ("a.csv", b"input,output\ncaf\xe9,1\n", BadSource, "can't be read as csv: .*UTF8"),
    ("a.csv", b"input,output\na,b,c\n", BadSource, "can't be read as csv: .*Expected 2 columns"),
    ("a.csv", b"", BadSource, "can't be read as csv: Empty CSV file"),
    ("a.csv", b"input,output\n", BadSource, "None of the 0 pairs of a.csv can be learned"),
    ("a.csv.gz", b"no gzip", BadSource, "can't be read as csv"),
    ("a.jsonl", b'{"input": "a"\n', BadSource, "can't be read as jsonl"),
    ("a.jsonl", b'["a", "b"]\n', BadSource, "can't be read as jsonl: each line has to be an object"),
    ("a.jsonl", b'{"input": "a"}\n5\n', BadSource, "can't be read as jsonl: each line has to be an object"),
    ("a.xlsx", b"PK", BadSource, "no table. Save it as .csv"),
    ("b.csv", None, MissingSource, "There is no file .*b.csv"),
])  # fmt: skip
def test_a_file_that_can_not_be_read_is_named(tmp_path, name, data, error, message):
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(error, match=message):
        pairs_of(tmp_path / name)


@pytest.mark.parametrize("source", [["ab", "cd"], [("a", "b", "c")], [1], 5])
def test_what_is_no_pair_is_named(source):
    with pytest.raises(WrongType, match="needed"):
        pairs_of(source)


# ---------------------------------------------------------------- which pairs are learned


def test_what_can_not_be_learned_is_counted_and_said():
    bad = [("a\0b", "x"), (None, "x"), (5, "x"), ("x" * 21, "x"), ("nan", float("nan"))]
    with pytest.warns(UserWarning, match=r"5 of 9 pairs are left out, such as 'a\\x00b' with 'x': it holds a NUL"):
        pairs = pairs_of(PAIRS + bad, max_input_bytes=20)
    assert known(pairs) == PAIRS and pairs.counts["left_out"] == 5
    with pytest.raises(BadSource, match="None of the 1 pairs can be learned, such as 5 with 'x': .*text"):
        pairs_of([(5, "x")])


def test_the_longest_input_is_the_limit():
    assert Task(pairs=PAIRS).max_input_bytes == len(PAIRS[1][0])
    assert Task(pairs=PAIRS, max_input_bytes=50).max_input_bytes == 50
    with pytest.warns(UserWarning, match="1 of 5 pairs are left out"):
        assert Task(pairs=[*PAIRS, ("x" * (LONGEST_INPUT + 1), "y")]).max_input_bytes == len(PAIRS[1][0])


def test_each_input_is_there_once_with_its_most_frequent_output():
    many = [(word, word.upper()) for word in WORDS[:40]]
    first, second = WORDS[0], WORDS[1]
    with pytest.warns(UserWarning, match=f"2 of 40 inputs have several outputs, such as '{first}': "
                                         f'"x" [(]2 x[)], "{first.upper()}" [(]1 x[)]. The most'):  # fmt: skip
        pairs = pairs_of([*many, (first, "x"), (first, "x"), (second, "y"), *many[2:]])
    assert known(pairs) == [(first, "x"), *many[1:]]
    assert pairs.counts == {"count": 40, "columns": [], "left_out": 0, "conflicts": 2}


def test_too_many_conflicts_are_refused_with_an_example():
    with pytest.raises(UnfitFunction, match='1 of 4 inputs have several outputs, such as .007.: "7" .*"8"'):
        pairs_of([*PAIRS, ("007", "8")])


def test_a_task_of_pairs():
    task = Task(pairs=PAIRS)
    assert task.name == "pairs" and task.target is None and task.record()["pairs"]["count"] == 4
    assert task.expected(["007", "é"]) == ['"7"', '""']
    with pytest.raises(NoFunction, match="'other' is not among the pairs"):
        task.expected(["other"])
    for others in ({"function": str.upper}, {"inverse": str.upper}, {"inputs": ["a"]}):
        with pytest.raises(InvalidSetting, match="one of them|bring their inputs"):
            Task(pairs=PAIRS, **others)


# ---------------------------------------------------------------- a copy of pairs


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    (folder / "words.csv").write_text("word,shout\n" + "".join(f"{word},{word.upper()}\n" for word in WORDS))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        copy_function(pairs=folder / "words.csv", folder=folder / "copy", **BRIEF)
    return folder


def test_a_copy_of_pairs_says_that_there_is_no_function(folder):
    copied = load(folder / "copy")
    assert copied.name == "pairs of words.csv" and copied.function is None and "words.csv" in repr(copied)
    assert copied.card["task"]["pairs"] == {
        "count": len(WORDS),
        "columns": ["word", "shout"],
        "left_out": 0,
        "conflicts": 0,
    }
    assert copied.card["held_out_counts"]["count"] == len(WORDS) // 4
    assert isinstance(copied("abc"), object) and copied.predict("abc").trusted is False
    for ask in (lambda: copied.evaluate(["abc"]), lambda: copied("abc", fallback=True),
                lambda: find_counterexample(copied, WORDS)):  # fmt: skip
        with pytest.raises(NoFunction, match="learned from pairs of words.csv: there is no function to ask"):
            ask()


def test_a_copy_is_evaluated_on_other_pairs(folder, capsys):
    copied = load(folder / "copy")
    others = [("abc", "ABC"), ("bc", "BC"), ("far too long", "X")]
    with pytest.warns(UserWarning, match="1 of 3 pairs are left out"):
        evaluation = copied.evaluate(pairs=others)
    assert evaluation.inputs == ["abc", "bc"] and evaluation.expected == ['"ABC"', '"BC"']
    (folder / "others.csv").write_text("id,shout,word\n1,ABC,abc\n2,BC,bc\n3,X,far too long\n")
    assert main(["evaluate", str(folder / "copy"), str(folder / "others.csv"), "--columns", "word,shout"]) == 0
    shown = capsys.readouterr()
    assert "of 2; 95 %" in shown.out and shown.err.startswith("urlseq: 1 of 3 pairs of others.csv are left out")


def test_the_command_learns_from_pairs(folder, monkeypatch, capsys):
    tasks = []

    def remember(task, **settings):
        tasks.append((task, settings["folder"]))
        return load(folder / "copy")

    monkeypatch.setattr("urlseq.learn.copy_function", remember)
    assert main(["copy", "--pairs", str(folder / "words.csv"), "--columns", "word,shout"]) == 0
    assert main(["copy", "str.upper", "--inputs", str(folder / "words.csv"), "--column", "word"]) == 0
    (task, where), (of_column, _) = tasks
    assert of_column.column == "word" and set(of_column.sampler.inputs) == set(WORDS)
    assert task.name == "pairs of words.csv" and str(where) == "runs/words" and task.max_input_bytes == 4
    assert json.loads(capsys.readouterr().out.splitlines()[0])["function"] == "pairs of words.csv"
    assert main(["copy"]) == main(["copy", "hex", "--pairs", str(folder / "words.csv")]) == 1
    assert capsys.readouterr().err.count("one of them") == 2


# ---------------------------------------------------------------- cross-validation


@pytest.mark.parametrize("given", [
    {"pairs": [(word, word.upper()) for word in WORDS[:30]]}, {"function": str.upper, "inputs": WORDS[:30]},
])  # fmt: skip
def test_cross_validation_answers_each_input_by_a_copy_that_never_saw_it(monkeypatch, given):
    folds = []

    def watched(task, *arguments, **settings):
        copied = copy_function(task, *arguments, **settings)
        seen = {text for text in task.sampler.inputs if not task.sampler.is_held_out(text)}
        monkeypatch.setattr(copied, "evaluate", lambda inputs: (
            folds.append((seen, set(inputs))), type(copied).evaluate(copied, inputs))[1])  # fmt: skip
        return copied

    monkeypatch.setattr(learn, "copy_function", watched)
    settings = {name: value for name, value in BRIEF.items() if name != "attempts"}
    found = learn.cross_validate(folds=3, **given, **settings)
    assert sorted(found.inputs) == sorted(WORDS[:30]) and found.counts["count"] == len(found.trusted) == 30
    assert found.expected == [json.dumps(text.upper(), ensure_ascii=False) for text in found.inputs]
    assert [len(asked) for _, asked in folds] == [10, 10, 10]
    assert all(not seen & asked and len(seen | asked) == 30 for seen, asked in folds)


def test_cross_validation_needs_a_list_and_folds():
    with pytest.raises(InvalidSetting, match="for a function with a list of inputs, or for pairs"):
        learn.cross_validate(str.upper, lambda rng: "a")
    with pytest.raises(InvalidSetting, match="for a function with a list of inputs, or for pairs"):
        learn.cross_validate(inverse=str.upper, inputs=WORDS[:30])
    for folds in (1, 31):
        with pytest.raises(InvalidSetting, match=f"30 inputs can't be dealt to {folds} folds"):
            learn.cross_validate(str.upper, WORDS[:30], folds=folds)


# ---------------------------------------------------------------- would more pairs help?


def test_the_learning_curve_is_measured_on_the_same_held_out_pairs(monkeypatch, capsys, tmp_path):
    parts = []

    class Copy:
        card = {"held_out_counts": {"exact": 3, "count": 50}, "ended_by": "minutes"}

    def remember(task, training, **_):
        parts.append((task, training))
        return Copy

    monkeypatch.setattr(learn, "copy_function", remember)
    task = Task(pairs=[(word, word.upper()) for word in WORDS])
    sampler = task.pairs.sampler
    copied = load("urlparse")
    copied.card |= {"held_out_counts": {"exact": 20, "count": 50}, "history": [{"seconds": 80}]}
    learn.add_learning_curve(copied, task, learn.Training(minutes=2, examples=1000))
    pairs = len(WORDS) - len(sampler.held_out)
    assert copied.card["learning_curve"] == [[pairs // 4, 3, 50], [pairs // 2, 3, 50], [pairs, 20, 50]]
    assert "in 1:00 more" in (shown := capsys.readouterr().out) and "So more pairs would help" in shown
    (quarter, less), (half, more) = parts
    assert (less.minutes, less.examples, more.minutes, more.examples) == (0.5, 250, 1, 500)
    assert not less.learning_curve and less.folder is None
    for part, count in ((quarter, pairs // 4), (half, pairs // 2)):
        trained = {text for text in part.sampler.inputs if not part.sampler.is_held_out(text)}
        assert part.sampler.held_out == sampler.held_out and len(trained) == count
        assert not trained & set(sampler.held_out)


@pytest.mark.parametrize("counts", [{"exact": 0, "count": 50}, {"exact": 50, "count": 50}])
def test_there_is_no_curve_where_it_would_tell_nothing(monkeypatch, counts):
    monkeypatch.setattr(learn, "copy_function", lambda *_, **__: pytest.fail("it learns again"))
    copied = load("urlparse")
    copied.card |= {"held_out_counts": counts}
    learn.add_learning_curve(copied, Task(pairs=[(word, word.upper()) for word in WORDS]), learn.Training())


@pytest.mark.parametrize(("curve", "meaning"), [
    ([[75, 5, 64], [150, 20, 64], [300, 50, 64]], "7.81% from 75, 31.25% from 150, 78.12% from 300. So more pairs"),
    ([[75, 58, 64], [150, 60, 64], [300, 61, 64]], "more pairs would hardly help"),
    ([[75, 0, 64], [150, 1, 64], [300, 2, 64]], "So more minutes may help, or more pairs"),
])  # fmt: skip
def test_the_curve_in_words(curve, meaning):
    assert meaning in curve_in_words(curve)


# ---------------------------------------------------------------- files of inputs


def test_inputs_of_tables_are_a_column(tmp_path):
    (tmp_path / "a.csv").write_text('text,n\n"Smith, John",1\n"a ""b""",2\n')
    (tmp_path / "b.jsonl").write_text('{"url": "x", "n": 1}\n{"url": null}\n')
    pa.parquet.write_table(pa.table({"text": ["x", "y"]}), tmp_path / "c.parquet.gzip")
    assert read_inputs(tmp_path / "a.csv", "text") == ["Smith, John", 'a "b"']
    assert read_inputs(tmp_path / "b.jsonl") == ["x"] and read_inputs(tmp_path / "c.parquet.gzip") == ["x", "y"]
    assert Task(str.upper, tmp_path / "a.csv", column="n").sampler.inputs == ["1", "2"]
    (tmp_path / "d.csv").write_text("n,URL\n1,x\n")
    pa.parquet.write_table(pa.table({"n": [1], "URL": ["x"]}), tmp_path / "d.parquet")
    assert read_inputs(tmp_path / "d.csv") == read_inputs(tmp_path / "d.parquet") == ["x"]
    assert Task(str.upper, tmp_path / "d.parquet").sampler.inputs == ["x"]
    with pytest.raises(MissingColumns, match="no column url; it has text, n. Name one: column="):
        read_inputs(tmp_path / "a.csv")


def test_a_file_and_a_folder_bring_their_answers_along(tmp_path):
    pa.parquet.write_table(pa.table({"text": ["x", "y"], "answer": ['"X"', '"Y"']}), tmp_path / "a.parquet")
    for path in (tmp_path / "a.parquet", tmp_path):
        sampler, rng = sampler_of(path, "text"), random.Random(0)
        assert {(text, text.answer) for text in (sampler(rng) for _ in range(20))} == {("x", '"X"'), ("y", '"Y"')}
        with pytest.raises(MissingColumns, match="no column url; it has text, answer"):
            sampler_of(path)


@pytest.mark.parametrize(("data", "lines", "found"), [
    (b"\xef\xbb\xbfhttp://a/x\r\nhttp://b/\r\n\r\n", ["http://a/x", "http://b/", ""], "the mark at its"),
    (b"\xef\xbb\xbfa\r\nb\n", ["a\r", "b"], "the mark at its"), (b"a\r\nb", ["a", "b"], "the CR at"),
])  # fmt: skip
def test_what_windows_adds_is_taken_off_with_a_warning(tmp_path, data, lines, found):
    (tmp_path / "a.txt").write_bytes(data)
    with pytest.warns(UserWarning, match=f"{found}.*give a list of lines"):
        assert read_inputs(tmp_path / "a.txt") == lines


# ---------------------------------------------------------------- little data


@pytest.mark.parametrize(("count", "held_out"), [(10, 2), (30, 7), (50, 12), (256, 64), (1000, 64), (2000, 125)])
def test_of_any_short_list_some_are_held_out_and_stay_so(count, held_out):
    inputs = [f"text {number}" for number in range(count)]
    sampler = sampler_of(inputs)
    found = draw(sampler, random.Random(0), 2000, True, 100)
    assert len(found) == held_out == len(set(found))
    random.Random(1).shuffle(inputs)
    assert set(found) == set(draw(sampler_of(inputs * 2), random.Random(5), 2000, True, 100))
    assert not set(found) & set(draw(sampler, random.Random(0), 500, False, 100))


def test_of_a_long_list_the_hash_decides():
    inputs = [f"text {number}" for number in range(3000)]
    held_out = draw(sampler_of(inputs), random.Random(0), 2000, True, 100)
    assert sorted(held_out) == sorted(filter(is_held_out, inputs))
    assert len(draw(sampler_of(inputs), random.Random(0), 50, True, 100)) == 50


def test_too_few_inputs_are_refused_in_one_line():
    for count in (1, 4, 9):
        with pytest.raises(
            InvalidSetting, match=f"^{count} different inputs are too few to learn from: give 10 at least"
        ):
            copy_function(str.upper, WORDS[:count] * 3, **BRIEF)


def test_an_inverse_of_a_list_holds_out_by_its_own_inputs():
    task = Task(inverse=str.upper, inputs=[f"text {number}" for number in range(3000)])
    assert all(map(is_held_out, task.examples("seed", 20, held_out=True).inputs))


def test_few_that_are_held_out_and_all_alike_are_no_steady_function():
    inputs = [f"text {number}" for number in range(12)]
    odd = next(text for text in inputs if text not in sampler_of(inputs).held_out)
    task = Task(pairs=[(text, text == odd) for text in inputs])
    task.check(task.examples("seed", 20, held_out=True))
    steady = Task(pairs=[(text, True) for text in inputs])
    with pytest.raises(UnfitFunction, match="pairs gives true for each"):
        steady.check(steady.examples("seed", 20, held_out=True))


@pytest.mark.parametrize(("count", "trusted"), [(3, False), (HELD_OUT_OF_FEW, False), (150, True)])
def test_what_few_can_not_promise_is_not_trusted(count, trusted):
    """Only some 150 answers, all right, promise that no more than one in fifty is wrong."""
    threshold, risk = threshold_for(np.full(count, SURE), np.ones(count, bool), 0.001)
    assert (threshold < NONE_TRUSTED) == trusted and (risk is None) != trusted
    assert not trusted or 0.019 < risk < 0.02


def test_fifty_inputs_are_learned_and_nothing_is_trusted(capsys):
    copied = copy_function(str.upper, WORDS[:50], **BRIEF | {"verbose": True})
    assert copied.card["held_out_counts"]["count"] == 12 and copied.card["threshold"] == NONE_TRUSTED
    assert "of 12 held-out inputs are too few" in capsys.readouterr().out


def test_little_data_has_settings_of_its_own_unless_others_are_given():
    pairs = [(word, word.upper()) for word in WORDS]
    for arguments, batch_size in [((None, None, None, None, {"pairs": pairs}), 16),
                                  ((None, None, None, None, {"pairs": pairs, "batch_size": 8}), 8),
                                  ((str.upper, [str(number) for number in range(5000)], None, None, {}), 32),
                                  ((str.upper, [str(number) for number in range(5001)], None, None, {}), 64),
                                  ((str.upper, WORDS, None, learn.Training(), {}), 64),
                                  ((str.upper, lambda rng: rng.choice(WORDS), None, None, {}), 64)]:  # fmt: skip
        assert learn.settled(*arguments)[1].batch_size == batch_size


def test_a_labelled_list_keeps_its_answers():
    sampler = ListSampler([LabelledInput("a", "1"), LabelledInput("b", "2")])
    assert sampler(random.Random(0)).answer in ("1", "2")
