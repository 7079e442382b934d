// node answers.mjs FOLDER < questions.json > answers.json: the answers of an export's TensorFlow.js model to many inputs.
// The questions are `inputs`, with the manifest's `encoding`. `urlseq/export/browser.py` compares the answers with the
// copy's; no browser is needed.

import { readFile } from "node:fs/promises";
import path from "node:path";
import { text as readAll } from "node:stream/consumers";

import { answerText, toTokens } from "./src/copy.js";
import { open, start } from "./src/tensorflow.js";

const BATCH = 64;
console.log = console.warn = () => {}; // the library's advertisements
await start();

const folder = process.argv[2];
const load = async (name) => {
  const bytes = await readFile(path.join(folder, name));
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
};
const model = await open({ tensorflowjs: { model: "model.json" } }, load);
const { encoding, inputs } = JSON.parse(await readAll(process.stdin));
const order = inputs.map((_, index) => index).sort((a, b) => inputs[a].length - inputs[b].length);
const predictions = [];
for (let start = 0; start < order.length; start += BATCH) {
  const batch = order.slice(start, start + BATCH);
  const width = Math.max(...batch.map((index) => toTokens(inputs[index]).length));
  const records = await model.answer(batch.map((index) => toTokens(inputs[index], width)));
  records.forEach(({ answer, confidence, ended }, row) => {
    predictions[batch[row]] = { answer: answerText(answer, encoding), confidence, ended };
  });
}
process.stdout.write(JSON.stringify(predictions));
