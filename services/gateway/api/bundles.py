"""Routes of bundles, which are verified offline, and of trust files to verify them with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import Query, Response
from fastapi.responses import StreamingResponse

from millmark.ledger.bundle import MEDIA_TYPE, digest_of, parse_bundle
from millmark.ledger.chain import Chain, fetch_validators
from millmark.ledger.ids import MAX_IDENTIFIER_LENGTH
from millmark.ledger.provenance import Disclosing, build_bundle, build_trust_file, parse_disclosing
from millmark.ledger.store import Store
from millmark.ledger.trust import Validator
from millmark.services.access import ForbiddenError, Principal, Scope
from millmark.services.access.rules import Rule
from millmark.services.gateway.http.authentication import CurrentPrincipal
from millmark.services.gateway.http.errors import BusyError, NoChainError
from millmark.services.gateway.http.example_values import IDENTIFIER
from millmark.services.gateway.http.responses import PROBLEMS_400_404, IfNoneMatch, with_etag
from millmark.services.gateway.http.route_table import RouteTable
from millmark.services.gateway.http.routes import Routes
from millmark.services.serving.requests import BoundedWork, WholeNumber

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
    list[Annotated[str, Query(min_length=1, max_length=MAX_IDENTIFIER_LENGTH)]],
    Query(
        alias="lot",
        min_length=1,
        max_length=_MAX_LOTS,
        description="Identifier or subject of a lot. Repeat it to put several lots into one bundle.",
        examples=[[IDENTIFIER]],
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

    def bundle(self, lots: list[str], disclosing: Disclosing, viewer: int | None) -> bytes:
        with self._chain_at_hand() as chain:
            return build_bundle(self._store, chain, lots, disclosing, viewer=viewer)

    def trust(self, quorum: int | None, *, sealed: bool) -> bytes:
        with self._chain_at_hand() as chain:
            listed = [Validator(address) for address in fetch_validators(chain)] if sealed else []
            return build_trust_file(self._store, chain, quorum=quorum, validators=listed).to_bytes()

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


def add_bundles(table: RouteTable, store: Store, chain: Chain | None) -> None:
    routes, builder = Routes(table, "proof", PROBLEMS_400_404), _BundleBuilder(store, chain)

    @routes.get(
        "/v1/bundles",
        "getBundle",
        "Get the provenance bundle of lots",
        rule=Rule(Scope.PROVENANCE, cost=20),
        examples={"beginning": lambda: {"bundle_version": 1, "parts": ["GhoaGg"], "records": []}},
        response_class=StreamingResponse,
        responses={**_BUNDLE, **PROBLEMS_400_404},
    )
    def get_bundle(
        principal: CurrentPrincipal, lots: LotNames, disclose: Disclosed = _NOTHING, if_none_match: IfNoneMatch = None
    ) -> Response:
        """The bundle contains records, state proofs and block headers, so that the lots' provenance can be verified
        offline (`millmark verify FILE --trust FILE`). The gateway verifies it before sending. The same lots at the same
        block yield the same bytes, except for the validators' seals; the ETag does not cover these."""
        disclosing = parse_disclosing(_allowed(disclose, principal))
        data = builder.bundle(lots, disclosing, principal.viewer)
        # The ETag saves the transfer, not the work: it is known only once the bundle is built.
        whole = Response(data, media_type=MEDIA_TYPE)
        return _stream(with_etag(whole, if_none_match, weak=digest_of(parse_bundle(data))))

    @routes.get(
        "/v1/trust",
        "getTrust",
        "Get a trust file",
        rule=Rule(Scope.PROVENANCE, cost=4),
        examples={"beginning": lambda: {"format": "millmark.trust", "version": 1, "contracts": {}}},
        response_class=Response,
        responses={**_TRUST, **PROBLEMS_400_404},
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


def _stream(whole: Response) -> Response:
    """Sends the body in pieces, so that no second copy of it is buffered for a slow reader."""
    if whole.status_code != 200:
        return whole
    body = bytes(whole.body)
    pieces = (body[start : start + _PIECE_BYTES] for start in range(0, len(body), _PIECE_BYTES))
    return StreamingResponse(pieces, headers=dict(whole.headers), media_type=MEDIA_TYPE)
