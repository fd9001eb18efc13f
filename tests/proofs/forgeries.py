"""Forges thousands of bundles and verifies each: `python -m tests.proofs.forgeries BUNDLE TRUST`.

Each must be refused, and by the step that the forgery targets. Mutations change random bytes of the file: they must be
refused by any step.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from millmark.ledger.bundle import parse_bundle
from millmark.ledger.errors import BundleError
from millmark.ledger.headers import parse_header
from millmark.ledger.trust import TrustFile, parse_trust
from millmark.ledger.verify import Step, VerificationError, verify_bundle
from tests.proofs import forge_disclosed, forge_records, forge_seals, forge_state
from tests.proofs.forging import FORGERIES, MAX_AGE_S, SEAL_FORGERIES, Forged, Forgery
from tests.support.bundle_content import Content, read_content

__all__ = ["Tally", "forge", "judge", "mutate", "run_forgeries", "run_mutations", "run_seal_forgeries"]

_GENERATORS = (forge_state, forge_records, forge_disclosed, forge_seals)
"""Importing them registers their generators."""
_TRIES = 200


@dataclass
class Tally:
    """Results of the forgeries."""

    tried: Counter[str] = field(default_factory=Counter)
    """Number of forgeries by targeted step, and of those about seals."""
    accepted: list[str] = field(default_factory=list)
    misplaced: list[str] = field(default_factory=list)
    """Forgeries that another step than the targeted one refused."""

    @property
    def clean(self) -> bool:
        return not self.accepted and not self.misplaced

    def to_json(self) -> dict[str, object]:
        return {
            "tried": dict(self.tried),
            "accepted": len(self.accepted),
            "wrong_step": len(self.misplaced),
            "examples": (self.accepted + self.misplaced)[:20],
        }


def forge(content: Content, step: Step, rng: Random) -> tuple[Forgery, Forged]:
    """Makes one forgery for a step."""
    return _forge(content, FORGERIES[step], rng, step.name.lower())


def _forge(content: Content, generators: Sequence[Forgery], rng: Random, what: str) -> tuple[Forgery, Forged]:
    for _ in range(_TRIES):
        generator = rng.choice(generators)
        forged = generator(content, rng)
        if forged is not None:
            return generator, forged
    raise AssertionError(f"nothing of {what} can be forged in this bundle")


def judge(forged: Forged) -> Step | None:
    """The step that refuses the forgery; None if it is accepted."""
    try:
        verify_bundle(forged.data, forged.trust, now_s=forged.now_s, max_age_s=MAX_AGE_S)
    except VerificationError as error:
        return error.step
    return None


def run_forgeries(content: Content, per_step: int, seed: int) -> Tally:
    """Forgeries of every step, `per_step` different ones of each, and as many about seals."""
    tally = Tally()
    for step in Step:
        _run(tally, content, FORGERIES[step], step, step.name.lower(), per_step, seed)
    _run(tally, content, SEAL_FORGERIES, Step.CHECKPOINT, "seals", per_step, seed)
    return tally


def run_seal_forgeries(content: Content, count: int, seed: int) -> Tally:
    """Forgeries about seals alone."""
    tally = Tally()
    _run(tally, content, SEAL_FORGERIES, Step.CHECKPOINT, "seals", count, seed)
    return tally


def _run(
    tally: Tally, content: Content, generators: Sequence[Forgery], step: Step, what: str, count: int, seed: int
) -> None:
    rng = Random(f"{seed} {what}")  # noqa: S311  # to be had again, not secret
    seen: set[bytes] = set()
    while len(seen) < count:
        generator, forged = _forge(content, generators, rng, what)
        key = forged.data + forged.trust.to_bytes() + forged.now_s.to_bytes(8, "big", signed=True)
        if key in seen:
            continue
        seen.add(key)
        _count(tally, what, step, getattr(generator, "__name__", "?"), judge(forged))


def _count(tally: Tally, what: str, step: Step, name: str, found: Step | None) -> None:
    tally.tried[what] += 1
    if found is None:
        tally.accepted.append(name)
    elif found is not step:
        tally.misplaced.append(f"{name}: {found.name.lower()} instead of {step.name.lower()}")


def mutate(data: bytes, rng: Random) -> bytes:
    """Changes, removes, inserts or moves one to three bytes."""
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        at = rng.randrange(len(changed))
        choice = rng.randrange(5)
        if choice == 0:
            changed[at] ^= 1 << rng.randrange(8)
        elif choice == 1:
            changed[at] = rng.randrange(256)
        elif choice == 2:
            del changed[at : at + rng.choice([1, 1, 2, 32])]
        elif choice == 3:
            changed[at:at] = changed[at : at + rng.choice([1, 1, 2, 32])]
        else:
            changed[at] = rng.choice(b'0123456789ABCDEFabcdef_-",[]{}:')
    return bytes(changed)


def run_mutations(data: bytes, trust: TrustFile, now_s: int, count: int, seed: int) -> Tally:
    tally, rng = Tally(), Random(f"{seed} mutations")  # noqa: S311  # as above
    for changed in _mutations(data, rng, count):
        found = judge(Forged(changed, trust, now_s))
        tally.tried["mutation" if found is None else f"refused by {found.name.lower()}"] += 1
        if found is None:
            tally.accepted.append("mutation")
    return tally


def _mutations(data: bytes, rng: Random, count: int) -> Iterator[bytes]:
    while count:
        changed = mutate(data, rng)
        if changed != data:
            count -= 1
            yield changed


def main(arguments: list[str] | None = None) -> int:
    """Runs forgeries and mutations and prints the results. Returns the exit code: 0 if everything was refused as
    expected."""
    parser = argparse.ArgumentParser(
        description="Forge bundles and have each judged; exit code 0 when none got through."
    )
    parser.add_argument("bundle", type=Path)
    parser.add_argument("trust", type=Path)
    parser.add_argument("--per-step", type=int, default=2000)
    parser.add_argument("--mutations", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    data, trust = given.bundle.read_bytes(), parse_trust(given.trust.read_bytes())
    try:
        bundle = parse_bundle(data)
    except BundleError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    now_s = parse_header(bundle.headers[0]).timestamp + 100
    started = time.monotonic()
    forged = run_forgeries(read_content(bundle, trust), given.per_step, given.seed)
    mutated = run_mutations(data, trust, now_s, given.mutations, given.seed)
    seconds = round(time.monotonic() - started, 1)
    sys.stdout.write(
        json.dumps({"seconds": seconds, "forgeries": forged.to_json(), "mutations": mutated.to_json()}, indent=2) + "\n"
    )
    return 0 if forged.clean and not mutated.accepted else 1


if __name__ == "__main__":
    sys.exit(main())
