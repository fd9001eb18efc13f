"""Digests and signatures of forward requests, which are EIP-712 typed data."""

from collections.abc import Mapping
from typing import Any

from millmark.ledger.forward_requests import ForwardRequest, sign_request
from millmark.ledger.keys import LocalSigner
from tests.bench.peers.answer import Act, Prepare


def start(arguments: Mapping[str, Any]) -> Mapping[str, Prepare]:
    signer = LocalSigner.from_bytes(bytes.fromhex(arguments["secret"]))

    def requests(count: int) -> list[ForwardRequest]:
        to, data = bytes.fromhex(arguments["to"]), bytes.fromhex(arguments["data"])
        return [
            ForwardRequest(arguments["chain_id"], to, signer.address, to, 500_000, nonce, 2_000_000_000, data)
            for nonce in range(count)
        ]

    def digest() -> Act:
        asked = requests(arguments["digests"])

        def act() -> tuple[int, object]:
            for request in asked:
                found = request.digest
            return len(asked), found.hex()

        return act

    def cycle() -> Act:
        asked = requests(arguments["cycles"])

        def act() -> tuple[int, object]:
            for request in asked:
                signed = sign_request(request, signer)
                signed.verify()
            return len(asked), signed.signature.hex()

        return act

    return {"digest": digest, "cycle": cycle}
