"""Who is in a network, and the files that tell a chain node of the others: nobody is looked for, and nobody else is let
in by chance."""

from __future__ import annotations

import enum
import ipaddress
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import coincurve

from millmark.ledger.canonical import keccak256
from millmark.ledger.errors import ChainUnreachableError, InputError, MillmarkError, SigningError
from millmark.ledger.keys import LocalSigner, read_private, write_private
from millmark.ledger.signatures import ADDRESS_BYTES, Address

# Errors of the network package, below the root in `millmark.ledger.errors`.
#
# MillmarkError
#   NetworkError               a network cannot be set up as asked
#     NetworkFileError         a network file or a validator's request is malformed (exit code 2)
#   NodeProgramError           a node program is missing, unsuitable, or did not start
#   ChainUnreachableError
#     NodeAnswerError          a node answers, but not what it is asked


class NetworkError(MillmarkError):
    """A network cannot be set up as asked."""

    code = "network-refused"


class NetworkFileError(NetworkError):
    """A network file or a validator's request is malformed."""

    code = "network-file-malformed"
    exit_code = 2


class NodeProgramError(MillmarkError):
    """A node program is missing, unsuitable, or did not start."""

    code = "node-program-failed"


class NodeAnswerError(ChainUnreachableError):
    """A node answers, but not what it is asked: a part of its API is off, or it is another program."""

    code = "node-answer-wrong"


# The node programs that Millmark can run a network of, and how many validators may fail on each.
# A block of QBFT needs the seals of ceil(2n/3) of n validators and is final with them. Clique needs floor(n/2)+1
# signers that run, because a signer that sealed a block has to let floor(n/2) others go first (EIP-225). With exactly
# that many, each block has one signer that may make it: when two made the block before at the same time, the one that
# is needed may have made the other of the two, and the chain stands still until one more signer runs (seen with three
# of five).


class Consensus(enum.Enum):
    """How validators agree on blocks."""

    CLIQUE = "clique"
    QBFT = "qbft"

    def quorum(self, validators: int) -> int:
        """Number of validators without which no block comes."""
        return validators // 2 + 1 if self is Consensus.CLIQUE else -(-2 * validators // 3)

    def may_stop(self, validators: int) -> int:
        """Number of validators that may be down while blocks can still come."""
        return validators - self.quorum(validators)

    def tolerates(self, validators: int) -> int:
        """Number of validators that may be down while blocks are sure to come."""
        may_stop = self.may_stop(validators)
        return max(may_stop - 1, 0) if self is Consensus.CLIQUE else may_stop

    def may_lie(self, validators: int) -> int:
        """Number of validators that may act against the rules without two different final blocks of one height: with
        Clique none, for a block has one signer."""
        return 0 if self is Consensus.CLIQUE else (validators - 1) // 3


@dataclass(frozen=True, slots=True)
class Kind:
    """A node program. All differences between the programs but their genesis, flags and files are here."""

    name: str
    consensus: Consensus
    engine: str
    """Name of the engine profile (`millmark.ledger.chain`) of a network of this program."""
    commands: tuple[str, ...]
    """Names that its executable usually has."""
    is_production: bool
    """Whether companies should run a network of it. The others are for trials and tests: see PRODUCTION.md."""


KINDS = {
    kind.name: kind
    for kind in (
        Kind("besu", Consensus.QBFT, "besu-qbft", ("besu",), is_production=True),
        Kind("geth", Consensus.CLIQUE, "clique", ("geth",), is_production=False),
        Kind("goquorum", Consensus.QBFT, "qbft", ("geth", "quorum"), is_production=False),
        Kind("electroneum-sc", Consensus.QBFT, "qbft", ("etn-sc",), is_production=False),
    )
}


def find_kind(name: str) -> Kind:
    """The kind of that name. Raises NodeProgramError if there is none."""
    if name not in KINDS:
        raise NodeProgramError(f"there is no node program {name[:40]!a}", hint=f"use one of {', '.join(KINDS)}")
    return KINDS[name]


# Keys of nodes. With QBFT the node's key also seals blocks, so a validator is known by the address of this key; for
# Clique the same key is used, so that one folder holds one key.

PUBLIC_KEY_BYTES = 64
"""x and y of the point, as in an enode URL."""


def write_node_key(path: Path, signer: LocalSigner | None = None) -> LocalSigner:
    """Writes a new random key, or the given one, as 64 hexadecimal digits: the form that all node programs read. The
    file has mode 0600 and replaces no other. Raises SigningError."""
    signer = signer or LocalSigner.generate()
    write_private(path, signer.unsafe_secret().hex().encode())
    return signer


def read_node_key(path: Path) -> LocalSigner:
    """The key in a file of mode 0600. Raises SigningError."""
    try:
        return LocalSigner.from_bytes(bytes.fromhex(read_private(path).decode("ascii").strip().removeprefix("0x")))
    except ValueError:
        raise SigningError(f"{path} does not contain 64 hexadecimal digits") from None


def public_key_of(signer: LocalSigner) -> bytes:
    """The 64 bytes by which other nodes know this one."""
    return coincurve.PrivateKey(signer.unsafe_secret()).public_key.format(compressed=False)[1:]


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
        """The address that stands for this node in blocks and votes when it is a validator."""
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
