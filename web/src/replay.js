// The replay of a training of `urlparse`: snapshots that `replay.py` took, and a slider through them.

import { $, number } from "./dom.js";
import { showAttempts, showCurve, showHeat } from "./learn_show.js";
import markup from "./replay.html";

const FRAME = 400; // milliseconds

/** Fills the tab; the snapshots are loaded now, when one of the two tabs is opened. */
export async function startReplay(panel) {
  panel.innerHTML = markup;
  try {
    const response = await fetch("replay.json");
    if (!response.ok) throw new Error(response.status);
    run(await response.json());
  } catch (error) {
    $("replay-state").textContent = `The snapshots could not be loaded (${error.message}).`;
  }
}

function run({ batch_size: batchSize, count, urls, snapshots }) {
  const slider = $("replay-slider");
  const points = snapshots.map(({ batches, exact }) => ({ x: batches * batchSize, share: exact / count }));
  let playing;

  function show() {
    const index = Number(slider.value);
    const { batches, seconds, exact, predicted, attention } = snapshots[index];
    const below = urls.filter(({ expected }, at) => predicted[at] === expected).length;
    const words = `After ${number(batches * batchSize)} examples, ${Math.round(seconds)} seconds of training: ` +
      `${exact} of ${count} real URLs are exact, and ${below} of the ${urls.length} below.`;
    $("replay-state").textContent = words;
    slider.setAttribute("aria-valuetext", words);
    showAttempts($("replay-attempts"), urls.map((url, at) => ({ ...url, predicted: predicted[at] })));
    showCurve($("replay-curve"), points, points.at(-1).x, "examples", index);
    const [{ input }] = urls;
    $("replay-looked").textContent = `Where it looks in “${input}”`;
    showHeat($("replay-heat"), rowsOf(attention, input.length + 1), input, predicted[0]);
  }

  function play(on) {
    clearInterval(playing);
    playing = on ? setInterval(next, FRAME) : undefined;
    $("replay-play").textContent = on ? "Pause" : "Play";
  }

  function next() {
    slider.value = Number(slider.value) + 1;
    show();
    if (slider.value === slider.max) play(false);
  }

  slider.max = snapshots.length - 1;
  slider.addEventListener("input", () => {
    play(false);
    show();
  });
  $("replay-play").addEventListener("click", () => {
    if (!playing && slider.value === slider.max) slider.value = 0;
    play(!playing);
  });
  $("replay-shown").hidden = false;
  show();
}

/** Rows of weights from digits, which are their roots. */
const rowsOf = (digits, columns) =>
  Array.from({ length: digits.length / columns }, (_, row) => [...digits.slice(row * columns, (row + 1) * columns)].map((digit) => (digit / 9) ** 2));
