// The page: asks the worker at each key press, and shows what comes back.

import { characters, doubt, refusal, valueOf } from "./copy.js";
import { known, stretches, URL_PARTS } from "./functions.js";

const $ = (id) => document.getElementById(id);
const page = { names: [], manifests: new Map(), name: "", number: 0, shown: null, chosen: -1, faster: "tensorflow" };
let worker = newWorker();

function newWorker() {
  const made = new Worker("worker.js");
  made.onmessage = ({ data }) => heard(data);
  made.onerror = (event) => say("error", `The network's thread stopped: ${event.message || "no word why"}. Reload the page.`);
  return made;
}

// ---------------------------------------------------------------- asking

const engine = () => ($("engine").value === "auto" ? page.faster : $("engine").value);

/** Puts the newest question; answers to earlier ones are no longer wanted from here on. */
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
  const reason = refusal(text, manifest);
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

function heard(data) {
  const { question } = data;
  if (!question) return; // not an answer: a test asked for something else
  if (question.trial) {
    compared(data);
    return;
  }
  if (question.number !== page.number) return; // the reader has typed on since
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

// Each engine's first answer pays for its compilation, so each is asked twice, and the second time counts.
const TRIALS = ["tensorflow", "litert", "litert"];

/** Lets both engines answer one question while nobody types: LiteRT is taken if it agrees and is faster. */
function tryLitert(question, answer) {
  if (page.tried || question.number !== page.number || navigator.connection?.saveData) return;
  page.tried = true;
  page.compared = { text: answer.text };
  $("engines").textContent = "loading LiteRT, to compare…";
  tryNext(question, 0);
}

function tryNext(question, trial) {
  worker.postMessage({ ...question, engine: TRIALS[trial], trial: trial + 1 });
}

function compared({ question, error, text, milliseconds }) {
  if (error || text !== page.compared.text) {
    $("engines").textContent = error ? "LiteRT does not run here." : "LiteRT answered otherwise: not used.";
    return;
  }
  page.compared[question.engine] = milliseconds;
  if (question.trial < TRIALS.length) {
    tryNext(question, question.trial);
    return;
  }
  const { litert, tensorflow } = page.compared;
  if (litert < tensorflow) page.faster = "litert";
  $("engines").textContent = `LiteRT took ${time(litert)}, TensorFlow.js ${time(tensorflow)}.`;
  if (page.faster === "litert" && question.number === page.number) ask();
}

// ---------------------------------------------------------------- showing

const time = (milliseconds) => `${milliseconds.toFixed(milliseconds < 10 ? 1 : 0)} ms`;

function say(kind, words, strong = "") {
  const state = $("state");
  state.className = kind;
  const mark = document.createElement("strong");
  mark.textContent = strong;
  state.replaceChildren(...(strong ? [mark, ` ${words}`] : [words]));
}

function fail(words) {
  $("found").hidden = true;
  page.shown = null;
  say("error", words);
}

function show(answer) {
  const { name, text } = answer.question;
  const { certify, parts } = known(name);
  const manifest = page.manifests.get(name);
  const reason = doubt(text, answer, manifest, certify);
  const details = `confidence ${answer.confidence.toFixed(3)} · ${time(answer.milliseconds)} · ${answer.engine}`;
  if (reason) say("doubt", `${reason} · ${details}`, "? not trusted:");
  else say("good", details, certify ? "✓ certified" : "✓ trusted");
  const value = valueOf(answer.text);
  page.shown = { ...answer, bytes: characters(new TextEncoder().encode(text)) };
  page.chosen = -1;
  $("found").hidden = false;
  showEcho(text, parts ? stretches(text, value) : undefined);
  showParts(parts, value, text);
  $("json").replaceChildren(...page.shown.letters.map(({ letter }, place) => {
    const span = document.createElement("span");
    span.textContent = letter;
    span.dataset.place = place;
    return span;
  }));
  draw();
}

function showEcho(text, pieces) {
  const spans = (pieces ?? [{ part: "", text }]).flatMap(({ part, text: written }) =>
    [...written].map((letter) => {
      const span = document.createElement("span");
      span.textContent = letter;
      if (part) span.dataset.part = part;
      return span;
    }),
  );
  $("echo").replaceChildren(...spans);
}

function showParts(parts, value, text) {
  const table = $("parts");
  table.hidden = !parts || !Array.isArray(value);
  if (table.hidden) return;
  const other = browsersParts(text);
  table.tBodies[0].replaceChildren(...parts.map((part, place) => {
    const row = document.createElement("tr");
    const head = document.createElement("th");
    head.scope = "row";
    head.textContent = part;
    head.dataset.part = part;
    row.append(head, cell(value[place]), cell(other ? other[part] : undefined, "other"));
    return row;
  }));
}

function cell(text, className = "") {
  const made = document.createElement("td");
  made.className = className;
  const words = text === undefined ? "refused" : text === "" ? "empty" : String(text);
  if (text === undefined || text === "") {
    const span = document.createElement("span");
    span.className = "empty";
    span.textContent = words;
    made.append(span);
  } else made.textContent = words;
  return made;
}

/** What this browser's own parser says, in the same parts; undefined where it refuses the text. */
function browsersParts(text) {
  let url;
  try {
    url = new URL(text);
  } catch {
    return undefined;
  }
  const login = url.username ? `${url.username}${url.password ? `:${url.password}` : ""}@` : "";
  const values = [url.protocol.slice(0, -1), login + url.host, url.pathname, "", url.search.slice(1), url.hash.slice(1)];
  return Object.fromEntries(URL_PARTS.map((part, place) => [part, values[place]]));
}

// ---------------------------------------------------------------- attention

const heat = () => getComputedStyle(document.documentElement).getPropertyValue("--heat");

function draw() {
  const { attention, width, bytes, letters } = page.shown;
  const columns = (bytes.at(-1)?.to ?? 0) + 1; // with the end mark
  const rows = (letters.at(-1)?.to ?? 0) + 1;
  const canvas = $("heatmap");
  const scale = Math.max(3, Math.min(8, Math.floor(860 / columns)));
  [canvas.width, canvas.height] = [columns, rows];
  Object.assign(canvas.style, { width: `${columns * scale}px`, height: `${rows * scale}px` });
  const context = canvas.getContext("2d");
  const image = context.createImageData(columns, rows);
  const colour = heat().split(",").map(Number);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const strength = attention[row * width + column] ?? 0;
      image.data.set([...colour, 255 * Math.sqrt(strength)], 4 * (row * columns + column));
    }
  }
  context.putImageData(image, 0, 0);
}

