"""Paused partitions, searches for erased users in dead letters, and pending rows that many workers share."""

from alembic import op

revision = "0004_breaker_and_letter_search"
down_revision = "0003_partitions_by_functions"
branch_labels = None
depends_on = None

UPGRADE = """
CREATE TABLE breaker_trip (
    topic text COLLATE "C",
    partition integer,
    record_offset bigint NOT NULL,
    reason text NOT NULL,
    tripped_at timestamptz NOT NULL DEFAULT now(),
    accepted_until bigint,
    PRIMARY KEY (topic, partition)
);
COMMENT ON TABLE breaker_trip IS
    'Partitions that the breaker has paused before that record, and what a person has accepted.';

CREATE TABLE letter_search (
    user_id text COLLATE "C" PRIMARY KEY,
    requested_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE letter_search IS
    'Erased users for whose ids the dead letters have not been searched yet.';

ALTER TABLE pending_sync ADD COLUMN taken_until timestamptz NOT NULL DEFAULT '-infinity';
CREATE INDEX pending_sync_requested_at_index ON pending_sync (requested_at);
"""


def upgrade() -> None:
    op.execute(UPGRADE)


def downgrade() -> None:
    raise NotImplementedError("Restore a backup instead: a downgrade would forget what must be erased.")
