"""Answers for the documentation: real views, so that the type checker and a test keep them true."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from ledger.provenance import OrderTrace, Recall, Trace
from ledger.provenance.answers import (
    CustodyChange,
)
from ledger.provenance.recall_answers import Holder, RecallCounts
from ledger.records import CertificateStatus, ModelState
from services.access.siwe import SignInMessage
from services.gateway.api.contexts import list_contexts, read_dictionary
from services.gateway.api.sessions import Caller, MessageToSign, OpenedSession
from services.gateway.api.status import ChainState, FollowerState, GatewayStatus, Health, IndexState
from services.gateway.docs import example_values as things
from services.gateway.docs.credential_examples import build_credential_examples
from services.gateway.docs.document_examples import build_document_examples
from services.gateway.docs.events_examples import build_event_examples
from services.gateway.docs.resource_examples import build_resource_examples
from services.gateway.epcis.examples import build_epcis_examples
from services.gateway.http.problems import Problem
from services.gateway.recording.examples import build_recording_examples
from services.gateway.relay.examples import build_relay_examples
from services.interop.credentials.certificate import build_certificate_context

__all__ = ["build_examples", "build_problem_example"]


def build_examples() -> dict[str, dict[str, object]]:
    """One answer or more for each operation, by operation id and name: a view, or what JSON has of one."""
    return {
        "traceLotOrOrder": {"lot": _trace(), "order": _order_trace()},
        "getCertificate": {"valid": things.certificate()},
        "recall": {"model": _recall()},
        "getStatus": {"following": _status()},
        "getHealth": {"up": Health("ok")},
        "offerSignIn": {"message": MessageToSign(_message(), things.NOW + timedelta(minutes=5))},
        "openSession": {"manufacturer": _opened()},
        "getSession": {"manufacturer": _caller()},
        "closeSession": {},
        **build_resource_examples(),
        **build_recording_examples(),
        **build_epcis_examples(),
        **build_document_examples(),
        **build_event_examples(),
        **build_credential_examples(),
        "listContexts": {"all": list_contexts()},
        "getContext": {"certificate": build_certificate_context()},
        "getApplicationIdentifiers": {"few": replace(read_dictionary(), identifiers=read_dictionary().identifiers[:3])},
        **build_relay_examples(),
    }


def _message() -> str:
    issued_at = int(things.NOW.timestamp())
    message = SignInMessage(
        domain="gateway.example",
        address=b"\x5c" * 20,
        statement="Sign in to the Millmark gateway of this company.",
        uri="https://gateway.example/v1/sessions",
        chain_id=things.CHAIN_ID,
        nonce="b7c1" * 18 + "d0",
        issued_at=issued_at,
        expires_at=issued_at + 300,
    )
    return message.to_text()


def _opened() -> OpenedSession:
    token = "mms_4f1c09aa27de_" + "x" * 43
    return OpenedSession(token, things.MAKER.participant, ("manufacturer",), things.NOW + timedelta(minutes=15))


def _caller() -> Caller:
    return Caller(things.MAKER.participant, ("manufacturer",), ("provenance",), False, things.NOW + timedelta(days=90))


def build_problem_example() -> Problem:
    return Problem(
        type="urn:millmark:problem:not-found",
        title="Nothing is known under that name",
        status=404,
        detail=f"{things.IDENTIFIER} is not known here",
        hint="check its spelling, or give its subject: the chain keeps no identifiers",
        request_id="1f0c6e0e5a8b4c55a3b8b6a3b1a0c9d2",
    )


def _trace() -> Trace:
    return Trace(
        as_of=things.as_of(),
        lot=things.lot(),
        head=b"\x12" * 32,
        order=things.order(),
        assignments=(),
        certificates=(things.certificate(),),
        custody=(CustodyChange(600, "CustodyAccepted", things.LOT, things.MAKER, things.BUYER, things.NOW),),
        packed_in=(),
        contents=(),
        upstream=(),
        downstream=(),
        transformations=(),
        truncated=False,
        cuts=(),
        streams=(),
        records=(things.record(),),
    )


def _order_trace() -> OrderTrace:
    return OrderTrace(
        as_of=things.as_of(),
        order=things.order(),
        head=b"\x34" * 32,
        assignments=(),
        lots=(things.related(),),
        certificates=(things.certificate(),),
        upstream=(),
        downstream=(),
        transformations=(),
        truncated=False,
        cuts=(),
        streams=(),
        records=(
            replace(things.record(), sequence=120, kind="OrderPlaced", subject=things.ORDER, participant=things.BUYER),
        ),
    )


def _recall() -> Recall:
    fallen = replace(things.certificate(), status=CertificateStatus.FALLEN)
    withdrawn = replace(things.model(), state=ModelState.WITHDRAWN, withdrawn_at=things.NOW, defective_since=things.NOW)
    lots = (replace(things.related(), status=CertificateStatus.FALLEN),)
    return Recall(
        as_of=things.as_of(),
        model=withdrawn,
        lot=None,
        machine=None,
        since=None,
        until=None,
        counts=RecallCounts(lots=1, unspent=1, quarantined=0, certificates=1, valid=0, orders=1, holders=1),
        certificates=(replace(fallen, model=withdrawn),),
        lots=lots,
        orders=(things.order(),),
        holders=(Holder(things.BUYER.participant, things.BUYER.name, lots=1, quarantined=0),),
        truncated=False,
        cuts=(),
    )


def _status() -> GatewayStatus:
    registry, ledger, block = b"\x11" * 20, b"\x22" * 20, b"\x44" * 32
    return GatewayStatus(
        index=IndexState(things.CHAIN_ID, registry, ledger, 987, block, things.NOW, 31, 640, b"\x55" * 32),
        chain=ChainState(things.CHAIN_ID, 987, block, things.NOW, 31, 640, things.NOW),
        chain_failure=None,
        equal=True,
        follower=FollowerState(things.NOW, None),
        outbox={"queued": 0, "nonced": 0, "signed": 0, "sent": 2, "mined": 0, "final": 671, "failed": 0, "replaced": 0},
    )
