"""What a soak's result means, in lines for a person."""

from __future__ import annotations

from faults.sampling import Table
from faults.soak_phases import Result

SMALL_BYTES = 300_000


def report(result: Result) -> list[str]:
    """The last line is the oracle's."""
    return [
        f"highest rate {result.highest_rate:,.0f} records/s; {result.events:,} events; "
        f"{len(result.faults)} faults injected",
        *_memory(result),
        f"lag: {result.highest_lag:,} at most during the soak, {result.lag_left:,} left at the end",
        *_growth(result),
        _verdict(result),
    ]


def _memory(result: Result) -> list[str]:
    before, most = result.memory_at_burst_mb
    burst = (
        f"burst: a lag of {result.burst_lag:,} was worked off in {result.burst_worked_off_seconds:.0f} s; "
        f"memory was {before:.0f} MB before, {most:.0f} MB at most"
    )
    slope = result.memory
    if slope is None:
        return [burst]
    return [
        f"memory of the first worker: {slope.per_hour:+.1f} MB/h (error {slope.error_per_hour:.1f}, noise "
        f"{slope.noise:.1f} MB) over {60 * slope.hours:.0f} minutes: "
        f"{'within noise' if slope.is_within_noise else 'RISES'}",
        burst,
    ]


def _growth(result: Result) -> list[str]:
    """Tables from the first sample of the soak to its last; the small ones only where they grew."""
    samples = [each for each in result.samples if each.phase == "soak"]
    if not samples:
        return []
    first, last = samples[0].tables, samples[-1].tables
    return [
        _line(name, first[name], table)
        for name, table in sorted(last.items())
        if name in first and table.total_bytes > SMALL_BYTES
    ]


def _line(name: str, first: Table, last: Table) -> str:
    return (
        f"  {name:<18} {first.total_bytes / 1e6:8.1f} -> {last.total_bytes / 1e6:8.1f} MB, rows "
        f"{first.live_rows:>9,} -> {last.live_rows:>9,}, dead {first.dead_rows:>8,} -> {last.dead_rows:>8,}"
    )


def _verdict(result: Result) -> str:
    if result.differing:
        return f"oracle: DIFFERS: {' | '.join(result.differing)}"
    return f"oracle: settled after {result.settled_after_seconds:.0f} s: equal"
