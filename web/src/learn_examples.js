// Examples for the network in small: generators of inputs, the functions that the page offers, batches of examples, and
// what simple guesses would get.

export const PADDING = 0;
export const BOS = 1; // the beginning of an answer
export const EOS = 2; // the end of an input and of an answer
const FIRST_CHARACTER = 3;
export const LONGEST = 20; // characters of an input
const LONGEST_ANSWER = 30;
export const TRAINING = 20_000; // different inputs at most
export const HELD_OUT = 256;

/** Random numbers from 0 to 1 that a seed repeats (mulberry32). */
export function randomNumbers(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const between = (random, low, high) => low + Math.floor(random() * (high - low + 1));
const pick = (random, list) => list[Math.floor(random() * list.length)];

/** A word that nobody knows: consonants and vowels, mostly in turns, and now and then a capital first. */
function word(random, low, high, capitals = 0.2) {
  const length = between(random, low, high);
  let [text, vowel] = ["", random() < 0.5];
  while (text.length < length) {
    text += pick(random, vowel ? "aeiou" : "bcdfghjklmnpqrstvwxyz");
    if (random() < 0.85) vowel = !vowel;
  }
  return random() < capitals ? text[0].toUpperCase() + text.slice(1) : text;
}

const several = (low, high, make) => (random) => Array.from({ length: between(random, low, high) }, () => make(random)).join(" ");

/** What inputs may be made of: for each kind a title and a generator. */
export const INPUTS = {
  words: { title: "one to three words", make: several(1, 3, (random) => word(random, 1, 6)) },
  word: { title: "one word", make: (random) => word(random, 1, 12) },
  names: { title: "names", make: several(2, 3, (random) => word(random, 2, 6, 1)) },
  numbers: { title: "numbers", make: (random) => String(Math.floor(10 ** (random() * 9))) },
  dates: {
    title: "dates",
    make: (random) => new Date(Date.UTC(between(random, 1900, 2099), 0, between(random, 1, 365))).toISOString().slice(0, 10),
  },
};

export const PRESETS = {
  upper: { title: "upper case", inputs: "words", source: "s => s.toUpperCase()" },
  first: { title: "first word", inputs: "words", source: 's => s.split(" ")[0]' },
  initials: { title: "initials", inputs: "names", source: 's => s.split(" ").map(word => word[0] + ".").join(" ")' },
  reverse: { title: "reverse", inputs: "word", source: 's => [...s].reverse().join("")' },
  date: {
    title: "date",
    inputs: "dates",
    source: `s => {
  const months = ["January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December"];
  const [year, month, day] = s.split("-").map(Number);
  return \`\${day} \${months[month - 1]} \${year}\`;
}`,
  },
  checksum: {
    title: "a checksum",
    inputs: "words",
    source: `s => {
  let sum = 7;
  for (const letter of s) sum = (sum * 31 + letter.charCodeAt(0)) % 65521;
  return sum.toString(16);
}`,
  },
};

/** Different inputs of a kind, none longer than `LONGEST`: `count` of them, or fewer where there are no more. */
export function makeInputs(kind, count, seed = 1) {
  const random = randomNumbers(seed);
  const found = new Set();
  for (let tries = 0; tries < 3 * count && found.size < count; tries++) {
    const text = INPUTS[kind].make(random);
    if (text.length <= LONGEST) found.add(text);
  }
  return [...found];
}

/** The text that a function returns for an input, or an error that says for people what is wrong. */
export function resultOf(learned, input) {
  let value;
  try {
    value = learned(input);
  } catch (error) {
    throw new Error(`For “${input}” the function fails: ${error}.`);
  }
  const text = typeof value === "string" ? value : JSON.stringify(value);
  if (text === undefined || value instanceof Promise) throw new Error(`For “${input}” the function returns no text and no value.`);
  const length = [...text].length;
  if (length > LONGEST_ANSWER) throw new Error(`For “${input}” the function returns ${length} characters; ${LONGEST_ANSWER} are the most here.`);
  return text;
}

// ---------------------------------------------------------------- batches

/** The characters that occur in pairs of texts, in their order. */
export const alphabetOf = (pairs) => [...new Set(pairs.flat().flatMap((text) => [...text]))].sort();

/** Texts as the network takes them: `alphabet` is a list of characters, `steps` the longest text and EOS. */
export function makeBatches(alphabet, steps) {
  const tokens = new Map(alphabet.map((character, index) => [character, index + FIRST_CHARACTER]));
  const toTokens = (text) => [...text].map((character) => tokens.get(character));
  /** Row `step * texts + text` of each matrix is one step of one text. */
  function batch(pairs) {
    const made = { lengths: pairs.map(([input]) => [...input].length + 1) };
    for (const name of ["inputs", "written", "target"]) made[name] = new Int32Array(steps * pairs.length);
    pairs.forEach(([input, output], text) => {
      const place = (name, list) => list.forEach((token, step) => { made[name][step * pairs.length + text] = token; });
      place("inputs", [...toTokens(input), EOS]);
      place("target", [...toTokens(output), EOS]);
      place("written", [BOS, ...toTokens(output)]); // teacher forcing: the correct characters so far
    });
    return made;
  }
  const toText = (list) => list.map((token) => alphabet[token - FIRST_CHARACTER] ?? "").join("");
  const unknown = (text) => [...text].find((character) => !tokens.has(character));
  return { batch, toText, unknown, symbols: alphabet.length + FIRST_CHARACTER };
}

// ---------------------------------------------------------------- simple guesses

/** How many held-out pairs simple guesses get: a copy of the input, the most frequent answer, and the nearest neighbour's. */
export function simpleGuesses(training, heldOut, neighbours = 500) {
  const counts = new Map();
  for (const [, output] of training) counts.set(output, (counts.get(output) ?? 0) + 1);
  const [frequent] = [...counts].reduce((best, entry) => (entry[1] > best[1] ? entry : best));
  const known = training.slice(0, neighbours);
  const nearest = (input) => known.reduce((best, pair) => {
    const distance = editDistance(pair[0], input);
    return distance < best.distance ? { distance, pair } : best;
  }, { distance: Infinity }).pair[1];
  const count = (guess) => heldOut.filter(([input, output]) => guess(input) === output).length;
  return { copying: count((input) => input), frequent: count(() => frequent), nearest: count(nearest) };
}

/** How many characters have to be inserted, deleted or replaced to get from one text to another. */
export function editDistance(a, b) {
  const row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 0; i < a.length; i++) {
    let diagonal = row[0];
    row[0] = i + 1;
    for (let j = 0; j < b.length; j++) {
      const replaced = diagonal + (a[i] === b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = Math.min(replaced, diagonal + 1, row[j] + 1);
    }
  }
  return row[b.length];
}
