"""Homes made by `init` and `join`, against a real chain: companies join, see each other's names, and lose nothing when
a command is cut off between any two steps."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from millmark.ledger.chain import read_deployment
from millmark.ledger.keys import LocalSigner, create_keystore, write_private
from millmark.ledger.records import Contract, PublicationKind, Publish, Role
from millmark.ledger.store import Rows
from millmark.ledger.store.rows import RecordRow
from millmark.ledger.submit import Submitter
from millmark.services.commands import gateway, home, joining
from millmark.services.commands.context import Context, open_context
from millmark.services.devchain import create_devchain
from millmark.services.directory import DirectoryEntry, Operators, sign_statement
from millmark.services.gateway import GatewayParts, create_gateway
from millmark.services.gateway.http.authentication import build_policy
from millmark.services.home import AdmissionRequest, parse_request
from millmark.services.serving.server import listen
from millmark.services.settings import read_settings
from millmark.services.store import open_store
from tests.support.command_line import Runner
from tests.support.loopback import running, serving
from tests.support.ports import pick_port

pytestmark = pytest.mark.integration


class KilledError(BaseException):
    """Stands for the end of the process: nothing catches it, and open transactions are rolled back."""


@dataclass
class Site:
    """A chain, the operator's home, and commands in any home."""

    folder: Path
    chain: str
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]
    ports: dict[str, int] = field(default_factory=dict)

    def run(self, home: str, *arguments: str) -> tuple[int, str, str]:
        return Runner(self.folder / home, self.monkeypatch, self.capsys)(*arguments)

    def ok(self, home: str, *arguments: str) -> str:
        code, out, err = self.run(home, *arguments)
        assert code == 0, err
        return out

    def refused(self, home: str, *arguments: str) -> str:
        code, err = Runner(self.folder / home, self.monkeypatch, self.capsys).refused(*arguments)
        assert code in (1, 2)
        return err

    def init(self) -> str:
        self.ports["operator"] = pick_port()
        return self.ok(
            "operator",
            "init",
            "--name=Nordic Castings",
            f"--chain-url={self.chain}",
            f"--port={self.ports['operator']}",
            f"--passphrase-file={self.folder / 'operator.pass'}",
        )

    def join(self, home: str, name: str, *more: str) -> str:
        self.ports[home] = pick_port()
        return self.ok(
            home,
            "join",
            str(self.folder / "operator" / "consortium.json"),
            f"--name={name}",
            "--roles=MANUFACTURER",
            f"--port={self.ports[home]}",
            f"--passphrase-file={self.folder / home / 'passphrase'}",
            *more,
        )

    def request(self, home: str) -> str:
        return str(self.folder / home / "request.json")

    def records(self, home: str, kind: str) -> int:
        """How many records of a kind the index of a home has."""
        with open_store(read_settings(self.folder / home).database_url) as store, store.reading() as connection:
            return len(Rows(connection).find(RecordRow, contract=Contract.REGISTRY.value, kind=kind))

    def missing(self, home: str) -> list[str]:
        """What the status of a home says is missing, without addresses, other than a running gateway."""
        told = json.loads(self.ok(home, "status", "--json"))["missing"]
        lacks = [re.sub(r" 0x[0-9a-fA-F]{40}$", "", one["what"]) for one in told]
        return [one for one in lacks if not one.startswith("no gateway answers")]

    def settings_text(self, home: str) -> str:
        return (self.folder / home / "millmark.toml").read_text()


@pytest.fixture(scope="module")
def chain() -> Iterator[str]:
    with serving(create_devchain()) as url:
        yield url


