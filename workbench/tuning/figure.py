"""Draws the losses of a run as a figure, for print and for pages without a live panel."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from workbench.tuning.history import Best, History

SMOOTHED_SHARE = 0.05  # of the steps, on either side


def loss_figure(history: History, best: Best | None = None) -> Figure:
    """Plot the training loss by step, raw and smoothed, and the held-out loss.

    Args:
        history: the run's history, at any time.
        best: the step to mark, if any.

    Returns:
        A figure of 7 x 4 inches without a window.
    """
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    steps = [told.step for told in list(history.steps)]
    losses = [told.loss for told in list(history.steps)][: len(steps)]
    if steps:
        axes.plot(steps, losses, color="tab:blue", alpha=0.3, linewidth=1)
        axes.plot(steps, smoothed(losses), color="tab:blue", label="training, smoothed")
    held_out = list(history.validations)
    if held_out:
        at = [told.step for told in held_out]
        axes.plot(at, [told.loss for told in held_out], "o-", color="tab:orange", label="held out")
    if best is not None:
        label = f"best: {best.loss:.3f} at step {best.step}"
        axes.plot([best.step], [best.loss], "*", color="tab:red", markersize=12, label=label)
    axes.set_xlabel("step")
    axes.set_ylabel("loss (nats per token)")
    axes.grid(alpha=0.3)
    if steps or held_out:
        axes.legend()
    return figure


def smoothed(losses: list[float]) -> np.ndarray:
    """Return the mean of the losses around each step; the window shrinks towards both ends."""
    reach = max(1, round(SMOOTHED_SHARE * len(losses)))
    sums = np.concatenate([[0.0], np.cumsum(losses)])
    place = np.arange(len(losses))
    near = np.minimum(reach, np.minimum(place, place[::-1]))
    return (sums[place + near + 1] - sums[place - near]) / (2 * near + 1)
