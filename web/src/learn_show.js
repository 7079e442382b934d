// What both tabs show of a network that learns: answers with their mistakes marked, attention, and exact match as a curve.

import { element, number, paintHeat } from "./dom.js";

/** A row for each attempt { input, predicted, expected }; wrong characters are marked. */
export function showAttempts(table, attempts) {
  table.tBodies[0].replaceChildren(...attempts.map(({ input, predicted, expected }) => {
    const row = document.createElement("tr");
    const answer = element("td", predicted === expected ? "✓ " : "✗ ", { className: predicted === expected ? "right" : "wrong" });
    answer.append(...marked(predicted, expected));
    row.append(element("th", input, { scope: "row" }), answer, element("td", expected));
    return row;
  }));
}

/** The predicted text, in pieces: what is not in the expected text is marked, and so is where something is missing. */
function marked(predicted, expected) {
  const [given, correct] = [[...predicted], [...expected]];
  const common = commonLengths(given, correct);
  const pieces = [];
  const add = (name, text) => {
    if (pieces.at(-1)?.localName === name) pieces.at(-1).textContent += text;
    else pieces.push(element(name, text));
  };
  for (let i = 0, j = 0; i < given.length || j < correct.length;) {
    if (i < given.length && given[i] === correct[j]) {
      add("span", given[i]);
      i += 1;
      j += 1;
    } else if (i < given.length && common[i + 1][j] >= (common[i][j + 1] ?? 0)) add("mark", given[i++]);
    else {
      add("mark", "");
      j += 1;
    }
  }
  return pieces;
}

/** At [i][j], how many characters of a[i…] can be found in b[j…], in their order. */
function commonLengths(a, b) {
  const lengths = Array.from({ length: a.length + 1 }, () => new Array(b.length + 1).fill(0));
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      lengths[i][j] = a[i] === b[j] ? lengths[i + 1][j + 1] + 1 : Math.max(lengths[i + 1][j], lengths[i][j + 1]);
    }
  }
  return lengths;
}

/** Attention weights in `place`: a list of rows, with the answer's characters beside and the input's above them. */
export function showHeat(place, rows, input, predicted) {
  if (!place.children.length) prepareHeat(place);
  const [above, beside, canvas] = place.children;
  const labels = (text) => [...text, "■"].map((character) => element("span", character));
  above.replaceChildren(...labels(input));
  beside.replaceChildren(...labels(predicted).slice(0, rows.length));
  paintHeat(canvas, rows);
  Object.assign(canvas.style, { width: `calc(${canvas.width} * var(--cell))`, height: `calc(${canvas.height} * var(--cell))` });
}

/** Makes room for an input's characters, an answer's, and the picture, which `data-label` of the place describes. */
function prepareHeat(place) {
  const canvas = element("canvas", "");
  place.append(element("div", ""), element("div", ""), canvas);
  for (const labels of place.querySelectorAll("div")) labels.setAttribute("aria-hidden", true);
  const roles = [[canvas, "img", place.dataset.label], [place, "group", "Attention as a picture"]];
  for (const [made, role, name] of roles) {
    made.setAttribute("role", role);
    made.setAttribute("aria-label", name);
  }
  place.tabIndex = 0;
}

const SHAPE = { width: 320, height: 120, left: 38, bottom: 20, top: 8, right: 6 };

/**
 * Exact match as a curve in an SVG element: points { x, share }, up to `last` (with its unit) on the horizontal axis.
 * `now` is the index of the point that is marked.
 */
export function showCurve(svg, points, last, unit, now = points.length - 1) {
  const { width, height, left, bottom, top, right } = SHAPE;
  const at = ({ x, share }) => [left + (x / last) * (width - left - right), height - bottom - share * (height - bottom - top)];
  const make = (name, attributes, text = "") => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.textContent = text;
    return made;
  };
  const lines = [0, 0.5, 1].flatMap((share) => {
    const [x1, y1] = at({ x: 0, share });
    return [
      make("line", { x1, y1, x2: width - right, y2: y1 }),
      make("text", { x: left - 5, y: y1 + 4, "text-anchor": "end" }, `${100 * share} %`),
    ];
  });
  const [cx, cy] = at(points[now]);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("aria-label", `Exact match so far: ${points.map(({ share }) => Math.round(100 * share)).join(", ")} %`);
  svg.replaceChildren(
    ...lines,
    make("text", { x: left, y: height - 5 }, "0"),
    make("text", { x: width - right, y: height - 5, "text-anchor": "end" }, `${number(Math.round(last))} ${unit}`),
    make("polyline", { points: points.map((point) => at(point).join(",")).join(" ") }),
    make("circle", { cx, cy, r: 3.5 }),
  );
}
