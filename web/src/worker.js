// Answers in a thread of its own, so that typing never waits. The build makes two workers of this file, one for each
// engine. Only the newest question counts: it replaces any that still waits. A trial, which compares the engines, is
// never dropped.

import * as engine from "engine"; // tensorflow.js or litert.js

import { attentionRows, characterSpans, invalidReason, jsonBytes, untrustedReason } from "./copy.js";
import { entryOf } from "./functions.js";

const base = new URL("./", self.location.href).href;
const copies = new Map(); // name of a copy: a promise of its manifest and its model
const waiting = []; // what is to be done for questions whose copy is loaded
let newest;
let starting;
let busy = false;
start().catch(() => {}); // before any question; the first one tells what failed

self.onmessage = async ({ data: question }) => {
  if (!question.trial) newest = question;
  try {
    const { manifest, model } = await copyNamed(question.name);
    const refused = question.text === null ? "" : invalidReason(question.text, manifest);
    if (question.text === null || refused) self.postMessage({ question, manifest, refused });
    else {
      const [label, loaded] = await Promise.all([start(), model]);
      later(question, () => answer(question, manifest, label, loaded));
    }
  } catch (error) {
    fail(question, error);
  }
};

function later(question, act) {
  waiting.push({ question, act });
  if (!busy) work();
}

async function work() {
  busy = true;
  while (waiting.length) {
    const { question, act } = waiting.shift();
    if (question !== newest && !question.trial) continue;
    await act().catch((error) => fail(question, error));
    // Messages that arrived meanwhile are handled only when this function yields to the event loop.
    await new Promise((resolve) => setTimeout(resolve));
  }
  busy = false;
}

const fail = (question, error) => self.postMessage({ error: error.message ?? String(error), question });

/** Loads the engine, once it succeeds. */
function start() {
  starting ??= engine.start(base).catch((error) => {
    starting = undefined;
    throw error;
  });
  return starting;
}

/** Posts all that the page shows of an answer; attention when nobody types, where the engine takes longer for it. */
async function answer(question, manifest, label, { predict, attend }) {
  const { name, text, trial } = question;
  const before = performance.now();
  const record = await predict(text);
  const milliseconds = performance.now() - before;
  const json = jsonBytes(record.answer, manifest.encoding);
  const { confidence, ended } = record;
  const attentionOf = ({ attention, width }) => attention && { rows: attentionRows(attention, width, json.steps), width };
  self.postMessage({
    question,
    manifest,
    text: json.text,
    characters: characterSpans(json.bytes),
    confidence,
    reason: untrustedReason(text, { text: json.text, confidence, ended }, manifest, entryOf(name).inverts),
    attention: attentionOf(record),
    milliseconds,
    engine: label,
  });
  if (!attend || trial) return;
  const showAttention = async () => self.postMessage({ question, attention: attentionOf(await attend(text)) });
  setTimeout(() => later(question, showAttention), 100);
}

function copyNamed(name) {
  if (!copies.has(name)) {
    const opening = open(name);
    copies.set(name, opening);
    opening.then(({ model }) => model).catch(() => copies.delete(name)); // the next question tries again
  }
  return copies.get(name);
}

async function open(name) {
  const folder = `${base}models/${name}/`;
  const manifest = JSON.parse(new TextDecoder().decode(await download(`${folder}manifest.json`)));
  const load = async (path) => {
    const bytes = await download(folder + path);
    const expected = manifest.files[path];
    if (bytes.byteLength !== expected.bytes) {
      throw new Error(`${path} has ${bytes.byteLength} bytes instead of ${expected.bytes}: it was cut short. Reload, or export the copy again.`);
    }
    if (globalThis.crypto?.subtle && hex(await crypto.subtle.digest("SHA-256", bytes)) !== expected.sha256) {
      throw new Error(`${path} is not the file that was exported. Reload, or export the copy again.`);
    }
    return bytes;
  };
  const paths = Object.keys(manifest.files).filter((path) => path.startsWith(`${FORM}/`));
  const files = new Map(paths.map((path) => [path, load(path)])); // all at once, while the engine starts
  const model = Promise.all([start(), ...files.values()]).then(() => engine.open(manifest, (path) => files.get(path)));
  return { manifest, model };
}

async function download(address) {
  const response = await fetch(address).catch(() => undefined);
  if (response?.ok) return response.arrayBuffer();
  const why = response ? ` (${response.status})` : ". Is the connection there?";
  throw new Error(`${address} could not be loaded${why}`);
}

const hex = (buffer) => [...new Uint8Array(buffer)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
