"""Production: orders are placed, operations assigned and performed, custody passes from factory to factory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from ledger.canonical import Json
from ledger.ids import Identity, SubjectKind
from ledger.records import (
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
    StartAssignment,
    Transformation,
    TransformationKind,
    TransformLots,
    Verdict,
)
from services.lab.demo.consortium import NOTHING, Company, Consortium, hash_of
from services.lab.demo.meters import Footprints, Measured, build_table
from services.lab.demo.plant import GRAM, GTIN_BEARING, GTIN_STEEL, PIECE, PREFIX, Plant, receive, with_check_digit

__all__ = ["OPERATIONS", "Job", "Line", "hand_over", "make_parts", "place_orders", "rework_parts"]

OPERATIONS = ("forging", "turning", "assembly")
ASSEMBLY = len(OPERATIONS) - 1
GTIN_PART = with_check_digit(f"0{PREFIX}01345")
ORDER_LINK = f"https://id.gs1.org/253/{with_check_digit(PREFIX + '00077')}"
"""Orders are documents of one GS1 type (GDTI); the serial number of each is appended."""
ENGRAVINGS = ("for Mara", "No. 7", "Team Blue", "1998", "M. K.", "Ahoy")
STEEL_G, SCALE_G = 5000, 200
"""Steel used for one part, and the share of it that is lost as scale, in grams."""
PER_LOT = 8
"""Number of parts that one lot of material suffices for."""
DUE_S = 14 * 24 * 3600


@dataclass(slots=True)
class Job:
    """One order, as it passes through the factories."""

    index: int
    order: Identity
    terms: OrderTerms
    """On which its order was placed."""
    lot: bytes = b""
    """The lot that the order's work has produced so far."""
    part: Identity | None = None
    """The finished part, once assembled; after rework, the reworked one."""
    verdict: Verdict = Verdict.NONE
    window: int = 0
    """Row of the measured window behind the verdict."""
    reworked: bool = False
    delivered: bool = False


@dataclass(slots=True)
class Line:
    """The jobs of one demo run, the plant that they run in, and the material that they use."""

    consortium: Consortium
    plant: Plant
    jobs: list[Job]
    steel: list[bytes]
    bearings: list[bytes]
    footprints: Footprints
    certificates: list[Verdict] = field(default_factory=list)
    """Verdicts of all certificates issued on parts."""
    events: list[str] = field(default_factory=list)
    """What else was recorded, a sentence each."""


