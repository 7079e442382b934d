// The network in small: its examples, and its gradients, checked by finite differences.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

import {
  alphabetOf, BOS, editDistance, EOS, HELD_OUT, INPUTS, LONGEST, makeBatches, makeInputs, PADDING, PRESETS, resultOf, simpleGuesses,
} from "../src/learn_examples.js";

const web = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
let folder;
let small; // what the build makes of learn.js, with the library

before(async () => {
  folder = await mkdtemp(path.join(web, "node_modules", ".learn-"));
  const contents = 'export * from "./src/learn.js"; export * as tf from "@tensorflow/tfjs-core"; import "@tensorflow/tfjs-backend-cpu";';
  const outfile = path.join(folder, "learn.cjs");
  const mainFields = ["module", "main"]; // of the library's two forms the one in which gradients are registered
  await build({ stdin: { contents, resolveDir: web }, bundle: true, platform: "node", mainFields, outfile, logLevel: "error" });
  small = createRequire(import.meta.url)(outfile);
  await small.tf.setBackend("cpu");
});
after(() => rm(folder, { recursive: true, force: true }));

test("inputs are different, short, and the same each time", () => {
  for (const kind of Object.keys(INPUTS)) {
    const inputs = makeInputs(kind, 500);
    assert.equal(new Set(inputs).size, 500);
    assert.ok(inputs.every((text) => text.length > 0 && text.length <= LONGEST));
    assert.deepEqual(inputs, makeInputs(kind, 500));
  }
});

test("each function that is offered returns a short text", () => {
  const results = Object.values(PRESETS).map(({ source, inputs }) => {
    const learned = (0, eval)(source);
    return makeInputs(inputs, 300).map((text) => [text, resultOf(learned, text)]).at(-1);
  });
  assert.ok(results.every(([, output]) => output.length > 0));
  assert.equal(resultOf((0, eval)(PRESETS.date.source), "2024-03-05"), "5 March 2024");
  assert.equal(resultOf((0, eval)(PRESETS.initials.source), "Ada King Lovelace"), "A. K. L.");
});

test("what a function can't return is explained", () => {
  assert.equal(resultOf((text) => text.length, "abc"), "3");
  assert.throws(() => resultOf(() => undefined, "abc"), /“abc” the function returns no text/);
  assert.throws(() => resultOf(async () => "b", "abc"), /returns no text/);
  assert.throws(() => resultOf((text) => text.repeat(11), "abc"), /33 characters; 30 are the most/);
  assert.throws(() => resultOf((text) => text.a.b, "abc"), /fails: TypeError/);
});

test("a batch has a row for each step of each text", () => {
  const pairs = [["ab", "b"], ["a", ""]];
  const { batch, toText, unknown, symbols } = makeBatches(alphabetOf(pairs), 3);
  const [a, b] = [3, 4];
  const { inputs, written, target, lengths } = batch(pairs);
  assert.deepEqual([...inputs], [a, a, b, EOS, EOS, PADDING]);
  assert.deepEqual([...target], [b, EOS, EOS, PADDING, PADDING, PADDING]);
  assert.deepEqual([...written], [BOS, BOS, b, PADDING, PADDING, PADDING]);
  assert.deepEqual(lengths, [3, 2]);
  assert.deepEqual([toText([b, a]), unknown("abc"), unknown("ba"), symbols], ["ba", "c", undefined, 5]);
});

test("simple guesses are counted", () => {
  assert.equal(editDistance("kitten", "sitting"), 3);
  assert.equal(editDistance("", "abc"), 3);
  const training = [["aa", "x"], ["ab", "x"], ["zz", "y"]];
  assert.deepEqual(simpleGuesses(training, [["ac", "x"], ["zy", "y"], ["q", "q"]]), { copying: 1, frequent: 1, nearest: 2 });
});

function example(preset, count) {
  const learned = (0, eval)(PRESETS[preset].source);
  const pairs = makeInputs(PRESETS[preset].inputs, count + HELD_OUT).map((text) => [text, resultOf(learned, text)]);
  const steps = Math.max(...pairs.flat().map((text) => text.length)) + 1;
  const { batch, symbols } = makeBatches(alphabetOf(pairs), steps);
  return { network: small.makeNetwork(symbols, steps), batch: batch(pairs.slice(0, count)) };
}

test("the gradients are those of finite differences", () => {
  const { tf, lossOf } = small;
  const { network, batch } = example("reverse", 3);
  const loss = () => tf.tidy(() => lossOf(network, batch).dataSync()[0]);
  const { grads } = tf.variableGrads(() => lossOf(network, batch));
  for (const [name, weight] of Object.entries(network.weights)) {
    const gradient = grads[weight.name].dataSync();
    const values = weight.dataSync().slice();
    const at = gradient.reduce((best, value, index) => (Math.abs(value) > Math.abs(gradient[best]) ? index : best), 0);
    const moved = [0.01, -0.01].map((by) => {
      weight.assign(tf.tensor(values.map((value, index) => value + (index === at ? by : 0)), weight.shape));
      return loss();
    });
    weight.assign(tf.tensor(values, weight.shape));
    const difference = (moved[0] - moved[1]) / 0.02;
    assert.ok(Math.abs(difference - gradient[at]) < 2e-3 + 0.03 * Math.abs(difference), `${name}: ${gradient[at]} and ${difference}`);
  }
});

test("the answers do not depend on what stands beside a text, nor on what would be written later", () => {
  const { tf, decode, encode } = small;
  const { network, batch } = example("reverse", 4);
  const logits = (given) => tf.tidy(() => decode(network, encode(network, given), given.written).logits.arraySync());
  const all = logits(batch);
  const changed = { ...batch, written: batch.written.map((token, row) => (row >= 4 * 5 ? 3 : token)) };
  const [first, later] = [all, logits(changed)].map((rows) => rows.slice(0, 4 * 5).flat());
  assert.deepEqual(first, later);
  const alone = { lengths: batch.lengths.slice(0, 1) };
  for (const name of ["inputs", "written"]) alone[name] = batch[name].filter((_, row) => row % 4 === 0);
  const difference = logits(alone).flat().map((value, index) => value - all.filter((_, row) => row % 4 === 0).flat()[index]);
  assert.ok(Math.max(...difference.map(Math.abs)) < 1e-4);
});

test("training leaves no tensor behind, and the loss falls", () => {
  const { tf, trainStep, lossOf, exactMatch, greedy } = small;
  const { network, batch } = example("first", 8);
  const loss = () => tf.tidy(() => lossOf(network, batch).dataSync()[0]);
  const first = loss();
  trainStep(network, batch);
  const tensors = tf.memory().numTensors;
  for (let count = 0; count < 5; count++) trainStep(network, batch);
  exactMatch(network, batch);
  greedy(network, batch);
  assert.equal(tf.memory().numTensors, tensors);
  assert.ok(loss() < first);
});
