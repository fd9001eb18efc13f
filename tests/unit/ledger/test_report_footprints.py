"""What is said about footprints: which follow from the lots and readings that are shown, and which contradict them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from millmark.ledger.bundle import EvidenceEntryShown, ShownClaims, ShownEvidence
from millmark.ledger.claims import build_claims
from millmark.ledger.evidence import LeafKind
from millmark.ledger.footprint import (
    ALL,
    PATH,
    Amounts,
    Footprint,
    Moment,
    Other,
    Own,
    Part,
    Reading,
    RegisterEntry,
    Step,
    Taken,
    build_footprint,
    build_register_data,
)
from millmark.ledger.records import TransformationKind
from millmark.ledger.verify.report import Report
from tests.support.footprints import FACTORS, TIME_S
from tests.support.story import CARRIER, GRAM, MAKER, NONE, Story, codes, name, named, said, subjects, tell

ORDER, BARS, PINS, GEAR = name("order"), name("bars"), name("pins"), name("gear")
KILOGRAM = b"KGM"
WH = 500
DOUBTS = {"footprint_inputs", "footprint_source", "footprint_reading", "footprint_malformed", "odd_register"}


def shown(record: int, footprint: Footprint, root: int = 0) -> ShownClaims:
    claims = build_claims({"passport": {"footprint": footprint.to_json()}})
    return ShownClaims(record, root, claims.disclose([PATH]))


def made_by(step: Step, lot: bytes, sources: dict[bytes, tuple[Amounts, Part]], *own: Own, **more: object) -> Footprint:
    return build_footprint(step, lot, sources=sources, own=own, table=FACTORS, time_s=TIME_S, **more)  # type: ignore[arg-type]  # its other members


def received(lot: bytes, quantity: int) -> Footprint:
    return made_by(Step(made=((lot, quantity),)), lot, {}, other=(Other("as bought", "steel", quantity),))


def with_bought(footprint: Footprint) -> Footprint:
    """With ten of something that was bought, by its value in the table."""
    bought = received(PINS, 10)
    used = tuple(sorted({*footprint.used, *bought.used}, key=lambda one: one.key))
    return replace(footprint, other=bought.other, used=used)


@dataclass
class Shafts:
    """Four shafts of 40 g of 95 g of bars and of four pins, turned under an assignment with two register readings."""

    story: Story
    assignment: int
    record: int
    shaft: bytes
    footprint: Footprint
    claims: tuple[ShownClaims, ...]
    """Of what they were made of."""

    def evidence(self, wh: int = WH, quantity: int | None = None) -> tuple[ShownEvidence, ...]:
        start = RegisterEntry(Reading(TIME_S, 1000, Moment.START, self.assignment))
        end = Reading(TIME_S + 3600, 1000 + wh, Moment.FINISH, self.assignment)
        finish = RegisterEntry(end, start=1, quantity=quantity)
        kinds = {"AssignmentStarted": start, "AssignmentFinished": finish}
        entries = {one.sequence: kinds.get(type(one.event).__name__) for one in self.story.entries}
        return tuple(
            ShownEvidence(number, (), (), EvidenceEntryShown(LeafKind.EVENT, NONE, build_register_data(entry)))
            for number, entry in entries.items()
            if entry is not None
        )

    def tell(self, footprint: Footprint | None = None, evidence: tuple[ShownEvidence, ...] | None = None) -> Report:
        claims = (*self.claims, shown(self.record, footprint or self.footprint, 1))
        return tell(self.story, self.shaft, claims=claims, evidence=self.evidence() if evidence is None else evidence)


@pytest.fixture
def shafts() -> Shafts:
    story = Story()
    assignment = story.begin(ORDER)
    story.receive(BARS, 100, GRAM)
    story.receive(PINS, 10)
    bars, pins = len(story.entries) - 1, len(story.entries)
    story.on_lot("LotScrapped", BARS, quantity=5)
    taken = dict(sorted({BARS: 40, PINS: 4}.items()))
    own = {"used": (PINS,), "of": GRAM, "yield_in": 10, "yield_out": 1, "order": ORDER}
    [shaft] = story.transform(TransformationKind.CONVERSION, taken, {"shaft": 4}, **own)  # type: ignore[arg-type]  # its members
    record = len(story.entries)
    story.finish(ORDER, assignment)
    of_bars, of_pins = received(BARS, 100), received(PINS, 10)
    sources = {BARS: (of_bars.totals, Part(0, 40, 95)), PINS: (of_pins.totals, Part(0, 4, 10))}
    step = Step(tuple(Taken(one, many, one == PINS) for one, many in taken.items()), ((shaft, 4),))
    footprint = made_by(step, shaft, sources, Own(WH, "grid", "contract", assignment))
    return Shafts(story, assignment, record, shaft, footprint, (shown(bars, of_bars), shown(pins, of_pins)))


def doubts(report: Report) -> list[str]:
    assert all(map(str, report.statements)), "each has what its sentence needs"
    return [code for code in codes(report) if code in DOUBTS]


def test_a_footprint_follows_from_what_is_shown(shafts: Shafts) -> None:
    report = shafts.tell()
    assert doubts(report) == []
    totals = shafts.footprint.totals
    assert named(report, "footprint", "wh") == [totals.wh] == [WH]
    assert named(report, "footprint", "location") == [totals.location_mg]
    assert named(report, "footprint", "metered") == [totals.metered_mg * 1000 // totals.location_mg]
    assert named(report, "footprint", "readings") == [(shafts.assignment,)]
    assert "footprint_stated" not in codes(report)
    assert "footprint_meters" in codes(report)


def test_without_footprints_nothing_is_said_of_meters(shafts: Shafts) -> None:
    report = tell(shafts.story, shafts.shaft, evidence=shafts.evidence())
    assert [code for code in codes(report) if code.startswith("footprint")] == []


def test_without_the_readings_the_energy_is_only_stated(shafts: Shafts) -> None:
    report = shafts.tell(evidence=())
    assert doubts(report) == []
    assert named(report, "footprint", "metered") == [0]
    assert named(report, "footprint", "readings") == [()]
    [stated] = said(report, "footprint_stated")
    assert [one.subject for one in stated.values["lots"]] == [shafts.shaft]  # type: ignore[attr-defined]  # things


def test_what_follows_from_a_lot_without_a_footprint_is_only_stated(shafts: Shafts) -> None:
    shafts.claims = shafts.claims[1:]
    report = shafts.tell()
    assert doubts(report) == []
    assert said(report, "footprint_stated")


def share(place: bytes, **changed: object) -> Callable[[Footprint], Footprint]:
    def change(footprint: Footprint) -> Footprint:
        shares = [replace(one, **changed) if one.lot == place else one for one in footprint.shares]  # type: ignore[arg-type]  # its members
        return replace(footprint, shares=tuple(shares))

    return change


def operation(**changed: object) -> Callable[[Footprint], Footprint]:
    return lambda footprint: replace(footprint, own=(replace(footprint.own[0], **changed),))  # type: ignore[arg-type]  # its members


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (share(PINS, component=False), "footprint_inputs"),
        (share(BARS, component=True), "footprint_inputs"),
        (share(BARS, lot=name("other bars")), "footprint_inputs"),
        (share(BARS, part=Part(0, 39, 95)), "footprint_inputs"),
        (share(BARS, part=Part(1, 41, 95)), "footprint_inputs"),
        (share(BARS, part=Part(0, 40, 100)), "footprint_inputs"),
        (lambda footprint: replace(footprint, shares=footprint.shares[1:]), "footprint_inputs"),
        (lambda footprint: replace(footprint, part=Part(0, 4, 5)), "footprint_inputs"),
        (lambda footprint: replace(footprint, kept=Part(0, 39, 40)), "footprint_inputs"),
        (operation(assignment=99), "footprint_inputs"),
        (share(PINS, amounts=Amounts(1, 2, 3)), "footprint_source"),
        (operation(wh=WH - 1), "footprint_reading"),
        (operation(part=Part(0, 1, 2)), "footprint_reading"),
    ],
)
def test_a_footprint_that_contradicts_what_is_shown_is_told(
    shafts: Shafts, change: Callable[[Footprint], Footprint], code: str
) -> None:
    report = shafts.tell(change(shafts.footprint))
    assert doubts(report) == [code]
    assert subjects(report, code) == [shafts.shaft]
    assert not said(report, "footprint")


def test_an_operation_that_made_more_belongs_to_the_lot_by_quantity(shafts: Shafts) -> None:
    half = operation(part=Part(0, 4, 8))(shafts.footprint)
    report = shafts.tell(half, shafts.evidence(quantity=8))
    assert doubts(report) == []
    assert named(report, "footprint", "wh") == [WH // 2]
    for wrong in (shafts.footprint, operation(part=Part(0, 3, 8))(shafts.footprint)):
        assert doubts(shafts.tell(wrong, shafts.evidence(quantity=8))) == ["footprint_reading"]


def test_a_register_that_cannot_be_one_is_told_and_no_footprint_is(shafts: Shafts) -> None:
    report = shafts.tell(evidence=shafts.evidence(wh=-1))
    assert doubts(report) == ["odd_register"]
    assert not said(report, "footprint")
    assert said(report, "odd_register")[0].values["start"] == 1


def test_lots_that_are_split_off_have_their_parts(shafts: Shafts) -> None:
    story = shafts.story
    taken = {shafts.shaft: 4}
    made = story.transform(TransformationKind.SPLIT, taken, {"one": 1, "three": 3}, order=ORDER)
    step = Step((Taken(shafts.shaft, 4),), tuple(zip(made, (1, 3), strict=True)))
    sources = {shafts.shaft: (shafts.footprint.totals, Part(0, 4, 4))}
    parts = [made_by(step, lot, sources) for lot in made]
    number = len(story.entries)
    claims = (*shafts.claims, shown(shafts.record, shafts.footprint, 1))
    split = (shown(number, parts[0], 1), shown(number, parts[1], 2))
    report = tell(story, *made, claims=(*claims, *split), evidence=shafts.evidence())
    assert doubts(report) == []
    assert named(report, "footprint", "wh") == [WH // 4, WH - WH // 4]
    assert named(report, "footprint", "readings") == [(shafts.assignment,)] * 2
    assert "footprint_stated" not in codes(report)
    report = tell(story, *made, claims=(*claims, *split))
    [stated] = said(report, "footprint_stated")
    assert {one.subject for one in stated.values["lots"]} == {shafts.shaft, *made}  # type: ignore[attr-defined]  # things
    # Work that nobody recorded is only stated, also where none is needed.
    more = replace(parts[0], own=(Own(1, "grid", "contract", 0),), used=shafts.footprint.used)
    report = tell(story, *made, claims=(*claims, shown(number, more, 1), split[1]), evidence=shafts.evidence())
    [stated] = said(report, "footprint_stated")
    assert [one.subject for one in stated.values["lots"]] == [made[0]]  # type: ignore[attr-defined]  # things


def test_material_that_is_left_over_has_no_energy_and_by_products_have_nothing(shafts: Shafts) -> None:
    story = shafts.story
    outputs, units = {"key": 2, "chips": 3, "rest": 10}, {"chips": KILOGRAM, "rest": GRAM}
    own = {"units": units, "of": GRAM, "yield_in": 10, "yield_out": 1}
    made = story.transform(TransformationKind.CONVERSION, {BARS: 30}, outputs, **own)  # type: ignore[arg-type]  # its members
    key, chips, rest = made
    step = Step((Taken(BARS, 30),), ((key, 2),), ((rest, 10),))
    sources = {BARS: (received(BARS, 100).totals, Part(40, 70, 95))}
    number = len(story.entries)
    found = [shown(number, made_by(step, lot, sources), root) for root, lot in enumerate((key, chips, rest), 1)]
    report = tell(story, shafts.shaft, *made, claims=(*shafts.claims, *found))
    assert doubts(report) == []
    located = dict(zip(("key", "chips", "rest"), named(report, "footprint", "location"), strict=True))
    assert located["chips"] == 0 < located["rest"] < located["key"]
    assert named(report, "footprint", "metered") == [0, 0, 0]
    # Without an assignment, nothing says how much the work used; what was left over had none.
    [stated] = said(report, "footprint_stated")
    assert {one.subject for one in stated.values["lots"]} == {key, chips, rest}  # type: ignore[attr-defined]  # things


@pytest.mark.parametrize(("place", "wrong"), [(0, []), (1, ["footprint_inputs"])])
def test_what_is_left_over_has_nothing_of_its_own(shafts: Shafts, place: int, wrong: list[str]) -> None:
    """Unlike what was made of the rest."""
    story, own = shafts.story, {"units": {"rest": GRAM}, "of": GRAM, "yield_in": 10, "yield_out": 1}
    made = story.transform(TransformationKind.CONVERSION, {BARS: 30}, {"key": 2, "rest": 10}, **own)  # type: ignore[arg-type]  # its members
    step = Step((Taken(BARS, 30),), ((made[0], 2),), ((made[1], 10),))
    sources = {BARS: (received(BARS, 100).totals, Part(40, 70, 95))}
    bought = with_bought(made_by(step, made[place], sources))
    claims = (*shafts.claims, shown(len(story.entries), bought, place + 1))
    assert doubts(tell(story, shafts.shaft, *made, claims=claims)) == wrong


@pytest.mark.parametrize("missing", ["own", "share"])
def test_what_is_not_all_of_the_work_or_of_what_was_taken_is_only_stated(shafts: Shafts, missing: str) -> None:
    """The operation is left out, or a value from a table stands in the place of a lot's footprint."""
    footprint = shafts.footprint
    if missing == "own":
        footprint = replace(footprint, own=(), used=())
    else:
        others = tuple(one for one in footprint.shares if one.lot != PINS)
        footprint = with_bought(replace(footprint, shares=others))
    report = shafts.tell(footprint)
    assert doubts(report) == []
    assert said(report, "footprint_stated")


