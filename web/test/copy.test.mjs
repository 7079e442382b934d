import assert from "node:assert/strict";
import { test } from "node:test";

import { answerText, characters, doubt, refusal, signatureFor, toTokens } from "../src/copy.js";
import { myDateFormat, stretches } from "../src/functions.js";

const manifest = { max_bytes: 8, threshold: 0.9, bytes_seen: [..."abc[]\"'"].map((letter) => letter.charCodeAt(0)) };

test("tokens are UTF-8, an end mark and padding", () => {
  assert.deepEqual([...toTokens("é", 5)], [0xc3, 0xa9, 255, 0, 0]);
  assert.deepEqual([...toTokens("")], [255]);
  assert.equal(answerText(Int32Array.of(0xc3, 0xa9, 255, 65)), "é");
  assert.equal(answerText(Int32Array.of(0xef, 0xbb, 0xbf, 255)), "\ufeff");
});

test("each character knows its bytes, whether they are UTF-8 or not", () => {
  const places = (bytes) => characters(Uint8Array.from(bytes)).map(({ letter, from, to }) => [letter, from, to]);
  const text = places(new TextEncoder().encode("é\ufeff\ufffd😀"));
  assert.deepEqual(text, [["é", 0, 2], ["\ufeff", 2, 5], ["\ufffd", 5, 8], ["😀", 8, 12]]);
  assert.deepEqual(places([0x22, 0xc3, 0x22]), [['"', 0, 1], ["\ufffd", 1, 2], ['"', 2, 3]]);
  assert.deepEqual(places([0xe2, 0x82, 0x22]), [["\ufffd", 0, 2], ['"', 2, 3]]);
  assert.deepEqual(places([0x22, 0x82, 0x22]), [['"\ufffd', 0, 2], ['"', 2, 3]]);
  assert.deepEqual(places([]), []);
});

test("what can't be asked is refused with a reason", () => {
  assert.equal(refusal("abc", manifest), "");
  assert.match(refusal("ééééé", manifest), /10 bytes/);
  assert.match(refusal("x".repeat(5_000_000), manifest), /more than 8 bytes/);
  assert.match(refusal("a\0b", manifest), /NUL/);
  assert.match(refusal("a\ud83d", manifest), /lone surrogate/);
});

test("an answer is doubted for each of its reasons", () => {
  const record = { text: '"a"', ended: true, confidence: 0.95 };
  assert.equal(doubt("abc", record, manifest), "");
  assert.match(doubt("x", record, manifest), /never learned/);
  assert.match(doubt("a", { ...record, ended: false }, manifest), /no end/);
  assert.match(doubt("a", { ...record, confidence: 0.5 }, manifest), /below 0.900/);
  assert.match(doubt("a", { ...record, text: '"a' }, manifest), /no JSON/);
  assert.equal(doubt("x", record, manifest, (value) => value === "a"), "");
  assert.match(doubt("x", record, manifest, () => false), /lead back/);
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

test("a URL is coloured only where its parts add up to it", () => {
  const parts = (text, value) => stretches(text, value)?.map(({ part, text: written }) => `${part}=${written}`);
  assert.deepEqual(parts("HTTP://a/b;c?d#e", ["http", "a", "/b", "c", "d", "e"]), [
    "scheme=HTTP", "=:", "=//", "netloc=a", "path=/b", "=;", "params=c", "=?", "query=d", "=#", "fragment=e",
  ]);
  assert.deepEqual(parts("a?", ["", "", "a", "", "", ""]), ["path=a", "=?"]);
  assert.equal(stretches(" a", ["", "", "a", "", "", ""]), undefined);
  assert.equal(stretches("a", { error: "ValueError" }), undefined);
});
