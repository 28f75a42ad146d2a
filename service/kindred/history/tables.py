"""The declared schema. Migrations build it; a test holds the two equal.

Text keys use the "C" collation, so that every cluster sorts them by bytes: the order in which rows
are locked and events are ranked must not depend on how a server was installed.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Sequence,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP

metadata = MetaData(naming_convention={"ix": "%(table_name)s_%(column_0_N_name)s_index"})

ID = Text(collation="C")
TIME = TIMESTAMP(timezone=True)
EMPTY_ARRAY = text("'{}'")

revision_sequence = Sequence("revision", metadata=metadata, cache=1, data_type=BigInteger)

lineage = Table(
    "lineage",
    metadata,
    Column("only", Boolean, CheckConstraint('"only"', name="lineage_one_row"), primary_key=True),
    Column("epoch", BigInteger, nullable=False, server_default=text("0")),
    Column("retention_floor", TIME, nullable=False, server_default=text("'-infinity'")),
    Column("erasure_key", LargeBinary, nullable=False),
    comment="One row: facts about this installation. erasure_key hashes the ids of erased users.",
)

app_user = Table(
    "app_user",
    metadata,
    Column("user_id", ID, primary_key=True),
    Column("profile", JSONB),
    Column("profile_updated_at", TIME),
    Column("profile_digest", LargeBinary),
    Column("history_at", ARRAY(TIME), nullable=False, server_default=EMPTY_ARRAY),
    Column("history_items", ARRAY(Integer), nullable=False, server_default=EMPTY_ARRAY),
    Column("history_types", ARRAY(SmallInteger), nullable=False, server_default=EMPTY_ARRAY),
    Column("history_length", BigInteger, nullable=False, server_default=text("0")),
    Column("last_event_at", TIME),
    Column("revision", BigInteger, nullable=False, server_default=text("0")),
    Column("erased_at", TIME),
    Index("app_user_erased_index", "erased_at", postgresql_where=text("erased_at IS NOT NULL")),
    # Half a page stays free for the next version of its rows: an update then touches no index.
    postgresql_with={"fillfactor": 50},
    comment="Profile and kept history: the three arrays are one list, oldest first.",
)

interaction = Table(
    "interaction",
    metadata,
    Column("user_id", ID, primary_key=True),
    Column("occurred_at", TIME, primary_key=True),
    Column("event_id", ID, primary_key=True),
    Column("item", Integer, nullable=False),
    Column("type", SmallInteger, nullable=False),
    Column("value", Double),
    Column("context", JSONB),
    postgresql_partition_by="RANGE (occurred_at)",
    comment="The log: append-only; retention drops its oldest partitions. It trains the model.",
)

item = Table(
    "item",
    metadata,
    Column("item_id", ID, primary_key=True),
    Column("number", Integer, Identity(always=True), nullable=False, unique=True),
    Column("title", Text),
    Column("attributes", JSONB),
    Column("updated_at", TIME),
    Column("digest", LargeBinary),
    Column("removed_at", TIME),
    Column("revision", BigInteger, nullable=False),
    Column("popularity", Double, nullable=False, server_default=text("0")),
    Index("item_revision_index", "revision"),
    comment="Also items that were seen but never described: attributes is null until they are.",
)

item_sweep = Table(
    "item_sweep",
    metadata,
    Column("item", Integer, primary_key=True, autoincrement=False),
    Column("revision", BigInteger, nullable=False),
    Column("changed_at", TIME, nullable=False, server_default=text("now()")),
    comment="Items whose features changed and whose holders have not been put into pending_sync yet.",
)

event_type = Table(
    "event_type",
    metadata,
    Column("name", ID, primary_key=True),
    Column("number", SmallInteger, Identity(always=True), nullable=False, unique=True),
)

popularity_delta = Table(
    "popularity_delta",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("items", ARRAY(Integer), nullable=False),
    Column("masses", ARRAY(Double), nullable=False),
    comment="One row a batch, folded into item.popularity: workers never wait for a popular item.",
)

model = Table(
    "model",
    metadata,
    Column("name", ID, primary_key=True),
    Column("state", Text, nullable=False),
    Column("checkpoint", Text, nullable=False),
    Column("dimension", Integer, nullable=False),
    Column("created_at", TIME, nullable=False, server_default=text("now()")),
    CheckConstraint("state IN ('candidate', 'live', 'previous', 'retired')", name="model_state"),
    Index("model_one_live_index", "state", unique=True, postgresql_where=text("state = 'live'")),
)

dead_letter = Table(
    "dead_letter",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("record_offset", BigInteger, nullable=False),
    Column("record_at", TIME, nullable=False),
    Column("key", LargeBinary),
    Column("value", LargeBinary),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("created_at", TIME, nullable=False, server_default=text("now()")),
    UniqueConstraint("topic", "partition", "record_offset", "digest", name="dead_letter_record_key"),
    Index("dead_letter_created_at_index", "created_at"),
    Index("dead_letter_key_index", "key", postgresql_where=text("length(key) <= 256")),
)

erasure = Table(
    "erasure",
    metadata,
    Column("user_hash", LargeBinary, primary_key=True),
    Column("erased_at", TIME, nullable=False),
    Column("requested_at", TIME, nullable=False, server_default=text("now()")),
    Column("reason", Text),
    Column("profiles", BigInteger, nullable=False, server_default=text("0")),
    Column("interactions", BigInteger, nullable=False, server_default=text("0")),
    Column("dead_letters", BigInteger, nullable=False, server_default=text("0")),
    Column("proof", JSONB),
    comment="Keyed hash of the id. Outlives the tombstone point and the topics' retention.",
)

pending_sync = Table(
    "pending_sync",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("id", ID, primary_key=True),
    Column("requested_at", TIME, nullable=False, server_default=text("clock_timestamp()")),
    Column("taken_until", TIME, nullable=False, server_default=text("'-infinity'")),
    Index("pending_sync_requested_at_index", "requested_at"),
    CheckConstraint("kind IN ('user', 'item')", name="pending_sync_kind"),
    comment="Changed without a Kafka record behind it: a worker writes the vectors, then deletes the row.",
)

synced_offset = Table(
    "synced_offset",
    metadata,
    Column("topic", ID, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("next_offset", BigInteger, nullable=False),
    comment="All before it is in these tables: where a restored database has to read on.",
)

breaker_trip = Table(
    "breaker_trip",
    metadata,
    Column("topic", ID, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("record_offset", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("tripped_at", TIME, nullable=False, server_default=text("now()")),
    Column("accepted_until", BigInteger),
    comment="Partitions that the breaker has paused before that record, and what a person has accepted.",
)

letter_search = Table(
    "letter_search",
    metadata,
    Column("user_id", ID, primary_key=True),
    Column("requested_at", TIME, nullable=False, server_default=text("clock_timestamp()")),
    comment="Erased users for whose ids the dead letters have not been searched yet.",
)