def test_a_second_lot_begins_where_the_first_ended(shafts: Shafts) -> None:
    story = shafts.story
    own = {"of": GRAM, "yield_in": 10, "yield_out": 1}
    [first] = story.transform(TransformationKind.CONVERSION, {BARS: 10}, {"first": 1}, **own)  # type: ignore[arg-type]  # its members
    number = len(story.entries)
    step, totals = Step((Taken(BARS, 10),), ((first, 1),)), received(BARS, 100).totals
    for begin, expected in ((40, []), (39, ["footprint_inputs"]), (41, ["footprint_inputs"])):
        found = made_by(step, first, {BARS: (totals, Part(begin, begin + 10, 95))})
        report = tell(story, shafts.shaft, first, claims=(*shafts.claims, shown(number, found, 1)))
        assert doubts(report) == expected
    story.withhold(BARS)
    for begin, expected in ((40, []), (39, ["footprint_inputs"]), (41, [])):
        found = made_by(step, first, {BARS: (totals, Part(begin, begin + 10, 95))})
        report = tell(story, shafts.shaft, first, claims=(*shafts.claims, shown(number, found, 1)))
        assert doubts(report) == expected


@pytest.mark.parametrize(("part", "wrong"), [(ALL, []), (Part(0, 1, 2), ["footprint_inputs"])])
def test_a_lot_that_is_reworked_is_all_of_what_it_was(shafts: Shafts, part: Part, wrong: list[str]) -> None:
    story, totals, evidence = shafts.story, received(PINS, 10).totals, shafts.evidence()
    again = story.propose(ORDER)
    story.step("AssignmentAccepted", ORDER, again)
    story.start(ORDER, again)
    number = story.rework(shafts.shaft, PINS, assignment=again)
    step = Step((Taken(shafts.shaft, 1), Taken(PINS, 1, component=True)))
    sources = {shafts.shaft: (shafts.footprint.totals, part), PINS: (totals, Part(4, 5, 10))}
    reworked = shown(number, made_by(step, shafts.shaft, sources, part=ALL))
    claims = (*shafts.claims, shown(shafts.record, shafts.footprint, 1), reworked)
    report = tell(story, shafts.shaft, claims=claims, evidence=evidence)
    assert doubts(report) == wrong
    if not wrong:
        # The latest is told; and as what the rework used is not read, it is only stated, unlike the one before.
        assert [one.records for one in said(report, "footprint")] == [(number,)]
        [stated] = said(report, "footprint_stated")
        assert [one.subject for one in stated.values["lots"]] == [shafts.shaft]  # type: ignore[attr-defined]  # things


