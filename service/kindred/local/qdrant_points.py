"""Qdrant's calls on points: body in, result out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast
from uuid import UUID

import msgspec
import pydantic
from qdrant_client.http import models
from qdrant_client.local.local_collection import DEFAULT_VECTOR_NAME
from qdrant_client.local.qdrant_local import QdrantLocal

from kindred.local.qdrant_collection import Collection, DensePoint
from kindred.local.qdrant_strict import refuse_unordered

UPDATED = models.UpdateResult(operation_id=0, status=models.UpdateStatus.COMPLETED)


def parsed(model: Any, body: bytes) -> Any:
    """The body as one of the client's request models. Raises pydantic.ValidationError."""
    if model not in _adapters:
        _adapters[model] = pydantic.TypeAdapter(model)
    return _adapters[model].validate_json(body)


def point(local: QdrantLocal, name: str, point_id: str) -> models.Record:
    """One point with everything. Raises KeyError."""
    ids = [int(point_id) if point_id.isdecimal() else point_id]
    found = local.retrieve(name, ids, with_payload=True, with_vectors=True)
    if not found:
        raise KeyError(point_id)
    return found[0]


class _DenseUpsert(msgspec.Struct, forbid_unknown_fields=True):
    points: list[DensePoint]
    update_filter: msgspec.Raw = msgspec.Raw(b"null")
    update_mode: models.UpdateMode | None = None


def _upsert(local: QdrantLocal, name: str, body: bytes) -> models.UpdateResult:
    collection = cast(Collection, local._get_collection(name))
    if DEFAULT_VECTOR_NAME not in collection.vectors:
        return _upsert_any(local, name, parsed(models.PointInsertOperations, body))
    try:
        # In a fraction of the time that the client's models take; they parse whatever has another shape.
        dense = _decode_dense(body)
    except msgspec.DecodeError:
        return _upsert_any(local, name, parsed(models.PointInsertOperations, body))
    update_filter = parsed(models.Filter | None, bytes(dense.update_filter))
    collection.upsert_dense(dense.points, update_filter, dense.update_mode)
    return UPDATED


def _upsert_any(local: QdrantLocal, name: str, request: models.PointInsertOperations) -> models.UpdateResult:
    points = request.batch if isinstance(request, models.PointsBatch) else request.points
    return local.upsert(name, points, request.update_filter, request.update_mode)


def _retrieve(local: QdrantLocal, name: str, body: bytes) -> Any:
    request = parsed(models.PointRequest, body)
    return local.retrieve(name, request.ids, _payload_by_default(request), request.with_vector)


def _scroll(local: QdrantLocal, name: str, body: bytes) -> Any:
    request = parsed(models.ScrollRequest, body)
    order_by = request.order_by
    if order_by is not None:
        key = order_by if isinstance(order_by, str) else order_by.key
        refuse_unordered(key, cast(Collection, local._get_collection(name)).indexes)
    points, next_page = local.scroll(
        name,
        scroll_filter=request.filter,
        limit=10 if request.limit is None else request.limit,
        order_by=models.OrderBy(key=order_by) if isinstance(order_by, str) else order_by,
        offset=str(request.offset) if isinstance(request.offset, UUID) else request.offset,
        with_payload=_payload_by_default(request),
        with_vectors=request.with_vector,
    )
    return {"points": points, "next_page_offset": next_page}


def _count(local: QdrantLocal, name: str, body: bytes) -> Any:
    return local.count(name, parsed(models.CountRequest, body).filter)


def _query(local: QdrantLocal, name: str, body: bytes) -> Any:
    return local.query_batch_points(name, [_without_payload(parsed(models.QueryRequest, body))])[0]


def _query_batch(local: QdrantLocal, name: str, body: bytes) -> Any:
    requests = parsed(models.QueryRequestBatch, body).searches
    return local.query_batch_points(name, [_without_payload(request) for request in requests])


def _delete_points(local: QdrantLocal, name: str, body: bytes) -> Any:
    return local.delete(name, parsed(models.PointsSelector, body))


def _set_payload(local: QdrantLocal, name: str, body: bytes) -> Any:
    request = parsed(models.SetPayload, body)
    return local.set_payload(name, request.payload, _selector(request), request.key)


def _overwrite_payload(local: QdrantLocal, name: str, body: bytes) -> Any:
    request = parsed(models.SetPayload, body)
    return local.overwrite_payload(name, request.payload, _selector(request))


def _delete_payload(local: QdrantLocal, name: str, body: bytes) -> Any:
    request = parsed(models.DeletePayload, body)
    return local.delete_payload(name, request.keys, _selector(request))


def _batch_update(local: QdrantLocal, name: str, body: bytes) -> Any:
    return local.batch_update_points(name, parsed(models.UpdateOperations, body).operations)


def _payload_by_default(request: Any) -> Any:
    return True if request.with_payload is None else request.with_payload


def _without_payload(request: models.QueryRequest) -> models.QueryRequest:
    # The server's default for a query; local mode's is to give it.
    if request.with_payload is None:
        request.with_payload = False
    return request


def _selector(request: Any) -> Any:
    if request.points is None and request.filter is None:
        raise ValueError("Either list of point ids or filter must be provided")
    return request.filter if request.points is None else request.points


POINT_ROUTES: dict[tuple[str, str], Callable[[QdrantLocal, str, bytes], Any]] = {
    ("PUT", "points"): _upsert,
    ("POST", "points"): _retrieve,
    ("POST", "points/scroll"): _scroll,
    ("POST", "points/count"): _count,
    ("POST", "points/query"): _query,
    ("POST", "points/query/batch"): _query_batch,
    ("POST", "points/delete"): _delete_points,
    ("POST", "points/payload"): _set_payload,
    ("PUT", "points/payload"): _overwrite_payload,
    ("POST", "points/payload/delete"): _delete_payload,
    ("POST", "points/batch"): _batch_update,
}

_decode_dense = msgspec.json.Decoder(_DenseUpsert).decode
_adapters: dict[Any, pydantic.TypeAdapter[Any]] = {}
