"""A company publishes at its gateway, a partner without a chain fetches and opens: by commands, over real sockets."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, redirect_stderr
from pathlib import Path

import pytest

from millmark.ledger.chain import Deployment, write_deployment
from millmark.ledger.keys import create_keystore
from millmark.ledger.store import Registry
from millmark.services.access import Scope, new_api_key
from millmark.services.documents.client import HttpDocuments
from millmark.services.gateway import GatewayParts, build_policy, create_gateway
from millmark.services.settings import Auth
from tests.support.command_line import Runner
from tests.support.loopback import answering, closed_url, serving
from tests.support.shared_world import BILLET, DESCENDANT, NAMED, OWNER, SIBLING, SharedWorld, build_shared_world
from tests.support.sign_in import signer_of
from tests.support.stores import new_store

pytestmark = pytest.mark.integration

SECRET = "canary-of-the-partner"
CONTENT = b"%PDF-1.7 canary " + bytes(range(256)) * 4000


class Desk:
    """A folder with the tokens of several companies, the deployment file and a partner's keys."""

    def __init__(self, world: SharedWorld, url: str, run: Runner) -> None:
        self.url, self.run, self.home = url, run, run.home
        with world.store.reading() as connection:
            identity = Registry(connection).identity()
        assert identity is not None
        deployment = Deployment(
            identity.chain_id,
            b"\x11" * 20,
            identity.ledger,
            identity.ledger_id,
            b"\x33" * 20,
            0,
            identity.genesis_hash,
            0,
            identity.genesis_hash,
        )
        write_deployment(self.home / "deployment.json", deployment)
        for participant in (OWNER, DESCENDANT, SIBLING, NAMED):
            scopes = frozenset({Scope.DOCUMENTS, Scope.DOCUMENT_CHANGES})
            given = new_api_key(world.store, participant, scopes, "desk", now_s=int(time.time()), life_s=86_400)
            self.private(f"token-{participant}", given[0])
            create_keystore(self.home / f"{participant}.json", SECRET, signer=signer_of(participant), scrypt_cost=2)
        self.private("secret", SECRET)
        (self.home / "drawing.pdf").write_bytes(CONTENT)

    def private(self, name: str, text: str) -> None:
        (self.home / name).touch(mode=0o600)
        (self.home / name).write_text(text + "\n")

    def at(self, participant: int, url: str | None = None) -> list[str]:
        return [f"--gateway={url or self.url}", f"--token-file={self.home / f'token-{participant}'}"]

    def ok(self, *arguments: str) -> str:
        code, out, err = self.run("documents", *arguments)
        assert code == 0, err
        assert SECRET not in out + err
        return out

    def refused(self, *arguments: str) -> str:
        return self.run.refused("documents", *arguments)[1]

    def publish_key(self, participant: int) -> None:
        key, statement = self.home / f"recipient-{participant}.json", self.home / f"statement-{participant}.json"
        self.ok("keys", "new", str(key))
        signer = [f"--signer=keystore:{self.home / f'{participant}.json'}", f"--passphrase-file={self.home / 'secret'}"]
        statement.write_text(self.ok("keys", "sign", str(key), *signer))
        self.ok("keys", "publish", str(statement), *self.at(participant))

    def publish(self, *options: str) -> str:
        published = self.ok("publish", str(self.home / "drawing.pdf"), *options, *self.at(OWNER), "--json")
        return str(json.loads(published)["document"])

    def fetching(self, document: str, participant: int, *more: str, url: str | None = None) -> list[str]:
        key, output = self.home / f"recipient-{participant}.json", self.home / "out.pdf"
        return ["fetch", document, f"--key={key}", f"-o{output}", *self.at(participant, url), *more]

    @property
    def output(self) -> Path:
        return self.home / "out.pdf"


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Desk]:
    (tmp_path / "home").mkdir()
    with ExitStack() as stack:
        store = stack.enter_context(new_store(tmp_path))
        world = build_shared_world(store, tmp_path)
        with store.transaction() as connection:
            connection.exec_driver_sql("DELETE FROM recipient_keys")  # nobody published a key yet
        with redirect_stderr(io.StringIO()):  # the gateway's log, which would be taken for the command's
            app = create_gateway(GatewayParts(store, build_policy(Auth.REQUIRED, owner=OWNER), keys=world.ring))
        url = stack.enter_context(serving(app))
        yield Desk(world, url, Runner(tmp_path / "home", monkeypatch, capsys))


def test_from_the_companys_file_to_the_partners(desk: Desk) -> None:
    document = desk.publish(f"--about={BILLET}", "--mode=linked")
    desk.publish_key(DESCENDANT)
    listed = json.loads(desk.ok("found", f"--about={BILLET}", *desk.at(DESCENDANT), "--json"))["documents"]
    assert [one["document"] for one in listed] == [document]
    assert document in desk.ok("found", f"--about={BILLET}", *desk.at(DESCENDANT))
    told = json.loads(desk.ok(*desk.fetching(document, DESCENDANT, "--json")))
    assert (told["name"], told["media_type"], told["size"]) == ("drawing.pdf", "application/pdf", len(CONTENT))
    assert told["root"] == listed[0]["versions"][0]["root"]
    assert desk.output.read_bytes() == CONTENT
    assert desk.output.stat().st_mode & 0o077 == 0
    assert "root 0x" in desk.ok(*desk.fetching(document, DESCENDANT, "--version=1"))


