"""How a network comes to be: each company makes the key of its own chain node, one of them puts the public halves
together, and everybody gets the same file back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from millmark.ledger.canonical import Json, canonical_json, keccak256, parse_json
from millmark.ledger.errors import CanonicalError, InputError, SigningError, TrustError
from millmark.ledger.keys import LocalSigner
from millmark.ledger.signatures import Address, Signature, verify_signature
from millmark.ledger.trust import parse_hex, parse_members, parse_number
from millmark.services.files import read_bounded, write_whole
from millmark.services.network.genesis import GAS_LIMIT, GenesisSettings, build_genesis
from millmark.services.network.layout import NodeFolder, NodePlace, write_node_folder, write_units
from millmark.services.network.peers import (
    Consensus,
    Kind,
    NetworkError,
    NetworkFileError,
    NodeProgramError,
    Peer,
    find_kind,
    format_host,
    public_key_of,
    read_node_key,
    write_node_key,
)

# The two files that pass between companies when they set a network up. Nothing in them is secret.
#
# validator.json   from a company to whoever sets the network up: its node's public key, and where others reach it.
#                  Signed with the node's key, so nobody can enter a key that is not theirs.
# network.json     from there to all companies: node program, genesis and peers. All must have the same one:
#                  `NetworkFile.digest` is for reading out over the telephone.

MAX_BYTES = 1 << 18
"""Some hundred peers, and the balances of as many keys."""
_REQUEST, _NETWORK, _VERSION = "millmark-validator", "millmark-network", 1
_DOMAIN = b"millmark validator request 1\0"
_MAX_CHAIN_ID = (1 << 53) - 1
_MOST_PORT = 65_535
_PEER = ("name", "public_key", "host", "port")


@dataclass(frozen=True, slots=True)
class NetworkFile:
    """A network as all its companies know it. Who its validators are now, the chain tells: see `observe`."""

    kind: Kind
    genesis: bytes
    """genesis.json as all nodes have it."""
    peers: tuple[Peer, ...]

    def __post_init__(self) -> None:
        for what, found in (
            ("name", [peer.name for peer in self.peers]),
            ("key", [peer.public_key.hex() for peer in self.peers]),
            ("address and port", [f"{peer.host} port {peer.port}" for peer in self.peers]),
        ):
            twice = next((one for one in found if found.count(one) > 1), None)
            if twice is not None:
                raise NetworkError(f"two chain nodes have the same {what}: {twice[:80]}")

    @property
    def chain_id(self) -> int:
        """The chain id in the genesis. Raises NetworkFileError."""
        config = self._genesis().get("config")
        return _number(config.get("chainId") if isinstance(config, dict) else None, "chain id")

    @property
    def gas_limit(self) -> int:
        """The gas limit in the genesis. Raises NetworkFileError."""
        return _number(self._genesis().get("gasLimit"), "gas limit")

    @property
    def period_s(self) -> int:
        """Seconds between blocks, by the genesis. Raises NetworkFileError."""
        config = self._genesis().get("config")
        engines = [one for one in config.values() if isinstance(one, dict)] if isinstance(config, dict) else []
        named = [one[name] for one in engines for name in ("period", "blockperiodseconds") if name in one]
        return _number(named[0] if named else None, "period of blocks")

    @property
    def lacks_money(self) -> bool:
        """Whether transactions cost something there, and no key had anything in the first block. Raises
        NetworkFileError."""
        genesis = self._genesis()
        return "baseFeePerGas" in genesis and not genesis.get("alloc")

    @property
    def digest(self) -> bytes:
        """SHA-256 of genesis.json, as sha256sum prints it."""
        return hashlib.sha256(self.genesis).digest()

    def name_of(self, address: Address) -> str | None:
        """The company whose node it is; None if no peer has that address."""
        return next((peer.name for peer in self.peers if peer.address == address), None)

    def find(self, name: str) -> Peer | None:
        """The peer of that name, if there is one."""
        return next((peer for peer in self.peers if peer.name == name), None)

    def with_peers(self, peers: Sequence[Peer]) -> NetworkFile:
        """The same network with other peers. Raises NetworkError."""
        return replace(self, peers=tuple(peers))

    def _genesis(self) -> dict[str, Any]:
        try:
            value = json.loads(self.genesis)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise NetworkFileError("the genesis is not a JSON object")
        return value

    def to_bytes(self) -> bytes:
        value: dict[str, Json] = {
            "format": _NETWORK,
            "version": _VERSION,
            "program": self.kind.name,
            "genesis": self.genesis.decode(),  # as text: some programs want numbers that JSON only has as text
            "peers": [_peer_to_json(peer) for peer in self.peers],
        }
        return json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n"


def parse_network(data: bytes) -> NetworkFile:
    """Raises NetworkFileError for a file that is not of the format, NetworkError for peers that cannot be in one."""
    hint = "get the file again from whoever ran `millmark network init`"
    try:
        value = parse_json(data, max_bytes=MAX_BYTES, max_depth=3)
        form, version, program, genesis, peers = parse_members(
            value, "format", "version", "program", "genesis", "peers"
        )
        if (form, version) != (_NETWORK, _VERSION):
            raise TrustError(f"not a {_NETWORK} file of version {_VERSION}")
        if not isinstance(program, str) or not isinstance(genesis, str) or not isinstance(peers, list):
            raise TrustError("program, genesis or peers are not of their types")
        found = NetworkFile(find_kind(program), genesis.encode(), tuple(_parse_peer(peer) for peer in peers))
        _ = found.chain_id, found.gas_limit
    except UnicodeError:
        raise NetworkFileError("the network file cannot be used: it is not Unicode", hint=hint) from None
    except (CanonicalError, InputError, NetworkFileError, NodeProgramError) as error:
        raise NetworkFileError(f"the network file cannot be used: {error.cause}", hint=hint) from None
    return found


def build_request(peer: Peer, signer: LocalSigner) -> bytes:
    """validator.json, signed with the node's key."""
    signature = signer.sign_digest(_request_digest(peer))
    value = {
        "format": _REQUEST,
        "version": _VERSION,
        **_peer_to_json(peer),
        "signature": "0x" + signature.to_bytes().hex(),
    }
    return json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n"


