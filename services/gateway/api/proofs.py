"""Routes of evidence: the streams of machines, and proofs that they contain an entry or have only grown."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import Query, Response

from millmark.ledger.merkle import Tree, leaf_hash
from millmark.ledger.provenance import evidence_proofs, listings
from millmark.ledger.provenance.answers import Anchor, ConsistencyProof, InclusionProof, Machine, OpenedStream, Stream
from millmark.ledger.provenance.footprints import AssignmentEnergy, assignment_energy
from millmark.ledger.store import Store
from millmark.services.access import Scope
from millmark.services.access.rules import Rule
from millmark.services.gateway.api.filters import (
    Called,
    OfMachine,
    OfParticipant,
    build_filters,
    parse_subject,
    reply_page,
)
from millmark.services.gateway.http import example_values as examples
from millmark.services.gateway.http.authentication import CurrentPrincipal
from millmark.services.gateway.http.paging import Paging
from millmark.services.gateway.http.responses import (
    MAX_SEQUENCE,
    PROBLEMS_400_404,
    PROBLEMS_404,
    IfNoneMatch,
    Number,
    Subject,
    reply_with_etag,
)
from millmark.services.gateway.http.route_table import Examples, RouteTable
from millmark.services.gateway.http.routes import Routes
from millmark.services.serving.requests import WholeNumber

AnchorNumber = Annotated[
    WholeNumber, Query(ge=1, le=MAX_SEQUENCE, description="Sequence of the anchoring record.", examples=[377])
]
LeafIndex = Annotated[
    WholeNumber, Query(ge=0, le=MAX_SEQUENCE, description="Index of the entry in the stream, from 0.", examples=[3])
]


_PROOF = Rule(Scope.PROVENANCE, cost=4)

_TREE = Tree(leaf_hash(bytes([number])) for number in range(6))
_OLDER = Anchor(377, 4, _TREE.root(4), examples.NOW - timedelta(hours=2))
_NEWER = Anchor(395, 6, _TREE.root(6), examples.NOW)


def _stream() -> Stream:
    press = Machine(17, "urn:example:press-3", examples.MAKER)
    identifier = "urn:example:press-3:telemetry"
    return Stream(examples.STREAM, identifier, press, 6, _TREE.root(6), examples.NOW, (_OLDER, _NEWER))


def _older() -> Anchor:
    return _OLDER


def _opened() -> OpenedStream:
    press = Machine(17, "urn:example:press-3", examples.MAKER)
    return OpenedStream(examples.STREAM, "urn:example:press-3:telemetry", 88, examples.MAKER, press, 6, examples.NOW)


def _inclusion() -> InclusionProof:
    proof = tuple(_TREE.inclusion_proof(3, 4))
    return InclusionProof(examples.STREAM, 3, leaf_hash(b"\x03"), _OLDER, proof, _NEWER, _consistency(), None)


def _energy() -> AssignmentEnergy:
    return AssignmentEnergy(301, examples.STREAM, start=3, finish=5, quantity=None, wh=4210)


def _grown() -> ConsistencyProof:
    return ConsistencyProof(examples.STREAM, _OLDER, _NEWER, _consistency())


def _consistency() -> tuple[bytes, ...]:
    return tuple(_TREE.consistency_proof(4, 6))


_ANCHORED: Examples = {"anchored": _inclusion}


def add_proofs(table: RouteTable, store: Store) -> None:
    routes = Routes(table, "evidence", PROBLEMS_400_404)
    _add_evidence(routes, store)
    _add_stream(routes, store)
    _add_stream_proofs(routes, store)


def _add_evidence(routes: Routes, store: Store) -> None:
    @routes.get(
        "/v1/certificates/{id}/evidence",
        "proveCertificate",
        "Prove the evidence of a certificate",
        InclusionProof,
        rule=_PROOF,
        examples=_ANCHORED,
    )
    def prove_certificate(principal: CurrentPrincipal, number: Number, if_none_match: IfNoneMatch = None) -> Response:
        """Proves that the measured entry was in its stream when the certificate was issued, and that the stream has
        only grown since. 404 if another company has the evidence."""
        return reply_with_etag(evidence_proofs.certificate_evidence(store, number, principal.viewer), if_none_match)

    @routes.get(
        "/v1/assignments/{id}/evidence",
        "proveAssignment",
        "Prove the evidence of a finished assignment",
        InclusionProof,
        rule=_PROOF,
        examples=_ANCHORED,
    )
    def prove_assignment(principal: CurrentPrincipal, number: Number, if_none_match: IfNoneMatch = None) -> Response:
        """Proves that the stream contained the entry at the first anchor that covers it. 404 if there is no such anchor
        yet, or if another company has the evidence."""
        return reply_with_etag(evidence_proofs.assignment_evidence(store, number, principal.viewer), if_none_match)

    @routes.one(
        "/v1/assignments/{id}/registers",
        "getAssignmentEnergy",
        "Get the metered energy of an assignment",
        AssignmentEnergy,
        rule=Rule(Scope.PROVENANCE, owner=True, cost=4),
        examples={"read": _energy},
    )
    def get_energy(principal: CurrentPrincipal, number: Number, if_none_match: IfNoneMatch = None) -> Response:
        """Returns what the machine's register advanced by from the assignment's start to its finish, or the
        assignment's part of it where others ran meanwhile, by the readings in the evidence of the machine's owner."""
        return reply_with_etag(assignment_energy(store, number, principal.viewer), if_none_match)


def _add_stream(routes: Routes, store: Store) -> None:
    @routes.page(
        "/v1/streams",
        "listStreams",
        "List evidence streams",
        OpenedStream,
        rule=_PROOF,
        examples=examples.page_examples(_opened),
    )
    def list_streams(
        principal: CurrentPrincipal,
        paging: Paging,
        machine: OfMachine = None,
        owner: OfParticipant = None,
        identifier: Called = None,
    ) -> Response:
        """Returns the caller's streams, in the order in which they were opened; the company that runs the gateway gets
        those of all companies."""
        wanted = build_filters(machine=machine, owner=owner)
        found = listings.streams(store, principal.viewer, paging.number, paging.limit, wanted, identifier)
        return reply_page(paging, found)

    @routes.get(
        "/v1/streams/{subject}",
        "getStream",
        "Get an evidence stream",
        Stream,
        rule=Rule(Scope.PROVENANCE),
        examples={"press": _stream},
        responses=PROBLEMS_404,
    )
    def get_stream(principal: CurrentPrincipal, subject: Subject, if_none_match: IfNoneMatch = None) -> Response:
        """Returns the stream with its latest hundred anchors on the chain, only to the company that owns the stream.
        Others see it in traces.
        """
        return reply_with_etag(evidence_proofs.stream(store, parse_subject(subject), principal.viewer), if_none_match)

    @routes.page(
        "/v1/streams/{subject}/anchors",
        "listAnchors",
        "List the anchors of an evidence stream",
        Anchor,
        rule=_PROOF,
        examples=examples.page_examples(_older),
        responses=PROBLEMS_400_404,
    )
    def list_anchors(principal: CurrentPrincipal, subject: Subject, paging: Paging) -> Response:
        """Returns all anchors of the stream, oldest first, only to the company that owns it."""
        name = parse_subject(subject)
        return reply_page(paging, evidence_proofs.anchors(store, name, principal.viewer, paging.number, paging.limit))


def _add_stream_proofs(routes: Routes, store: Store) -> None:
    @routes.get(
        "/v1/streams/{subject}/inclusion",
        "proveInclusion",
        "Prove that an entry is in a stream",
        InclusionProof,
        rule=_PROOF,
        examples=_ANCHORED,
    )
    def prove_inclusion(
        principal: CurrentPrincipal,
        subject: Subject,
        index: LeafIndex,
        anchor: AnchorNumber,
        if_none_match: IfNoneMatch = None,
    ) -> Response:
        """Proves that the stream contains the entry, as anchored by this record. Only the stream's owner may request
        it.
        """
        found = evidence_proofs.prove_inclusion(store, parse_subject(subject), index, anchor, principal.viewer)
        return reply_with_etag(found, if_none_match)

    @routes.get(
        "/v1/streams/{subject}/consistency",
        "proveConsistency",
        "Prove that a stream has only grown",
        ConsistencyProof,
        rule=_PROOF,
        examples={"grown": _grown},
    )
    def prove_consistency(
        principal: CurrentPrincipal,
        subject: Subject,
        first: AnchorNumber,
        second: AnchorNumber,
        if_none_match: IfNoneMatch = None,
    ) -> Response:
        """Proves that the stream only grew between an anchor and a later one. Only the stream's owner may request
        it.
        """
        found = evidence_proofs.prove_consistency(store, parse_subject(subject), first, second, principal.viewer)
        return reply_with_etag(found, if_none_match)
