// node answers.mjs FOLDER < texts.json > answers.json: what the TensorFlow.js model of an export says of texts.
// `urlseq/export.py` compares that with the copy; no browser is needed.

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import { text as readAll } from "node:stream/consumers";

import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";

import { answerText, toTokens } from "./src/copy.js";
import { open, start } from "./src/tensorflow.js";

const BATCH = 64;
console.log = console.warn = () => {}; // the library's advertisements
const backend = path.dirname(createRequire(import.meta.url).resolve("@tensorflow/tfjs-backend-wasm"));
setWasmPaths(`${backend}/`);
await start();

const folder = process.argv[2];
const read = async (name) => {
  const bytes = await readFile(path.join(folder, name));
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
};
const model = await open({ tensorflowjs: { model: "model.json" } }, read);
const texts = JSON.parse(await readAll(process.stdin));
const order = texts.map((_, place) => place).sort((a, b) => texts[a].length - texts[b].length);
const found = [];
for (let place = 0; place < order.length; place += BATCH) {
  const batch = order.slice(place, place + BATCH);
  const width = Math.max(...batch.map((row) => toTokens(texts[row]).length));
  const records = await model.answer(batch.map((row) => toTokens(texts[row], width)));
  records.forEach(({ answer, confidence, ended }, row) => {
    found[batch[row]] = { text: answerText(answer), confidence, ended };
  });
}
process.stdout.write(JSON.stringify(found));
