"""A network whose nodes all run on this machine, on the loopback.

    program = identify_program(Path("/usr/local/bin/geth"))      # or find_program(): the first on the PATH
    with LocalNetwork.create(folder, program, 5, balances_wei={owner.address: 10**24}) as network:
        network.start()                       # returns once every node answers and has the first blocks
        network.urls                          # one JSON-RPC URL a node
        network.nodes[1].restart(erased=True) # with an empty data folder; the key is kept
    # all nodes are stopped here, also after an error

Ports are free ones, kept from other programs until `stop`; `ports=[(p2p, rpc), ...]` names them instead. Whoever places
a proxy on a link gives each node its own list of peers with `write_node_folder`. Keys are known to everybody
(`unsafe_test_key`), so the same network is made again each time. On geth and electroneum-sc fees are never zero:
`balances_wei` gives keys money in the first block.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from millmark.ledger.canonical import keccak256
from millmark.ledger.keys import LocalSigner
from millmark.ledger.signatures import Address
from millmark.services.network.genesis import GAS_LIMIT, GenesisSettings, build_genesis
from millmark.services.network.layout import NodeFolder, NodePlace, write_node_folder
from millmark.services.network.peers import NodeProgramError, Peer, public_key_of, write_node_key
from millmark.services.network.processes import READY_S, NodeProcess, NodeProgram, start_together

__all__ = ["LocalNetwork", "LocalNode", "PortReservation", "unsafe_test_key"]

_HOST = "127.0.0.1"
TEST_CHAIN_ID = 133_743


@dataclass(slots=True)
class LocalNode(NodeProcess):
    """One node of a local network; `NodeProcess` has what can be done to it."""

    peer: Peer

    @property
    def address(self) -> Address:
        """By which its blocks and seals are known."""
        return self.peer.address

    def pause(self) -> None:
        """SIGSTOP: it keeps its ports and connections, and answers nothing. Raises NodeProgramError."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT. Raises NodeProgramError."""
        os.kill(self.pid, signal.SIGCONT)

    def restart(self, *, erased: bool = False, timeout_s: float = READY_S) -> None:
        """Kills it if it runs, starts it again, if asked with an empty data folder, and returns once it answers."""
        self.kill()
        if erased:
            self.erase()
        self.start()
        self.wait_ready(timeout_s)


class LocalNetwork:
    """Validators of one program, each in a folder of its own, with keys that everybody knows. As a context manager, all
    nodes are stopped at the end."""

    def __init__(
        self, program: NodeProgram, nodes: Sequence[LocalNode], reservation: PortReservation | None, period_s: int = 1
    ) -> None:
        self.program = program
        self.nodes = tuple(nodes)
        self._reservation = reservation
        self._period_s = period_s

    @classmethod
    def create(
        cls,
        folder: Path,
        program: NodeProgram,
        count: int,
        *,
        ports: Sequence[tuple[int, int]] | None = None,
        chain_id: int = TEST_CHAIN_ID,
        period_s: int = 1,
        gas_limit: int = GAS_LIMIT,
        balances_wei: Mapping[Address, int] | None = None,
    ) -> LocalNetwork:
        """Writes the folders `validator-1` to `validator-{count}`, and starts nothing.

        `ports` has (peer-to-peer, JSON-RPC) for each; free ones, kept from other programs until `stop`, if omitted.
        `balances_wei` is the money of the first block. Raises NetworkError, InputError, SigningError.
        """
        reservation = None
        if ports is None:
            reservation = PortReservation(2 * count)
            ports = list(zip(reservation.ports[::2], reservation.ports[1::2], strict=True))
        signers = [unsafe_test_key(number) for number in range(count)]
        peers = [_peer(number, signer, ports[number][0]) for number, signer in enumerate(signers)]
        settings = GenesisSettings(
            chain_id,
            [peer.address for peer in peers],
            period_s=period_s,
            balances_wei=balances_wei or {},
            gas_limit=gas_limit,
        )
        genesis, nodes = build_genesis(program.kind, settings), []
        for number, (own, signer) in enumerate(zip(peers, signers, strict=True)):
            home = NodeFolder(folder / own.name)
            home.create()
            write_node_key(home.key, signer)
            others = [peer for peer in peers if peer is not own]
            place = NodePlace(own, others, _HOST, ports[number][1], chain_id, settings.gas_limit)
            write_node_folder(home, program.kind, place, genesis)
            nodes.append(LocalNode(home, program.path, f"http://{_HOST}:{place.rpc_port}", chain_id, own))
        return cls(program, nodes, reservation, period_s)

    @property
    def urls(self) -> list[str]:
        """JSON-RPC of each node."""
        return [node.url for node in self.nodes]

    def start(self, timeout_s: float = READY_S) -> None:
        """Starts all nodes, and returns once all answer and, of a new network, have its first blocks
        (`start_together`). If one does not, all are stopped. Raises NodeProgramError."""
        try:
            start_together(self.nodes, timeout_s, period_s=self._period_s)
        except (NodeProgramError, KeyboardInterrupt):
            self.stop()
            raise

    def stop(self) -> None:
        """Stops all nodes and gives the ports back. Nothing fails if some do not run."""
        for node in self.nodes:
            node.stop()
        if self._reservation is not None:
            self._reservation.release()

    def __enter__(self) -> LocalNetwork:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _peer(number: int, signer: LocalSigner, port: int) -> Peer:
    return Peer(f"validator-{number + 1}", public_key_of(signer), _HOST, port)


class PortReservation:
    """Holds ports of the loopback: the system assigns them to nobody else who asks for any free one, and a node program
    can still listen on them, because it sets SO_REUSEADDR as this does (Go and Java do) and nothing listens here."""

    def __init__(self, count: int) -> None:
        self._sockets = [socket.socket() for _ in range(count)]
        for holder in self._sockets:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.bind(("127.0.0.1", 0))
        self.ports = [int(holder.getsockname()[1]) for holder in self._sockets]

    def release(self) -> None:
        """Gives the ports back. Can be repeated."""
        for holder in self._sockets:
            holder.close()
        self._sockets = []


def unsafe_test_key(number: int) -> LocalSigner:
    """A key that everybody knows: for tests that need the same validators in each run."""
    return LocalSigner.from_bytes(keccak256(b"millmark test validator %d" % number))
