"""What a soak's result means, in lines for a person."""

from __future__ import annotations

from faults.soak_result import Result
from faults.trend import Trend

SMALL_MB = 0.5


def report(result: Result) -> list[str]:
    """The last line says whether all is well, and that the oracle found the end equal."""
    return [
        f"highest rate {result.highest_rate:,.0f} records/s; {result.events:,} events; "
        f"{len(result.faults)} faults injected",
        *_memory(result),
        f"lag: {result.highest_lag:,} at most during the soak, {result.lag_left:,} left at the end",
        *_growth(result),
        *_in_the_end(result),
        _verdict(result),
    ]


def _memory(result: Result) -> list[str]:
    before, most = result.memory_at_burst_mb
    return [
        *_trend("resident memory of the first worker", "MB", result.memory),
        *_at_rest(result),
        f"burst: records came at {result.burst_rate:,.0f}/s, the lag grew to {result.burst_lag:,} and was "
        f"gone after {result.burst_seconds:.0f} s; memory was {before:.0f} MB before, {most:.0f} MB at most",
    ]


def _trend(what: str, unit: str, found: Trend | None) -> list[str]:
    if found is None:
        return []
    return [
        f"{what}: {found.level:,.0f} {unit}, {found.rise:+,.1f} within {60 * found.hours:.0f} minutes "
        f"(noise {found.noise:,.1f}): {'within noise' if found.is_within_noise else 'RISES'}"
    ]


def _at_rest(result: Result) -> list[str]:
    before, after = result.before, result.after
    if before is None or after is None:
        return ["in use at rest: not judged, for the worker does not tell"]
    return [
        f"in use at rest, before and after {after.sent - before.sent:,} records: {before.blocks:,.0f} and "
        f"{after.blocks:,.0f} blocks of Python's, {before.native_mb:.1f} and {after.native_mb:.1f} MB beside "
        f"them: {'GREW' if after.grew(before) else 'flat'}"
    ]


def _growth(result: Result) -> list[str]:
    """Tables with their indexes at the soak's start, middle and end, without the small ones."""
    samples = [each for each in result.samples if each.phase == "soak"]
    if not samples:
        return []
    looks = [each.table_mb for each in (samples[0], samples[len(samples) // 2], samples[-1])]
    names = sorted({name for look in looks for name in look if look[name] > SMALL_MB})
    return [
        f"  {name:<18}" + " -> ".join(f"{look.get(name, 0.0):8.1f}" for look in looks) + " MB"
        for name in names
    ]


def _in_the_end(result: Result) -> list[str]:
    large = [each for each in result.tables if each.mb > SMALL_MB]
    told = ", ".join(f"{each.name} {each.mb:.0f} ({each.rows_mb:.0f})" for each in large)
    return [f"tables in the end, and the rows in them: {told} MB"] if large else []


def _verdict(result: Result) -> str:
    if result.faulty:
        return f"NOT WELL: {' | '.join(result.faulty)}"
    return f"settled after {result.settled_after_seconds:.0f} s: equal, and nothing grew"
