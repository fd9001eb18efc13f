"""Orders produced, inspected and delivered on a real chain, and a real gateway that requires sign-in."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

from millmark.ledger.ids import Identity, SubjectKind, parse_digital_link
from millmark.ledger.index import Follower
from millmark.ledger.keys import create_keystore
from millmark.ledger.provenance import parse_disclosing
from millmark.ledger.records import Item, OfferCustody, ReceiveLot, Verdict
from millmark.ledger.signatures import to_checksum
from millmark.ledger.store import Store
from millmark.services.access import OPERATOR
from millmark.services.access.people.openid import Provider
from millmark.services.access.rules import PersonRole
from millmark.services.audit import AuditLog
from millmark.services.demo.consortium import Company, found_consortium, hash_of
from millmark.services.demo.delivery import deliver_parts, inspect_parts
from millmark.services.demo.plant import build_plant
from millmark.services.demo.production import Job, Line, make_parts, place_orders
from millmark.services.documents import Documents, KeyRing
from millmark.services.gateway import GatewayParts, Limiter, Rates, build_policy, create_gateway
from millmark.services.interop.digital_link import build_part_link
from millmark.services.portal import Proofs
from millmark.services.serving.server import build_server, listen
from millmark.services.settings import Auth
from millmark.services.store import open_store
from tests.support.gateway_client import FREE
from tests.support.loopback import running
from tests.support.sign_in import enter_person

__all__ = ["PortalWorld", "serve_beside", "serve_world"]

ORDERS = 2
_DISCLOSED = ["names", "/passport"]


@dataclass(frozen=True)
class PortalWorld:
    """A served portal, and the production line behind it."""

    store: Store
    line: Line
    origin: str
    folder: Path

    @property
    def part(self) -> Job:
        """A job whose part passed and was delivered."""
        return next(job for job in self.line.jobs if job.verdict is Verdict.PASS)

    @property
    def failed(self) -> Job:
        """A job whose part failed and is in quarantine."""
        return next(job for job in self.line.jobs if job.verdict is Verdict.FAIL)

    def code(self, job: Job | None = None) -> str:
        """The link that the code on the part contains."""
        identity = self.identity(job or self.part)
        return build_part_link(parse_digital_link(identity.identifier), identity.salt, base_url=self.origin)

    def identity(self, job: Job) -> Identity:
        assert job.part is not None
        return job.part

    def company(self, name: str) -> Company:
        return next(one for one in self.line.consortium.companies if one.name == name)

    def keystore(self, company: Company) -> list[str]:
        """Options with which `millmark keys sign-in` signs for the company."""
        file, secret = self.folder / f"{company.number}.json", self.folder / "secret"
        if not file.exists():
            create_keystore(file, "only for tests", signer=company.signer, scrypt_cost=2)
            secret.touch(mode=0o600)
            secret.write_text("only for tests\n")
        return [f"--signer=keystore:{file}", f"--passphrase-file={secret}"]

    def address(self, company: Company) -> str:
        return to_checksum(company.signer.address)

    def session(self, company: Company | None, name: str, role: PersonRole) -> str:
        """The session of somebody who works for the company; without one, for the consortium's operator."""
        owner = OPERATOR if company is None else company.number
        return enter_person(self.store, owner, name, role, int(time.time()))

    @property
    def documents(self) -> Documents:
        """Of a gateway that acts."""
        return Documents(self.store, KeyRing(self.folder / "documents.keys"))

    def offer_lot(self, giver: str, taker: str, identifier: str) -> bytes:
        """A lot that the giver received, and offers to the taker. Returns its subject."""
        consortium, source = self.line.consortium, self.company(giver)
        identity = consortium.name(SubjectKind.LOT, source, identifier)
        claims = consortium.document(source, {"note": identifier})
        consortium.record(source, [ReceiveLot(hash_of(identity), 1, b"H87", claims)])
        offer = OfferCustody((Item(identity.subject, bytes(32)),), self.company(taker).number, bytes(32))
        consortium.record(source, [offer])
        return identity.subject

    def follow(self) -> None:
        Follower(self.line.consortium.chain, self.store).follow()


@contextmanager
def serve_world(
    folder: Path,
    check_page: Path | None = None,
    owner: str = "Cedar Assembly",
    *,
    acting: bool = False,
    provider: Provider | None = None,
) -> Iterator[PortalWorld]:
    """`check_page`: the built page that verifies in a browser; without it, the gateway has none. `owner`: whose gateway
    it is. `acting`: whether it follows the chain, records for its company, keeps an audit log, and has a folder for
    planning. `provider`: where its people may sign in."""
    with open_store(f"sqlite:///{folder / 'ledger.db'}") as store:
        line = _produce(store)
        company = next(one for one in line.consortium.companies if one.name == owner)
        more = _acting_parts(folder, line, company) if acting else {}
        world = PortalWorld(store, line, "", folder)
        with _serve(world, company.number, check_page, FREE, provider=provider, **more) as origin:
            yield replace(world, origin=origin)


@contextmanager
def serve_beside(
    world: PortalWorld, owner: str | None, check_page: Path | None = None, rates: Rates = FREE
) -> Iterator[str]:
    """Another gateway over the same index, which the first one keeps up to date: of a company that records there, or of
    the consortium's operator. `rates`: how much it takes. Yields its origin."""
    consortium = world.line.consortium
    chain = consortium.chain
    more: dict[str, Any] = {"governing": lambda: chain}
    if owner is None:
        number, more["operator"] = OPERATOR, (chain, consortium.owner.signer)
    else:
        company = world.company(owner)
        number, more["recording"], more["name_keys"] = company.number, (chain, company.signer), [company.name_key]
    with _serve(world, number, check_page, rates, **more) as origin:
        yield origin


@contextmanager
def _serve(world: PortalWorld, owner: int, check_page: Path | None, rates: Rates, **more: Any) -> Iterator[str]:
    with listen("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        policy = build_policy(Auth.REQUIRED, port=port, owner=owner)
        more["proofs"] = Proofs(world.store, world.line.consortium.chain, None, parse_disclosing(_DISCLOSED))
        limiter, page = Limiter(rates), check_page or world.folder / "no page"
        app = create_gateway(GatewayParts(world.store, policy, limiter=limiter, check_page=page, **more))
        with running(build_server(app, "127.0.0.1", port), listening):
            yield policy.origin


def _acting_parts(folder: Path, line: Line, company: Company) -> dict[str, Any]:
    chain, home = line.consortium.chain, folder / "home"
    home.mkdir()
    return {
        "chain": chain,
        "follow_interval_s": 0.1,
        "recording": (chain, company.signer),
        "name_keys": [company.name_key],
        "audit": AuditLog(folder / "audit", lambda: int(time.time())),
        "home": home,
        "keys": KeyRing(folder / "documents.keys"),
    }


def _windows(width: int, decimals: int) -> list[list[int]]:
    """Windows of a hum, which the model passes, and of silence, which it fails."""
    hum = [round(math.sin(2 * math.pi * 5 * place / width) * 10**decimals) for place in range(width)]
    return [hum, [0] * width]


def _produce(store: Store) -> Line:
    models = resources.files("millmark.quality") / "models"
    consortium = found_consortium(store)
    plant = build_plant(consortium, (models / "forda.bin").read_bytes(), (models / "forda.json").read_text())
    now = int(time.time())
    line = place_orders(consortium, plant, ORDERS, now)
    make_parts(line)
    inspect_parts(line, line.jobs, _windows(plant.inspector.model.width, plant.inspector.model.decimals), now)
    deliver_parts(line)
    Follower(consortium.chain, store).follow()
    return line
