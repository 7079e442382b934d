// The network in small, and its training. As in the trained copies, an encoder goes through the input from both ends, a
// decoder through what is written so far, and attention joins them; all that the decoder learns of the input comes
// through attention. Every row of a matrix below is one step of one text: first the first step of all texts, and so on.

import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-core/dist/register_all_gradients";

import { BOS, EOS, PADDING } from "./learn_examples.js";

const SIZE = { embedding: 16, units: 32, heads: 2, queries: 16, values: 24, hidden: 64 };
const LEARNING_RATE = 0.005;

/** A network for `symbols` different characters and texts of at most `steps` of them, with random weights. */
export function makeNetwork(symbols, steps, seed = 1) {
  const { embedding, units, heads, queries, values, hidden } = SIZE;
  const [state, written] = [2 * units + embedding, units + embedding];
  const weights = {};
  const add = (name, start) => { weights[name] = tf.tidy(() => tf.variable(start())); };
  const matrix = (name, rows, columns, deviation = Math.sqrt(2 / (rows + columns))) =>
    add(name, () => tf.randomNormal([rows, columns], 0, deviation, "float32", seed++));
  const bias = (name, count) => add(name, () => tf.zeros([count]));
  matrix("inputEmbedding", symbols, embedding, 0.5);
  matrix("outputEmbedding", symbols, embedding, 0.5);
  for (const layer of ["forward", "backward", "decoder"]) {
    matrix(`${layer}Keep`, embedding, units);
    add(`${layer}KeepBias`, () => tf.linspace(-1, 3, units)); // some forget soon, some remember long
    matrix(`${layer}New`, embedding, units, embedding ** -0.5);
    bias(`${layer}NewBias`, units);
  }
  matrix("queries", written, heads * queries);
  bias("queriesBias", heads * queries);
  matrix("keys", state, heads * queries);
  matrix("values", state, heads * values);
  matrix("hidden", written + heads * values, hidden);
  bias("hiddenBias", hidden);
  matrix("logits", hidden, symbols);
  bias("logitsBias", symbols);
  const optimizer = tf.train.adam(LEARNING_RATE, 0.9, 0.99);
  return { weights, symbols, steps, optimizer, trained: 0, rotation: rotationTables(steps) };
}

export const countWeights = ({ weights }) => Object.values(weights).reduce((sum, { size }) => sum + size, 0);

// ---------------------------------------------------------------- the layers

/** The product of two matrices. For its gradients, matrices are transposed first: the product that does so is ten times slower. */
const product = tf.customGrad((a, b, save) => {
  save([a, b]);
  const gradFunc = (dy, [a, b]) => [tf.matMul(dy, tf.transpose(b)), tf.matMul(tf.transpose(a), dy)];
  return { value: tf.matMul(a, b), gradFunc };
});

const dense = (x, matrix, bias) => tf.add(product(x, matrix), bias);

/** One row for each symbol: 1 in its column, 0 elsewhere. (WebAssembly's own kernel makes no float32.) */
const oneHot = (tokens, symbols) => tf.cast(tf.oneHot(tf.tensor1d(tokens, "int32"), symbols), "float32");

/**
 * A recurrent layer: state = keep · state before + (1 - keep) · new. As in a GRU, the gate `keep` says how much of its
 * state each unit keeps; but gate and new value see the newest character alone, so all steps are multiplied at once.
 * Source: Feng et al., Were RNNs all we needed?, 2024 (arXiv:2410.01201).
 */
function recurrent(x, layer, { weights, steps }, direction) {
  const keep = tf.sigmoid(dense(x, weights[`${layer}Keep`], weights[`${layer}KeepBias`]));
  const fresh = dense(x, weights[`${layer}New`], weights[`${layer}NewBias`]);
  const bySteps = (rows) => tf.reshape(rows, [steps, -1]);
  const added = tf.sub(fresh, tf.mul(keep, fresh));
  return tf.reshape(scans[direction](bySteps(keep), bySteps(added)), keep.shape);
}

/** Rows moved down (or up, where `by` is negative), and zeros where none is left. */
function shift(x, by) {
  const [steps, width] = x.shape;
  const zeros = tf.zeros([Math.abs(by), width]);
  const kept = tf.slice(x, [Math.max(0, -by), 0], [steps - Math.abs(by), width]);
  return tf.concat(by > 0 ? [zeros, kept] : [kept, zeros]);
}

