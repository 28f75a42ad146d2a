"""All SQL of the hot path, one batch a statement, in the order in which `store.py` runs it.

The order of locks, and why it can't deadlock, is in locks.py.
"""

from kindred.history import locks

# Shared until the end of the transaction: `rollout start` takes it exclusively, so that a model which
# appears now is seen either by this batch or by the backfill that follows (rule 5).
LOCK_BATCH = f"SELECT pg_advisory_xact_lock_shared({locks.BATCH})"
READ_INSTALLATION = """
SELECT epoch,
       CASE WHEN isfinite(retention_floor) THEN (extract(epoch FROM retention_floor) * 1e6)::bigint END,
       ARRAY(SELECT name FROM model WHERE state <> 'retired' ORDER BY name)
FROM lineage
"""

# Three statements, not one: under READ COMMITTED a statement sees what was committed when it began, so
# a merge that shared a statement with the lock it waited for would read the past (rule 3).
INSERT_MISSING_USERS = """
INSERT INTO app_user (user_id)
SELECT user_id FROM unnest(%(user_ids)s::text[]) AS named (user_id)
WHERE NOT EXISTS (SELECT FROM app_user u WHERE u.user_id = named.user_id)
ORDER BY user_id COLLATE "C"
ON CONFLICT DO NOTHING
"""
LOCK_USERS = """
SELECT user_id,
       (extract(epoch FROM erased_at) * 1e6)::bigint,
       (extract(epoch FROM profile_updated_at) * 1e6)::bigint,
       (extract(epoch FROM last_event_at) * 1e6)::bigint
FROM app_user
WHERE user_id = ANY(%(user_ids)s::text[])
ORDER BY user_id
FOR UPDATE
"""

# Later `updated_at` wins; of two with one time, the higher digest (rule 2). A profile that is not newer
# than the erasure stays out (rule 15).
MERGE_PROFILES = """
UPDATE app_user u
SET profile = p.profile::jsonb, profile_updated_at = p.updated_at, profile_digest = p.digest
FROM (SELECT user_id, 'epoch'::timestamptz + at_us * interval '1 microsecond' AS updated_at, profile, digest
      FROM unnest(%(user_ids)s::text[], %(updated_at_us)s::bigint[], %(profiles)s::text[],
                  %(digests)s::bytea[]) AS p (user_id, at_us, profile, digest)) p
WHERE u.user_id = p.user_id
  AND (u.profile_updated_at IS NULL OR (p.updated_at, p.digest) > (u.profile_updated_at, u.profile_digest))
  AND (u.erased_at IS NULL OR p.updated_at > u.erased_at)
"""

# Drawn after the row locks, in a statement of its own, also when every event is a duplicate (rule 4):
# so a higher revision has seen every event that a lower one has.
DRAW_REVISION = "SELECT nextval('revision')"

