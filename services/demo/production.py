"""Production: orders are placed, operations assigned and performed, custody passes from factory to factory."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from millmark.ledger.canonical import Json
from millmark.ledger.ids import Identity, SubjectKind
from millmark.ledger.plans.plan import Key, Row
from millmark.ledger.products import Configuration, Step, build_order_document
from millmark.ledger.records import (
    AcceptAssignment,
    AcceptCustody,
    AcceptOrder,
    FinishAssignment,
    Gate,
    Input,
    Item,
    OfferCustody,
    OrderTerms,
    Output,
    PlaceOrder,
    ProposeAssignment,
    Rework,
    ReworkLot,
    StartAssignment,
    Transformation,
    TransformationKind,
    TransformLots,
    Verdict,
)
from millmark.services.demo.consortium import NOTHING, Company, Consortium, Queued, hash_of
from millmark.services.demo.given import Wanted, build_marks, choose_options, find_letter, find_material, find_supplies
from millmark.services.demo.plant import (
    GRAM,
    PIECE,
    PREFIX,
    Footprints,
    Machine,
    Measured,
    Plant,
    build_gtin,
    build_table,
    receive,
    with_check_digit,
)

GTIN_OTHERWISE = build_gtin("09999")
"""GTIN of pieces of a product that states none."""
ORDER_LINK = f"https://id.gs1.org/253/{with_check_digit(PREFIX + '00077')}"
"""Orders are documents of one GS1 type (GDTI); the serial number of each is appended."""
_WH_PER_MINUTE = 180
"""Energy of what nobody planned."""
PER_LOT = 8
"""Number of parts that one lot of material suffices for."""
DUE_S, DUE_STEP_S, DUE_STEPS = 16 * 3600, 3 * 3600, 8
"""Orders are due from then on, in so many steps; many orders in more."""


@dataclass(slots=True)
class Job:
    """One order, as it passes through the factories."""

    index: int
    order: Identity
    made: Configuration
    """What was ordered."""
    terms: OrderTerms
    """On which its order was placed."""
    lot: bytes = b""
    """The lot that the order's work has produced so far."""
    factory: int = 0
    """The factory that has the lot, or, as long as there is none, the material for it."""
    part: Identity | None = None
    """The finished part, once assembled."""
    verdict: Verdict = Verdict.NONE
    window: int = 0
    """Row of the measured window behind the verdict."""
    reworked: bool = False
    delivered: bool = False

    def number(self, step: Step) -> int:
        """The number of the operation that a step is in this order, from 0; -1 if it is not done."""
        names = [operation.name for operation in self.made.operations]
        return names.index(step.name) if step.name in names else -1

    def key(self, step: Step) -> Key:
        """What names the row of a plan for a step."""
        return self.order.subject, self.number(step)


@dataclass(slots=True)
class Line:
    """The jobs of one demo run, the plant that they run in, and the material that they use."""

    consortium: Consortium
    plant: Plant
    jobs: list[Job]
    material: list[bytes]
    """What the first operation uses, a lot for every few pieces."""
    components: list[bytes]
    """What the last operation adds, likewise."""
    footprints: Footprints
    rows: dict[Key, Row] = field(default_factory=dict)
    """The rows of the plan in force."""
    assignments: dict[Key, int] = field(default_factory=dict)
    """Sequences of the assignments that stand."""
    done: set[Key] = field(default_factory=set)
    """Operations that are finished."""
    certificates: list[Verdict] = field(default_factory=list)
    """Verdicts of all certificates issued on parts."""
    events: list[str] = field(default_factory=list)
    """What else was recorded, a sentence each."""


