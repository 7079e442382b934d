// What every engine shares: text to bytes, bytes to text, and when an answer is to be trusted.

export const END = 255;

/** Why a text can't be asked at all; an empty text where nothing speaks against it. */
export function refusal(text, manifest) {
  const limit = manifest.max_bytes;
  // Each UTF-16 unit takes at least one byte: a pasted book is refused before it is encoded.
  if (text.length > limit) return `The text has more than ${limit} bytes, the most that this copy has learned.`;
  if (!isWellFormed(text)) return "The text holds half a character (a lone surrogate), which no UTF-8 text can.";
  if (text.includes("\0")) return "The text holds a NUL character, which marks padding here.";
  const bytes = new TextEncoder().encode(text).length;
  if (bytes > limit) return `The text has ${bytes} bytes, and this copy has learned ${limit} at most.`;
  return "";
}

function isWellFormed(text) {
  return text.isWellFormed ? text.isWellFormed() : !/\p{Surrogate}/u.test(text);
}

/** A text's bytes and the end mark, padded with 0 to `length`, if given: Int32Array. */
export function toTokens(text, length = 0) {
  const bytes = new TextEncoder().encode(text);
  const tokens = new Int32Array(Math.max(length, bytes.length + 1));
  tokens.set(bytes);
  tokens[bytes.length] = END;
  return tokens;
}

/** The bytes of an answer, up to its end mark. */
export function answerBytes(answer) {
  const end = answer.findIndex((byte) => byte === END || byte === 0);
  return Uint8Array.from(end < 0 ? answer : answer.subarray(0, end));
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true }); // by default, it would leave a first U+FEFF out

export function answerText(answer) {
  return decoder.decode(answerBytes(answer));
}

/**
 * The characters of bytes, each with its first byte and the byte behind it. An answer need not be UTF-8: what is none
 * becomes U+FFFD, and continuation bytes in a wrong place belong to the character before.
 */
export function characters(bytes) {
  const found = [];
  for (let from = 0, to; from < bytes.length; from = to) {
    to = from + 1;
    while (bytes[to] >> 6 === 0b10) to++;
    found.push({ letter: decoder.decode(bytes.subarray(from, to)), from, to });
  }
  return found;
}

/**
 * The smallest of the signatures, each for texts of one length, that this many tokens fit; `from` skips those tried.
 * Undefined where there is none.
 */
export function signatureFor(signatures, tokens, from = 0) {
  return signatures.slice(from).find(({ length }) => length >= tokens);
}

/** Why not to trust an answer; an empty text where nothing speaks against it. `certify` is an inverse's judge. */
export function doubt(text, record, manifest, certify) {
  const value = valueOf(record.text);
  if (certify) {
    return value !== undefined && certify(value, text) ? "" : "the function does not lead back from it to the text";
  }
  const seen = new Set(manifest.bytes_seen);
  if (new TextEncoder().encode(text).some((byte) => !seen.has(byte))) return "the text holds bytes it never learned";
  if (!record.ended) return "the answer has no end";
  if (record.confidence < manifest.threshold) {
    return `its confidence is below ${manifest.threshold.toFixed(3)}`;
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