@pytest.fixture
def site(tmp_path: Path, chain: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Site:
    monkeypatch.setattr(home, "create_keystore", functools.partial(create_keystore, scrypt_cost=2))  # not a second
    monkeypatch.setattr(gateway, "serve", lambda *_: None)  # the gateway ends where it would begin to serve
    return Site(tmp_path, chain, monkeypatch, capsys)


@contextmanager
def operators_gateway(site: Site) -> Iterator[None]:
    """Serves what the operator's index has now, at the URL that the companies know."""
    site.run("operator", "status")  # catches up
    port = site.ports["operator"]
    with open_store(read_settings(site.folder / "operator").database_url) as store:
        app = create_gateway(GatewayParts(store, build_policy(port=port)))
        served = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
        with listen("127.0.0.1", port) as listener, running(served, listener):
            yield


class Kills:
    """Ends a command after the n-th step that could have left something behind."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, steps: Sequence[tuple[Any, str]]) -> None:
        self.before: int | None = None
        """Steps until the end; None for no end."""
        for owner, name in steps:
            monkeypatch.setattr(owner, name, self._counted(getattr(owner, name)))

    def _counted(self, step: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(step)
        def counted(*given: Any, **named: Any) -> Any:
            done = step(*given, **named)
            if self.before is not None:
                self.before -= 1
                if self.before < 0:
                    self.before = None
                    raise KilledError
            return done

        return counted

    def ends(self, after: int, command: Callable[[], object]) -> bool:
        """Runs a command that ends after so many steps. Returns whether it ended, or was done before."""
        self.before = after
        try:
            command()
        except KilledError:
            return True
        finally:
            self.before = None
        return False


SENDING = [(Submitter, "submit"), (Context, "record")]


@dataclass(frozen=True)
class Company:
    """A company with a home whose keys cost nothing to open."""

    home: str
    name: str
    key: LocalSigner

    def prepare(self, site: Site) -> str:
        """Makes its home as `join` does. Returns the request file."""
        folder = site.folder / self.home
        folder.mkdir()
        for name, secret in (("key", self.key), ("names", LocalSigner.generate())):
            write_private(folder / name, secret.unsafe_secret().hex().encode())
        (folder / "deployment.json").write_bytes((site.folder / "operator" / "deployment.json").read_bytes())
        (folder / "millmark.toml").write_text(
            f'chain_url = "{site.chain}"\ngateway_signer = "file:key"\ngateway_name_keys = ["file:names"]\n'
            f'directory_url = "http://127.0.0.1:{site.ports["operator"]}"\n'
        )
        deployment = read_deployment(folder / "deployment.json")
        public_key = X25519PrivateKey.generate().public_key().public_bytes_raw()
        statement = sign_statement(deployment.chain_id, deployment.ledger, public_key, 1_800_000_000, self.key)
        entry = DirectoryEntry(0, self.name, recipient_key=statement)
        request = AdmissionRequest(deployment.chain_id, deployment.ledger, self.key.address, Role.CARRIER, entry)
        (folder / "request.json").write_bytes(request.to_bytes())
        return str(folder / "request.json")


def test_a_joining_that_is_cut_off_anywhere_is_completed_and_nothing_is_doubled(site: Site) -> None:
    """Admission by the operator, then completion by the company; each ends after its first, second, ... step, and is
    then repeated."""
    site.init()
    admitting = Kills(
        site.monkeypatch,
        [
            *SENDING,
            *((joining, name) for name in ("keep_admission", "take_directory")),
        ],
    )
    companies: list[Company] = []
    ended = True
    while ended:
        company = Company(f"c{len(companies)}", f"Company {len(companies)}", LocalSigner.generate())
        request = company.prepare(site)
        admit = functools.partial(site.ok, "operator", "participants", "admit", request)
        ended = admitting.ends(len(companies), admit)
        companies.append(company)
        assert f"participant {len(companies)}: {company.name}" in admit()
    assert len(companies) == 8
    assert site.records("operator", "ParticipantAdmitted") == len(companies)
    assert site.records("operator", "Published") == len(companies)

    joining_ends = Kills(site.monkeypatch, [*SENDING, (joining, "write_whole")])
    ended, count = True, 0
    while ended:
        join = functools.partial(site.ok, companies[count].home, "join")
        ended = joining_ends.ends(count, join)
        count += 1
        assert f"participant {count} has joined" in join()
        assert f"gateway_participant = {count}\n" in site.settings_text(companies[count - 1].home)
    assert count == 4
    site.ok("operator", "status")
    assert (site.records("operator", "KeyAdded"), site.records("operator", "NameKeySet")) == (count, count)


def test_two_joinings_at_the_same_moment_record_each_thing_once(site: Site) -> None:
    """As when `join` is given while the gateway starts: the other one is done when the first comes to recording."""
    site.init()
    request = Company("elm", "Elm Cutting", LocalSigner.generate()).prepare(site)
    site.ok("operator", "participants", "admit", request)
    record, other = Context.record, list[str]()

    def second(self: Context, *given: Any, **named: Any) -> Any:
        if not other:
            other.append("")
            other[0] = site.ok("elm", "join")
        return record(self, *given, **named)

    site.monkeypatch.setattr(Context, "record", second)
    for told in (site.ok("elm", "join"), other[0]):
        assert "accepted the key: it signs for participant 1" in told
    site.ok("operator", "status")
    assert (site.records("operator", "KeyAdded"), site.records("operator", "NameKeySet")) == (1, 1)
    assert json.loads(site.ok("elm", "outbox", "list", "--json"))["records"] == []  # none was refused


def test_a_home_that_is_cut_off_while_it_is_made_is_completed_with_the_same_keys(site: Site) -> None:
    making = Kills(
        site.monkeypatch,
        [
            (home, "create_keystore"),
            (home, "write_private"),
            (home, "write_deployment"),
            (home, "write_whole"),
            (home, "create_recipient_key"),
        ],
    )
    seen: set[str] = set()
    for step in (3, 4):  # after the deployment file, and after the settings: the contracts are deployed once
        assert making.ends(step - 1, site.init) is (step == 3)
        seen.add((site.folder / "operator" / "deployment.json").read_text())
    assert len(seen) == 1
    ended, step = True, 0
    while ended:
        folder = site.folder / f"c{step}"
        ended = making.ends(step, functools.partial(site.join, folder.name, f"Company {step}"))
        before = {path.name: path.read_bytes() for path in folder.glob("*.json")}
        if not (folder / "request.json").exists():
            site.join(folder.name, f"Company {step}")
        assert all((folder / name).read_bytes() == content for name, content in before.items())
        parse_request((folder / "request.json").read_bytes())
        step += 1
    assert step > 6


def test_from_empty_folders_to_names(site: Site) -> None:
    """The printed next step is always the right one, and the status says the same."""
    told = site.init()
    assert f"millmark --home {site.folder / 'operator'} participants admit" in told
    assert f"millmark --home {site.folder / 'alder'} gateway" in site.join(
        "alder", "Alder Forge", "--gln=4012345000009"
    )
    site.join("birch", "Birch Müller 铸造")
    assert site.refused("alder", "join").startswith("millmark: the operator has not admitted the key 0x")
    assert site.missing("alder") == ["the operator has not admitted the key"]
    told = site.ok("operator", "participants", "admit", site.request("alder"), site.request("birch"))
    assert re.search(r"^participant 1: Alder Forge, MANUFACTURER, key 0x", told)
    assert site.missing("alder") == ["the key has not accepted to sign for participant 1"]
    assert site.missing("operator") == [
        "participant 1 Alder Forge has not accepted its key",
        "participant 2 Birch Müller 铸造 has not accepted its key",
    ]
    told = site.ok("alder", "join")
    assert "accepted the key: it signs for participant 1" in told
    assert "registered the name key" in told
    assert "gateway_participant = 1\n" in site.settings_text("alder")
    assert "no directory yet" in told  # the operator's gateway does not run
    assert site.missing("alder") == ["the directory is not here yet, so companies are numbers"]
    _, _, told = site.run("birch", "gateway")  # completes the joining before it serves
    for line in ("accepted the key", "registered the name key", "gateway_participant = 2", "no directory yet"):
        assert line in told
    with operators_gateway(site):
        assert "imported the directory: 2 companies have names" in site.ok("alder", "join")
        assert "imported the directory" not in site.ok("alder", "join")  # nothing is done twice
        assert site.ok("birch", "directory", "import") == "2 companies have names\n"
    assert site.missing("alder") == site.missing("birch") == site.missing("operator") == []
    shown = json.loads(site.ok("birch", "directory", "show", "--json"))
    assert [(one["participant"], one["name"], one["gln"]) for one in shown["entries"]] == [
        (1, "Alder Forge", "4012345000009"),
        (2, "Birch Müller 铸造", None),
    ]
    assert shown["latest"] is True
    assert {one["recipient_key_state"] for one in shown["entries"]} == {"valid"}
    listed = json.loads(site.ok("alder", "participants", "list", "--json"))["participants"]
    assert [one["name"] for one in listed] == ["Alder Forge", "Birch Müller 铸造"]
    trust = site.folder / "trust.json"
    site.ok("birch", "trust", "-o", str(trust))  # with it, the verifier prints the names
    assert [one["name"] for one in json.loads(trust.read_text())["participants"]] == [
        "Alder Forge",
        "Birch Müller 铸造",
    ]
    assert (site.records("birch", "ParticipantAdmitted"), site.records("birch", "Published")) == (2, 1)
    assert (site.records("birch", "KeyAdded"), site.records("birch", "NameKeySet")) == (2, 2)
    _rename(site)


def _publish_as_council(site: Site) -> None:
    """A council that owns the registry: a member signs, a motion publishes, and the member repeats its command."""
    member = [
        f"--signer=keystore:{site.folder / 'alder' / 'key.json'}",
        f"--passphrase-file={site.folder / 'alder' / 'passphrase'}",
    ]
    assert "the key does not own the registry" in site.refused("operator", "directory", "publish", *member)
    site.monkeypatch.setattr(joining, "fetch_operators", lambda _: Operators(bytes([7]) * 20, (1,)))
    site.ok("birch", "join", "--renew", "--name=Birch AG")
    owner = f"--passphrase-file={site.folder / 'operator.pass'}"
    told = site.run("operator", "participants", "admit", site.request("birch"), owner)[2]
    assert "the key does not own the registry" in told  # its entry is kept
    told = site.refused("operator", "directory", "publish", *member)
    assert "a council owns the registry; run `millmark council propose publish 1 0x" in told
    digest = re.findall(r"publish 1 (0x[0-9a-f]{64})", told)[0]
    with open_context(site.folder / "operator") as opened:
        key = opened.unlock_operator(None, site.folder / "operator.pass")
        opened.record(key, [Publish(PublicationKind.DIRECTORY, bytes.fromhex(digest[2:]))])  # as the motion does
    assert site.ok("operator", "directory", "publish", *member) == f"directory of 2 companies published: {digest}\n"
    assert json.loads(site.ok("operator", "directory", "show", "--json"))["entries"][1]["name"] == "Birch AG"


def _rename(site: Site) -> None:
    """Alder takes another name, and Birch, which cannot reach the operator, gets the directory as a file."""
    first, second = site.folder / "first.json", site.folder / "second.json"
    site.ok("birch", "directory", "show", "-o", str(first))
    site.ok("alder", "join", "--renew", "--name=Alder & Söhne")
    site.ok("operator", "participants", "admit", site.request("alder"))
    assert "unchanged" in site.ok("operator", "directory", "publish", "-o", str(second))
    assert site.missing("birch") == ["the operator has published a later directory"]
    damaged = site.folder / "damaged.json"
    damaged.write_bytes(second.read_bytes().replace("Söhne".encode(), "Söhnz".encode()))
    assert "not by the operator" in site.refused("birch", "directory", "import", str(damaged))
    assert site.ok("birch", "directory", "import", str(second)) == "2 companies have names\n"
    assert "is older than the one that is known here" in site.refused("birch", "directory", "import", str(first))
    assert site.ok("birch", "directory", "import", str(second)).startswith("nothing new")
    [alder, _] = json.loads(site.ok("birch", "participants", "list", "--json"))["participants"]
    assert alder["name"] == "Alder & Söhne"
    assert (site.records("birch", "ParticipantAdmitted"), site.records("birch", "Published")) == (2, 2)
    _publish_as_council(site)
