"""Whose word on the acting key registry and ledger take: the forwarder's of this version, for this ledger alone."""

from __future__ import annotations

import dataclasses

import pytest

from millmark.ledger.chain import Chain, find_profile
from millmark.ledger.errors import WrongContractError
from tests.support.creating import create_code, deploy_with, next_address
from tests.support.ledger_world import LedgerWorld, build_world

PROFILE = find_profile("embedded")
FOREIGN = b"\x77" * 20


def refuse(world: LedgerWorld, message: str, registry: bytes, ledger: bytes, named: bytes | None = None) -> None:
    """`registry` and `ledger`: the forwarders whose word they take."""
    deployment = deploy_with(world, registry, ledger, named)
    with pytest.raises(WrongContractError, match=message):
        Chain(world.chain.node, PROFILE, deployment)


def test_the_forwarder_is_among_the_contracts() -> None:
    world = build_world()
    assert world.chain.contracts["Forwarder"] == world.chain.deployment.forwarder


def test_other_contracts_may_share_a_true_forwarder() -> None:
    world = build_world()
    own = world.chain.forwarder
    assert Chain(world.chain.node, PROFILE, deploy_with(world, own, own)).forwarder == own


def test_other_code_in_its_place_is_refused() -> None:
    world = build_world()
    refuse(world, f"no contract at 0x{'77' * 20}, address of Forwarder", FOREIGN, FOREIGN)
    code = bytearray(world.chain.node.code(world.chain.forwarder))
    code[-1] ^= 1
    liar = create_code(world.chain.node, world.owner, bytes(code))
    refuse(world, "is not that of Forwarder", liar, liar)


@pytest.mark.parametrize(
    ("registry", "ledger", "named", "refused"),
    [
        (FOREIGN, None, None, "Registry at 0x[0-9a-f]{40} trusts a forwarder other than"),
        (None, FOREIGN, "own", "TraceLedger at 0x[0-9a-f]{40} trusts a forwarder other than"),
        (bytes(20), bytes(20), "own", "TraceLedger at 0x[0-9a-f]{40} trusts a forwarder other than"),
        (None, None, "other", "no contract at 0x[0-9a-f]{40}, address of Forwarder"),
    ],
)
def test_contracts_that_take_anybody_elses_word_are_refused(
    registry: bytes | None, ledger: bytes | None, named: str | None, refused: str
) -> None:
    """A key that nobody has could act through such a contract."""
    world = build_world()
    own = world.chain.forwarder
    stated = {"own": own, "other": FOREIGN, None: None}[named]
    refuse(world, refused, own if registry is None else registry, own if ledger is None else ledger, named=stated)


@pytest.mark.parametrize("name", ["LotOperations", "CertificateOperations"])
def test_operations_that_take_anybody_elses_word_are_refused(name: str) -> None:
    """The ledger copies their forwarder, so the node's answer has to be bent for it."""
    world = build_world()
    target = "0x" + world.chain.contracts[name].hex()
    world.line.handlers["eth_call"] = lambda params: (
        "0x" + FOREIGN.rjust(32, b"\0").hex()
        if params[0]["to"] == target
        else world.line.node.request("eth_call", params)
    )
    with pytest.raises(WrongContractError, match=rf"^{name} at 0x[0-9a-f]{{40}} trusts a forwarder other than"):
        Chain(world.chain.node, PROFILE, world.chain.deployment)


def test_a_forwarder_that_takes_requests_for_another_one_is_refused() -> None:
    """All of its code is right: only the domain that it keeps is another ledger's, whose requests could be repeated."""
    world = build_world()
    node, true = world.chain.node, world.chain.forwarder
    liar = next_address(node, world.owner)
    code = node.code(true).replace(true, liar)
    assert create_code(node, world.owner, code) == liar
    refuse(world, "accepts requests for a chain or an address other than its own", liar, liar)


def test_the_deployment_file_decides_which_forwarder_is_asked() -> None:
    world = build_world()
    other = dataclasses.replace(world.chain.deployment, forwarder=world.chain.ledger)
    with pytest.raises(WrongContractError, match="is not that of Forwarder"):
        Chain(world.chain.node, PROFILE, other)
