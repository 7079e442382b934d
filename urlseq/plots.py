"""The plots of the notebooks. Each function draws on the axes it is given and returns them."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from urlseq.evaluate import Evaluation, risk_coverage


def learning_curve(history: Sequence[dict], axes: Axes | None = None) -> Axes:
    """Exact match on held-out inputs against examples seen; the loss on a second axis."""
    axes = axes or plt.subplots(figsize=(8, 3.5))[1]
    seen = [epoch["examples"] for epoch in history]
    axes.plot(seen, [epoch.get("val_exact", epoch["exact"]) for epoch in history], "o-", label="exact match, held out")
    axes.set(xlabel="examples seen", ylabel="exact match", ylim=(-0.02, 1.02))
    loss = axes.twinx()
    loss.plot(seen, [epoch["loss"] for epoch in history], color="tab:gray", linestyle="--", label="training loss")
    loss.set(ylabel="loss, nats a byte", yscale="log")
    axes.figure.legend(loc="center right", bbox_to_anchor=(0.88, 0.5))
    return axes


def attention_heatmap(text: str, answer: str, attention: np.ndarray, axes: Axes | None = None) -> Axes:
    """Which bytes of the input (columns) each byte of the answer (rows) came from."""
    axes = axes or plt.subplots(figsize=(1 + len(text) * 0.16, 1 + len(answer) * 0.16))[1]
    columns = [chr(byte) if byte < 128 else "·" for byte in text.encode()] + ["end"]
    rows = [chr(byte) if byte < 128 else "·" for byte in answer.encode()] + ["end"]
    axes.imshow(attention[: len(rows), : len(columns)], cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(columns)), columns, family="monospace", fontsize=8)
    axes.set_yticks(range(len(rows)), rows, family="monospace", fontsize=8)
    axes.xaxis.tick_top()
    axes.set(ylabel="answer")
    axes.set_title("input", fontsize=10)
    return axes


def risk_coverage_curve(evaluation: Evaluation, threshold: float, axes: Axes | None = None) -> Axes:
    """The share of wrong answers among the surest ones, against how many of these are kept."""
    axes = axes or plt.subplots(figsize=(7, 3.5))[1]
    coverage, risk = risk_coverage(evaluation.confidence, evaluation.right)
    axes.plot(coverage, risk)
    kept = float((evaluation.confidence >= threshold).mean())
    axes.axvline(kept, color="tab:green", linestyle="--", label=f"trusted: confidence at least {threshold:.3f}")
    axes.set(xlabel="share of the answers that is kept, the surest first", ylabel="share of these that is wrong")
    axes.legend()
    return axes


def padding_weights(weights: np.ndarray, axes: Axes | None = None) -> Axes:
    """How much each place of a batch counts in a loss [batch, out]: white is nothing, dark is all."""
    axes = axes or plt.subplots(figsize=(8, 2.5))[1]
    axes.imshow(weights, cmap="Greys", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    axes.set(xlabel="time step", ylabel="row of the batch")
    return axes
