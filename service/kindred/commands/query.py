"""Commands that ask: recommend, similar, similar-items, audience, history."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.markup import escape

from kindred.client import Answer, KindredClient, parse_filter
from kindred.commands.output import AsJson, console, print_json, print_rows, visible
from kindred.errors import UnknownUser
from kindred.settings import load_settings
from kindred.vectors.connection import connect


def _utf8(value: str | list[str] | None) -> str | list[str] | None:
    """An argument may be any bytes, an id or a name not."""
    try:
        "".join(value or "").encode()
    except UnicodeEncodeError:
        raise typer.BadParameter("this is not UTF-8") from None
    return value


User = Annotated[str, typer.Argument(help="A user id.", callback=_utf8)]
ItemId = Annotated[str, typer.Argument(help="An item id.", callback=_utf8)]
Limit = Annotated[int, typer.Option(min=1, max=1000)]
Filters = Annotated[
    list[str] | None,
    typer.Option(
        "--filter", help="genres=Drama, year>=1990, country=DE,AT; repeat for more.", callback=_utf8
    ),
]
HEADINGS = {
    "personal": "from this user's history",
    "cold_start": "from the profile alone: this user has no history yet",
    "popular": "nothing is known of this user: the most popular items",
    "similar": "by likeness",
}


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command()(recommend)
    app.command()(similar)
    app.command("similar-items")(similar_items)
    app.command()(audience)
    app.command()(history)


def recommend(
    user: User,
    limit: Limit = 10,
    filters: Filters = None,
    include_seen: Annotated[bool, typer.Option("--include-seen", help="Also what was seen already.")] = False,
    popularity_weight: Annotated[
        float, typer.Option(help="How much demand counts beside taste; 0: nothing.", min=0)
    ] = 0.0,
    as_json: AsJson = False,
) -> None:
    """Items for a user; the most popular ones for a user nobody knows."""
    with _client() as kindred:
        wanted = parse_filter(filters or [])
        answer = kindred.recommend(user, limit, wanted, include_seen, popularity_weight)
    _print(f"Items for user {user}", answer, as_json)


def similar(user: User, limit: Limit = 10, filters: Filters = None, as_json: AsJson = False) -> None:
    """Users like this user."""
    with _client() as kindred:
        answer = kindred.similar(user, limit, parse_filter(filters or []))
    _print(f"Users like {user}", answer, as_json)


def similar_items(item: ItemId, limit: Limit = 10, filters: Filters = None, as_json: AsJson = False) -> None:
    """Items like this item."""
    with _client() as kindred:
        answer = kindred.similar_items(item, limit, parse_filter(filters or []))
    _print(f"Items like {item}", answer, as_json)


def audience(item: ItemId, limit: Limit = 10, filters: Filters = None, as_json: AsJson = False) -> None:
    """Users whom this item fits best: whom to tell of it."""
    with _client() as kindred:
        answer = kindred.audience(item, limit, parse_filter(filters or []))
    _print(f"Users for item {item}", answer, as_json)


def history(user: User, limit: Limit = 20, as_json: AsJson = False) -> None:
    """What Postgres keeps of a user: profile and newest interactions."""
    from kindred.composition import opened
    from kindred.history.lookup import read_user

    with opened(load_settings(), "kindred-history") as servers:
        found = read_user(servers.database, user, limit)
    if found is None:
        raise UnknownUser(f"Nobody has seen user {user}.")
    if as_json:
        return print_json(found)
    erased = f", erased at {found['erased_at']}" if found["erased_at"] else ""
    says = f"{found['history_length']} interactions, revision {found['revision']}{erased}"
    console.print(f"[bold]User {escape(visible(user))}[/]: {says}", soft_wrap=True)
    console.print(f"profile: {found['profile'] or 'none'}", markup=False, soft_wrap=True)
    return print_rows("newest first", found["interactions"])


def _client() -> KindredClient:
    settings = load_settings()
    return KindredClient(client=connect(settings.qdrant), namespace=settings.namespace)


def _print(title: str, answer: Answer, as_json: bool) -> None:
    if as_json:
        matches = [{"id": m.id, "score": m.score, "payload": m.payload} for m in answer]
        return print_json({"source": answer.source, "model": answer.model, "matches": matches})
    rows = [{"id": m.id, "score": m.score} | _facts(m.payload) for m in answer]
    return print_rows(f"{title} ({HEADINGS[answer.source]})", rows)


def _facts(payload: Any) -> dict[str, Any]:
    """What a person wants to see of a point, in a fixed order, for a table needs equal columns."""
    shown = ("title", "genres", "year", "country", "age_group", "history_length", "last_event_at")
    return {name: payload[name] for name in shown if name in payload}