/** Marks one letter of the answer, and tints the letters of the text that the network looked at for it. */
function choose(place) {
  const { letters, bytes, attention, width } = page.shown;
  if (!letters.length) return;
  page.chosen = Math.max(0, Math.min(letters.length - 1, place));
  const { letter, from, to } = letters[page.chosen];
  [...$("json").children].forEach((span, at) => span.classList.toggle("chosen", at === page.chosen));
  const weight = (first, last) => {
    let most = 0;
    for (let row = from; row < to; row++) {
      for (let column = first; column < last; column++) most = Math.max(most, attention[row * width + column] ?? 0);
    }
    return most;
  };
  const colour = heat();
  const weights = bytes.map((character) => weight(character.from, character.to));
  const end = bytes.at(-1)?.to ?? 0;
  [...$("echo").children].forEach((span, at) => {
    span.style.backgroundColor = weights[at] > 0.02 ? `rgba(${colour}, ${0.6 * Math.sqrt(weights[at])})` : "";
  });
  const best = weights.indexOf(Math.max(...weights));
  const where = weight(end, end + 1) >= (weights[best] ?? 0) ? "the end of the text" : `“${bytes[best].letter}”, character ${best + 1}`;
  $("looked").textContent = `For “${letter}”, byte ${from + 1} of the answer, it looked most at ${where}.`;
}

$("json").addEventListener("pointermove", ({ target }) => target.dataset.place && choose(Number(target.dataset.place)));
$("json").addEventListener("focus", () => page.shown && page.chosen < 0 && choose(0));
$("json").addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!step || !page.shown) return;
  event.preventDefault();
  choose(page.chosen + step);
});
$("heatmap").addEventListener("pointermove", (event) => {
  const byte = Math.floor((event.offsetY / event.target.clientHeight) * event.target.height);
  const place = page.shown?.letters.findIndex(({ from, to }) => from <= byte && byte < to);
  if (place >= 0) choose(place);
});

// ---------------------------------------------------------------- choosing a copy, and the address bar

let remembered;

function remember(name, text) {
  clearTimeout(remembered);
  remembered = setTimeout(() => {
    history.replaceState(null, "", `#${new URLSearchParams({ copy: name, text })}`);
  }, 250); // browsers complain about an address that changes at each key
}

function chooseCopy(name, text) {
  page.name = name;
  const { says, examples } = known(name);
  document.querySelector(`input[value="${CSS.escape(name)}"]`).checked = true;
  $("says").textContent = says;
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
  const { held_out: held } = await manifestOf(name).catch(() => ({}));
  if (!held || name !== page.name) return; // the reader may have chosen another copy since
  $("measured").textContent = `On ${held.count.toLocaleString("en")} made-up inputs that training never saw, ${held.exact.toLocaleString("en")} of this copy's answers were exactly right.`;
}

function fromAddress() {
  const wanted = new URLSearchParams(location.hash.slice(1));
  const name = page.names.includes(wanted.get("copy")) ? wanted.get("copy") : page.names[0];
  chooseCopy(name, wanted.get("text") ?? undefined);
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
    label.append(input, known(name).title);
    return label;
  }));
  $("text").addEventListener("input", ask);
  $("engine").addEventListener("change", ask);
  addEventListener("hashchange", fromAddress);
  fromAddress();
}

begin();
