"""Logs: JSON lines in a container, readable on a terminal. Never a secret, never an event's content."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Literal

import structlog

from kindred.safe_text import visible, visible_lines


def configure(form: Literal["auto", "json", "console"], level: str) -> None:
    """Set up structlog, and the standard library's loggers with it."""
    to_terminal = form == "console" or (form == "auto" and sys.stderr.isatty())
    renderer: Any = structlog.dev.ConsoleRenderer() if to_terminal else structlog.processors.JSONRenderer()
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        # Before the renderer, which would print every local variable of a library's exception.
        structlog.processors.format_exc_info,
        *([_harmless] if to_terminal else []),  # JSON escapes by itself
    ]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name], processor=renderer
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


def _harmless(_: Any, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """A value with a line break must not write a line of its own, nor one with an escape sequence obey."""
    return {name: _shown(name, value) for name, value in event.items()}


def _shown(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value  # shown as its repr
    return visible_lines(value) if name == "exception" else visible(value)
