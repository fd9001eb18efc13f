"""Values shared by the examples in the documentation: one order, one lot, one certificate.

Examples are built from the real view classes, so the type checker and a test keep them valid.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar, get_type_hints

from millmark.ledger import records
from millmark.ledger.events.lots import LotsTransformed
from millmark.ledger.footprint import Source
from millmark.ledger.provenance import Certificate, answers
from millmark.ledger.provenance.footprints import ContributionOf, FactorOf, LotFootprint
from millmark.services.gateway.http.route_table import Examples

A = TypeVar("A", bound=answers.Printable)
IDENTIFIER = "https://id.gs1.org/01/09506000013459/21/A0001"
CHAIN_ID = 131277322940537
NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
BUYER, HUB, MAKER = (
    answers.Party(1, "Nordwind Mobility"),
    answers.Party(2, "Kestrel Coordination"),
    answers.Party(5, "Cedar Assembly"),
)
INSPECTOR, AUDITOR = answers.Party(6, "Umbra Inspection"), answers.Party(7, "Vector Auditing")
LOT, ORDER, STREAM = b"\x1a" * 32, b"\x2b" * 32, b"\x3c" * 32
_CURSOR = "Zp1yT0c0b2pVbmx5T3BhcXVlVGV4dA=="


def page_examples(item: Callable[[], answers.Printable]) -> Examples:
    """Examples of a page that is followed by another, and of the last page."""
    return {"more": partial(_page, item, _CURSOR), "last": partial(_page, item, None)}


def _page(item: Callable[[], answers.Printable], cursor: str | None) -> dict[str, object]:
    return {"items": [item().to_json()], "next": cursor}


def as_of() -> answers.AsOf:
    return answers.AsOf(CHAIN_ID, b"\x22" * 20, 987, b"\x44" * 32, NOW, 31, 640, b"\x55" * 32)


def model() -> answers.Model:
    return answers.Model(
        9, b"\x66" * 32, b"\xbb" * 20, records.ModelState.APPROVED, INSPECTOR, AUDITOR, False, None, None, None
    )


def footprint() -> LotFootprint:
    grid = FactorOf("grid-de", "location", 380_000, "mg/kWh", "average of the grid", "DE", "2026-01-01", "2026-12-31")
    contract = replace(grid, key="contract", kind="market", value=120_000, source="contract with the supplier")
    made = ContributionOf(Source.OPERATION, LOT, IDENTIFIER, 301, None, 4210, 1_599_800, 505_200, 1_599_800)
    bar = ContributionOf(Source.MATERIAL, b"\x1c" * 32, None, None, "42CrMo4 bar", 0, 9_500_000, 9_500_000, 0)
    return LotFootprint(
        lot=LOT,
        identifier=IDENTIFIER,
        record=380,
        quantity=1,
        unit="H87",
        taken=0,
        scrapped=0,
        wh=4210,
        location_mg=11_099_800,
        market_mg=10_005_200,
        metered_mg=1_599_800,
        recycled_permille=0,
        first_time=int(NOW.timestamp()) - 86_400,
        time=int(NOW.timestamp()),
        table=b"\x5c" * 32,
        factors=(contract, grid),
        contributions=(bar, made),
    )


_OF_TYPE: dict[object, object] = {int: 1, bool: False, str: "", bytes: b"\x77" * 32}


def _example(kind: type[A], **given: object) -> A:
    """An answer whose members that are not given have some value of their type: None where they may."""
    rest = {name: _OF_TYPE.get(hint) for name, hint in get_type_hints(kind).items() if name not in given}
    return kind(**rest, **given)


def certificate() -> Certificate:
    return _example(
        Certificate,
        certificate=412,
        lot=LOT,
        identifier=IDENTIFIER,
        inspector=INSPECTOR,
        model=model(),
        verdict=records.Verdict.PASS,
        status=records.CertificateStatus.VALID,
        latest=True,
        issued_at=NOW,
        expires_at=NOW + timedelta(days=365),
        executed=records.Verdict.NONE,
        stream=STREAM,
        leaf_index=3,
        leaf_hash=b"\x88" * 32,
        anchor_size=4,
        anchor_root=b"\x99" * 32,
        claims_root=b"\xaa" * 32,
    )


def lot() -> answers.Lot:
    return answers.Lot(
        subject=LOT,
        identifier=IDENTIFIER,
        sequence=380,
        unit="H87",
        quantity=1,
        quantity_created=1,
        state=records.LotState.HELD,
        custodian=BUYER,
        holder=BUYER,
        counterparty=None,
        offer=None,
        order=ORDER,
        parent=None,
        assignment=301,
        created_at=NOW,
        claims_root=b"\xbb" * 32,
    )


def related() -> answers.RelatedLot:
    return answers.RelatedLot(
        subject=LOT,
        identifier=IDENTIFIER,
        depth=0,
        unit="H87",
        quantity=1,
        state=records.LotState.HELD,
        holder=BUYER,
        quarantined=False,
        parent=None,
        order=ORDER,
        assignment=131,
        machine=answers.Machine(17, "urn:example:press-3", MAKER),
        certificate=412,
        verdict=records.Verdict.PASS,
        status=records.CertificateStatus.VALID,
    )


def order() -> answers.Order:
    return answers.Order(
        subject=ORDER,
        identifier="urn:millmark-demo:order:1",
        sequence=120,
        state=records.OrderState.DELIVERED,
        buyer=BUYER,
        coordinator=HUB,
        gates=(answers.Gate(INSPECTOR, 9),),
        quantity=1,
        unit="H87",
        operations=3,
        finished=3,
        live=0,
        placed_at=NOW - timedelta(days=2),
        due_at=NOW + timedelta(days=12),
        claims_root=b"\xcc" * 32,
    )


def record() -> answers.HistoryRecord:
    return answers.HistoryRecord(
        sequence=380,
        kind="LotsTransformed",
        participant=MAKER,
        subject=LOT,
        key=b"\xdd" * 20,
        time=NOW,
        block_number=700,
        block_hash=b"\xee" * 32,
        transaction_hash=b"\xff" * 32,
        log_index=0,
        corrected_by=None,
        fields=LotsTransformed(
            records.Transformation(
                kind=records.TransformationKind.CONVERSION,
                order=ORDER,
                operation=2,
                unit=b"GRM",
                output_unit=b"H87",
                loss=40,
                yield_in=260,
                yield_out=1,
                claims_root=b"\xc1" * 32,
                inputs=(records.Input(b"\x4d" * 32, bytes(32), 300),),
                outputs=(records.Output(b"\x1d" * 32, 1, b"H87", b"\xc2" * 32),),
            )
        ),
    )


def custody_change() -> answers.CustodyChange:
    return answers.CustodyChange(600, "CustodyAccepted", LOT, MAKER, BUYER, NOW)