def test_a_sister_piece_is_no_source(shafts: Shafts) -> None:
    """Its footprint is of the same record, so it is not compared with what is said to come from it."""
    story = shafts.story
    made = story.transform(TransformationKind.SPLIT, {shafts.shaft: 4}, {"one": 1, "three": 3}, order=ORDER)
    step = Step((Taken(shafts.shaft, 4),), tuple(zip(made, (1, 3), strict=True)))
    first, second = (made_by(step, lot, {shafts.shaft: (shafts.footprint.totals, Part(0, 4, 4))}) for lot in made)
    second = share(shafts.shaft, lot=made[0])(second)
    number = len(story.entries)
    claims = (*shafts.claims, shown(shafts.record, shafts.footprint, 1), shown(number, first, 1))
    report = tell(story, *made, claims=(*claims, shown(number, second, 2)), evidence=shafts.evidence())
    assert doubts(report) == ["footprint_inputs"]
    assert subjects(report, "footprint") == [made[0]]


def test_of_a_sister_piece_without_a_history_nothing_is_said(shafts: Shafts) -> None:
    story = shafts.story
    made = story.transform(TransformationKind.SPLIT, {shafts.shaft: 4}, {"one": 1, "three": 3}, order=ORDER)
    step = Step((Taken(shafts.shaft, 4),), tuple(zip(made, (1, 3), strict=True)))
    sources = {shafts.shaft: (shafts.footprint.totals, Part(0, 4, 4))}
    number = len(story.entries)
    found = [shown(number, made_by(step, lot, sources), root) for root, lot in enumerate(made, 1)]
    del story.histories[made[1]]
    claims = (*shafts.claims, shown(shafts.record, shafts.footprint, 1), *found)
    report = tell(story, made[0], claims=claims, evidence=shafts.evidence())
    assert (doubts(report), subjects(report, "footprint")) == ([], [made[0]])


