"""Ways to spoil what a healthy run has left, each with the line in which the oracle must name it.

Each has a user or an item of its own, so that all can be done at once and none hides another.
"""

from __future__ import annotations

from typing import Any

IN_POSTGRES = {
    "UPDATE app_user SET profile = '{\"country\": \"FR\"}' WHERE user_id = 'u1'": "profile: u1",
    "UPDATE app_user SET erased_at = NULL WHERE user_id = 'u2'": "erased_at: u2",
    "UPDATE app_user SET profile_updated_at = now() WHERE user_id = 'u3'": "profile: u3",
    "UPDATE app_user SET history_items[1] = history_items[2] WHERE user_id = 'u4'": "history: u4",
    "UPDATE app_user SET history_types[1] = history_types[1] + 1 WHERE user_id = 'u5'": "history: u5",
    "UPDATE app_user SET history_at[1] = history_at[1] - interval '1us' WHERE user_id = 'u6'": "history: u6",
    "UPDATE app_user SET history_length = history_length + 1 WHERE user_id = 'u7'": "history_length: u7",
    "UPDATE app_user SET last_event_at = now() WHERE user_id = 'u8'": "last_event_at: u8",
    "UPDATE app_user SET revision = revision + 1 WHERE user_id = 'u9'": "user's payload, revision: u9",
    "DELETE FROM app_user WHERE user_id = 'u10'": "missing user: 'u10'",
    "INSERT INTO app_user (user_id) VALUES ('v')": "surplus user: 'v'",
    "DELETE FROM interaction WHERE user_id = 'u11' AND event_id = 'e11'": "missing interaction: ('u11'",
    "INSERT INTO interaction VALUES ('u12', now(), 'x', 1, 1)": "surplus interaction: ('u12'",
    "INSERT INTO interaction VALUES ('u2', now(), 'x', 1, 1)": "surplus interaction: ('u2'",
    "UPDATE interaction SET context = '{}' WHERE event_id = 'e13'": "interaction: ('u13'",
    "UPDATE interaction SET value = 1 WHERE event_id = 'e14'": "interaction: ('u14'",
    "UPDATE dead_letter SET reason = 'not_json'": "dead letter: ",
    """INSERT INTO dead_letter (topic, partition, record_offset, record_at, reason, detail, digest)
       SELECT topic, partition, record_offset, record_at, reason, '', 'x' FROM dead_letter
    """: "copies of a dead letter: ",
    """INSERT INTO dead_letter (topic, partition, record_offset, record_at, reason, detail, digest)
       VALUES ('x', 0, 0, now(), '', '', '')
    """: "surplus dead letter: ('x'",
    "UPDATE item SET attributes = '{}' WHERE item_id = '1'": "item: 1",
    "UPDATE item SET title = 'x' WHERE item_id = '2'": "item: 2",
    "UPDATE item SET removed_at = NULL WHERE item_id = '3'": "item: 3",
    "UPDATE item SET revision = revision + 1000 WHERE item_id = '4'": "item's revision: 4",
    "UPDATE item SET popularity = 2 * popularity WHERE item_id = '5'": "popularity: 5",
    "INSERT INTO item (item_id, revision) VALUES ('x', 1)": "surplus item: 'x'",
    """DELETE FROM erasure WHERE erased_at = (SELECT erased_at FROM app_user WHERE user_id = 'u3')
    """: "erasure: u3",
    "INSERT INTO erasure VALUES ('x', now())": "surplus erasure: 78",
    "INSERT INTO pending_sync VALUES ('user', 'u15')": "not done: 1 rows in pending_sync",
    "INSERT INTO item_sweep VALUES (1, 1)": "not done: 1 items to sweep for",
}
TABLES = ("app_user", "interaction", "dead_letter", "item", "erasure", "pending_sync", "item_sweep")

ELSEWHERE = [0.125] * 64
# Kind, id, changed payload (None: no point), vector; and the line.
IN_QDRANT: list[tuple[tuple[str, str, dict[str, Any] | None, Any], str]] = [
    (("user", "u1", {"country": "FR"}, None), "user's payload, country: u1"),
    (("user", "u2", {}, ELSEWHERE), "user's tombstone: {"),
    (("user", "u3", {"erased": False}, None), "user's payload, erased: u3"),
    (("user", "u4", {}, ELSEWHERE), "user's vector: u4"),
    (("user", "u5", {}, {}), "user's vector: u5: the point has none"),
    (("user", "u6", {"revision": 0}, None), "user's payload, revision: u6"),
    (("user", "u7", {"history_length": 1}, None), "user's payload, history_length: u7"),
    (("user", "u8", {"seen_items": [1]}, None), "user's payload, seen_items: u8"),
    (("user", "u9", {"model": "x"}, None), "user's payload, model: u9"),
    (("user", "u10", None, None), "missing user's point: "),
    (("user", "v", {"user_id": "v"}, None), "surplus user's point: "),
    (("item", "1", {}, ELSEWHERE), "item's vector: 1"),
    (("item", "2", {"title": "x"}, None), "item's payload, title: 2"),
    (("item", "3", {"erased": False}, None), "item's payload, erased: 3"),
    (("item", "4", {"price": 3.0}, None), "item's payload, price: 4"),
    (("item", "5", {"revision": 0}, None), "item's revision: 5"),
    (("item", "6", None, None), "missing item's point: "),
]
