"""The first block of a network, as each node program wants it described.

Sources: Besu's QBFT documentation ("Genesis file"); EIP-225 (Clique); params/config.go of the geth family. The
validators stand in `extraData`: for QBFT as RLP[vanity, validators, no vote, round 0, no seals], for Clique as 32
bytes, the addresses, 65 bytes. In both the addresses ascend.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from millmark.ledger.canonical import Json
from millmark.ledger.headers import encode_rlp
from millmark.ledger.signatures import Address, to_checksum
from millmark.services.network.peers import Kind, NetworkError

GAS_LIMIT = 100_000_000
"""Gas of a block. Four validators that shared two busy cores executed 93 million a second; a block that takes longer
than the time between blocks makes validators miss their turns."""
_VANITY, _CLIQUE_SEAL = bytes(32), bytes(65)
_QBFT_MARK = "0x" + b"ctical byzantine fault tolerance".hex()
"""`mixHash` of all QBFT blocks."""
_TIMESTAMP = 1_600_000_000
_LEAST_TIMEOUT_S, _MAX_TIMEOUT_S = 4, 60
_FIRST_BASE_FEE_WEI = 7
"""The least base fee: it falls no lower (EIP-1559 rounds its change down)."""
_ELECTRONEUM_CAP = 21 * 10**27
"""At this supply electroneum-sc pays its proposers nothing."""
_FORKS = (
    "homestead", "eip150", "eip155", "eip158", "byzantium", "constantinople", "petersburg", "istanbul", "berlin",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class GenesisSettings:
    """What a consortium agrees on before its first block."""

    chain_id: int
    validators: Sequence[Address]
    period_s: int = 1
    """Time between blocks."""
    epoch_blocks: int = 30_000
    """Number of blocks after which votes on validators lapse."""
    gas_limit: int = GAS_LIMIT
    balances_wei: Mapping[Address, int] = field(default_factory=dict)
    """Money of the first block, for the keys that pay fees. Besu's networks have none: their base fee is zero."""

    @property
    def request_timeout_s(self) -> int:
        """QBFT: time after which a round without a block is given up; it doubles with each round. More than the time
        between blocks, for which electroneum-sc waits within the round: with less, every other block takes a second
        round on a network where nothing is wrong, and half of the validators never propose."""
        return max(_LEAST_TIMEOUT_S, 2 * self.period_s)


def build_genesis(kind: Kind, settings: GenesisSettings) -> bytes:
    """genesis.json for a node program. Raises NetworkError for validators that are named twice or not at all."""
    if not settings.validators or len(set(settings.validators)) != len(settings.validators):
        raise NetworkError("a network needs at least one validator, and each may be named only once")
    return json.dumps(_BUILDERS[kind.name](settings), indent=2).encode() + b"\n"


def qbft_extra(validators: Sequence[Address]) -> bytes:
    """`extraData` of the first block of a QBFT network."""
    return encode_rlp([_VANITY, sorted(validators), [], b"", []])


def clique_extra(validators: Sequence[Address]) -> bytes:
    """`extraData` of the first block of a Clique network."""
    return _VANITY + b"".join(sorted(validators)) + _CLIQUE_SEAL


def _besu(settings: GenesisSettings) -> dict[str, Json]:
    qbft: dict[str, Json] = {
        "blockperiodseconds": settings.period_s,
        "epochlength": settings.epoch_blocks,
        "requesttimeoutseconds": settings.request_timeout_s,
    }
    forks: dict[str, Json] = {"berlinBlock": 0, "londonBlock": 0, "shanghaiTime": 0}
    config: dict[str, Json] = {"chainId": settings.chain_id, **forks, "zeroBaseFee": True, "qbft": qbft}
    return _genesis(settings, config, qbft_extra(settings.validators), _QBFT_MARK)


def _geth(settings: GenesisSettings) -> dict[str, Json]:
    clique: dict[str, Json] = {"period": settings.period_s, "epoch": settings.epoch_blocks}
    genesis = _genesis(settings, {**_geth_config(settings), "londonBlock": 0, "clique": clique},
                       clique_extra(settings.validators), "0x" + "0" * 64)  # fmt: skip
    return {**genesis, "baseFeePerGas": hex(_FIRST_BASE_FEE_WEI)}


def _goquorum(settings: GenesisSettings) -> dict[str, Json]:
    config: dict[str, Json] = {
        **_geth_config(settings),
        "muirGlacierBlock": 0,
        "isQuorum": True,
        "txnSizeLimit": 128,
        "maxCodeSizeConfig": [{"block": 0, "size": 64}],
        # Without ceil2Nby3Block a quorum is 2F+1: with six validators 3, so two disjoint quorums are possible.
        "qbft": {**_istanbul(settings), "ceil2Nby3Block": 0},
    }
    return _genesis(settings, config, qbft_extra(settings.validators), _QBFT_MARK)


def _electroneum(settings: GenesisSettings) -> dict[str, Json]:
    config: dict[str, Json] = {
        **_geth_config(settings),
        "muirGlacierBlock": 0,
        "londonBlock": 0,
        "genesisETN": _ELECTRONEUM_CAP,
        # "ibft" in name only: it is QBFT by Besu's rules as long as futureForkBlock is not set.
        "ibft": {
            **_istanbul(settings),
            "maxrequesttimeoutseconds": max(_MAX_TIMEOUT_S, 4 * settings.request_timeout_s),
            "allowedfutureblocktime": 0,
        },
    }
    genesis = _genesis(settings, config, qbft_extra(settings.validators), _QBFT_MARK)
    return {**genesis, "baseFeePerGas": hex(_FIRST_BASE_FEE_WEI)}


_BUILDERS = {"besu": _besu, "geth": _geth, "goquorum": _goquorum, "electroneum-sc": _electroneum}


def _geth_config(settings: GenesisSettings) -> dict[str, Json]:
    return {"chainId": settings.chain_id, **{f"{fork}Block": 0 for fork in _FORKS}}


def _istanbul(settings: GenesisSettings) -> dict[str, Json]:
    return {
        "epochlength": settings.epoch_blocks,
        "blockperiodseconds": settings.period_s,
        "requesttimeoutseconds": settings.request_timeout_s,
        "policy": 0,
    }


def _genesis(settings: GenesisSettings, config: dict[str, Json], extra: bytes, mix_hash: str) -> dict[str, Json]:
    balances = {to_checksum(address): {"balance": hex(wei)} for address, wei in sorted(settings.balances_wei.items())}
    return {
        "config": config,
        "nonce": "0x0",
        "timestamp": hex(_TIMESTAMP),
        "gasLimit": hex(settings.gas_limit),
        "difficulty": "0x1",
        "number": "0x0",
        "gasUsed": "0x0",
        "mixHash": mix_hash,
        "coinbase": "0x" + "0" * 40,
        "parentHash": "0x" + "0" * 64,
        "extraData": "0x" + extra.hex(),
        "alloc": {**balances},
    }
