"""Genesis files: what their `extraData` says, and what each program needs that the others do not."""

from __future__ import annotations

import pytest

from ledger.rlp import decode_rlp
from services.network import GenesisSettings, NetworkError, build_genesis, find_kind, unsafe_test_key
from services.network.genesis import clique_extra, qbft_extra

_VALIDATORS = tuple(unsafe_test_key(number).address for number in range(5))
_SETTINGS = GenesisSettings(4711, _VALIDATORS, balances_wei={_VALIDATORS[0]: 10**24})


def test_qbft_lists_the_validators_ascending_with_no_vote_round_0_and_no_seal() -> None:
    assert decode_rlp(qbft_extra(_VALIDATORS), max_depth=2) == [bytes(32), sorted(_VALIDATORS), [], b"", []]


def test_clique_lists_the_signers_ascending_between_32_and_65_bytes() -> None:
    assert clique_extra(_VALIDATORS) == bytes(32) + b"".join(sorted(_VALIDATORS)) + bytes(65)


@pytest.mark.parametrize("kind", ["besu", "geth", "goquorum", "electroneum-sc"])
def test_every_program_gets_chain_id_gas_limit_validators_and_balances(kind: str) -> None:
    genesis = build_genesis(find_kind(kind), _SETTINGS)
    extra, config, balances = genesis["extraData"], genesis["config"], genesis["alloc"]
    assert isinstance(config, dict)
    assert isinstance(balances, dict)
    assert isinstance(extra, str)
    assert all(address.hex() in extra for address in _VALIDATORS)
    assert (config["chainId"], genesis["gasLimit"]) == (4711, hex(480_000_000))
    assert list(balances.values()) == [{"balance": hex(10**24)}]


def test_fees_and_quorum_are_stated_where_the_default_is_unsafe() -> None:
    besu, quorum = (build_genesis(find_kind(name), _SETTINGS)["config"] for name in ("besu", "goquorum"))
    assert isinstance(besu, dict)
    assert isinstance(quorum, dict)
    assert besu["zeroBaseFee"] is True
    qbft = quorum["qbft"]
    assert isinstance(qbft, dict)
    assert qbft["ceil2Nby3Block"] == 0  # without it, six validators have two disjoint quorums


def test_electroneum_stays_with_the_rules_of_besu() -> None:
    config = build_genesis(find_kind("electroneum-sc"), _SETTINGS)["config"]
    assert isinstance(config, dict)
    ibft = config["ibft"]
    assert isinstance(ibft, dict)
    assert "futureForkBlock" not in ibft  # with it, headers are hashed otherwise


@pytest.mark.parametrize("validators", [(), (_VALIDATORS[0], _VALIDATORS[0])])
def test_no_validator_or_one_named_twice_is_refused(validators: tuple[bytes, ...]) -> None:
    with pytest.raises(NetworkError):
        build_genesis(find_kind("besu"), GenesisSettings(1, validators))
