"""Keys are topped up from a treasury key, and one that runs low is an alarm. Real transactions on an embedded chain."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from millmark.ledger.chain import Chain, Transport, find_profile
from millmark.ledger.keys import LocalSigner, write_private
from millmark.ledger.signatures import to_checksum
from millmark.ledger.store import Store
from millmark.services.commands import context
from millmark.services.commands.keys import tell_fees
from millmark.services.serving.logs import build_logger
from millmark.services.serving.loop import LOW_CODE, FundsWatch
from tests.support.blocks import block
from tests.support.command_line import Runner
from tests.support.ledger_world import LedgerWorld, build_world
from tests.support.stores import new_store

PROFILE = find_profile("qbft")


@pytest.fixture(scope="module")
def ledger() -> LedgerWorld:
    return build_world()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with new_store(tmp_path) as opened:
        yield opened


@pytest.fixture
def run(
    ledger: LedgerWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Runner:
    ledger.line.handlers.clear()

    def connect(_: str) -> Transport:
        return ledger.line

    monkeypatch.setattr(context, "HttpTransport", connect)
    monkeypatch.delenv("MILLMARK_DATABASE", raising=False)
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "millmark.toml").write_text(
        'chain_url = "http://127.0.0.1:1"\nengine = "qbft"\ngateway_signer = "file:company.key"\n'
    )
    return Runner(home, monkeypatch, capsys)


def printed(run: Runner, *arguments: str) -> str:
    code, out, err = run(*arguments)
    assert (code, err) == (0, "")
    return out


def new_key(folder: Path, name: str) -> LocalSigner:
    signer = LocalSigner.generate()
    write_private(folder / name, signer.unsafe_secret().hex().encode())
    return signer


def test_the_homes_key_is_topped_up_to_what_was_asked(run: Runner, ledger: LedgerWorld) -> None:
    company, treasury = new_key(run.home, "company.key"), new_key(run.home, "treasury.key")
    ledger.chain.node.fund(treasury.address, 10**20)
    asked = ("keys", "fund", "--signer", f"file:{run.home / 'treasury.key'}", "--records", "2000")
    first = printed(run, *asked)
    assert f"to {to_checksum(company.address)}" in first
    found = json.loads(printed(run, "keys", "balance", "--json"))["keys"]
    assert [one["key"] for one in found] == ["0x" + company.address.hex()]
    assert found[0]["records_left"] >= 1000, "the base fee of an embedded chain falls from block to block"
    before = ledger.chain.node.balance_wei(company.address)
    printed(run, *asked)
    assert ledger.chain.node.balance_wei(company.address) == before, "what is enough already stays as it is"


def test_a_named_key_is_topped_up(run: Runner, ledger: LedgerWorld) -> None:
    treasury, other = new_key(run.home, "treasury.key"), LocalSigner.generate()
    ledger.chain.node.fund(treasury.address, 10**20)
    printed(run, "keys", "fund", to_checksum(other.address), "--signer", f"file:{run.home / 'treasury.key'}")
    assert ledger.chain.node.balance_wei(other.address) > 0


def test_a_home_without_a_known_key_says_so(run: Runner) -> None:
    code, err = run.refused("keys", "balance")
    assert code == 2
    assert "no key whose address is known; name the addresses" in err


def watch(ledger: LedgerWorld, store: Store, key: bytes) -> FundsWatch:
    chain = Chain(ledger.chain.node, PROFILE, ledger.chain.deployment)
    return FundsWatch(lambda: chain, store, [key], build_logger())


def test_a_key_that_runs_low_is_an_alarm_until_it_is_topped_up(ledger: LedgerWorld, store: Store) -> None:
    key, node = LocalSigner.generate().address, ledger.chain.node
    found = watch(ledger, store, key)
    assert found.trouble() is None, "nothing was seen yet"
    found.look()
    low = found.trouble()
    assert low is not None
    assert (low.where, low.code) == ("chain", LOW_CODE)
    assert f"key {to_checksum(key)} runs low: 0 wei, enough for 0 records" in low.cause
    assert "millmark keys fund" in low.hint
    found.look()
    again = found.trouble()
    assert again is not None
    assert again.since_s == low.since_s, "since it was first seen"
    node.fund(key, 10**20)
    found.look()
    assert found.trouble() is None


def test_new_keys_are_told_what_they_need_where_there_are_fees(ledger: LedgerWorld) -> None:
    key, node = LocalSigner.generate().address, ledger.chain.node
    assert tell_fees(node, PROFILE, [key])[1].strip() == f"millmark keys fund {to_checksum(key)} --signer KEY"
    assert tell_fees(node, find_profile("embedded"), [key]) == []

    def free(_: list[Any]) -> Any:
        return block(baseFeePerGas="0x0")

    ledger.line.handlers["eth_getBlockByNumber"] = free
    assert tell_fees(node, PROFILE, [key]) == []
