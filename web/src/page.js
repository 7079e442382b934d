// The page: asks a worker at each key press, and shows the answers.

import { $, element, number, radio } from "./dom.js";
import { entryOf, expectedAnswer } from "./functions.js";
import { fail, show, showAttention, time } from "./show.js";

const names = document.documentElement.dataset.copies.split(" ").filter(Boolean).map(decodeURIComponent);
const page = { name: "", number: 0, manifest: undefined, faster: "tensorflow", typed: undefined };
const workers = {};

// ---------------------------------------------------------------- asking

const engine = () => ($("engine").value === "auto" ? page.faster : $("engine").value);

/** The worker of an engine: one of the two that the build makes of worker.js. */
function workerOf(kind) {
  if (workers[kind]) return workers[kind];
  const made = kind === "tensorflow" ? worker : new Worker(`${kind}.js`); // the page's head has started that one
  made.onmessage = ({ data }) => receive(data, kind);
  made.onerror = ({ message }) => fail(`The thread of ${kind}.js stopped: ${message || "it could not be loaded"}. Reload the page.`);
  workers[kind] = made;
  return made;
}

/** Asks the newest question; from now on, answers to earlier ones are dropped. Without a text, for the manifest alone. */
function ask(text = $("text").value) {
  page.number += 1;
  $("linked").textContent = "";
  showCount();
  workerOf(engine()).postMessage({ number: page.number, name: page.name, text });
}

function receive(data, kind) {
  const { question } = data;
  if (question.trial) {
    compare(data);
    return;
  }
  if (question.number !== page.number) return; // it was only to load the copy, or more has been typed since
  if (data.manifest && !page.manifest) describe(data.manifest);
  if (data.error && kind === "litert" && $("engine").value === "auto") {
    page.faster = "tensorflow";
    ask();
  } else if (data.error || data.refused) fail(data.error ?? data.refused);
  else if (!data.manifest) showAttention(data.attention);
  else if (question.text === null) choose(page.name, entryOf(page.name, data.manifest).examples[0] ?? "");
  else answered(data);
}

function answered(answer) {
  const { name, text } = answer.question;
  const expected = expectedAnswer(name, answer.manifest, text);
  show(answer, expected);
  if (text === page.typed && expected !== undefined) count(answer, expected);
  if (!page.compared) setTimeout(() => loadMore(answer), 300);
}

// Each engine's first answer includes its compilation, so each is asked twice, and the second time counts.
// TensorFlow.js has answered once already.
const TRIALS = ["litert", "litert", "tensorflow"];

/**
 * While nobody types, keeps the page for visits without a connection, and lets both engines answer one question: LiteRT
 * is taken if it agrees and is faster.
 */
function loadMore({ question, text, engine }) {
  if (page.compared || question.number !== page.number || navigator.connection?.saveData) return;
  page.compared = { text };
  navigator.serviceWorker?.register("sw.js").catch(() => {});
  if (engine.includes("plain")) {
    $("engines").textContent = "WebAssembly can't be used here, so an answer takes several times as long.";
    return;
  }
  $("engines").textContent = "loading LiteRT, to compare…";
  tryNext(question, 0);
}

function tryNext(question, trial) {
  workerOf(TRIALS[trial]).postMessage({ ...question, trial: trial + 1 });
}

function compare({ question, error, text, milliseconds }) {
  if (error || text !== page.compared.text) {
    $("engines").textContent = error ? "LiteRT does not run here." : "LiteRT gave another answer: not used.";
    return;
  }
  page.compared[TRIALS[question.trial - 1]] = milliseconds;
  if (question.trial < TRIALS.length) {
    tryNext(question, question.trial);
    return;
  }
  const { litert, tensorflow } = page.compared;
  if (litert < tensorflow) page.faster = "litert";
  $("engines").textContent = `LiteRT took ${time(litert)}, TensorFlow.js ${time(tensorflow)}.`;
  if (engine() === "litert" && question.number === page.number) ask();
}

// ---------------------------------------------------------------- the challenge

const challenges = new Map(); // by the name of a copy

function challengeOf(name) {
  if (!challenges.has(name)) challenges.set(name, { tried: new Set(), wrong: new Set() });
  return challenges.get(name);
}

/** Counts what was typed, and celebrates what the copy gets wrong. */
function count({ question: { name, text }, manifest, text: given, reason }, expected) {
  const { tried, wrong } = challengeOf(name);
  tried.add(text);
  if (given !== expected && !wrong.has(text)) {
    wrong.add(text);
    celebrate(`${manifest.function}(${JSON.stringify(text)}) is ${expected}, and its copy says ${given}.`, reason, linkTo(name, text));
  }
  showTries();
}

function celebrate(found, reason, link) {
  const item = document.createElement("li");
  const copied = document.createElement("span");
  const trust = reason ? `It was not trusted: ${reason}.` : "And it was trusted, which is rare!";
  item.append(`★ Found one! ${found} ${trust} `, button("Copy this", () => toClipboard(`${found} ${link}`, copied)), " ", copied);
  $("finds").prepend(item);
}

