"""The two collections of a model: their width, distance and payload indexes."""

from __future__ import annotations

from collections.abc import Mapping

from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from kindred.declaration import Declaration, Feature, Kind
from kindred.errors import Misconfigured
from kindred.vectors.aliases import live_model, point_aliases
from kindred.vectors.connection import translated_errors
from kindred.vectors.names import CollectionNames

__all__ = ["CollectionNames", "ensure_collections", "live_model", "point_aliases"]

Schema = models.PayloadSchemaType

# Not user_id and item_id: the point id is computed from them, and `has_id` needs no index.
_ON_EVERY_POINT = {"revision": Schema.INTEGER, "erased": Schema.BOOL}
_USER_FIELDS = {**_ON_EVERY_POINT, "last_event_at": Schema.DATETIME, "cold_start": Schema.BOOL}
_ITEM_FIELDS = {**_ON_EVERY_POINT, "popularity": Schema.FLOAT}

# A float index serves integers too, and both serve ranges, which is how numbers are always filtered.
_FEATURE_SCHEMA = {
    Kind.CATEGORY: Schema.KEYWORD,
    Kind.MULTI_CATEGORY: Schema.KEYWORD,
    Kind.TEXT: Schema.KEYWORD,
    Kind.NUMBER: Schema.FLOAT,
}


def ensure_collections(
    client: QdrantClient,
    names: CollectionNames,
    model: str,
    dimension: int,
    declaration: Declaration,
    shard_number: int | None = None,
    replication_factor: int | None = None,
) -> None:
    """Create what is missing of a model's collections and payload indexes; may run in many workers at once.

    Raises Misconfigured where a collection exists with another width or distance.
    """
    layout = {
        names.users(model): (models.Distance.COSINE, user_indexes(declaration)),
        names.items(model): (models.Distance.DOT, item_indexes(declaration)),
    }
    for collection, (distance, indexes) in layout.items():
        vectors = models.VectorParams(size=dimension, distance=distance)
        with translated_errors():
            _create_collection(client, collection, vectors, shard_number, replication_factor)
            existing = client.get_collection(collection)
            _check_vectors(collection, existing, vectors)
            _create_indexes(client, collection, indexes, existing.payload_schema)


def user_indexes(declaration: Declaration) -> dict[str, models.PayloadSchemaType]:
    """Indexed payload fields of a user, with their types."""
    return _filterable(declaration.user) | _USER_FIELDS


def item_indexes(declaration: Declaration) -> dict[str, models.PayloadSchemaType]:
    """Indexed payload fields of an item, with their types."""
    declared = {name: Schema(field.kind) for name, field in declaration.payload.items() if field.indexed}
    return _filterable(declaration.item) | declared | _ITEM_FIELDS


def _filterable(features: Mapping[str, Feature]) -> dict[str, models.PayloadSchemaType]:
    return {
        name: _FEATURE_SCHEMA[feature.kind]
        for name, feature in features.items()
        if feature.filter and feature.kind is not Kind.VECTOR
    }


def _create_collection(
    client: QdrantClient,
    collection: str,
    vectors: models.VectorParams,
    shard_number: int | None,
    replication_factor: int | None,
) -> None:
    if client.collection_exists(collection):
        return
    try:
        client.create_collection(
            collection, vectors, shard_number=shard_number, replication_factor=replication_factor
        )
    except UnexpectedResponse:
        # Another worker was faster; anything else fails again, or shows, right after this.
        if not client.collection_exists(collection):
            raise


def _check_vectors(collection: str, existing: models.CollectionInfo, wanted: models.VectorParams) -> None:
    found = existing.config.params.vectors
    if not isinstance(found, models.VectorParams):
        raise Misconfigured(
            f"The collection {collection} holds named vectors, so it is not Kindred's: remove it, or set "
            "KINDRED_NAMESPACE."
        )
    if (found.size, found.distance) != (wanted.size, wanted.distance):
        raise Misconfigured(
            f"The collection {collection} holds vectors of width {found.size} ({found.distance.value}), "
            f"but the model gives {wanted.size} ({wanted.distance.value}): roll the model out under another "
            "name, or remove the collection."
        )


def _create_indexes(
    client: QdrantClient,
    collection: str,
    indexes: Mapping[str, models.PayloadSchemaType],
    existing: Mapping[str, models.PayloadIndexInfo],
) -> None:
    for field, schema in indexes.items():
        if field not in existing or existing[field].data_type != schema:
            client.create_payload_index(collection, field, field_schema=schema, wait=True)
