from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from kindred.commands.evaluation_tables import print_report
from kindred.declaration import Declaration
from kindred.embedding import checkpoint
from kindred.embedding.manifest import HeldOut
from kindred.training.event_log import EventLog
from kindred.training.holdout import remaining
from kindred.training.options import TrainingOptions
from kindred.training.reports.evaluation import EvaluationOptions, evaluate
from kindred.training.reports.page import page
from kindred.training.reports.report import Report, as_json
from kindred.training.train import train

SECTIONS = (
    "Against baselines",
    "What freshness is worth",
    "Taste and demand",
    "Newcomers: users and items that training never met",
    "Similar users",
    "How it was judged",
)


@pytest.fixture(scope="module")
def report(shop: EventLog, film_shop: Declaration, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Of a model that was trained for one epoch."""
    held_out = HeldOut(newest_share=0.3, users_share=0.2, items_share=0.1)
    directory = train(
        remaining(shop, film_shop, held_out), film_shop, TrainingOptions(epochs=1),
        tmp_path_factory.mktemp("trained") / "model", now=datetime(2026, 1, 1, tzinfo=UTC), held_out=held_out,
    )  # fmt: skip
    model, manifest = checkpoint.load(directory)
    told: list[tuple[str, int]] = []
    options = EvaluationOptions(most_cases=300, baselines=("popularity", "live", "knn"), tune=False)
    found = evaluate(model, manifest, shop, options, lambda step, cases: told.append((step, cases)))
    assert {step for step, _ in told} >= {"fitting item-kNN", "ranking with older vectors"}
    assert max(cases for _, cases in told) > 300
    return found


@pytest.fixture(scope="module")
def html(report: Report) -> str:
    return page(report)


class Page(HTMLParser):
    """What a page consists of, and whether all that it opens is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.texts: list[str] = []
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in ("meta", "use", "path", "rect"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._open:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())


def parsed(html: str) -> Page:
    reader = Page()
    reader.feed(html)
    assert not reader._open
    return reader


def test_the_page_has_every_section_and_plot(html: str) -> None:
    found = parsed(html)
    assert all(section in found.texts for section in SECTIONS)
    assert found.tags.count("svg") == 4
    assert found.tags.count("table") >= 7
    assert "among the new ones" in found.texts
    assert len(set(found.ids)) == len(found.ids)


def test_the_page_says_what_baselines_learned_from(html: str) -> None:
    assert "and from its validation events, too, which its weights never saw" in html


def test_the_page_needs_nothing_from_elsewhere(html: str) -> None:
    assert not re.search(r"https?:|//|@import|\bsrc=|<link|<script", html)
    assert all(target.startswith("#") for target in re.findall(r'href="([^"]*)"', html))
    used = re.findall(r'(?:href="|url\()#([\w-]+)', html)
    assert used
    assert set(used) <= set(parsed(html).ids)


def test_plots_take_their_colours_from_the_page(html: str) -> None:
    plots = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    assert not re.search(r"#[0-9a-f]{6}\b", "".join(plots))
    assert all("var(--ink)" in plot for plot in plots)


def test_what_a_model_or_an_attribute_is_called_is_no_markup(report: Report) -> None:
    hostile = msgspec.structs.replace(report, model="<b>m</b>", notes=["<script>alert(1)</script>"])
    escaped = page(hostile)
    assert "<b>m" not in escaped
    assert "<script" not in escaped


def test_a_report_comes_back_from_its_json(report: Report) -> None:
    written = json.loads(json.dumps(as_json(report)))
    assert msgspec.convert(written, Report) == report
    assert written["comparison"]["overall"]["rows"][0]["measures"]["HR@10"].keys() == {"mean", "low", "high"}


def test_every_part_is_there_and_its_figures_are_shares(report: Report) -> None:
    assert report.freshness is not None
    assert report.cold_start is not None
    assert report.cold_start.items is not None
    assert report.cold_start.items.described == report.cold_start.items.items
    assert report.neighbours is not None
    names = [row.name for row in report.cold_start.steps[0].rows]
    assert names == [
        "this model", "without the profile", "popularity",
        "within age_group", "within country", "within device_type",
    ]  # fmt: skip
    for row in report.comparison.overall.rows:
        for interval in row.measures.values():
            assert 0 <= interval.low <= interval.mean <= interval.high <= 1
        assert row.taste is not None
        assert 0 < row.taste.coverage <= 1
    assert report.freshness.by_events[0].measures == report.comparison.overall.rows[0].measures


@pytest.mark.parametrize("width", [80, 160])
def test_a_terminal_shows_all_tables_whole(report: Report, width: int, tmp_path: Path) -> None:
    with (tmp_path / "screen").open("w+") as screen:
        print_report(Console(file=screen, width=width, force_terminal=False), report)
        screen.seek(0)
        shown = screen.read()
    for title in (
        "Next items held out",
        "The same apart",
        "What freshness is worth",
        "Taste and demand",
        "Newcomers",
        "Similar users",
    ):
        assert title in shown
    assert ("a terminal of 118 columns" in shown) == (width < 118)
    assert "…" not in shown
