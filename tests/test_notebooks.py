"""The notebooks: all of them run from top to bottom, and are as readers need them.

A notebook runs in a copy of the repository and in smoke mode, so nothing that is stored here is touched.
"""

import os
import re
import shutil
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

ROOT = Path(__file__).parent.parent
NAMES = sorted(path.stem for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"))
MACHINE_PATHS = re.compile(r"(?<![\w.:/])/(?:home|root|tmp|work|content|Users|usr|opt|mnt)/\w")


@pytest.fixture(params=NAMES)
def notebook(request):
    return nbformat.read(ROOT / "notebooks" / f"{request.param}.ipynb", as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def stored_text(notebook) -> str:
    """All that is stored as output and is text."""
    parts = []
    for cell in code_cells(notebook):
        for output in cell.outputs:
            parts.append(output.get("text", ""))
            parts.extend(data for kind, data in output.get("data", {}).items() if kind.startswith("text/"))
    return "\n".join(parts)


def complaints(notebook) -> list[str]:
    """What went to stderr, but for Java's own word at each start of Spark, which nothing can turn off."""
    texts = [output.text for cell in code_cells(notebook) for output in cell.outputs if output.get("name") == "stderr"]
    return [text for text in texts if text.strip() != "WARNING: Using incubator modules: jdk.incubator.vector"]


def skip_without_outputs(notebook):
    if not any(cell.outputs for cell in code_cells(notebook)):
        pytest.skip("this notebook's outputs are not stored yet")


@pytest.mark.slow
@pytest.mark.notebook
@pytest.mark.parametrize("name", NAMES)
def test_runs_from_top_to_bottom(name, tmp_path, monkeypatch):
    if "spark" in name and shutil.which("java") is None:
        pytest.skip("Spark needs Java")
    for folder in ("urlseq", "benchmarks"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    built = shutil.ignore_patterns("node_modules", "dist", "models")
    shutil.copytree(ROOT / "web", tmp_path / "web", ignore=built)
    for brought in (".cache", "web/node_modules"):  # Spark's jars, what the page is built with
        if (ROOT / brought).is_dir():
            (tmp_path / brought).symlink_to(ROOT / brought)
    (tmp_path / "notebooks").mkdir()
    monkeypatch.setenv("URLSEQ_SMOKE", "1")
    monkeypatch.delenv("PYTHONPATH", raising=False)  # the notebook has to find the copy by itself
    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell("import urlseq; print('imported:', urlseq.__file__)"))
    resources = {"metadata": {"path": str(tmp_path / "notebooks")}}
    # The limit is for one cell; a machine with other work to do may need many times what an idle one does.
    nbclient.NotebookClient(notebook, timeout=1800, kernel_name="python3", resources=resources).execute()
    assert "sizes: smoke" in stored_text(notebook)
    assert f"imported: {tmp_path}" in stored_text(notebook)  # the notebook's own folder, not the installed package
    assert not complaints(notebook)


def test_is_valid_and_opens_with_any_python3_kernel(notebook):
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"


@pytest.mark.parametrize("name", NAMES)
def test_first_cell_opens_this_very_notebook_in_colab(name):
    first = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4).cells[0]
    assert first.cell_type == "markdown"
    assert f"colab.research.google.com/github/urlseq/urlseq/blob/main/notebooks/{name}.ipynb" in first.source


def test_cells_are_short(notebook):
    lengths = sorted(cell.source.count("\n") + 1 for cell in code_cells(notebook))
    assert lengths[len(lengths) // 2] <= 6
    assert lengths[int(len(lengths) * 0.9)] <= 21
    assert lengths[-1] <= 40


def test_prose_keeps_up_with_code(notebook):
    share = sum(cell.cell_type == "markdown" for cell in notebook.cells) / len(code_cells(notebook))
    assert 0.9 <= share <= 1.6


def test_names_no_place_on_a_machine(notebook):
    for text in [*(cell.source for cell in notebook.cells), stored_text(notebook)]:
        assert not MACHINE_PATHS.search(text), MACHINE_PATHS.search(text)
    assert os.path.expanduser("~") not in stored_text(notebook)


def test_holds_no_widgets(notebook):
    assert "widgets" not in notebook.metadata
    kinds = {kind for cell in code_cells(notebook) for output in cell.outputs for kind in output.get("data", {})}
    assert not [kind for kind in kinds if "widget" in kind]


def test_outputs_are_of_one_full_run_in_order(notebook):
    skip_without_outputs(notebook)
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert "sizes: full" in stored_text(notebook)
    assert "sizes: smoke" not in stored_text(notebook)


def test_outputs_hold_no_errors_or_warnings(notebook):
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert not complaints(notebook)


def test_stored_plots_are_png(notebook):
    skip_without_outputs(notebook)
    kinds = [set(output.get("data", {})) for cell in code_cells(notebook) for output in cell.outputs]
    assert any("image/png" in kind for kind in kinds)
    assert not any("image/svg+xml" in kind or "application/javascript" in kind for kind in kinds)


def test_nothing_is_left_to_fill_in(notebook):
    skip_without_outputs(notebook)
    for cell in notebook.cells:
        assert not re.search(r"\b(?:TIME_CPU|ABLATION_TEXT|TODO)\b", cell.source), cell.source[:80]
