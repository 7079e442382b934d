"""Links between README, docs and notebooks lead somewhere; and the site builds without a warning."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import urlseq

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "benchmarks" / "README.md",
                *ROOT.glob("notebooks/**/*.ipynb")])  # fmt: skip
LINK = re.compile(r"""\]\(<?([^\s)>]+)>?\)|(?:href|src)="([^"]+)\"""")
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)


def prose(path: Path) -> str:
    """The text of a page without its code; of a notebook, its cells of text."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        text = "\n\n".join(
            "".join(cell["source"]) for cell in json.loads(text)["cells"] if cell["cell_type"] == "markdown"
        )
    return CODE.sub("", text)


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = path.read_text(encoding="utf-8")
    headings = re.findall(r"^#+ +(.+?) *$", re.sub("```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    broken = []
    for link in ("".join(found) for found in LINK.findall(prose(path))):
        if re.match(r"[a-z]+:", link):
            continue  # to the network
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        if not target.exists() or not target.is_relative_to(ROOT):
            broken.append(link)
        elif anchor and target.suffix == ".md" and anchor not in anchors(target):
            broken.append(link)
    assert not broken, f"{path.relative_to(ROOT)}: {broken}"


def test_links_to_the_repository_lead_somewhere():
    """Absolute links to the project's own files, such as those of the Colab badges."""
    own = re.compile(r"github(?:\.com)?/urlseq/urlseq/(?:blob|tree|edit)/main/([^\s)\"#]+)")
    for path in PAGES:
        for name in own.findall(prose(path)):
            assert (ROOT / name).exists(), f"{path.relative_to(ROOT)}: {name}"


def test_readme_is_short():
    words = (ROOT / "README.md").read_text(encoding="utf-8").split()
    assert 900 <= len(words) <= 1200


def test_the_citation_is_of_this_version():
    assert f"\nversion: {urlseq.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_each_page_is_in_the_site_s_navigation():
    named = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[2]
    for path in [*ROOT.glob("docs/*.md"), *ROOT.glob("notebooks/[0-9]*.ipynb")]:
        assert path.name in named, path.name


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path):
    needed = ["mkdocs", "material", "mkdocstrings_handlers", "mkdocs_jupyter"]
    if missing := [name for name in needed if not importlib.util.find_spec(name)]:
        pytest.skip(f"not installed: {', '.join(missing)} (pip install -e '.[docs]')")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("index.html", "api/index.html", "notebooks/03_seq2seq_attention/index.html"):
        assert (tmp_path / name).exists(), name
    reference = (tmp_path / "api/index.html").read_text(encoding="utf-8")
    assert "copy_function" in reference and "Learns to copy" in reference
    assert '"../02_data_wrangling/"' in (tmp_path / "notebooks/03_seq2seq_attention/index.html").read_text(
        encoding="utf-8"
    )
