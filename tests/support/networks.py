"""A network of real validators for tests: money for new keys, and chains on it as the library's tests want them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from millmark.ledger.chain import EngineProfile, HttpTransport, Node, Transport, send_values
from millmark.ledger.keys import LocalSigner
from tests.faults.network.linked import FAUCET, LinkedNetwork, linked_network
from tests.faults.network.links import describe_missing, lab_program
from tests.faults.workload import build_signer

__all__ = ["FundingTransport", "SharedNetwork", "describe_missing", "shared_network"]

SEED = 17


@dataclass
class FundingTransport:
    """Reaches a node, and answers the request of development engines for money from a treasury."""

    node: Transport
    profile: EngineProfile
    treasury: LocalSigner

    def request(self, method: str, params: list[Any]) -> Any:
        if method != "anvil_setBalance":
            return self.node.request(method, params)
        send_values(Node(self.node), self.profile, self.treasury, [(bytes.fromhex(params[0][2:]), int(params[1], 16))])
        return None


@dataclass(frozen=True)
class SharedNetwork:
    """Validators that tests share, one after the other, and leave undisturbed."""

    linked: LinkedNetwork
    treasury: LocalSigner

    @property
    def url(self) -> str:
        return self.linked.network.urls[0]

    @property
    def funding(self) -> FundingTransport:
        return FundingTransport(HttpTransport(self.url), self.linked.profile, self.treasury)

    def describe(self) -> str:
        program, count = self.linked.network.program, len(self.linked.network.nodes)
        return f"{count} validators of {program.kind.name} {program.version} ({program.kind.consensus.value})"


@contextmanager
def shared_network(folder: Path) -> Iterator[SharedNetwork]:
    """Runs the network of the program that `lab_program` finds, with its first blocks."""
    with linked_network(folder, lab_program(), SEED) as linked:
        yield SharedNetwork(linked, build_signer(SEED, FAUCET))
