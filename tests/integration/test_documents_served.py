"""Two companies over real sockets: one uploads and shares, the other signs in, publishes its key, fetches and opens."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from millmark.ledger.store import Store
from millmark.services.audit import AuditLog, read_audit, verify_audit
from millmark.services.documents.encryption import MAX_DOCUMENT_BYTES, open_sealed
from millmark.services.gateway import GatewayParts, build_policy, create_gateway
from millmark.services.settings import Auth
from tests.integration.test_gateway_api import serving
from tests.support.shared_world import BILLET, DESCENDANT, OWNER, SIBLING, SharedWorld, build_shared_world
from tests.support.sign_in import NOW_S, sign, signer_of
from tests.support.stores import new_store

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedWorld]:
    folder = tmp_path_factory.mktemp("served")
    with new_store(folder) as store:
        yield build_shared_world(store, folder)


def sign_in(client: httpx.Client, participant: int) -> dict[str, str]:
    signer = signer_of(participant)
    message = client.get("/v1/sign-in", params={"address": f"0x{signer.address.hex()}"}).json()["message"]
    opened = client.post("/v1/sessions", json={"message": message, "signature": sign(message, signer)})
    return {"Authorization": f"Bearer {opened.json()['token']}"}


def drawn(size: int) -> Iterator[bytes]:
    """In pieces, so that no length is announced."""
    for at in range(0, size, 64 << 10):
        yield hashlib.sha256(at.to_bytes(8, "big")).digest() * (2 << 10)


def test_from_upload_to_opened_and_out(shared: SharedWorld, tmp_path: Path) -> None:
    audit = AuditLog(tmp_path / "audit", lambda: NOW_S)
    policy = build_policy(Auth.REQUIRED, owner=OWNER)
    app = create_gateway(GatewayParts(shared.store, policy, keys=shared.ring, clock=lambda: NOW_S, audit=audit))
    with serving(app) as client:
        owner, partner, sibling = (sign_in(client, one) for one in (OWNER, DESCENDANT, SIBLING))
        key = {"Idempotency-Key": secrets.token_hex(8)}
        where = f"/v1/documents?name=scan.bin&mode=linked&about={BILLET}"
        added = client.post(where, headers={**owner, **key}, content=drawn(3 << 20))
        assert added.status_code == 201
        document = added.json()
        assert document["versions"][0]["size"] == 3 << 20

        private = X25519PrivateKey.generate()
        statement = shared.statement(DESCENDANT, private.public_key().public_bytes_raw(), NOW_S + 1)
        body = {
            "public_key": "0x" + statement.public_key.hex(),
            "issued_at": statement.issued_at,
            "signature": "0x" + statement.signature.hex(),
        }
        assert client.put("/v1/recipient-key", headers=partner, json=body).status_code == 200
        listed = client.get("/v1/documents", params={"about": BILLET}, headers=partner).json()["items"]
        assert [one["document"] for one in listed] == [document["document"]]
        fetched = client.get(f"/v1/documents/{document['document']}/versions/1", headers=partner)
        opened = open_sealed(fetched.content, private)
        assert opened.content == b"".join(drawn(3 << 20))
        assert "0x" + opened.header.recipient.root.hex() == document["versions"][0]["root"]
        assert client.get(f"/v1/documents/{document['document']}", headers=sibling).status_code == 404
        assert client.delete(f"/v1/documents/{document['document']}", headers=owner).status_code == 200
        assert client.get(f"/v1/documents/{document['document']}", headers=partner).status_code == 404
    audit.close()
    assert verify_audit(tmp_path / "audit").last == len(list(read_audit(tmp_path / "audit"))) == 10


def test_an_endless_upload_is_cut_off(shared: SharedWorld) -> None:
    policy = build_policy(Auth.REQUIRED, owner=OWNER)
    with serving(create_gateway(GatewayParts(shared.store, policy, keys=shared.ring, clock=lambda: NOW_S))) as client:
        headers = {**sign_in(client, OWNER), "Idempotency-Key": secrets.token_hex(8)}
        before = count(shared.store)
        try:
            answer = client.post("/v1/documents?name=a", headers=headers, content=drawn(MAX_DOCUMENT_BYTES + (8 << 20)))
            assert answer.status_code == 413
        except (httpx.WriteError, httpx.RemoteProtocolError):
            pass  # the server hung up while we were sending
        assert count(shared.store) == before
        stranger = sign_in(client, SIBLING)
        refused = client.post("/v1/documents?name=a", headers={**headers, **stranger}, content=b"x")
        assert refused.status_code == 403


def count(store: Store) -> int:
    with store.reading() as connection:
        return int(connection.exec_driver_sql("SELECT count(*) FROM document_pieces").scalar_one())
