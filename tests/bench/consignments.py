"""Gas of many lots at once: certified by one procedure, and accepted behind their gate in one consignment."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence

from millmark.ledger import SubjectKind
from millmark.ledger.ids import subject
from millmark.ledger.records import (
    AcceptCustody,
    CommissionLot,
    IssueCertificate,
    Item,
    OfferCustody,
    PackLots,
    ReceiveLot,
    Record,
    Statement,
    Verdict,
)
from millmark.services.demo.consortium import NOTHING, Company, Consortium
from millmark.services.demo.plant import PIECE

__all__ = ["GATED_PARTS", "SAMPLED_LOTS", "measure_consignment"]

GATED_PARTS, SAMPLED_LOTS = 256, 50
_LOTS_PER_RECORD = 64
_ROOT = b"\xff" * 32
"""A claims root without zero bytes, which costs the most gas."""
_YEAR_S = 365 * 86_400

Measure = Callable[[Company, Sequence[Record], str], list[int]]
"""Makes records, collects their gas under their kind and a variant, and returns their sequences."""


def measure_consignment(consortium: Consortium, order: bytes, model: int, stream: bytes, measure: Measure) -> None:
    """Makes parts of a gated order in production, certifies each of them, and moves them to the buyer in one container.

    Certificates of their own cost the gate most. The first parts are certified by procedure before, all at once.
    """
    maker, inspector, buyer = consortium.makers[0], consortium.inspector, consortium.buyer
    made = [(value, subject(SubjectKind.LOT, maker.number, value)) for value in _draw(GATED_PARTS)]
    measure(maker, [CommissionLot(value, order, 0, 1, PIECE, _ROOT) for value, _ in made], "")
    items = [Item(lot, order) for lot in sorted(lot for _, lot in made)]
    now = consortium.chain.header(consortium.chain.final_number()).timestamp

    def state(some: Sequence[Item], on: int) -> IssueCertificate:
        return IssueCertificate(Statement(tuple(some), on, Verdict.PASS, now + _YEAR_S, _ROOT, _ROOT, stream, 0, _ROOT))

    measure(inspector, [state(items[:SAMPLED_LOTS], 0)], f"{SAMPLED_LOTS} lots by procedure")
    measure(inspector, [state((item,), model) for item in items], "last")
    [container] = _draw(1)
    measure(maker, [ReceiveLot(container, 1, PIECE, _ROOT)], "")
    parent = subject(SubjectKind.LOT, maker.number, container)
    for start in range(0, GATED_PARTS, _LOTS_PER_RECORD):
        load = tuple(item.lot for item in items[start : start + _LOTS_PER_RECORD])
        measure(maker, [PackLots(parent, load)], "last")
    consignment = (Item(parent, NOTHING), *items)
    [offer] = measure(maker, [OfferCustody(consignment, buyer.number, _ROOT)], f"{GATED_PARTS} gated parts")
    measure(buyer, [AcceptCustody(consignment, offer, _ROOT)], f"{GATED_PARTS} gated parts")


def _draw(count: int) -> list[bytes]:
    return [secrets.token_bytes(32) for _ in range(count)]