# New interactions enter the log; those it knew already stop here. Gained ones later than all others are
# appended to the window. Otherwise the window is rebuilt from the earliest gained time on, out of the
# log, which ranks by (occurred_at, event_id); so the window itself need not carry event ids, stays
# within one page and is never compressed (measured: 2-3 times the throughput). The log always reaches
# back that far: what lies before the retention floor was refused before. LOCK_USERS locked the rows.
MERGE_HISTORIES = """
WITH arrived AS (
    SELECT user_id, event_id, 'epoch'::timestamptz + at_us * interval '1 microsecond' AS occurred_at,
           item, type, value, context
    FROM unnest(%(event_user_ids)s::text[], %(event_ids)s::text[], %(at_us)s::bigint[], %(items)s::int[],
                %(types)s::smallint[], %(values)s::float8[], %(contexts)s::text[])
         AS a (user_id, event_id, at_us, item, type, value, context)
), fresh AS (
    INSERT INTO interaction (user_id, event_id, occurred_at, item, type, value, context)
    SELECT user_id, event_id, occurred_at, item, type, value, context::jsonb FROM arrived
    ON CONFLICT DO NOTHING
    RETURNING user_id, event_id, occurred_at, item, type
), gained AS (
    SELECT user_id, count(*)::int AS n, max(occurred_at) AS newest_at,
           array_agg(event_id ORDER BY occurred_at, event_id) AS events,
           array_agg(occurred_at ORDER BY occurred_at, event_id) AS at,
           array_agg(item ORDER BY occurred_at, event_id) AS items,
           array_agg(type ORDER BY occurred_at, event_id) AS types
    FROM fresh GROUP BY user_id
), appended AS (
    UPDATE app_user u
    SET history_at = (u.history_at || g.at)[cardinality(u.history_at) + g.n - %(history_limit)s + 1:],
        history_items = (u.history_items || g.items)[cardinality(u.history_at) + g.n - %(history_limit)s + 1:],
        history_types = (u.history_types || g.types)[cardinality(u.history_at) + g.n - %(history_limit)s + 1:],
        history_length = u.history_length + g.n,
        last_event_at = greatest(u.last_event_at, g.newest_at),
        revision = %(revision)s
    FROM gained g
    WHERE u.user_id = g.user_id AND (u.last_event_at IS NULL OR u.last_event_at < g.at[1])
    RETURNING u.*
), merged AS (
    UPDATE app_user u
    SET history_at = w.at, history_items = w.items, history_types = w.types,
        history_length = u.history_length + g.n,
        last_event_at = greatest(u.last_event_at, g.newest_at),
        revision = %(revision)s
    FROM gained g
    JOIN app_user old USING (user_id)
    CROSS JOIN LATERAL (
        SELECT array_agg(at ORDER BY at, event, place) AS at,
               array_agg(item ORDER BY at, event, place) AS items,
               array_agg(type ORDER BY at, event, place) AS types
        FROM (SELECT * FROM (
                  SELECT '' COLLATE "C" AS event, * FROM unnest(old.history_at, old.history_items,
                      old.history_types) WITH ORDINALITY AS earlier (at, item, type, place)
                  WHERE earlier.at < g.at[1]
                  UNION ALL
                  SELECT i.event_id, i.occurred_at, i.item, i.type, 0 FROM interaction i
                  WHERE i.user_id = g.user_id AND i.occurred_at >= g.at[1]
                  UNION ALL
                  SELECT event, at, item, type, 0
                  FROM unnest(g.events, g.at, g.items, g.types) AS gained (event, at, item, type)
              ) every
              ORDER BY at DESC, event DESC, place DESC
              LIMIT %(history_limit)s) newest
    ) w
    WHERE u.user_id = g.user_id AND old.last_event_at >= g.at[1]
    RETURNING u.*
), unchanged AS (
    UPDATE app_user u SET revision = %(revision)s
    WHERE u.user_id = ANY(%(user_ids)s::text[])
      AND NOT EXISTS (SELECT FROM gained g WHERE g.user_id = u.user_id)
    RETURNING u.*
), popular AS (
    INSERT INTO popularity_delta (items, masses)
    SELECT array_agg(item), array_agg(mass)
    FROM (SELECT item, sum(power(2, (extract(epoch FROM occurred_at)::float8
                                     - %(popularity_landmark_seconds)s::float8)
                                    / %(popularity_half_life_seconds)s::float8)) AS mass
          FROM fresh WHERE type = ANY(%(popular_types)s::smallint[]) GROUP BY item) counted
    HAVING count(*) > 0
), written AS (
    SELECT * FROM appended UNION ALL SELECT * FROM merged UNION ALL SELECT * FROM unchanged
)
SELECT w.user_id, w.profile, w.history_length, array_send(w.history_items), array_send(w.history_types),
       array_send(w.history_at), coalesce(g.n, 0)
FROM written w LEFT JOIN gained g USING (user_id)
"""

INSERT_DEAD_LETTERS = """
INSERT INTO dead_letter (topic, partition, record_offset, record_at, key, value, reason, detail, digest)
SELECT topic, partition, record_offset, 'epoch'::timestamptz + at_ms * interval '1 millisecond',
       key, value, reason, detail, digest
FROM unnest(%(topics)s::text[], %(partitions)s::int[], %(offsets)s::bigint[], %(at_ms)s::bigint[],
            %(keys)s::bytea[], %(values)s::bytea[], %(reasons)s::text[], %(details)s::text[],
            %(digests)s::bytea[])
     AS letter (topic, partition, record_offset, at_ms, key, value, reason, detail, digest)
ON CONFLICT DO NOTHING
"""

