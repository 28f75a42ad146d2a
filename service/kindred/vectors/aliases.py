"""The aliases `users` and `items`: which model is live."""

from __future__ import annotations

from qdrant_client import QdrantClient, models

from kindred.errors import Misconfigured
from kindred.vectors.connection import translated_errors
from kindred.vectors.names import CollectionNames


def point_aliases(client: QdrantClient, names: CollectionNames, model: str) -> None:
    """Make `model` live: one atomic call moves both aliases, whether or not they exist."""
    with translated_errors():
        client.update_collection_aliases(
            [
                *_moved(names.users_alias, names.users(model)),
                *_moved(names.items_alias, names.items(model)),
            ]
        )


def live_model(client: QdrantClient, names: CollectionNames) -> str | None:
    """The model that both aliases point to; None while one of them points nowhere.

    A collection takes its alias with it when it goes.
    """
    with translated_errors():
        aliases = client.get_aliases().aliases
    target = {alias.alias_name: alias.collection_name for alias in aliases}
    users = _model(target.get(names.users_alias), f"{names.users_alias}__")
    items = _model(target.get(names.items_alias), f"{names.items_alias}__")
    if users is None or items is None:
        return None
    if users != items:
        raise Misconfigured(
            f"The alias {names.users_alias} points to the model {users} but {names.items_alias} to {items}: "
            "promote one model again, which moves both."
        )
    return users


def _moved(alias: str, collection: str) -> list[models.CreateAliasOperation]:
    # CreateAlias silently repoints an alias in use (Qdrant 1.18), so no delete comes first.
    create = models.CreateAlias(alias_name=alias, collection_name=collection)
    return [models.CreateAliasOperation(create_alias=create)]


def _model(collection: str | None, prefix: str) -> str | None:
    if collection is None:
        return None
    if not collection.startswith(prefix):
        raise Misconfigured(
            f"The alias {prefix.removesuffix('__')} points to {collection}, which Kindred did not make: "
            "move the alias, or set KINDRED_NAMESPACE so that the two don't meet."
        )
    return collection.removeprefix(prefix)
