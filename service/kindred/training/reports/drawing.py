"""Plots as SVG that lives inside a page: its colours are the page's, so light and dark both read well."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Colours that matplotlib writes and the page's style sheet replaces; they look right alone as well.
INK, MUTED, RULE, GROUND = "#1f2934", "#6b7786", "#dde2e8", "#fefefe"
MODEL, OTHER, THIRD = "#2f6fb3", "#d9822c", "#3f9a6b"
_VARIABLES = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    RULE: "var(--rule)",
    GROUND: "var(--ground)",
    MODEL: "var(--model)",
    OTHER: "var(--other)",
    THIRD: "var(--third)",
}
_STYLE: Any = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # names come from the declaration, and $ in them is no formula
    "font.size": 10.5,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}
_FONT = re.compile(r"font: ([\d.]+px) [^;\"]*")
_SIZE = re.compile(r'<svg [^>]*?viewBox="([^"]+)"[^>]*>')


def figure(
    width_inches: float, height_inches: float, panels: Sequence[int] = (1,)
) -> tuple[Figure, list[Axes]]:
    """Plots side by side, of these relative widths, without frames, transparent."""
    with mpl.rc_context(_STYLE):
        drawn = Figure(figsize=(width_inches, height_inches), layout="constrained")
        axes: list[Axes] = list(drawn.subplots(1, len(panels), squeeze=False, width_ratios=panels)[0])
    for each in axes:
        each.spines[["top", "right"]].set_visible(False)
        each.patch.set_alpha(0)
        each.set_axisbelow(True)
    return drawn, axes


def svg(drawn: Figure, name: str, words: str) -> str:
    """An <svg> element. `name` keeps its ids apart from other figures', `words` say what it shows."""
    buffer = io.StringIO()
    with mpl.rc_context(_STYLE | {"svg.hashsalt": name}):
        drawn.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    opening = f'<svg role="img" aria-label="{words}" viewBox="\\1">'
    text = _SIZE.sub(opening, text, count=1)
    text = _FONT.sub(r"font: \1 var(--font)", text)
    text = re.sub(r'id="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r"(href=\"|url\()#", rf"\1#{name}-", text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, variable)
    return text


def apart(places: Sequence[float], least: float) -> list[float]:
    """The same places, moved as little as keeps neighbours `least` apart: labels that don't overlap."""
    order = sorted(range(len(places)), key=lambda index: places[index])
    moved = [places[index] for index in order]
    for _ in range(100):
        for low in range(len(moved) - 1):
            if (lack := least - (moved[low + 1] - moved[low])) > 1e-12:
                moved[low] -= lack / 2
                moved[low + 1] += lack / 2
    found = list(places)
    for index, place in zip(order, moved, strict=True):
        found[index] = place
    return found
