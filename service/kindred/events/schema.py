"""The plain types of the three topics. Times are integer microseconds since the Unix epoch, in UTC.

Design: a batch is decoded once, at the edge; from here on the types are trusted.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import msgspec


class Record(msgspec.Struct, frozen=True, gc=False):
    """One Kafka record, without Kafka's types. `value=None` is a tombstone."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None


class Interaction(msgspec.Struct, frozen=True, gc=False):
    """A user did something with an item. Identity: (user_id, event_id, occurred_at_us)."""

    event_id: str
    user_id: str
    item_id: str
    type: str
    occurred_at_us: int
    value: float | None
    context: str | None  # JSON text of an object
    recorded_at_us: int | None = None  # of the Kafka record; None: there was none


class Profile(msgspec.Struct, frozen=True, gc=False):
    """A user's attributes as of `updated_at_us`. `digest` orders two of one time: the higher wins."""

    user_id: str
    updated_at_us: int
    attributes: str  # canonical JSON text of an object
    digest: bytes


class Erasure(msgspec.Struct, frozen=True, gc=False):
    """A tombstone on the users topic: forget this user, as of the record's timestamp."""

    user_id: str
    erased_at_us: int


class ItemDescription(msgspec.Struct, frozen=True, gc=False):
    """An item's title and attributes as of `updated_at_us`; ties as in Profile."""

    item_id: str
    updated_at_us: int
    title: str | None
    attributes: str  # canonical JSON text of an object, payload fields included
    digest: bytes


class ItemRemoval(msgspec.Struct, frozen=True, gc=False):
    """A tombstone on the items topic, as of the record's timestamp."""

    item_id: str
    removed_at_us: int


class Reason(StrEnum):
    """Why a record became a dead letter. Only UNKNOWN_TYPE never counts towards the breaker."""

    NOT_JSON = "not_json"
    INVALID_UTF8 = "invalid_utf8"
    DUPLICATE_KEY = "duplicate_key"
    TOO_DEEP = "too_deep"
    TOO_LARGE = "too_large"
    WRONG_TYPE = "wrong_type"
    MISSING_FIELD = "missing_field"
    INVALID_ID = "invalid_id"  # empty, over 256 bytes, NUL, lone surrogate
    INVALID_TEXT = "invalid_text"  # NUL or lone surrogate outside an id
    INVALID_NUMBER = "invalid_number"  # NaN or infinity
    INVALID_TIME = "invalid_time"
    TIME_AHEAD = "time_ahead"  # later than the record's own timestamp by more than the allowed skew
    TOO_OLD = "too_old"  # before the log's retention
    UNKNOWN_TYPE = "unknown_type"
    REFUSED_BY_POSTGRES = "refused_by_postgres"


class DeadLetter(msgspec.Struct, frozen=True):
    """A record that can't be an event. `detail` says what exactly, for a person."""

    record: Record
    reason: Reason
    detail: str


class Decoded(msgspec.Struct, frozen=True):
    """One batch of events, in the order of the records."""

    interactions: Sequence[Interaction] = ()
    profiles: Sequence[Profile] = ()
    erasures: Sequence[Erasure] = ()
    descriptions: Sequence[ItemDescription] = ()
    removals: Sequence[ItemRemoval] = ()
    dead_letters: Sequence[DeadLetter] = ()


class Contract(msgspec.Struct, frozen=True):
    """What decode must know of a deployment: physical topic names, accepted types, limits."""

    interactions_topic: str
    users_topic: str
    items_topic: str
    event_types: frozenset[str]
    max_skew_us: int = 300_000_000
    max_value_bytes: int = 65_536
    floor_us: int | None = None  # the log's retention: an interaction before it is TOO_OLD