@pytest.mark.parametrize("whole", [True, False])
def test_behind_a_footprint_that_cannot_be_read_others_are_told(shafts: Shafts, whole: bool) -> None:
    """It is malformed, or not all of it is shown."""
    bars, pins = shafts.claims
    stated = "none" if whole else received(BARS, 100).to_json()
    claims = build_claims({"passport": {"footprint": stated}})
    paths = [path for path in claims.paths if path[: len(PATH)] == PATH]
    cut = ShownClaims(bars.record, 0, claims.disclose(paths if whole else paths[:1]))
    shafts.claims = (cut, pins)
    report = shafts.tell()
    assert doubts(report) == (["footprint_malformed"] if whole else [])
    assert subjects(report, "footprint") == [shafts.shaft]


def test_a_lot_that_only_moved_took_nothing(shafts: Shafts) -> None:
    """So a footprint that a later record's document states for it counts what that record did not take."""
    story = shafts.story
    number = story.record("CustodyOffered", MAKER, shafts.shaft, to=CARRIER, claims_root=b"\1" * 32)
    for stated in (shafts.footprint, received(shafts.shaft, 4)):
        claims = (*shafts.claims, shown(shafts.record, shafts.footprint, 1), shown(number, stated))
        assert doubts(tell(story, shafts.shaft, claims=claims, evidence=shafts.evidence())) == ["footprint_inputs"]


