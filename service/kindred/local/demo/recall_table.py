"""How the comparison of frozen and fresh vectors is shown, and put into words."""

from __future__ import annotations

from rich.table import Table

from kindred.local.demo.recall import Comparison, Gain


def table(known: Comparison, new: Comparison) -> Table:
    """A row for each group and cutoff."""
    shown = Table(box=None, header_style="dim", padding=(0, 2, 0, 0), pad_edge=False)
    shown.add_column("  users", no_wrap=True)
    for heading in ("recall", "frozen", "fresh", "gain", "95 % interval"):
        shown.add_column(heading, justify="right", no_wrap=True)
    for name, comparison in (("  known at training", known), ("  new since", new)):
        for cutoff, gain in comparison.gains.items():
            shown.add_row(name, f"@{cutoff}", *_cells(gain))
            name = ""
    return shown


def explained(noun: str, known: Comparison, new: Comparison) -> str:
    """What was compared, and how."""
    return (
        f"{_counts(noun, 'known users', known)}{_counts(noun, 'new users', new)}"
        "  The same events on both sides; every item of the index competes, except those\n"
        "  the user had seen by then. Frozen, a new user is the profile alone.\n"
        "  Gain: fresh - frozen, with a paired bootstrap over users."
    )


def surprise(noun: str, known: Comparison) -> str:
    """Plain words where fresh does not beat frozen; empty where it does."""
    if not known.gains or min(gain.difference.low for gain in known.gains.values()) > 0:
        return ""
    told = "  For known users, fresh does not beat frozen beyond doubt here."
    if known.unseen_items < 0.5:
        return told
    return (
        f"{told} {known.unseen_items:.0%} of their\n"
        f"  later events are on {noun}s new to the model, whichever vector the user has."
    )


def _counts(noun: str, name: str, group: Comparison) -> str:
    if not group.compared:
        return f"  There are no events of {name}.\n"
    counts = f"{group.compared:,} of {group.events:,} events of {group.users:,} {name}"
    return f"  {counts}; {group.unseen_items:.0%} on {noun}s new to the model.\n"


def _cells(gain: Gain) -> tuple[str, ...]:
    low, high = gain.difference.low, gain.difference.high
    colour = "green" if low > 0 else "red" if high < 0 else "yellow"
    return (
        f"{gain.frozen:.3f}",
        f"[bold]{gain.fresh:.3f}[/]",
        f"[{colour}]{gain.difference.mean:+.3f}[/]",
        f"{low:+.3f} to {high:+.3f}",
    )
