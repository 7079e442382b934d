// The page: asks the worker at each key press, and shows the answers.

import { characterSpans, invalidReason, untrustedReason, valueOf } from "./copy.js";
import { entryOf, isKnown, URL_PARTS, urlSpans } from "./functions.js";

const $ = (id) => document.getElementById(id);
const HINT = $("attention").textContent;
const page = { names: [], manifests: new Map(), name: "", number: 0, shown: null, chosen: -1, faster: "tensorflow" };
let worker = newWorker();

function newWorker() {
  const made = new Worker("worker.js");
  made.onmessage = ({ data }) => receive(data);
  made.onerror = (event) => say("error", `The network's thread stopped: ${event.message || "no reason is known"}. Reload the page.`);
  return made;
}

// ---------------------------------------------------------------- asking

const engine = () => ($("engine").value === "auto" ? page.faster : $("engine").value);

/** Asks the newest question; from now on, answers to earlier ones are dropped. */
async function ask() {
  const { name } = page;
  const text = $("text").value;
  const number = ++page.number;
  let manifest;
  try {
    manifest = await manifestOf(name);
  } catch (error) {
    if (number === page.number) fail(error.message);
    return;
  }
  if (number !== page.number) return;
  const reason = invalidReason(text, manifest);
  if (reason) {
    fail(reason);
    return;
  }
  remember(name, text);
  worker.postMessage({ ask: "answer", number, name, text, engine: engine() });
}

async function manifestOf(name) {
  if (!page.manifests.has(name)) {
    const response = await fetch(`models/${name}/manifest.json`).catch(() => undefined);
    if (!response?.ok) throw new Error(`The copy ${name} could not be loaded. Is the connection there?`);
    page.manifests.set(name, await response.json());
  }
  return page.manifests.get(name);
}

function receive(data) {
  const { question } = data;
  if (!question) return; // not an answer: a test asked for something else
  if (question.trial) {
    compare(data);
    return;
  }
  if (question.number !== page.number) return; // more has been typed since
  if (data.error) {
    if (question.engine === "litert" && $("engine").value === "auto") {
      page.faster = "tensorflow";
      page.tried = true;
      ask();
    } else fail(data.error);
    return;
  }
  show(data);
  if (!page.tried && $("engine").value === "auto") setTimeout(() => tryLitert(question, data), 300);
}

// Each engine's first answer includes its compilation, so each is asked twice, and the second time counts.
// TensorFlow.js has answered once already.
const TRIALS = ["tensorflow", "litert", "litert"];

/** Lets both engines answer one question while nobody types: LiteRT is taken if it agrees and is faster. */
function tryLitert(question, answer) {
  if (page.tried || question.number !== page.number || navigator.connection?.saveData) return;
  page.tried = true;
  page.comparison = { text: answer.text };
  $("engines").textContent = "loading LiteRT, to compare…";
  tryNext(question, 0);
}

function tryNext(question, trial) {
  worker.postMessage({ ...question, engine: TRIALS[trial], trial: trial + 1 });
}

function compare({ question, error, text, milliseconds }) {
  if (error || text !== page.comparison.text) {
    $("engines").textContent = error ? "LiteRT does not run here." : "LiteRT gave another answer: not used.";
    return;
  }
  page.comparison[question.engine] = milliseconds;
  if (question.trial < TRIALS.length) {
    tryNext(question, question.trial);
    return;
  }
  const { litert, tensorflow } = page.comparison;
  if (litert < tensorflow) page.faster = "litert";
  $("engines").textContent = `LiteRT took ${time(litert)}, TensorFlow.js ${time(tensorflow)}.`;
  if (page.faster === "litert" && question.number === page.number) ask();
}

// ---------------------------------------------------------------- showing

const time = (milliseconds) => `${milliseconds.toFixed(milliseconds < 10 ? 1 : 0)} ms`;

function say(kind, message, strong = "") {
  const state = $("state");
  state.className = kind;
  const label = document.createElement("strong");
  label.textContent = strong;
  state.replaceChildren(...(strong ? [label, ` ${message}`] : [message]));
}

function fail(message) {
  $("found").hidden = true;
  page.shown = null;
  say("error", message);
}

