// Runs the visitor's function, in a thread of its own: the page ends the thread where the function does not come back.

import { HELD_OUT, INPUTS, TRAINING, makeInputs, resultOf, simpleGuesses } from "./learn_examples.js";

let learned; // the function

self.onmessage = ({ data }) => {
  try {
    if (data.source !== undefined) self.postMessage(examples(data));
    else self.postMessage({ ...data, expected: resultOf(learned, data.text) });
  } catch (error) {
    self.postMessage({ ...data, error: error.message });
  }
};

/** Pairs to learn from, others that are held out, and what simple guesses get of these. */
function examples({ source, inputs }) {
  learned = compile(source);
  const texts = makeInputs(inputs, TRAINING + HELD_OUT);
  const pairs = texts.map((text) => [text, resultOf(learned, text)]);
  const changed = pairs.slice(0, 50).find(([text, output]) => resultOf(learned, text) !== output);
  if (changed) throw new Error(`For “${changed[0]}” the function returns another text each time: there is nothing to learn.`);
  const heldOut = pairs.slice(0, HELD_OUT);
  const training = pairs.slice(HELD_OUT);
  return { training, heldOut, guesses: simpleGuesses(training, heldOut), kind: INPUTS[inputs].title };
}

function compile(source) {
  let made;
  try {
    made = new Function(`"use strict"; return (${source.trim().replace(/;$/, "")}\n);`)();
  } catch (error) {
    throw new Error(`This is no JavaScript function: ${error.message}.`);
  }
  if (typeof made !== "function") throw new Error("Write a function, such as s => s.toUpperCase()");
  return made;
}
