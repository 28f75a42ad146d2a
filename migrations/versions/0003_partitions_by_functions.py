"""Partitions are made and dropped by two functions, so that a worker need not own the log."""

import sqlalchemy as sa
from alembic import op

revision = "0003_partitions_by_functions"
down_revision = "0002_erasure_and_recovery"
branch_labels = None
depends_on = None

# They run with the rights of whoever migrates. So: nothing but a time goes in, names are made here, all
# names resolve in this schema (pg_temp last, or a temporary table of the caller's could stand in for one of
# ours), and nobody may call them who was not granted it.
SECURITY = "LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp SET timezone = 'UTC'"

# Attached rather than created in place: Postgres refuses a partition for rows that the default one holds.
MAKE = """
CREATE FUNCTION make_log_partition(wanted timestamptz) RETURNS boolean {security} AS $function$
DECLARE
    month timestamptz := date_trunc('month', wanted);
    following timestamptz := month + interval '1 month';
    name text := 'interaction_' || to_char(month, 'YYYYMM');
BEGIN
    IF abs(extract(epoch FROM wanted - now())) > 20 * 366 * 86400 THEN
        RAISE EXCEPTION 'no partition for %: it is decades away', wanted USING ERRCODE = '22023';
    END IF;
    IF EXISTS (SELECT FROM pg_class c JOIN pg_class log ON log.oid = 'interaction'::regclass
               WHERE c.relnamespace = log.relnamespace AND c.relname = name) THEN
        RETURN false;
    END IF;
    LOCK TABLE interaction_default IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('CREATE TABLE %I (LIKE interaction INCLUDING ALL)', name);
    EXECUTE format(
        'WITH moved AS (
             DELETE FROM interaction_default WHERE occurred_at >= $1 AND occurred_at < $2 RETURNING *
         )
         INSERT INTO %I SELECT * FROM moved', name) USING month, following;
    EXECUTE format('ALTER TABLE interaction ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                   name, month, following);
    RETURN true;
END
$function$;
COMMENT ON FUNCTION make_log_partition IS
    'Makes the month''s partition of the log, unless it is there; takes its rows out of the default one.';
REVOKE ALL ON FUNCTION make_log_partition FROM PUBLIC;
"""

# A partition goes where the next month's first day is not after the floor, which was raised before (rule 22).
DROP = """
CREATE FUNCTION drop_expired_log_partitions() RETURNS SETOF text {security} AS $function$
DECLARE
    name text;
BEGIN
    FOR name IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid CROSS JOIN lineage l
        WHERE i.inhparent = 'interaction'::regclass
          AND CASE WHEN c.relname ~ '^interaction_[0-9]{{6}}$'
                   THEN to_timestamp(right(c.relname, 6), 'YYYYMM') + interval '1 month' <= l.retention_floor
              END
        ORDER BY 1
    LOOP
        EXECUTE format('DROP TABLE %I', name);
        RETURN NEXT name;
    END LOOP;
END
$function$;
COMMENT ON FUNCTION drop_expired_log_partitions IS
    'Drops the partitions of the log that lie wholly before the retention floor; returns their names.';
REVOKE ALL ON FUNCTION drop_expired_log_partitions FROM PUBLIC;
"""


def upgrade() -> None:
    schema = op.get_bind().scalar(sa.text("SELECT quote_ident(current_schema())"))
    security = SECURITY.format(schema=schema)
    for function in (MAKE, DROP):
        op.execute(function.format(security=security))


def downgrade() -> None:
    op.execute("DROP FUNCTION make_log_partition, drop_expired_log_partitions")
