"""An inspector's gateway notes on the ledger that what a machine makes drifts, once for each alarm."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import structlog
from structlog import DropEvent
from structlog.typing import EventDict

from millmark.ledger.claims import parse_claims
from millmark.ledger.records import Contract, Item, Note, NoteKind, Statement, Verdict
from millmark.ledger.store import Book, Rows
from millmark.ledger.store.rows import CertificateRow, ModelRow, RecordHistoryRow, RecordRow
from millmark.quality import build_model, model_digest
from millmark.quality.drift import ALARM_PSI, GROUP, build_reference
from millmark.quality.inference import pack_window
from millmark.services.planning.feedback.repository import FeedbackRepository, InspectionRow
from tests.support.event_data import build, encode_event, event_of
from tests.support.feedback_world import INSPECTOR, MACHINE, ORDER, OTHERS_MACHINE, STRANGER, FeedbackWorld
from tests.support.quality_samples import tiny_network
from tests.support.stores import new_store

MODEL = 3
CONTENT = build_model(tiny_network())
STEADY, SHIFTED, FURTHER = 0, 45, 85
Window = tuple[int, int]


def draw(seed: int, shift: int, count: int = GROUP) -> list[Window]:
    words = np.clip(np.rint(np.random.default_rng(seed).normal(shift, 20, (count, 2))), -127, 127).astype(int)
    return [(int(first), int(second)) for first, second in words]


def logit(words: Window) -> int:
    return 2 * words[0] - words[1] + 3


@pytest.fixture
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FeedbackWorld]:
    """The inspector's database, with the model and its reference, of as many rows as a test's parameter says."""
    inputs = draw(1, STEADY, getattr(request, "param", 700))
    reference = build_reference(np.array(inputs, dtype=np.int8), np.array([*map(logit, inputs)], dtype=np.int64))
    with new_store(tmp_path) as store:
        with store.transaction() as connection:
            blank = {one.name: 0 for one in fields(ModelRow)}
            roots = dict.fromkeys(("subject", "card_root", "report_root", "reason_root"), bytes(32))
            given = {"number": MODEL, "digest": model_digest(CONTENT), "code": None, "open": False}
            Rows(connection).insert([ModelRow(**{**blank, **roots, **given})])  # type: ignore[arg-type]  # as declared
            card = json.dumps({"drift": reference.describe()})
            Book(connection).put_model(model_digest(CONTENT), CONTENT, card)
        made = FeedbackWorld(store, INSPECTOR)
        made.found()
        yield made


def inspect(
    world: FeedbackWorld,
    lots: Sequence[bytes],
    windows: Sequence[Window],
    by: int = INSPECTOR,
    *,
    kept: bool = True,
    model: int = MODEL,
) -> list[int]:
    """Certificates on the lots in turn. Returns their sequences. `kept`: whether the measurements are here."""
    found = []
    with world.store.transaction() as connection:
        rows, book = Rows(connection), Book(connection)
        made: tuple[list[RecordRow], list[RecordHistoryRow], list[CertificateRow]] = [], [], []
        for place, words in enumerate(windows):
            world.number += 1
            lot, number = lots[place % len(lots)], world.number
            given = {"items": (Item(lot, ORDER),), "model": model, "verdict": Verdict.PASS, "expires_at": 2**33}
            event = event_of("CertificateIssued", statement=build(Statement, **given, leaf_index=0))
            placed = Contract.LEDGER.value, number, event.kind, event.topic, by, lot, bytes(20), number, bytes(32)
            data = encode_event(event, bytes(20), (lot,))
            made[0].append(RecordRow(*placed, world.now_s, bytes(32), 0, data, bytes(32)))
            made[1].append(RecordHistoryRow(number, 0, lot, bytes(32)))
            blank = {one.name: bytes(32) if str(one.type) == "bytes" else 0 for one in fields(CertificateRow)}
            named = {"sequence": number, "lot": lot, "order": ORDER, "issuer": by, "model": model}
            made[2].append(CertificateRow(**{**blank, **named}))  # type: ignore[arg-type]  # as declared
            if kept:
                book.put_inference(number, bytes(32), pack_window(words), [logit(words)])
            found.append(number)
        for one in made:
            rows.insert(one)
    return found


def look(world: FeedbackWorld) -> list[Note]:
    """As the gateway's thread does, until there is nothing new. Returns all notes that were queued."""
    while not world.is_idle():
        world.look()
    return [record for record in world.queued.values() if isinstance(record, Note)]


