"""Differences in words: one counts only where its 95 % interval leaves zero out."""

from __future__ import annotations

from kindred.training.intervals import Interval


def sign(difference: Interval) -> int:
    """1 above zero, -1 below, 0 where the interval holds zero."""
    return (difference.low > 0) - (difference.high < 0)


def verdict(gain: Interval) -> str:
    """Of the model against another."""
    return {1: "ahead of", 0: "not shown to differ from", -1: "behind"}[sign(gain)]


def more_or_less(difference: Interval) -> str:
    """Of one figure against another."""
    return {1: "more than", 0: "not shown to differ from", -1: "less than"}[sign(difference)]


def spread(difference: Interval) -> str:
    """A difference with its interval."""
    return f"{difference.mean:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}]"


def about(value: Interval) -> str:
    """A figure with half the width of its interval."""
    return f"{value.mean:.3f} ±{(value.high - value.low) / 2:.3f}"


def plural(thing: str, count: int) -> str:
    return thing if count == 1 else f"{thing}s"
