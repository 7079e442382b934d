"""The page, built and opened in a real browser."""

import contextlib
import functools
import http.server
import importlib.util
import json
import os
import shutil
import subprocess
import threading
import time
from pathlib import Path
from urllib.parse import quote

import pytest

from urlseq import load
from urlseq.encoding import QUOTE
from urlseq.sources import registry_urls

ROOT = Path(__file__).parent.parent
WEB = ROOT / "web"
CHROMIUM = shutil.which("chromium")
LACKS = [
    name
    for name, found in {
        "npm": shutil.which("npm"),
        "what the page is built with (npm ci in web/)": (WEB / "node_modules").is_dir(),
        "chromium": CHROMIUM,
        "playwright": importlib.util.find_spec("playwright"),
        "tensorflowjs": importlib.util.find_spec("tensorflowjs"),
    }.items()
    if not found
]
if LACKS:
    pytest.skip(f"missing: {', '.join(LACKS)}; bash setup_colab.sh --dev brings it", allow_module_level=True)

pytestmark = pytest.mark.slow
DATE = "Wednesday, 9 September 7ce, 7:05"
# Asks a worker of its own, past the page's text field: [[answer, milliseconds], ...] and the tensors left.
ASK_ALL = """async ({ name, inputs, engine }) => {
  const worker = new Worker("worker.js");
  const next = () => new Promise((resolve) => { worker.onmessage = ({ data }) => resolve(data); });
  const answers = [];
  let before;
  for (const text of inputs) {
    const reply = next();
    worker.postMessage({ ask: "answer", name, text, engine });
    const answer = await reply;
    if (answer.error) throw new Error(answer.error);
    answers.push([answer.text, answer.milliseconds]);
    if (!before) {
      const count = next();
      worker.postMessage({ ask: "tensors" });
      before = (await count).tensors;
    }
  }
  const count = next();
  worker.postMessage({ ask: "tensors" });
  const after = (await count).tensors;
  worker.terminate();
  return { answers, leaked: after - before };
}"""
# Asks a worker of its own many questions at once: the texts answered within 30 seconds, in their order.
ASK_AT_ONCE = """(questions) => new Promise((resolve) => {
  const worker = new Worker("worker.js");
  const texts = [];
  const end = () => { worker.terminate(); resolve(texts); };
  setTimeout(end, 30_000);
  worker.onmessage = ({ data }) => { if (texts.push(data.question.text) === questions.length) end(); };
  for (const question of questions) {
    worker.postMessage({ ask: "answer", name: "dates_in_hex", engine: "tensorflow", ...question });
  }
})"""


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    from urlseq.export import export

    folder = tmp_path_factory.mktemp("models")
    for name in ("urlparse", "dates_in_hex"):
        export(load(name), folder / name, count=50)
    return folder


@pytest.fixture(scope="session")
def site(models, tmp_path_factory):
    folder = tmp_path_factory.mktemp("site") / "page"
    subprocess.run(["node", "build.mjs", str(models), str(folder)], cwd=WEB, check=True, capture_output=True)
    return folder


@contextlib.contextmanager
def served(folder):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *words):
            pass

    # In a folder below the root: the page has to work from any place.
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder.parent))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/{folder.name}/"
    server.shutdown()


@pytest.fixture(scope="session")
def address(site):
    with served(site) as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def page(browser):
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    page = context.new_page()
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    yield page
    assert page.errors == []
    context.close()


def state(page, word, seconds=30):
    """Waits until the page's line of state holds this word, and returns the line."""
    end = time.monotonic() + seconds
    while word not in (line := page.inner_text("#state")):
        assert time.monotonic() < end, f"{word!r} never came, but: {line!r}"
        time.sleep(0.02)
    return line


def answer_to(page, text, expected, seconds=30):
    """Waits until the page shows this answer."""
    end = time.monotonic() + seconds
    while page.text_content("#json") != expected:
        assert time.monotonic() < end, f"{text!r}: {page.text_content('#json')!r} instead of {expected!r}"
        time.sleep(0.02)