def test_a_rework_takes_its_components_and_nothing_of_the_lot_itself(shafts: Shafts) -> None:
    """So what is split off it begins at its first piece, and who takes components later begins behind the rework."""
    story, bars, pins = shafts.story, received(BARS, 100).totals, received(PINS, 10).totals
    story.receive(GEAR, 4)
    bought = received(GEAR, 4)
    claims = [*shafts.claims, shown(len(story.entries), bought)]
    number = story.rework(GEAR, PINS)
    step = Step((Taken(GEAR, 1), Taken(PINS, 1, component=True)))
    reworked = made_by(step, GEAR, {GEAR: (bought.totals, ALL), PINS: (pins, Part(4, 5, 10))}, part=ALL)
    claims.append(shown(number, reworked))
    split = story.transform(TransformationKind.SPLIT, {GEAR: 4}, {"one": 1, "three": 3})
    step = Step((Taken(GEAR, 4),), tuple(zip(split, (1, 3), strict=True)))
    number = len(story.entries)
    for root, lot in enumerate(split, 1):
        claims.append(shown(number, made_by(step, lot, {GEAR: (reworked.totals, Part(0, 4, 4))}), root))
    taken = dict(sorted({BARS: 10, PINS: 1}.items()))
    own = {"used": (PINS,), "of": GRAM, "yield_in": 10, "yield_out": 1}
    [bolt] = story.transform(TransformationKind.CONVERSION, taken, {"bolt": 1}, **own)  # type: ignore[arg-type]  # its members
    step = Step(tuple(Taken(one, many, one == PINS) for one, many in taken.items()), ((bolt, 1),))
    for begin, expected in ((5, []), (4, ["footprint_inputs"]), (6, ["footprint_inputs"])):
        sources = {BARS: (bars, Part(40, 50, 95)), PINS: (pins, Part(begin, begin + 1, 10))}
        last = shown(len(story.entries), made_by(step, bolt, sources), 1)
        report = tell(story, shafts.shaft, GEAR, *split, bolt, claims=(*claims, last))
        assert doubts(report) == expected
    # Nothing says how much the rework used, as no assignment was of it; splitting uses nothing more.
    [stated] = said(report, "footprint_stated")
    assert {one.subject for one in stated.values["lots"]} == {GEAR, *split}  # type: ignore[attr-defined]  # things


