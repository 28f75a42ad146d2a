"""Dead letters that name a user who is erased: searched in slices, in all letters there are.

A key has an index, but a value is bytes that nobody could read: Postgres finds the candidates, and
events/naming.py decides.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from kindred.events.naming import ESCAPE, names_user, spellings, value_names_user
from kindred.history import letters
from kindred.history.connection import Database

SLICE_LETTERS = 500  # of up to a megabyte each; Postgres reads them once for each spelling

END_OF_SLICE = """
SELECT max(id) FROM (SELECT id FROM dead_letter WHERE id > %s ORDER BY id LIMIT %s) slice
"""
CANDIDATES = """
SELECT id, topic, key, value FROM dead_letter
WHERE id > %(after)s AND id <= %(until)s
  AND EXISTS (SELECT FROM unnest(%(needles)s::bytea[]) AS needle
              WHERE position(needle IN coalesce(key, '') || ' ' || coalesce(value, '')) > 0)
"""
COUNT_IN_PROOF = """
UPDATE erasure e SET dead_letters = e.dead_letters + named.letters
FROM unnest(%(user_ids)s::text[], %(letters)s::bigint[]) AS named (user_id, letters), lineage l
WHERE e.user_hash = sha256(l.erasure_key || convert_to(named.user_id, 'UTF8'))
"""

Found = Sequence[tuple[int, str]]  # letter and user


def search(database: Database, user_ids: Sequence[str], items_topic: str) -> Iterator[Found]:
    """Letters that name one of these users, a slice at a time; those kept later are not looked at."""
    needles = [ESCAPE, *(spelling for user_id in user_ids for spelling in spellings(user_id))]
    after = 0
    while (until := _end_of_slice(database, after)) is not None:
        with database.transaction() as connection:
            bounds = {"after": after, "until": until, "needles": needles}
            candidates = connection.execute(CANDIDATES, bounds).fetchall()
        yield [
            (letter_id, named)
            for letter_id, topic, key, value in candidates
            if (named := _named(topic == items_topic, key, value, user_ids)) is not None
        ]
        after = until


def delete(database: Database, found: Found) -> int:
    """Delete them, and count them in the erasures' proofs; returns how many."""
    if not found:
        return 0
    counts = Counter(user_id for _, user_id in found)
    with database.transaction() as connection:
        deleted = letters.discard(connection, [letter_id for letter_id, _ in found])
        connection.execute(COUNT_IN_PROOF, {"user_ids": [*counts], "letters": [*counts.values()]})
    return deleted


def _end_of_slice(database: Database, after: int) -> int | None:
    with database.transaction() as connection:
        row = connection.execute(END_OF_SLICE, [after, SLICE_LETTERS]).fetchone()
    return None if row is None else row[0]


def _named(is_item: bool, key: bytes | None, value: bytes | None, user_ids: Sequence[str]) -> str | None:
    for user_id in user_ids:
        # An item's key is an item's id, and its value full of words and numbers that are no users.
        named = b'"user_id"' in (value or b"") and value_names_user(value or b"", user_id)
        if named or (not is_item and names_user(key, value, user_id)):
            return user_id
    return None
