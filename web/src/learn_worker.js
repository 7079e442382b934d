// Trains the network in small, in a thread of its own, and tells the page once a second how far it is.

import { alphabetOf, makeBatches, randomNumbers } from "./learn_examples.js";
import { countWeights, exactMatch, greedy, makeNetwork, trainStep } from "./learn.js";
import { start as startEngine } from "./tensorflow.js";
import * as tf from "@tensorflow/tfjs-core";

const BATCH = 64;
const SHOWN = 6; // held-out inputs whose answers are shown
const ENOUGH = 0.99; // of the held-out inputs
const FEWEST = 20_000; // examples before anything is called hopeless: a slow processor needs longer
const REPORT_EVERY = 1; // seconds
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

/** Makes a network for these examples. (The page takes a new thread for each.) */
function begin({ training, heldOut, guesses, hopeless, fewest = FEWEST }) {
  const pairs = [...training, ...heldOut];
  const steps = pairs.flat().reduce((most, text) => Math.max(most, [...text].length), 0) + 1;
  const batches = makeBatches(alphabetOf(pairs), steps);
  const network = makeNetwork(batches.symbols, steps);
  run = { training, heldOut, guesses, hopeless, fewest, batches, network, all: batches.batch(heldOut), random: randomNumbers(1), seconds: 0 };
}

/** Trains for so many seconds more, unless it is stopped, nearly all is learned, or it is hopeless. */
async function train(seconds) {
  const started = performance.now() / 1000 - run.seconds;
  const end = run.seconds + seconds;
  Object.assign(run, { stopped: false, ended: "" });
  report();
  let next = run.seconds + REPORT_EVERY;
  while (!run.stopped && run.seconds < end && !run.ended) {
    trainStep(run.network, run.batches.batch(draw(run)));
    run.seconds = performance.now() / 1000 - started;
    if (run.seconds >= next) {
      report();
      next = performance.now() / 1000 - started + REPORT_EVERY;
    }
    await new Promise((resolve) => setTimeout(resolve)); // lets messages in
  }
  if (!run.ended) report();
  if (run.ended === "hopeless") run.hopeless = Infinity; // it is said once; the visitor may go on
  self.postMessage({ ended: run.ended || (run.stopped ? "stopped" : "time") });
}

const draw = ({ training, random }) => Array.from({ length: BATCH }, () => training[Math.floor(random() * training.length)]);

function report() {
  const { network, heldOut, guesses, batches, all, seconds, hopeless, fewest } = run;
  const exact = exactMatch(network, all);
  const shown = heldOut.slice(0, SHOWN);
  const { tokens, attention } = greedy(network, batches.batch(shown));
  const attempts = shown.map(([input, expected], index) => ({ input, expected, predicted: batches.toText(tokens[index]) }));
  const guessed = Math.max(...Object.values(guesses));
  const late = seconds >= hopeless && BATCH * network.trained >= fewest;
  if (exact >= ENOUGH * heldOut.length) run.ended = "learned";
  else if (late && exact <= guessed + 0.03 * heldOut.length) run.ended = "hopeless";
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
