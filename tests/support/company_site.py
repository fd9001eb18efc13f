"""Companies on the embedded chain behind their own gateways: one that records, its people, another one beside it, and
the consortium's operator. Threads of gateways do not run here: `send` does their work."""

from __future__ import annotations

import functools
import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx

from millmark.ledger.chain import EmbeddedChain
from millmark.ledger.evidence import EvidenceLog
from millmark.ledger.index import Follower
from millmark.ledger.keys import LocalSigner
from millmark.ledger.names import NameKey
from millmark.ledger.records import ALL_ROLES, Record, Role, SetNameKey
from millmark.ledger.store import Book, Rows, Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.rows import ParticipantRow
from millmark.services.access import OPERATOR
from millmark.services.access.rules import PersonRole
from millmark.services.audit import AuditLog
from millmark.services.directory import DirectoryEntry, sign_statement
from millmark.services.gateway.consortium import Upkeep
from millmark.services.home import AdmissionRequest
from millmark.services.serving.logs import build_logger
from tests.support.gateway_client import Browser, Caller, act, build_caller, enter, read
from tests.support.ledger_world import Founded, LedgerWorld, build_world
from tests.support.sign_in import NOW_S
from tests.support.stores import new_store

PART = "https://id.gs1.org/01/09506000134352/21/W-1"
PAGE = "/portal/consortium"
DAY_S = 86_400

D = TypeVar("D", bound="Day")
F = TypeVar("F")


@dataclass
class Site:
    """One company with every role, its key at the gateway, and a machine, on the embedded chain."""

    store: Store
    world: LedgerWorld
    signer: LocalSigner
    caller: Caller = field(init=False)
    """The API, open to all."""
    number: int = 0
    name_keys: list[NameKey] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """The application anew, as after a restart. Its thread is not running: `send` does what it would do."""
        self.caller = build_caller(self.store, recording=(self.world.chain, self.signer), name_keys=self.name_keys)

    def send(self) -> None:
        self.world.submitter(Outbox(self.store), self.signer).drain()
        Follower(self.world.chain, self.store).follow()

    def post(self, path: str, body: object, key: str = "") -> httpx.Response:
        return self.caller.ask(path, "POST", body, Idempotency_Key=key or str(uuid.uuid4()))

    def record(self, path: str, **body: Any) -> dict[str, Any]:
        """Asks, sends, and gives the record's fate."""
        answer = self.post(path, body)
        assert answer.status_code == 202, answer.text
        assert answer.json()["state"] == "queued"
        self.send()
        found: dict[str, Any] = self.caller.ask(answer.headers["location"]).json()
        return found

    def final(self, path: str, **body: Any) -> dict[str, Any]:
        fate = self.record(path, **body)
        assert fate["state"] == "final", fate
        return fate

    def set_name_key(self, key: NameKey) -> None:
        submitter = self.world.submitter(Outbox(self.store), self.signer)
        submitter.submit([(f"name-{key.hash.hex()}", SetNameKey(key.hash))])
        self.send()


@dataclass
class ActingSite(Site):
    """Whose people sign in at `portal`, and at `silent`, which has no key to record with."""

    portal: Caller = field(init=False)
    audit: AuditLog | None = None

    def start(self) -> None:
        super().start()
        self.portal = self.portal_with(recording=(self.world.chain, self.signer), audit=self.audit)

    @functools.cached_property
    def silent(self) -> Caller:
        return self.portal_with()

    def portal_with(self, **parts: Any) -> Caller:
        """The company's gateway with these parts."""
        return build_caller(self.store, self.number, name_keys=self.name_keys, **parts)

    def person(self, role: PersonRole = PersonRole.RECORDER, *, caller: Caller | None = None) -> Browser:
        """A person of the company with this role, signed in."""
        return enter(self.store, caller or self.portal, self.number, role)


def found(world: LedgerWorld, store: Store) -> tuple[LocalSigner, NameKey, int]:
    """A company with its name key, and its number."""
    signer = world.admit(Outbox(store), ALL_ROLES)
    key = world.register_name_key(Outbox(store), signer)
    Follower(world.chain, store).follow()
    return signer, key, world.participants()


FOUNDED = Founded(found)


def open_site(folder: Path, sealing: Sequence[LocalSigner] = ()) -> Iterator[Site]:
    """A site; with `sealing`, on a chain of its own, whose blocks these validators seal."""
    with new_store(folder) as store:
        if sealing:
            world = build_world(EmbeddedChain(validators=sealing))
            signer, key, number = found(world, store)
        else:
            world, (signer, key, number) = FOUNDED.copy(store)
        yield Site(store, world, signer, number=number, name_keys=[key])