def until(page, condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        page.wait_for_timeout(20)  # which lets the browser's events in, as time.sleep would not


def artefact(page, name, tmp_path):
    folder = Path(os.environ.get("URLSEQ_ARTEFACTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=folder / f"{name}.png", full_page=True)


def test_it_answers_while_one_types_and_drops_what_is_stale(page, address):
    page.goto(address)
    state(page, "trusted")
    page.fill("#text", "")
    url = "https://example.org/learn?by=examples#now"
    page.locator("#text").press_sequentially(url)
    answer_to(page, url, '["https","example.org","/learn","","by=examples","now"]')
    assert page.locator('#echo [data-part="query"]').all_inner_texts() == list("by=examples")
    assert "ms" in page.inner_text("#state")


def test_the_browser_answers_as_python_does_on_1000_real_urls(page, address):
    copy = load("urlparse")
    valid = [text for text in registry_urls() if not copy.invalid_reason(text)]
    inputs = valid[:: len(valid) // 1000][:1000]
    expected = [prediction.text for prediction in copy.predict(inputs)]
    page.goto(address)
    fast = page.evaluate(ASK_ALL, {"name": "urlparse", "inputs": inputs, "engine": "litert"})
    assert [answer for answer, _ in fast["answers"]] == expected
    slow = page.evaluate(ASK_ALL, {"name": "urlparse", "inputs": inputs[::10], "engine": "tensorflow"})
    assert [answer for answer, _ in slow["answers"]] == expected[::10]


def test_no_tensor_is_left_after_1000_answers(page, address):
    page.goto(address)
    found = page.evaluate(ASK_ALL, {"name": "dates_in_hex", "inputs": [DATE] * 1000, "engine": "tensorflow"})
    assert {answer for answer, _ in found["answers"]} == {'"1998-09-09T07:05"'}
    assert found["leaked"] == 0


def test_the_faster_engine_is_used_and_the_user_may_choose(page, address):
    page.goto(address)
    state(page, "TensorFlow.js")
    state(page, "LiteRT")
    assert "LiteRT took" in page.inner_text("#engines")
    page.select_option("#engine", "tensorflow")
    state(page, "TensorFlow.js, WebAssembly")


def test_typing_does_not_wait_for_the_engine_that_is_loaded_to_compare(page, address):
    held = []
    page.route("**/copy.tflite", lambda route: held.append(route))
    page.goto(address)
    until(page, lambda: held)
    page.fill("#text", "https://a.example/typed")
    answer_to(page, "typed", '["https","a.example","/typed","","",""]')
    held[0].continue_()
    until(page, lambda: "LiteRT took" in page.inner_text("#engines"))


def test_typed_questions_and_comparisons_do_not_drop_each_other(page, address):
    page.goto(address)
    first, typed, trial = {"text": "first"}, {"text": "typed"}, {"text": "trial", "trial": 1}
    for questions in ([first, trial, typed], [first, typed, trial]):
        assert page.evaluate(ASK_AT_ONCE, questions) == ["first", "typed", "trial"]


def test_typing_goes_on_where_the_second_engine_fails(page, address):
    page.route("**/copy.tflite", lambda route: route.abort())
    page.goto(address)
    until(page, lambda: page.inner_text("#engines") == "LiteRT does not run here.")
    page.fill("#text", "https://a.example/typed")
    answer_to(page, "typed", '["https","a.example","/typed","","",""]')


def test_an_engine_that_could_not_be_loaded_is_loaded_the_next_time(page, address):
    page.route("**/*.wasm", lambda route: route.abort() if "litert" in route.request.url else route.continue_())
    page.goto(address)
    until(page, lambda: page.inner_text("#engines") == "LiteRT does not run here.")
    page.unroute("**/*.wasm")
    page.select_option("#engine", "litert")
    page.fill("#text", "https://a.example/again")
    answer_to(page, "again", '["https","a.example","/again","","",""]')
    state(page, "LiteRT")


def test_the_figures_are_those_of_the_copy_that_is_chosen(page, address):
    held = []
    page.route("**/models/urlparse/manifest.json", lambda route: held.append(route))
    page.goto(address)
    until(page, lambda: held)
    page.locator('input[value="dates_in_hex"]').check(force=True)
    state(page, "certified")
    figures = page.inner_text("#measured")
    assert f"{load('dates_in_hex').card['held_out_counts']['count']:,}" in figures
    for route in held:
        route.continue_()
    page.wait_for_timeout(1000)
    assert page.inner_text("#measured") == figures


def test_an_inverse_is_certified_or_not_trusted(page, address):
    page.goto(f"{address}#copy=dates_in_hex&text={quote(DATE)}")
    state(page, "certified")
    answer_to(page, DATE, '"1998-09-09T07:05"')
    page.fill("#text", "Monday, 9 September 7ce, 7:05")  # it was a Wednesday
    assert "lead back" in state(page, "not trusted")


def test_the_address_keeps_copy_and_text(page, address):
    page.goto(address)
    state(page, "trusted")
    text = "https://a.example/ü?x=%20&y=#é+&"
    page.fill("#text", text)
    state(page, "confidence")
    time.sleep(0.6)
    again = page.context.new_page()
    again.goto("about:blank")
    again.goto(page.url)
    state(again, "confidence")
    assert again.input_value("#text") == text
    assert again.locator('input[value="urlparse"]').is_checked()


@pytest.mark.parametrize(
    ("text", "reason"),
    [("x" * 3_000_000, "more than 1024 bytes"), ("é" * 600, "1200 bytes"), ("a\0b", "NUL"), ("a\ud83d", "surrogate")],
)
def test_an_invalid_input_is_explained_and_the_page_goes_on(page, address, text, reason):
    page.goto(address)
    state(page, "trusted")
    page.evaluate(
        """text => { const field = document.getElementById("text"); field.value = JSON.parse(text);
                     field.dispatchEvent(new Event("input")); }""",
        json.dumps(text),
    )
    state(page, reason)
    assert page.locator("#found").is_hidden()
    for usual in ("", "😀", "mailto:a@b.example"):
        page.fill("#text", usual)
        state(page, "confidence")


def test_markup_stays_text(page, address):
    page.goto(address)
    state(page, "trusted")
    page.fill("#text", "https://a.example/<img src=x onerror=document.title='gotcha'>")
    answer_to(page, "markup", """["https","a.example","/<img src=x onerror=document.title='gotcha'>","","",""]""")
    assert page.locator("main img").count() == 0 and "gotcha" not in page.title()
    policy = page.locator('meta[http-equiv="Content-Security-Policy"]').get_attribute("content")
    assert "default-src 'none'" in policy and "unsafe-inline" not in policy


def test_no_request_leaves_the_page(page, address):
    asked = []
    page.context.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    state(page, "LiteRT")
    assert asked and all(url.startswith((address, "data:", "blob:")) for url in asked)


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (lambda path: path.unlink(), "could not be loaded"),
        (lambda path: path.write_bytes(path.read_bytes()[:1000]), "cut short"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1] + b"\x77"), "not the file that was exported"),
    ],
    ids=["missing", "cut short", "tampered"],
)
def test_a_damaged_model_is_reported_and_other_copies_still_answer(page, site, tmp_path, harm, reason):
    copy = shutil.copytree(site, tmp_path / "damaged")
    harm(copy / "models" / "urlparse" / "tensorflowjs" / "group1-shard1of1.bin")
    with served(copy) as address:
        page.goto(address)
        state(page, reason)
        page.locator('input[value="dates_in_hex"]').check(force=True)
        state(page, "certified")


