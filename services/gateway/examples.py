"""Answers for the documentation: real views, so that the type checker and a test keep them true."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ledger.provenance import Certificate, OrderTrace, Recall, Trace
from ledger.provenance.recall_views import Holder, RecallCounts
from ledger.provenance.views import (
    AsOf,
    CustodyChange,
    Gate,
    HistoryRecord,
    Lot,
    Machine,
    Model,
    Order,
    Party,
    RelatedLot,
)
from ledger.records import CertificateStatus, LotState, ModelState, OrderState, Verdict
from services.access.siwe import SignInMessage
from services.gateway.document_examples import build_document_examples
from services.gateway.doors import Caller, Offer, OpenedSession
from services.gateway.epcis.examples import build_epcis_examples
from services.gateway.problems import Problem
from services.gateway.status import ChainState, FollowerState, GatewayStatus, Health, IndexState

__all__ = ["ETAG", "IDENTIFIER", "build_examples", "build_problem_example"]

IDENTIFIER = "https://id.gs1.org/01/09506000013459/21/A0001"
ETAG = '"9f86d081884c7d659a2feaa0c55ad015"'
_CHAIN_ID = 131277322940537
_NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
_BUYER, _HUB, _MAKER = Party(1, "Nordwind Mobility"), Party(2, "Kestrel Coordination"), Party(5, "Cedar Assembly")
_INSPECTOR, _AUDITOR = Party(6, "Umbra Inspection"), Party(7, "Vector Auditing")
_LOT, _ORDER, _STREAM = b"\x1a" * 32, b"\x2b" * 32, b"\x3c" * 32


def build_examples() -> dict[str, dict[str, Any]]:
    """One answer or more for each operation, by operation id and name."""
    return {
        "traceLotOrOrder": {"lot": _trace(), "order": _order_trace()},
        "getCertificate": {"valid": _certificate()},
        "recall": {"model": _recall()},
        "getStatus": {"following": _status()},
        "getHealth": {"up": Health("ok")},
        "offerSignIn": {"message": Offer(_message(), _NOW + timedelta(minutes=5))},
        "openSession": {"manufacturer": _opened()},
        "getSession": {"manufacturer": _caller()},
        "closeSession": {},
        **build_epcis_examples(),
        **build_document_examples(),
    }


def _message() -> str:
    issued_at = int(_NOW.timestamp())
    message = SignInMessage(
        domain="gateway.example",
        address=b"\x5c" * 20,
        statement="Sign in to the Millmark gateway of this company.",
        uri="https://gateway.example/v1/sessions",
        chain_id=_CHAIN_ID,
        nonce="b7c1" * 18 + "d0",
        issued_at=issued_at,
        expires_at=issued_at + 300,
    )
    return message.to_text()


def _opened() -> OpenedSession:
    token = "mms_4f1c09aa27de_" + "x" * 43
    return OpenedSession(token, _MAKER.participant, ("manufacturer",), _NOW + timedelta(minutes=15))


def _caller() -> Caller:
    return Caller(_MAKER.participant, ("manufacturer",), ("provenance",), False, _NOW + timedelta(days=90))


def build_problem_example() -> Problem:
    return Problem(
        type="urn:millmark:problem:not-found",
        title="Nothing is known under that name",
        status=404,
        detail=f"{IDENTIFIER} is not known here",
        mend="check its spelling, or import its bundle: the chain keeps no identifiers",
        request_id="1f0c6e0e5a8b4c55a3b8b6a3b1a0c9d2",
    )


def _as_of() -> AsOf:
    return AsOf(_CHAIN_ID, b"\x22" * 20, 987, b"\x44" * 32, _NOW, 31, 640, b"\x55" * 32)


def _model() -> Model:
    return Model(9, b"\x66" * 32, b"\xbb" * 20, ModelState.APPROVED, _INSPECTOR, _AUDITOR, None, None)


def _certificate() -> Certificate:
    return Certificate(
        certificate=412,
        lot=_LOT,
        identifier=IDENTIFIER,
        inspector=_INSPECTOR,
        model=_model(),
        verdict=Verdict.PASS,
        status=CertificateStatus.VALID,
        latest=True,
        issued_at=_NOW,
        expires_at=_NOW + timedelta(days=365),
        opening_deadline=None,
        opened_at=None,
        executed=Verdict.NONE,
        revoked_at=None,
        inference_digest=b"\x77" * 32,
        stream=_STREAM,
        leaf_index=3,
        leaf_hash=b"\x88" * 32,
        anchor_size=4,
        anchor_root=b"\x99" * 32,
        claims_root=b"\xaa" * 32,
    )


def _lot() -> Lot:
    return Lot(
        subject=_LOT,
        identifier=IDENTIFIER,
        sequence=380,
        unit="H87",
        quantity=1,
        quantity_created=1,
        state=LotState.HELD,
        custodian=_BUYER,
        holder=_BUYER,
        counterparty=None,
        order=_ORDER,
        parent=None,
        assignment=301,
        created_at=_NOW,
        claims_root=b"\xbb" * 32,
    )


def _related() -> RelatedLot:
    return RelatedLot(
        subject=_LOT,
        identifier=IDENTIFIER,
        depth=0,
        unit="H87",
        quantity=1,
        state=LotState.HELD,
        holder=_BUYER,
        quarantined=False,
        parent=None,
        order=_ORDER,
        assignment=131,
        machine=Machine(17, "urn:example:press-3", _MAKER),
        certificate=412,
        verdict=Verdict.PASS,
        status=CertificateStatus.VALID,
    )


def _order() -> Order:
    return Order(
        subject=_ORDER,
        identifier="urn:millmark-demo:order:1",
        sequence=120,
        state=OrderState.DELIVERED,
        buyer=_BUYER,
        coordinator=_HUB,
        gate=Gate(_INSPECTOR, 9),
        operations=3,
        finished=3,
        live=0,
        placed_at=_NOW - timedelta(days=2),
        due_at=_NOW + timedelta(days=12),
        claims_root=b"\xcc" * 32,
    )


def _record() -> HistoryRecord:
    return HistoryRecord(
        sequence=380,
        kind="LotsTransformed",
        participant=_MAKER,
        subject=_LOT,
        key=b"\xdd" * 20,
        time=_NOW,
        block_number=700,
        block_hash=b"\xee" * 32,
        transaction_hash=b"\xff" * 32,
        log_index=0,
        superseded_by=None,
        fields={"kind": 2, "operation": 2},
    )


def _trace() -> Trace:
    return Trace(
        as_of=_as_of(),
        lot=_lot(),
        head=b"\x12" * 32,
        order=_order(),
        assignments=(),
        certificates=(_certificate(),),
        custody=(CustodyChange(600, "CustodyAccepted", _LOT, _MAKER, _BUYER, _NOW),),
        packed_in=(),
        contents=(),
        upstream=(),
        downstream=(),
        transformations=(),
        truncated=False,
        cuts=(),
        streams=(),
        records=(_record(),),
    )


def _order_trace() -> OrderTrace:
    return OrderTrace(
        as_of=_as_of(),
        order=_order(),
        head=b"\x34" * 32,
        assignments=(),
        lots=(_related(),),
        certificates=(_certificate(),),
        upstream=(),
        downstream=(),
        transformations=(),
        truncated=False,
        cuts=(),
        streams=(),
        records=(replace(_record(), sequence=120, kind="OrderPlaced", subject=_ORDER, participant=_BUYER),),
    )


def _recall() -> Recall:
    fallen = replace(_certificate(), status=CertificateStatus.FALLEN)
    withdrawn = replace(_model(), state=ModelState.WITHDRAWN, withdrawn_at=_NOW, defective_since=_NOW)
    lots = (replace(_related(), status=CertificateStatus.FALLEN),)
    return Recall(
        as_of=_as_of(),
        model=withdrawn,
        lot=None,
        machine=None,
        since=None,
        until=None,
        counts=RecallCounts(lots=1, unspent=1, quarantined=0, certificates=1, valid=0, orders=1, holders=1),
        certificates=(replace(fallen, model=withdrawn),),
        lots=lots,
        orders=(_order(),),
        holders=(Holder(_BUYER.participant, _BUYER.name, lots=1, quarantined=0),),
        truncated=False,
        cuts=(),
    )


def _status() -> GatewayStatus:
    registry, ledger, block = b"\x11" * 20, b"\x22" * 20, b"\x44" * 32
    return GatewayStatus(
        index=IndexState(_CHAIN_ID, registry, ledger, 987, block, _NOW, 31, 640, b"\x55" * 32),
        chain=ChainState(_CHAIN_ID, 987, block, _NOW, 31, 640, _NOW),
        chain_failure=None,
        equal=True,
        follower=FollowerState(_NOW, None),
        outbox={"queued": 0, "nonced": 0, "signed": 0, "sent": 2, "mined": 0, "final": 671, "failed": 0, "replaced": 0},
    )
