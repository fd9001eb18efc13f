"""Routes of evidence: the streams of machines, and proofs that entries are in them as they were anchored."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from ledger.provenance import evidence_proofs
from ledger.provenance.answers import Stream
from ledger.provenance.resource_answers import ConsistencyProof, InclusionProof
from ledger.store import Store
from services.gateway.api.schemas import model_of
from services.gateway.http.authentication import Asking
from services.gateway.http.responses import LOOKED_UP, MOST_SEQUENCE, NAMED, KnownTags, Number, Subject, tagged

__all__ = ["build_proofs"]

AnchorNumber = Annotated[
    int, Query(ge=1, le=MOST_SEQUENCE, description="Sequence of the anchoring record.", examples=[377])
]
LeafIndex = Annotated[
    int, Query(ge=0, le=MOST_SEQUENCE, description="Which entry of the stream, from 0.", examples=[3])
]


def build_proofs(store: Store) -> APIRouter:
    """All of them over one store."""
    router = APIRouter()
    _add_evidence(router, store)
    _add_streams(router, store)
    return router


def _add_evidence(router: APIRouter, store: Store) -> None:
    @router.get(
        "/v1/certificates/{id}/evidence",
        operation_id="proveCertificate",
        summary="Proof of the evidence behind a certificate",
        response_model=model_of(InclusionProof),
        responses=NAMED,
        tags=["evidence"],
    )
    def prove_certificate(principal: Asking, number: Number, known: KnownTags = None) -> Response:
        """That the measured entry was in its stream when the certificate was issued, and that the stream only grew
        since. 404 when another company keeps that evidence."""
        return tagged(evidence_proofs.certificate_evidence(store, number, principal.viewer), known)

    @router.get(
        "/v1/assignments/{id}/evidence",
        operation_id="proveAssignment",
        summary="Proof of the evidence with which an assignment was finished",
        response_model=model_of(InclusionProof),
        responses=NAMED,
        tags=["evidence"],
    )
    def prove_assignment(principal: Asking, number: Number, known: KnownTags = None) -> Response:
        """At the first anchor that has the entry. 404 when there is none yet, or another company keeps that
        evidence."""
        return tagged(evidence_proofs.assignment_evidence(store, number, principal.viewer), known)


def _add_streams(router: APIRouter, store: Store) -> None:
    @router.get(
        "/v1/streams/{subject}",
        operation_id="getStream",
        summary="A machine's stream of evidence",
        response_model=model_of(Stream),
        responses=LOOKED_UP,
        tags=["evidence"],
    )
    def get_stream(principal: Asking, subject: Subject, known: KnownTags = None) -> Response:
        """Its anchors on chain; for the company whose stream it is. Others see it in traces that cite it."""
        return tagged(evidence_proofs.stream(store, bytes.fromhex(subject[2:]), principal.viewer), known)

    @router.get(
        "/v1/streams/{subject}/inclusion",
        operation_id="proveInclusion",
        summary="Proof that an entry is in a stream",
        response_model=model_of(InclusionProof),
        responses=NAMED,
        tags=["evidence"],
    )
    def prove_inclusion(
        principal: Asking, subject: Subject, index: LeafIndex, anchor: AnchorNumber, known: KnownTags = None
    ) -> Response:
        """As the stream was anchored by that record; for the company whose stream it is."""
        found = evidence_proofs.prove_inclusion(store, bytes.fromhex(subject[2:]), index, anchor, principal.viewer)
        return tagged(found, known)

    @router.get(
        "/v1/streams/{subject}/consistency",
        operation_id="proveConsistency",
        summary="Proof that a stream only grew",
        response_model=model_of(ConsistencyProof),
        responses=NAMED,
        tags=["evidence"],
    )
    def prove_consistency(
        principal: Asking, subject: Subject, first: AnchorNumber, second: AnchorNumber, known: KnownTags = None
    ) -> Response:
        """From one anchor to a later one; for the company whose stream it is."""
        found = evidence_proofs.prove_consistency(store, bytes.fromhex(subject[2:]), first, second, principal.viewer)
        return tagged(found, known)
