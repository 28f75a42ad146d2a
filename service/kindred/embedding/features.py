"""What the towers read, as numpy arrays: the one module that training and serving both encode with.

A window is the newest interactions before some moment. It depends on nothing else: no clock, no
position within a longer history (the first gap of a window is unknown; the towers see distances only).
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from kindred.declaration import Declaration
from kindred.embedding import vocabulary
from kindred.embedding.values import stable_hash
from kindred.embedding.vocabulary import AttributeEncoder, Attributes, Bags, FeatureVocabulary
from kindred.history.window import Item

GAP_BUCKETS = 32  # 0: unknown; b: a gap of 2^(b-1) - 1 up to 2^b - 2 whole seconds; the last: any longer
UNKNOWN = 0  # the row or number of an unknown item, event type or identity
TITLE = "title"  # which a description keeps apart from the attributes


class Vocabulary(msgspec.Struct, frozen=True):
    """Everything that training fixed about the input, besides the declaration."""

    item_ids: list[str]
    event_types: list[str]
    user: dict[str, FeatureVocabulary]
    item: dict[str, FeatureVocabulary]


def fit_vocabulary(
    declaration: Declaration,
    item_ids: Iterable[str],
    items: Iterable[Attributes],
    profiles: Iterable[Attributes],
) -> Vocabulary:
    """Learn from the ids and attributes of a training log; event types are the declared ones."""
    return Vocabulary(
        item_ids=list(item_ids),
        event_types=list(declaration.events),
        user=vocabulary.fit(declaration.user, profiles),
        item=vocabulary.fit(declaration.item, items),
    )


def read_of(item: Item, features: Container[str]) -> Attributes | None:
    """The attributes that towers with these features read of an item, its title among them if it is one.

    None for an item that is removed, or was never described.
    """
    if item.removed or item.attributes is None:
        return None
    return {**item.attributes, TITLE: item.title} if TITLE in features else item.attributes


@dataclass(frozen=True, slots=True)
class Events:
    """Interactions of many users as flat columns, in the towers' own numbers (0: unknown)."""

    rows: NDArray[np.signedinteger[Any]]  # (total,) rows of the item table
    types: NDArray[np.signedinteger[Any]]  # (total,)
    times_us: NDArray[np.int64]  # (total,) ascending within a user


@dataclass(frozen=True, slots=True)
class Windows:
    """n windows of at most S interactions, oldest first, padded at the end with zeros."""

    rows: NDArray[np.int64]  # (n, S)
    types: NDArray[np.int64]  # (n, S)
    gaps: NDArray[np.int64]  # (n, S) bucket of the logarithmic gap to the interaction before
    lengths: NDArray[np.int64]  # (n,)


def encode_windows(events: Events, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> Windows:
    """Windows `[start, end)` of the flat columns; each must lie within one user's interactions."""
    lengths = ends - starts
    columns = np.arange(lengths.max(initial=0))  # (S,)
    real = columns < lengths[:, None]  # (n, S)
    index = np.where(real, starts[:, None] + columns, 0)
    if not len(events.rows):
        empty = np.zeros(real.shape, np.int64)
        return Windows(empty, empty, empty, lengths)
    return Windows(
        rows=np.where(real, events.rows[index], np.int64(0)),
        types=np.where(real, events.types[index], np.int64(0)),
        gaps=_gap_buckets(events.times_us[index], real),
        lengths=lengths,
    )


def _gap_buckets(times_us: NDArray[np.int64], real: NDArray[np.bool_]) -> NDArray[np.int64]:
    buckets = np.zeros(times_us.shape, np.int64)
    seconds = np.maximum(np.diff(times_us, axis=1), 0) // 1_000_000
    # The exponent of seconds + 1 is the number of its binary digits: an exact, cheap logarithm.
    exponents = np.frexp((seconds + 1).astype(np.float64))[1]
    buckets[:, 1:] = np.where(real[:, 1:], np.minimum(exponents, GAP_BUCKETS - 1), 0)
    return buckets


class FeatureEncoder:
    """Turns ids, attributes and names into the numbers of one model's vocabulary."""

    def __init__(self, declaration: Declaration, known: Vocabulary) -> None:
        self.vocabulary = known
        self._item_tokens = {item_id: token for token, item_id in enumerate(known.item_ids, start=1)}
        self._types = {name: number for number, name in enumerate(known.event_types, start=1)}
        self._user_id_buckets = declaration.user_id_buckets
        self.items = AttributeEncoder(declaration.item, known.item, 1 + len(known.item_ids))
        self.users = AttributeEncoder(declaration.user, known.user, 1 + declaration.user_id_buckets)

    @property
    def type_count(self) -> int:
        """Event types, the unknown one included."""
        return 1 + len(self._types)

    def encode_items(self, item_ids: Sequence[str | None], attributes: Sequence[Attributes | None]) -> Bags:
        """Bags of n items; an id that training never saw, or None, gets the unknown identity."""
        known = self._item_tokens
        tokens = (UNKNOWN if item_id is None else known.get(item_id, UNKNOWN) for item_id in item_ids)
        return self.items.encode(np.fromiter(tokens, np.int64, len(item_ids)), attributes)

    def encode_profiles(self, user_ids: Sequence[str], profiles: Sequence[Mapping[str, Any]]) -> Bags:
        """Bags of n users: hashed id, where the declaration has one, and attributes. An id may be empty."""
        return self.users.encode(self._user_tokens(user_ids), profiles)

    def type_numbers(self, names: Sequence[str]) -> NDArray[np.int64]:
        """The model's number of each event-type name."""
        return np.array([self._types.get(name, UNKNOWN) for name in names], np.int64)

    def _user_tokens(self, user_ids: Sequence[str]) -> NDArray[np.int64]:
        if not self._user_id_buckets:
            return np.zeros(len(user_ids), np.int64)
        buckets = self._user_id_buckets
        tokens = (1 + stable_hash(user_id) % buckets if user_id else UNKNOWN for user_id in user_ids)
        return np.fromiter(tokens, np.int64, len(user_ids))
