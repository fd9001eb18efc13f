"""Routes of evidence: streams of machines, proofs that they contain an entry or have only grown, and bundles."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Annotated, Any

from fastapi import Query, Response
from fastapi.responses import StreamingResponse

from millmark.ledger import ids, merkle, provenance
from millmark.ledger.bundle import MEDIA_TYPE, digest_of, parse_bundle
from millmark.ledger.chain import Chain, fetch_validators
from millmark.ledger.provenance import evidence_proofs, listings
from millmark.ledger.provenance.answers import Anchor, ConsistencyProof, InclusionProof, Machine, OpenedStream, Stream
from millmark.ledger.provenance.footprints import AssignmentEnergy, assignment_energy
from millmark.ledger.store import Store
from millmark.ledger.trust import Validator
from millmark.services.access import ForbiddenError, Principal, Scope
from millmark.services.access.rules import Rule
from millmark.services.gateway.http import example_values as examples
from millmark.services.gateway.http import route_table
from millmark.services.gateway.http import routes as http
from millmark.services.gateway.http.authentication import CurrentPrincipal
from millmark.services.gateway.http.problems import BusyError, NoChainError
from millmark.services.gateway.http.routes import (
    IfNoneMatch,
    Number,
    Subject,
    parse_subject,
    reply_page,
    reply_with_etag,
)
from millmark.services.serving.requests import BoundedWork, WholeNumber

AnchorNumber = Annotated[
    WholeNumber, Query(ge=1, le=http.MAX_SEQUENCE, description="Sequence of the anchoring record.", examples=[377])
]
LeafIndex = Annotated[
    WholeNumber,
    Query(ge=0, le=http.MAX_SEQUENCE, description="Index of the entry in the stream, from 0.", examples=[3]),
]


_PROOF = Rule(Scope.PROVENANCE, cost=4)

_TREE = merkle.Tree(merkle.leaf_hash(bytes([number])) for number in range(6))
_OLDER = Anchor(377, 4, _TREE.root(4), examples.NOW - timedelta(hours=2))
_NEWER = Anchor(395, 6, _TREE.root(6), examples.NOW)


def _stream() -> Stream:
    press = Machine(17, "urn:example:press-3", examples.MAKER)
    identifier = "urn:example:press-3:telemetry"
    return Stream(examples.STREAM, identifier, press, 6, _TREE.root(6), examples.NOW, (_OLDER, _NEWER))


def _opened() -> OpenedStream:
    press = Machine(17, "urn:example:press-3", examples.MAKER)
    return OpenedStream(examples.STREAM, "urn:example:press-3:telemetry", 88, examples.MAKER, press, 6, examples.NOW)


def _inclusion() -> InclusionProof:
    proof = tuple(_TREE.inclusion_proof(3, 4))
    return InclusionProof(examples.STREAM, 3, merkle.leaf_hash(b"\x03"), _OLDER, proof, _NEWER, _consistency(), None)


def _consistency() -> tuple[bytes, ...]:
    return tuple(_TREE.consistency_proof(4, 6))


_ANCHORED: route_table.Examples = {"anchored": _inclusion}


def add_proofs(table: route_table.RouteTable, store: Store) -> None:
    routes = http.Routes(table, "evidence", http.PROBLEMS_400_404)
    _add_evidence(routes, store)
    _add_stream(routes, store)
    _add_stream_proofs(routes, store)


def _add_evidence(routes: http.Routes, store: Store) -> None:
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
        examples={"read": lambda: AssignmentEnergy(301, examples.STREAM, 3, 5, quantity=40, made=12, wh=4210)},
    )
    def get_energy(principal: CurrentPrincipal, number: Number, if_none_match: IfNoneMatch = None) -> Response:
        """Returns what the machine's register advanced by from the assignment's start to its finish, or the
        assignment's part of it where others ran meanwhile, by the readings in the evidence of the machine's owner; and
        how much was made so far, from which the next lot's part of the energy follows."""
        return reply_with_etag(assignment_energy(store, number, principal.viewer), if_none_match)


