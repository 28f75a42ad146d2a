"""The plots of a report's page."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from kindred.training.intervals import Interval
from kindred.training.reports.cold_start import POPULARITY, WITHOUT_PROFILE, ColdStart
from kindred.training.reports.comparison import MODEL as MODEL_NAME
from kindred.training.reports.comparison import Comparison
from kindred.training.reports.drawing import GROUND, INK, MODEL, MUTED, OTHER, RULE, THIRD, apart, figure, svg
from kindred.training.reports.freshness import Freshness
from kindred.training.reports.neighbours import Neighbours

_WIDTH_INCHES = 8.4
_ROW_INCHES = 0.36
_GROUNDED = {"facecolor": GROUND, "edgecolor": "none", "pad": 0.6, "alpha": 0.75}
_LABEL_SHARE = 0.062  # of a plot's height that a line of text takes


def rivals(comparison: Comparison) -> str:
    """NDCG of the model and each baseline."""
    name, rows = f"NDCG@{comparison.k}", comparison.overall.rows
    drawn, (axes,) = figure(_WIDTH_INCHES, 0.7 + _ROW_INCHES * len(rows))
    _dots(axes, [row.name for row in rows], [row.measures[name] for row in rows], lead=0)
    axes.set_xlabel(f"{name}, with 95 % intervals")
    return svg(drawn, "rivals", f"{name} of the model and its baselines")


def freshness(found: Freshness, comparison: Comparison) -> str:
    """Hit rate by events missed and by schedule, against the best baseline on fresh histories."""
    name = f"HR@{comparison.k}"
    drawn, (by_events, by_clock) = figure(_WIDTH_INCHES, 3.4, panels=(5, 3))
    _decline(by_events, {each.events: each.measures[name] for each in found.by_events})
    _reference(by_events, comparison, name)
    by_events.set_xlabel("newest events that the vector misses")
    by_events.set_ylabel(name)
    by_events.set_ylim(bottom=0)
    _dots(
        by_clock,
        [each.name for each in found.by_clock],
        [each.measures[name] for each in found.by_clock],
        lead=len(found.by_clock) - 1,
    )
    by_clock.set_title("vectors made anew", loc="left", fontsize=10.5, color=MUTED)
    by_clock.set_xlabel(name)
    return svg(drawn, "freshness", f"{name} by staleness of the user's vector, in events and by the clock")


def newcomers(cold: ColdStart, k: int) -> str:
    """NDCG after each number of events, for the model and every kind of popularity."""
    name, steps = f"NDCG@{k}", cold.steps
    drawn, (axes,) = figure(_WIDTH_INCHES, 3.6)
    places = range(len(steps))
    lines = {
        row.name: [next(each.measures[name] for each in step.rows if each.name == row.name) for step in steps]
        for row in steps[0].rows
    }
    for line, values in lines.items():
        colour, style = _line(line)
        axes.plot(
            places, [value.mean for value in values], style, color=colour, lw=2 if colour == MODEL else 1.4
        )
    model = next(iter(lines.values()))
    axes.fill_between(
        places, [value.low for value in model], [value.high for value in model], color=MODEL, alpha=0.15, lw=0
    )
    _label_ends(axes, {line: (values[-1].mean, _line(line)[0]) for line, values in lines.items()})
    axes.set_xticks(places, [str(step.events) for step in steps])
    axes.set_xlabel("events that are known of the newcomer")
    axes.set_ylabel(name)
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", color=RULE, lw=0.8)
    return svg(drawn, "newcomers", f"{name} for newcomers by number of known events")


def neighbours(found: Neighbours) -> str:
    """Overlap of future items with the ten nearest."""
    drawn, (axes,) = figure(_WIDTH_INCHES, 0.7 + _ROW_INCHES * len(found.rows))
    _dots(axes, [row.name for row in found.rows], [row.ten_nearest for row in found.rows], lead=0)
    axes.set_xlabel("future items in common with the ten nearest (Jaccard), with 95 % intervals")
    return svg(drawn, "neighbours", "Overlap of future items by kind of neighbour")


def _dots(axes: Axes, labels: Sequence[str], values: Sequence[Interval], lead: int) -> None:
    """One row a value, the first on top, its number beside it."""
    for row, value in enumerate(values):
        colour = MODEL if row == lead else OTHER
        axes.plot(
            [value.low, value.high], [row, row], color=colour, lw=2.5, alpha=0.45, solid_capstyle="round"
        )
        axes.plot(value.mean, row, "o", color=colour, ms=7)
        axes.annotate(
            f"{value.mean:.3f}", (value.high, row), (7, 0), textcoords="offset points", va="center", color=INK
        )
    axes.set_yticks(range(len(labels)), labels)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color=RULE, lw=0.8)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_xlim(0, max(value.high for value in values) * 1.18 or 1)


def _decline(axes: Axes, by_events: dict[int, Interval]) -> None:
    places, values = range(len(by_events)), list(by_events.values())
    low, high = [value.low for value in values], [value.high for value in values]
    axes.fill_between(places, low, high, color=MODEL, alpha=0.18, lw=0)
    axes.plot(places, [value.mean for value in values], "o-", color=MODEL, lw=2, ms=5)
    for place, value in zip(places, values, strict=True):
        axes.annotate(
            f"{value.mean:.3f}".lstrip("0"), (place, value.low), (0, -4), textcoords="offset points",
            ha="center", va="top", color=INK, bbox=_GROUNDED,
        )  # fmt: skip
    axes.set_xticks(places, [str(events) for events in by_events])
    axes.margins(x=0.08, y=0.12)
    axes.grid(axis="y", color=RULE, lw=0.8)


def _reference(axes: Axes, comparison: Comparison, name: str) -> None:
    best = next((row for row in comparison.overall.rows if row.name == comparison.overall.best), None)
    if best is None:
        return
    level = best.measures[name].mean
    axes.axhline(level, color=OTHER, lw=1.4, ls=(0, (4, 3)))
    axes.annotate(
        f"{best.name}, fresh", (1, level), (0, 4), xycoords=("axes fraction", "data"),
        textcoords="offset points", ha="right", color=OTHER, bbox=_GROUNDED,
    )  # fmt: skip


def _label_ends(axes: Axes, ends: dict[str, tuple[float, str]]) -> None:
    """Names of the lines at their right ends, moved apart where they would overlap."""
    _, top = axes.get_ylim()
    places = apart([place for place, _ in ends.values()], top * _LABEL_SHARE)
    lowest = min(0.0, *places)
    for (line, (_, colour)), place in zip(ends.items(), places, strict=True):
        axes.annotate(
            line, (1.01, place - lowest), xycoords=("axes fraction", "data"), va="center", color=colour
        )


def _line(name: str) -> tuple[str, str]:
    """Colour and style of a newcomers' line."""
    if name == MODEL_NAME:
        return MODEL, "o-"
    if name == POPULARITY:
        return OTHER, "o--"
    return (THIRD, "-") if name == WITHOUT_PROFILE else (MUTED, "-")
