"""Point ids: the published rule by which an external id becomes a Qdrant point id.

docs/queries.md holds the same rule with test vectors, because other services compute it too. It can
never change: every collection and every consumer depends on it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from uuid import UUID, uuid5

NAMESPACE = UUID("d4e67d07-9d47-4eeb-8567-28a0800ccbc6")
LARGEST_INTEGER = 2**53 - 1  # what JSON and JavaScript keep exact

# [0-9] and fullmatch: `\d` takes "٣", and `$` takes "7\n".
_CANONICAL_DECIMAL = re.compile(r"0|[1-9][0-9]{0,15}")


def point_id(external_id: str) -> int | str:
    """The point id of a user or an item.

    A canonical decimal string up to 2^53-1 becomes that integer; anything else the UUIDv5 (RFC 9562,
    section 5.5) of its UTF-8 bytes, as a lower-case string with hyphens.
    """
    if _CANONICAL_DECIMAL.fullmatch(external_id):
        number = int(external_id)
        if number <= LARGEST_INTEGER:
            return number
    return str(uuid5(NAMESPACE, external_id))


def point_ids(external_ids: Iterable[str]) -> list[int | str]:
    """`point_id` of each, in the same order."""
    return [point_id(external_id) for external_id in external_ids]
