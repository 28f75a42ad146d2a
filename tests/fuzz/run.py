"""`make fuzz`: bytes for every target, guided by coverage (Atheris, libFuzzer's engine for Python).

What it learns is kept in build/fuzz, and gone on from. It ends with a table, and exit code 1 if a promise
was broken: put the input it names into tests/fuzz/found/TARGET, where `make test` tries it from then on.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(TESTS))

HOME = TESTS.parent / "build" / "fuzz"
# Share of the runs: a record costs a fraction of a millisecond, a checkpoint several.
SHARES = {
    "interactions": 0.24, "users": 0.18, "items": 0.24, "json": 0.2, "times": 0.06,
    "manifest": 0.02, "vocabulary": 0.02, "weights": 0.02, "anchor": 0.02,
}  # fmt: skip
MEMORY = Path("/dev/shm")  # where a file costs microseconds
WATCHED = ["kindred.events", "kindred.embedding", "kindred.vectors.payloads", "json.decoder"]
LIMITS = ["-max_len=8192", "-timeout=60", "-rss_limit_mb=2500"]  # the time is one input's, on a busy machine


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one target; edges and features as they were after the seeds, and in the end."""

    target: str
    runs: int
    seconds: int
    edges: tuple[int, int]
    features: tuple[int, int]
    broken: str | None

    def __str__(self) -> str:
        return (
            f"{self.target:13} {self.runs:>9,} runs  {self.runs / max(self.seconds, 1):>7,.0f}/s  "
            f"edges {self.edges[0]} -> {self.edges[1]}  features {self.features[0]} -> {self.features[1]}  "
            f"{self.broken or 'ok'}"
        )


def main() -> int:
    """Run the targets one after another; 1 if a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1_000_000, help="of all targets together")
    parser.add_argument("--target", choices=SHARES, action="append", help="only this one; may be repeated")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    targets = options.target or list(SHARES)
    total = sum(SHARES[target] for target in targets)
    outcomes = []
    for target in targets:
        outcomes.append(_outcome(target, round(options.runs * SHARES[target] / total), options.seed))
        print(outcomes[-1], flush=True)
    broken = [outcome.target for outcome in outcomes if outcome.broken]
    judged = f"broken: {', '.join(broken)}" if broken else "no promise broken"
    print(f"{sum(outcome.runs for outcome in outcomes):,} executions, seed {options.seed}: {judged}")
    return bool(broken)


def _outcome(target: str, runs: int, seed: int) -> Outcome:
    from fuzz.words import dictionary

    home = HOME / target
    (home / "corpus").mkdir(parents=True, exist_ok=True)
    (home / "broken").unlink(missing_ok=True)
    (home / "words").write_text(dictionary())
    libfuzzer = [*LIMITS, f"-runs={runs}", f"-seed={seed}", f"-dict={home / 'words'}", "-print_final_stats=1"]
    with (
        (home / "log").open("w") as log,
        TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder,
    ):
        command = [sys.executable, __file__, "--fuzz", target, folder, str(home / "corpus"), *libfuzzer]
        ended = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, cwd=home, check=False)
    return _read(target, home, ended.returncode)


def _read(target: str, home: Path, code: int) -> Outcome:
    log = (home / "log").read_text(errors="replace")
    counts = re.findall(r"#(\d+)\s+\S+\s+cov: (\d+) ft: (\d+)", log) or [("0", "0", "0")]
    (_, edges, features), (runs, last_edges, last_features) = counts[0], counts[-1]
    seconds = re.findall(r"Done \d+ runs in (\d+) second", log)
    broken = None if code == 0 else str(home / ("broken" if (home / "broken").exists() else "log"))
    return Outcome(
        target,
        int(runs),
        int(seconds[-1]) if seconds else 0,
        (int(edges), int(last_edges)),
        (int(features), int(last_features)),
        broken,
    )


def fuzz(target: str, folder: Path, arguments: list[str]) -> None:
    """One target, in a process of its own, which libFuzzer ends; `folder` is for its files."""
    import atheris

    with atheris.instrument_imports(include=WATCHED):
        from fuzz.seeds import seeds
        from fuzz.targets import TARGETS
    corpus = Path(arguments[0])
    for number, seed in enumerate(seeds(target, folder)):
        (corpus / f"seed-{number}").write_bytes(seed)
    atheris.Setup([target, *arguments], _kept(TARGETS[target](folder), corpus.parent / "broken"))
    atheris.Fuzz()


def _kept(target: Callable[[bytes], None], path: Path) -> Callable[[bytes], None]:
    """The same target; it writes down the input that breaks its promise."""

    def run(data: bytes) -> None:
        try:
            target(data)
        except BaseException:
            path.write_bytes(data)
            raise

    return run


if __name__ == "__main__":
    sys.exit(fuzz(sys.argv[2], Path(sys.argv[3]), sys.argv[4:]) if sys.argv[1:2] == ["--fuzz"] else main())