def test_without_webassembly_it_answers_in_plain_javascript(page, site, address):
    # Chromium has no flag for that in workers any more, so the worker's own script removes it first.
    script = "self.WebAssembly = undefined;" + (site / "worker.js").read_text()
    page.route("**/worker.js", lambda route: route.fulfill(body=script, content_type="text/javascript"))
    page.goto(address)
    assert "plain JavaScript" in state(page, "trusted", seconds=60)


def test_by_keyboard_attention_follows(page, address):
    page.goto(address)
    state(page, "LiteRT")
    page.focus("#json")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert "byte 4 of the answer" in page.inner_text("#attention")
    assert page.locator("#json .chosen").inner_text() == "t"


@pytest.mark.parametrize("answer", [b'"\xc3"', b'"' * 1000], ids=["not UTF-8", "longer than the attention"])
def test_attention_is_shown_for_any_answer(page, site, address, answer):
    # The worker decodes these bytes instead of the network's, whose quote is a byte of its own.
    written = list(answer.replace(b'"', bytes([QUOTE])))
    script = f"""const from = Uint8Array.from.bind(Uint8Array);
        Uint8Array.from = (bytes, ...rest) => from(bytes instanceof Int32Array ? {written} : bytes, ...rest);"""
    script += (site / "worker.js").read_text()
    page.route("**/worker.js", lambda route: route.fulfill(body=script, content_type="text/javascript"))
    page.goto(address)
    answer_to(page, "any text", answer.decode(errors="replace"))
    page.locator("#json span").last.hover()
    assert f'For “"”, byte {len(answer)} of the answer' in page.inner_text("#attention")


def test_how_it_looks(browser, address, tmp_path):
    looks = {"wide": {"viewport": {"width": 1280, "height": 1000}},
             "phone_dark": {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"}}  # fmt: skip
    for name, settings in looks.items():
        page = browser.new_context(**settings).new_page()
        page.goto(address)
        state(page, "trusted")
        artefact(page, name, tmp_path)
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_the_scripts_own_tests():
    process = subprocess.run(["npm", "test"], cwd=WEB, capture_output=True, text=True)
    assert process.returncode == 0, process.stdout[-3000:]