function show(answer) {
  const { name, text } = answer.question;
  const { certify, parts } = entryOf(name);
  const manifest = page.manifests.get(name);
  const reason = untrustedReason(text, answer, manifest, certify);
  const details = `confidence ${answer.confidence.toFixed(3)} · ${time(answer.milliseconds)} · ${answer.engine}`;
  if (reason) say("untrusted", `${reason} · ${details}`, "? not trusted:");
  else say("trusted", details, certify ? "✓ certified" : "✓ trusted");
  const value = valueOf(answer.text);
  page.shown = { ...answer, inputCharacters: characterSpans(new TextEncoder().encode(text)) };
  page.chosen = -1;
  $("found").hidden = false;
  $("attention").textContent = HINT;
  showEcho(text, parts ? urlSpans(text, value) : undefined);
  showParts(parts, value, text);
  $("json").replaceChildren(...page.shown.characters.map(({ character }, index) => {
    const span = document.createElement("span");
    span.textContent = character;
    span.dataset.index = index;
    return span;
  }));
  draw();
}

/** Shows the input again, a span for each character, coloured by the part of the URL that it belongs to. */
function showEcho(text, spans) {
  const elements = (spans ?? [{ part: "", text }]).flatMap((span) =>
    [...span.text].map((character) => {
      const element = document.createElement("span");
      element.textContent = character;
      if (span.part) element.dataset.part = span.part;
      return element;
    }),
  );
  $("echo").replaceChildren(...elements);
}

function showParts(parts, value, text) {
  const table = $("parts");
  table.hidden = !parts || !Array.isArray(value);
  if (table.hidden) return;
  const other = browsersParts(text);
  table.tBodies[0].replaceChildren(...parts.map((part, index) => {
    const row = document.createElement("tr");
    const head = document.createElement("th");
    head.scope = "row";
    head.textContent = part;
    head.dataset.part = part;
    row.append(head, cell(value[index]), cell(other ? other[part] : undefined, "other"));
    return row;
  }));
}

function cell(text, className = "") {
  const element = document.createElement("td");
  element.className = className;
  if (text === undefined || text === "") {
    const span = document.createElement("span");
    span.className = "empty";
    span.textContent = text === undefined ? "no URL" : "empty";
    element.append(span);
  } else element.textContent = String(text);
  return element;
}

/** The same parts by this browser's own parser; undefined where that takes the text for no URL. */
function browsersParts(text) {
  let url;
  try {
    url = new URL(text);
  } catch {
    return undefined;
  }
  const login = url.username ? `${url.username}${url.password ? `:${url.password}` : ""}@` : "";
  const values = [url.protocol.slice(0, -1), login + url.host, url.pathname, "", url.search.slice(1), url.hash.slice(1)];
  return Object.fromEntries(URL_PARTS.map((part, index) => [part, values[index]]));
}

// ---------------------------------------------------------------- attention

const heat = () => getComputedStyle(document.documentElement).getPropertyValue("--heat");

function draw() {
  const { attention, width, inputCharacters, characters } = page.shown;
  const columns = (inputCharacters.at(-1)?.end ?? 0) + 1; // with EOS
  const rows = (characters.at(-1)?.end ?? 0) + 1;
  const canvas = $("heatmap");
  const scale = Math.max(3, Math.min(8, Math.floor(860 / columns)));
  [canvas.width, canvas.height] = [columns, rows];
  Object.assign(canvas.style, { width: `${columns * scale}px`, height: `${rows * scale}px` });
  const context = canvas.getContext("2d");
  const image = context.createImageData(columns, rows);
  const colour = heat().split(",").map(Number);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const weight = attention[row * width + column] ?? 0;
      image.data.set([...colour, 255 * Math.sqrt(weight)], 4 * (row * columns + column));
    }
  }
  context.putImageData(image, 0, 0);
}

