"""A key that never sees a network signs records; a courier has another participant's gateway put them on the ledger."""

from __future__ import annotations

import io
import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, redirect_stderr
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import pytest

from millmark.ledger.canonical import sha256
from millmark.ledger.chain import Deployment, write_deployment
from millmark.ledger.forward_requests import MAX_REQUEST_BYTES, SignedRequest, parse_request
from millmark.ledger.ids import identifier_hash
from millmark.ledger.keys import LocalSigner, create_keystore
from millmark.ledger.records import Disposition, ScrapLot
from millmark.ledger.signatures import to_checksum
from millmark.services.relay.client import MAX_RECORDS
from tests.support.command_line import Runner
from tests.support.loopback import closed_url, serving
from tests.support.relay_world import RelayWorld, lot, open_relay_world

pytestmark = pytest.mark.integration

SALT = b"\x07" * 32
SECRET = "canary-of-the-factory"


class Folder:
    """The factory's: a deployment file, a key, records. Nothing else is there, and no chain."""

    def __init__(self, deployment: Deployment, key: LocalSigner, run: Runner) -> None:
        self.run, self.home = run, run.home
        write_deployment(self.home / "deployment.json", deployment)
        create_keystore(self.home / "key.json", SECRET, signer=key, scrypt_cost=2)
        self.private("secret", SECRET)
        self.write(receive("urn:example:a"), receive("urn:example:b"))
        self.request = self.home / "request.json"

    def private(self, name: str, text: str) -> None:
        (self.home / name).touch(mode=0o600)
        (self.home / name).write_text(text + "\n")

    def write(self, *records: object) -> None:
        document = {"format": "millmark-records", "version": 1, "records": records}
        (self.home / "records.json").write_text(json.dumps(document))

    def signing(self, *more: str, nonce: int = 0) -> list[str]:
        key = [f"--signer=keystore:{self.home / 'key.json'}", f"--passphrase-file={self.home / 'secret'}"]
        output = [f"-o{self.request}", "--yes", "--deadline", in_ten_minutes()]
        return ["relay", "sign", str(self.home / "records.json"), f"--nonce={nonce}", *key, *output, *more]

    def ok(self, *arguments: str) -> str:
        code, out, err = self.run(*arguments)
        assert code == 0, err
        assert SECRET not in out + err
        return out


class Commands(Folder):
    """With a gateway of another participant at `url`."""

    def __init__(self, world: RelayWorld, url: str, run: Runner) -> None:
        super().__init__(world.world.chain.deployment, world.factory, run)
        self.world, self.url = world, url
        self.private("own", world.token(world.participant(world.factory)))

    def hand(self, signed: SignedRequest) -> None:
        self.request.write_bytes(signed.to_bytes())

    def submitting(self, *more: str, of: str = "own") -> list[str]:
        where = [f"--gateway={self.url}", f"--token-file={self.home / of}"]
        return ["relay", "submit", str(self.request), *where, "--wait=0", *more]


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Runner:
    (tmp_path / "home").mkdir()
    return Runner(tmp_path / "home", monkeypatch, capsys)


@pytest.fixture
def folder(runner: Runner) -> Folder:
    deployment = Deployment(
        31337, b"\x11" * 20, b"\x22" * 20, b"\x44" * 32, b"\x33" * 20, 0, b"\x55" * 32, 0, b"\x55" * 32
    )
    return Folder(deployment, LocalSigner.from_bytes(b"\x01" * 32), runner)


@pytest.fixture
def commands(tmp_path: Path, runner: Runner) -> Iterator[Commands]:
    with ExitStack() as stack:
        with redirect_stderr(io.StringIO()):  # the gateway's log, which would be taken for the command's
            world = stack.enter_context(open_relay_world(tmp_path))
        url = stack.enter_context(serving(world.caller.app))
        yield Commands(world, url, runner)


def receive(identifier: str, **other: object) -> dict[str, Any]:
    fields = {"identifier": identifier, "salt": "0x" + SALT.hex(), "quantity": 5, "unit": "H87"}
    return {"record": "ReceiveLot", "fields": {**fields, **other}}