function showTries() {
  const { tried, wrong } = challengeOf(page.name);
  const result = wrong.size ? `${wrong.size} wrong` : "all right";
  $("tries").textContent = tried.size ? `You have tried ${number(tried.size)}: ${result}.` : "";
}

function button(label, act) {
  const made = element("button", label, { type: "button" });
  made.addEventListener("click", act);
  return made;
}

const linkTo = (name, text) => new URL(`#${new URLSearchParams({ copy: name, text })}`, location.href).href;

/** Copies a text, and says so; where the browser does not allow that, it is shown instead. */
async function toClipboard(text, place) {
  try {
    await navigator.clipboard.writeText(text);
    place.textContent = "copied";
  } catch {
    place.textContent = text;
  }
}

// ---------------------------------------------------------------- choosing a copy

/** Shows a copy, and asks it for a text; by default, for its first example. */
function choose(name, text) {
  Object.assign(page, { name, manifest: undefined, typed: undefined });
  document.querySelector(`input[value="${CSS.escape(name)}"]`).checked = true;
  const first = text ?? entryOf(name).examples[0];
  $("text").value = first ?? "";
  describe();
  ask(first ?? null); // the manifest of a copy that the page does not know has examples
}

/** Shows what is known of the copy; without a manifest, only what the page knows itself. */
function describe(manifest) {
  page.manifest = manifest;
  const { description, examples, notes = {}, measured, real } = entryOf(page.name, manifest);
  $("description").textContent = description;
  $("examples").replaceChildren(...examples.map((example) => {
    const item = document.createElement("li");
    item.append(button(example, () => { type(example); }), notes[example] ? ` ${notes[example]}` : "");
    return item;
  }));
  const counts = manifest?.held_out_counts;
  const held = counts && `Of ${number(counts.count)} made-up inputs that training never saw, ${number(counts.exact)} of its answers were exactly correct.`;
  $("measured").textContent = measured ?? held ?? "";
  $("challenge").hidden = !real;
  showCount();
  showTries();
}

function showCount() {
  const most = page.manifest?.max_input_bytes;
  const bytes = new TextEncoder().encode($("text").value).length;
  $("count").textContent = most ? `${number(bytes)} of ${number(most)} bytes` : "";
  $("count").classList.toggle("over", bytes > most);
}

function type(text) {
  $("text").value = text;
  page.typed = text;
  ask();
}

function fromAddress() {
  openTab(tabOfAddress());
  if (page.name && tabOfAddress() !== tabs[0]) return; // a copy is shown already
  const asked = new URLSearchParams(location.hash.slice(1));
  choose(names.includes(asked.get("copy")) ? asked.get("copy") : names[0], asked.get("text") ?? undefined);
}

// ---------------------------------------------------------------- tabs

const tabs = [...document.querySelectorAll('[role="tab"]')];

/** The tab that the address names, as #learn or #replay; else the first. */
const tabOfAddress = () => tabs.find(({ id }) => id === `tab-${location.hash.slice(1)}`) ?? tabs[0];

/** Opens a tab. What learns, and its replay, is loaded when it is first asked for. */
function openTab(opened) {
  for (const tab of tabs) {
    const is = tab === opened;
    tab.setAttribute("aria-selected", is);
    tab.tabIndex = is ? 0 : -1;
    $(tab.getAttribute("aria-controls")).hidden = !is;
  }
  if (opened !== tabs[0] && !page.learning) {
    page.learning = Object.assign(document.createElement("script"), { src: "learn_page.js" });
    document.head.append(page.learning);
  }
}

function moveTab(event) {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const next = tabs.at((tabs.indexOf(event.target) + step) % tabs.length);
  openTab(next);
  next.focus();
}

function begin() {
  for (const tab of tabs) {
    tab.addEventListener("click", () => openTab(tab));
    tab.addEventListener("keydown", moveTab);
  }
  openTab(tabOfAddress());
  if (location.protocol === "file:") return fail("A browser runs this page only from a server: python -m http.server in this folder, then open http://localhost:8000");
  if (!names.length) return fail("There is no learned copy here: python -m urlseq export urlparse, then npm run build.");
  workerOf("tensorflow"); // starts while the rest is prepared
  $("copies").append(...names.map((name) => radio("copy", name, entryOf(name).title, () => choose(name))));
  // What an input method composes is not yet what is meant.
  $("text").addEventListener("input", (event) => event.isComposing || type(event.target.value));
  $("text").addEventListener("compositionend", (event) => type(event.target.value));
  $("engine").addEventListener("change", () => ask());
  $("link").addEventListener("click", () => toClipboard(linkTo(page.name, $("text").value), $("linked")));
  addEventListener("hashchange", fromAddress);
  fromAddress();
}

begin();
