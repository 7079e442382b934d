// What every engine shares: text to bytes, bytes to text, which inputs are valid, and which answers are trusted.
// An answer's `encoding`, of the manifest, says how the bytes that the network writes become JSON text.

// The end of a sequence: a byte value that UTF-8 never uses, behind an input and behind an answer.
export const EOS = 255;

/** Why a text can't be an input; an empty text for a valid one. */
export function invalidReason(text, manifest) {
  const most = manifest.max_input_bytes;
  // Each UTF-16 unit takes at least one byte: a pasted book is not even encoded.
  if (text.length > most) return `The text has more than ${most} bytes, the most that this copy has learned.`;
  if (!isWellFormed(text)) return "The text holds half a character (a lone surrogate), which UTF-8 can't hold.";
  if (text.includes("\0")) return "The text holds a NUL character, which marks padding here.";
  const bytes = new TextEncoder().encode(text).length;
  if (bytes > most) return `The text has ${bytes} bytes, and this copy has learned ${most} at most.`;
  return "";
}

function isWellFormed(text) {
  return text.isWellFormed ? text.isWellFormed() : !/\p{Surrogate}/u.test(text);
}

/** A text's bytes and EOS, padded with 0 to `length`, if given: Int32Array. */
export function toTokens(text, length = 0) {
  const bytes = new TextEncoder().encode(text);
  const tokens = new Int32Array(Math.max(length, bytes.length + 1));
  tokens.set(bytes);
  tokens[bytes.length] = EOS;
  return tokens;
}

/** The bytes of an answer before its EOS, as the network wrote them. */
export function answerBytes(answer) {
  const end = answer.findIndex((byte) => byte === EOS || byte === 0);
  return Uint8Array.from(end < 0 ? answer : answer.subarray(0, end));
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true }); // by default, it would leave a first U+FEFF out

/**
 * An answer's JSON `text`, its `bytes`, and the `steps` at which the network wrote each, all bytes of an escape at one,
 * and EOS.
 */
export function jsonBytes(answer, encoding) {
  const written = answerBytes(answer);
  const order = [...written.keys()];
  if (encoding.reverse_output) order.reverse();
  const found = order.flatMap((step) => {
    const text = encoding.texts[written[step]];
    const bytes = text === undefined ? [written[step]] : [...new TextEncoder().encode(text)];
    return bytes.map((byte) => ({ byte, step }));
  });
  const bytes = Uint8Array.from(found, ({ byte }) => byte);
  return { text: decoder.decode(bytes), bytes, steps: [...found.map(({ step }) => step), written.length] };
}

export function answerText(answer, encoding) {
  return jsonBytes(answer, encoding).text;
}

/** The rows of attention, of `width` weights each, of these steps; zeros for one that an answer was cut before. */
export function attentionRows(attention, width, steps) {
  const rows = new Float32Array(steps.length * width);
  steps.forEach((step, row) => rows.set(attention.subarray(step * width, (step + 1) * width), row * width));
  return rows;
}

/**
 * The characters of bytes, each with the index of its first byte (`start`) and of the byte behind it (`end`). An answer
 * need not be UTF-8: other bytes become U+FFFD, and a stray continuation byte belongs to the character before it.
 */
export function characterSpans(bytes) {
  const spans = [];
  for (let start = 0, end; start < bytes.length; start = end) {
    end = start + 1;
    while (bytes[end] >> 6 === 0b10) end++;
    spans.push({ character: decoder.decode(bytes.subarray(start, end)), start, end });
  }
  return spans;
}

/**
 * The first signature, of those sorted by length, that so many tokens fit; the search begins at index `first`.
 * Undefined where there is none.
 */
export function signatureFor(signatures, tokens, first = 0) {
  return signatures.slice(first).find(({ length }) => length >= tokens);
}

/** Why not to trust an answer; an empty text for a trusted one. `inverts` is the function that an inverse undoes. */
export function untrustedReason(text, record, manifest, inverts) {
  const value = valueOf(record.text);
  if (inverts) {
    const back = inverts(value);
    return back === text ? "" : `the function makes ${back === undefined ? "nothing" : `“${back}”`} of this answer, not your text`;
  }
  const seen = new Set(manifest.bytes_seen);
  if (new TextEncoder().encode(text).some((byte) => !seen.has(byte))) return "the text holds bytes it never learned";
  if (!record.ended) return "the answer has no end";
  if (manifest.threshold > 1) return "too few held-out inputs were exact to trust any answer";
  if (record.confidence < manifest.threshold) {
    return `its confidence is below ${manifest.threshold.toFixed(4)}`;
  }
  return value === undefined ? "the answer is no JSON" : "";
}

/** The JSON value of an answer; undefined where it is no JSON. */
export function valueOf(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
