"""Dead letters that name a user who is erased: searched in slices, in all letters there are.

A key has an index, but a value is bytes that nobody could read: Postgres finds the candidates, and
events/naming.py decides. Whoever is erased waits in the table letter_search, from the erasure's own
transaction until all letters were searched: by the command, or by the worker that keeps house.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from kindred.events.naming import ESCAPE, named_users, spellings
from kindred.history import columns, letters
from kindred.history.connection import Connection, Database

REQUEST = """
INSERT INTO letter_search (user_id)
SELECT user_id FROM unnest(%(user_ids)s::text[]) AS e (user_id) ORDER BY user_id COLLATE "C"
ON CONFLICT (user_id) DO UPDATE SET requested_at = clock_timestamp()
"""
# Of a user who has come back, letters of the new life stay.
WAITING = """
SELECT s.user_id, s.requested_at,
       CASE WHEN u.profile_updated_at > u.erased_at OR u.last_event_at > u.erased_at THEN u.erased_at END
FROM letter_search s LEFT JOIN app_user u USING (user_id)
ORDER BY s.requested_at LIMIT %s
"""
WAITS_SINCE = "SELECT requested_at FROM letter_search WHERE user_id = %s"
FINISH = """
DELETE FROM letter_search WHERE user_id IN (
    SELECT s.user_id FROM letter_search s
    JOIN unnest(%(user_ids)s::text[], %(requested_at)s::timestamptz[]) AS done (user_id, requested_at)
      ON s.user_id = done.user_id AND s.requested_at <= done.requested_at
    ORDER BY s.user_id FOR UPDATE OF s)
"""
FIRST_SINCE = "SELECT min(id) - 1 FROM dead_letter WHERE created_at >= %s"
END_OF_SLICE = f"""
WITH letters AS (SELECT id, key, value FROM dead_letter WHERE id > %s ORDER BY id LIMIT %s)
SELECT max(id) FROM ({letters.WITHIN_BYTES}) AS slice
"""
# OFFSET 0: bytes are fetched and joined once a letter, not once a needle (16 MB, 100 users: 1.0 s, not 4.6).
CANDIDATES = """
SELECT id, topic, key, value, record_at
FROM (SELECT *, coalesce(key, '') || ' ' || coalesce(value, '') AS bytes FROM dead_letter
      WHERE id > %(after)s AND id <= %(until)s OFFSET 0) AS letter
WHERE EXISTS (SELECT FROM unnest(%(needles)s::bytea[]) AS needle WHERE position(needle IN letter.bytes) > 0)
"""
COUNT_IN_PROOF = """
UPDATE erasure e SET dead_letters = e.dead_letters + named.letters
FROM unnest(%(user_ids)s::text[], %(letters)s::bigint[]) AS named (user_id, letters), lineage l
WHERE e.user_hash = sha256(l.erasure_key || convert_to(named.user_id, 'UTF8'))
"""

Users = Mapping[str, datetime | None]  # each with the time of the latest record that is meant; None for all
Found = Sequence[tuple[int, str]]  # letter and user


def request(connection: Connection, user_ids: Sequence[str]) -> None:
    """Have the letters searched for these users, in the transaction that erases them."""
    connection.execute(REQUEST, {"user_ids": columns.texts(user_ids)})


def search_waiting(database: Database, limit: int, items_topic: str) -> int:
    """Delete the letters of users who wait for it; returns how many users. Interrupted, it begins anew."""
    with database.transaction() as connection:
        waiting = connection.execute(WAITING, [limit]).fetchall()
    if waiting:
        delete_all(database, {user_id: until for user_id, _, until in waiting}, items_topic)
        _finish(database, {user_id: requested_at for user_id, requested_at, _ in waiting})
    return len(waiting)


def search_at_once(database: Database, user_id: str, items_topic: str) -> None:
    """Delete all letters of a user who is erased, whether or not a search waits."""
    with database.transaction() as connection:
        row = connection.execute(WAITS_SINCE, [user_id]).fetchone()
    delete_all(database, {user_id: None}, items_topic)
    if row is not None:
        _finish(database, {user_id: row[0]})


def delete_all(database: Database, users: Users, items_topic: str, kept_since: datetime | None = None) -> int:
    """Delete the letters that name one of these, kept at any time or since then; returns how many."""
    found = search(database, users, items_topic, _before(database, kept_since))
    return sum(_delete(database, each) for each in found)


def count(database: Database, user_id: str, items_topic: str) -> int:
    """Letters that name this user."""
    return sum(len(found) for found in search(database, {user_id: None}, items_topic))


def search(database: Database, users: Users, items_topic: str, after: int = 0) -> Iterator[Found]:
    """Letters that name one of these users, a slice at a time; those kept later are not looked at."""
    spelled = {user_id: spellings(user_id) for user_id in users}
    needles = [ESCAPE, *(spelling for several in spelled.values() for spelling in several)]
    while (until := _end_of_slice(database, after)) is not None:
        bounds = {"after": after, "until": until, "needles": needles}
        with database.transaction() as connection:
            candidates = connection.execute(CANDIDATES, bounds).fetchall()
        yield [
            (letter_id, user_id)
            for letter_id, topic, key, value, record_at in candidates
            for user_id in named_users(key or b"", value or b"", spelled, is_item=topic == items_topic)
            if (end := users[user_id]) is None or record_at <= end
        ]
        after = until


def _finish(database: Database, requested_at: Mapping[str, datetime]) -> None:
    """These were searched for, unless they were erased again meanwhile."""
    parameters = {"user_ids": columns.texts(requested_at), "requested_at": [*requested_at.values()]}
    with database.transaction() as connection:
        connection.execute(FINISH, parameters)


def _delete(database: Database, found: Found) -> int:
    """Count them in the erasures' proofs, too."""
    if not found:
        return 0
    counts = Counter(user_id for _, user_id in found)
    with database.transaction() as connection:
        deleted = letters.discard(connection, [letter_id for letter_id, _ in found])
        connection.execute(COUNT_IN_PROOF, {"user_ids": [*counts], "letters": [*counts.values()]})
    return deleted


def _before(database: Database, kept_since: datetime | None) -> int:
    """The letter before the first that was kept since then."""
    if kept_since is None:
        return 0
    with database.transaction() as connection:
        row = connection.execute(FIRST_SINCE, [kept_since]).fetchone()
    return 2**62 if row is None or row[0] is None else int(row[0])


def _end_of_slice(database: Database, after: int) -> int | None:
    with database.transaction() as connection:
        row = connection.execute(END_OF_SLICE, [after, letters.SLICE_LETTERS]).fetchone()
    return None if row is None else row[0]
