// Two tabs, loaded when one is opened: a network that learns in the browser, and the replay of a training of `urlparse`.

import markup from "./learn.html";
import { $, element, number, radio } from "./dom.js";
import { INPUTS, PRESETS } from "./learn_examples.js";
import { showAttempts, showCurve, showHeat } from "./learn_show.js";
import { startReplay } from "./replay.js";

const panel = $("panel-learn");
// Seconds: of training, until a function may be called hopeless (and how many examples that takes at least), and that
// the function itself may take for all examples and for one input. A test shortens them.
const LIMITS = { train: 120, hopeless: 30, fewest: undefined, examples: 6, one: 2, ...JSON.parse(panel.dataset.limits ?? "{}") };
const shown = { running: false, points: [], report: undefined };
let trainer; // the thread that trains
let functions; // the thread of the visitor's function

// ---------------------------------------------------------------- the visitor's function

/** Asks the function's thread; where it does not come back in time, it is ended. */
function askFunction(message, seconds) {
  functions ??= new Worker("learn_function.js");
  const thread = functions;
  return new Promise((resolve) => {
    const late = setTimeout(() => {
      endFunction();
      resolve({ error: `The function did not come back within ${seconds} seconds, and was stopped. Is there a loop without an end?` });
    }, 1000 * seconds);
    const answered = ({ data }) => {
      if (data.number !== message.number) return;
      clearTimeout(late);
      thread.removeEventListener("message", answered);
      resolve(data);
    };
    thread.addEventListener("message", answered);
    thread.postMessage(message);
  });
}

function endFunction() {
  functions?.terminate();
  functions = undefined;
}

// ---------------------------------------------------------------- training

function say(text, kind = "") {
  $("learn-state").textContent = text;
  $("learn-state").className = kind;
}

function running(is, mayGoOn = false) {
  shown.running = is;
  $("learn-start").textContent = is ? "Stop" : "Start again";
  $("learn-more").hidden = !mayGoOn;
}

async function start() {
  end();
  running(true);
  $("learn-progress").hidden = true;
  $("learn-answer").textContent = "";
  say("Making examples…");
  const attempt = (shown.attempt = {});
  const made = await askFunction({ source: $("learn-source").value, inputs: $("learn-inputs").value }, LIMITS.examples);
  if (attempt !== shown.attempt) return; // stopped meanwhile
  if (made.error) {
    running(false);
    say(made.error, "error");
    return;
  }
  say(`It learns from ${number(made.training.length)} examples: ${made.kind}.`);
  trainer ??= new Worker("learn_worker.js");
  trainer.onmessage = ({ data }) => receive(data);
  trainer.onerror = ({ message }) => failed(message || "learn_worker.js could not be loaded");
  trainer.postMessage({ ...made, hopeless: LIMITS.hopeless, fewest: LIMITS.fewest, seconds: LIMITS.train });
}

/** Forgets what was learned so far. */
function end() {
  endFunction();
  Object.assign(shown, { points: [], report: undefined, attempt: undefined });
  trainer?.terminate();
  trainer = undefined;
}

function failed(message) {
  end();
  running(false);
  say(`The training failed: ${message}. Start it again, or reload the page.`, "error");
}

function receive(data) {
  if (data.error) failed(data.error);
  else if (data.report) showReport(data);
  else if (data.ended) ended(data.ended);
  else showAnswer(data);
}

function showReport(report) {
  const { seconds, exact, count, examples, attempts, attention, weights } = report;
  shown.report = report;
  shown.points.push({ x: seconds, share: exact / count });
  panel.dataset.tensors = report.tensors;
  $("learn-progress").hidden = false;
  $("learn-counts").textContent = `After ${Math.round(seconds)} seconds and ${number(examples)} examples, its ${number(weights)} numbers give ` +
    `exactly the correct answer to ${exact} of ${count} inputs that training never shows (${percent(report)}).`;
  showCurve($("learn-curve"), shown.points, Math.max(10, seconds), "seconds");
  showAttempts($("learn-attempts"), attempts);
  const [{ input, predicted }] = attempts;
  if (!$("learn-text").value) showAttention(attention, input, predicted);
  else ask(); // it may know better by now
}

