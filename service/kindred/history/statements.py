"""The hot path's SQL, a whole batch a statement, in the order in which `transaction.py` runs it.

What only some batches need (profiles, erasures, items, dead letters) lies with its module. The order of
locks, and why it can't deadlock, is in locks.py.
"""

from kindred.history import locks

# Shared until the end of the transaction: whoever adds a model takes it exclusively, so that one which
# appears now is seen either by this batch or by the backfill that follows (rule 5).
LOCK_BATCH = f"SELECT pg_advisory_xact_lock_shared({locks.BATCH})"
READ_INSTALLATION = """
SELECT epoch,
       CASE WHEN isfinite(retention_floor) THEN (extract(epoch FROM retention_floor) * 1e6)::bigint END,
       ARRAY(SELECT name FROM model WHERE state <> 'retired' ORDER BY name), clock_timestamp()
FROM lineage
"""

# Three statements, not one: under READ COMMITTED a statement sees what was committed when it began, so
# a merge that shared a statement with the lock it waited for would read the past (rule 3).
#
# Whoever is created anew may be an erased user whose row was reaped: the erasure is remembered by a hash
# (rule 16), which is computed for these alone.
INSERT_MISSING_USERS = """
WITH missing AS MATERIALIZED (
    SELECT user_id FROM unnest(%(user_ids)s::text[]) AS named (user_id)
    WHERE NOT EXISTS (SELECT FROM app_user u WHERE u.user_id = named.user_id)
)
INSERT INTO app_user (user_id, erased_at)
SELECT user_id, (SELECT e.erased_at FROM lineage l JOIN erasure e
                 ON e.user_hash = sha256(l.erasure_key || convert_to(missing.user_id, 'UTF8')))
FROM missing
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

# Whoever names new items, describes or removes some: these transactions follow one another.
LOCK_ITEM_WRITERS = f"SELECT pg_advisory_xact_lock({locks.ITEMS})"

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
        history_items =
            (u.history_items || g.items)[cardinality(u.history_at) + g.n - %(history_limit)s + 1:],
        history_types =
            (u.history_types || g.types)[cardinality(u.history_at) + g.n - %(history_limit)s + 1:],
        history_length = u.history_length + g.n,
        last_event_at = greatest(u.last_event_at, g.newest_at),
        revision = %(revision)s
    FROM gained g
    WHERE u.user_id = g.user_id AND (u.last_event_at IS NULL OR u.last_event_at < g.at[1])
    RETURNING u.*
), late AS (
    SELECT * FROM gained g WHERE NOT EXISTS (SELECT FROM appended a WHERE a.user_id = g.user_id)
), merged AS (
    UPDATE app_user u
    SET history_at = w.at, history_items = w.items, history_types = w.types,
        history_length = u.history_length + g.n,
        last_event_at = greatest(u.last_event_at, g.newest_at),
        revision = %(revision)s
    FROM late g
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
                  (SELECT i.event_id, i.occurred_at, i.item, i.type, 0 FROM interaction i
                   WHERE i.user_id = g.user_id AND i.occurred_at >= g.at[1]
                   ORDER BY i.occurred_at DESC, i.event_id DESC LIMIT %(history_limit)s)
                  UNION ALL
                  SELECT event, at, item, type, 0
                  FROM unnest(g.events, g.at, g.items, g.types) AS gained (event, at, item, type)
              ) every
              ORDER BY at DESC, event DESC, place DESC
              LIMIT %(history_limit)s) newest
    ) w
    WHERE u.user_id = g.user_id
    RETURNING u.*
), unchanged AS (
    UPDATE app_user u SET revision = %(revision)s
    FROM unnest(%(user_ids)s::text[]) AS named (user_id)
    WHERE u.user_id = named.user_id
      AND NOT EXISTS (SELECT FROM gained g WHERE g.user_id = named.user_id)
    RETURNING u.*
), popular AS (
    INSERT INTO popularity_delta (items, masses)
    SELECT array_agg(item), array_agg(mass)
    FROM (SELECT item, sum(power(2, greatest(-%(popularity_most_half_lives)s::float8, least(
                     %(popularity_most_half_lives)s::float8,
                     (extract(epoch FROM occurred_at)::float8 - %(popularity_landmark_seconds)s::float8)
                     / %(popularity_half_life_seconds)s::float8)))) AS mass
          FROM fresh WHERE type = ANY(%(popular_types)s::smallint[]) GROUP BY item) counted
    HAVING count(*) > 0
), written AS (
    SELECT * FROM appended UNION ALL SELECT * FROM merged UNION ALL SELECT * FROM unchanged
)
SELECT w.user_id, w.profile, w.history_length, array_send(w.history_items), array_send(w.history_types),
       array_send(w.history_at), coalesce(g.n, 0)
FROM written w LEFT JOIN gained g USING (user_id)
"""
