"""The page in headless Chromium: milliseconds for an answer, time and bytes to the first one, equality with Python."""

import contextlib
import functools
import gzip
import http.server
import statistics
import subprocess
import tempfile
import threading
from pathlib import Path

from playwright.sync_api import sync_playwright

from benchmarks.common import keep, machine, table
from urlseq import load
from urlseq.export import export
from urlseq.export.browser import WEB
from urlseq.sources import registry_urls

BROWSER = {"executable_path": "/usr/bin/chromium", "args": ["--no-sandbox", "--disable-gpu"]}
# 61 bytes, and an answer of 74.
URL = "https://www.example.com:8080/store/item.php;v=2?id=1234#specs"
ASK = """async ({ name, inputs, engine }) => {
  const worker = new Worker(`${engine}.js`);
  const answers = [];
  for (const text of inputs) {
    const reply = new Promise((resolve) => {
      worker.onmessage = ({ data }) => { if ("text" in data || data.error) resolve(data); };
    });
    worker.postMessage({ name, text });
    const answer = await reply;
    if (answer.error) throw new Error(answer.error);
    answers.push([answer.text, answer.milliseconds]);
  }
  worker.terminate();
  return answers;
}"""


# Notes when the page shows its first answer, in milliseconds after it was opened.
WATCH = """new MutationObserver(() => {
  const found = document.getElementById("found");
  if (found && !found.hidden) window.answered ??= performance.now();
}).observe(document, { subtree: true, childList: true, attributes: true });"""


@contextlib.contextmanager
def served(folder: Path):
    """The page's address, and the compressed sizes of all files that are loaded from it."""
    loaded = {}  # a file that is asked for again is not sent again

    class Counting(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *words):
            pass

        def do_GET(self):
            path = Path(self.translate_path(self.path))
            if path.is_file():
                loaded[path] = len(gzip.compress(path.read_bytes()))
            super().do_GET()

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Counting, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", loaded
    server.shutdown()


def first_answers(playwright, address: str, loaded: dict, count: int) -> tuple[list[float], int]:
    """Seconds from opening the page to its first answer, each in a fresh browser, and the compressed bytes until it."""
    seconds = []
    for _ in range(count):
        loaded.clear()
        browser = playwright.chromium.launch(**BROWSER)
        page = browser.new_page()
        page.add_init_script(WATCH)
        page.goto(f"{address}index.html")
        while not page.evaluate("window.answered"):
            page.wait_for_timeout(10)
        bytes_to_it = sum(loaded.values())
        seconds.append(page.evaluate("window.answered") / 1000)
        browser.close()
    return seconds, bytes_to_it


def main(quick: bool = False) -> None:
    count = 100 if quick else 1000
    copy = load("urlparse")
    valid = [text for text in registry_urls() if not copy.invalid_reason(text)]
    inputs = valid[:: len(valid) // count][:count]
    expected = [prediction.text for prediction in copy.predict(inputs)]
    with tempfile.TemporaryDirectory() as folder:
        export(copy, Path(folder) / "models" / "urlparse", count=200)
        site = Path(folder) / "site"
        subprocess.run(["node", "build.mjs", f"{folder}/models", str(site)], cwd=WEB, check=True, capture_output=True)
        with served(site) as (address, loaded), sync_playwright() as playwright:
            seconds, bytes_to_it = first_answers(playwright, address, loaded, 1 if quick else 9)
            result = {"first_answer_seconds": round(statistics.median(seconds), 2),
                      "least_first_answer_seconds": round(min(seconds), 2), "compressed_bytes_to_it": bytes_to_it,
                      "input_bytes": len(URL), "answer_bytes": len(copy.predict(URL).text)}  # fmt: skip
            browser = playwright.chromium.launch(**BROWSER)
            page = browser.new_page()
            page.goto(f"{address}style.css")  # where no engine of the page's own is in the way
            for engine in ("tensorflow", "litert"):
                again = {"name": "urlparse", "inputs": [URL] * 60, "engine": engine}
                times = [milliseconds for _, milliseconds in page.evaluate(ASK, again)][10:]
                some = slice(None, None, 1 if engine == "litert" else 4)
                answers = page.evaluate(ASK, {"name": "urlparse", "inputs": inputs[some], "engine": engine})
                equal = sum(text == python for (text, _), python in zip(answers, expected[some], strict=True))
                result[engine] = {"median_ms": round(statistics.median(times), 1), "least_ms": round(min(times), 1),
                                  "equal": equal, "count": len(answers)}  # fmt: skip
            browser.close()
    rows = [[name, of["median_ms"], of["least_ms"], f"{of['equal']:,} of {of['count']:,}"]
            for name, of in (("TensorFlow.js", result["tensorflow"]), ("LiteRT", result["litert"]))]  # fmt: skip
    print(table(["engine", "median ms", "least ms", "answers equal to Python's"], rows))
    print({name: value for name, value in result.items() if not isinstance(value, dict)}, machine(), sep="\n")
    if not quick:
        keep("page", result)


if __name__ == "__main__":
    main()