const percent = ({ exact, count }) => `${((100 * exact) / count).toFixed(1)} %`;

function showAttention(attention, input, predicted) {
  $("learn-looked").textContent = `Where it looks in “${input}”`;
  showHeat($("learn-heat"), attention, input, predicted);
}

const ENDINGS = {
  learned: ({ exact, count, seconds }) => `✓ Learned in ${Math.round(seconds)} seconds: ${exact} of ${count} held-out inputs are exact. Type one of your own.`,
  stopped: ({ exact, count, seconds }) => `Stopped after ${Math.round(seconds)} seconds, with ${exact} of ${count} exact.`,
  time: ({ exact, count, seconds }) => `Time is up: ${exact} of ${count} are exact after ${Math.round(seconds)} seconds. It may learn more if it goes on.`,
  hopeless: ({ exact, count, seconds, guesses: { copying, frequent, nearest } }) => `✗ This looks hopeless: after ${Math.round(seconds)} seconds, ${exact} of ${count} ` +
    `are exact, hardly more than by guessing: the input itself is right for ${copying}, the most frequent answer for ${frequent}, ` +
    `the answer to the most similar example for ${nearest}. A network learns what similar inputs have in common; a checksum hides just that.`,
};

function ended(how) {
  running(false, how !== "learned");
  say(ENDINGS[how](shown.report), { learned: "right", hopeless: "wrong" }[how]);
}

// ---------------------------------------------------------------- the visitor's input

let asked = 0;

function ask() {
  const text = $("learn-text").value;
  asked += 1;
  if (text) trainer?.postMessage({ text, number: asked });
  else $("learn-answer").textContent = "";
}

async function showAnswer({ text, number, refused, predicted, attention }) {
  if (number !== asked) return;
  if (refused) {
    $("learn-answer").textContent = refused;
    return;
  }
  showAttention(attention, text, predicted);
  const { expected, error } = functions ? await askFunction({ text, number }, LIMITS.one) : { error: "The function was stopped." };
  if (number !== asked) return;
  const right = predicted === expected;
  $("learn-answer").className = right ? "right" : "wrong";
  $("learn-answer").textContent = `${predicted} ${error ?? (right ? "✓ as the function says" : `✗ the function says ${expected}`)}`;
}

// ---------------------------------------------------------------- the tab

function choose(preset) {
  $("learn-source").value = preset.source;
  $("learn-source").rows = preset.source.split("\n").length + 1;
  $("learn-inputs").value = preset.inputs;
}

function build() {
  document.head.append(Object.assign(document.createElement("link"), { rel: "stylesheet", href: "learn.css" }));
  panel.innerHTML = markup;
  $("learn-inputs").append(...Object.entries(INPUTS).map(([value, { title }]) => element("option", title, { value })));
  $("learn-presets").append(...Object.entries(PRESETS).map(([name, preset]) => radio("preset", `learn-${name}`, preset.title, () => choose(preset))));
  $("learn-presets").querySelector("input").click(); // chooses the first
  $("learn-source").addEventListener("input", () => document.querySelectorAll('input[name="preset"]').forEach((input) => { input.checked = false; }));
  $("learn-start").addEventListener("click", () => {
    if (!shown.running) start();
    else if (shown.report) trainer.postMessage({ stop: true });
    else {
      end();
      running(false);
      say("Stopped.");
    }
  });
  $("learn-more").addEventListener("click", () => {
    running(true);
    say("It goes on…");
    trainer.postMessage({ seconds: LIMITS.train });
  });
  $("learn-text").addEventListener("input", ask);
}

build();
startReplay($("panel-replay"));
