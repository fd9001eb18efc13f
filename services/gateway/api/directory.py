"""Route of the directory: who the companies are."""

from __future__ import annotations

from typing import Any

from fastapi import Response

from millmark.ledger.errors import NotFoundError
from millmark.ledger.store import Store
from millmark.services.access import Scope
from millmark.services.access.rules import Rule
from millmark.services.directory.repository import DirectoryRepository
from millmark.services.gateway.http.responses import PROBLEMS_404, IfNoneMatch, with_etag
from millmark.services.gateway.http.route_table import RouteTable
from millmark.services.gateway.http.routes import Routes

_DOCUMENT: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"application/json": {"schema": {"type": "object", "required": ["format", "entries", "signature"]}}}
    }
}


def add_directory(table: RouteTable, store: Store) -> None:
    routes = Routes(table, "consortium", PROBLEMS_404)

    @routes.get(
        "/v1/directory",
        "getDirectory",
        "Get the directory of participants",
        rule=Rule(Scope.PROVENANCE),
        examples={
            "beginning": lambda: {"format": "millmark-directory", "version": 1, "entries": [], "signature": "0x"}
        },
        responses={**_DOCUMENT, **PROBLEMS_404},
    )
    def get_directory(if_none_match: IfNoneMatch = None) -> Response:
        """Returns names, GLNs, gateways and recipient keys of all companies, signed by the operator, byte for byte as
        its digest is published on the ledger (DIRECTORY.md)."""
        with store.reading() as connection:
            signed = DirectoryRepository(connection).signed()
        if signed is None:
            raise NotFoundError("this gateway has no directory yet", hint="the operator publishes one")
        return with_etag(Response(signed.to_bytes(), media_type="application/json"), if_none_match)