def test_published_again_it_is_the_same_document(desk: Desk) -> None:
    first, second = desk.publish("--mode=consortium"), desk.publish("--mode=consortium")
    other = desk.publish("--mode=private")
    assert first == second != other


def test_a_grant_lets_in_and_its_end_shuts_out(desk: Desk) -> None:
    document = desk.publish("--mode=restricted")
    desk.publish_key(NAMED)
    assert "does not exist, or is not visible" in desk.refused(*desk.fetching(document, NAMED))
    assert "may read" in desk.ok("grant", document, str(NAMED), *desk.at(OWNER))
    desk.ok(*desk.fetching(document, NAMED))
    assert desk.output.read_bytes() == CONTENT
    desk.output.unlink()
    assert "may not read" in desk.ok("revoke", document, str(NAMED), *desk.at(OWNER))
    assert "does not exist, or is not visible" in desk.refused(*desk.fetching(document, NAMED))
    assert not desk.output.exists()


def test_what_a_partner_may_not_is_refused(desk: Desk) -> None:
    document = desk.publish(f"--about={BILLET}", "--mode=linked")
    desk.publish_key(DESCENDANT)
    desk.publish_key(SIBLING)
    assert "does not exist, or is not visible" in desk.refused(*desk.fetching(document, SIBLING))
    assert "refuses this credential" in desk.refused("publish", str(desk.home / "drawing.pdf"), *desk.at(SIBLING))
    assert "refuses this credential" in desk.refused("grant", document, str(NAMED), *desk.at(DESCENDANT))
    assert "does not exist, or is not visible" in desk.refused(*desk.fetching("0" * 32, DESCENDANT))
    assert "is not a document id" in desk.refused(*desk.fetching("../recipient-keys/1", DESCENDANT))
    assert "--gateway needs --token-file" in desk.refused("grant", document, str(NAMED), f"--gateway={desk.url}")
    assert "does not exist, or is not visible" in desk.refused("revoke", "0" * 32, str(NAMED), *desk.at(OWNER))


def test_keys_that_do_not_count_are_refused(desk: Desk) -> None:
    document = desk.publish(f"--about={BILLET}", "--mode=linked")
    desk.ok("keys", "new", str(desk.home / f"recipient-{DESCENDANT}.json"))
    assert "the gateway refuses" in desk.refused(*desk.fetching(document, DESCENDANT)), "no key is published"
    desk.publish_key(SIBLING)
    stolen = desk.home / f"statement-{SIBLING}.json"
    assert "the gateway refuses" in desk.refused("keys", "publish", str(stolen), *desk.at(DESCENDANT))
    stolen.write_text("{")
    assert desk.refused("keys", "publish", str(stolen), *desk.at(SIBLING))
    (desk.home / f"recipient-{DESCENDANT}.json").unlink()
    desk.publish_key(DESCENDANT)
    other = desk.home / "other.json"
    desk.ok("keys", "new", str(other))
    said = desk.refused(*desk.fetching(document, DESCENDANT, f"--key={other}"))
    assert "sealed for another key" in said
    (desk.home / f"recipient-{DESCENDANT}.json").chmod(0o644)
    assert "recipient" in desk.refused(*desk.fetching(document, DESCENDANT))
    assert not desk.output.exists()


def test_a_gateway_that_sends_something_else_is_not_believed(desk: Desk) -> None:
    document, other = desk.publish("--mode=consortium"), desk.publish("--mode=restricted")
    desk.ok("grant", other, str(DESCENDANT), *desk.at(OWNER))
    desk.publish_key(DESCENDANT)
    sealed = sealed_file(desk, other)

    def sends(body: bytes) -> str:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: x/y\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body)
        with answering(lambda line: line.sendall(head + body)) as url:
            return desk.refused(*desk.fetching(document, DESCENDANT, "--version=1", url=url))

    assert "a document other than the requested one" in sends(sealed)
    assert "malformed" in sends(sealed[:40] + b"?" + sealed[41:])
    assert "millmark:" in sends(sealed[:-1] + bytes([sealed[-1] ^ 1]))
    assert "incomplete" in sends(sealed[:100])
    assert "not a sealed document" in sends(b"{}")
    assert not desk.output.exists()


def sealed_file(desk: Desk, document: str) -> bytes:
    token = (desk.home / f"token-{DESCENDANT}").read_text().strip()
    documents = HttpDocuments(desk.url, token)
    try:
        return documents.fetch(document, 1)
    finally:
        documents.close()


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\n\r\n[", b'HTTP/1.1 200 OK\r\n\r\n{"items": 1}', b"HTTP/1.1 503 No\r\n\r\n"]
)
def test_answers_that_are_none_are_one_line(desk: Desk, answer: bytes) -> None:
    with answering(lambda line: line.sendall(answer)) as url:
        assert "the gateway" in desk.refused("found", *desk.at(OWNER, url))


def test_a_gateway_that_is_away_is_one_line(desk: Desk) -> None:
    assert "the gateway does not respond" in desk.refused("found", *desk.at(OWNER, closed_url()))
    assert "the gateway does not respond" in desk.refused("found", *desk.at(OWNER, "no url"))
    (desk.home / f"token-{OWNER}").chmod(0o644)
    assert "token" in desk.refused("found", *desk.at(OWNER))
