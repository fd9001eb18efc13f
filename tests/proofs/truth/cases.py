"""Cases: bundles about parts of random worlds, with what the chain answers about each, held against the report."""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from millmark.ledger.bundle import encode_bundle
from millmark.ledger.canonical import to_hex
from millmark.ledger.claims import Path as ClaimsPath
from millmark.ledger.trust import TrustFile
from millmark.ledger.verify import verify_bundle
from tests.proofs.truth.acts import Acts
from tests.proofs.truth.questions import QUESTIONS, Facts, Kept, LogAnswers, Statements
from tests.proofs.truth.world import TruthWorld, copy_truth_world
from tests.support.bundle_maker import make_bundle
from tests.support.stores import new_store

_STEPS = 80
_PARTS = 5


@dataclass
class Case:
    """A bundle, and the answers of the chain, by question."""

    seed: int
    name: str
    part: bytes
    data: bytes
    trust: TrustFile
    now_s: int
    answers: Mapping[str, frozenset[object]]


def make_cases(seeds: range) -> Iterator[Case]:
    """The cases of the worlds with these seeds. Building the companies takes seconds, once a process."""
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            store = new_store(Path(folder))
            try:
                yield from _cases_of(copy_truth_world(store, seed), seed)
            finally:
                store.close()


def _cases_of(world: TruthWorld, seed: int) -> Iterator[Case]:
    acts = Acts(world)
    acts.begin()
    for _ in range(_STEPS):
        acts.step()
    facts, kept = Facts(), Kept(world)
    facts.feed(world.recorded())
    names = sorted(world.lots)
    # The lots about which most was said, and some others.
    names.sort(key=lambda name: -len(facts.lots[world.lots[name]].records))
    chosen = names[:_PARTS] + world.choose.sample(names[_PARTS:], min(2, len(names) - _PARTS))
    for name in chosen:
        yield _case(world, kept, facts, name, seed)


def _case(world: TruthWorld, kept: Kept, facts: Facts, name: str, seed: int) -> Case:
    choose = random.Random(f"{seed} {name}")  # noqa: S311  # what a sender shows
    shown = [number for number in world.measured() if choose.random() < 0.7]
    documents: Mapping[bytes, Sequence[ClaimsPath]] | None = None if choose.random() < 0.5 else {}
    bundle, trust = make_bundle(world, name, withhold=choose.random() < 0.3, certificates=shown, claims=documents)
    evidence, records = (
        frozenset(one.record for one in bundle.evidence),
        frozenset(one.sequence for one in bundle.records),
    )
    log = LogAnswers(kept, facts, world.lots[name], evidence, records)
    answers = {question.name: question.ask(log) for question in QUESTIONS}
    return Case(seed, name, world.lots[name], encode_bundle(bundle), trust, world.now() + 5, answers)


@dataclass(frozen=True)
class Difference:
    seed: int
    name: str
    question: str
    chain: str
    report: str

    def __str__(self) -> str:
        return f"world {self.seed}, {self.name}: {self.question} chain: {self.chain}; report: {self.report}"


def judge(case: Case) -> Iterator[Difference]:
    """The questions that the report of a case does not answer as the chain does."""
    report = verify_bundle(case.data, case.trust, now_s=case.now_s, any_status=True)
    told = json.loads(json.dumps(report.to_json()))
    statements = Statements(tuple(told), to_hex(case.part))
    for question in QUESTIONS:
        answer = case.answers[question.name]
        if question.differs(answer, statements):
            read = question.read(statements)
            yield Difference(case.seed, case.name, question.name, _listed(answer), _listed(read))


def _listed(answer: frozenset[object]) -> str:
    return ", ".join(sorted(map(str, answer))) or "nothing"
