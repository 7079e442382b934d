// What the page knows of each function: its name, examples, the names of its answer's parts, and, for an inverse,
// the function itself, which certifies answers.

const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS = [
  "January", "February", "March", "April", "May", "June",
  "July", "August", "September", "October", "November", "December",
];

/** `1998-09-09T07:05` as `Wednesday, 9 September 7ce, 7:05`; undefined for what is no such date. */
export function myDateFormat(text) {
  const match = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)$/.exec(text);
  if (!match) return undefined;
  const [year, month, day, hour, minute] = match.slice(1).map(Number);
  const date = new Date(Date.UTC(year, month - 1, day, hour, minute));
  if (date.toISOString().slice(0, 16) !== text) return undefined; // the 31st of April
  const hexadecimal = (number, width = 1) => number.toString(16).padStart(width, "0");
  const clock = `${hexadecimal(hour)}:${hexadecimal(minute, 2)}`;
  return `${DAYS[date.getUTCDay()]}, ${hexadecimal(day)} ${MONTHS[month - 1]} ${hexadecimal(year)}, ${clock}`;
}

export const URL_PARTS = ["scheme", "netloc", "path", "params", "query", "fragment"];

export const FUNCTIONS = {
  urlparse: {
    title: "urlparse",
    says: "takes a URL apart, as Python's urllib.parse does",
    parts: URL_PARTS,
    examples: [
      "https://www.example.org/learn/functions?from=examples#top",
      "HTTP://user:secret@[2001:db8::7]:8080/a/b;v=1.2?q=%C3%A9t%C3%A9",
      "mailto:someone@example.org",
      "//cdn.example.com/lib.js",
      "https://例え.jp/東京?あ=い",
    ],
  },
  dates_in_hex: {
    title: "dates in hexadecimal",
    says: "reads dates that a format wrote for humans who like hexadecimal; nobody wrote this parser",
    certify: (value, text) => typeof value === "string" && myDateFormat(value) === text,
    examples: ["Wednesday, 9 September 7ce, 7:05", "Sunday, 14 July 7b1, 14:11", "Friday, 1 January 76c, 0:00", "Monday, 9 September 7ce, 7:05"],
  },
  html_escape: {
    title: "html.escape",
    says: "makes text safe to be put into a page",
    examples: ["<b>Tom & Jerry</b>", 'say "hi"', "a<b && c>d", "l'été"],
  },
  hex_of_text: {
    title: "hex of text",
    says: "writes each byte of a text in hexadecimal",
    examples: ["hello", "Ωμέγα", "a b c", "0123456789"],
  },
  quote: {
    title: "quote",
    says: "writes what a URL may not hold as %XX, as Python's urllib.parse does",
    examples: ["a b/c", "50% off?", "Ωμέγα", "~user#1"],
  },
  splitext: {
    title: "splitext",
    says: "cuts a path before its extension, as Python's os.path does",
    examples: ["/var/log/archive.tar.gz", "photos.2024/holiday", "/home/me/.profile", "a.b.c"],
  },
};

/** What the page says of a copy that it does not know. */
export function known(name) {
  return FUNCTIONS[name] ?? { title: name.replaceAll("_", " "), says: "a learned copy", examples: [] };
}

/**
 * The stretches of a URL that belong to each part of `value`, its six parts: a list of {part, text}, with an empty
 * part for delimiters. Undefined where they do not add up to the URL: the parts are then not its own letters.
 */
export function stretches(text, value) {
  if (!Array.isArray(value) || value.length !== 6 || value.some((part) => typeof part !== "string")) return undefined;
  const [scheme, netloc, path, params, query, fragment] = value;
  const made = [];
  const add = (part, written) => written && made.push({ part, text: written });
  if (scheme) {
    add("scheme", text.slice(0, scheme.length)); // as it was typed: the answer has it in lower case
    add("", ":");
  }
  const place = made.reduce((sum, { text: written }) => sum + written.length, 0);
  if (netloc || text.startsWith("//", place)) add("", "//");
  add("netloc", netloc);
  add("path", path);
  for (const [mark, part, written] of [[";", "params", params], ["?", "query", query], ["#", "fragment", fragment]]) {
    // A delimiter with nothing behind it leaves no trace in the answer.
    const sofar = made.map(({ text: before }) => before).join("");
    if (written || text.startsWith(mark, sofar.length)) add("", mark);
    add(part, written);
  }
  const whole = made.map(({ text: written }) => written).join("");
  return whole === text && made[0]?.text.toLowerCase() === (scheme || made[0]?.text.toLowerCase()) ? made : undefined;
}
