// Answers in a thread of its own, so that typing never waits. Only the newest question counts: one that comes while
// another is being answered takes the place of any that waits. What only compares the engines is answered when no
// question waits, and its engine is loaded meanwhile.

import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";

import { answerBytes, answerText, characters, toTokens } from "./copy.js";
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
      failed(error, data);
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
      self.postMessage({ ...(await answered(question)), question });
    } catch (error) {
      failed(error, question);
    }
    // A message that arrived meanwhile is heard only when the thread comes up for air.
    await new Promise((resolve) => setTimeout(resolve));
  }
  busy = false;
}

function failed(error, question) {
  self.postMessage({ error: error.message ?? String(error), question });
}

async function answered(question) {
  const { text, engine } = question;
  const { answer } = await engineOf(question);
  const before = performance.now();
  const record = await answer(text);
  const milliseconds = performance.now() - before;
  const bytes = answerBytes(record.answer);
  return {
    text: answerText(record.answer),
    letters: characters(bytes),
    confidence: record.confidence,
    ended: record.ended,
    attention: record.attention.slice(0, (bytes.length + 1) * record.width),
    width: record.width,
    milliseconds,
    engine: engine === "litert" ? "LiteRT" : `TensorFlow.js, ${backend === "wasm" ? "WebAssembly" : "plain JavaScript"}`,
  };
}

async function engineOf({ name, engine }) {
  return (await opened(name)).engine(engine);
}

function opened(name) {
  if (!copies.has(name)) {
    const opening = open(name);
    copies.set(name, opening);
    opening.catch(() => copies.delete(name)); // what could not be loaded now may be there the next time
  }
  return copies.get(name);
}

async function open(name) {
  const folder = `${base}models/${name}/`;
  const manifest = JSON.parse(new TextDecoder().decode(await fetched(`${folder}manifest.json`)));
  const read = async (path) => {
    const bytes = await fetched(folder + path);
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
      const model = await tensorflow.open(manifest, read);
      return { answer: async (text) => (await model.answer([toTokens(text)]))[0] };
    },
    litert: async () => {
      await litert.start(base);
      return litert.open(manifest, read);
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

async function fetched(address) {
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
