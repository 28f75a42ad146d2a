"""What `kindred erase` and `kindred recover` need: proofs, reaping, how far Postgres has read."""

from alembic import op

revision = "0002_erasure_and_recovery"
down_revision = "0001_first_schema"
branch_labels = None
depends_on = None

UPGRADE = """
ALTER TABLE erasure
    ADD COLUMN profiles bigint NOT NULL DEFAULT 0,
    ADD COLUMN interactions bigint NOT NULL DEFAULT 0,
    ADD COLUMN dead_letters bigint NOT NULL DEFAULT 0,
    ADD COLUMN proof jsonb;

CREATE INDEX app_user_erased_index ON app_user (erased_at) WHERE erased_at IS NOT NULL;

CREATE TABLE synced_offset (
    topic text COLLATE "C",
    partition integer,
    next_offset bigint NOT NULL,
    PRIMARY KEY (topic, partition)
);
COMMENT ON TABLE synced_offset IS
    'All before it is in these tables: where a restored database has to read on.';
"""


def upgrade() -> None:
    op.execute(UPGRADE)


def downgrade() -> None:
    raise NotImplementedError("Restore a backup instead: a downgrade would drop proofs of erasure.")
