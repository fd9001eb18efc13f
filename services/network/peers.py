"""Who is in a network, and the files that tell a chain node of the others: nobody is looked for, and nobody else is let
in by chance."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Sequence
from dataclasses import dataclass

from millmark.ledger.canonical import keccak256
from millmark.ledger.errors import InputError
from millmark.ledger.signatures import ADDRESS_BYTES, Address
from millmark.services.network.keys import PUBLIC_KEY_BYTES

__all__ = ["Peer", "format_host", "geth_config", "static_nodes"]

_MAX_NAME = 40
_MAX_PORT = 65_535


@dataclass(frozen=True, slots=True)
class Peer:
    """A chain node as the others know it. Raises InputError for what cannot be one."""

    name: str
    """Name of the company, for people: at most 40 letters, digits, spaces, dots, hyphens and underscores."""
    public_key: bytes
    """64 bytes."""
    host: str
    """IP address at which the others reach it: node programs do not resolve names unless told to."""
    port: int
    """TCP port for the other nodes, 1..65535."""

    def __post_init__(self) -> None:
        if not 0 < len(self.name) <= _MAX_NAME or not all(c.isalnum() or c in " .-_" for c in self.name):
            raise InputError(
                f"{self.name[:80]!a} cannot name a chain node",
                hint=f"use at most {_MAX_NAME} letters, digits, spaces, dots, hyphens and underscores",
            )
        if len(self.public_key) != PUBLIC_KEY_BYTES:
            raise InputError(f"a node's public key has {PUBLIC_KEY_BYTES} bytes")
        format_host(self.host)
        if not 0 < self.port <= _MAX_PORT:
            raise InputError(f"{self.port} is not a port", hint=f"1 to {_MAX_PORT}")

    @property
    def address(self) -> Address:
        """By which blocks and votes know it as a validator."""
        return keccak256(self.public_key)[-ADDRESS_BYTES:]

    @property
    def enode(self) -> str:
        """URL of devp2p; without a port for discovery, which is off."""
        return f"enode://{self.public_key.hex()}@{format_host(self.host)}:{self.port}?discport=0"


def format_host(host: str) -> str:
    """An IP address as a URL has it. Raises InputError for anything else."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise InputError(f"{host[:80]!a} is not an IP address", hint="node programs do not resolve names") from None
    return f"[{address}]" if address.version == 6 else str(address)


def static_nodes(peers: Sequence[Peer]) -> bytes:
    """static-nodes.json, which all programs but newer geth read: an array of enode URLs."""
    return json.dumps([peer.enode for peer in peers], indent=2).encode() + b"\n"


def geth_config(peers: Sequence[Peer]) -> bytes:
    """config.toml of geth from 1.11 on, which ignores static-nodes.json."""
    listed = ",\n".join(f'  "{peer.enode}"' for peer in peers)
    return f"[Node.P2P]\nNoDiscovery = true\nStaticNodes = [\n{listed}\n]\n".encode()