def parse_request(data: bytes) -> Peer:
    """The chain node that asks to be in a network. Raises NetworkFileError for a file that is malformed, or not signed
    by the key that it names. Not established: that the company is who the file says."""
    try:
        value = parse_json(data, max_bytes=MAX_BYTES, max_depth=2)
        form, version, *fields, signature = parse_members(value, "format", "version", *_PEER, "signature")
        if (form, version) != (_REQUEST, _VERSION):
            raise TrustError(f"not a {_REQUEST} file of version {_VERSION}")
        peer = _parse_peer(dict(zip(_PEER, fields, strict=True)))
        verify_signature(_request_digest(peer), Signature.from_bytes(parse_hex(signature, 65)), peer.address)
    except (CanonicalError, InputError, SigningError) as error:
        raise NetworkFileError(
            f"the validator's request cannot be used: {error.cause}",
            hint="the company writes it with `millmark network join`",
        ) from None
    return peer


def _request_digest(peer: Peer) -> bytes:
    return keccak256(_DOMAIN + canonical_json(_peer_to_json(peer)))


def _peer_to_json(peer: Peer) -> dict[str, Json]:
    return {"name": peer.name, "public_key": "0x" + peer.public_key.hex(), "host": peer.host, "port": peer.port}


def _parse_peer(value: Json) -> Peer:
    name, public_key, host, port = parse_members(value, *_PEER)
    if not isinstance(name, str) or not isinstance(host, str):
        raise TrustError("name and host of a chain node are not strings")
    return Peer(name, parse_hex(public_key, 64), host, parse_number(port, _MOST_PORT))


def _number(value: Any, what: str) -> int:
    """A number of the genesis: an integer, or hexadecimal digits after 0x."""
    try:
        number = int(value, 16) if isinstance(value, str) and value.startswith("0x") else value
    except ValueError:
        number = None
    if type(number) is not int or not 0 < number <= _MAX_CHAIN_ID:
        raise NetworkFileError(f"the genesis has no usable {what}")
    return number


_LEAST_VALIDATORS = 4


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
