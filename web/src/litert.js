// The copy as LiteRT runs it: faster than TensorFlow.js, and nine times as much to load.

import { loadAndCompile, loadLiteRt, Tensor } from "@litertjs/core";

import { answerBytes, signatureFor, toTokens } from "./copy.js";

let started;

/** Loads the engine, once it succeeds. `folder` holds its WebAssembly. */
export function start(folder) {
  started ??= loadLiteRt(folder).catch((error) => {
    started = undefined; // what could not be loaded now may be there the next time
    throw error;
  });
  return started;
}

export async function open(manifest, read) {
  const { model: path, signatures } = manifest.litert;
  const model = await loadAndCompile(new Uint8Array(await read(path)), { accelerator: "wasm" });

  async function run(signature, text) {
    const tokens = new Tensor(toTokens(text, signature.length), [1, signature.length]);
    const found = await model.run(signature.name, { tokens });
    try {
      const [answer, confidence, ended, attention] = await Promise.all(
        ["answer", "confidence", "ended", "attention"].map((name) => found[name].data()),
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
      Object.values(found).forEach((tensor) => tensor.delete());
    }
  }

  /** A text's record. A signature that is too short for the answer is followed by a longer one. */
  async function answer(text) {
    const needed = toTokens(text).length;
    for (let from = 0; ; from++) {
      const signature = signatureFor(signatures, needed, from);
      const record = await run(signature, text);
      from = signatures.indexOf(signature);
      if (record.ended || from === signatures.length - 1) return record;
    }
  }

  return { answer };
}
