"""The package as a whole: what importing it loads and shows, which way its imports go, its size, its words."""

import ast
import importlib
import inspect
import io
import json
import pkgutil
import re
import subprocess
import sys
import tokenize
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

import urlseq
from urlseq.errors import UrlseqError

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "urlseq"
FILES = sorted(PACKAGE.rglob("*.py"))

# A module imports only from those before it.
ORDER = """
    errors encoding sampling vectorize samplers.grammar samplers.url_grammar samplers.noise samplers.makers
    samplers.like samplers.strategies samplers tables sources functions pairs task gallery cards answering
    lite_model lite service model graph decoding
    evaluation learned inverse store checkpoint training report learn counterexamples plots
    export.saved_model export.litert export.browser export export.serving spark.session spark.labels spark
    spark.transformer
""".split()
# But while they run, from a later one:
LATE = {
    ("learned", "store"),  # copy.save, and copies of a copy
    ("learned", "report"),  # what a notebook shows of a copy
    ("learned", "plots"),  # copy.report
    ("lite", "export.litert"),  # the file of a copy that has none yet
}
CORE = """
    errors encoding sampling vectorize sources task cards answering model decoding training evaluation learned store
    learn
""".split()


def run(code: str) -> str:
    """What a new Python prints that runs `code` in the repository."""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def loaded(code: str, *names: str) -> list[str]:
    """Those of the modules `names` that a new Python has imported after it ran `code`."""
    return run(f"import sys\n{code}\nprint(*[name for name in {names} if name in sys.modules])").split()


def test_importing_loads_no_framework():
    frameworks = ("keras", "tensorflow", "pyspark", "pandas", "pyarrow", "numpy", "matplotlib", "hypothesis")
    assert loaded("import urlseq; dir(urlseq); urlseq.UrlseqError", *frameworks) == []


@pytest.mark.slow
def test_answering_loads_no_training():
    code = "import urlseq; assert urlseq.load('urlparse')('https://a.example/b')[1] == 'a.example'"
    late = ("training", "checkpoint", "learn", "report", "tables", "plots", "spark", "export")
    assert loaded(code, *(f"urlseq.{name}" for name in late), "pyspark", "hypothesis") == []


def test_public_names_are_shown_and_there():
    assert {"copy_function", "load", "LearnedCopy", "Task", "Training", "Architecture", "UrlseqError",
            "find_counterexample", "urls", "__version__"} <= set(dir(urlseq))  # fmt: skip
    assert all(getattr(urlseq, name).__name__ == name for name in urlseq.__all__)
    assert urlseq.copy_function is importlib.import_module("urlseq.learn").copy_function
    with pytest.raises(AttributeError, match="no attribute 'nothing_of_the_kind'"):
        _ = urlseq.nothing_of_the_kind


def test_version_is_the_distribution_s():
    try:
        assert version("urlseq") == urlseq.__version__
    except PackageNotFoundError:
        pytest.skip("urlseq is not installed, only on the path")


def test_shipped_copies_belong_to_the_package():
    cards = sorted(PACKAGE.glob("models/*/copy.json"))
    assert "urlparse" in [card.parent.name for card in cards]
    for card in cards:
        known = json.loads(card.read_text())
        files = ["copy.json", known["litert"][0], known["weights"]]
        assert sorted(path.name for path in card.parent.iterdir()) == sorted(files)


def test_every_error_is_a_urlseq_error():
    for module in pkgutil.walk_packages(urlseq.__path__, "urlseq."):
        if module.name.endswith("__main__"):
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            if inspect.isclass(value) and issubclass(value, BaseException) and value.__module__.startswith("urlseq"):
                assert issubclass(value, UrlseqError), name


def test_raises_no_bare_built_in_errors():
    bare = {"Exception", "ValueError", "TypeError", "KeyError", "LookupError", "IndexError", "RuntimeError", "OSError",
            "FileNotFoundError", "FileExistsError", "PermissionError", "ConnectionError", "ModuleNotFoundError",
            "ImportError"}  # fmt: skip
    found = []
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and isinstance(node.exc.func, ast.Name):
                found += [(path.name, node.exc.func.id)] if node.exc.func.id in bare else []
    assert found == [("cards.py", "OSError")]  # a full disk stays the OSError that it is


# ---------------------------------------------------------------- imports


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def imported(node: ast.AST) -> set[str]:
    """Those modules of the package that a statement imports, without `urlseq.`."""
    names: list[str] = []
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and node.module:
        names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return {name.removeprefix("urlseq.") for name in names} & set(ORDER)


def test_imports_go_one_way():
    modules = {module_name(path): ast.parse(path.read_text()) for path in FILES}
    assert set(modules) - {"__init__", "__main__", "spark.__main__"} == set(ORDER)
    late = set()
    for name in ORDER:
        earlier = set(ORDER[: ORDER.index(name)])
        first = {node for node in modules[name].body if isinstance(node, ast.Import | ast.ImportFrom)}
        for node in ast.walk(modules[name]):
            later = imported(node) - earlier - {name}
            assert node not in first or not later, f"{name} imports {later}"
            late |= {(name, other) for other in later}
    assert late <= LATE