def test_of_a_lot_whose_own_footprint_is_not_shown_nothing_counts_as_metered() -> None:
    """Whatever is stated of it: here, that all is."""
    story = Story()
    story.receive(GEAR, 4)
    number = story.rework(GEAR)
    sources = {GEAR: (Amounts(3, 5, 5, 5), ALL)}
    reworked = made_by(Step((Taken(GEAR, 1),)), GEAR, sources, part=ALL)
    assert reworked.totals == Amounts(3, 5, 5, 5)
    report = tell(story, GEAR, claims=(shown(number, reworked),))
    assert (doubts(report), named(report, "footprint", "metered")) == ([], [0])


@pytest.mark.parametrize(("size", "wrong"), [(4, []), (2, ["footprint_reading"]), (3, ["footprint_reading"])])
def test_of_an_operation_that_made_several_lots_their_quantities_together_are_its_part(
    shafts: Shafts, size: int, wrong: list[str]
) -> None:
    """Each has its own part of that by what it is of the step."""
    story = Story()
    assignment = story.begin(ORDER)
    story.receive(BARS, 40, GRAM)
    own = {"of": GRAM, "yield_in": 10, "yield_out": 1, "order": ORDER}
    made = story.transform(TransformationKind.CONVERSION, {BARS: 40}, {"first": 1, "second": 3}, **own)  # type: ignore[arg-type]  # its members
    record = len(story.entries)
    story.finish(ORDER, assignment)
    bars = received(BARS, 40)
    step = Step((Taken(BARS, 40),), tuple(zip(made, (1, 3), strict=True)))
    work = Own(WH, "grid", "contract", assignment, Part(0, size, 8))
    found = [made_by(step, lot, {BARS: (bars.totals, Part(0, 40, 40))}, work) for lot in made]
    claims = (shown(record - 1, bars), *(shown(record, one, root) for root, one in enumerate(found, 1)))
    evidence = replace(shafts, story=story, assignment=assignment).evidence(quantity=8)
    report = tell(story, *made, claims=claims, evidence=evidence)
    assert doubts(report) == wrong * 2
    assert named(report, "footprint", "wh") == ([] if wrong else [WH // 8, WH // 2 - WH // 8])
