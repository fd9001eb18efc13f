"""Credentials over HTTP on a real chain: checked as an outsider does it, each falls when its certificate does."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from millmark.ledger.index import Follower
from millmark.ledger.records import RevokeCertificate, Verdict, WithdrawModel
from millmark.ledger.store import Store
from millmark.services.gateway import GatewayParts, build_policy, create_gateway
from millmark.services.gateway.api.credentials import CREDENTIAL_MEDIA, DID_MEDIA
from millmark.services.interop.credentials.certificate import verify_credential
from millmark.services.interop.credentials.keys import CredentialKey, Resolver
from millmark.services.interop.errors import CredentialError
from tests.support.bundle_world import NOTHING, copy_bundle_world, keep_secrets
from tests.support.gateway_client import Caller
from tests.support.interop import ED25519, P256
from tests.support.stores import new_store

pytestmark = pytest.mark.integration

WEEK_S = 7 * 86_400
DID = "did:web:localhost%3A8600"


class Line:
    """A chain with certificates, its index, and the inspector's gateway over it."""

    def __init__(self, folder: Path) -> None:
        self.store: Store = new_store(folder)
        self.world, self.engine = copy_bundle_world(self.store)
        self.inspector = self.world.consortium.inspector
        self.second = self.world.certify("hip-2", Verdict.PASS, "hip")
        keep_secrets(self.world, self.store)
        self.follow()
        keys: dict[str, CredentialKey] = {"now": ED25519, "before": P256}
        app = create_gateway(
            GatewayParts(self.store, build_policy("loopback-open", owner=self.inspector.number), credential_keys=keys)
        )
        self.caller = Caller(app)

    def follow(self) -> None:
        Follower(self.world.consortium.chain, self.store).follow()

    def certificates(self, lot: str) -> list[int]:
        subject = self.world.lots[lot]
        return [number for number, one in self.world.inspections.items() if one.statement.items[0].lot == subject]

    def fetch(self, path: str, media: str) -> dict[str, Any]:
        answer = self.caller.ask(path)
        assert (answer.status_code, answer.headers["content-type"]) == (200, media), answer.text
        found: dict[str, Any] = answer.json()
        return found

    def verify(self, certificate: int) -> str:
        """As somebody does who has no account: credential in hand, DID document and status list from the web."""
        credential = self.fetch(f"/v1/certificates/{certificate}/credential", CREDENTIAL_MEDIA)
        resolver = Resolver({DID: self.fetch("/.well-known/did.json", DID_MEDIA)})
        url = credential["credentialStatus"]["statusListCredential"]
        listed = self.fetch(url.removeprefix("http://localhost:8600"), CREDENTIAL_MEDIA)
        at = datetime.fromtimestamp(self.world.now(), UTC)
        return verify_credential(credential, resolver, at=at, lists={url: listed})


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    made = Line(tmp_path_factory.mktemp("credentials"))
    yield made
    made.store.close()


def test_a_credential_holds_and_falls_with_its_certificate(line: Line) -> None:
    revoked, standing = line.certificates("hip-1")
    [refuted] = line.certificates("hip-5")
    assert line.verify(standing) == f"{DID}#now"
    for gone in (revoked, refuted):
        with pytest.raises(CredentialError, match="was revoked"):
            line.verify(gone)
    line.world.act(line.inspector, RevokeCertificate((line.world.lots["hip-1"],), standing, NOTHING))
    assert line.verify(standing)  # not in the index yet
    line.follow()
    with pytest.raises(CredentialError, match="was revoked"):
        line.verify(standing)
    assert line.verify(line.second)
    _, demanded = line.certificates("hip-3")
    assert line.verify(demanded)  # it may still be opened
    line.engine._tester.time_travel(line.world.now() + WEEK_S)  # no node lets its clock be set from outside
    line.world.note("bench", {"later": 1})
    line.follow()
    with pytest.raises(CredentialError, match="was revoked"):
        line.verify(demanded)
    line.world.act(line.inspector, WithdrawModel(line.world.model, 0, NOTHING))
    line.follow()
    with pytest.raises(CredentialError, match="was revoked"):
        line.verify(line.second)


def test_a_changed_credential_is_refused(line: Line) -> None:
    credential = line.fetch(f"/v1/certificates/{line.second}/credential", CREDENTIAL_MEDIA)
    resolver = Resolver({DID: line.fetch("/.well-known/did.json", DID_MEDIA)})
    credential["credentialSubject"]["id"] += "x"
    with pytest.raises(CredentialError):
        verify_credential(credential, resolver, at=datetime.now(UTC), lists={})


def test_answers_can_be_kept_as_they_say(line: Line) -> None:
    path = f"/v1/certificates/{line.second}/credential"
    tag = line.caller.ask(path).headers["etag"]
    assert line.caller.ask(path, If_None_Match=tag).status_code == 304
    for public in ("/v1/status-lists/0", "/.well-known/did.json"):
        assert line.caller.ask(public).headers["cache-control"] == "public, max-age=60"


def test_what_is_not_ours_is_not_given_out(line: Line) -> None:
    assert line.caller.ask("/v1/status-lists/1").status_code == 404
    assert line.caller.ask("/v1/certificates/1/credential").status_code == 404
    stranger = create_gateway(
        GatewayParts(
            line.store, build_policy("loopback-open", owner=line.world.maker.number), credential_keys={"k": ED25519}
        )
    )
    answer = Caller(stranger).ask(f"/v1/certificates/{line.second}/credential")
    assert (answer.status_code, "was issued by participant" in answer.json()["detail"]) == (404, True)
    keyless = Caller(
        create_gateway(GatewayParts(line.store, build_policy("loopback-open", owner=line.inspector.number)))
    )
    for path in (f"/v1/certificates/{line.second}/credential", "/.well-known/did.json", "/v1/status-lists/0"):
        answer = keyless.ask(path)
        assert (answer.status_code, "signs no credentials" in answer.json()["detail"]) == (404, True)
