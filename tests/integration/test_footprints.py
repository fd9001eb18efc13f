"""Footprints of real parts: computed again from the bundle alone, and contradicted by what was changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from millmark.ledger.bundle import Bundle, EvidenceEntryShown, ShownClaims, encode_bundle, parse_bundle
from millmark.ledger.canonical import Json
from millmark.ledger.chain import fetch_checkpoint, fetch_trust
from millmark.ledger.errors import NotFoundError
from millmark.ledger.events.orders import AssignmentFinished, AssignmentStarted
from millmark.ledger.footprint import (
    PATH,
    Moment,
    Part,
    Step,
    Taken,
    build_footprint,
    build_register_data,
    parse_footprint,
    parse_register_entry,
)
from millmark.ledger.ids import SubjectKind
from millmark.ledger.index import Follower
from millmark.ledger.provenance import Disclosing, build_bundle
from millmark.ledger.provenance.footprints import find_opened, lot_footprint
from millmark.ledger.records import Input, Output, Transformation, TransformationKind, TransformLots
from millmark.ledger.store import Book, Store
from millmark.ledger.trust import BelievedBlock, TrustFile
from millmark.ledger.verify import Report, VerificationError, verify_bundle
from millmark.ledger.verify.statements import Statement
from millmark.services.demo import production
from millmark.services.demo.consortium import NOTHING, found_consortium, hash_of
from millmark.services.demo.plant import GRAM, PIECE, Footprints, Measured, build_plant
from millmark.services.demo.production import Line, make_parts, place_orders
from tests.support.stores import new_store

HONEST, LESS_ENERGY, LESS_MATERIAL, OTHER_SOURCE, BROKEN = range(5)
PASSPORT = Disclosing(names=True, fields=(("passport",),))


@dataclass(slots=True)
class Liar(Footprints):
    """States wrong footprints of the last operation of some jobs; what is in their streams is right."""

    made: list[bytes] = field(default_factory=list)

    def make(self, lot: bytes, inputs: Sequence[Input], loss: int, measured: Measured) -> dict[str, Json]:
        self.made.append(lot)
        operation, job = divmod(len(self.made) - 1, 5)
        if operation < 2:
            return Footprints.make(self, lot, inputs, loss, measured)
        if job == LESS_ENERGY:
            measured = replace(measured, wh=measured.wh - 1)
        if job == LESS_MATERIAL:
            inputs = [one for one in inputs if one.component]
        if job == OTHER_SOURCE:
            source = next(one.lot for one in inputs if not one.component)
            self.amounts[source] = replace(self.amounts[source], wh=self.amounts[source].wh - 1)
        found = Footprints.make(self, lot, inputs, loss, measured)
        return {**found, "wh": 0} if job == BROKEN else found


@dataclass(frozen=True, slots=True)
class Made:
    store: Store
    line: Line
    trust: TrustFile
    free: bytes
    """A lot that was made of material under no assignment, with no energy stated."""

    def bundle(self, job: int, disclosing: Disclosing = PASSPORT) -> Bundle:
        data = build_bundle(self.store, self.line.consortium.chain, [self.line.jobs[job].lot], disclosing)
        return parse_bundle(data)

    def report(self, bundle: Bundle) -> Report:
        return verify_bundle(encode_bundle(bundle), self.trust, now_s=int(time.time()), any_status=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    patch = pytest.MonkeyPatch()
    patch.setattr(production, "Footprints", Liar)
    with new_store(tmp_path_factory.mktemp("footprints")) as store:
        consortium = found_consortium(store)
        model = (resources.files("millmark.quality") / "models" / "forda.bin").read_bytes()
        line = place_orders(consortium, build_plant(consortium, model, "{}"), 5, int(time.time()))
        make_parts(line)
        free = convert_free(line)
        Follower(consortium.chain, store).follow()
        point = fetch_checkpoint(consortium.chain)
        believed = BelievedBlock(point.block_number, point.block_hash)
        yield Made(store, line, fetch_trust(consortium.chain, {}, believed), free)
    patch.undo()


def convert_free(line: Line) -> bytes:
    consortium, maker, source, made = line.consortium, line.consortium.makers[0], line.material[0], line.footprints
    identity = consortium.name(SubjectKind.LOT, maker, "https://id.gs1.org/01/09506000013459/10/FREE")
    begin, step = made.taken[source], Step((Taken(source, 50),), ((identity.subject, 1),))
    sources = {source: (made.amounts[source], Part(begin, begin + 50, made.sizes[source]))}
    shown = build_footprint(step, identity.subject, sources=sources, table=made.table, time_s=made.time_s).to_json()
    root = consortium.document(maker, {"passport": {"footprint": shown}})
    outputs = (Output(hash_of(identity), 1, PIECE, root),)
    inputs = (Input(source, NOTHING, 50),)
    change = Transformation(
        TransformationKind.CONVERSION, NOTHING, 0, GRAM, PIECE, 0, 50, 1, NOTHING, inputs=inputs, outputs=outputs
    )
    consortium.record(maker, [TransformLots(change)])
    return identity.subject


@pytest.fixture(scope="module")
def honest(made: Made) -> Bundle:
    return made.bundle(HONEST)


def told(report: Report, *codes: str) -> list[Statement]:
    return [one for one in report.statements if one.code in codes or one.code.startswith(codes)]


def record_of(bundle: Bundle, kind: type, place: int = -1) -> int:
    return [one.sequence for one in bundle.records if one.kind == kind.__name__][place]


def test_the_total_is_computed_again_from_the_bundle_alone(made: Made, honest: Bundle) -> None:
    report = made.report(honest)
    [found] = told(report, "footprint")[:1]
    stated = lot_footprint(made.store, made.line.jobs[HONEST].lot, None)
    assert found.code == "footprint"
    assert (found.values["wh"], found.values["location"]) == (stated.wh, stated.location_mg)
    assert found.values["metered"] == stated.metered_mg * 1000 // stated.location_mg
    readings = [entry.reading for entry in map(_entry, honest.evidence) if entry]
    finished = sum(one.wh for one in readings if one.moment is Moment.FINISH)
    assert stated.wh == finished - sum(one.wh for one in readings if one.moment is Moment.START) > 0
    assert len(found.values["readings"]) == 3  # type: ignore[arg-type]  # assignments
    assert not told(report, "footprint_stated", "odd_register")
    assert told(report, "footprint_meters")


def change(bundle: Bundle, record: int, amount: int) -> Bundle:
    def changed(shown: EvidenceEntryShown | None) -> EvidenceEntryShown:
        assert shown is not None
        entry = parse_register_entry(shown.entry)
        assert entry is not None
        reading = replace(entry.reading, wh=entry.reading.wh + amount)
        return replace(shown, entry=build_register_data(replace(entry, reading=reading)))

    evidence = tuple(replace(one, shown=changed(one.shown)) if one.record == record else one for one in bundle.evidence)
    return replace(bundle, evidence=evidence)


@pytest.mark.parametrize("kind", [AssignmentStarted, AssignmentFinished])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_changed_reading_is_refused_by_its_leaf(made: Made, honest: Bundle, kind: type, place: int) -> None:
    record = record_of(honest, kind, place)
    with pytest.raises(VerificationError, match=r"entry [0-9]+ of stream 0x[0-9a-f]{64}") as refused:
        made.report(change(honest, record, 1))
    assert refused.value.step.value == 9
    assert refused.value.sequence == record


@pytest.mark.parametrize(
    ("job", "code"),
    [
        (LESS_ENERGY, "footprint_reading"),
        (LESS_MATERIAL, "footprint_inputs"),
        (OTHER_SOURCE, "footprint_source"),
        (BROKEN, "footprint_malformed"),
    ],
)
def test_a_footprint_that_contradicts_what_is_shown_is_told(made: Made, job: int, code: str) -> None:
    bundle = made.bundle(job)
    report = made.report(bundle)
    [found] = [one for one in report.attention if one.code.startswith("footprint")]
    assert found.code == code
    assert not [one for one in told(report, "footprint") if one.code == "footprint"]
    if code == "footprint_reading":
        finished = next(one for one in bundle.evidence if one.record == record_of(bundle, AssignmentFinished))
        entry = parse_register_entry(finished.shown.entry) if finished.shown else None
        assert entry is not None
        assert found.values["start"] == entry.start
        assert f"entries {entry.start} and {found.values['index']} of stream 0x" in str(found)


def test_that_work_without_an_assignment_used_no_energy_is_only_stated(made: Made) -> None:
    report = made.report(parse_bundle(build_bundle(made.store, made.line.consortium.chain, [made.free], PASSPORT)))
    [found] = [one for one in told(report, "footprint") if one.code == "footprint"]
    assert found.values["wh"] == 0
    assert told(report, "footprint_stated")


def test_without_the_readings_the_energy_is_only_stated(made: Made, honest: Bundle) -> None:
    first = record_of(honest, AssignmentStarted, 0)
    report = made.report(replace(honest, evidence=tuple(one for one in honest.evidence if one.record != first)))
    [found] = [one for one in told(report, "footprint") if one.code == "footprint"]
    assert found.values["metered"] < told(made.report(honest), "footprint")[0].values["metered"]  # type: ignore[operator]  # numbers
    assert told(report, "footprint_stated")


def test_readings_are_shown_with_the_footprint_and_not_without_it(made: Made, honest: Bundle) -> None:
    shown = [one for one in honest.evidence if one.shown is not None]
    assert len(shown) == 6
    without = made.bundle(HONEST, Disclosing(names=True, fields=(("serial",),)))
    assert not [one for one in without.evidence if one.shown is not None]
    assert len(made.bundle(HONEST, Disclosing(registers=True)).evidence) == 6


def test_what_another_company_showed_can_be_shown_on(made: Made, honest: Bundle, tmp_path: Path) -> None:
    """Without the stream's log: by the leaf hashes, and it is said that its place in the stream is not shown."""
    opened = list(find_opened(honest))
    assert len(opened) == 6
    with new_store(tmp_path) as store:
        with store.transaction() as connection:
            for stream, entry in opened:
                Book(connection).put_opened(stream, entry)
        with store.reading() as connection:
            assert [Book(connection).opened(stream, entry.index) for stream, entry in opened] == [
                entry for _, entry in opened
            ]
    bare = replace(honest, evidence=tuple(replace(one, inclusion=()) for one in honest.evidence))
    report = made.report(bare)
    assert told(report, "opened_operations")
    assert not told(report, "measured_operations")
    assert [one for one in told(report, "footprint") if one.code == "footprint"]
    for record in (record_of(bare, AssignmentStarted), record_of(bare, AssignmentFinished)):
        with pytest.raises(VerificationError, match="entry"):
            made.report(change(bare, record, 1))


