// Answers in a thread of its own, so that typing never waits. Only the newest question counts: it replaces any that
// still waits. A trial, which only compares the engines, is answered when no question waits, and its engine is loaded
// meanwhile.

import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";

import { attentionRows, characterSpans, jsonBytes, toTokens } from "./copy.js";
import * as litert from "./litert.js";
import * as tensorflow from "./tensorflow.js";

const base = new URL("./", self.location.href).href;
setWasmPaths(`${base}tensorflow/`);

const copies = new Map(); // name of a copy: a promise of its manifest and its engines
let backend;
let waiting = null; // the newest question that was typed
let trial = null; // one that compares the engines
let busy = false;

self.onmessage = async ({ data }) => {
  if (data.ask === "tensors") {
    self.postMessage({ tensors: tensorflow.tensors() });
    return;
  }
  if (data.trial) {
    try {
      await engineOf(data);
    } catch (error) {
      fail(error, data);
      return;
    }
    trial = data;
  } else waiting = data;
  if (!busy) work();
};

async function work() {
  busy = true;
  while (waiting ?? trial) {
    const question = waiting ?? trial;
    if (waiting) waiting = null;
    else trial = null;
    try {
      self.postMessage({ ...(await predict(question)), question });
    } catch (error) {
      fail(error, question);
    }
    // Messages that arrived meanwhile are handled only when this function yields to the event loop.
    await new Promise((resolve) => setTimeout(resolve));
  }
  busy = false;
}

function fail(error, question) {
  self.postMessage({ error: error.message ?? String(error), question });
}

/** All that the page shows of the answer to a question. */
async function predict(question) {
  const { name, text, engine } = question;
  const { answer } = await engineOf(question);
  const before = performance.now();
  const record = await answer(text);
  const milliseconds = performance.now() - before;
  const { encoding } = (await copyNamed(name)).manifest;
  const json = jsonBytes(record.answer, encoding);
  return {
    text: json.text,
    characters: characterSpans(json.bytes),
    confidence: record.confidence,
    ended: record.ended,
    attention: attentionRows(record.attention, record.width, json.steps),
    width: record.width,
    milliseconds,
    engine: engine === "litert" ? "LiteRT" : `TensorFlow.js, ${backend === "wasm" ? "WebAssembly" : "plain JavaScript"}`,
  };
}

async function engineOf({ name, engine }) {
  return (await copyNamed(name)).engine(engine);
}

function copyNamed(name) {
  if (!copies.has(name)) {
    const opening = open(name);
    copies.set(name, opening);
    opening.catch(() => copies.delete(name)); // the next question tries again
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
  const engines = {
    tensorflow: async () => {
      backend ??= await tensorflow.start();
      const model = await tensorflow.open(manifest, load);
      return { answer: async (text) => (await model.answer([toTokens(text)]))[0] };
    },
    litert: async () => {
      await litert.start(base);
      return litert.open(manifest, load);
    },
  };
  const running = {};
  const engine = async (kind) => {
    running[kind] ??= engines[kind]();
    running[kind].catch(() => delete running[kind]);
    return running[kind];
  };
  return { manifest, engine };
}

async function download(address) {
  let response;
  try {
    response = await fetch(address);
  } catch {
    throw new Error(`${address} could not be loaded. Is the connection there?`);
  }
  if (!response.ok) throw new Error(`${address} could not be loaded (${response.status}).`);
  return response.arrayBuffer();
}

const hex = (buffer) => [...new Uint8Array(buffer)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
