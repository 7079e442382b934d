"""Writes the figures of README and docs from what `benchmarks/results` and the shipped copies' cards hold.

A figure stands between `<!-- figures: NAME -->` and `<!-- /figures -->`, a table or some words in a sentence; NAME is
a function of this file. `python -m benchmarks.figures` writes them all anew; `--check` says which are not up to date.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from benchmarks.common import RESULTS, table
from urlseq.cards import SHIPPED as MODELS
from urlseq.cards import read_card
from urlseq.functions import answer
from urlseq.gallery import GALLERY

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"(<!-- figures: (\w+) -->)(.*?)(<!-- /figures -->)", re.DOTALL)
FIGURES: dict[str, Callable[[], str]] = {}

LISTS = {
    "urls_downloads": "software downloads",
    "urls_scholarly": "articles and catalogues",
    "urls_news_links": "links on a news site",
    "urls_sitemaps": "government sites",
    "urls_legislators": "legislators' pages",
    "urls_media_pages": "video and audio pages",
    "the six lists": "**all six lists**",
    "urls_long": "long URLs of a crawl, 257 to 1,024 bytes",
    "bioregistry": "bioregistry",
}
HARD = {
    "edge_web_platform": "edge cases of the web platform's tests",
    "edge_cpython": "edge cases of CPython's tests",
    "edge_curl": "edge cases of curl's tests",
    "beginnings": "half-typed URLs: the beginnings of 150 real ones",
    "tiny": "tiny URLs, such as `//b/d?f=g#h`",
    "ipv6": "IPv6 hosts, a third of them invalid",
}
# Inputs that show what a function of the gallery does, where its sampler's are no good to look at.
EXAMPLES = {
    "date_parts": "2024-02-29T12:30",
    "dates_in_hex": "2024-02-29T12:30",  # an inverse: this is its answer
    "roman": "1994",
    "total": "[999,24]",
    "hex_of_text": "naïve",
    "splitext": "notes/plan.v2.txt",
    "html_escape": "a < b & c",
    "quote": "crème brûlée",
    "title": "an ordinary day",
    "shlex_split": "cp 'my file' b\\ c",
    "full_address": "2001:db8::7",
    "hex": "48879",
    "parseaddr": "Ada Lovelace <ada@example.org>",
    "parse_qs": "q=a+b&q=c",
    "checksum": "48879",
}


def figure(function: Callable[[], str]) -> Callable[[], str]:
    FIGURES[function.__name__] = function
    return function


def kept(name: str) -> dict:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def result(name: str):
    return kept(name)["result"]


def source(name: str) -> str:
    """Which script measured a table, on what, and when."""
    machine = kept(name)["machine"]
    date = re.search(r"\d{4}-\d\d-\d\d", machine)
    assert date, machine
    script = name.removesuffix("_main_job")
    return f"\n\n(`benchmarks.{script}`, {machine[: date.end()]})"


def of(counts: dict) -> str:
    return f"{counts['exact']:,} of {counts['count']:,}"


def share(counts: dict) -> str:
    return f"{counts['exact'] / counts['count']:.2%} ({of(counts)})"


def trust(counts: dict) -> str:
    return f"{counts['trusted']:,}, {counts['trusted_wrong'] or 'none'} wrong" if counts["trusted"] else "none"


def total(several: Iterable[dict]) -> dict:
    several = list(several)
    return {key: sum(each[key] for each in several) for key in ("count", "exact", "trusted", "trusted_wrong")}


def number(text: str) -> str:
    """A number such as `1.34e+03` as one writes it."""
    value = float(text)
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def plain(text: str) -> str:
    return re.sub(r"\d[\d.]*(?:e[+-]\d+)?", lambda match: number(match[0]), text.replace(",", ""))


# ---------------------------------------------------------------- urlparse

SHIPPED, MAIN_JOB = "accuracy", "accuracy_main_job"


def measured(name: str, most: int) -> dict[str, dict]:
    """Counts by list, of inputs to so many bytes."""
    return {row["list"]: row for row in result(name) if row["bytes at most"] == most}


def edges(name: str, most: int = 128) -> dict:
    return total(counts for kind, counts in measured(name, most).items() if kind.startswith("edge_"))


@figure
def readme() -> str:
    main, shipped = measured(MAIN_JOB, 128), measured(SHIPPED, 1024)
    rows = [[label, of(main[key]) if key in main else "", of(shipped[key])]
            for key, label in (("the six lists", "six lists of real URLs"), ("bioregistry", "addresses in bioregistry"),
                               ("urls_long", "long URLs, 257 to 1,024 bytes"))]  # fmt: skip
    rows += [["edge cases of three test suites", of(edges(MAIN_JOB)), of(edges(SHIPPED, 1024))]]
    rows += [["*trusted answers to the six lists*", *(trust(each["the six lists"]) for each in (main, shipped))]]
    head = ["exact match", "ten minutes of training, URLs up to 128 bytes", "the shipped copy, URLs up to 1,024 bytes"]
    return table(head, rows)


@figure
def six_lists() -> str:
    return of(measured(SHIPPED, 1024)["the six lists"])


@figure
def ipv6_share() -> str:
    counts = measured(SHIPPED, 128)["ipv6"]
    return f"{counts['exact'] / counts['count']:.0%}"


@figure
def itself() -> str:
    """How many times as fast as the best way to ask the copy `urlparse` itself is."""
    rates = {row["name"]: float(row["urls_per_second"].split()[0]) for row in result("decoding")["rates"]}
    real = rates.pop("`urlparse` itself")
    return f"{number(str(real / max(rates.values())))} times"


@figure
def lite_answer() -> str:
    return f"{result('decoding')['one answer, ms']['LiteRT'][0]:.1f} ms"


@figure
def weights() -> str:
    return f"{result('shipped')['urlparse']['weights']:,}"


@figure
def lite_file() -> str:
    return f"{lite_bytes('urlparse') / 1000:.0f} kB"


def lite_bytes(name: str) -> int:
    return next((MODELS / name).glob("*.tflite")).stat().st_size


@figure
def urlparse() -> str:
    columns = [measured(MAIN_JOB, 128), measured(SHIPPED, 128), measured(SHIPPED, 1024)]
    rows = [[label, *(of(column[key]) if key in column else "" for column in columns)] for key, label in LISTS.items()]
    rows += [["*trusted answers, all six lists*", *(trust(column["the six lists"]) for column in columns)]]
    head = ["exact match", "main job, to 128 bytes", "shipped copy, to 128 bytes", "shipped copy, to 1,024 bytes"]
    return table(head, rows) + source(SHIPPED)


@figure
def seeds() -> str:
    runs = [measured(name, 128)["the six lists"] for name in (MAIN_JOB, f"{MAIN_JOB}_seed_1", f"{MAIN_JOB}_seed_2")]
    first, second, third = (f"{run['exact']:,}" for run in runs)
    return f"{first}, {second} and {third} of the {runs[0]['count']:,}"


@figure
def hard() -> str:
    columns = [measured(name, 128) | {"edges": edges(name)} for name in (MAIN_JOB, SHIPPED)]
    labels = {"edges": "*all edge cases*"} | HARD
    order = [*[key for key in labels if key.startswith("edge_")], "edges", "beginnings", "tiny", "ipv6"]
    rows = [[labels[key], *(words for each in columns for words in (of(each[key]), trust(each[key])))]
            for key in order]  # fmt: skip
    head = ["to 128 bytes", "main job, exact", "trusted", "shipped copy, exact", "trusted"]
    return table(head, rows) + source(SHIPPED)


@figure
def kinds() -> str:
    rows = [[row["kind"], f"{row['exact']:,}", f"{row['trusted']:,}", row["trusted_wrong"]] for row in result("kinds")]
    head = ["kind, 1,000 inputs each", "exact", "trusted", "trusted and wrong"]
    sums = total(result("kinds"))
    rows += [["*all*", f"{sums['exact']:,} of {sums['count']:,}", f"{sums['trusted']:,}", sums["trusted_wrong"]]]
    return table(head, rows) + source("kinds")


@figure
def ladder() -> str:
    sizes: dict[tuple, dict[str, list]] = {}
    for each in result("ladder").values():
        sizes.setdefault((each["weights"], each["size"]), {}).setdefault(each["function"], []).append(each)
    rows = []
    for (weights, size), by in sorted(sizes.items()):
        first = by.get("urlparse", [])
        exact = [[each["counts"]["exact"] for each in by.get(name, [])] for name in ("splitext", "dates_in_hex")]
        costs = [[round(each["litert_bytes"] / 1000) for each in first], [each["milliseconds"] for each in first]]
        found = [[each["counts"]["exact"] for each in first], [each["edges"]["exact"] for each in first],
                 [each["counts"]["trusted"] for each in first], [each["examples"] for each in first]]  # fmt: skip
        rows.append([f"{weights:,} ({size})", *map(span, [*found, *exact, *costs])])
    count = {each["function"]: each["counts"]["count"] for each in result("ladder").values()}
    [edge_cases] = {each["edges"]["count"] for each in result("ladder").values() if each.get("edges")}
    head = ["weights", f"real URLs, of {count['urlparse']:,}", f"edge cases, of {edge_cases:,}", "trusted", "examples",
            f"`splitext`, of {count['splitext']:,}", f"`dates_in_hex`, of {count['dates_in_hex']:,}", "file, kB",
            "answer, ms"]  # fmt: skip
    return table(head, rows) + source("ladder")


def span(values: Iterable[float]) -> str:
    """A number, or the least and the largest of several seeds."""
    found = sorted(set(values))
    return " to ".join(f"{value:,}" for value in dict.fromkeys([found[0], found[-1]])) if found else "–"


@figure
def learning() -> str:
    found = result("learning")
    names = {"ours": "**this recipe**", "ours, by Adam": "with Adam instead of Muon",
             "ours, long inputs from the start": "with long inputs from the start",
             "ours, one head of attention": "with one head of attention", "ours, with a copy gate": "with a copy gate",
             "plain LSTMs with dot attention": "plain LSTMs that hand over their state, with dot attention",
             "plain LSTMs without attention": "the same without attention"}  # fmt: skip
    rows = [[names.get(row[0], row[0]), *row[1:5]] for row in found["rows"]]
    head = ["", "weights", f"exact, of {found['count']:,}", "99 % after examples", "99.9 % after examples"]
    return table(head, rows) + source("learning")


# ---------------------------------------------------------------- speed


@figure
def decoding() -> str:
    names = {"`slow_greedy`": "the readable loop of notebook 3", "one by one": "the graph, one by one",
             "in batches": "the graph, in batches of 64",
             "SavedModel, texts in, JSON out": "SavedModel, texts in, JSON out, both cores",
             "LiteRT, one by one": "LiteRT, one by one, one core", "LiteRT, in batches": "LiteRT, in batches, one core",
             "`urlparse` itself": "*`urlparse` itself*"}  # fmt: skip
    rows = [[names.get(row["name"], row["name"]), row["urls"], plain(row["urls_per_second"])]
            for row in result("decoding")["rates"]]  # fmt: skip
    return table(["the shipped copy", "real URLs", "URLs a second, median (range)"], rows) + source("decoding")


@figure
def one_answer() -> str:
    found = result("decoding")
    names = {"SavedModel": "SavedModel", "the copy": "`load`, by TensorFlow", "LiteRT": "`load_lite`, by LiteRT"}
    costs = {"the copy": found["process"]["load"], "LiteRT": found["process"]["load_lite"]}
    rows = []
    for key, (median, late) in found["one answer, ms"].items():
        start, memory = costs.get(key, (None, None))
        rows.append([names[key], f"{median:.1f} ms", f"{late:.1f} ms", f"{start:.2g} s" if start else "",
                     f"{memory} MB" if memory else ""])  # fmt: skip
    head = ["a URL of 75 bytes", "median", "99th percentile", "start to first answer", "memory"]
    return table(head, rows) + source("decoding")


@figure
def vectorization() -> str:
    rows = [[row["name"], f"{row['seconds']} s", row["ratio"]] for row in result("vectorization")]
    return table(["a million URLs to byte matrices", "time", "times as fast"], rows) + source("vectorization")


@figure
def training_speed() -> str:
    found = result("training_speed")
    return table(found["head"], found["rows"]) + source("training_speed")


# ---------------------------------------------------------------- other functions


@figure
def shipped() -> str:
    rows = []
    for name in sorted(path.parent.name for path in MODELS.glob("*/copy.json")):
        found, size = read_card(MODELS / name), lite_bytes(name)
        last = found["history"][-1]
        rows.append([f"`{name}`", f"{found['task']['max_input_bytes']:,}", share(found["held_out_counts"]),
                     trust(found["held_out_counts"]), f"{last['examples']:,}", f"{last['seconds'] / 60:.0f}",
                     f"{size / 1000:.0f} kB"])  # fmt: skip
    head = ["shipped copy", "to bytes", "exact on held-out inputs", "trusted", "examples", "minutes", "LiteRT file"]
    return table(head, rows)


@figure
def gallery() -> str:
    rows = []
    for name, counts in sorted(result("gallery").items(), key=lambda item: -item[1]["exact"] / item[1]["count"]):
        example = example_of(name, EXAMPLES.get(name))
        rows.append([f"`{name}`", example, share(counts), trust(counts), f"{counts['weights']:,}",
                     f"{counts['examples']:,}", f"{counts['minutes']:.0f}"])  # fmt: skip
    head = ["", "example", "exact on held-out inputs", "trusted", "weights", "examples", "minutes"]
    return table(head, rows) + source("gallery")


def example_of(name: str, text: str | None) -> str:
    """An input and what the function gives for it: this one or, where there is none, one that its sampler draws."""
    task = GALLERY[name].task
    if text is None:
        text = max((text for text in task.sample(5) if not set(text) & set("`|\n")), key=len)
        pair = [text, task.expected([text])[0]]
    else:
        pair = [text, answer(task.function, text)] if task.function else [task.inverse(text), f'"{text}"']
    return "`{}` → `{}`".format(*pair)


@figure
def seconds() -> str:
    found = result("seconds")
    rows = [[f"{each['examples']:,}", f"{each['day']:.1%}", f"{each['median']:.2f}", f"{each['exact']:.2%}"]
            for each in [*found["curve"][:-1:3], found["curve"][-1]]]  # fmt: skip
    head = ["examples", f"on the correct day, of {found['count']:,}", "days off, median", "exact to the minute"]
    return table(head, rows) + source("seconds")


@figure
def own() -> str:
    functions = {"phones": "phone numbers, `phonenumbers` to E.164", "prices": "prices, `price-parser`",
                 "names": "names of many countries, `nameparser` to seven parts",
                 "slugs": "slugs of many languages, `python-slugify`",
                 "dates": "dates in 26 formats, `dateutil` to ISO",
                 "romans": "Roman numerals, `roman`", "addresses": "US addresses, `usaddress` to their parts",
                 "metres": "lengths, `pint` to metres"}  # fmt: skip
    rows, ways = [], ["300", "1000", "5000", "like"]
    found = [(*name.split(", "), counts) for name, counts in result("own").items()]
    for kind, way, counts in sorted(found, key=lambda each: (each[0], ways.index(each[1]))):
        learned = "`like` 300 inputs" if way == "like" else f"{int(way):,} pairs"
        rows.append([functions.get(kind, kind), learned, share(counts), trust(counts), f"{counts['examples']:,}",
                     f"{counts['minutes']:.1f}"])  # fmt: skip
    head = ["function", "learned from", "exact on inputs kept back", "trusted", "examples", "minutes"]
    return table(head, rows) + source("own")


# ---------------------------------------------------------------- elsewhere


@figure
def service() -> str:
    found = result("service")
    runs = {f"{clients} client{'s' * (clients != '1')}": each for clients, each in found["clients"].items()}
    runs |= {name: each for name, each in found.items() if name.startswith("8 clients")}
    rows = [[name, f"{each['requests_a_second']:,}", f"{each['median_ms']:.1f} / {each['p99_ms']:.1f} ms",
             f"{each['processor_ms_a_request']:.2f} ms", f"{each['memory_mb']} MB"]
            for name, each in runs.items()]  # fmt: skip
    head = ["", "requests a second", "median / 99th percentile", "processor time a request", "memory after it"]
    saved = ", ".join(f"{rate:,} {name}" for name, rate in found["SavedModel, URLs a second"].items())
    differ = found["answers that differ from the copy's"]
    more = f"\n\nA SavedModel in the same run, URLs a second: {saved}. Answers that differ from the copy's: {differ}."
    return table(head, rows) + source("service") + more


@figure
def serving() -> str:
    found = result("serving")
    rows = [[name, f"{each['p50']:.0f} ms", f"{each['p90']:.0f} ms", f"{each['p99']:.0f} ms"]
            for name, each in found["milliseconds"].items()]  # fmt: skip
    memory = ", ".join(f"{megabytes:,} MB {when}" for when, megabytes in found["server_memory_mb"].items())
    head = ["a call", "median", "90th percentile", "99th percentile"]
    return f"{table(head, rows)}{source('serving')}\n\nMemory of the server's process, TensorFlow included: {memory}."


@figure
def ports() -> str:
    rows = [[name, f"{each['first_s']:.2f} s", f"{each['one_ms']:.1f} ms", f"{each['per_cpu_s']:,.0f}",
             f"{each['memory_mb']:.0f} MB"] for name, each in result("ports").items()]  # fmt: skip
    head = ["", "start to the first answer", "one answer", "URLs for a second of CPU time", "memory"]
    return table(head, rows) + source("ports")


@figure
def page() -> str:
    found = result("page")
    rows = [[name, f"{found[key]['median_ms']} ms", f"{found[key]['equal']:,} of {found[key]['count']:,}"]
            for name, key in (("LiteRT", "litert"), ("TensorFlow.js", "tensorflow"))]  # fmt: skip
    head = [f"{found['input_bytes']} bytes in, {found['answer_bytes']} out", "an answer, median",
            "answers to real URLs equal to Python's"]  # fmt: skip
    opening = (f"\n\nThe first answer comes {found['first_answer_seconds']:.2f} s after the page is opened; "
               f"{found['compressed_bytes_to_it'] / 1e6:.2f} MB are loaded until then, compressed.")  # fmt: skip
    return table(head, rows) + source("page") + opening


@figure
def export_sizes() -> str:
    found = result("export_sizes")
    row = next(row for row in found["rows"] if row[0] == "urlparse")
    sizes = dict(zip(found["head"][1:], row[1:], strict=True))
    uses = {"the copy itself": ["weights and LiteRT file", "Python, Java, the service"],
            "SavedModel": ["`saved_model`", "TensorFlow, C++, Java"], "LiteRT": ["`litert`", "the page"],
            "TensorFlow.js": ["`tensorflowjs`", "the page, Node"]}  # fmt: skip
    rows = [[form, *uses[form], size] for form, size in sizes.items()]
    return table(["", "in the folder of an export", "for", "kB / compressed"], rows) + source("export_sizes")


@figure
def spark() -> str:
    return table(["", "measured"], [list(row.values()) for row in result("spark")]) + source("spark")


@figure
def transformer() -> str:
    found = result("spark_ml")
    rows = [[name, " / ".join(f"{rate:,}" for rate in rates)] for name, rates in found["rates"].items()]
    memory = found["memory"]
    quarters = ", ".join(f"{megabytes:,}" for megabytes in memory["workers_mb_by_quarter"])
    more = f"\n\nMemory of two workers and their parent in each quarter of {memory['rows']:,} rows: {quarters} MB."
    return table(["", "URLs a second, in each round"], rows) + source("spark_ml") + more


@figure
def search() -> str:
    found = result("search")["lists"]
    names = {"embed": "**`embed`**", "states alone": "the states alone", "sketch alone": "the sketch alone",
             "TF-IDF": "TF-IDF over 2- to 4-grams", "chance": "chance"}  # fmt: skip
    questions = ["near duplicates", "same shape", "same template"]
    rows = []
    for way, label in names.items():
        shares = [[each["by"][way][question][0] for each in found.values()] for question in questions]
        rows.append([label, *(f"{sum(of) / len(of):.1%}" for of in shares)])
    return table(["of the ten nearest", *questions], rows) + source("search")


@figure
def index() -> str:
    rows = [[f"{each['texts']:,}", f"{each['recall']:.3f}", f"{each['a query']:.1f} ms",
             f"{each['a query, exact']:.1f} ms", f"{each['seconds to build']:.1f} s"]
            for each in result("search")["index"]]  # fmt: skip
    return table(["vectors", "recall at ten", "a query", "a query, exact", "to build"], rows) + source("search")


# ---------------------------------------------------------------- files


def written(text: str) -> str:
    """The text with all its figures as the results have them."""

    def block(match: re.Match) -> str:
        figures = FIGURES[match[2]]()
        return f"{match[1]}\n\n{figures}\n\n{match[4]}" if "\n" in figures else f"{match[1]}{figures}{match[4]}"

    return BLOCK.sub(block, text)


def files() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def main(check: bool = False) -> None:
    for path in files():
        text = path.read_text(encoding="utf-8")
        if text != written(text):
            print(path.relative_to(ROOT), "is not up to date" if check else "is written anew")
            if check:
                sys.exit(1)
            path.write_text(written(text), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.figures", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail where something is not up to date")
    main(**vars(parser.parse_args()))