# Erasure is monotone: nothing to do where `erased_at` is already that late (rule 13). Where a newer
# profile (or, without profiles, a clearly newer interaction) has re-opened the id, only what lies at or
# before the erasure goes; otherwise everything, for nothing later may live without such a re-opening.
MARK_ERASED = """
UPDATE app_user u
SET erased_at = e.erased_at,
    profile = CASE WHEN u.profile_updated_at > e.erased_at THEN u.profile END,
    profile_digest = CASE WHEN u.profile_updated_at > e.erased_at THEN u.profile_digest END,
    profile_updated_at = CASE WHEN u.profile_updated_at > e.erased_at THEN u.profile_updated_at END
FROM (SELECT user_id, 'epoch'::timestamptz + at_us * interval '1 microsecond' AS erased_at
      FROM unnest(%(user_ids)s::text[], %(erased_at_us)s::bigint[]) AS e (user_id, at_us)) e
WHERE u.user_id = e.user_id AND (u.erased_at IS NULL OR u.erased_at < e.erased_at)
RETURNING u.user_id,
          u.profile_updated_at IS NOT NULL
          OR coalesce(u.last_event_at
                      > e.erased_at + %(reopen_skew_us)s::bigint * interval '1 microsecond', false)
"""
DELETE_ERASED_INTERACTIONS = """
DELETE FROM interaction i
USING unnest(%(user_ids)s::text[], %(reopened)s::bool[]) AS e (user_id, reopened), app_user u
WHERE i.user_id = e.user_id AND u.user_id = e.user_id AND (NOT e.reopened OR i.occurred_at <= u.erased_at)
"""
REBUILD_ERASED_WINDOWS = """
UPDATE app_user u
SET history_at = coalesce(w.at, '{}'),
    history_items = coalesce(w.items, '{}'), history_types = coalesce(w.types, '{}'),
    history_length = w.length, last_event_at = w.newest_at
FROM unnest(%(user_ids)s::text[]) AS e (user_id)
CROSS JOIN LATERAL (
    SELECT array_agg(occurred_at ORDER BY occurred_at, event_id) AS at,
           array_agg(item ORDER BY occurred_at, event_id) AS items,
           array_agg(type ORDER BY occurred_at, event_id) AS types,
           coalesce(max(length), 0) AS length, max(occurred_at) AS newest_at
    FROM (SELECT *, count(*) OVER () AS length FROM interaction i WHERE i.user_id = e.user_id
          ORDER BY occurred_at DESC, event_id DESC LIMIT %(history_limit)s) newest
) w
WHERE u.user_id = e.user_id
"""
DELETE_ERASED_DEAD_LETTERS = """
DELETE FROM dead_letter d USING unnest(%(user_ids)s::text[]) AS e (user_id), app_user u
WHERE u.user_id = e.user_id AND length(d.key) <= 256 AND d.key = convert_to(e.user_id, 'UTF8')
  AND d.record_at <= u.erased_at
"""
NOTE_ERASURES = """
INSERT INTO erasure (user_hash, erased_at)
SELECT sha256(l.erasure_key || convert_to(u.user_id, 'UTF8')), u.erased_at
FROM app_user u CROSS JOIN lineage l
WHERE u.user_id = ANY(%(user_ids)s::text[])
ON CONFLICT (user_hash) DO UPDATE SET erased_at = greatest(erasure.erased_at, excluded.erased_at)
"""

LOCK_ITEM_WRITERS = f"SELECT pg_advisory_xact_lock({locks.ITEMS})"
INSERT_MISSING_ITEMS = """
INSERT INTO item (item_id, revision)
SELECT item_id, %(revision)s FROM unnest(%(item_ids)s::text[]) AS named (item_id)
WHERE NOT EXISTS (SELECT FROM item i WHERE i.item_id = named.item_id)
ORDER BY item_id COLLATE "C"
ON CONFLICT DO NOTHING
"""
LOCK_ITEMS = """
SELECT item_id, number, title, attributes, (extract(epoch FROM updated_at) * 1e6)::bigint, digest,
       (extract(epoch FROM removed_at) * 1e6)::bigint, revision
FROM item WHERE item_id = ANY(%(item_ids)s::text[]) ORDER BY item_id FOR UPDATE
"""
WRITE_ITEMS = """
UPDATE item i
SET title = n.title, attributes = n.attributes::jsonb, digest = n.digest, revision = %(revision)s,
    updated_at = 'epoch'::timestamptz + n.updated_us * interval '1 microsecond',
    removed_at = 'epoch'::timestamptz + n.removed_us * interval '1 microsecond'
FROM unnest(%(item_ids)s::text[], %(titles)s::text[], %(attributes)s::text[], %(updated_at_us)s::bigint[],
            %(digests)s::bytea[], %(removed_at_us)s::bigint[])
     AS n (item_id, title, attributes, updated_us, digest, removed_us)
WHERE i.item_id = n.item_id
"""
REQUEST_SWEEP = """
INSERT INTO item_sweep (item, revision) SELECT unnest(%(numbers)s::int[]), %(revision)s
ON CONFLICT (item) DO UPDATE SET revision = excluded.revision, changed_at = now()
"""

# Item writers commit in revision order (ITEM_LOCK), so what is above the cursor is all that is new.
READ_CHANGED_ITEMS = """
SELECT number, item_id, title, attributes,
       removed_at IS NOT NULL AND (updated_at IS NULL OR updated_at <= removed_at), revision, popularity
FROM item WHERE revision > %(cursor)s ORDER BY number
"""

READ_PENDING = """
SELECT kind, id, (extract(epoch FROM requested_at) * 1e6)::bigint
FROM pending_sync ORDER BY requested_at, kind, id LIMIT %(limit)s
"""
DELETE_PENDING = """
DELETE FROM pending_sync p
USING unnest(%(kinds)s::text[], %(ids)s::text[], %(requested_at_us)s::bigint[]) AS done (kind, id, at_us)
WHERE p.kind = done.kind AND p.id = done.id
  AND p.requested_at <= 'epoch'::timestamptz + done.at_us * interval '1 microsecond'
"""
REQUEST_SYNC = """
INSERT INTO pending_sync (kind, id)
SELECT %(kind)s, id FROM unnest(%(ids)s::text[]) AS named (id)
ORDER BY id COLLATE "C"
ON CONFLICT (kind, id) DO UPDATE SET requested_at = excluded.requested_at
"""