def _add_stream(routes: http.Routes, store: Store) -> None:
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
        paging: http.Paging,
        machine: http.OfMachine = None,
        owner: http.OfParticipant = None,
        identifier: http.Called = None,
    ) -> Response:
        """Returns the caller's streams, in the order in which they were opened; the company that runs the gateway gets
        those of all companies."""
        wanted = http.build_filters(machine=machine, owner=owner)
        found = listings.streams(store, principal.viewer, paging.number, paging.limit, wanted, identifier)
        return reply_page(paging, found)

    @routes.get(
        "/v1/streams/{subject}",
        "getStream",
        "Get an evidence stream",
        Stream,
        rule=Rule(Scope.PROVENANCE),
        examples={"press": _stream},
        responses=http.PROBLEMS_404,
    )
    def get_stream(principal: CurrentPrincipal, subject: Subject, if_none_match: IfNoneMatch = None) -> Response:
        """Returns the stream with its latest hundred anchors on the chain, only to the company that owns the stream.
        Others see it in traces."""
        return reply_with_etag(evidence_proofs.stream(store, parse_subject(subject), principal.viewer), if_none_match)

    @routes.page(
        "/v1/streams/{subject}/anchors",
        "listAnchors",
        "List the anchors of an evidence stream",
        Anchor,
        rule=_PROOF,
        examples=examples.page_examples(lambda: _OLDER),
        responses=http.PROBLEMS_400_404,
    )
    def list_anchors(principal: CurrentPrincipal, subject: Subject, paging: http.Paging) -> Response:
        """Returns all anchors of the stream, oldest first, only to the company that owns it."""
        name = parse_subject(subject)
        return reply_page(paging, evidence_proofs.anchors(store, name, principal.viewer, paging.number, paging.limit))


