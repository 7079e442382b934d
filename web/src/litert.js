// The copy as LiteRT runs it: faster than TensorFlow.js, but several times as much to load.

import { loadAndCompile, loadLiteRt, Tensor } from "@litertjs/core";

import { answerBytes, signatureFor, toTokens } from "./copy.js";

/** Loads the engine, of which `folder` holds the files; returns its name. */
export const start = (folder) => loadLiteRt(folder).then(() => "LiteRT");

export async function open(manifest, load) {
  const { model: path, signatures } = manifest.litert;
  const model = await loadAndCompile(new Uint8Array(await load(path)), { accelerator: "wasm" });

  async function run(kind, { length: width }, text) {
    const tokens = new Tensor(toTokens(text, width), [1, width]);
    let outputs = {};
    try {
      outputs = await model.run(`${kind}_${width}`, { tokens });
      const [answer, confidence, ended, attention] = await Promise.all(
        ["answer", "confidence", "ended", "attention"].map((name) => outputs[name]?.data()),
      );
      // What the engine returns lies in its own memory, which the next answer overwrites.
      return {
        answer: answer.slice(),
        confidence: confidence[0],
        ended: Boolean(ended[0]),
        attention: attention?.slice(0, (answerBytes(answer).length + 1) * width),
        width,
      };
    } finally {
      tokens.delete();
      Object.values(outputs).forEach((tensor) => tensor.delete());
    }
  }

  /** The record of one input. A signature that is too short for the answer is followed by a longer one. */
  async function record(kind, text) {
    const tokens = toTokens(text).length;
    for (let index = 0; ; index++) {
      const signature = signatureFor(signatures, tokens, index);
      const found = await run(kind, signature, text);
      index = signatures.indexOf(signature);
      if (found.ended || index === signatures.length - 1) return found;
    }
  }

  // Without attention an answer is there sooner.
  return { predict: (text) => record("answer", text), attend: (text) => record("attention", text) };
}
