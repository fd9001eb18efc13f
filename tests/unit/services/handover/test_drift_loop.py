"""From an inspector's alarm to another plan, without a hand but the operator's: companies with databases of their own,
the ledger and hand-overs between them."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from millmark.ledger.evidence import build_window_commitment
from millmark.ledger.ids import SubjectKind
from millmark.ledger.plans.plan import CauseKind
from millmark.ledger.provenance import open_reader
from millmark.ledger.records import (
    Anchor,
    CommissionLot,
    Gate,
    IssueCertificate,
    Item,
    NoteKind,
    StartAssignment,
    Statement,
    Verdict,
)
from millmark.ledger.store import Book
from millmark.ledger.store.rows import AnchorRow, AssignmentRow, NoteRow
from millmark.quality import build_model
from millmark.quality.drift import build_reference
from millmark.quality.inference import pack_window
from millmark.services.demo.consortium import hash_of
from millmark.services.gateway.recording.build_records import find_setpoint_answer
from millmark.services.planning.feedback.causes import Outcome, Step
from millmark.services.planning.feedback.inbox_proposer import InboxProposer
from millmark.services.planning.feedback.repository import CauseRow, FeedbackRepository, State
from millmark.services.planning.reading import reading
from tests.support.apart import Home, found_apart
from tests.support.bundle_world import MODEL_DIGEST, NOTHING, PIECE, YEAR_S
from tests.support.planned import Loop, Planned
from tests.support.planning_samples import keep_process
from tests.support.quality_samples import tiny_network

ORDERS = ("shaft", "spindle", "sleeve", "spigot", "spacer")
"""The mill begins one after each step; the last one is still to come when its offers are withdrawn."""
GROUP = 2
"""Inspections that are compared at a time here: each is a record of a certificate."""


@dataclass
class Inspected:
    """Orders that are planned on the mill, and inspected by a model that knows what the mill makes when it is well."""

    loop: Loop
    level: int = 0
    """Of both values that the inspector measures on what the mill makes."""

    @property
    def inspector(self) -> Home:
        return self.loop.planned.home(self.loop.planned.apart.consortium.inspector)

    @property
    def owner(self) -> Home:
        return self.loop.planned.home(self.loop.planned.owner("mill"))

    def begin(self) -> None:
        loop, planned = self.loop, self.loop.planned
        planned.apart.equip()
        planned.equip()
        gate = Gate(self.inspector.company.number, planned.apart.world.model)
        for name in ORDERS:
            planned.place(name, (gate,))
        self._train()
        loop.pass_on()
        planned.make_call(ORDERS)
        loop.pass_on()
        planned.offer("lathe", 9000)
        planned.offer("mill", 100)
        planned.pass_closing()
        loop.pass_on()
        loop.make_plan()
        loop.agree()
        for home in planned.apart.homes.values():
            loop.look(home)

    def _train(self) -> None:
        words = np.random.default_rng(1).integers(-20, 20, (200, 2))
        reference = build_reference(words.astype(np.int8), (2 * words[:, 0] - words[:, 1] + 3).astype(np.int64))
        with self.inspector.store.transaction() as connection:
            card = json.dumps({"drift": reference.describe()})
            Book(connection).put_model(MODEL_DIGEST, build_model(tiny_network()), card)

    def drift(self, order: str) -> None:
        """The mill makes a part of an order, on which the inspector measures more than ever before."""
        apart, maker = self.loop.planned.apart, self.owner.company
        subject, stream = apart.world.orders[order], apart.world.streams["mill-offers"]
        with reading(self.owner.store) as tables:
            [work] = tables.rows.find(AssignmentRow, order=subject, operation=1)
        apart.act(maker, f"start {order}", StartAssignment(subject, 1, work.sequence, stream, NOTHING))
        lot = apart.named(SubjectKind.LOT, maker, order)
        apart.act(maker, f"make {order}", CommissionLot(hash_of(lot), subject, 1, 1, PIECE, NOTHING))
        if not self.level:  # what is usual at this mill, by its first two groups
            self._certify_groups(lot.subject, subject)
        self.level += 30
        self._certify_groups(lot.subject, subject)
        self.loop.pass_on()

    def _certify_groups(self, lot: bytes, order: bytes) -> None:
        for _ in range(2 * GROUP):
            self._certify(lot, order)

    def _certify(self, lot: bytes, order: bytes) -> None:
        apart, inspector = self.loop.planned.apart, self.inspector
        window, salt = pack_window([self.level, self.level]), secrets.token_bytes(32)
        entry = apart._measure(inspector.company, lot, build_window_commitment(salt, window))
        inference = apart.world.infer(lot, entry, Verdict.PASS, salt, window)
        place = self.loop.planned.apart.world.streams["bench"], entry.index, entry.leaf_hash
        digest, until = inference.digest, apart.world.now() + YEAR_S
        statement = Statement((Item(lot, order),), apart.world.model, Verdict.PASS, until, digest, NOTHING, *place)
        number = apart.act(inspector.company, "certify", IssueCertificate(statement))
        with inspector.store.transaction() as connection:
            Book(connection).put_inference(number, salt, window, inference.logits)

    def alarm(self, order: str) -> None:
        """From the measurements to what the owner's feedback does, and what the coordinator's does then."""
        self.drift(order)
        for home in (self.inspector, self.owner, self.loop.coordinator):
            self.loop.look(home)
            self.loop.send(home.company)

    def accept(self) -> None:
        """The operator's answer, as the gateway records it."""
        me = self.owner.company.number
        with open_reader(self.owner.store) as reader:
            asked = {"id": 1, "answer": "accepted", "reason_text": None, "creator": me, "captured": False}
            found = find_setpoint_answer(reader, {**asked, "salt": lambda: secrets.token_bytes(32)})
        with self.owner.store.transaction() as connection:
            Book(connection).add_evidence(found["stream"], found["added"])  # type: ignore[arg-type]  # as it returns
        anchor = Anchor(found["stream"], found["size"], found["root"])  # type: ignore[arg-type]
        self.loop.planned.apart.act(self.owner.company, "answer", anchor)
        self.loop.pass_on()
        self.loop.look(self.owner)
        self.loop.send(self.owner.company)

    def causes(self, home: Home) -> list[CauseRow]:
        with reading(home.store) as tables:
            return FeedbackRepository(tables.connection).causes(99)[::-1]

    def steps(self, home: Home) -> list[tuple[str, str]]:
        with reading(home.store) as tables:
            kept = FeedbackRepository(tables.connection)
            return [(step.step, step.state) for row in self.causes(home) for step in kept.steps(row.id)]


