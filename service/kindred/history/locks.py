"""Advisory locks, one set for each schema: several environments may share a database.

Order everywhere: the batch lock, dead letters by record, users by id, the item lock, items by id, what
waits in pending_sync by id, synced offsets by partition. Nobody who holds a later one waits for an
earlier one, so no cycle can form.
"""

_CLASS = 0x6B69_6E64  # "kind"


def _key(number: int) -> str:
    return f"{_CLASS + number}, hashtext(current_schema())"


SCHEMA = _CLASS  # with the hash of a schema's name: its creation
MIGRATION = _key(1)  # one migration at a time
BATCH = _key(2)  # shared: every transaction that draws a revision; exclusive: a change of models (rule 5)
ITEMS = _key(3)  # transactions that write items, so that they commit in the order of their revisions
LEADER = _key(4)  # the one worker that keeps house; held by a session
EVENT_TYPES = _key(5)  # who gives event types their numbers: one after another