def test_only_its_own_rooms_know_tensorflow_spark_and_pandas():
    knows = {"tensorflow": set(), "pyspark": set(), "pandas": set(), "matplotlib": set()}
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in {name.partition(".")[0] for name in names} & set(knows):
                knows[name].add(module_name(path).partition(".")[0])
    assert knows["tensorflow"] <= {"graph", "decoding", "inverse", "export"}
    assert knows["pyspark"] == {"spark"}
    assert knows["pandas"] <= {"spark"}
    assert knows["matplotlib"] == {"plots"}


# ---------------------------------------------------------------- size


def lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def docstring_lines(tree: ast.AST) -> set[int]:
    found: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            found.update(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return found


def code_lines(source: str) -> int:
    """The number of lines that hold code: more than blanks, comments and docstrings."""
    nothing = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    found: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in nothing:
            found.update(range(token.start[0], token.end[0] + 1))
    return len(found - docstring_lines(ast.parse(source)))


def test_code_lines_are_counted():
    source = '"""Two\nlines."""\n\n# why\nx = """a\nb"""  # here\n\n\ndef f():\n    """One."""\n    return (\n  1\n )\n'
    assert code_lines(source) == 2 + 1 + 3


@pytest.mark.parametrize(
    ("what", "count", "most"),
    [
        ("lines", sum(map(lines, FILES)), 6620),
        ("lines of code", sum(code_lines(path.read_text()) for path in FILES), 4550),
        ("lines of the core", sum(lines(PACKAGE / f"{name}.py") for name in CORE), 2380),
        ("lines of the longest module", max(map(lines, FILES)), 300),
    ],
)
def test_package_is_thin(what, count, most):
    assert count <= most, what


def test_functions_are_short_and_take_few_arguments():
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                start = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
                where = f"{node.name} in {path.relative_to(ROOT)}"
                assert node.end_lineno - start + 1 <= 40, where
                taken = node.args
                names = [each.arg for each in [*taken.posonlyargs, *taken.args, *taken.kwonlyargs]]
                names += [each.arg for each in (taken.vararg, taken.kwarg) if each]
                assert len([name for name in names if name not in ("self", "cls")]) <= 9, where


# ---------------------------------------------------------------- words

# Words that the project once had of its own, where the field has others; and what to use instead.
OWN_WORDS = {
    "wanted|got": "expected, predicted",
    "[Kk]eepers?": "checkpoint",
    "Attempts": "ShowPredictions",
    "(?<!page )blocked": "mask",
    "attended(?! (?:most )?to)": "attention weights",
    "turned|turning": "rotate; iteration",
    "patiently": "with_retries",
    "refusals?|doubts?": "invalid_reason, reason",
    "calibrated?": "set_threshold",
    "embedded table": "sample table",
    "stretch(?:es)?": "windows, spans",
    "(?:end|start) marks?": "EOS, BOS",
    "(?:the|by) road|the house": "data flow, architecture",
}
OLD_NAMES = {
    "max_bytes|maxBytes": "max_input_bytes, max_answer_bytes",
    "LabelledText": "LabelledInput",
    "BadText": "InvalidInput",
    "Asked(?! for)": "RecordPredictions",
    "read_texts": "read_inputs",
    "texts_for": "draw",
    "model_batch": "make_batch",
    "by_length": "batches_by_length",
    "clear_errors": "translate_errors",
    "embedded_table": "write_sample_table",
    "with_hard_inputs|hard_inputs": "gone: it did not help",
    "GreedyDecoder|GraphDecoder": "Decoder",
    "beside(?= ?[(=])|(?<=def )beside": "temporary_path",
    r"urlseq\.(?:copying|decode|evaluate|files|inputs|mining|sampler|search|server|serving|spark_ml)": "docs/design.md",
}


def texts_to_read() -> dict[str, str]:
    """All that is written by hand, by path; of a notebook, its cells alone."""
    patterns = ("urlseq/**/*.py", "benchmarks/*.py", "benchmarks/*.md", "tests/*.py", "docs/**/*.md", "*.md",
                "web/*.mjs", "web/src/*", "web/test/*.mjs", "*.sh", ".ci/*", ".github/**/*.yml")  # fmt: skip
    paths = {path for pattern in patterns for path in ROOT.glob(pattern)} - {Path(__file__)}
    found = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in paths}
    for path in ROOT.glob("notebooks/*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        found[str(path.relative_to(ROOT))] = "\n".join("".join(cell["source"]) for cell in cells)
    return found


def test_words_are_the_field_s():
    found = []
    patterns = [(rf"(?<![A-Za-z])(?:{words})(?![A-Za-z])", instead) for words, instead in OWN_WORDS.items()]
    patterns += [(rf"(?<!\w)(?:{names})(?!\w)", instead) for names, instead in OLD_NAMES.items()]
    for name, text in sorted(texts_to_read().items()):
        for pattern, instead in patterns:
            for match in re.finditer(pattern, text):
                found.append(f"{name}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]!r}, better: {instead}")
    assert not found, "\n".join(found)
