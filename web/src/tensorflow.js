// The copy as TensorFlow.js runs it: in a browser's worker, and in Node.

import * as tf from "@tensorflow/tfjs-core";
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";

import { toTokens } from "./copy.js";
import { compile } from "./graph.js";

/** Chooses WebAssembly, of which `folder` holds the files, or plain JavaScript where that fails; returns which. */
export async function start(folder) {
  if (folder) setWasmPaths(folder); // Node finds them
  tf.env().set("WASM_HAS_MULTITHREAD_SUPPORT", false); // threads would need blob: scripts, and products so small none
  if (await tf.setBackend("wasm").catch(() => false)) return "TensorFlow.js, WebAssembly";
  self.importScripts(`${folder}plain.js`); // the backend that hardly anybody needs
  await tf.setBackend("cpu");
  return "TensorFlow.js, plain JavaScript";
}

/**
 * A model from its manifest and `load(path)`, which returns a file of it as an ArrayBuffer. `started` is what `start`
 * returned, where that was not waited for.
 */
export async function open(manifest, load, started) {
  const path = manifest.tensorflowjs.model;
  const folder = path.slice(0, path.lastIndexOf("/") + 1);
  const { modelTopology, signature, weightsManifest } = JSON.parse(new TextDecoder().decode(await load(path)));
  const shards = await Promise.all(weightsManifest.flatMap(({ paths }) => paths).map((name) => load(folder + name)));
  await started;
  const weights = tf.io.decodeWeights(await new Blob(shards).arrayBuffer(), weightsManifest.flatMap((group) => group.weights));
  // The names of outputs change from one export to the next; the signature knows them.
  const names = ["answer", "confidence", "ended", "attention"].map((name) => signature.outputs[name].name);
  const run = compile(modelTopology, weights, [signature.inputs.tokens.name.split(":")[0]], names);

  /** Rows of the same number of bytes (Int32Array, EOS and padding included) to one record each. */
  async function answer(rows) {
    const width = rows[0].length;
    const flat = new Int32Array(rows.length * width);
    rows.forEach((row, index) => flat.set(row, index * width));
    const results = tf.tidy(() => run([tf.tensor2d(flat, [rows.length, width], "int32")]));
    const [answers, confidence, ended, attention] = results.map((tensor) => tensor.dataSync());
    const steps = results[0].shape[1];
    tf.dispose(results);
    return rows.map((_, row) => ({
      answer: answers.subarray(row * steps, (row + 1) * steps),
      confidence: confidence[row],
      ended: Boolean(ended[row]),
      attention: attention.subarray(row * steps * width, (row + 1) * steps * width),
      width,
    }));
  }

  /** The record of one input. */
  const predict = async (text) => (await answer([toTokens(text)]))[0];

  return { answer, predict };
}