def said(world: FeedbackWorld, note: Note) -> dict[str, object]:
    with world.store.reading() as connection:
        claims = parse_claims(json.loads(Book(connection).document(note.claims_root) or ""))
    return {"/".join(map(str, path)): getattr(field, "value", None) for path, field in claims.fields}


def waiting(world: FeedbackWorld) -> list[InspectionRow]:
    with world.store.reading() as connection:
        return FeedbackRepository(connection).all_inspections()


def test_two_groups_above_the_limit_are_noted_once_on_what_was_begun_first_and_inspected_last(
    world: FeedbackWorld,
) -> None:
    first, last = world.make(started_s=world.now_s - 50), world.make()
    middle = world.make(started_s=world.now_s - 10)
    inspect(world, [world.make(started_s=world.now_s - 90)], draw(9, STEADY))
    inspect(world, [middle, first], draw(2, SHIFTED))
    assert look(world) == []
    numbers = inspect(world, [middle, last], draw(3, SHIFTED))
    [note] = look(world)
    assert (note.subjects, note.grounds, note.kind) == (tuple(sorted((first, last))), (ORDER, ORDER), NoteKind.DRIFT)
    document = said(world, note)
    assert document["cause/kind"] == "drift"
    assert (document["cause/machine"], document["cause/model"]) == (MACHINE, MODEL)
    assert (document["cause/inspections"], document["cause/last_certificate"]) == (2 * GROUP, numbers[-1])
    assert {name: value for name, value in document.items() if "psi" in name and value <= 1000 * ALARM_PSI} == {}  # type: ignore[operator]
    assert str(document["text"]).startswith(f"model {MODEL} on machine {MACHINE}: drift of column 0")


def test_what_stays_as_it_was_noted_is_not_noted_again_and_each_change_is(world: FeedbackWorld) -> None:
    lot, seeds = world.make(), iter(range(20, 60))
    noted = []
    for shift in (STEADY, SHIFTED, SHIFTED, FURTHER, STEADY, SHIFTED):
        for _ in range(2):
            inspect(world, [lot], draw(next(seeds), shift))
        noted.append(len(look(world)))
    # A return to what is usual is a change, but no drift; what comes after it is one again.
    assert noted == [0, 1, 1, 2, 2, 3]


def test_a_machine_that_always_differed_from_the_reference_is_noted_when_it_changes(world: FeedbackWorld) -> None:
    """As one that makes only one of the variants that the model was trained on."""
    lot = world.make()
    for seed in range(20, 26):
        inspect(world, [lot], draw(seed, SHIFTED))
    assert look(world) == []
    for seed in (28, 29):
        inspect(world, [lot], draw(seed, STEADY))
    [note] = look(world)
    assert said(world, note)["cause/inspections"] == 2 * GROUP


def test_certificates_by_procedure_do_not_wait(world: FeedbackWorld) -> None:
    inspect(world, [world.make()], draw(2, STEADY, 3), model=0)
    assert look(world) == []
    assert waiting(world) == []


def test_a_model_that_cannot_be_read_stops_nothing_and_is_logged_once(world: FeedbackWorld) -> None:
    """Its file is in the company's own book, but nobody looked into it there."""
    with world.store.transaction() as connection:
        Book(connection).put_model(model_digest(CONTENT), b"not a model", json.dumps({"drift": {}}))
    logged: list[dict[str, object]] = []

    def keep(_logger: object, _level: str, entry: EventDict) -> str:
        logged.append(dict(entry))
        raise DropEvent

    world.logger = structlog.wrap_logger(None, [keep], structlog.make_filtering_bound_logger(0))
    inspect(world, [world.make()], draw(2, SHIFTED))
    assert look(world) == []
    assert look(world) == []
    assert [row.waiting for row in waiting(world)] == ["[]"]
    [entry] = logged
    assert (entry["model"], entry["machine"]) == (MODEL, MACHINE)
    assert "model" in str(entry["error"])


