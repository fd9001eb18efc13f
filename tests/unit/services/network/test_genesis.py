"""Genesis files: what their `extraData` says, and what each program needs that the others do not."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from millmark.ledger.headers import decode_rlp
from millmark.services.network import GenesisSettings, NetworkError, build_genesis, find_kind
from millmark.services.network.genesis import clique_extra, qbft_extra
from tests.support.local_network import unsafe_test_key

_VALIDATORS = tuple(unsafe_test_key(number).address for number in range(5))
_SETTINGS = GenesisSettings(4711, _VALIDATORS, balances_wei={_VALIDATORS[0]: 10**24})


def test_qbft_lists_the_validators_ascending_with_no_vote_round_0_and_no_seal() -> None:
    assert decode_rlp(qbft_extra(_VALIDATORS), max_depth=2) == [bytes(32), sorted(_VALIDATORS), [], b"", []]


def test_clique_lists_the_signers_ascending_between_32_and_65_bytes() -> None:
    assert clique_extra(_VALIDATORS) == bytes(32) + b"".join(sorted(_VALIDATORS)) + bytes(65)


def _genesis(kind: str) -> dict[str, Any]:
    found = json.loads(build_genesis(find_kind(kind), _SETTINGS))
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("kind", ["besu", "geth", "goquorum", "electroneum-sc"])
def test_every_program_gets_chain_id_gas_limit_validators_and_balances(kind: str) -> None:
    genesis = _genesis(kind)
    assert all(address.hex() in genesis["extraData"] for address in _VALIDATORS)
    assert (genesis["config"]["chainId"], genesis["gasLimit"]) == (4711, hex(100_000_000))
    assert list(genesis["alloc"].values()) == [{"balance": hex(10**24)}]


def test_fees_and_quorum_are_stated_where_the_default_is_unsafe() -> None:
    assert _genesis("besu")["config"]["zeroBaseFee"] is True
    # without it, six validators have two disjoint quorums
    assert _genesis("goquorum")["config"]["qbft"]["ceil2Nby3Block"] == 0


def test_electroneum_stays_with_the_rules_of_besu() -> None:
    assert (
        "futureForkBlock" not in _genesis("electroneum-sc")["config"]["ibft"]
    )  # with it, headers are hashed otherwise


@pytest.mark.parametrize(("kind", "engine"), [("besu", "qbft"), ("goquorum", "qbft"), ("electroneum-sc", "ibft")])
def test_a_round_is_not_given_up_before_its_block_may_come(kind: str, engine: str) -> None:
    for period_s, timeout_s in ((1, 4), (6, 12), (60, 120)):
        genesis = json.loads(build_genesis(find_kind(kind), replace(_SETTINGS, period_s=period_s)))
        rules = genesis["config"][engine]
        assert (rules["blockperiodseconds"], rules["requesttimeoutseconds"]) == (period_s, timeout_s)
        assert rules.get("maxrequesttimeoutseconds", 10**9) >= 2 * timeout_s, "it cuts off later rounds, not the first"


@pytest.mark.parametrize("validators", [(), (_VALIDATORS[0], _VALIDATORS[0])])
def test_no_validator_or_one_named_twice_is_refused(validators: tuple[bytes, ...]) -> None:
    with pytest.raises(NetworkError):
        build_genesis(find_kind("besu"), GenesisSettings(1, validators))