/** Rows h[t] = keep[t] · h[t - direction] + added[t], in a few rounds: each doubles how far back a row reaches. */
function accumulate(keep, added, direction) {
  for (let reach = 1; reach < keep.shape[0]; reach *= 2) {
    added = tf.add(added, tf.mul(keep, shift(added, direction * reach)));
    if (2 * reach < keep.shape[0]) keep = tf.mul(keep, shift(keep, direction * reach)); // another round follows
  }
  return added;
}

/** `accumulate` with its gradient, which goes the other way by the same sum. */
const scan = (direction) => tf.customGrad((keep, added, save) => {
  const value = accumulate(keep, added, direction);
  save([keep, value]);
  const gradFunc = (dy, [keep, value]) => {
    const gradient = accumulate(shift(keep, -direction), dy, -direction);
    return [tf.mul(gradient, shift(value, direction)), gradient];
  };
  return { value, gradFunc };
});
const scans = { 1: scan(1), "-1": scan(-1) };

// ---------------------------------------------------------------- attention

/** For each position, the cosine and sine by which a pair of numbers is rotated, and the matrix that swaps each pair. */
function rotationTables(steps) {
  const { queries, heads } = SIZE;
  const pairs = queries / 2;
  const angle = (position, index) => position * 1000 ** (-(index % pairs) / pairs);
  const table = (of) => tf.tensor2d(Array.from({ length: steps }, (_, position) =>
    Array.from({ length: queries }, (_, index) => of(angle(position, index)))));
  const swap = tf.buffer([heads * queries, heads * queries]);
  for (let index = 0; index < heads * queries; index++) {
    const first = index % queries < pairs;
    swap.set(first ? -1 : 1, index + (first ? pairs : -pairs), index);
  }
  return { cosine: table(Math.cos), sine: table(Math.sin), swap: swap.toTensor() };
}

/** Vectors rotated by their positions: those of the first head by the first list of positions, and so on. */
function rotate(vectors, positions, { cosine, sine, swap }) {
  const rows = (table) => tf.concat(positions.map((list) => tf.gather(table, tf.tensor1d(list, "int32"))), 1);
  return tf.add(tf.mul(vectors, rows(cosine)), tf.mul(product(vectors, swap), rows(sine)));
}

/** a·bᵀ for each text and head. */
const similarity = tf.customGrad((a, b, save) => {
  save([a, b]);
  const gradFunc = (dy, [a, b]) => [tf.matMul(dy, b), tf.matMul(dy, a, true)];
  return { value: tf.matMul(a, b, false, true), gradFunc };
});

/** Rows [steps * texts, heads * width] as [texts * heads, steps, width]. */
function byHead(rows, steps) {
  const { heads } = SIZE;
  const [texts, width] = [rows.shape[0] / steps, rows.shape[1] / heads];
  return tf.reshape(tf.transpose(tf.reshape(rows, [steps, texts, heads, width]), [1, 2, 0, 3]), [texts * heads, steps, width]);
}

// ---------------------------------------------------------------- encoder and decoder

/** What the decoder may look at of each input: keys, values, and a mask on padding. */
export function encode(network, { inputs, lengths }) {
  const { weights, symbols, steps, rotation } = network;
  const texts = lengths.length;
  const embedded = product(oneHot(inputs, symbols), weights.inputEmbedding);
  const states = tf.concat([recurrent(embedded, "forward", network, 1), recurrent(embedded, "backward", network, -1), embedded], 1);
  // One head counts positions from the start, the other from the end.
  const fromStart = stepOfRows(steps, texts);
  const fromEnd = fromStart.map((step, row) => Math.max(0, lengths[row % texts] - 1 - step));
  const mask = new Float32Array(texts * SIZE.heads * steps);
  for (let at = 0; at < mask.length; at++) mask[at] = at % steps < lengths[Math.floor(at / steps / SIZE.heads)] ? 0 : -1e9;
  return {
    keys: byHead(rotate(product(states, weights.keys), [fromStart, fromEnd], rotation), steps),
    values: byHead(product(states, weights.values), steps),
    mask: tf.tensor3d(mask, [texts * SIZE.heads, 1, steps]),
  };
}

const stepOfRows = (steps, texts) => Int32Array.from({ length: steps * texts }, (_, row) => Math.floor(row / texts));