/** Marks one character of the answer, and tints each character of the input by its attention weight for that one. */
function choose(index) {
  const { characters, inputCharacters, attention, width } = page.shown;
  if (!characters.length) return;
  page.chosen = Math.max(0, Math.min(characters.length - 1, index));
  const { character, start, end } = characters[page.chosen];
  [...$("json").children].forEach((span, position) => span.classList.toggle("chosen", position === page.chosen));
  const largestWeight = (first, behind) => {
    let largest = 0;
    for (let row = start; row < end; row++) {
      for (let column = first; column < behind; column++) largest = Math.max(largest, attention[row * width + column] ?? 0);
    }
    return largest;
  };
  const colour = heat();
  const weights = inputCharacters.map((span) => largestWeight(span.start, span.end));
  const eos = inputCharacters.at(-1)?.end ?? 0;
  [...$("echo").children].forEach((span, position) => {
    span.style.backgroundColor = weights[position] > 0.02 ? `rgba(${colour}, ${0.6 * Math.sqrt(weights[position])})` : "";
  });
  const most = weights.indexOf(Math.max(...weights));
  const atEnd = largestWeight(eos, eos + 1) >= (weights[most] ?? 0);
  const where = atEnd ? "the end of the text" : `“${inputCharacters[most].character}”, character ${most + 1}`;
  $("attention").textContent = `For “${character}”, byte ${start + 1} of the answer, it attended most to ${where}.`;
}

$("json").addEventListener("pointermove", ({ target }) => target.dataset.index && choose(Number(target.dataset.index)));
$("json").addEventListener("focus", () => page.shown && page.chosen < 0 && choose(0));
$("json").addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!step || !page.shown) return;
  event.preventDefault();
  choose(page.chosen + step);
});
$("heatmap").addEventListener("pointermove", (event) => {
  const byte = Math.floor((event.offsetY / event.target.clientHeight) * event.target.height);
  const index = page.shown?.characters.findIndex(({ start, end }) => start <= byte && byte < end);
  if (index >= 0) choose(index);
});

// ---------------------------------------------------------------- choosing a copy, and the address bar

let remembered;

function remember(name, text) {
  clearTimeout(remembered);
  remembered = setTimeout(() => {
    history.replaceState(null, "", `#${new URLSearchParams({ copy: name, text })}`);
  }, 250); // browsers complain about an address that changes at each key
}

async function chooseCopy(name, text) {
  page.name = name;
  document.querySelector(`input[value="${CSS.escape(name)}"]`).checked = true;
  const manifest = isKnown(name) ? undefined : await manifestOf(name).catch(() => undefined);
  if (name !== page.name) return; // another copy has been chosen since
  const { description, examples } = entryOf(name, manifest);
  $("description").textContent = description;
  $("examples").replaceChildren(...examples.map((example) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = example;
    button.addEventListener("click", () => {
      $("text").value = example;
      ask();
    });
    return button;
  }));
  $("text").value = text ?? examples[0] ?? "";
  showMeasured(name);
  ask();
}

async function showMeasured(name) {
  $("measured").textContent = "";
  const { held_out_counts: counts } = await manifestOf(name).catch(() => ({}));
  if (!counts || name !== page.name) return; // another copy may have been chosen since
  $("measured").textContent = `On ${counts.count.toLocaleString("en")} made-up inputs that training never saw, ${counts.exact.toLocaleString("en")} of this copy's answers were exactly correct.`;
}

function fromAddress() {
  const asked = new URLSearchParams(location.hash.slice(1));
  const name = page.names.includes(asked.get("copy")) ? asked.get("copy") : page.names[0];
  chooseCopy(name, asked.get("text") ?? undefined);
}

async function begin() {
  const response = await fetch("models/index.json").catch(() => undefined);
  page.names = response?.ok ? await response.json() : [];
  if (!page.names.length) {
    fail("There is no learned copy here: python -m urlseq export urlparse, then npm run build.");
    return;
  }
  $("copies").append(...page.names.map((name) => {
    const label = document.createElement("label");
    const input = Object.assign(document.createElement("input"), { type: "radio", name: "copy", value: name });
    input.addEventListener("change", () => chooseCopy(name));
    label.append(input, entryOf(name).title);
    return label;
  }));
  $("text").addEventListener("input", ask);
  $("engine").addEventListener("change", ask);
  addEventListener("hashchange", fromAddress);
  fromAddress();
}

begin();
