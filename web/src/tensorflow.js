// The copy as TensorFlow.js runs it: in a browser's worker, and in Node.

import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
import "@tensorflow/tfjs-backend-wasm";
import { loadGraphModel } from "@tensorflow/tfjs-converter";

/** Chooses WebAssembly, or plain JavaScript where that fails; returns which. */
export async function start() {
  for (const backend of ["wasm", "cpu"]) {
    try {
      if (await tf.setBackend(backend)) {
        await tf.ready();
        return backend;
      }
    } catch (error) {
      if (backend === "cpu") throw error;
    }
  }
}

/** A model from its manifest and `load(path)`, which returns a file of it as an ArrayBuffer. */
export async function open(manifest, load) {
  const path = manifest.tensorflowjs.model;
  const folder = path.slice(0, path.lastIndexOf("/") + 1);
  const description = JSON.parse(new TextDecoder().decode(await load(path)));
  const groups = description.weightsManifest;
  const shards = await Promise.all(groups.flatMap((group) => group.paths).map((name) => load(folder + name)));
  const weightData = await new Blob(shards).arrayBuffer();
  const weightSpecs = groups.flatMap((group) => group.weights);
  const handler = async () => ({
    modelTopology: description.modelTopology,
    signature: description.signature,
    weightSpecs,
    weightData,
  });
  const model = await loadGraphModel({ load: handler });
  // The names of inputs and outputs change from one export to the next; the signature knows them.
  const { inputs, outputs } = model.modelSignature;
  const names = ["answer", "confidence", "ended", "attention"];

  /** Rows of the same number of bytes (Int32Array, EOS and padding included) to one record each. */
  async function answer(rows) {
    const width = rows[0].length;
    const flat = new Int32Array(rows.length * width);
    rows.forEach((row, index) => flat.set(row, index * width));
    const tokens = tf.tensor2d(flat, [rows.length, width], "int32");
    const results = await model.executeAsync(
      { [inputs.tokens.name]: tokens },
      names.map((name) => outputs[name].name),
    );
    try {
      const [answers, confidence, ended, attention] = await Promise.all(results.map((tensor) => tensor.data()));
      const steps = results[0].shape[1];
      return rows.map((_, row) => ({
        answer: answers.subarray(row * steps, (row + 1) * steps),
        confidence: confidence[row],
        ended: Boolean(ended[row]),
        attention: attention.subarray(row * steps * width, (row + 1) * steps * width),
        width,
      }));
    } finally {
      tf.dispose([tokens, ...results]);
    }
  }

  return { answer };
}

/** How many tensors there are: none before a backend runs. */
export const tensors = () => (tf.getBackend() ? tf.memory().numTensors : 0);
