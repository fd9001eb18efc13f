"""Holds what a report says against what the chain says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from millmark.ledger.canonical import to_hex
from millmark.ledger.verify import verify_bundle
from tests.support.truth.cases import Case
from tests.support.truth.questions import QUESTIONS, Statements

__all__ = ["Difference", "judge"]


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