def in_ten_minutes() -> str:
    return datetime.fromtimestamp(time.time() + 600, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_what_is_signed_offline_comes_onto_the_ledger_in_the_factorys_name(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: object, **__: object) -> NoReturn:
        raise AssertionError("signing needs no network")

    with monkeypatch.context() as cut:
        cut.setattr(socket, "socket", offline)
        cut.setattr(socket, "getaddrinfo", offline)
        shown = commands.ok(*commands.signing())
    assert not (commands.home / "millmark.sqlite").exists()
    hashed = identifier_hash(SALT, "urn:example:a")
    for expected in (to_checksum(commands.world.factory.address), "ReceiveLot", f"identifier_hash 0x{hashed.hex()}"):
        assert expected in shown
    digest = "0x" + parse_request(commands.request.read_bytes()).request.digest.hex()
    assert digest in shown
    assert digest in commands.ok("relay", "show", str(commands.request))

    assert commands.ok(*commands.submitting()) == f"{digest} is queued\n"
    commands.world.gateway_relay.step()
    assert commands.ok(*commands.submitting()) == f"{digest} is final\nrecord 1\nrecord 2\n"
    told = json.loads(commands.ok(*commands.submitting("--json")))
    assert told == {"format": "millmark.relay.submit/1", "digest": digest, "state": "final", "sequences": [1, 2]}
    chain = commands.world.world.chain
    recorded = [one for number in range(chain.head_number() + 1) for one in chain.recorded(chain.header(number))]
    assert {one.key for one in recorded if one.kind == "LotReceived"} == {commands.world.factory.address}
    key = to_checksum(commands.world.factory.address)
    terms = ["relay", "terms", key, f"--gateway={commands.url}", f"--token-file={commands.home / 'own'}", "--json"]
    assert json.loads(commands.ok(*terms))["nonce"] == 1


def test_the_same_input_gives_the_same_bytes(folder: Folder) -> None:
    deadline = ("--deadline", in_ten_minutes())
    folder.ok(*folder.signing(*deadline))
    first = folder.request.read_bytes()
    folder.ok(*folder.signing(*deadline))
    assert folder.request.read_bytes() == first
    folder.ok(*folder.signing(*deadline, nonce=1))
    assert folder.request.read_bytes() != first


def test_nothing_is_signed_dry_or_without_a_yes(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    told = json.loads(folder.ok(*folder.signing("--dry", "--json")))
    assert [one["record"] for one in told["records"]] == ["ReceiveLot", "ReceiveLot"]
    assert told["records"][0]["fields"]["unit"] == "H87"
    assert not folder.request.exists()
    unsaid = [option for option in folder.signing() if option != "--yes"]
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert folder.run(*unsaid)[0] == 130
    assert not folder.request.exists()


@pytest.mark.parametrize(
    ("records", "says"),
    [
        ([], "1 to 100 records"),
        ([receive(f"urn:example:{number}") for number in range(MAX_RECORDS + 1)], "1 to 100 records"),
        ([receive(f"urn:example:{number}") for number in range(41)], "exceed the 10000000 that gateways accept"),
        ([{"record": "SendLot", "fields": {}}], "record 1: unknown kind of record 'SendLot'"),
        ([receive("urn:example:a"), receive("urn:example:b", colour=1)], "record 2 (ReceiveLot): unknown field"),
        ([receive("urn:example:a", quantity="5")], "ReceiveLot.quantity cannot be '5'"),
        ([receive("urn:example:a", quantity=True)], "ReceiveLot.quantity cannot be True"),
        ([receive("urn:example:a", quantity=2**40)], "ReceiveLot.quantity cannot be 1099511627776"),
        ([receive("urn:example:a", salt="0x07")], "salt must be 32 bytes"),
        ([receive("urn:example:a", claims_root="0x" + "zz" * 32)], "claims_root must be 0x and hexadecimal digits"),
        (
            [receive("urn:example:a", identifier_hash="0x" + "00" * 32)],
            "identifier_hash is given together with identifier",
        ),
        ([receive("no identifier")], "record 1 (ReceiveLot)"),
        ([{"record": "ReceiveLot", "fields": {"quantity": 5, "unit": "H87"}}], "identifier_hash is missing"),
        ([receive("urn:example:a"), {"record": "AcceptKey", "fields": {"participant": 1}}], "registry and ledger"),
        (["ReceiveLot"], "record 1 does not have exactly the members"),
    ],
)
def test_records_that_are_none_are_refused(folder: Folder, records: list[object], says: str) -> None:
    folder.write(*records)
    code, said = folder.run.refused(*folder.signing())
    assert (code, says in said) == (2, True), said
    assert not folder.request.exists()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"{", "the records cannot be read"),
        (b"[" * 100_000, "the records cannot be read"),
        (b'{"format": "millmark-records", "format": "x", "version": 1, "records": []}', "the records cannot be read"),
        (
            b'{"format": "millmark-records", "version": 2, "records": [1]}',
            "the file is not in the format millmark-records, version 1",
        ),
        (b'{"records": []}', "does not have exactly the members"),
        (b"1", "does not have exactly the members"),
        (b" " * (1 << 20) + b"1", "larger than"),
    ],
)
def test_files_that_are_none_are_refused(folder: Folder, content: bytes, says: str) -> None:
    (folder.home / "records.json").write_bytes(content)
    code, said = folder.run.refused(*folder.signing())
    assert (code, says in said) == (2, True), said


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--deadline", "2020-01-01T00:00:00Z"], "the deadline 2020-01-01T00:00:00Z has passed"),
        (["--deadline", "soon"], "'soon' is not a valid time"),
        (["--nonce=-1"], "--nonce"),
        (["--gas=10000001"], "--gas"),
        (["--signer=keystore:none.json"], "none.json"),
    ],
)
def test_terms_that_cannot_be_are_refused(folder: Folder, options: list[str], says: str) -> None:
    code, said = folder.run.refused(*folder.signing(*options))
    assert (code in (1, 2), says in said) == (True, True), said
    assert not folder.request.exists()