def place_orders(consortium: Consortium, plant: Plant, count: int, now: int) -> Line:
    """Receives material, and has personalised orders placed by the buyer and accepted by the coordinator.

    `now` is Unix time in seconds.
    """
    lots = range(1, -(-count // PER_LOT) + 1)
    heats, boxes = [f"HEAT{number}" for number in lots], [f"BOX{number}" for number in lots]
    footprints = Footprints(build_table(now), now)
    bars, all_g = partial(footprints.receive, grams=STEEL_G * PER_LOT), STEEL_G * PER_LOT
    steel = receive(consortium, consortium.makers[0], GTIN_STEEL, heats, all_g, GRAM, bars)
    pieces = partial(footprints.receive, grams=None)
    bearings = receive(consortium, consortium.makers[2], GTIN_BEARING, boxes, PER_LOT, PIECE, pieces)
    names = [f"{ORDER_LINK}{number:04d}" for number in range(1, count + 1)]
    jobs = [
        Job(index, consortium.name(SubjectKind.ORDER, consortium.buyer, name), _terms(consortium, plant, index, now))
        for index, name in enumerate(names)
    ]
    consortium.record(consortium.buyer, [PlaceOrder(hash_of(job.order), job.terms) for job in jobs])
    consortium.record(consortium.coordinator, [AcceptOrder(job.order.subject, NOTHING) for job in jobs])
    return Line(consortium, plant, jobs, steel, bearings, footprints)


def _terms(consortium: Consortium, plant: Plant, index: int, now: int) -> OrderTerms:
    engraving = ENGRAVINGS[index % len(ENGRAVINGS)]
    claims = consortium.document(
        consortium.buyer,
        {
            "specification": {"engraving": engraving, "number": index + 1},  # which the makers get to see as well
            "passport": {"productName": "crankshaft"},
        },
    )
    return OrderTerms(
        operations=len(OPERATIONS),
        coordinator=consortium.coordinator.number,
        gates=(Gate(consortium.inspector.number, plant.model),),
        due_at=now + DUE_S,
        quantity=1,
        unit=PIECE,
        claims_root=claims,
    )


def make_parts(line: Line) -> None:
    """Performs all operations on all jobs, passing custody from factory to factory."""
    assigned = [_assign(line, line.jobs, operation) for operation in range(len(OPERATIONS))]
    for operation, assignments in enumerate(assigned):
        if operation > 0:
            consignments = [(Item(job.lot, job.order.subject),) for job in line.jobs]
            giver, taker = line.consortium.makers[operation - 1 : operation + 1]
            hand_over(line.consortium, giver, taker, consignments)
        _operate(line, line.jobs, operation, assignments, partial(_convert, line, operation))


def rework_parts(line: Line, jobs: Sequence[Job]) -> None:
    """Reworks failed parts under a new assignment of the assembly. The new part stays quarantined until it passes."""
    assignments = _assign(line, jobs, ASSEMBLY)
    _operate(line, jobs, ASSEMBLY, assignments, partial(_rework, line))
    for job in jobs:
        job.reworked = True


def hand_over(consortium: Consortium, giver: Company, taker: Company, consignments: Sequence[tuple[Item, ...]]) -> None:
    """Transfers custody: the giver offers, the taker accepts."""
    offers = consortium.record(giver, [OfferCustody(items, taker.number, NOTHING) for items in consignments])
    pairs = zip(consignments, offers, strict=True)
    consortium.record(taker, [AcceptCustody(items, offer, NOTHING) for items, offer in pairs])


def _assign(line: Line, jobs: Sequence[Job], operation: int) -> list[int]:
    """Has the coordinator propose and the machines' owner accept; returns the assignments' sequences."""
    consortium = line.consortium
    proposals = [
        ProposeAssignment(job.order.subject, operation, line.plant.machine(operation, job.index).number, NOTHING)
        for job in jobs
    ]
    assignments = consortium.record(consortium.coordinator, proposals)
    accepted = [
        AcceptAssignment(job.order.subject, operation, assignment, NOTHING)
        for job, assignment in zip(jobs, assignments, strict=True)
    ]
    consortium.record(consortium.makers[operation], accepted)
    return assignments


def _operate(
    line: Line,
    jobs: Sequence[Job],
    operation: int,
    assignments: Sequence[int],
    transform: Callable[[Job, Measured], TransformLots],
) -> None:
    """Records start, work, evidence and finish of an operation, as a factory's node does."""
    pairs = list(zip(jobs, assignments, strict=True))
    starts = [
        StartAssignment(
            job.order.subject, operation, assignment, line.plant.machine(operation, job.index).stream, NOTHING
        )
        for job, assignment in pairs
    ]
    # Registers are read before the lots are recorded, whose footprints follow from the readings. The finish names the
    # entry of the second one; anchors are recorded before the finishes, whose leaves must be anchored.
    readings = [
        line.footprints.measure(line.plant.machine(operation, job.index), assignment, operation, job.index)
        for job, assignment in pairs
    ]
    work = [transform(job, measured) for job, measured in zip(jobs, readings, strict=True)]
    finishes = [_finish(line, job, operation, measured) for job, measured in zip(jobs, readings, strict=True)]
    used = {line.plant.machine(operation, job.index).number: line.plant.machine(operation, job.index) for job in jobs}
    anchors = [machine.anchor() for machine in used.values()]
    line.consortium.record(line.consortium.makers[operation], [*starts, *work, *anchors, *finishes])


def _finish(line: Line, job: Job, operation: int, measured: Measured) -> FinishAssignment:
    stream, entry = line.plant.machine(operation, job.index).stream, measured.finish
    return FinishAssignment(job.order.subject, operation, measured.assignment, stream, entry.index, entry.leaf_hash)


def _convert(line: Line, operation: int, job: Job, measured: Measured) -> TransformLots:
    """The transformation of one operation: steel into a blank, a blank into a shaft, a shaft and a bearing into the
    part. The bearing is a component: it is used up."""
    forging = operation == 0
    steel = line.steel[job.index // PER_LOT]
    inputs = [Input(steel, NOTHING, STEEL_G) if forging else Input(job.lot, job.order.subject, 1)]
    if operation == ASSEMBLY:
        inputs.append(Input(line.bearings[job.index // PER_LOT], NOTHING, 1, component=True))
    inputs.sort(key=lambda entry: entry.lot)  # the contract takes lots in ascending order
    loss = SCALE_G if forging else 0
    return TransformLots(
        Transformation(
            kind=TransformationKind.CONVERSION,
            order=job.order.subject,
            operation=operation,
            unit=GRAM if forging else PIECE,
            output_unit=PIECE,
            loss=loss,
            yield_in=STEEL_G - SCALE_G if forging else 1,
            yield_out=1,
            claims_root=NOTHING,
            inputs=tuple(inputs),
            outputs=(_new_lot(line, job, operation, inputs, loss, measured),),
        )
    )


def _rework(line: Line, job: Job, measured: Measured) -> TransformLots:
    failed = Input(job.lot, job.order.subject, 1)
    return TransformLots(
        Transformation(
            kind=TransformationKind.REWORK,
            order=job.order.subject,
            operation=ASSEMBLY,
            unit=PIECE,
            output_unit=PIECE,
            loss=0,
            yield_in=1,
            yield_out=1,
            claims_root=NOTHING,
            inputs=(failed,),
            outputs=(_new_lot(line, job, ASSEMBLY, [failed], 0, measured, suffix="R"),),
        )
    )


def _new_lot(
    line: Line, job: Job, operation: int, inputs: Sequence[Input], loss: int, measured: Measured, suffix: str = ""
) -> Output:
    """Creates a serialised lot and makes it the job's lot; returns it as an output of a transformation."""
    maker = line.consortium.makers[operation]
    serial = f"{OPERATIONS[operation][0].upper()}{job.index + 1:04d}{suffix}"
    identity = line.consortium.name(SubjectKind.LOT, maker, f"https://id.gs1.org/01/{GTIN_PART}/21/{serial}")
    job.lot = identity.subject
    if operation == ASSEMBLY:
        job.part = identity
    footprint = line.footprints.make(job.lot, inputs, loss, measured)
    passport: Json = {"material": "42CrMo4", "footprint": footprint}  # under the names of services/portal/PASSPORT.md
    claims = line.consortium.document(maker, {"serial": serial, "passport": passport})
    return Output(hash_of(identity), 1, PIECE, claims)
