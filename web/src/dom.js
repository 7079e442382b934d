// What all parts of the page share.

export const $ = (id) => document.getElementById(id);

export const number = (count) => count.toLocaleString("en");

/** An element with a text and properties. */
export const element = (name, text, properties = {}) => Object.assign(document.createElement(name), { textContent: text }, properties);

/** One of several choices of a name: a radio button with its title. */
export function radio(name, value, title, choose) {
  const input = element("input", "", { type: "radio", name, value });
  input.addEventListener("change", choose);
  const label = element("label", "");
  label.append(input, title);
  return label;
}

/** The colour of attention, as the theme has it: three numbers with commas between them. */
export const heatColour = () => getComputedStyle(document.documentElement).getPropertyValue("--heat");

/** Paints rows of attention weights, a pixel for each: the root of a weight, so that small ones are seen, too. */
export function paintHeat(canvas, rows) {
  const colour = heatColour().split(",").map(Number);
  [canvas.width, canvas.height] = [rows[0].length, rows.length];
  const image = new ImageData(canvas.width, canvas.height);
  rows.flat().forEach((weight, index) => image.data.set([...colour, 255 * Math.sqrt(weight)], 4 * index));
  canvas.getContext("2d").putImageData(image, 0, 0);
}