def drop(bundle: Bundle, kind: type) -> Bundle:
    gone = record_of(bundle, kind)
    return replace(bundle, evidence=tuple(one for one in bundle.evidence if one.record != gone))


def hide(bundle: Bundle, kind: type) -> Bundle:
    gone = record_of(bundle, kind)
    evidence = tuple(replace(one, shown=None) if one.record == gone else one for one in bundle.evidence)
    return replace(bundle, evidence=evidence)


def exchange(bundle: Bundle, kind: type) -> Bundle:
    """The start's reading of another operation."""
    one, two = (record_of(bundle, kind, place) for place in (0, 1))
    shown = {evidence.record: evidence.shown for evidence in bundle.evidence}
    other = {one: shown[two], two: shown[one]}
    evidence = tuple(replace(found, shown=other.get(found.record, found.shown)) for found in bundle.evidence)
    return replace(bundle, evidence=evidence)


@pytest.mark.parametrize(
    ("forge", "kind"),
    [(drop, AssignmentFinished), (hide, AssignmentStarted), (hide, AssignmentFinished), (exchange, AssignmentStarted)],
)
def test_a_start_without_the_finish_that_names_it_is_refused(
    made: Made, honest: Bundle, forge: Callable[[Bundle, type], Bundle], kind: type
) -> None:
    with pytest.raises(VerificationError) as refused:
        made.report(forge(honest, kind))
    assert refused.value.step.value == 9


def test_a_lot_without_a_footprint_has_none(made: Made) -> None:
    with pytest.raises(NotFoundError, match="no record"):
        lot_footprint(made.store, bytes(32), None)
    with pytest.raises(NotFoundError, match="no footprint"):
        lot_footprint(made.store, made.line.jobs[BROKEN].lot, None)


def test_the_shown_documents_are_those_of_the_format(honest: Bundle) -> None:
    found = [_footprint(one) for one in honest.claims]
    assert sum(one is not None for one in found) == 5, "two received lots and three that were made"
    assert {one.reading.moment for one in map(_entry, honest.evidence) if one} == {Moment.START, Moment.FINISH}


def _footprint(claims: ShownClaims) -> Any:
    shown = any(path[: len(PATH)] == PATH for path in claims.disclosure.paths)
    return parse_footprint(claims.disclosure.part(PATH)) if shown else None


def _entry(evidence: Any) -> Any:
    return None if evidence.shown is None else parse_register_entry(evidence.shown.entry)
