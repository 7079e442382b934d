// How an answer is shown: whether to trust it and whether it is right, the parts, the JSON text, and attention.

import { characterSpans, valueOf } from "./copy.js";
import { $, element, heatColour, paintHeat } from "./dom.js";
import { entryOf, urlSpans } from "./functions.js";

const HINT = $("attention").textContent;
let shown = null; // the answer, and the characters of its input
let chosen = -1; // a character of the answer

export const time = (milliseconds) => `${milliseconds.toFixed(milliseconds < 10 ? 1 : 0)} ms`;

function say(kind, message, strong = "") {
  $("state").className = kind;
  $("state").replaceChildren(...(strong ? [element("strong", strong), ` ${message}`] : [message]));
}

export function fail(message) {
  shown = null;
  $("found").hidden = $("truth").hidden = true;
  say("error", message);
}

/** Shows an answer; `expected` is the JSON text that the real function returns, or undefined. */
export function show(answer, expected) {
  const { name, text } = answer.question;
  const { inverts, parts } = entryOf(name);
  const details = `confidence ${answer.confidence.toFixed(3)} · ${time(answer.milliseconds)} · ${answer.engine}`;
  if (answer.reason) say("untrusted", `${answer.reason} · ${details}`, "? not trusted:");
  else say("trusted", details, inverts ? "✓ certified" : "✓ trusted");
  const right = answer.text === expected;
  const real = answer.manifest.function;
  $("truth").hidden = expected === undefined;
  $("truth").className = right ? "trusted" : "error";
  $("truth").textContent = right ? `= exactly what ${real} returns in Python` : `≠ ${real} returns in Python: ${expected}`;
  const value = valueOf(answer.text);
  shown = { ...answer, inputCharacters: characterSpans(new TextEncoder().encode(text)) };
  chosen = -1;
  $("found").hidden = false;
  $("attention").textContent = HINT;
  showEcho(text, parts ? urlSpans(text, value) : undefined);
  showParts(parts, value, right ? undefined : valueOf(expected));
  $("json").replaceChildren(...answer.characters.map(({ character }, index) => {
    const span = element("span", character);
    span.dataset.index = index;
    return span;
  }));
  setTimeout(draw); // when the answer is there to be seen
}

/** Shows the attention weights of the answer that is shown. */
export function showAttention(attention) {
  shown.attention = attention;
  draw();
  if (chosen >= 0) choose(chosen);
}

/** Shows the input again, a span for each character, coloured by the part of the URL that it belongs to. */
function showEcho(text, spans) {
  $("echo").replaceChildren(...(spans ?? [{ part: "", text }]).flatMap((span) =>
    [...span.text].map((character) => {
      const made = element("span", character);
      if (span.part) made.dataset.part = span.part;
      return made;
    }),
  ));
}

/** The parts with their meaning; beside them those of the real function, where they are others. */
function showParts(parts, value, real) {
  $("parts").hidden = !parts || !Array.isArray(value);
  if ($("parts").hidden) return;
  $("real").hidden = !Array.isArray(real);
  $("parts").tBodies[0].replaceChildren(...Object.entries(parts).map(([part, meaning], index) => {
    const head = element("th", part, { scope: "row" });
    head.dataset.part = part;
    head.append(element("small", ` ${meaning}`));
    const row = document.createElement("tr");
    row.append(head, cell(value[index]), ...(Array.isArray(real) ? [cell(real[index])] : []));
    return row;
  }));
}

function cell(text) {
  if (text !== "" && text !== undefined) return element("td", String(text));
  const made = element("td", "");
  made.append(element("span", text === "" ? "empty" : "none", { className: "empty" }));
  return made;
}

// ---------------------------------------------------------------- attention

function draw() {
  if (!shown?.attention) return;
  const { attention: { rows: weights, width }, inputCharacters, characters } = shown;
  const columns = (inputCharacters.at(-1)?.end ?? 0) + 1; // with EOS
  const rows = (characters.at(-1)?.end ?? 0) + 1;
  const canvas = $("heatmap");
  const fits = columns <= 90; // a character beside each row and above each column can be read
  const scale = fits ? 10 : Math.max(3, Math.floor(840 / columns));
  Object.assign(canvas.style, { width: `${columns * scale}px`, height: `${rows * scale}px` });
  label($("above"), fits ? inputCharacters : [], "width", scale);
  label($("beside"), fits ? characters : [], "height", scale);
  const weightsOf = (row) => Array.from({ length: columns }, (_, column) => weights[row * width + column] ?? 0);
  paintHeat(canvas, Array.from({ length: rows }, (_, row) => weightsOf(row)));
}

function label(place, characters, side, scale) {
  place.replaceChildren(...characters.map(({ character, start, end }) => {
    const span = element("span", character);
    span.style[side] = `${(end - start) * scale}px`;
    return span;
  }));
}

/** Marks one character of the answer, and tints each character of the input by its attention weight for that one. */
function choose(index) {
  const { characters, inputCharacters, attention } = shown;
  if (!characters.length) return;
  chosen = Math.max(0, Math.min(characters.length - 1, index));
  const { character, start, end } = characters[chosen];
  [...$("json").children].forEach((span, position) => span.classList.toggle("chosen", position === chosen));
  if (!attention) return; // it comes
  const largestWeight = (first, behind) => {
    let largest = 0;
    for (let row = start; row < end; row++) {
      for (let column = first; column < behind; column++) largest = Math.max(largest, attention.rows[row * attention.width + column] ?? 0);
    }
    return largest;
  };
  const colour = heatColour();
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
$("json").addEventListener("focus", () => shown && chosen < 0 && choose(0));
$("json").addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!step || !shown) return;
  event.preventDefault();
  choose(chosen + step);
});
$("heatmap").addEventListener("pointermove", (event) => {
  const byte = Math.floor((event.offsetY / event.target.clientHeight) * event.target.height);
  const index = shown?.characters.findIndex(({ start, end }) => start <= byte && byte < end);
  if (index >= 0) choose(index);
});