def place_orders(consortium: Consortium, plant: Plant, count: int, now: int, wanted: Sequence[Wanted] = ()) -> Line:
    """Receives material, and has personalised orders placed by the buyer and accepted by the coordinator.

    `now` is Unix time in seconds. What is not `wanted` is drawn.
    """
    count = len(wanted) or count
    lots, need = range(1, -(-count // PER_LOT) + 1), find_supplies(plant.product)
    batches, boxes = [f"{need.material}{number}" for number in lots], [f"{need.component}{number}" for number in lots]
    gtin, added = build_gtin(need.material_item), build_gtin(need.component_item)
    footprints, all_g = Footprints(build_table(now), now), need.grams * PER_LOT
    weighed, counted = partial(footprints.receive, grams=all_g), partial(footprints.receive, grams=None)
    material = receive(consortium, consortium.makers[0], gtin, batches, all_g, GRAM, weighed)
    components = receive(consortium, consortium.makers[-1], added, boxes, PER_LOT, PIECE, counted)
    drawn = wanted or [Wanted(choose_options(plant.product, index), None) for index in range(count)]
    steps = max(DUE_STEPS, count // 3)
    jobs = [_order(consortium, plant, index, one, now, steps) for index, one in enumerate(drawn)]
    consortium.queue(consortium.buyer, [PlaceOrder(hash_of(job.order), job.terms) for job in jobs])
    consortium.queue(consortium.coordinator, [AcceptOrder(job.order.subject, NOTHING) for job in jobs])
    return Line(consortium, plant, jobs, material, components, footprints)


def _order(consortium: Consortium, plant: Plant, index: int, wanted: Wanted, now: int, steps: int) -> Job:
    name = f"{ORDER_LINK}{index + 1:04d}"
    made, due_s = wanted.made, wanted.due_s or DUE_S + index % steps * DUE_STEP_S
    terms = OrderTerms(
        operations=len(made.operations),
        coordinator=consortium.coordinator.number,
        gates=(Gate(consortium.inspector.number, plant.model),),
        due_at=now + due_s,
        quantity=1,
        unit=PIECE,
        claims_root=consortium.document(consortium.buyer, build_order_document(made)),
    )
    return Job(index, consortium.name(SubjectKind.ORDER, consortium.buyer, name), made, terms)


class Interruption(Protocol):
    """Something that happens during a step."""

    def after(self, step: Step, jobs: Sequence[Job]) -> int | None:
        """After how many of the step's jobs; None if it does not happen in this step."""

    def happen(self, step: Step) -> None: ...


def make_parts(line: Line, interruptions: Sequence[Interruption] = ()) -> None:
    """Performs all operations on all jobs as planned, passing custody from factory to factory. What nobody planned
    alternates between the machines that can do it."""
    route = line.plant.product.route
    if not line.rows:
        _take_turns(line)
    for step in route:
        jobs = [job for job in line.jobs if job.number(step) >= 0]
        _bring(line, jobs, line.plant.factory(step.need.kind))
        jobs.sort(key=lambda job: line.rows[job.key(step)].start)
        done = 0
        for one in interruptions:
            place = one.after(step, jobs)
            if place is not None:
                _work(line, jobs[done:place], step)
                one.happen(step)
                done = place
        _work(line, jobs[done:], step)


def _take_turns(line: Line) -> None:
    for step in line.plant.product.route:
        jobs = [job for job in line.jobs if job.number(step) >= 0]
        for job in jobs:
            operation = job.made.operations[job.number(step)]
            capable = line.plant.find_capable(operation)
            machine = capable[job.index % len(capable)]
            minutes, wh = operation.minutes, operation.minutes * _WH_PER_MINUTE
            row = Row(*job.key(step), NOTHING, machine.number, machine.owner.number, 0, minutes, 0, wh, 0)
            line.rows[row.key] = row
        assigned = _assign(line, jobs, step)
        line.assignments |= {job.key(step): number for job, number in zip(jobs, assigned, strict=True)}


def _work(line: Line, jobs: Sequence[Job], step: Step) -> None:
    if jobs:
        assignments = [line.assignments[job.key(step)] for job in jobs]
        _operate(line, jobs, step, assignments, partial(_convert, line, step))
        line.done |= {job.key(step) for job in jobs}


def rework_parts(line: Line, jobs: Sequence[Job]) -> None:
    """Reworks failed parts under a new assignment of the last operation, on the same machine. They stay
    quarantined until they pass."""
    last = line.plant.product.route[-1]
    line.consortium.release()  # an operation is given to nobody else before it is finished
    assignments = _assign(line, jobs, last)
    _operate(line, jobs, last, assignments, partial(_rework, line, last))
    for job in jobs:
        job.reworked = True


def hand_over(
    consortium: Consortium, giver: Company, taker: Company, consignments: Sequence[tuple[Item, ...]]
) -> Queued:
    """Transfers custody: the giver offers, the taker accepts. The offer needs nothing that others queued. Returns the
    acceptances."""
    return hand_over_all(consortium, [(giver, consignments)], taker)


def hand_over_all(
    consortium: Consortium, given: Sequence[tuple[Company, Sequence[tuple[Item, ...]]]], taker: Company
) -> Queued:
    """Like `hand_over`, from several givers."""
    taken = [items for _, consignments in given for items in consignments]
    offers = [
        consortium.queue(
            giver, [OfferCustody(items, taker.number, NOTHING) for items in consignments], after_others=False
        )
        for giver, consignments in given
    ]

    def accept() -> list[AcceptCustody]:
        made = itertools.chain.from_iterable(one.sequences() for one in offers)
        return [AcceptCustody(items, offer, NOTHING) for items, offer in zip(taken, made, strict=True)]

    return consortium.queue_naming(taker, offers, accept)


def _bring(line: Line, jobs: Sequence[Job], factory: int) -> None:
    """Hands the lots over that lie in other factories."""
    makers = line.consortium.makers
    moved = [job for job in jobs if job.factory != factory]
    given = []
    for place, giver in enumerate(makers):
        consignments = [(Item(job.lot, job.order.subject),) for job in moved if job.factory == place]
        if consignments:
            given.append((giver, consignments))
    if given:
        hand_over_all(line.consortium, given, makers[factory])
    for job in moved:
        job.factory = factory


def _machine(line: Line, job: Job, step: Step) -> Machine:
    number = line.rows[job.key(step)].machine
    return next(one for one in line.plant.machines if one.number == number)


def _assign(line: Line, jobs: Sequence[Job], step: Step) -> list[int]:
    """Has the coordinator propose and the machines' owner accept; returns the assignments' sequences. They are final:
    meters are read under them."""
    consortium = line.consortium
    proposals = [
        ProposeAssignment(job.order.subject, job.number(step), _machine(line, job, step).number, NOTHING)
        for job in jobs
    ]
    assignments = consortium.record(consortium.coordinator, proposals)
    accepted = [
        AcceptAssignment(job.order.subject, job.number(step), assignment, NOTHING)
        for job, assignment in zip(jobs, assignments, strict=True)
    ]
    consortium.queue(consortium.makers[line.plant.factory(step.need.kind)], accepted, after_others=False)
    return assignments


def _operate(
    line: Line,
    jobs: Sequence[Job],
    step: Step,
    assignments: Sequence[int],
    transform: Callable[[Job, Measured], TransformLots | ReworkLot],
) -> None:
    """Records start, work, evidence and finish of an operation, as a factory's node does."""
    pairs = list(zip(jobs, assignments, strict=True))
    starts = [
        StartAssignment(job.order.subject, job.number(step), assignment, _machine(line, job, step).stream, NOTHING)
        for job, assignment in pairs
    ]
    # Registers are read before the lots are recorded, whose footprints follow from the readings. The finish names the
    # entry of the second one; anchors are recorded before the finishes, whose leaves must be anchored.
    readings = [
        line.footprints.measure(_machine(line, job, step), assignment, line.rows[job.key(step)], job.index)
        for job, assignment in pairs
    ]
    work = [transform(job, measured) for job, measured in zip(jobs, readings, strict=True)]
    finishes = [_finish(line, job, step, measured) for job, measured in zip(jobs, readings, strict=True)]
    used = {machine.number: machine for machine in (_machine(line, job, step) for job in jobs)}
    anchors = [machine.anchor() for machine in used.values()]
    maker = line.consortium.makers[line.plant.factory(step.need.kind)]
    # They need what this maker accepted, which goes before them, and proposals and offers that are in blocks.
    made = line.consortium.queue(maker, [*starts, *work, *anchors], after_others=False)
    # Nothing is made under a finished assignment any more.
    line.consortium.queue_after(made, maker, finishes)


def _finish(line: Line, job: Job, step: Step, measured: Measured) -> FinishAssignment:
    stream, entry = _machine(line, job, step).stream, measured.finish
    return FinishAssignment(
        job.order.subject, job.number(step), measured.assignment, stream, entry.index, entry.leaf_hash
    )


def _convert(line: Line, step: Step, job: Job, measured: Measured) -> TransformLots:
    """The transformation of one operation: material into a piece, or a piece into the next one. The last operation adds
    a component, which is used up."""
    supplies, first = find_supplies(line.plant.product), job.number(step) == 0
    material = line.material[job.index // PER_LOT]
    inputs = [Input(material, NOTHING, supplies.grams) if first else Input(job.lot, job.order.subject, 1)]
    if step == line.plant.product.route[-1]:
        inputs.append(Input(line.components[job.index // PER_LOT], NOTHING, 1, component=True))
    inputs.sort(key=lambda entry: entry.lot)  # the contract takes lots in ascending order
    loss = supplies.loss_g if first else 0
    return TransformLots(
        Transformation(
            kind=TransformationKind.CONVERSION,
            order=job.order.subject,
            operation=job.number(step),
            unit=GRAM if first else PIECE,
            output_unit=PIECE,
            loss=loss,
            yield_in=supplies.grams - supplies.loss_g if first else 1,
            yield_out=1,
            claims_root=NOTHING,
            inputs=tuple(inputs),
            outputs=(_new_lot(line, job, step, inputs, loss, measured),),
        )
    )


def _rework(line: Line, step: Step, job: Job, measured: Measured) -> ReworkLot:
    maker = line.consortium.makers[line.plant.factory(step.need.kind)]
    claims = line.consortium.document(maker, {"passport": {"footprint": line.footprints.rework(job.lot, measured)}})
    return ReworkLot(Rework(job.lot, job.order.subject, job.number(step), claims, ()))


def _new_lot(line: Line, job: Job, step: Step, inputs: Sequence[Input], loss: int, measured: Measured) -> Output:
    """Creates a serialised lot and makes it the job's lot; returns it as an output of a transformation."""
    product = line.plant.product
    maker = line.consortium.makers[line.plant.factory(step.need.kind)]
    serial = f"{find_letter(product, step)}{job.index + 1:04d}"
    link = f"https://id.gs1.org/01/{product.gtin or GTIN_OTHERWISE}/21/{serial}"
    identity = line.consortium.name(SubjectKind.LOT, maker, link)
    job.lot = identity.subject
    footprint = line.footprints.make(job.lot, inputs, loss, measured)
    # Under the names of services/portal/PASSPORT.md.
    passport: dict[str, Json] = {"material": find_material(job.made), "footprint": footprint}
    if step == product.route[-1]:
        job.part = identity
        batch = f"{find_supplies(product).material}{job.index // PER_LOT + 1}"
        passport |= build_marks(product, serial, batch, job.terms.due_at)
    claims = line.consortium.document(maker, {"serial": serial, "passport": passport})
    return Output(hash_of(identity), 1, PIECE, claims)
