"""The first schema: users with their windows, the log, items, models, dead letters, erasures."""

from alembic import op

revision = "0001_first_schema"
down_revision = None
branch_labels = None
depends_on = None

CREATE = """
CREATE SEQUENCE revision AS bigint CACHE 1;

CREATE TABLE lineage (
    "only" boolean PRIMARY KEY CONSTRAINT lineage_one_row CHECK ("only"),
    epoch bigint NOT NULL DEFAULT 0,
    retention_floor timestamptz NOT NULL DEFAULT '-infinity',
    erasure_key bytea NOT NULL
);
COMMENT ON TABLE lineage IS
    'One row: facts about this installation. erasure_key hashes the ids of erased users.';
INSERT INTO lineage ("only", erasure_key)
    VALUES (true, sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8')));

CREATE TABLE app_user (
    user_id text COLLATE "C" PRIMARY KEY,
    profile jsonb,
    profile_updated_at timestamptz,
    profile_digest bytea,
    history_at timestamptz[] NOT NULL DEFAULT '{}',
    history_items integer[] NOT NULL DEFAULT '{}',
    history_types smallint[] NOT NULL DEFAULT '{}',
    history_length bigint NOT NULL DEFAULT 0,
    last_event_at timestamptz,
    revision bigint NOT NULL DEFAULT 0,
    erased_at timestamptz
) WITH (fillfactor = 50);
COMMENT ON TABLE app_user IS
    'Profile and kept history: the three arrays are one list, oldest first.';

CREATE TABLE interaction (
    user_id text COLLATE "C" NOT NULL,
    occurred_at timestamptz NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    item integer NOT NULL,
    type smallint NOT NULL,
    value double precision,
    context jsonb,
    PRIMARY KEY (user_id, occurred_at, event_id)
) PARTITION BY RANGE (occurred_at);
COMMENT ON TABLE interaction IS
    'The log: append-only; retention drops its oldest partitions. It trains the model.';
CREATE TABLE interaction_default PARTITION OF interaction DEFAULT;

CREATE TABLE item (
    item_id text COLLATE "C" PRIMARY KEY,
    number integer GENERATED ALWAYS AS IDENTITY UNIQUE,
    title text,
    attributes jsonb,
    updated_at timestamptz,
    digest bytea,
    removed_at timestamptz,
    revision bigint NOT NULL,
    popularity double precision NOT NULL DEFAULT 0
);
COMMENT ON TABLE item IS
    'Also items that were seen but never described: attributes is null until they are.';
CREATE INDEX item_revision_index ON item (revision);

CREATE TABLE item_sweep (
    item integer PRIMARY KEY,
    revision bigint NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE item_sweep IS
    'Items whose features changed and whose holders have not been put into pending_sync yet.';

CREATE TABLE event_type (
    name text COLLATE "C" PRIMARY KEY,
    number smallint GENERATED ALWAYS AS IDENTITY UNIQUE
);

CREATE TABLE popularity_delta (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    items integer[] NOT NULL,
    masses double precision[] NOT NULL
);
COMMENT ON TABLE popularity_delta IS
    'One row a batch, folded into item.popularity: workers never wait for a popular item.';

CREATE TABLE model (
    name text COLLATE "C" PRIMARY KEY,
    state text NOT NULL CONSTRAINT model_state CHECK (state IN ('candidate', 'live', 'previous', 'retired')),
    checkpoint text NOT NULL,
    dimension integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX model_one_live_index ON model (state) WHERE state = 'live';

CREATE TABLE dead_letter (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic text NOT NULL,
    partition integer NOT NULL,
    record_offset bigint NOT NULL,
    record_at timestamptz NOT NULL,
    key bytea,
    value bytea,
    reason text NOT NULL,
    detail text NOT NULL,
    digest bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT dead_letter_record_key UNIQUE (topic, partition, record_offset, digest)
);
CREATE INDEX dead_letter_created_at_index ON dead_letter (created_at);
CREATE INDEX dead_letter_key_index ON dead_letter (key) WHERE length(key) <= 256;

CREATE TABLE erasure (
    user_hash bytea PRIMARY KEY,
    erased_at timestamptz NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT now(),
    reason text
);
COMMENT ON TABLE erasure IS
    'Keyed hash of the id. Outlives the tombstone point and the topics'' retention.';

CREATE TABLE pending_sync (
    kind text CONSTRAINT pending_sync_kind CHECK (kind IN ('user', 'item')),
    id text COLLATE "C",
    requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (kind, id)
);
COMMENT ON TABLE pending_sync IS
    'Changed without a Kafka record behind it: a worker writes the vectors, then deletes the row.';
"""


def upgrade() -> None:
    op.execute(CREATE)


def downgrade() -> None:
    raise NotImplementedError("Restore a backup instead: a downgrade would drop every history.")
