"""The claims root of a document, which commits to each field apart."""

from collections.abc import Mapping
from typing import Any

from millmark.ledger.claims import build_claims
from tests.bench.peers.answer import Act, Prepare


def start(arguments: Mapping[str, Any]) -> Mapping[str, Prepare]:
    def root() -> Act:
        def act() -> tuple[int, object]:
            for document in arguments["documents"]:
                found = build_claims(document).root
            return len(arguments["documents"]), len(found)

        return act

    return {"root": root}
