"""The few shapes that a report's page is made of. Cells are HTML; everything else is escaped here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from kindred.training.intervals import Interval


def section(title: str, sentences: Iterable[str]) -> str:
    """A heading, and what the figures below it say."""
    return f"<h2>{escape(title)}</h2>\n" + "".join(f"<p>{escape(each)}</p>\n" for each in sentences)


def drawn(svg: str, caption: str = "") -> str:
    """A plot, with words below it."""
    words = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f"<figure>{svg}{words}</figure>\n"


def table(
    header: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "", lead: int | None = None
) -> str:
    """Rows of cells under a header; row `lead` stands out."""
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join(
        f"<tr{' class=model' if number == lead else ''}>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>\n"
        for number, row in enumerate(rows)
    )
    words = f"<caption>{escape(caption)}</caption>" if caption else ""
    filled = f"{words}<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    return f'<div class="scroll"><table>{filled}</table></div>\n'


def measured(value: Interval, sign: str = "") -> str:
    """A mean, and half the width of its interval, as a cell."""
    return f"{value.mean:{sign}.3f} <small>±{(value.high - value.low) / 2:.3f}</small>"
