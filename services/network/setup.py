"""How a network comes to be: each company makes the key of its own chain node, one of them puts the public halves
together, and everybody gets the same file back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from millmark.ledger.canonical import parse_json
from millmark.ledger.errors import CanonicalError, InputError, TrustError
from millmark.ledger.signatures import Address
from millmark.ledger.trust import parse_members, parse_number
from millmark.services.files import read_bounded, write_whole
from millmark.services.network.errors import NetworkError, NetworkFileError
from millmark.services.network.files import MAX_BYTES, NetworkFile, build_request, parse_network
from millmark.services.network.flags import NodePlace
from millmark.services.network.genesis import GAS_LIMIT, GenesisSettings, build_genesis
from millmark.services.network.keys import public_key_of, read_node_key, write_node_key
from millmark.services.network.kinds import Consensus, Kind
from millmark.services.network.layout import NodeFolder, write_node_folder
from millmark.services.network.peers import Peer, format_host
from millmark.services.network.units import write_units

__all__ = [
    "Agreed",
    "OwnNode",
    "create_node",
    "find_nodes",
    "found_network",
    "join_network",
    "read_network",
    "read_node",
    "verify_number",
]

_LEAST_VALIDATORS = 4
_MOST_PORT = 65_535


@dataclass(frozen=True, slots=True)
class OwnNode:
    """`node.json`: a company's chain node, with what the others need not know."""

    peer: Peer
    rpc_host: str
    rpc_port: int

    @property
    def url(self) -> str:
        """JSON-RPC, as programs of this company reach it."""
        return f"http://{format_host(self.rpc_host)}:{self.rpc_port}"


@dataclass(frozen=True, slots=True)
class Agreed:
    """What the companies agree on beside their keys."""

    kind: Kind
    chain_id: int
    period_s: int = 1
    gas_limit: int = GAS_LIMIT
    balances_wei: Mapping[Address, int] | None = None


def verify_number(consensus: Consensus, validators: int, *, allow_few: bool, allow_even: bool) -> None:
    """Raises NetworkError for a number of validators that tolerates too little, unless that is allowed."""
    if validators < _LEAST_VALIDATORS and not allow_few:
        # Of Clique's signers, four tolerate none either, and are an even number.
        least = _LEAST_VALIDATORS + (consensus is Consensus.CLIQUE)
        wrong = "cheats" if consensus.tolerates(validators) else "fails or cheats"
        those = "1 validator tolerates" if validators == 1 else f"{validators} validators tolerate"
        raise NetworkError(
            f"{those} no company that {wrong}",
            hint=f"take {least} or more, of as many companies, or give --allow-few",
        )
    if consensus is Consensus.CLIQUE and validators % 2 == 0 and not allow_even:
        raise NetworkError(
            f"Clique with {validators} signers can stand still for good: two halves on forks of equal weight",
            hint="take an odd number, or give --allow-even",
        )


def create_node(folder: NodeFolder, name: str, host: str, port: int, rpc_host: str, rpc_port: int) -> OwnNode:
    """Makes the key of a chain node, or takes the one that is there, and writes its request. Raises InputError,
    SigningError, SettingsError."""
    folder.create()
    signer = read_node_key(folder.key) if folder.key.exists() else write_node_key(folder.key)
    own = OwnNode(Peer(name, public_key_of(signer), host, port), rpc_host, rpc_port)
    format_host(rpc_host)
    write_whole(folder.request, build_request(own.peer, signer))
    value = {"name": name, "host": host, "port": port, "rpc_host": rpc_host, "rpc_port": rpc_port}
    write_whole(folder.node, json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n")
    return own


def read_node(folder: NodeFolder) -> OwnNode:
    """Raises NetworkFileError, InputError, SigningError."""
    try:
        value = parse_json(read_bounded(folder.node, MAX_BYTES), max_bytes=MAX_BYTES, max_depth=2)
        name, host, port, rpc_host, rpc_port = parse_members(value, "name", "host", "port", "rpc_host", "rpc_port")
        if not isinstance(name, str) or not isinstance(host, str) or not isinstance(rpc_host, str):
            raise TrustError("name and hosts are not strings")
        peer = Peer(name, public_key_of(read_node_key(folder.key)), host, parse_number(port, _MOST_PORT))
        format_host(rpc_host)
        return OwnNode(peer, rpc_host, parse_number(rpc_port, _MOST_PORT))
    except (CanonicalError, TrustError) as error:
        raise NetworkFileError(
            f"{folder.node} cannot be used: {error.cause}", hint="write it again with `millmark network join`"
        ) from None


def found_network(agreed: Agreed, peers: Sequence[Peer]) -> NetworkFile:
    """The network whose first validators are `peers`. Raises NetworkError."""
    settings = GenesisSettings(
        agreed.chain_id,
        [peer.address for peer in peers],
        period_s=agreed.period_s,
        gas_limit=agreed.gas_limit,
        balances_wei=agreed.balances_wei or {},
    )
    return NetworkFile(agreed.kind, build_genesis(agreed.kind, settings), tuple(peers))


def join_network(folder: NodeFolder, network: NetworkFile, program: Path | None) -> OwnNode:
    """Writes what the company's chain node needs. Can be repeated, with other peers. `program` is the executable, for
    the systemd unit. Raises NetworkError if the node is not in the network, or was set up for another one."""
    own = read_node(folder)
    listed = next((peer for peer in network.peers if peer.public_key == own.peer.public_key), None)
    if listed is None:
        raise NetworkError(
            f"the network does not list the key of {folder.path}",
            hint=f"give {folder.request} to whoever set it up: `millmark network init`, or `add` later",
        )
    if listed != own.peer:
        raise NetworkError(
            f"the network knows {listed.name} at {listed.host} port {listed.port}, which {folder.node} does not say",
            hint=f"give {folder.request} to whoever set it up, or run `join` with what the network says",
        )
    if folder.network.exists() and read_network(folder.network).digest != network.digest:
        raise NetworkError(f"{folder.path} belongs to a network with another genesis", hint="join with another --home")
    others = [peer for peer in network.peers if peer is not listed]
    place = NodePlace(own.peer, others, own.rpc_host, own.rpc_port, network.chain_id, network.gas_limit)
    write_node_folder(folder, network.kind, place, network.genesis)
    write_units(folder, network.kind, place, program)
    write_whole(folder.network, network.to_bytes())  # last: with it, the folder is complete
    return own


def read_network(path: Path) -> NetworkFile:
    """Raises NetworkFileError, NetworkError, InputError."""
    return parse_network(read_bounded(path, MAX_BYTES))


def find_nodes(folder: Path) -> list[NodeFolder]:
    """The chain nodes of a folder that have joined: itself, if it is one, or those in it. Raises InputError if there is
    none."""
    candidates = [folder] if NodeFolder(folder).key.exists() else sorted(folder.glob("*/key"))
    found = [NodeFolder(path if path == folder else path.parent) for path in candidates]
    ready = [one for one in found if one.network.exists() and one.script.exists()]
    if not ready:
        raise InputError(
            f"{folder} has no chain node that has joined a network",
            hint="make one with `millmark network join`, or a network to try with `millmark network init --local 4`",
        )
    return ready
