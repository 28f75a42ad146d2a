"""How long `kindred train --from postgres` takes until it has the log, and in how much memory.

    python tests/benchmarks/copy_log.py --events 2000000

Fills a schema of its own on KINDRED_TEST_POSTGRES_URL, or on the embedded Postgres, by SQL alone. Then reads
it in one process, and trains on it for a while by the command itself in another.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from histories import empty_database
from kindred.history.connection import Database
from kindred.history.migrate import migrate
from servers.ladder import first_of
from servers.sources import postgres

DAYS = 300
TYPES = "INSERT INTO event_type (name) VALUES ('view'), ('watch'), ('like')"
USERS = """
INSERT INTO app_user (user_id, profile, profile_updated_at, history_length)
SELECT 'user-' || n, jsonb_build_object('country', 'c' || n % 40, 'age_group', 'a' || n % 6), now(), {each}
FROM generate_series(1, {users}) AS n
"""
ITEMS = """
INSERT INTO item (item_id, attributes, updated_at, revision)
SELECT 'film-' || n, jsonb_build_object('genres', jsonb_build_array('g' || n % 20), 'year', 1950 + n % 70),
       now(), n
FROM generate_series(1, {items}) AS n
"""
# Users come in turn, so that on disk nobody's events lie together; a few items are much more popular.
EVENTS = """
INSERT INTO interaction (user_id, occurred_at, event_id, item, type)
SELECT 'user-' || 1 + n % {users}, now() - {days} * interval '1 day' * (1 - n::float8 / {events}),
       gen_random_uuid()::text, 1 + floor({items} * random() * random()), 1 + n % 3
FROM generate_series(0, {events} - 1) AS n
"""
READ = """
import time
import kindred.training.train
from kindred.commands.training_source import Source
from kindred.settings import load_settings
began, cpu_began = time.monotonic(), time.process_time()
log, _ = Source("postgres", False, None, 0).read(load_settings())
seconds, cpu_seconds = time.monotonic() - began, time.process_time() - cpu_began
print(f"{len(log):,} events in {seconds:.1f} s, {cpu_seconds:.1f} of this process", flush=True)
"""
NOTHING = "from kindred.commands.training_source import Source; import kindred.training.train"


def main() -> None:
    options = _options()
    taken: list[str] = []
    with (
        first_of(postgres(), lambda source, _: taken.append(source)) as url,
        empty_database(url) as database,
        tempfile.TemporaryDirectory() as folder,
    ):
        print(f"Postgres: {taken[0]}")
        fill(database, options)
        settings = {"KINDRED_POSTGRES__URL": url, "KINDRED_POSTGRES__SCHEMA_NAME": database.schema}
        measured("imports alone", [sys.executable, "-c", NOTHING], settings)
        measured("reading", [sys.executable, "-c", READ], settings)
        kindred, minutes = str(Path(sys.executable).with_name("kindred")), str(options.minutes)
        train = [kindred, "train", "--from", "postgres", "--max-minutes", minutes, "-o", f"{folder}/model"]
        measured("training", train, settings)


def fill(database: Database, options: argparse.Namespace) -> None:
    """A log of `events`, spread evenly over users and days."""
    migrate(database)
    sizes = vars(options) | {"days": DAYS, "each": options.events // options.users}
    began = time.monotonic()
    with database.dedicated() as connection:
        connection.execute("SET statement_timeout = 0")
        connection.patience_seconds = None
        for statement in (TYPES, USERS, ITEMS, EVENTS, "ANALYZE"):
            connection.execute(statement.format(**sizes))
    print(f"filled in {time.monotonic() - began:.0f} s")


def measured(what: str, command: list[str], settings: dict[str, str]) -> None:
    """Run a command and print its seconds and its peak of resident memory."""
    began = time.monotonic()
    process = subprocess.Popen(command, env=os.environ | settings | {"OMP_NUM_THREADS": "1"})
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - began
    cpu_seconds, peak_mb = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
    print(
        f"{what}: {seconds:.1f} s, CPU {cpu_seconds:.1f} s, peak {peak_mb:.0f} MB, exit {status}", flush=True
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--minutes", type=float, default=1.0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
