"""The plots of the notebooks. Each function draws on the axes it is given and returns them."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from urlseq.evaluation import Evaluation
from urlseq.report import kinds_of_mistakes
from urlseq.vectorize import byte_lengths


def learning_curve(history: Sequence[dict], axes: Axes | None = None) -> Axes:
    """Exact match on held-out inputs against examples seen; the loss on a second axis."""
    axes = axes or plt.subplots(figsize=(8, 3.5))[1]
    seen = [epoch["examples"] for epoch in history]
    axes.plot(seen, [epoch.get("val_exact", epoch["exact"]) for epoch in history], "o-", label="exact match, held out")
    axes.set(xlabel="examples seen", ylabel="exact match", ylim=(-0.02, 1.02))
    loss = axes.twinx()
    loss.plot(seen, [epoch["loss"] for epoch in history], color="tab:gray", linestyle="--", label="training loss")
    loss.set(ylabel="loss, nats a byte", yscale="log")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.legend(handles=[*axes.lines, *loss.lines], loc="center right")
    return axes


def exact_by_length(evaluation: Evaluation, axes: Axes) -> Axes:
    """Exact match of inputs in up to eight groups of about equal size, by their bytes of UTF-8."""
    lengths = byte_lengths(evaluation.inputs)
    groups = np.array_split(np.argsort(lengths, kind="stable"), min(8, len(lengths)))
    bars = axes.bar(range(len(groups)), [evaluation.correct[rows].mean() for rows in groups])
    axes.bar_label(bars, [f"{lengths[rows[0]]}–{lengths[rows[-1]]}" for rows in groups], fontsize=8)
    axes.set(xlabel="inputs by length, and their bytes", ylabel="exact match", ylim=(0, 1.1), xticks=[])
    return axes


def report(history: Sequence[dict], evaluation: Evaluation, threshold: float) -> Figure:
    """One figure of a copy: what was learned when, exact match by length, risk and coverage, kinds of mistakes."""
    figure, axes = plt.subplots(2, 2, figsize=(13, 8), layout="constrained")
    learning_curve(history, axes[0, 0])
    exact_by_length(evaluation, axes[0, 1])
    risk_coverage_curve(evaluation, threshold, axes[1, 0])
    kinds = kinds_of_mistakes(evaluation)
    axes[1, 1].barh(list(kinds), list(kinds.values()))
    axes[1, 1].set(xlabel=f"mistakes: {kinds.total():,} in {len(evaluation.inputs):,} answers")
    return figure


def attention_heatmap(text: str, answer: str, attention: np.ndarray, axes: Axes | None = None) -> Axes:
    """How much each byte of the answer (rows) attends to each byte of the input (columns); ■ is EOS."""
    columns, rows = ([*map(letter, part.encode()), "■"] for part in (text, answer))
    axes = axes or plt.subplots(figsize=(1 + len(columns) * 0.16, 1 + len(rows) * 0.16))[1]
    axes.imshow(attention[: len(rows), : len(columns)], cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(columns)), columns, family="monospace", fontsize=8)
    axes.set_yticks(range(len(rows)), rows, family="monospace", fontsize=8)
    axes.xaxis.tick_top()
    axes.set(ylabel="answer")
    axes.set_title("input", fontsize=10)
    return axes


def letter(byte: int) -> str:
    """A label for a byte: itself where it can be seen, else a dot."""
    return chr(byte) if 0x20 < byte < 0x7F else "␣" if byte == 0x20 else "·"


def risk_coverage_curve(evaluation: Evaluation, threshold: float, axes: Axes | None = None) -> Axes:
    """The share of wrong answers among the surest ones, against how many of these are kept."""
    axes = axes or plt.subplots(figsize=(7, 3.5))[1]
    surest_first, counts = np.argsort(-evaluation.confidence, kind="stable"), np.arange(1, len(evaluation.inputs) + 1)
    axes.plot(counts / len(counts), np.cumsum(~evaluation.correct[surest_first]) / counts)
    kept = float((evaluation.confidence >= threshold).mean())
    label = f"trusted: confidence at least {threshold:.3f}" if kept else "none is trusted"
    axes.axvline(kept, color="tab:green", linestyle="--", label=label)
    axes.set(xlabel="share of the answers that is kept, the surest first", ylabel="share of these that is wrong")
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.legend()
    return axes
