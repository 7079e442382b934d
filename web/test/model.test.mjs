// What TensorFlow.js makes of an export: EXPORT=FOLDER npm test

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { before, test } from "node:test";

import { loadGraphModel } from "@tensorflow/tfjs-converter";
import * as tf from "@tensorflow/tfjs-core";

import { toTokens } from "../src/copy.js";
import { compile } from "../src/graph.js";
import { open, start } from "../src/tensorflow.js";

const folder = process.env.EXPORT;
const skip = !folder && "it needs EXPORT, the folder of an export";
const load = (path) => new Uint8Array(readFileSync(`${folder}/${path}`)).buffer;
const read = (path) => JSON.parse(new TextDecoder().decode(load(path)));
let model;

before(async () => {
  if (skip) return;
  console.log = console.warn = () => {}; // the library advertises itself
  assert.equal(await start(), "TensorFlow.js, WebAssembly");
  model = await open(read("manifest.json"), load);
});

test("the library's own interpreter gives the same answers", { skip }, async () => {
  const { modelTopology, signature, weightsManifest } = read("tensorflowjs/model.json");
  const [{ paths, weights: weightSpecs }] = weightsManifest;
  const weightData = load(`tensorflowjs/${paths[0]}`);
  const standard = await loadGraphModel({ load: async () => ({ modelTopology, signature, weightSpecs, weightData }) });
  for (const text of read("manifest.json").examples) {
    const tokens = toTokens(text);
    const input = { [signature.inputs.tokens.name]: tf.tensor2d(tokens, [1, tokens.length], "int32") };
    const outputs = ["answer", "confidence", "ended", "attention"];
    const found = await standard.executeAsync(input, outputs.map((name) => signature.outputs[name].name));
    const [record] = await model.answer([tokens]);
    outputs.forEach((name, index) => {
      const [ours, theirs] = [[record[name]].flatMap((value) => (value.length ? [...value] : Number(value))), found[index].dataSync()];
      assert.equal(ours.length, theirs.length);
      assert.ok(ours.every((number, at) => Math.abs(number - theirs[at]) < 1e-5), `${name} of ${text}`);
    });
  }
});

test("no tensor is left after answers, nor after failures", { skip }, async () => {
  const ask = (text) => model.answer([toTokens(text)]);
  await ask("a");
  const tensors = tf.memory().numTensors;
  for (let count = 0; count < 20; count++) await ask("https://a.example/b");
  assert.equal(tf.memory().numTensors, tensors);
  const softmax = tf.getKernel("Softmax", "wasm");
  const { kernelFunc } = softmax;
  softmax.kernelFunc = () => { throw new Error("no softmax"); };
  for (let count = 0; count < 100; count++) await assert.rejects(ask("a"), /no softmax/);
  softmax.kernelFunc = kernelFunc;
  assert.equal(tf.memory().numTensors, tensors);
  assert.ok((await ask("a"))[0].ended);
});

test("an operation that is not known is named", () => {
  const node = [{ name: "a", op: "Placeholder" }, { name: "b", op: "Einsum", input: ["a"] }];
  assert.throws(() => compile({ node }, {}, ["a"], ["b:0"]), /Einsum/);
});
