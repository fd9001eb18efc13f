"""The command line of each node program.

All paths are relative to the node's folder, in which the program is started; so the same line stands in the start
script, in a container and in a local network. Discovery is off, peers are static, all states are kept: a bundle proves
a part's standing at a block that may be years old.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from millmark.ledger.signatures import to_checksum
from millmark.services.network.genesis import GAS_LIMIT
from millmark.services.network.kinds import Kind
from millmark.services.network.peers import Peer

__all__ = ["NodePlace", "build_arguments", "build_preparation"]

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
