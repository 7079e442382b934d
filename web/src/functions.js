// What the page knows of each function: its name, examples, the names of its answer's parts, the function itself in
// JavaScript (`real`), or, for an inverse, the function that is inverted (`inverts`), which certifies answers.

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

const SCHEMES_WITH_PARAMS = new Set([
  "", "ftp", "hdl", "prospero", "http", "imap", "https", "shttp", "rtsp", "rtsps", "rtspu", "sip", "sips", "mms",
  "sftp", "tel",
]);

/** The list of six parts that Python 3.11's urllib.parse.urlparse returns, or its error. */
export function urlparse(text) {
  let rest = text.replace(/^[\0- ]+/, "").replace(/[\t\r\n]/g, "");
  let [scheme, netloc, params] = ["", "", ""];
  const before = /^([a-z][a-z\d+.-]*):/i.exec(rest);
  if (before) [scheme, rest] = [before[1].toLowerCase(), rest.slice(before[0].length)];
  if (rest.startsWith("//")) {
    netloc = /^[^/?#]*/.exec(rest.slice(2))[0];
    rest = rest.slice(2 + netloc.length);
  }
  if (!isNetloc(netloc)) return { error: "ValueError" };
  const cut = (mark) => {
    const [first, ...others] = rest.split(mark);
    rest = first;
    return others.join(mark);
  };
  const fragment = cut("#");
  const query = cut("?");
  if (SCHEMES_WITH_PARAMS.has(scheme)) {
    const segment = rest.slice(rest.lastIndexOf("/") + 1);
    const start = segment.indexOf(";");
    if (start >= 0) [rest, params] = [rest.slice(0, rest.length - segment.length + start), segment.slice(start + 1)];
  }
  return [scheme, netloc, rest, params, query, fragment];
}

function isNetloc(netloc) {
  const [opened, closed] = [netloc.includes("["), netloc.includes("]")];
  if (opened !== closed) return false;
  if (opened) {
    const host = netloc.slice(netloc.indexOf("[") + 1).split("]")[0];
    if (!(host.startsWith("v") ? /^v[a-f\d]+\.[^\n]+$/i.test(host) : isIpv6(host))) return false;
  }
  const kept = netloc.replace(/[@:#?]/g, "");
  const normal = kept.normalize("NFKC"); // may turn one character into others, such as ℀ into a/c
  return kept === normal || !/[/?#@:]/.test(normal);
}

function isIpv6(host) {
  const [address, ...zone] = host.split("%");
  if (zone.length > 1 || zone[0] === "") return false;
  const octet = "(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
  const halves = address.replace(new RegExp(`:${octet}(\\.${octet}){3}$`), ":0:0").split("::");
  const groups = halves.flatMap((half) => (half ? half.split(":") : []));
  const rightNumber = halves.length === 1 ? groups.length === 8 : halves.length === 2 && groups.length < 8;
  return rightNumber && groups.every((group) => /^[a-f\d]{1,4}$/i.test(group));
}

const ENTITIES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;" };
const hexOf = (text) => [...new TextEncoder().encode(text)].map((byte) => byte.toString(16).padStart(2, "0")).join("");

/** Python's os.path.splitext: the path before its extension, and the extension. */
function splitext(path) {
  const [, folder, name, extension] = /^(.*\/)?(\.*[^./][^/]*)(\.[^./]*)$/s.exec(path) ?? [];
  return extension === undefined ? [path, ""] : [(folder ?? "") + name, extension];
}

// What each part of a URL is.
export const URL_PARTS = {
  scheme: "the protocol",
  netloc: "login, host and port",
  path: "what on that host",
  params: "behind the path's last ;",
  query: "behind ?",
  fragment: "behind #",
};

export const FUNCTIONS = {
  urlparse: {
    title: "urlparse",
    description: "takes a URL apart, as Python's urllib.parse does",
    parts: URL_PARTS,
    real: urlparse,
    measured: "Of 65,077 real URLs that training never saw, it took 65,074 apart exactly as urlparse does.",
    examples: [
      "https://example.org/a/b?c=d#e",
      "HTTP://user:secret@[2001:db8::7]:8080/a/b?q=%C3%A9t%C3%A9",
      "mailto:someone@example.org",
      "//cdn.example.com/lib.js",
      "https://παράδειγμα.gr/διαδρομή?λέξη=ναι",
      "//[1:2:3:4:5:6:7:8]",
    ],
    notes: { "//[1:2:3:4:5:6:7:8]": "it is not sure" },
  },
  dates_in_hex: {
    title: "dates in hexadecimal",
    description: "reads dates written in hexadecimal, where 7ce is the year 1998; nobody wrote this parser",
    inverts: (value) => (typeof value === "string" ? myDateFormat(value) : undefined),
    examples: ["Wednesday, 9 September 7ce, 7:05", "Sunday, 14 July 7b1, 14:11", "Friday, 1 January 76c, 0:00", "Monday, 9 September 7ce, 7:05"],
    notes: { "Monday, 9 September 7ce, 7:05": "a wrong weekday" },
  },
  html_escape: {
    title: "html.escape",
    description: "makes text safe to be put into a page",
    real: (text) => text.replace(/[&<>"']/g, (character) => ENTITIES[character]),
    examples: ["<b>Tom & Jerry</b>", '<p class="x">Hello world</p>', "a<b && c>d", "l'été"],
  },
  hex_of_text: {
    title: "hex of text",
    description: "writes each byte of a text in hexadecimal",
    real: hexOf,
    examples: ["hello", "Ωμέγα", "a b c", "0123456789"],
  },
  quote: {
    title: "quote",
    description: "writes what a URL may not hold as %XX, as Python's urllib.parse does",
    real: (text) => text.replace(/[^\w.~/-]/gu, (character) => hexOf(character).toUpperCase().replace(/../g, "%$&")),
    examples: ["a b/c", "50% off?", "Ωμέγα", "~user#1"],
  },
  splitext: {
    title: "splitext",
    description: "cuts a path before its extension, as Python's os.path does",
    real: splitext,
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

/** The JSON text that the real function returns for a text, or undefined where the page does not know. */
export function expectedAnswer(name, manifest, text) {
  const { real } = entryOf(name);
  return real ? JSON.stringify(real(text)) : manifest.expected?.[text];
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