def open_acting_site(folder: Path, audit: AuditLog | None = None) -> Iterator[ActingSite]:
    with new_store(folder) as store:
        world, (signer, key, number) = FOUNDED.copy(store)
        yield ActingSite(store, world, signer, number=number, name_keys=[key], audit=audit)


@dataclass
class Day:
    """A company, one of its people, and another company on the same ledger."""

    site: ActingSite
    person: Browser
    other: LocalSigner
    other_number: int = 0

    def do(self, name: str, key: str = "", /, **entries: str) -> bytes:
        """Has it recorded, finally. Returns the subject that it creates, if any."""
        query = "" if not key else f"?{'subject' if len(key) == 64 else 'id'}={key}"
        path = f"/portal/act/{name}{query}"
        answer = act(self.person, path, entries)
        assert answer.status_code == 303, read(answer.text)
        self.site.send()
        page = self.person.get(answer.headers["location"])
        assert "Done: final" in read(page.text), read(page.text)
        number = re.search(r"/records/(\d+)", answer.headers["location"])
        assert number is not None
        made = self.site.caller.ask(f"/v1/records/{number[1]}").json()["subjects"]
        return bytes.fromhex(made[0][2:]) if made else b""

    def offered(self, path: str) -> list[str]:
        """The names of the acts for which a page has buttons."""
        return re.findall(r'href="/portal/act/(\w+)', self.person.get(path).text)

    def by_other(self, *records: Record) -> None:
        submitter = self.site.world.submitter(Outbox(self.site.store), self.other)
        submitter.submit([(f"other-{one!r}"[:200], one) for one in records])
        submitter.drain()
        self.site.send()

    def row(self, kind: type[Any], *key: object) -> Any:
        with self.site.store.reading() as connection:
            return Rows(connection).get(kind, *key)  # type: ignore[arg-type]

    def last(self, kind: type[Any], column: str = "sequence") -> Any:
        with self.site.store.reading() as connection:
            return Rows(connection).latest(kind, column, 1)[0]

    def tasks(self) -> list[str]:
        """What the first page says that waits."""
        page = self.person.get("/portal").text
        return re.findall(r"<h2>([^<]+)</h2>", page)

    def keep(self, stream: str, count: int = 2) -> None:
        """Entries of a stream, kept here and anchored."""
        log = EvidenceLog()
        for place in range(count):
            log.append({"id": f"gauge-{place}", "data": {"um": place}}, b"s" * 32)
        with self.site.store.transaction() as connection:
            Book(connection).add_evidence(bytes.fromhex(stream[2:]), log.entries)
        self.site.final(f"/v1/streams/{stream}/anchors", size=count, root="0x" + log.tree.root(count).hex())


def open_day(folder: Path, kind: type[D]) -> Iterator[D]:
    """A day of Nordwind, beside Cedar Assembly."""
    for site in open_acting_site(folder):
        other = site.world.admit(Outbox(site.store), ALL_ROLES)
        site.send()
        found = kind(site, site.person(), other)
        found.other_number = found.last(ParticipantRow, "number").number
        with site.store.transaction() as connection:
            Book(connection).set_names({site.number: "Nordwind", found.other_number: "Cedar Assembly"})
        yield found


@dataclass
class Operator:
    """The operator's gateway, without its threads: `send` does what they would."""

    store: Store
    world: LedgerWorld
    signer: LocalSigner
    number: int
    caller: Caller

    def person(self, role: PersonRole = PersonRole.RECORDER) -> Browser:
        return enter(self.store, self.caller, OPERATOR, role)

    def send(self) -> None:
        self.world.submitter(Outbox(self.store), self.world.owner).drain()
        Follower(self.world.chain, self.store).follow()
        Upkeep(self.store, lambda: self.world.chain, build_logger()).step()

    def request(self, name: str = "Elm Cutting", signer: LocalSigner | None = None, **listed: Any) -> str:
        key, chain = signer or LocalSigner.generate(), self.world.chain
        stated = sign_statement(chain.chain_id, chain.ledger, bytes(31) + b"\1", NOW_S, key)
        entry = DirectoryEntry(0, name, recipient_key=stated, **listed)
        roles = Role.MANUFACTURER | Role.CARRIER
        return AdmissionRequest(chain.chain_id, chain.ledger, key.address, roles, entry).to_bytes().decode()
