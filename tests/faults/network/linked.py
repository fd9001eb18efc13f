"""A network of validators with a proxy on each link, and a ledger founded on it by four companies."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from millmark.ledger.canonical import sha256
from millmark.ledger.chain import Chain, EngineProfile, HttpTransport, Node, deploy, find_profile
from millmark.ledger.chain.profiles import depth_of
from millmark.ledger.ids import SubjectKind, subject
from millmark.ledger.keys import LocalSigner
from millmark.ledger.records import AcceptKey, Admit, OrderTerms, PlaceOrder, Record, Role
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.submit import Submitter
from millmark.services.network import Consensus, NodePlace, NodeProgram, write_node_folder
from millmark.services.store import open_store
from tests.faults.network.links import Links, running_links
from tests.faults.workload import Site, build_signer
from tests.support.local_network import LocalNetwork

_MONEY_WEI = 10**24
_DUE_AT = 4_000_000_000
_COORDINATOR = 2
_BUYERS = (1, 3, 4, 5)
"""Numbers of the participants, in the order of their admission; the workload names the coordinator by its own."""
COMPANIES = len(_BUYERS)
FAUCET = "faucet"
"""Name of a key that has money, for others that a run gives some to."""
_NAMES = ("owner", "buyer-0", "coordinator", "buyer-1", "buyer-2", "buyer-3")


@dataclass(frozen=True, slots=True)
class LinkedNetwork:
    """Validators, and the proxies on the links between them. Node 0 is never disturbed: it is there for the judge."""

    network: LocalNetwork
    links: Links

    @property
    def profile(self) -> EngineProfile:
        return profile_of(self.network)

    @property
    def depth(self) -> int:
        """Number of later blocks after which a block is final."""
        consensus, count = self.network.program.kind.consensus, len(self.network.nodes)
        return depth_of(count) if consensus is Consensus.CLIQUE else 0


def validators_of(program: NodeProgram) -> int:
    """The number of validators to run of a program: an even number of Clique's signers can stand still for good."""
    return 5 if program.kind.consensus is Consensus.CLIQUE else 4


def profile_of(network: LocalNetwork) -> EngineProfile:
    """The profile of the network's engine."""
    return find_profile(network.program.kind.engine)


def _money(seed: int) -> dict[bytes, int]:
    return dict.fromkeys([build_signer(seed, name).address for name in (*_NAMES, FAUCET)], _MONEY_WEI)


@contextmanager
def network_alone(folder: Path, program: NodeProgram, seed: int) -> Iterator[LocalNetwork]:
    """Runs a network of one validator, in which the companies have the same money."""
    with LocalNetwork.create(folder, program, 1, balances_wei=_money(seed)) as network:
        network.start()
        yield network


@contextmanager
def linked_network(folder: Path, program: NodeProgram, seed: int) -> Iterator[LinkedNetwork]:
    """Runs validators of the program on the loopback, which see each other through proxies alone. Raises
    NetworkError."""
    with (
        LocalNetwork.create(folder, program, validators_of(program), balances_wei=_money(seed)) as network,
        running_links([node.peer.port for node in network.nodes]) as links,
    ):
        for number in range(len(network.nodes)):
            _point_at_proxies(network, links, number)
        network.start()
        yield LinkedNetwork(network, links)


def _point_at_proxies(network: LocalNetwork, links: Links, number: int) -> None:
    node = network.nodes[number]
    others = [
        dataclasses.replace(other.peer, port=links.ports[number, place])
        for place, other in enumerate(network.nodes)
        if place != number
    ]
    genesis = (node.folder.path / "genesis.json").read_bytes()
    place = NodePlace(node.peer, others, "127.0.0.1", int(node.url.rpartition(":")[2]), node.chain_id)
    write_node_folder(node.folder, network.program.kind, place, genesis)


def found_companies(folder: Path, transport: HttpTransport, profile: EngineProfile, seed: int) -> list[Site]:
    """Deploys the contracts, admits four companies and places an order each; returns the site as each company sees it.

    Its own order is that with its own number.
    """
    node = Node(transport)
    owner, *members = (build_signer(seed, name) for name in _NAMES)
    buyers = [members[number - 1] for number in _BUYERS]
    deployment = deploy(node, profile, owner)
    chain = Chain(node, profile, deployment)
    hashes = [sha256(f"order/{number}".encode()) for number in range(COMPANIES)]
    with open_store(f"sqlite:///{folder / 'founding.sqlite'}") as store:
        outbox = Outbox(store)
        roles = [Role.COORDINATOR if number == _COORDINATOR else Role.BUYER for number in range(1, len(_NAMES))]
        admissions = [Admit(int(role), key.address, bytes(32)) for role, key in zip(roles, members, strict=True)]
        _record(chain, outbox, "admit", [(owner, one) for one in admissions])
        _record(chain, outbox, "accept", [(key, AcceptKey(number)) for number, key in enumerate(members, start=1)])
        terms = OrderTerms(1, _COORDINATOR, (), _DUE_AT, 0, bytes(3), bytes(32))
        _record(
            chain, outbox, "place", [(key, PlaceOrder(one, terms)) for key, one in zip(buyers, hashes, strict=True)]
        )
    orders = tuple(subject(SubjectKind.ORDER, number, one) for number, one in zip(_BUYERS, hashes, strict=True))
    return [Site(deployment, profile, buyer, orders, COMPANIES) for buyer in buyers]


def _record(chain: Chain, outbox: Outbox, name: str, records: Sequence[tuple[LocalSigner, Record]]) -> None:
    """Makes records of several keys, and returns when all are final."""
    submitters = {signer.address: Submitter(chain, outbox, signer) for signer, _ in records}
    for number, (signer, record) in enumerate(records):
        submitters[signer.address].submit([(f"{name}-{number}", record)])
    for submitter in submitters.values():
        submitter.step()  # all are sent before any is waited for
    for submitter in submitters.values():
        submitter.drain()
