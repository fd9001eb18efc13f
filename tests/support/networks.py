"""A network of real validators for tests: money for new keys, and chains on it as the library's tests want them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ledger.chain import (
    EngineProfile,
    HttpTransport,
    Node,
    Transaction,
    Transport,
    find_profile,
    first_fees,
    sign_transaction,
)
from ledger.keys import LocalSigner
from services.lab.demo.consortium import DemoChain
from services.lab.faults.network.linked import FAUCET, LinkedNetwork, linked_network
from services.lab.faults.network.programs import describe_missing, lab_program
from services.lab.faults.workload import build_signer
from tests.support.patience import wait_until

__all__ = ["Faucet", "FundingTransport", "SharedNetwork", "describe_missing", "shared_network"]

SEED = 17
_MONEY_WEI = 10**20


@dataclass
class Faucet:
    """A key that has money, and sends some to others. One process uses it."""

    transport: Transport
    profile: EngineProfile
    signer: LocalSigner

    def fund(self, addresses: Sequence[bytes], amount_wei: int = _MONEY_WEI) -> None:
        """Returns once all have it."""
        node = Node(self.transport)
        nonce, fees, chain_id = node.transaction_count(self.signer.address), first_fees(node, self.profile), 0
        chain_id = node.chain_id()
        sent = []
        for place, address in enumerate(addresses):
            transaction = Transaction(
                chain_id,
                nonce + place,
                fees.priority_fee_wei,
                fees.max_fee_wei,
                21_000,
                address,
                b"",
                amount_wei,
                legacy=fees.priority_fee_wei == 0,
            )
            sent.append(sign_transaction(transaction, self.signer))
            node.send(sent[-1].raw)
        for one in sent:
            wait_until(lambda hash_=one.hash: node.receipt(hash_) is not None)  # type: ignore[misc]


@dataclass
class FundingTransport:
    """Reaches a node, and takes the request of development engines for money to a faucet."""

    node: Transport
    faucet: Faucet
    asked: list[str] = field(default_factory=list)

    def request(self, method: str, params: list[Any]) -> Any:
        if method != "anvil_setBalance":
            return self.node.request(method, params)
        self.faucet.fund([bytes.fromhex(params[0][2:])], int(params[1], 16))
        return None


@dataclass(frozen=True)
class SharedNetwork:
    """Validators that tests share, one after the other, and leave undisturbed."""

    linked: LinkedNetwork
    faucet: Faucet
    folder: Path

    @property
    def url(self) -> str:
        return self.linked.network.urls[0]

    @property
    def transport(self) -> HttpTransport:
        return HttpTransport(self.url)

    def demo_chain(self) -> DemoChain:
        return DemoChain(self.transport, self.faucet.profile, self.faucet.fund, self.url)

    def describe(self) -> str:
        program, count = self.linked.network.program, len(self.linked.network.nodes)
        return f"{count} validators of {program.kind.name} {program.version} ({program.kind.consensus.value})"


@contextmanager
def shared_network(folder: Path) -> Iterator[SharedNetwork]:
    with linked_network(folder, lab_program(), SEED) as linked:
        transport = HttpTransport(linked.network.urls[0])
        profile = find_profile(linked.network.program.kind.engine)
        yield SharedNetwork(linked, Faucet(transport, profile, build_signer(SEED, FAUCET)), folder)
