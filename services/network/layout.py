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

import ipaddress
import secrets
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from millmark.ledger.errors import SettingsError
from millmark.ledger.keys import LocalSigner, create_keystore, write_private
from millmark.ledger.signatures import to_checksum
from millmark.services.files import write_whole
from millmark.services.network.genesis import GAS_LIMIT
from millmark.services.network.peers import Kind, Peer, geth_config, read_node_key, static_nodes

# The command line of each node program.
#
# All paths are relative to the node's folder, in which the program is started; so the same line stands in the start
# script, in a container and in a local network. Discovery is off, peers are static, all states are kept: a bundle
# proves a part's standing at a block that may be years old.

_CACHE_MB = 64
_BESU_APIS = "ETH,NET,WEB3,QBFT,TXPOOL,ADMIN,DEBUG"


@dataclass(frozen=True, slots=True)
class NodePlace:
    """One chain node: who it is, who the others are, and where it answers the programs of its own company."""

    own: Peer
    others: Sequence[Peer]
    rpc_host: str
    """IP address that it listens on for JSON-RPC. There is no authentication: the loopback, or a network of the
    company's own."""
    rpc_port: int
    chain_id: int
    gas_limit: int = GAS_LIMIT

    @property
    def is_local(self) -> bool:
        """Whether all nodes are on this machine."""
        return all(ipaddress.ip_address(peer.host).is_loopback for peer in (self.own, *self.others))


def build_arguments(kind: Kind, place: NodePlace) -> list[str]:
    """The arguments with which a node program runs in its folder."""
    return _BUILDERS[kind.name](place)


def build_preparation(kind: Kind) -> list[str]:
    """Lines of sh that prepare an empty data folder; `$NODE_PROGRAM` is the executable."""
    init = '"$NODE_PROGRAM" --datadir data init genesis.json'
    return {
        "besu": ["mkdir -p data"],
        "geth": [f"[ -d data/geth/chaindata ] || {init}"],
        "goquorum": [f"[ -d data/geth/chaindata ] || {init}", "cp static-nodes.json data/"],
        # It reads the list in its own subfolder; in the wrong one it has no peers, and says nothing.
        "electroneum-sc": [f"[ -d data/etn-sc/chaindata ] || {init}", "cp static-nodes.json data/etn-sc/"],
    }[kind.name]


def _besu(place: NodePlace) -> list[str]:
    listen = "127.0.0.1" if place.is_local else "0.0.0.0"  # noqa: S104 - the other companies come from outside
    return [
        "--data-path=data",
        "--genesis-file=genesis.json",
        "--node-private-key-file=key",
        f"--network-id={place.chain_id}",
        "--data-storage-format=FOREST",  # BONSAI keeps no proofs of old blocks
        "--sync-mode=FULL",
        "--sync-min-peers=1",
        "--discovery-enabled=false",
        "--static-nodes-file=static-nodes.json",
        f"--p2p-host={place.own.host}",
        f"--p2p-interface={listen}",
        f"--p2p-port={place.own.port}",
        "--nat-method=NONE",
        "--min-gas-price=0",
        f"--target-gas-limit={place.gas_limit}",
        "--rpc-http-enabled=true",
        f"--rpc-http-host={place.rpc_host}",
        f"--rpc-http-port={place.rpc_port}",
        f"--rpc-http-api={_BESU_APIS}",
        "--host-allowlist=*" if place.rpc_host != "127.0.0.1" else "--host-allowlist=localhost,127.0.0.1",
    ]


def _geth_family(place: NodePlace, apis: str) -> list[str]:
    peers = (place.own, *place.others)
    # Refuses everybody else before a word is exchanged. The port itself listens on all addresses.
    networks = ["127.0.0.0/8"] if place.is_local else [f"{ipaddress.ip_network(peer.host)}" for peer in peers]
    return [
        "--datadir", "data",
        "--nodekey", "key",
        "--networkid", str(place.chain_id),
        "--port", str(place.own.port),
        "--nodiscover",
        "--nat", "none" if place.is_local else f"extip:{place.own.host}",
        "--netrestrict", ",".join(networks),
        "--maxpeers", str(max(10, 2 * len(peers))),
        "--syncmode", "full",
        "--gcmode", "archive",
        "--cache", str(_CACHE_MB),
        "--ipcdisable",
        "--http",
        "--http.addr", place.rpc_host,
        "--http.port", str(place.rpc_port),
        "--http.api", apis,
        "--mine",
        # The least that counts: 0 would be taken for 1 gwei, which transactions from other nodes would have to offer.
        "--miner.gasprice", "1",
        "--miner.gaslimit", str(place.gas_limit),
    ]  # fmt: skip


def _geth(place: NodePlace) -> list[str]:
    signer = to_checksum(place.own.address)
    return [
        "--config", "config.toml",
        *_geth_family(place, "eth,net,web3,txpool,clique,admin,debug"),
        "--authrpc.addr", "127.0.0.1",
        "--authrpc.port", "0",  # for a consensus client, which Clique has none of; any free port
        "--miner.etherbase", signer,
        # Clique seals with an account, which has to be open.
        "--keystore", "keystore",
        "--unlock", signer,
        "--password", "password",
        "--allow-insecure-unlock",
    ]  # fmt: skip


