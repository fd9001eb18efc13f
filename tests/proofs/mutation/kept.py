"""What mutation testing found: counts in tests/mutants.jsonl, and in tests/mutants_explained.json why a mutant that no
test notices does no harm."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.proofs.mutation.outcomes import is_killed

__all__ = ["BAR", "EXPLAINED", "KEPT", "Sample", "read_explained", "read_samples", "tell_sample"]

ROOT = Path(__file__).parents[3]
KEPT = ROOT / "tests" / "mutants.jsonl"
EXPLAINED = ROOT / "tests" / "mutants_explained.json"
BAR = 0.95
"""Least share of mutants that must be killed; those that behave like the original are not counted."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Mutants of a package, drawn with a seed, and what became of them."""

    package: str
    seed: int
    mutants: int
    of: int
    """All mutants of the package."""
    killed: int
    endless: int
    """Of those killed, how many were stopped because they took too long."""
    explained: int
    """Survivors that are equivalent, each explained in tests/mutants_explained.json."""
    survived: int
    """All others, with those that no test runs."""
    cpu_seconds: int
    commit: str
    ended: str

    @property
    def share(self) -> float:
        """Killed mutants, of those that are not equivalent."""
        counted = self.mutants - self.explained
        return self.killed / counted if counted else 1.0


def read_samples(path: Path = KEPT) -> list[Sample]:
    lines = path.read_text().splitlines() if path.exists() else []
    return [Sample(**json.loads(line)) for line in lines]


def read_explained(path: Path = EXPLAINED) -> dict[str, str]:
    """Why each mutant does no harm, by its name."""
    found: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    return found


def count(
    package: str,
    seed: int,
    of: int,
    outcomes: Mapping[str, str],
    explained: Mapping[str, str],
    **ended: str | int,
) -> Sample:
    """The sample's counts from its mutants' outcomes. An explained mutant that was killed counts as killed."""
    found = Counter(outcomes.values())
    survivors = [name for name, outcome in outcomes.items() if not is_killed(outcome)]
    equivalent = sum(name in explained for name in survivors)
    return Sample(
        package=package,
        seed=seed,
        mutants=len(outcomes),
        of=of,
        killed=found["killed"] + found["endless"],
        endless=found["endless"],
        explained=equivalent,
        survived=len(survivors) - equivalent,
        **ended,  # type: ignore[arg-type]
    )


def add(sample: Sample, path: Path = KEPT) -> None:
    """Adds the sample, in place of an earlier one of the same package and seed."""
    others = [one for one in read_samples(path) if (one.package, one.seed) != (sample.package, sample.seed)]
    path.write_text("".join(json.dumps(asdict(one)) + "\n" for one in [*others, sample]))


def tell_sample(sample: Sample) -> str:
    return (
        f"{sample.package}, seed {sample.seed}: {sample.killed} of {sample.mutants} mutants killed, {sample.explained} "
        f"equivalent (explained), {sample.survived} survived: {100 * sample.share:.1f} % "
        f"({sample.of} in all, {sample.cpu_seconds} s of processor time)"
    )


def tell_survivors(outcomes: Mapping[str, str], explained: Mapping[str, str]) -> Iterator[str]:
    for name, outcome in outcomes.items():
        if not is_killed(outcome) and name not in explained:
            yield f"{outcome}: {name}"


def unknown_explanations(names: Sequence[str], explained: Mapping[str, str], folder: str) -> list[str]:
    """Explanations for mutants of a folder that no longer exist."""
    known = set(names)
    return [name for name in explained if name.startswith(f"{folder}/") and name not in known]
