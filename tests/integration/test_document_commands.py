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


class Commands:
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
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Commands]:
    (tmp_path / "home").mkdir()
    with ExitStack() as stack:
        store = stack.enter_context(new_store(tmp_path))
        world = build_shared_world(store, tmp_path)
        with store.transaction() as connection:
            connection.exec_driver_sql("DELETE FROM recipient_keys")  # nobody published a key yet
        with redirect_stderr(io.StringIO()):  # the gateway's log, which would be taken for the command's
            app = create_gateway(GatewayParts(store, build_policy(Auth.REQUIRED, owner=OWNER), keys=world.ring))
        url = stack.enter_context(serving(app))
        yield Commands(world, url, Runner(tmp_path / "home", monkeypatch, capsys))


def test_from_the_companys_file_to_the_partners(commands: Commands) -> None:
    document = commands.publish(f"--about={BILLET}", "--mode=linked")
    commands.publish_key(DESCENDANT)
    listed = json.loads(commands.ok("found", f"--about={BILLET}", *commands.at(DESCENDANT), "--json"))["documents"]
    assert [one["document"] for one in listed] == [document]
    assert document in commands.ok("found", f"--about={BILLET}", *commands.at(DESCENDANT))
    told = json.loads(commands.ok(*commands.fetching(document, DESCENDANT, "--json")))
    assert (told["name"], told["media_type"], told["size"]) == ("drawing.pdf", "application/pdf", len(CONTENT))
    assert told["root"] == listed[0]["versions"][0]["root"]
    assert commands.output.read_bytes() == CONTENT
    assert commands.output.stat().st_mode & 0o077 == 0
    assert "root 0x" in commands.ok(*commands.fetching(document, DESCENDANT, "--version=1"))


def test_published_again_it_is_the_same_document(commands: Commands) -> None:
    first, second = commands.publish("--mode=consortium"), commands.publish("--mode=consortium")
    other = commands.publish("--mode=private")
    assert first == second != other


def test_a_grant_lets_in_and_its_end_shuts_out(commands: Commands) -> None:
    document = commands.publish("--mode=restricted")
    commands.publish_key(NAMED)
    assert "does not exist, or is not visible" in commands.refused(*commands.fetching(document, NAMED))
    assert "may read" in commands.ok("grant", document, str(NAMED), *commands.at(OWNER))
    commands.ok(*commands.fetching(document, NAMED))
    assert commands.output.read_bytes() == CONTENT
    commands.output.unlink()
    assert "may not read" in commands.ok("revoke", document, str(NAMED), *commands.at(OWNER))
    assert "does not exist, or is not visible" in commands.refused(*commands.fetching(document, NAMED))
    assert not commands.output.exists()


def test_what_a_partner_may_not_is_refused(commands: Commands) -> None:
    document = commands.publish(f"--about={BILLET}", "--mode=linked")
    commands.publish_key(DESCENDANT)
    commands.publish_key(SIBLING)
    assert "does not exist, or is not visible" in commands.refused(*commands.fetching(document, SIBLING))
    assert "refuses this credential" in commands.refused(
        "publish", str(commands.home / "drawing.pdf"), *commands.at(SIBLING)
    )
    assert "refuses this credential" in commands.refused("grant", document, str(NAMED), *commands.at(DESCENDANT))
    assert "does not exist, or is not visible" in commands.refused(*commands.fetching("0" * 32, DESCENDANT))
    assert "is not a document id" in commands.refused(*commands.fetching("../recipient-keys/1", DESCENDANT))
    assert "--gateway needs --token-file" in commands.refused(
        "grant", document, str(NAMED), f"--gateway={commands.url}"
    )
    assert "does not exist, or is not visible" in commands.refused("revoke", "0" * 32, str(NAMED), *commands.at(OWNER))


def test_keys_that_do_not_count_are_refused(commands: Commands) -> None:
    document = commands.publish(f"--about={BILLET}", "--mode=linked")
    commands.ok("keys", "new", str(commands.home / f"recipient-{DESCENDANT}.json"))
    assert "the gateway refuses" in commands.refused(*commands.fetching(document, DESCENDANT)), "no key is published"
    commands.publish_key(SIBLING)
    stolen = commands.home / f"statement-{SIBLING}.json"
    assert "the gateway refuses" in commands.refused("keys", "publish", str(stolen), *commands.at(DESCENDANT))
    stolen.write_text("{")
    assert commands.refused("keys", "publish", str(stolen), *commands.at(SIBLING))
    (commands.home / f"recipient-{DESCENDANT}.json").unlink()
    commands.publish_key(DESCENDANT)
    other = commands.home / "other.json"
    commands.ok("keys", "new", str(other))
    said = commands.refused(*commands.fetching(document, DESCENDANT, f"--key={other}"))
    assert "sealed for another key" in said
    (commands.home / f"recipient-{DESCENDANT}.json").chmod(0o644)
    assert "recipient" in commands.refused(*commands.fetching(document, DESCENDANT))
    assert not commands.output.exists()


def test_a_gateway_that_sends_something_else_is_not_believed(commands: Commands) -> None:
    document, other = commands.publish("--mode=consortium"), commands.publish("--mode=restricted")
    commands.ok("grant", other, str(DESCENDANT), *commands.at(OWNER))
    commands.publish_key(DESCENDANT)
    sealed = sealed_file(commands, other)

    def sends(body: bytes) -> str:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: x/y\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body)
        with answering(lambda line: line.sendall(head + body)) as url:
            return commands.refused(*commands.fetching(document, DESCENDANT, "--version=1", url=url))

    assert "a document other than the requested one" in sends(sealed)
    assert "malformed" in sends(sealed[:40] + b"?" + sealed[41:])
    assert "millmark:" in sends(sealed[:-1] + bytes([sealed[-1] ^ 1]))
    assert "incomplete" in sends(sealed[:100])
    assert "not a sealed document" in sends(b"{}")
    assert not commands.output.exists()


def sealed_file(commands: Commands, document: str) -> bytes:
    token = (commands.home / f"token-{DESCENDANT}").read_text().strip()
    documents = HttpDocuments(commands.url, token)
    try:
        return documents.fetch(document, 1)
    finally:
        documents.close()


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\n\r\n[", b'HTTP/1.1 200 OK\r\n\r\n{"items": 1}', b"HTTP/1.1 503 No\r\n\r\n"]
)
def test_answers_that_are_none_are_one_line(commands: Commands, answer: bytes) -> None:
    with answering(lambda line: line.sendall(answer)) as url:
        assert "the gateway" in commands.refused("found", *commands.at(OWNER, url))


def test_a_gateway_that_is_away_is_one_line(commands: Commands) -> None:
    assert "the gateway does not respond" in commands.refused("found", *commands.at(OWNER, closed_url()))
    assert "the gateway does not respond" in commands.refused("found", *commands.at(OWNER, "no url"))
    (commands.home / f"token-{OWNER}").chmod(0o644)
    assert "token" in commands.refused("found", *commands.at(OWNER))
