"""Qdrant's REST API, as far as Kindred uses it, on qdrant-client's local mode.

Bodies are parsed by the client's own request models; statuses and error texts are the server's
(https://api.qdrant.tech, and Qdrant 1.18 itself).
"""

from __future__ import annotations

import re
from typing import Any, cast

import msgspec
import pydantic
import pydantic_core
from qdrant_client.http import models
from qdrant_client.local.qdrant_local import QdrantLocal

from kindred.local.qdrant_collection import Collection
from kindred.local.qdrant_points import POINT_ROUTES, UPDATED, parsed, point

_NO_VECTOR_THERE = re.compile(r"Point (\S+) is not found|Vector with name .* for point (\S+) not found")


class RefusedRequestError(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Text(str):
    """An answer that is no JSON."""


class Api:
    """The state of one server. Not thread-safe, like local mode."""

    def __init__(self) -> None:
        self._local = QdrantLocal(":memory:")

    def answer(self, method: str, path: list[str], body: bytes) -> Any:
        """The response body, before encoding. Raises RefusedRequestError."""
        try:
            return self._route(method, path, body)
        except (pydantic.ValidationError, msgspec.DecodeError) as error:
            raise RefusedRequestError(400, f"Format error in JSON body: {error}") from error
        except KeyError as error:
            raise RefusedRequestError(404, f"Not found: No point with id {error.args[0]} found") from error
        except (ValueError, NotImplementedError) as error:
            raise _refusal(str(error)) from error

    def _route(self, method: str, path: list[str], body: bytes) -> Any:
        match path:
            case []:
                return self._local.info()
            case ["healthz" | "readyz" | "livez"]:
                return Text("healthz check passed")
            case ["aliases"]:
                return _ok(self._local.get_aliases())
            case ["collections"]:
                return _ok(self._local.get_collections())
            case ["collections", "aliases"]:
                return _ok(self._change_aliases(body))
            case ["collections", name, *rest]:
                return _ok(self._collection_route(method, name, rest, body))
        raise RefusedRequestError(404, "")

    def _collection_route(self, method: str, name: str, rest: list[str], body: bytes) -> Any:
        match method, rest:
            case "PUT", []:
                return self._create(name, body)
            case "DELETE", []:
                return self._local.delete_collection(name)
            case "GET", ["exists"]:
                return {"exists": self._local.collection_exists(name)}
        if not self._local.collection_exists(name):
            raise RefusedRequestError(404, f"Not found: Collection `{name}` doesn't exist!")
        match method, rest:
            case "GET", []:
                return self._describe(name)
            case "PATCH", []:
                return self._update(name, body)
            case "GET", ["aliases"]:
                return self._local.get_collection_aliases(name)
            case "PUT", ["index"]:
                return self._create_index(name, body)
            case "DELETE", ["index", field]:
                self._collection(name).indexes.pop(field, None)
                return UPDATED
            case "GET", ["points", point_id]:
                return point(self._local, name, point_id)
        operation = POINT_ROUTES.get((method, "/".join(rest)))
        if operation is None:
            raise RefusedRequestError(404, "")
        return operation(self._local, name, body)

    def _create(self, name: str, body: bytes) -> bool:
        if self._local.collection_exists(name):
            raise RefusedRequestError(409, f"Wrong input: Collection `{name}` already exists!")
        self._local.collections[name] = Collection(parsed(models.CreateCollection, body))
        return True

    def _update(self, name: str, body: bytes) -> bool:
        change = parsed(models.UpdateCollection, body)
        self._collection(name).strict_mode = change.strict_mode_config
        return True

    def _describe(self, name: str) -> models.CollectionInfo:
        indexes = {
            field: models.PayloadIndexInfo(data_type=kind, points=0)
            for field, kind in self._collection(name).indexes.items()
        }
        return self._local.get_collection(name).model_copy(update={"payload_schema": indexes})

    def _create_index(self, name: str, body: bytes) -> models.UpdateResult:
        index = parsed(models.CreateFieldIndex, body)
        schema = index.field_schema
        kind = schema if isinstance(schema, models.PayloadSchemaType) else getattr(schema, "type", None)
        self._collection(name).indexes[index.field_name] = models.PayloadSchemaType(kind)
        return UPDATED

    def _change_aliases(self, body: bytes) -> bool:
        actions = parsed(models.ChangeAliasesOperation, body).actions
        for action in actions:
            if isinstance(action, models.CreateAliasOperation):
                name = action.create_alias.collection_name
                if name not in self._local.collections:
                    raise RefusedRequestError(404, f"Not found: Collection `{name}` doesn't exist!")
        return self._local.update_collection_aliases(actions)

    def _collection(self, name: str) -> Collection:
        return cast(Collection, self._local._get_collection(name))


def encode(answer: Any) -> bytes:
    """JSON, or the plain text of a health check."""
    return answer.encode() if isinstance(answer, Text) else pydantic_core.to_json(answer)


def _ok(result: Any) -> dict[str, Any]:
    return {"result": result, "status": "ok", "time": 0.0}


def _refusal(reason: str) -> RefusedRequestError:
    # Local mode raises ValueError for everything; where the server says 404, a caller depends on it.
    missing = _NO_VECTOR_THERE.search(reason)
    if missing:
        return RefusedRequestError(404, f"Not found: No point with id {missing[1] or missing[2]} found")
    return RefusedRequestError(400, reason if reason.startswith("Wrong input") else f"Wrong input: {reason}")