def _add_stream_proofs(routes: http.Routes, store: Store) -> None:
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
        it."""
        found = evidence_proofs.prove_inclusion(store, parse_subject(subject), index, anchor, principal.viewer)
        return reply_with_etag(found, if_none_match)

    @routes.get(
        "/v1/streams/{subject}/consistency",
        "proveConsistency",
        "Prove that a stream has only grown",
        ConsistencyProof,
        rule=_PROOF,
        examples={"grown": lambda: ConsistencyProof(examples.STREAM, _OLDER, _NEWER, _consistency())},
    )
    def prove_consistency(
        principal: CurrentPrincipal,
        subject: Subject,
        first: AnchorNumber,
        second: AnchorNumber,
        if_none_match: IfNoneMatch = None,
    ) -> Response:
        """Proves that the stream only grew between an anchor and a later one. Only the stream's owner may request
        it."""
        found = evidence_proofs.prove_consistency(store, parse_subject(subject), first, second, principal.viewer)
        return reply_with_etag(found, if_none_match)


# Routes of bundles, which are verified offline, and of trust files to verify them with.

_MAX_LOTS = 16
_AT_ONCE = 2
"""Bundles that are built at the same time. Each reads many blocks and proofs from the node."""
_WAITING = 8
_PIECE_BYTES = 64 * 1024
_OPEN = frozenset({"names"})
"""What every caller may have disclosed: names, limited to what is visible to the caller anyway."""

_BUNDLE: dict[int | str, dict[str, Any]] = {
    200: {"content": {MEDIA_TYPE: {"schema": {"type": "object", "required": ["bundle_version", "parts", "records"]}}}}
}
_TRUST: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/json": {"schema": {"type": "object", "required": ["format", "contracts"]}}}}
}
LotNames = Annotated[
    list[Annotated[str, Query(min_length=1, max_length=ids.MAX_IDENTIFIER_LENGTH)]],
    Query(
        alias="lot",
        min_length=1,
        max_length=_MAX_LOTS,
        description="Identifier or subject of a lot. Repeat it to put several lots into one bundle.",
        examples=[[examples.IDENTIFIER]],
    ),
]
Disclosed = Annotated[
    list[Annotated[str, Query(min_length=1, max_length=200)]],
    Query(
        alias="disclose",
        max_length=_MAX_LOTS,
        description="What to disclose besides the records: `names`, as far as they are visible to the caller. Only the "
        "company that runs the gateway may also disclose `claims`, `evidence`, `inferences`, or a field by its JSON "
        "pointer.",
        examples=[["names"]],
    ),
]
Quorum = Annotated[
    WholeNumber | None,
    Query(
        ge=1,
        le=1000,
        description="Trust blocks that so many participants have co-signed, instead of the last final block.",
        examples=[2],
    ),
]


ValidatorsToo = Annotated[
    bool,
    Query(
        description="Trust blocks that enough validators have sealed: those that this company's node lists, on "
        "networks whose blocks have seals. With `quorum`, co-signers vouch for validators that changed long ago.",
        examples=[False],
    ),
]


class _BundleBuilder:
    """Builds bundles and trust files, a few at a time."""

    def __init__(self, store: Store, chain: Chain | None) -> None:
        self._store, self._chain = store, chain
        self._work = BoundedWork(at_once=_AT_ONCE, waiting=_WAITING)

    def bundle(self, lots: list[str], disclosing: provenance.Disclosing, viewer: int | None) -> bytes:
        with self._chain_at_hand() as chain:
            return provenance.build_bundle(self._store, chain, lots, disclosing, viewer=viewer)

    def trust(self, quorum: int | None, *, sealed: bool) -> bytes:
        with self._chain_at_hand() as chain:
            listed = [Validator(address) for address in fetch_validators(chain)] if sealed else []
            return provenance.build_trust_file(self._store, chain, quorum=quorum, validators=listed).to_bytes()

    @contextmanager
    def _chain_at_hand(self) -> Iterator[Chain]:
        """Yields the chain. Raises NoChainError without one, and BusyError if too many requests are waiting."""
        if self._chain is None:
            raise NoChainError("this gateway is not connected to a chain", hint="ask its operator to set chain_url")
        # Building takes seconds and many calls to the node: without a limit, a few callers could occupy every server
        # thread.
        with self._work.take() as mine:
            if not mine:
                raise BusyError("too many bundles are being built", retry_after_s=5)
            yield self._chain


def add_bundles(table: route_table.RouteTable, store: Store, chain: Chain | None) -> None:
    routes, builder = http.Routes(table, "proof", http.PROBLEMS_400_404), _BundleBuilder(store, chain)

    @routes.get(
        "/v1/bundles",
        "getBundle",
        "Get the provenance bundle of lots",
        rule=Rule(Scope.PROVENANCE, cost=20),
        examples={"beginning": lambda: {"bundle_version": 1, "parts": ["GhoaGg"], "records": []}},
        response_class=StreamingResponse,
        responses={**_BUNDLE, **http.PROBLEMS_400_404},
    )
    def get_bundle(
        principal: CurrentPrincipal, lots: LotNames, disclose: Disclosed = _NOTHING, if_none_match: IfNoneMatch = None
    ) -> Response:
        """The bundle contains records, state proofs and block headers, so that the lots' provenance can be verified
        offline (`millmark verify FILE --trust FILE`). The gateway verifies it before sending. The same lots at the same
        block yield the same bytes, except for the validators' seals; the ETag does not cover these."""
        disclosing = provenance.parse_disclosing(_allowed(disclose, principal))
        data = builder.bundle(lots, disclosing, principal.viewer)
        # The ETag saves the transfer, not the work: it is known only once the bundle is built.
        whole = Response(data, media_type=MEDIA_TYPE)
        return _in_pieces(http.with_etag(whole, if_none_match, weak=digest_of(parse_bundle(data))))

    @routes.get(
        "/v1/trust",
        "getTrust",
        "Get a trust file",
        rule=Rule(Scope.PROVENANCE, cost=4),
        examples={"beginning": lambda: {"format": "millmark-trust", "version": 1, "contracts": {}}},
        response_class=Response,
        responses={**_TRUST, **http.PROBLEMS_400_404},
    )
    def get_trust(quorum: Quorum = None, validators: ValidatorsToo = False) -> Response:
        """The trust file contains the chain, contracts and participants, according to this company's node. Using it
        means trusting this company for them: compare it with another company's."""
        return Response(builder.trust(quorum, sealed=validators), media_type="application/json")


_NOTHING: list[str] = []


def _allowed(words: list[str], principal: Principal) -> list[str]:
    """Raises ForbiddenError for disclosures reserved to the company that runs the gateway."""
    if not principal.owner and not _OPEN.issuperset(words):
        raise ForbiddenError(
            "only the company that runs the gateway can disclose claims, evidence and inferences",
            hint="request names only, or ask that company",
        )
    return words


def _in_pieces(whole: Response) -> Response:
    """Sends the body in pieces, so that no second copy of it is buffered for a slow reader."""
    if whole.status_code != 200:
        return whole
    body = bytes(whole.body)
    pieces = (body[start : start + _PIECE_BYTES] for start in range(0, len(body), _PIECE_BYTES))
    return StreamingResponse(pieces, headers=dict(whole.headers), media_type=MEDIA_TYPE)
