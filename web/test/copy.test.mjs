import assert from "node:assert/strict";
import { test } from "node:test";

import {
  answerText, attentionRows, characterSpans, invalidReason, jsonBytes, signatureFor, toTokens, untrustedReason,
} from "../src/copy.js";
import { entryOf, myDateFormat, urlSpans } from "../src/functions.js";

const manifest = { max_input_bytes: 8, threshold: 0.9, bytes_seen: [..."abc[]\"'"].map((character) => character.charCodeAt(0)) };
const encoding = { texts: { 10: "\\n", 34: '\\"', 92: "\\\\", 248: '"', 249: "\\u0000" }, reverse_output: false };
const reversed = { ...encoding, reverse_output: true };

test("tokens are UTF-8, EOS and padding", () => {
  assert.deepEqual([...toTokens("é", 5)], [0xc3, 0xa9, 255, 0, 0]);
  assert.deepEqual([...toTokens("")], [255]);
  assert.equal(answerText(Int32Array.of(0xc3, 0xa9, 255, 65), encoding), "é");
  assert.equal(answerText(Int32Array.of(0xef, 0xbb, 0xbf, 255), encoding), "\ufeff");
});

test("an answer is JSON again, whichever end it was written from", () => {
  const value = ['"\\\n\0é', "n"];
  const written = [0x5b, 248, 0x22, 0x5c, 10, 249, 0xc3, 0xa9, 248, 0x2c, 248, 0x6e, 248, 0x5d];
  for (const [steps, by] of [[written, encoding], [written.toReversed(), reversed]]) {
    for (const end of [[], [255], [255, 0, 0]]) {
      assert.deepEqual(JSON.parse(answerText(Int32Array.of(...steps, ...end), by)), value);
    }
  }
  for (const by of [encoding, reversed]) assert.equal(answerText(Int32Array.of(255, 65), by), "");
});

test("each byte of the JSON text has the attention of the step that wrote it", () => {
  const answer = Int32Array.of(248, 92, 65, 255, 0);
  const attention = Float32Array.of(0.1, 0.9, 0.2, 0.8, 0.3, 0.7, 0.4, 0.6, 9, 9);
  const rows = (by, of = attention, to = answer) => [...attentionRows(of, 2, jsonBytes(to, by).steps)].filter((_, index) => index % 2 === 0);
  const rounded = (numbers) => [...Float32Array.from(numbers)];
  assert.equal(answerText(answer, encoding), '"\\\\A');
  assert.deepEqual(rows(encoding), rounded([0.1, 0.2, 0.2, 0.3, 0.4]));
  assert.equal(answerText(answer, reversed), 'A\\\\"');
  assert.deepEqual(rows(reversed), rounded([0.3, 0.2, 0.2, 0.1, 0.4]));
  // An answer that was cut has no row for EOS.
  assert.deepEqual(rows(reversed, attention.subarray(0, 4), Int32Array.of(248, 65)), rounded([0.2, 0.1, 0]));
});

test("each character knows its bytes, whether they are UTF-8 or not", () => {
  const spans = (bytes) => characterSpans(Uint8Array.from(bytes)).map(({ character, start, end }) => [character, start, end]);
  const text = spans(new TextEncoder().encode("é\ufeff\ufffd😀"));
  assert.deepEqual(text, [["é", 0, 2], ["\ufeff", 2, 5], ["\ufffd", 5, 8], ["😀", 8, 12]]);
  assert.deepEqual(spans([0x22, 0xc3, 0x22]), [['"', 0, 1], ["\ufffd", 1, 2], ['"', 2, 3]]);
  assert.deepEqual(spans([0xe2, 0x82, 0x22]), [["\ufffd", 0, 2], ['"', 2, 3]]);
  assert.deepEqual(spans([0x22, 0x82, 0x22]), [['"\ufffd', 0, 2], ['"', 2, 3]]);
  assert.deepEqual(spans([]), []);
});

test("each kind of invalid input has its reason", () => {
  assert.equal(invalidReason("abc", manifest), "");
  assert.match(invalidReason("ééééé", manifest), /10 bytes/);
  assert.match(invalidReason("x".repeat(5_000_000), manifest), /more than 8 bytes/);
  assert.match(invalidReason("a\0b", manifest), /NUL/);
  assert.match(invalidReason("a\ud83d", manifest), /lone surrogate/);
});

test("each kind of untrusted answer has its reason", () => {
  const record = { text: '"a"', ended: true, confidence: 0.95 };
  assert.equal(untrustedReason("abc", record, manifest), "");
  assert.match(untrustedReason("x", record, manifest), /never learned/);
  assert.match(untrustedReason("a", { ...record, ended: false }, manifest), /no end/);
  assert.match(untrustedReason("a", { ...record, confidence: 0.5 }, manifest), /below 0.900/);
  assert.match(untrustedReason("a", { ...record, text: '"a' }, manifest), /no JSON/);
  assert.equal(untrustedReason("x", record, manifest, (value) => (value === "a" ? "x" : undefined)), "");
  assert.match(untrustedReason("x", record, manifest, () => "y"), /makes “y” of this answer/);
  assert.match(untrustedReason("x", record, manifest, () => undefined), /makes nothing of/);
});

test("the smallest signature that fits is taken", () => {
  const signatures = [{ length: 4 }, { length: 8 }];
  assert.equal(signatureFor(signatures, 4).length, 4);
  assert.equal(signatureFor(signatures, 5).length, 8);
  assert.equal(signatureFor(signatures, 3, 1).length, 8);
  assert.equal(signatureFor(signatures, 9), undefined);
});

test("the date format is Python's", () => {
  assert.equal(myDateFormat("1998-09-09T07:05"), "Wednesday, 9 September 7ce, 7:05");
  assert.equal(myDateFormat("1900-01-31T23:59"), "Wednesday, 1f January 76c, 17:3b");
  assert.equal(myDateFormat("1998-04-31T07:05"), undefined);
  assert.equal(myDateFormat("x"), undefined);
});

test("a copy that the page does not know is described by its manifest", () => {
  const manifest = { function: "my.shout", inverse: true, examples: ["a", "b"] };
  assert.deepEqual(entryOf("my_shout", manifest), {
    title: "my shout", description: "a learned copy of the inverse of my.shout", examples: ["a", "b"],
  });
  assert.deepEqual(entryOf("constructor"), { title: "constructor", description: "a learned copy", examples: [] });
  assert.equal(entryOf("quote", manifest).title, "quote");
});

test("a URL is coloured only where its parts add up to it", () => {
  const parts = (text, value) => urlSpans(text, value)?.map(({ part, text: written }) => `${part}=${written}`);
  assert.deepEqual(parts("HTTP://a/b;c?d#e", ["http", "a", "/b", "c", "d", "e"]), [
    "scheme=HTTP", "=:", "=//", "netloc=a", "path=/b", "=;", "params=c", "=?", "query=d", "=#", "fragment=e",
  ]);
  assert.deepEqual(parts("a?", ["", "", "a", "", "", ""]), ["path=a", "=?"]);
  assert.equal(urlSpans(" a", ["", "", "a", "", "", ""]), undefined);
  assert.equal(urlSpans("a", { error: "ValueError" }), undefined);
});
