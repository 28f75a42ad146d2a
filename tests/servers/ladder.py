"""Which server the tests run on: the first of several sources that has one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager

Source = Callable[[], AbstractContextManager[str]]


class NoServerError(Exception):
    """This source has no server on this machine; the message says why."""


@contextmanager
def first_of(sources: Mapping[str, Source], taken: Callable[[str, str], None]) -> Iterator[str]:
    """Address of the first source's server that starts; `taken(source, address)` is told which it is."""
    with ExitStack() as stack:
        source, address = _first(sources, stack)
        taken(source, address)
        yield address


def from_environment(variable: str) -> Source:
    """The server whose address stands in this variable; it is neither started nor stopped."""

    @contextmanager
    def named() -> Iterator[str]:
        if variable not in os.environ:
            raise NoServerError(f"{variable} is not set")
        yield os.environ[variable]

    return named


def _first(sources: Mapping[str, Source], stack: ExitStack) -> tuple[str, str]:
    reasons = []
    for name, source in sources.items():
        try:
            return name, stack.enter_context(source())
        except NoServerError as reason:
            reasons.append(f"{name}: {reason}")
    raise RuntimeError("No server for the tests. " + "; ".join(reasons))
