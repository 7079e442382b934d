"""The figures of README and docs are those of the results."""

import re

import pytest

from benchmarks import figures


@pytest.mark.parametrize("path", figures.files(), ids=lambda path: path.name)
def test_a_text_has_the_figures_of_the_results(path):
    text = path.read_text(encoding="utf-8")
    assert text == figures.written(text), f"{path.name} is not up to date: python -m benchmarks.figures"


def test_each_figure_is_used_and_each_name_is_known():
    used = [name for path in figures.files() for _, name, *_ in figures.BLOCK.findall(path.read_text(encoding="utf-8"))]
    assert set(used) == set(figures.FIGURES)
    begun = sum(len(re.findall("<!-- figures: ", path.read_text(encoding="utf-8"))) for path in figures.files())
    assert begun == len(used)  # each is closed


def test_a_wrong_figure_is_put_right_in_a_sentence_and_in_a_table():
    in_words = "of <!-- figures: six_lists -->1 of 2<!-- /figures --> URLs"
    assert figures.written(in_words) == f"of <!-- figures: six_lists -->{figures.six_lists()}<!-- /figures --> URLs"
    as_table = "<!-- figures: kinds -->\n\n| old |\n\n<!-- /figures -->"
    assert figures.written(as_table) == f"<!-- figures: kinds -->\n\n{figures.kinds()}\n\n<!-- /figures -->"
    assert figures.written(figures.written(as_table)) == figures.written(as_table)


def test_numbers_are_written_plainly():
    assert figures.plain("1.34e+03 (1.22e+03 to 1.42e+03)") == "1,340 (1,220 to 1,420)"
    assert figures.plain("1.15 (1.09 to 1.21)") == "1.15 (1.09 to 1.21)"
    assert figures.span([3, 1, 2000]) == "1 to 2,000" and figures.span([7]) == "7" and figures.span([]) == "–"


def test_the_examples_of_the_gallery_are_what_its_functions_give():
    assert figures.example_of("hex", "48879") == '`48879` → `"0xbeef"`'
    assert figures.example_of("dates_in_hex", "2024-02-29T12:30").endswith('→ `"2024-02-29T12:30"`')
    assert "|" not in figures.example_of("shlex_split", None) and "→" in figures.example_of("roman", None)
    assert set(figures.EXAMPLES) <= set(figures.GALLERY)
