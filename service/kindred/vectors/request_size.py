"""How large requests to Qdrant may be: smaller after one that took too long, larger again by and by."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kindred.vectors.connection import TooSlow

LEAST_BYTES = 50_000
STEPS_BACK = 50  # requests from the smallest to the largest


class RequestSize:
    """Halves, and grows in equal steps (AIMD, as TCP's window; Chiu and Jain, 1989).

    A server that is too slow for a batch would be asked for the same again and again, and still be busy with
    what nobody waits for any more. Parts of it that are there already change nothing, for they are fenced.
    """

    def __init__(self, most_bytes: int) -> None:
        self.bytes = most_bytes
        self._most_bytes = most_bytes

    @contextmanager
    def tried(self) -> Iterator[None]:
        """Around a batch's requests. Passes every error on."""
        try:
            yield
        except TooSlow:
            self.bytes = min(self.bytes, max(LEAST_BYTES, self.bytes // 2))
            raise
        self.bytes = min(self._most_bytes, self.bytes + self._most_bytes // STEPS_BACK)
