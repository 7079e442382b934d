// The copy as LiteRT runs it: faster than TensorFlow.js, but nine times as much to load.

import { loadAndCompile, loadLiteRt, Tensor } from "@litertjs/core";

import { answerBytes, signatureFor, toTokens } from "./copy.js";

let started;

/** Loads the engine, once it succeeds. `folder` holds its WebAssembly. */
export function start(folder) {
  started ??= loadLiteRt(folder).catch((error) => {
    started = undefined; // the next call tries again
    throw error;
  });
  return started;
}

export async function open(manifest, load) {
  const { model: path, signatures } = manifest.litert;
  const model = await loadAndCompile(new Uint8Array(await load(path)), { accelerator: "wasm" });

  async function run(signature, text) {
    const tokens = new Tensor(toTokens(text, signature.length), [1, signature.length]);
    // `answer_` and the length is the same without attention, and quicker.
    const outputs = await model.run(`attention_${signature.length}`, { tokens });
    try {
      const [answer, confidence, ended, attention] = await Promise.all(
        ["answer", "confidence", "ended", "attention"].map((name) => outputs[name].data()),
      );
      const width = signature.length;
      // What the engine returns lies in its own memory, which the next answer overwrites.
      return {
        answer: answer.slice(),
        confidence: confidence[0],
        ended: Boolean(ended[0]),
        attention: attention.slice(0, (answerBytes(answer).length + 1) * width),
        width,
      };
    } finally {
      tokens.delete();
      Object.values(outputs).forEach((tensor) => tensor.delete());
    }
  }

  /** The record of one input. A signature that is too short for the answer is followed by a longer one. */
  async function answer(text) {
    const tokens = toTokens(text).length;
    for (let index = 0; ; index++) {
      const signature = signatureFor(signatures, tokens, index);
      const record = await run(signature, text);
      index = signatures.indexOf(signature);
      if (record.ended || index === signatures.length - 1) return record;
    }
  }

  return { answer };
}
