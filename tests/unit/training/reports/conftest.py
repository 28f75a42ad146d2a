"""Logs of which the right answer is known."""

from __future__ import annotations

import pytest

from kindred.training.event_log import EventLog
from logs import log_of

RING = 40


@pytest.fixture(scope="session")
def ring() -> EventLog:
    """30 users go round a ring of items, one step every half hour, each from a place of their own."""
    steps = [
        (f"u{user:02}", f"i{(user + step) % RING:02}", user + step / 48)
        for user in range(30)
        for step in range(12)
    ]
    return log_of(*steps)