def _goquorum(place: NodePlace) -> list[str]:
    return [*_geth_family(place, "eth,net,web3,txpool,istanbul,admin,debug"), "--emitcheckpoints"]


def _electroneum(place: NodePlace) -> list[str]:
    apis = "eth,net,web3,txpool,istanbul,admin,debug"
    return [
        *_geth_family(place, apis),
        "--snapshot=false",
        "--miner.threads", "1",
        "--authrpc.addr", "127.0.0.1",
        "--authrpc.port", "0",
    ]  # fmt: skip


_BUILDERS = {"besu": _besu, "geth": _geth, "goquorum": _goquorum, "electroneum-sc": _electroneum}


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


# What keeps a chain node running: a systemd unit, or a compose file; both run the node's start.sh.

_UNIT = """\
# systemd unit of {name}'s chain node ({kind}). Copy to /etc/systemd/system/, then:
# systemctl enable --now millmark-chain-node
# The folder and everything in it belong to the user `millmark-chain`; nobody else may read it.
[Unit]
Description=Chain node of {name} ({kind})
After=network-online.target time-sync.target
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
Type=exec
User=millmark-chain
Group=millmark-chain
WorkingDirectory={folder}
Environment="NODE_PROGRAM={program}"
ExecStart=/bin/sh "{folder}/start.sh"
Restart=always
RestartSec=5
# A node program that is killed while it writes may need its whole data folder fetched again.
TimeoutStopSec=120

UMask=0077
LimitCORE=0
LimitNOFILE=65536
MemoryMax=8G
TasksMax=4096

NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ReadWritePaths="{folder}"
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
{addresses}
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native

[Install]
WantedBy=multi-user.target
"""

_COMPOSE = """\
# Chain node of {name} ({kind}) in a container: NODE_USER=$(id -u):$(id -g) docker compose up --detach
# It uses the host's network: the addresses in start.sh and at the other companies are those of this machine.
name: millmark-chain-node
services:
  chain-node:
    image: {image}
    entrypoint: [/bin/sh, /node/start.sh]
    working_dir: /node
    network_mode: host
    user: "${{NODE_USER:?set it to the user and group that own this folder, such as 1000:1000}}"
    volumes: [".:/node"]
    environment: {{NODE_PROGRAM: {command}, HOME: /node}}
    # Besu puts its native libraries there and loads them: Docker's default, noexec, would keep it from starting.
    tmpfs: ["/tmp:exec,size=256m,mode=1777,nosuid,nodev"]
    read_only: true
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    restart: unless-stopped
    stop_grace_period: 120s
    mem_limit: 8g
    pids_limit: 4096
    ulimits: {{core: 0, nofile: 65536}}
    logging: {{driver: json-file, options: {{max-size: 50m, max-file: "5"}}}}
"""

_IMAGES = {"besu": "${NODE_IMAGE:-hyperledger/besu:26.2.0}", "geth": "${NODE_IMAGE:-ethereum/client-go:v1.13.15}"}
_ANY_IMAGE = "${NODE_IMAGE:?set it to an image with the node program}"


def write_units(folder: NodeFolder, kind: Kind, place: NodePlace, program: Path | None) -> None:
    """Writes `millmark-chain-node.service` and `compose.yml` into a node's folder. Raises InputError."""
    where = folder.path.resolve()
    write_whole(where / "millmark-chain-node.service", build_unit(where, kind, place, program).encode())
    write_whole(where / "compose.yml", build_compose(kind, place).encode())


def build_unit(folder: Path, kind: Kind, place: NodePlace, program: Path | None) -> str:
    """The systemd unit of a node whose folder will stay where it is."""
    executable = program or Path("/usr/local/bin") / kind.commands[0]
    values = {
        "name": place.own.name,
        "kind": kind.name,
        "folder": str(folder),
        "program": str(executable),
        "addresses": _addresses(place),
    }
    return _UNIT.format(**{name: value.replace("%", "%%") for name, value in values.items()})  # % begins a specifier


def _addresses(place: NodePlace) -> str:
    """Whom the kernel lets the node talk to: the peers, whoever else knows its port. Programs of the company on other
    machines cannot be told from here, so nothing is refused if the node answers these."""
    if not ipaddress.ip_address(place.rpc_host).is_loopback:
        return (
            "# IPAddressDeny=any, and IPAddressAllow= with the peers and this company's own programs, if they are known"
        )
    hosts = dict.fromkeys(peer.host for peer in (place.own, *place.others))
    return f"IPAddressDeny=any\nIPAddressAllow=localhost {' '.join(hosts)}"


def build_compose(kind: Kind, place: NodePlace) -> str:
    """The compose file of a node, to be used in its folder."""
    image = _IMAGES.get(kind.name, _ANY_IMAGE)
    return _COMPOSE.format(name=place.own.name, kind=kind.name, image=image, command=kind.commands[0])
