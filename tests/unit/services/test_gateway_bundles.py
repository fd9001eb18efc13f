"""Bundles that a gateway makes of what it recorded."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from millmark.ledger.bundle import MEDIA_TYPE, digest_of, parse_bundle
from millmark.ledger.index import Follower
from millmark.ledger.names import NameKey
from millmark.ledger.provenance import build_bundle
from millmark.ledger.records import ALL_ROLES
from millmark.ledger.store import Registry
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.trust import Validator, Validators, parse_trust
from millmark.ledger.verify import verify_bundle
from millmark.services.access import Scope, new_api_key
from millmark.services.gateway import GatewayParts, build_policy, create_gateway
from millmark.services.portal.proofs import Proof, Proofs
from millmark.services.settings import Auth
from tests.support.company_site import PART, Site, open_site
from tests.support.gateway_client import Caller, build_caller, running
from tests.support.patience import wait_until
from tests.support.sealing import validators
from tests.support.sign_in import NOW_S, ORIGIN
from tests.support.story import named


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    yield from open_site(tmp_path)


def test_a_bundle_shows_names_under_each_name_key(site: Site) -> None:
    """Also those made before the key was replaced."""
    before = site.final("/v1/lots/receive", identifier=PART, quantity=1, unit="H87")["subjects"][0]
    site.name_keys.append(NameKey(b"\x06" * 32))
    site.start()
    site.set_name_key(site.name_keys[1])
    after = site.final("/v1/lots/receive", identifier=PART + "2", quantity=1, unit="H87")["subjects"][0]
    for lot, keys in ((before, 1), (after, 2)):
        data = build_bundle(site.store, site.world.chain, [bytes.fromhex(lot[2:])])
        assert [len(one.proofs) for one in parse_bundle(data).identities] == [keys]


def test_a_bundle_over_http_is_verified_offline_with_the_trust_file_over_http(site: Site) -> None:
    lot = site.final("/v1/lots/receive", identifier=PART, quantity=1, unit="H87", claims={"heat": 7})["subjects"][0]
    site.final(f"/v1/lots/{lot}/quarantine", reason={"text": "a scratch"})
    asked = build_caller(site.store, chain=site.world.chain)
    answer = asked.ask(f"/v1/bundles?lot={PART}")
    trust = asked.ask("/v1/trust")
    assert (answer.status_code, answer.headers["content-type"]) == (200, MEDIA_TYPE)
    assert answer.content == asked.ask(f"/v1/bundles?lot={lot}").content
    now_s = int(time.time())
    report = verify_bundle(answer.content, parse_trust(trust.content), now_s=now_s, any_status=True)
    assert [part.identifier for part in named(report, "part", "lot")] == [PART]
    described = asked.ask("/openapi.json").json()["paths"]["/v1/bundles"]["get"]["responses"]["200"]["headers"]["ETag"]
    assert re.search(described["schema"]["pattern"], answer.headers["etag"])
    known = asked.ask(f"/v1/bundles?lot={PART}", If_None_Match=answer.headers["etag"])
    assert (known.status_code, known.content) == (304, b"")
    shown = asked.ask(f"/v1/bundles?lot={PART}&disclose=claims")
    assert len(shown.content) > len(answer.content)
    for path in ("/v1/bundles", "/v1/bundles?lot=" + "&lot=".join([lot] * 17), f"/v1/bundles?lot={lot}&disclose="):
        assert asked.ask(path).status_code == 422
    assert asked.ask(f"/v1/bundles?lot={lot}&disclose=everything").status_code == 400
    assert asked.ask(f"/v1/bundles?lot=0x{'77' * 32}").status_code == 404


def test_a_bundle_of_a_sealed_chain_has_seals_and_is_believed_by_its_validators(tmp_path: Path) -> None:
    keys = validators(4)
    for site in open_site(tmp_path, keys):
        lot = site.final("/v1/lots/receive", identifier=PART, quantity=1, unit="H87")["subjects"][0]
        asked = build_caller(site.store, chain=site.world.chain)
        answer = asked.ask(f"/v1/bundles?lot={lot}")
        trust = parse_trust(asked.ask("/v1/trust?validators=true").content)
        assert trust.checkpoint == Validators(tuple(Validator(one.address) for one in keys))
        report = verify_bundle(answer.content, trust, now_s=int(time.time()))
        assert "checkpoint_sealed" in {one.code for one in report.statements}
        assert answer.headers["etag"] == f'W/"{digest_of(parse_bundle(answer.content)).hex()[:32]}"'
        assert asked.ask(f"/v1/bundles?lot={lot}", If_None_Match=answer.headers["etag"]).status_code == 304
        proof = Proofs(site.store, site.world.chain, None).fetch(bytes.fromhex(lot[2:]), None, int(time.time()))
        assert isinstance(proof, Proof)
        assert parse_trust(proof.trust).checkpoint == trust.checkpoint
        assert proof.refused is None


def test_without_seals_there_is_no_trust_file_of_validators(site: Site) -> None:
    asked = build_caller(site.store, chain=site.world.chain)
    answer = asked.ask("/v1/trust?validators=true")
    assert answer.status_code == 400
    assert "no seals" in answer.json()["detail"]


def test_a_bundle_is_of_what_there_is_for_the_caller_and_discloses_no_more(site: Site) -> None:
    lot = site.final("/v1/lots/receive", identifier=PART, quantity=1, unit="H87", claims={"heat": 7})["subjects"][0]
    stranger = site.world.admit(Outbox(site.store), ALL_ROLES)
    Follower(site.world.chain, site.store).follow()
    with site.store.reading() as connection:
        found = Registry(connection).participant_of(stranger.address)
    assert found is not None
    keys = {
        number: new_api_key(site.store, number, [Scope.PROVENANCE], "ERP", now_s=NOW_S, life_s=900)[0]
        for number in (site.number, found.number)
    }
    policy = build_policy(Auth.REQUIRED, url=ORIGIN, owner=found.number)
    app = create_gateway(GatewayParts(site.store, policy, chain=site.world.chain, clock=lambda: NOW_S))

    def ask(path: str, number: int) -> httpx.Response:
        return Caller(app).ask(path, Host="gateway.example", Authorization=f"Bearer {keys[number]}")

    with running(app):  # until the index has followed the chain, no credential is accepted
        wait_until(lambda: ask("/v1/session", site.number).status_code == 200)
    assert ask(f"/v1/bundles?lot={lot}&disclose=names", site.number).status_code == 200
    for word in ("claims", "evidence", "inferences", "/heat"):
        assert ask(f"/v1/bundles?lot={lot}&disclose={word}", site.number).status_code == 403
    assert ask(f"/v1/bundles?lot={lot}&disclose=claims", found.number).status_code == 200
    third = site.world.admit(Outbox(site.store), ALL_ROLES)
    Follower(site.world.chain, site.store).follow()
    with site.store.reading() as connection:
        other = Registry(connection).participant_of(third.address)
    assert other is not None
    keys[other.number] = new_api_key(site.store, other.number, [Scope.PROVENANCE], "x", now_s=NOW_S, life_s=900)[0]
    foreign, none = (ask(f"/v1/bundles?lot=0x{name}", other.number) for name in (lot[2:], "77" * 32))
    assert (foreign.status_code, none.status_code) == (404, 404)
    assert foreign.json()["detail"].replace(lot[2:], "77" * 32) == none.json()["detail"]
