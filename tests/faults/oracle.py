"""The oracle: does every place hold exactly what the records that were produced determine?

    end = settled(settings)                       # all synced, all committed, nothing pending
    assert differences(settings) == []            # "equal" is the only pass

The truth is what the broker holds, read from its beginning with a plain consumer, so that nobody has to
remember what a producer sent twice. From it plain Python computes every history, profile, item, dead
letter and erasure; these are embedded in fp32 with each model's checkpoint, and all of it is compared with
Postgres and Qdrant: rows, revisions, vectors, payloads, tombstones, what is missing and what is surplus.

What the rules leave open. Items and profiles may come in any order relative to interactions, and all of it
any number of times. But topics are read side by side, so between an erasure and what re-opens the id the
order of arrival counts: an interaction later than the erasure is kept if the newer profile was there
first, and dropped otherwise (rules 13 and 15). A workload must wait there, until Postgres has read all
before (`applied`), and hand those barriers to `differences`. Whatever is at or before an erasure, and
whatever belongs to a user who stays erased, may come at any time. Where a workload did not wait, and so
the outcome is anybody's, `Undetermined` is raised rather than something guessed. The same holds for dead
letters with the key of a user who is erased in the same phase, for interactions within two hours of the
log's retention, and for the popularity that users had who were erased: there bounds are checked.

A tombstone may be reaped once it is 24 times `max_batch_age` old (rule 17): from then on an erased user may
be gone without a trace but the erasure's hash, or still be there, but nothing in between.

In another dtype than float32 all is compared as exactly but the vectors, whose cosine must be .999.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec

from faults.expected import Barrier, Expected, Partition, expected
from faults.findings import Findings
from faults.in_postgres import compare_postgres
from faults.in_qdrant import compare_qdrant
from faults.records import ends_and_committed, read_all
from kindred.composition import Servers, contract, opened
from kindred.settings import Settings

LOOK_SECONDS = 0.5
QUIET_LOOKS = 2
# One statement, one snapshot: a sweep's users go from item_sweep to pending_sync in one transaction.
UNDER_WAY = """
SELECT (SELECT count(*) FROM pending_sync), (SELECT count(*) FROM item_sweep),
       (SELECT count(*) FROM letter_search), (SELECT last_value FROM revision)
"""
FLOOR = """
SELECT CASE WHEN isfinite(retention_floor) THEN (extract(epoch FROM retention_floor) * 1e6)::bigint END
FROM lineage
"""
READ = "SELECT topic, partition, next_offset FROM synced_offset"


class Unsettled(Exception):
    """Not everything was synced in time; says what was left."""


def differences(settings: Settings, barriers: Sequence[Barrier] = ()) -> list[str]:
    """Everything that is not as the records determine, one line each; [] means equal.

    `settings` lead to the servers themselves, not to proxies, and name the serving dtype. Nothing may be
    under way (`settled`). Raises Undetermined for a workload that did not wait where it must.
    """
    with opened(settings, "oracle") as servers:
        return compared(servers, what_must_be(servers, barriers))


def what_must_be(servers: Servers, barriers: Sequence[Barrier] = ()) -> Expected:
    """What the broker's records determine."""
    rules = contract(servers.settings, servers.declaration)
    with servers.database.transaction() as connection:
        (floor_us,) = connection.execute(FLOOR).fetchone() or (None,)
    rules = msgspec.structs.replace(rules, floor_us=floor_us)
    return expected(read_all(servers.settings), rules, barriers)


def compared(servers: Servers, wanted: Expected) -> list[str]:
    """The same for what was worked out before."""
    findings = Findings()
    compare_qdrant(servers, wanted, compare_postgres(servers, wanted, findings), findings)
    left, _ = _left(servers)
    for each in left:
        findings.note("not done", each)
    return findings.lines()


def settled(settings: Settings, seconds: float = 60.0) -> dict[Partition, int]:
    """Wait until all is committed and nothing pending, at two looks in a row; returns where topics end.

    Raises Unsettled with what is left.
    """
    with opened(settings, "oracle") as servers:
        deadline, before, quiet = time.monotonic() + seconds, None, 0
        while quiet < QUIET_LOOKS:
            left, state = _left(servers)
            quiet = quiet + 1 if not left and state == before else 0
            before = state
            if left and time.monotonic() > deadline:
                raise Unsettled(f"after {seconds:g} s: {'; '.join(left)}")
            time.sleep(LOOK_SECONDS)
        return state[0]


def under_way(settings: Settings) -> list[str]:
    """What is not done at this moment."""
    with opened(settings, "oracle") as servers:
        return _left(servers)[0]


def applied(settings: Settings, seconds: float = 60.0) -> dict[Partition, int]:
    """Wait until Postgres has read all that the topics hold by now: a barrier. Raises Unsettled."""
    ends, _ = ends_and_committed(settings)
    deadline = time.monotonic() + seconds
    with opened(settings, "oracle") as servers:
        while behind := _behind(servers, ends):
            if time.monotonic() > deadline:
                raise Unsettled(f"after {seconds:g} s Postgres has not read {behind}")
            time.sleep(0.05)
    return ends


def _left(servers: Servers) -> tuple[list[str], tuple[dict[Partition, int], int]]:
    """What is not done yet, and what must stay the same for it to count as done."""
    ends, committed = ends_and_committed(servers.settings)
    left = [
        f"{topic}[{partition}] is committed to {committed[topic, partition]} of {end}"
        for (topic, partition), end in ends.items()
        if committed[topic, partition] != end
    ]
    with servers.database.transaction() as connection:
        pending, sweeps, searches, revision = connection.execute(UNDER_WAY).fetchone() or (0, 0, 0, 0)
    left += [f"{pending} rows in pending_sync"] if pending else []
    left += [f"{sweeps} items to sweep for"] if sweeps else []
    left += [f"letters to search for {searches} erased users"] if searches else []
    return left, (ends, revision)


def _behind(servers: Servers, ends: Barrier) -> list[Partition]:
    with servers.database.transaction() as connection:
        read = {(topic, partition): offset for topic, partition, offset in connection.execute(READ)}
    return [partition for partition, end in ends.items() if read.get(partition, 0) < end]
