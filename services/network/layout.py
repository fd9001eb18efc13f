"""The folder of one chain node, and what is written into it.

key               the node's private key (mode 0600); with QBFT it also seals blocks
node.json         name, addresses and ports of this node
network.json      the network: node program, genesis and peers; the same for all companies
genesis.json      the genesis alone, as the node program reads it
static-nodes.json, or config.toml for geth: the peers
keystore, password   geth only: the key again, as Clique opens it (mode 0600)
start.sh          prepares `data` if it is empty, and becomes the node program
data              all that the node program keeps: may be deleted, and is fetched from the peers again
node.log, node.log.1   what the program prints, when `millmark network start` started it
node.pid          which process that is
"""

from __future__ import annotations

import secrets
import shlex
from dataclasses import dataclass
from pathlib import Path

from millmark.ledger.errors import SettingsError
from millmark.ledger.keys import LocalSigner, create_keystore, write_private
from millmark.services.files import write_whole
from millmark.services.network.flags import NodePlace, build_arguments, build_preparation
from millmark.services.network.keys import read_node_key
from millmark.services.network.kinds import Kind
from millmark.services.network.peers import geth_config, static_nodes

__all__ = ["NodeFolder", "build_start_script", "write_node_folder"]

_SCRYPT_COST = 1 << 14
"""The passphrase lies beside the keystore, in a file of the same mode: a higher cost would protect nothing."""


@dataclass(frozen=True, slots=True)
class NodeFolder:
    """Where things are in the folder of a chain node."""

    path: Path

    @property
    def key(self) -> Path:
        return self.path / "key"

    @property
    def node(self) -> Path:
        return self.path / "node.json"

    @property
    def request(self) -> Path:
        """What the company gives to whoever sets the network up."""
        return self.path / "validator.json"

    @property
    def network(self) -> Path:
        return self.path / "network.json"

    @property
    def data(self) -> Path:
        return self.path / "data"

    @property
    def script(self) -> Path:
        return self.path / "start.sh"

    @property
    def log(self) -> Path:
        return self.path / "node.log"

    @property
    def pid(self) -> Path:
        return self.path / "node.pid"

    def create(self) -> None:
        """Creates the folder, for its owner alone if it does not exist. Raises SettingsError."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(
                f"{self.path} cannot be created: {error.strerror}", hint="name another folder"
            ) from None


def write_node_folder(folder: NodeFolder, kind: Kind, place: NodePlace, genesis: bytes) -> None:
    """Writes all that the node program needs beside the key, which exists already. Can be repeated, such as when the
    peers change. Raises InputError, SigningError."""
    signer = read_node_key(folder.key)
    write_whole(folder.path / "genesis.json", genesis)
    if kind.name == "geth":
        write_whole(folder.path / "config.toml", geth_config(place.others))
        _write_keystore(folder.path, signer)
    else:
        write_whole(folder.path / "static-nodes.json", static_nodes(place.others))
    write_whole(folder.script, build_start_script(kind, place).encode())
    folder.script.chmod(0o700)


def build_start_script(kind: Kind, place: NodePlace) -> str:
    """A script that becomes the node program; the environment's NODE_PROGRAM names another executable."""
    lines = [
        "#!/bin/sh",
        f"# {kind.name} as the chain node of {place.own.name}; written by `millmark network`, which replaces it.",
        "set -eu",
        'cd "$(dirname "$0")"',
        "umask 077",
        f': "${{NODE_PROGRAM:={kind.commands[0]}}}"',
        # GoQuorum does not start without a word on private transactions, of which there are none.
        *(["export PRIVATE_CONFIG=ignore"] if kind.name == "goquorum" else []),
        *build_preparation(kind),
        f'exec "$NODE_PROGRAM" {shlex.join(build_arguments(kind, place))}',
    ]
    return "".join(f"{line}\n" for line in lines)


def _write_keystore(path: Path, signer: LocalSigner) -> None:
    keystore = path / "keystore" / "key.json"
    if keystore.exists():
        return
    keystore.parent.mkdir(mode=0o700, exist_ok=True)
    password = path / "password"
    password.unlink(missing_ok=True)  # left by a run that was cut off before the keystore was written
    passphrase = secrets.token_urlsafe(24)
    write_private(password, passphrase.encode() + b"\n")
    create_keystore(keystore, passphrase, signer=signer, scrypt_cost=_SCRYPT_COST)