def test_a_request_that_no_gateway_takes_for_its_size_is_not_written(folder: Folder) -> None:
    model = {"content": "0x" + "00" * MAX_REQUEST_BYTES}
    folder.write({"record": "PublishModel", "fields": model})
    code, said = folder.run.refused(*folder.signing())
    assert (code, "gateways accept 61440" in said) == (2, True), said
    assert not folder.request.exists()


def test_what_does_not_fit_is_not_sent(commands: Commands) -> None:
    world, now_s = commands.world, int(time.time())
    good = world.request(lot("a"))

    def refuse(signed: SignedRequest, code: int, says: str, of: str = "own") -> None:
        commands.hand(signed)
        found, said = commands.run.refused(*commands.submitting(of=of))
        assert (found, says in said) == (code, True), said

    passed = datetime.fromtimestamp(now_s - 5, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    refuse(world.request(lot("a"), deadline=now_s - 5), 2, f"the deadline {passed} has passed")
    refuse(world.request(lot("a"), chain_id=1), 1, "the request is for chain 1")
    refuse(world.request(lot("a"), forwarder=b"\x66" * 20), 1, "the request is for chain")
    refuse(world.request(lot("a"), to=b"\x66" * 20), 2, "neither registry nor ledger")
    refuse(world.request(lot("a"), nonce=3), 2, "the nonce is 3, but the key's next nonce is 0")
    refuse(SignedRequest(replace(good.request, nonce=1), good.signature), 2, "the signature is not the signer's")
    refuse(world.request(lot("a"), ScrapLot(sha256(b"none"), 1, Disposition.SCRAPPED, bytes(32))), 1, "LotUnknown")
    commands.private("foreign", world.token(world.participant(world.stranger)))
    refuse(good, 1, "the key belongs to another participant", "foreign")
    commands.private("short", "abc")
    refuse(good, 2, "fewer than 32 characters", "short")
    commands.request.write_bytes(b"{}")
    assert commands.run.refused(*commands.submitting())[0] == 2
    assert world.world.count() == 0


def test_what_the_ledger_comes_to_refuse_is_told(commands: Commands) -> None:
    """The gateway took it, and another record came first."""
    world = commands.world
    commands.hand(world.request(lot("same")))
    assert "is queued" in commands.ok(*commands.submitting())
    direct = world.world.submitter(world.gateway_relay._outbox, world.world.fund(world.factory))
    direct.submit([("first", lot("same"))])
    direct.drain()
    world.gateway_relay.step()
    code, said = commands.run.refused(*commands.submitting())
    assert (code, "HistorySubjectTaken" in said) == (1, True), said


def test_a_gateway_that_is_away_is_one_line(folder: Folder) -> None:
    folder.ok(*folder.signing())
    folder.private("own", "t" * 32)
    where = [f"--gateway={closed_url()}", f"--token-file={folder.home / 'own'}"]
    code, said = folder.run.refused("relay", "submit", str(folder.request), *where)
    assert (code, "the relay does not answer" in said) == (1, True), said
