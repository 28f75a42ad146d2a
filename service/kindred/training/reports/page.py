"""A report as one page of HTML that needs nothing else: no script, no font, no picture from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from importlib import resources

from kindred.training.reports import charts, findings
from kindred.training.reports.cold_start import ColdStart, NewItems
from kindred.training.reports.cold_start_findings import of_cold_start
from kindred.training.reports.comparison import Comparison, Group, Row
from kindred.training.reports.freshness import Freshness
from kindred.training.reports.in_demand import Demand
from kindred.training.reports.markup import drawn, measured, section, table
from kindred.training.reports.neighbours import Neighbours
from kindred.training.reports.report import Report


def page(report: Report) -> str:
    """The whole document. Needs matplotlib, which comes with the extra `train`."""
    style = resources.files("kindred.training.reports").joinpath("page.css").read_text("utf-8")
    title = f"Evaluation of {escape(report.model)}"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{style}</style></head>\n<body><main>\n"
        f"<h1>{title}</h1>\n{''.join(_sections(report))}</main></body></html>\n"
    )


def _sections(report: Report) -> Iterator[str]:
    yield _opening(report)
    yield _comparison(report)
    if report.freshness:
        yield _freshness(report.freshness, report.comparison)
    if report.demand:
        yield _demand(report.demand, report.comparison.k)
    if report.cold_start:
        yield _cold_start(report.cold_start, report.comparison.k)
    if report.neighbours:
        yield _neighbours(report.neighbours)
    yield _how(report)


def _opening(report: Report) -> str:
    asked, k = report.asked, report.comparison.k
    facts = [
        *_headline(report.comparison.overall, f"HR@{k}", f"NDCG@{k}"),
        (f"{asked.cases:,}", f"of {asked.held_out:,} held-out events asked about"),
        (f"{asked.items:,}", "items compete for each"),
    ]
    cards = "".join(
        f"<div><b>{escape(value)}</b><span>{escape(label)}</span></div>" for value, label in facts
    )
    trained = f"Trained on events up to {_day(report.trained_until)}; "
    when = f"asked about {_day(asked.from_time)} to {_day(asked.to_time)}, {asked.split} split."
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in report.notes)
    return f'<p class="muted">{escape(trained + when)}</p><div class="facts">{cards}</div>{notes}'


def _headline(overall: Group, hit_rate: str, main: str) -> Iterator[tuple[str, str]]:
    model = overall.rows[0].measures
    yield f"{model[hit_rate].mean:.3f}", hit_rate
    yield f"{model[main].mean:.3f}", main
    if best := _row(overall, overall.best):
        yield f"{best.gain[main].mean:+.3f}", f"{main} against {best.name}"


def _comparison(report: Report) -> str:
    comparison, names = report.comparison, report.measures
    rows = [
        [escape(row.name), *(measured(row.measures[name]) for name in names), *_taste(row)]
        for row in comparison.overall.rows
    ]
    taken = ["what was taken", *[""] * len(names), "", measured(comparison.targets.percentile)]
    settings = [[escape(row.name), escape(row.settings)] for row in comparison.overall.rows if row.settings]
    return (
        section("Against baselines", findings.of_comparison(comparison))
        + drawn(charts.rivals(comparison))
        + table(["", *names, "shown", "popularity"], [*rows, taken], _TASTE, lead=0)
        + table(*_groups(comparison))
        + (table(["baseline", "settings"], settings, _TUNED) if settings else "")
    )


def _groups(comparison: Comparison) -> tuple[list[str], list[list[str]], str]:
    hit_rate, main = f"HR@{comparison.k}", f"NDCG@{comparison.k}"
    header = ["", "cases", hit_rate, main, "best baseline", hit_rate, main, f"gain in {main}"]
    rows = []
    for group in comparison.groups:
        own = [measured(group.rows[0].measures[name]) for name in (hit_rate, main)]
        best = _row(group, group.best)
        theirs = (
            [escape(best.name), *(measured(best.measures[name]) for name in (hit_rate, main)),
             measured(best.gain[main], "+")]
            if best else [""] * 4
        )  # fmt: skip
        rows.append([escape(group.name), f"{group.cases:,}", *own, *theirs])
    return header, rows, "The same apart; in repeated pairs seen items compete as well"


def _freshness(found: Freshness, comparison: Comparison) -> str:
    names = (f"HR@{comparison.k}", f"NDCG@{comparison.k}")
    by_events = [
        [str(each.events), f"{each.left:.0%}", *(measured(each.measures[name]) for name in names)]
        for each in found.by_events
    ]
    by_clock = [
        [escape(each.name), f"{each.missed:.1f}", *(measured(each.measures[name]) for name in names),
         measured(each.loss[names[0]], "+")]
        for each in found.by_clock
    ]  # fmt: skip
    return (
        section("What freshness is worth", findings.of_freshness(found, comparison))
        + drawn(charts.freshness(found, comparison), _STALE)
        + table(["events missed", "any history left", *names], by_events)
        + table(["vectors made anew", "events missed", *names, f"fresh gains in {names[0]}"], by_clock)
    )


def _demand(found: Demand, k: int) -> str:
    names = (f"HR@{k}", f"NDCG@{k}")
    rows = [
        [f"{each.weight:g}", *(measured(each.measures[name]) for name in names),
         measured(each.gain[names[1]], "+")]
        for each in found.by_weight
    ]  # fmt: skip
    rows.append(["demand alone", *(measured(found.alone[name]) for name in names), ""])
    caption = (
        f"{found.cases:,} cases, the later half; popularity with a half-life of {found.half_life_days:g} d"
    )
    lead = [each.weight for each in found.by_weight].index(found.chosen)
    return section("Taste and demand", findings.of_demand(found, k)) + table(
        ["popularity weight", *names, f"gain in {names[1]}"], rows, caption, lead=lead
    )


def _cold_start(cold: ColdStart, k: int) -> str:
    text = section("Newcomers: users and items that training never met", of_cold_start(cold, k))
    text += _new_items(cold.items) if cold.items and cold.items.described else ""
    if not cold.steps:
        return text
    names = [row.name for row in cold.steps[0].rows]
    rows = [
        [str(step.events), f"{step.cases:,}", *(measured(row.measures[f"NDCG@{k}"]) for row in step.rows)]
        for step in cold.steps
    ]
    caption = f"NDCG@{k} of a newcomer's next item, by the number of events that are known before it"
    return text + drawn(charts.newcomers(cold, k), caption) + table(["events", "cases", *names], rows)


def _new_items(items: NewItems) -> str:
    names = list(items.among_all)
    rows = [
        [label, *(measured(own[name]) for name in names)]
        for label, own in (("among the new ones", items.among_new), ("among all", items.among_all))
    ]
    caption = f"{items.cases:,} events on items that training never met, ranked by their description alone"
    return table(["", *names], rows, caption)


def _neighbours(found: Neighbours) -> str:
    rows = [
        [escape(row.name), measured(row.nearest), measured(row.ten_nearest), measured(row.gain, "+")]
        for row in found.rows
    ]
    caption = f"{found.asked:,} of {found.users:,} users who took something before and after"
    return (
        section("Similar users", findings.of_neighbours(found))
        + drawn(charts.neighbours(found))
        + table(["neighbours by", "nearest", "ten nearest", "gain over random"], rows, caption, lead=0)
    )


def _how(report: Report) -> str:
    return section("How it was judged", [_PROTOCOL]) + f'<p class="muted">{escape(report.model)}</p>\n'


def _taste(row: Row) -> tuple[str, str]:
    return ("", "") if row.taste is None else (f"{row.taste.coverage:.0%}", measured(row.taste.percentile))


def _row(group: Group, name: str | None) -> Row | None:
    return next((row for row in group.rows if row.name == name), None)


def _day(moment: str | None) -> str:
    return moment[:10] if moment else "an unknown day"


_TASTE = (
    "Means ± half the 95 % interval. Shown: share of the catalogue in at least one list; "
    "popularity: mean percentile of what is listed, 1 the most popular"
)
_TUNED = "How each baseline was set; unless tuning was left out, by what ranked the newest events before best"
_STALE = "Left: all of a user's vectors miss the newest events. Right: all are made at set times (UTC)."
_PROTOCOL = (
    "Each held-out event is one case: the history before it makes the user's vector, the whole catalogue is "
    "ranked without what the user had seen, and an item with the same score as the target counts as better. "
    "Baselines learned from the same events as the model and from its validation events, too, which its "
    "weights never saw. All read the same fresh histories; only live popularity also knows what others did "
    "later. An item is known where the model knows its id. Profiles and descriptions are the newest there "
    "are, also where a case is older; and a user who was held out is asked from the first event on, when "
    "neither the model nor popularity could have known what the rest of the training tells. Intervals are "
    "bootstrapped over users, and differences are paired. With one target a case, HR@k is recall@k."
)
