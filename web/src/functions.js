// What the page knows of each function: its name, examples, the names of its answer's parts, and, for an inverse,
// the function that is inverted, which certifies answers.

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
    description: "takes a URL apart, as Python's urllib.parse does",
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
    description: "reads dates that a format wrote for humans who like hexadecimal; nobody wrote this parser",
    certify: (value, text) => typeof value === "string" && myDateFormat(value) === text,
    examples: ["Wednesday, 9 September 7ce, 7:05", "Sunday, 14 July 7b1, 14:11", "Friday, 1 January 76c, 0:00", "Monday, 9 September 7ce, 7:05"],
  },
  html_escape: {
    title: "html.escape",
    description: "makes text safe to be put into a page",
    examples: ["<b>Tom & Jerry</b>", 'say "hi"', "a<b && c>d", "l'été"],
  },
  hex_of_text: {
    title: "hex of text",
    description: "writes each byte of a text in hexadecimal",
    examples: ["hello", "Ωμέγα", "a b c", "0123456789"],
  },
  quote: {
    title: "quote",
    description: "writes what a URL may not hold as %XX, as Python's urllib.parse does",
    examples: ["a b/c", "50% off?", "Ωμέγα", "~user#1"],
  },
  splitext: {
    title: "splitext",
    description: "cuts a path before its extension, as Python's os.path does",
    examples: ["/var/log/archive.tar.gz", "photos.2024/holiday", "/home/me/.profile", "a.b.c"],
  },
};

export const isKnown = (name) => Object.hasOwn(FUNCTIONS, name);

/** The entry of a copy; where its function is not in the table, one from its manifest. */
export function entryOf(name, manifest = {}) {
  if (isKnown(name)) return FUNCTIONS[name];
  const of = `${manifest.inverse ? "the inverse of " : ""}${manifest.function}`;
  const description = manifest.function ? `a learned copy of ${of}` : "a learned copy";
  return { title: name.replaceAll("_", " "), description, examples: manifest.examples ?? [] };
}

/**
 * A URL cut into its parts, as `value`, the list of six, has them: a list of {part, text}, with an empty part for
 * delimiters. Undefined where the parts do not add up to the URL.
 */
export function urlSpans(url, value) {
  if (!Array.isArray(value) || value.length !== 6 || value.some((part) => typeof part !== "string")) return undefined;
  const [scheme, netloc, path, params, query, fragment] = value;
  const spans = [];
  const joined = () => spans.map(({ text }) => text).join("");
  const add = (part, text) => text && spans.push({ part, text });
  if (scheme) {
    add("scheme", url.slice(0, scheme.length)); // as it was typed: the answer has it in lower case
    add("", ":");
  }
  // A delimiter with nothing behind it leaves no trace in the answer.
  if (netloc || url.startsWith("//", joined().length)) add("", "//");
  add("netloc", netloc);
  add("path", path);
  for (const [delimiter, part, text] of [[";", "params", params], ["?", "query", query], ["#", "fragment", fragment]]) {
    if (text || url.startsWith(delimiter, joined().length)) add("", delimiter);
    add(part, text);
  }
  const sameScheme = !scheme || spans[0].text.toLowerCase() === scheme;
  return joined() === url && sameScheme ? spans : undefined;
}
