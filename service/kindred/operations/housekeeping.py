"""What one worker of all does beside its batches: partitions, retention, popularity, item sweeps."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence

import structlog

from kindred import metrics
from kindred.errors import CollectionGone, KindredError, Outage
from kindred.health import Health
from kindred.history import clocks, named_letters, partitions, popularity, sweeps, trips
from kindred.history import models as model_rows
from kindred.history.connection import Database
from kindred.history.leader import Leadership
from kindred.operations.reaping import SEARCHED_USERS, Reaper
from kindred.settings import Settings
from kindred.vectors.index import Index

log = structlog.get_logger()

SLICE_USERS = 5_000
SLICE_ITEMS = 2_000
MOST_PENDING = 20_000  # a sweep waits for the workers rather than flood them
RETRY_SECONDS = 60.0
LEADER_SILENCE_SECONDS = 60.0
PUT_OFF_TIMES = 5
PARTITIONS_INTERVAL_SECONDS = 600.0
REAPING_INTERVAL_SECONDS = 60.0


class Housekeeping:
    """Runs on a thread of its own, in the one worker that holds the advisory lock."""

    def __init__(self, database: Database, index: Index, settings: Settings, health: Health) -> None:
        self._database = database
        self._index = index
        self._settings = settings
        self._health = health
        self._reaper = Reaper(
            database, index.points, settings.topic(settings.kafka.items_topic),
            settings.worker.max_batch_age_seconds,
        )  # fmt: skip
        self._sweep: sweeps.Sweep | None = None
        self._popularity_after = 0
        self._is_away = False
        self._due: dict[str, float] = {}
        self._times_busy = Counter[str]()  # in a row, by task

    def run(self, stop: threading.Event) -> None:
        """Until `stop` is set; an outage only delays it."""
        with Leadership(self._database, LEADER_SILENCE_SECONDS) as leadership:
            while not stop.wait(self._settings.worker.housekeeping_interval_seconds):
                self._attempt(leadership)

    def _attempt(self, leadership: Leadership) -> None:
        try:
            if self._leads(leadership):
                self._turn()
            else:
                self._hand_over()
            self._health.degraded("housekeeping", None)
        except Outage as outage:
            log.warning("housekeeping_delayed", reason=str(outage))
        except Exception as error:  # a thread of its own: otherwise nobody would ever hear of it
            self._fail("housekeeping", error)

    def _turn(self) -> None:
        self._every("partitions", PARTITIONS_INTERVAL_SECONDS, self._keep_partitions)
        self._every("popularity", self._settings.worker.popularity_interval_seconds, self._keep_popularity)
        self._every("reaping", REAPING_INTERVAL_SECONDS, self._keep_reaping)
        self._every("letters", 0.0, self._keep_searching)
        self._every("sweeping", 0.0, self._keep_sweeping)
        metrics.PENDING.set(sweeps.pending_count(self._database))

    def _hand_over(self) -> None:
        """What this worker failed at is another one's task now."""
        for name in self._due:
            self._health.degraded(f"housekeeping: {name}", None)
        self._due, self._times_busy = {}, Counter()

    def _leads(self, leadership: Leadership) -> bool:
        """Every worker asks in every turn: so one without records, too, notices that Postgres is away."""
        try:
            leads = leadership.held()
        except Outage as outage:
            self._health.outage(outage.server, outage.reason)
            self._is_away = True
            raise
        if self._is_away:
            self._health.answered("postgres")
            self._is_away = False
        return leads

    def _every(self, name: str, interval_seconds: float, task: Callable[[], None]) -> None:
        """Run it when it is due. What fails is tried again, and keeps no other task waiting.

        The worker is not ready until this very task has succeeded.
        """
        now = time.monotonic()
        if now < self._due.get(name, 0.0):
            return
        self._due[name] = now + interval_seconds
        try:
            task()
        except (Outage, CollectionGone) as outage:
            self._due[name] = now + min(interval_seconds, RETRY_SECONDS)
            self._put_off(name, outage)
        except Exception as error:
            self._due[name], self._times_busy[name] = now + RETRY_SECONDS, 0
            self._fail(f"housekeeping: {name}", error)
        else:
            self._times_busy[name] = 0
            self._health.degraded(f"housekeeping: {name}", None)

    def _put_off(self, name: str, outage: Outage | CollectionGone) -> None:
        """A server that is away shows by itself, one that is only too busy for this task does not."""
        log.warning("housekeeping_delayed", task=name, reason=str(outage))
        is_busy = isinstance(outage, Outage) and outage.is_busy
        self._times_busy[name] = self._times_busy[name] + 1 if is_busy else 0
        if self._times_busy[name] >= PUT_OFF_TIMES:
            self._health.degraded(f"housekeeping: {name}", f"put off again and again: {outage}")

    def _fail(self, what: str, error: Exception) -> None:
        log.error(
            "housekeeping_failed", what=what, exc_info=not isinstance(error, KindredError), reason=str(error)
        )
        self._health.degraded(what, f"stands still: {error}")

    def _keep_partitions(self) -> None:
        now = clocks.now(self._database)  # a wrong one would drop what is not expired
        postgres = self._settings.postgres
        partitions.make_ahead(self._database, now)
        if postgres.retention_days:
            for name in partitions.expire(self._database, now, postgres.retention_days):
                log.info("partition_dropped", name=name, retention_days=postgres.retention_days)
        partitions.expire_dead_letters(self._database, postgres.dead_letter_retention_days)
        trips.forget_passed(self._database)

    def _keep_popularity(self) -> None:
        now, half_life_days = clocks.now(self._database), self._settings.worker.popularity_half_life_days
        gained = popularity.fold(self._database, now, half_life_days)
        self._popularity_after, aged = popularity.slice_after(
            self._database, self._popularity_after, SLICE_ITEMS, now, half_life_days
        )
        for model in self._models():
            self._index.write_popularity(model, aged | gained)

    def _keep_reaping(self) -> None:
        if reaped := self._reaper.turn(time.monotonic()):
            log.info("tombstones_reaped", users=reaped)
        if self._reaper.is_busy:
            self._due["reaping"] = 0.0

    def _keep_searching(self) -> None:
        """Dead letters that name users who were erased by a record, or by a command that died."""
        topic = self._settings.topic(self._settings.kafka.items_topic)
        if users := named_letters.search_waiting(self._database, SEARCHED_USERS, topic):
            log.info("dead_letters_searched", erased_users=users)

    def _keep_sweeping(self) -> None:
        if self._sweep is None:
            self._sweep, age_seconds = sweeps.begin(self._database)
            metrics.SWEEP_LAG_SECONDS.set(age_seconds)
        while self._sweep is not None and sweeps.pending_count(self._database) < MOST_PENDING:
            if sweeps.advance(self._database, self._sweep, SLICE_USERS):
                self._sweep = None

    def _models(self) -> Sequence[str]:
        return [row.name for row in model_rows.read(self._database)]