@pytest.fixture
def inspected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Inspected]:
    monkeypatch.setattr("millmark.quality.drift.GROUP", GROUP)
    monkeypatch.setattr("millmark.quality.drift.BINS", 2)  # as many as a reference of two such groups can have
    monkeypatch.setattr(
        "millmark.quality.drift.ACTING_ROWS", 2 * GROUP
    )  # as those of two groups are, where groups have 200
    apart = found_apart(tmp_path)
    made = Inspected(Loop(Planned(apart)))
    made.begin()
    home = tmp_path / "home"
    keep_process(home, made.loop.mill, apart.world.now())
    made.loop.commands = InboxProposer(home, made.owner.company.number)
    yield made
    apart.close()


def test_an_inspectors_alarm_changes_settings_then_offers_then_the_plan(inspected: Inspected) -> None:
    loop, owner, apart = inspected.loop, inspected.owner, inspected.loop.planned.apart
    inspected.alarm(ORDERS[0])
    [cause] = inspected.causes(owner)
    assert (cause.kind, cause.machine, cause.outcome) == (CauseKind.DRIFT, loop.mill, Outcome.ACTED)
    assert inspected.steps(owner) == [(Step.SETPOINT, State.WAITING)]
    # The cause is the inspector's note on the ledger. Its document is the owner's to read, and no stranger's.
    with reading(owner.store) as tables:
        [note] = tables.rows.find(NoteRow, sequence=cause.record)
    assert (note.note_kind, note.participant) == (NoteKind.DRIFT, inspected.inspector.company.number)
    told = {home.company.number: home.document(note.claims_root) for home in apart.homes.values()}
    readers = {number for number, document in told.items() if document}
    assert readers == {inspected.inspector.company.number, owner.company.number}
    assert told[owner.company.number]["/cause/machine"] == loop.mill

    inspected.accept()
    assert inspected.steps(owner) == [(Step.SETPOINT, State.DONE)]

    inspected.alarm(ORDERS[1])
    inspected.alarm(ORDERS[2])
    assert inspected.steps(owner)[1:] == [(Step.DERATE, State.DONE)] * 2
    assert inspected.steps(loop.coordinator) == []
    before = loop.plan()
    inspected.alarm(ORDERS[3])
    assert inspected.steps(owner)[3:] == [(Step.WITHDRAW, State.DONE)]
    assert inspected.steps(loop.coordinator) == [(Step.REPLAN, State.DUE)]
    assert loop.replacer().replace_next(apart.world.now())
    after = loop.plan()
    assert inspected.steps(loop.coordinator) == [(Step.REPLAN, State.DONE)]
    assert after.cause is not None
    assert after.cause.kind is CauseKind.DRIFT
    moved = {row.order for row in before.rows if row.machine == loop.mill} - {
        row.order for row in after.rows if row.machine == loop.mill
    }
    assert moved == {apart.world.orders[ORDERS[-1]]}
    # Each step is an entry that is anchored, with the note as its cause.
    stream = apart.world.streams["mill-offers"]
    with reading(owner.store) as tables:
        entries = [one.entry for one in tables.book.evidence(stream).entries]
        anchored = max(row.size for row in tables.rows.find(AnchorRow, stream=stream))
    said = [one for one in entries if isinstance(one, dict) and "feedback" in one]
    assert anchored == len(entries)
    assert [one["feedback"] for one in said] == ["setpoint", "setpoint", "derate", "derate", "withdraw"]
    assert {one["cause"]["record"] for one in said} == {row.record for row in inspected.causes(owner)}
