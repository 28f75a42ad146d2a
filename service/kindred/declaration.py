"""What a deployment's events and attributes mean: one small TOML file, no code.

The default, `film_shop.toml` beside this module, is the generated film shop of `kindred demo`.
Feature attributes go through the towers; payload fields only travel to Qdrant, to be filtered on.
"""

from __future__ import annotations

import tomllib
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, cast

import msgspec

from kindred.errors import Misconfigured


class Role(StrEnum):
    """What an event of this type says about the item it names."""

    POSITIVE = "positive"  # wanted: in the history, and a target to predict
    CONTEXT = "context"  # looked at: in the history, never a target
    NEGATIVE = "negative"  # disliked: in the history, never a target, and pushed away in training


class Kind(StrEnum):
    """How a feature attribute enters a tower."""

    CATEGORY = "category"
    MULTI_CATEGORY = "multi_category"
    NUMBER = "number"
    TEXT = "text"
    VECTOR = "vector"


class PayloadKind(StrEnum):
    """Type of a payload field, in Qdrant's words."""

    KEYWORD = "keyword"
    INTEGER = "integer"
    FLOAT = "float"
    BOOL = "bool"
    DATETIME = "datetime"


class EventType(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One accepted value of an interaction's `type`. `seen`: recommendations leave the item out."""

    role: Role = Role.POSITIVE
    seen: bool = True


class Feature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One attribute that a tower reads.

    `buckets`: quantile buckets of a number, hash buckets of a text. `width`: length of a vector.
    `filter`: also written to the point's payload, with an index, so that queries can filter on it.
    """

    kind: Kind = Kind.CATEGORY
    buckets: Annotated[int, msgspec.Meta(ge=1, le=2**24)] = 32
    width: Annotated[int, msgspec.Meta(ge=0, le=2**16)] = 0
    filter: bool = True

    def __post_init__(self) -> None:
        if (self.kind is Kind.VECTOR) != (self.width > 0):
            raise ValueError("`width` is the length of a vector, and only a vector has one")


class PayloadField(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One item attribute that no tower reads: a change writes payload only and embeds nothing."""

    kind: PayloadKind = PayloadKind.KEYWORD
    indexed: bool = True


class Declaration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Event types, user and item features, and item payload fields, each by name."""

    events: dict[str, EventType]
    user: dict[str, Feature] = {}
    item: dict[str, Feature] = {}
    payload: dict[str, PayloadField] = {}
    user_id_buckets: Annotated[int, msgspec.Meta(ge=0, le=2**24)] = (
        0  # hashed user id as a feature of the profile; 0: not used
    )

    @property
    def positive_types(self) -> frozenset[str]:
        """Event types that are targets in training."""
        return frozenset(name for name, event in self.events.items() if event.role is Role.POSITIVE)

    @property
    def negative_types(self) -> frozenset[str]:
        """Event types whose items training pushes away from the user."""
        return frozenset(name for name, event in self.events.items() if event.role is Role.NEGATIVE)

    @property
    def seen_types(self) -> frozenset[str]:
        """Event types after which an item counts as seen."""
        return frozenset(name for name, event in self.events.items() if event.seen)


def load(path: Path | None = None) -> Declaration:
    """Read a declaration; the film shop's without a path. Raises Misconfigured, naming file and fault."""
    if path is None:
        return parse(resources.files("kindred").joinpath("film_shop.toml").read_text(), "film_shop.toml")
    try:
        return parse(path.read_text(), str(path))
    except OSError as error:
        raise Misconfigured(f"The declaration {path} cannot be read: {error.strerror}.") from error


def parse(text: str, origin: str) -> Declaration:
    """Parse TOML text; `origin` names it in the error."""
    try:
        return msgspec.convert(tomllib.loads(text), Declaration)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise Misconfigured(f"The declaration {origin} is not valid: {error}.") from error


def as_dict(declaration: Declaration) -> dict[str, Any]:
    """As plain JSON values, for a checkpoint's manifest; `from_dict` reads it back."""
    return cast(dict[str, Any], msgspec.to_builtins(declaration))


def from_dict(values: dict[str, Any]) -> Declaration:
    """Inverse of `as_dict`. Raises msgspec.ValidationError."""
    return msgspec.convert(values, Declaration)
