"""What differs between what must be and what is, as lines that a person can act on."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

EXAMPLES = 5
LONGEST = 300


class Findings:
    """Differences by kind; the first few of each are kept in words."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._examples: dict[str, list[str]] = defaultdict(list)

    def compare(self, kind: str, who: Any, is_: Any, must_be: Any) -> None:
        """Note it unless the two are equal."""
        if is_ != must_be:
            self.note(kind, f"{who}: is {_short(is_)}, must be {_short(must_be)}")

    def note(self, kind: str, text: str) -> None:
        self.counts[kind] += 1
        if len(self._examples[kind]) < EXAMPLES:
            self._examples[kind].append(text)

    def keys(self, kind: str, there: set[Any], wanted: set[Any]) -> None:
        """What is missing, and what is there too much."""
        for each in sorted(wanted - there):
            self.note(f"missing {kind}", _short(each))
        for each in sorted(there - wanted):
            self.note(f"surplus {kind}", _short(each))

    def lines(self) -> list[str]:
        """One line a difference, as far as examples are kept; then how many more there are."""
        lines = []
        for kind, count in self.counts.items():
            lines += [f"{kind}: {example}" for example in self._examples[kind]]
            if count > EXAMPLES:
                lines.append(f"{kind}: {count - EXAMPLES} more")
        return lines


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text)} characters)"
