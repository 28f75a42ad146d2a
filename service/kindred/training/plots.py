"""How plots look, wherever they appear: a few words, direct labels, no frame.

Figures are drawn without pyplot: nothing global, no window, and safe on any thread.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kindred.training.groups import Bar

INK = "#1f2933"
MUTED = "#7b8794"
BLUE = "#2f6fb2"
ORANGE = "#d9822b"
DOTS_PER_INCH = 144


def bars(title: str, value_label: str, group_label: str, groups: Sequence[Bar]) -> Figure:
    """One bar a group, its interval as a whisker, value and number of cases in words."""
    figure, (axes,) = panels(title, 1)
    places = range(len(groups))
    reach = [[each.value - each.low for each in groups], [each.high - each.value for each in groups]]
    axes.bar(places, [each.value for each in groups], color=BLUE, width=0.62)
    axes.errorbar(places, [each.value for each in groups], yerr=reach, fmt="none", ecolor=INK, capsize=3)
    for place, each in enumerate(groups):
        axes.annotate(
            f"{each.value:.3f}",
            (place, each.high),
            (0, 3),
            textcoords="offset points",
            ha="center",
            color=INK,
        )
    axes.set_xticks(places, [f"{each.label}\n{each.cases:,}" for each in groups])
    axes.set_xlabel(f"{group_label}; below: cases")
    axes.set_ylabel(value_label)
    axes.margins(y=0.12)
    axes.set_ylim(bottom=0)
    return figure


def panels(title: str, count: int, height_inches: float = 3.6) -> tuple[Figure, list[Axes]]:
    """A titled figure of plots side by side."""
    figure = Figure(figsize=(7.2, height_inches), layout="constrained", facecolor="white")
    figure.suptitle(title, x=0.01, ha="left", color=INK, fontsize=12, fontweight="bold")
    plots: list[Axes] = list(figure.subplots(1, count, squeeze=False)[0])
    for axes in plots:
        _plain(axes)
    return figure, plots


def png(figure: Figure) -> bytes:
    """The picture's bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH)
    return buffer.getvalue()


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)
    axes.tick_params(colors=INK, labelsize=9)
    axes.grid(axis="y", color="#e4e7eb", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.xaxis.label.set_color(MUTED)
    axes.yaxis.label.set_color(MUTED)
