// Trains the network in small, in a thread of its own, and tells the page once a second how far it is.

import { alphabetOf, makeBatches, randomNumbers } from "./learn_examples.js";
import { countWeights, disposeNetwork, exactMatch, greedy, makeNetwork, trainStep } from "./learn.js";
import { start as startEngine } from "./tensorflow.js";
import * as tf from "@tensorflow/tfjs-core";

const BATCH = 64;
const SHOWN = 6; // held-out inputs whose answers are shown
const ENOUGH = 0.99; // of the held-out inputs
const REPORT_EVERY = 1000; // milliseconds
const engine = startEngine(new URL("./", self.location.href).href);
let run; // the training

self.onmessage = async ({ data }) => {
  try {
    await engine;
    if (data.training) begin(data);
    if (data.text !== undefined) self.postMessage({ ...data, ...answerTo(data.text) });
    if (data.stop) run.stopped = true;
    if (data.seconds) train(data.seconds);
  } catch (error) {
    self.postMessage({ error: error.message ?? String(error) });
  }
};

/** Makes a network for these examples; an earlier one is forgotten. */
function begin({ training, heldOut, guesses, hopeless }) {
  if (run) {
    run.stopped = true;
    disposeNetwork(run.network);
  }
  const pairs = [...training, ...heldOut];
  const steps = pairs.flat().reduce((most, text) => Math.max(most, [...text].length), 0) + 1;
  const batches = makeBatches(alphabetOf(pairs), steps);
  const network = makeNetwork(batches.symbols, steps);
  run = { training, heldOut, guesses, hopeless, batches, network, all: batches.batch(heldOut), random: randomNumbers(1), seconds: 0 };
}

/** Trains for so many seconds more, unless it is stopped, nearly all is learned, or it is hopeless. */
async function train(seconds) {
  const mine = run;
  const end = mine.seconds + seconds;
  mine.stopped = false;
  let next = mine.seconds + 0.5;
  report(mine);
  while (run === mine && !mine.stopped && mine.seconds < end && !mine.ended) {
    const before = performance.now();
    trainStep(mine.network, mine.batches.batch(draw(mine)));
    mine.seconds += (performance.now() - before) / 1000;
    if (mine.seconds >= next) {
      report(mine);
      next = mine.seconds + REPORT_EVERY / 1000;
    }
    await new Promise((resolve) => setTimeout(resolve)); // lets messages in
  }
  if (run === mine) {
    report(mine);
    self.postMessage({ ended: mine.ended ?? (mine.stopped ? "stopped" : "time") });
    mine.ended = undefined;
  }
}

const draw = ({ training, random }) => Array.from({ length: BATCH }, () => training[Math.floor(random() * training.length)]);

function report(run) {
  const { network, heldOut, guesses, batches, all, seconds } = run;
  const exact = exactMatch(network, all);
  const shown = heldOut.slice(0, SHOWN);
  const { tokens, attention } = greedy(network, batches.batch(shown));
  const attempts = shown.map(([input, expected], index) => ({ input, expected, predicted: batches.toText(tokens[index]) }));
  const best = Math.max(...Object.values(guesses));
  if (exact >= ENOUGH * heldOut.length) run.ended = "learned";
  else if (seconds >= run.hopeless && exact <= best + 0.03 * heldOut.length) run.ended = "hopeless";
  self.postMessage({
    report: true, seconds, exact, count: heldOut.length, examples: BATCH * network.trained, attempts, guesses,
    attention: cut(attention[0], attempts[0]), weights: countWeights(network), tensors: tf.memory().numTensors,
  });
}

/** The rows of attention of the characters that were written and EOS, with the columns of the input and EOS. */
const cut = (attention, { input, predicted }) =>
  attention.slice(0, [...predicted].length + 1).map((row) => row.slice(0, [...input].length + 1));

function answerTo(text) {
  const { batches, network } = run;
  const most = network.steps - 1;
  if ([...text].length > most) return { refused: `The longest input that it has seen has ${most} characters.` };
  const unknown = batches.unknown(text);
  if (unknown) return { refused: `It has never seen “${unknown}”.` };
  const { tokens, attention } = greedy(network, batches.batch([[text, ""]]));
  const predicted = batches.toText(tokens[0]);
  return { predicted, attention: cut(attention[0], { input: text, predicted }) };
}
