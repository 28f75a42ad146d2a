"""The one exception of the decoding room; it never leaves it."""

from __future__ import annotations

from kindred.events.schema import Reason

_SHOWN_CHARACTERS = 80


class Rejected(Exception):
    """This record is not an event. `decode` turns it into a dead letter."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def shown(value: object) -> str:
    """A rejected value for a detail: short, and ASCII, so that it can be stored and printed anywhere."""
    text = ascii(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "..."