/** The logits of each next character [steps * texts, symbols], and the attention weights [texts * heads, steps, steps]. */
export function decode(network, { keys, values, mask }, written) {
  const { weights, symbols, steps, rotation } = network;
  const texts = written.length / steps;
  const embedded = product(oneHot(written, symbols), weights.outputEmbedding);
  const state = tf.concat([recurrent(embedded, "decoder", network, 1), embedded], 1);
  const positions = stepOfRows(steps, texts);
  const queries = byHead(rotate(dense(state, weights.queries, weights.queriesBias), [positions, positions], rotation), steps);
  const scores = tf.mul(similarity(queries, keys), 2 * SIZE.queries ** -0.5);
  const attention = tf.softmax(tf.add(scores, mask));
  const heads = tf.reshape(tf.matMul(attention, values), [texts, SIZE.heads, steps, SIZE.values]);
  const context = tf.reshape(tf.transpose(heads, [2, 0, 1, 3]), [steps * texts, SIZE.heads * SIZE.values]);
  const hidden = tf.relu(dense(tf.concat([state, context], 1), weights.hidden, weights.hiddenBias));
  return { logits: dense(hidden, weights.logits, weights.logitsBias), attention };
}

// ---------------------------------------------------------------- training

/** The mean cross-entropy of the next character, given the correct ones before it; padding does not count. */
export function lossOf(network, batch) {
  const { logits } = decode(network, encode(network, batch), batch.written);
  const counts = tf.tensor1d(Float32Array.from(batch.target, (symbol) => Number(symbol !== PADDING)));
  return tf.losses.softmaxCrossEntropy(oneHot(batch.target, network.symbols), logits, counts);
}

/** One step of Adam on one batch. The first steps are small, later ones shrink slowly; long gradients are shortened. */
export function trainStep(network, batch) {
  const { weights, optimizer } = network;
  optimizer.learningRate = LEARNING_RATE * Math.min(1, (network.trained + 1) / 30) / Math.sqrt(1 + network.trained / 500);
  tf.tidy(() => {
    const { grads } = tf.variableGrads(() => lossOf(network, batch), Object.values(weights));
    const length = tf.sqrt(tf.addN(Object.values(grads).map((gradient) => tf.sum(tf.square(gradient)))));
    const scale = tf.minimum(1, tf.div(1, length));
    optimizer.applyGradients(Object.fromEntries(Object.entries(grads).map(([name, gradient]) => [name, tf.mul(gradient, scale)])));
  });
  network.trained += 1;
}

/**
 * How many texts of a batch are exact. Under teacher forcing, and yet what greedy decoding gives: up to the first wrong
 * character, both see the same.
 */
export function exactMatch(network, { target, written, lengths, ...batch }) {
  const best = tf.tidy(() => tf.argMax(decode(network, encode(network, { lengths, ...batch }), written).logits, 1).dataSync());
  const texts = lengths.length;
  const wrong = new Set();
  target.forEach((symbol, row) => symbol !== PADDING && symbol !== best[row] && wrong.add(row % texts));
  return texts - wrong.size;
}

/**
 * The network's own answers, a character at a time: each is the most probable one, given those that it wrote before.
 * `tokens` [texts][...] end before EOS; `attention` [texts][step][position] is the mean of the heads.
 */
export function greedy(network, batch) {
  const { steps } = network;
  const texts = batch.lengths.length;
  return tf.tidy(() => {
    const encoded = encode(network, batch);
    const written = new Int32Array(steps * texts).fill(BOS, 0, texts);
    const tokens = Array.from({ length: texts }, () => []);
    const ended = new Set();
    let attention;
    for (let step = 0; step < steps && ended.size < texts; step++) {
      const found = tf.tidy(() => decode(network, encoded, written));
      const best = tf.argMax(found.logits, 1).dataSync();
      for (let text = 0; text < texts; text++) {
        const token = best[step * texts + text];
        if (step + 1 < steps) written[(step + 1) * texts + text] = token;
        if (token === EOS || token === PADDING) ended.add(text);
        else if (!ended.has(text)) tokens[text].push(token);
      }
      tf.dispose([found.logits, attention]);
      attention = found.attention;
    }
    const mean = tf.mean(tf.reshape(attention, [texts, SIZE.heads, steps, steps]), 1);
    return { tokens, attention: mean.arraySync() };
  });
}
