"""The gateway that `scripts/bench api` tests: real server, store, chain and outbox.

Webhooks are not sent, because the generated addresses may belong to strangers.
"""

from __future__ import annotations

import sys
from pathlib import Path

from millmark.ledger.chain import Chain, HttpTransport, Node, find_profile, read_deployment
from millmark.ledger.keys import open_name_key, open_signer
from millmark.services.documents import KeyRing
from millmark.services.gateway import GatewayParts, Limiter, Rates, build_policy, create_gateway
from millmark.services.planning.feedback.taking import NoSetpoints
from millmark.services.serving.server import serve
from millmark.services.settings import read_settings
from millmark.services.store import open_store

_UNLIMITED = 1e9


def main(home: Path, port: int) -> None:
    """Serves until terminated."""
    settings = read_settings(home)
    node, deployment = Node(HttpTransport(settings.chain_url or "")), read_deployment(settings.deployment_path)
    chain = Chain(node, find_profile(settings.engine), deployment)
    signer = open_signer(settings.gateway_signer or "", passphrase_file=None, prompt=_no_passphrase, pkcs11_module=None)
    with open_store(settings.database_url) as store:
        app = create_gateway(
            GatewayParts(
                store,
                build_policy("loopback-open", port=port, owner=settings.gateway_participant),
                keys=KeyRing(settings.document_keys_path),
                chain=chain,
                limiter=Limiter(Rates(_UNLIMITED, _UNLIMITED)),
                recording=(chain, signer),
                setpoints=NoSetpoints(),
                name_keys=[open_name_key(uri) for uri in settings.gateway_name_key_uris],
            )
        )
        serve(app, "127.0.0.1", port)


def _no_passphrase(_: str) -> str:
    return ""


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
