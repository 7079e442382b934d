"""The page in headless Chromium: milliseconds for an answer, time and bytes to the first one, equality with Python."""

import contextlib
import functools
import gzip
import http.server
import statistics
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

from benchmarks.common import keep, machine, table
from urlseq import load
from urlseq.export import export
from urlseq.export.browser import WEB
from urlseq.sources import registry_urls

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


@contextlib.contextmanager
def served(folder: Path):
    """The page's address, and a list of (file name, compressed size) of all that is loaded from it."""
    loaded = []

    class Counting(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *words):
            pass

        def do_GET(self):
            path = Path(self.translate_path(self.path))
            if path.is_file():
                loaded.append((path.name, len(gzip.compress(path.read_bytes()))))
            super().do_GET()

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Counting, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", loaded
    server.shutdown()


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
            browser = playwright.chromium.launch(
                executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
            )
            page = browser.new_page()
            start = time.perf_counter()
            page.goto(f"{address}index.html")
            page.wait_for_selector("#found:not([hidden])")
            first, bytes_to_it = time.perf_counter() - start, sum(size for _, size in loaded)
            result = {"first_answer_seconds": round(first, 2), "compressed_bytes_to_it": bytes_to_it,
                      "input_bytes": len(URL), "answer_bytes": len(copy.predict(URL).text)}  # fmt: skip
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