def test_nothing_is_noted_unless_it_is_asked_for(world: FeedbackWorld) -> None:
    world.drift_notes = False
    inspect(world, [world.make()], draw(2, STEADY, GROUP) + draw(3, SHIFTED, 2 * GROUP))
    assert look(world) == []
    assert waiting(world) == []


@pytest.mark.parametrize(("world", "notes"), [(399, 0), (400, 1)], indirect=["world"])
def test_an_alarm_beside_a_small_reference_informs_and_nothing_acts_on_it(world: FeedbackWorld, notes: int) -> None:
    inspect(world, [world.make()], draw(2, STEADY, 2 * GROUP) + draw(3, SHIFTED, 2 * GROUP))
    logged: list[dict[str, object]] = []

    def keep(_logger: object, _level: str, entry: EventDict) -> str:
        logged.append(dict(entry))
        raise DropEvent

    world.logger = structlog.wrap_logger(None, [keep], structlog.make_filtering_bound_logger(0))
    assert len(look(world)) == notes
    assert [entry["event"] for entry in logged] == ["drift is not noted: the reference is small"] * (1 - notes)


def test_one_group_above_the_limit_is_chance_and_steady_ones_are_none(world: FeedbackWorld) -> None:
    lot = world.make()
    for seed, shift in enumerate((STEADY, SHIFTED, STEADY, SHIFTED, STEADY, STEADY), 2):
        inspect(world, [lot], draw(seed, shift))
        assert look(world) == []
    assert [row.waiting for row in waiting(world)] == ["[]"]


def test_of_two_machines_the_one_that_drifts_is_noted(world: FeedbackWorld) -> None:
    steady, drifting = world.make(), world.make(machine=OTHERS_MACHINE, owner=STRANGER)
    for seed, shift in ((2, STEADY), (3, SHIFTED), (4, SHIFTED)):
        both = [one for pair in zip(draw(seed, STEADY), draw(seed + 9, shift), strict=True) for one in pair]
        inspect(world, [steady, drifting], both)
    [note] = look(world)
    assert note.subjects == (drifting,)
    assert said(world, note)["cause/machine"] == OTHERS_MACHINE


def test_measurements_that_come_after_the_certificates_count_when_they_are_here(world: FeedbackWorld) -> None:
    lot, windows = world.make(), draw(2, SHIFTED, 2 * GROUP)
    inspect(world, [lot], draw(9, STEADY))
    numbers = inspect(world, [lot], windows, kept=False)
    assert look(world) == []
    for part in (slice(0, GROUP), slice(GROUP, 2 * GROUP)):
        with world.store.transaction() as connection:
            for number, words in zip(numbers[part], windows[part], strict=True):
                Book(connection).put_inference(number, bytes(32), pack_window(words), [logit(words)])
        assert world.is_idle() is False
        notes = look(world)
    assert len(notes) == 1


@pytest.mark.parametrize("by", [INSPECTOR, STRANGER])
def test_only_own_inspections_at_a_gate_of_the_order_count(world: FeedbackWorld, by: int) -> None:
    """As the owner's gateway refuses the word of whoever inspects at none."""
    lot = world.make()
    if by == INSPECTOR:
        with world.store.transaction() as connection:
            connection.exec_driver_sql("UPDATE orders SET gates = ''")
    inspect(world, [lot], draw(2, SHIFTED, 2 * GROUP), by)
    assert look(world) == []
    assert waiting(world) == []


def test_without_its_card_nothing_is_compared_and_nothing_stands_still(world: FeedbackWorld) -> None:
    with world.store.transaction() as connection:
        Book(connection).put_model(model_digest(CONTENT), CONTENT, "{}")
    inspect(world, [world.make()], draw(2, SHIFTED, 2 * GROUP))
    assert look(world) == []
    assert [row.waiting for row in waiting(world)] == ["[]"]


def test_a_gateway_without_numpy_goes_on_without_alarms(world: FeedbackWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("millmark.services.planning.feedback.drift_alarms.find_spec", lambda _name: None)
    inspect(world, [world.make()], draw(2, SHIFTED, 2 * GROUP))
    assert look(world) == []
    assert waiting(world) == []
