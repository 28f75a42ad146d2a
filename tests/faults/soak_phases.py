"""The phases of a soak, one after another: load, calibrate, soak, burst, and the end."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from faults.breaking import Breaking, Say
from faults.cluster import Cluster
from faults.judging import judged
from faults.oracle import Unsettled, settled
from faults.sampling import Sample, Sampler, of_process
from faults.schedule import Fault, Kind, schedule
from faults.soak_result import InUse, Plan, Result
from faults.traffic import Traffic
from faults.trend import trend

DESCRIPTIONS = 2  # of every item, and
GREETINGS = 3  # events of every user before the highest rate is measured
CALIBRATION_ROUNDS = 6  # memory settles meanwhile: allocators keep what the largest backlog needed
CALIBRATION_EVENTS = 40_000  # a round
DRAIN_SECONDS = 1_800.0
SETTLE_SECONDS = 900.0  # a sweep that reaches nearly every user is worked off at the pace of embedding
REST_LOOKS = 20  # a second apart: the lowest of them is without what is held for a moment
WARM_UP_SHARE = 0.2  # of the soak, before memory is judged


@dataclass(frozen=True, slots=True)
class Soak:
    """Carries a plan out and fills the result in."""

    plan: Plan
    made: Cluster
    traffic: Traffic
    sampler: Sampler
    result: Result
    say: Say

    def run(self) -> None:
        self._load()
        measured = self._calibrate()  # also where the rate is given: memory settles in it
        self.result.highest_rate = self.plan.rate or measured
        self.result.before = self._at_rest()
        self._soak()
        self.result.after = self._at_rest()
        self._burst()
        self.traffic.stop()
        self.result.events = self.traffic.sent - self.traffic.lost
        self.result.lag_left, self.result.tables = self.sampler.look().lag, self.sampler.tables()
        self.result.settled_after_seconds, differing = judged(
            self.made, self.traffic.barriers, self.say, SETTLE_SECONDS
        )
        self.result.differing += differing

    def _load(self) -> None:
        """Every item, so that the catalogue in memory grows no more, and the first events of every user."""
        self._begin("load")
        self.traffic.pile_up(DESCRIPTIONS * self.plan.items + GREETINGS * self.plan.users)
        self._drain()

    def _calibrate(self) -> float:
        """Records a second from the producer to searchable, as fast as all of it goes; the median round."""
        self._begin("calibrate")
        rates: list[float] = []
        for _ in range(CALIBRATION_ROUNDS):
            began = time.monotonic()
            self.traffic.pile_up(CALIBRATION_EVENTS)
            self._drain()
            rates.append(CALIBRATION_EVENTS / (time.monotonic() - began))
            self.say(f"  {rates[-1]:,.0f} records/s; {self._status()}")
        return statistics.median(rates)

    def _soak(self) -> None:
        self._begin("soak")
        rate = self.plan.share * self.result.highest_rate
        self.say(f"{rate:,.0f} records/s for {self.plan.seconds / 60:g} minutes")
        self.traffic.rate = rate
        breaking = Breaking(self.made, threading.Event(), self.say, self._status)
        breaking.run(self._faults(), self.plan.seconds)
        self.traffic.rate = 0.0
        self.result.faults = [str(fault) for fault in breaking.injected]
        self.result.differing += breaking.wrong
        self._drain()
        samples = self._samples("soak")
        self.result.highest_lag = max((each.lag for each in samples), default=0)
        warm = samples[int(WARM_UP_SHARE * len(samples)) :]
        if len(warm) >= 3:
            self.result.memory = trend(*of_process(warm, self._first_worker))

    def _faults(self) -> list[Fault]:
        every = schedule(
            self.plan.seed, self.plan.seconds, self.made.kinds,
            workers=self.plan.workers, mean_gap_seconds=self.plan.mean_gap_seconds,
        )  # fmt: skip
        ends = {Kind.WORKER_KILLED, Kind.WORKER_LEAVES}
        return [fault for fault in every if fault.kind not in ends or fault.which != 0]

    def _burst(self) -> None:
        """Ten times the highest rate for so many seconds, of records that were made before."""
        if not self.plan.burst_seconds:
            return
        per_second = 10 * self.result.highest_rate
        records = self.traffic.stock(int(per_second * self.plan.burst_seconds))
        before = self.sampler.look()
        self._begin("burst")
        began = time.monotonic()
        self.traffic.flood(records, per_second)
        self.result.burst_rate = len(records) / (time.monotonic() - began)
        self.say(f"{len(records):,} records came at {self.result.burst_rate:,.0f}/s; {self._status()}")
        self._drain()
        self.result.burst_seconds = time.monotonic() - began
        samples, pid = self._samples("burst"), self._first_worker
        self.result.burst_lag = max((each.lag for each in samples), default=0)
        _, most = of_process([before, *samples], pid)
        self.result.memory_at_burst_mb = (before.memory_mb[pid], max(most))

    def _at_rest(self) -> InUse | None:
        """What the first worker holds when nothing is under way; None where it does not tell."""
        self._begin("rest")
        self.traffic.is_resting = True
        try:
            settled(self.made.direct, SETTLE_SECONDS)
            looks = [each for each in self._looks() if each.blocks and each.native_mb > 0]
        except Unsettled as error:
            self.result.differing.append(f"at rest: {error}")
            return None
        finally:
            self.traffic.is_resting = False
        if not looks:
            return None
        found = InUse(
            looks[-1].sent, min(each.blocks for each in looks), min(each.native_mb for each in looks)
        )
        self.say(f"  {found.blocks:,.0f} blocks, {found.native_mb:.1f} MB beside them; {self._status()}")
        return found

    def _looks(self) -> Iterator[Sample]:
        for _ in range(REST_LOOKS):
            time.sleep(1)
            yield self.sampler.look()

    def _begin(self, phase: str) -> None:
        self.sampler.phase = phase
        self.say(f"{phase}:")

    def _drain(self) -> None:
        """Until all has been sent, Postgres has read it, and nothing is pending."""
        deadline = time.monotonic() + DRAIN_SECONDS
        while self.traffic.outstanding or (sample := self.sampler.look()).lag or sample.pending:
            if time.monotonic() > deadline:
                self.result.differing.append(f"after {DRAIN_SECONDS:g} s still behind: {self._status()}")
                return
            time.sleep(0.2)

    def _status(self) -> str:
        last = self.sampler.samples[-1] if self.sampler.samples else None
        if last is None:
            return "no sample yet"
        memory = ", ".join(f"{mb:.0f}" for mb in last.memory_mb.values())
        return f"{last.sent:,} events, lag {last.lag:,}, pending {last.pending:,}, memory {memory} MB"

    def _samples(self, phase: str) -> list[Sample]:
        return [each for each in self.sampler.samples if each.phase == phase]

    @property
    def _first_worker(self) -> int:
        pid = self.made.workers[0].pid
        assert pid is not None
        return pid
