"""The devchain's journal: the same chain after a restart, and no other one after damage."""

from __future__ import annotations

import json
import os
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from millmark.ledger.canonical import canonical_json, sha256
from millmark.ledger.chain import Chain, EmbeddedChain, Node, RpcError, find_profile
from millmark.ledger.errors import SettingsError, StoreDamagedError
from millmark.ledger.records import Contract
from millmark.ledger.seals import parse_extra
from millmark.ledger.store.outbox import Outbox
from millmark.services.devchain import JournaledChain
from tests.support.ledger_world import LedgerWorld, build_world, verify_final
from tests.support.stores import new_store

ADDRESS = "0x" + "11" * 20


def head(chain: JournaledChain) -> Any:
    return chain.request("eth_getBlockByNumber", ["latest", False])


def fund(chain: JournaledChain, times: int) -> None:
    for number in range(1, times + 1):
        before = int(chain.request("eth_getBalance", [ADDRESS, "latest"]), 16)
        chain.request("anvil_setBalance", [ADDRESS, hex(before + number)])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chain.journal"


def record(world: LedgerWorld, folder: Path, count: int) -> None:
    with new_store(folder) as store:
        outbox = Outbox(store)
        submitter = world.submitter(outbox, world.admit(outbox))
        ids = submitter.submit(world.lots(count))
        submitter.drain()
        verify_final(outbox, ids)


def test_a_ledger_survives_restarts_with_the_same_head(path: Path, tmp_path: Path) -> None:
    chain = JournaledChain(path)
    world = build_world(chain)
    record(world, tmp_path, 3)
    before = head(chain)
    chain.close()
    for _ in range(2):
        again = JournaledChain(path)
        assert head(again) == before
        assert Chain(Node(again), find_profile("embedded"), world.chain.deployment).sequence(Contract.LEDGER) == 3
        again.close()


def test_a_restarted_chain_goes_on(path: Path) -> None:
    chain = JournaledChain(path)
    for _ in range(3):
        fund(chain, 2)
        before = head(chain)
        chain.close()
        chain = JournaledChain(path)
        assert head(chain) == before
    assert int(head(chain)["number"], 16) == 6


def test_blocks_keep_the_times_that_were_asked_for(path: Path) -> None:
    chain = JournaledChain(path, genesis_time_s=1_700_000_000)
    chain.request_at(1_700_604_800, "anvil_setBalance", [ADDRESS, "0x1"])
    before = head(chain)
    assert int(before["timestamp"], 16) == 1_700_604_800
    assert chain.request_at(1_800_000_000, "eth_blockNumber", []) == "0x1"
    chain.close()
    with closing(JournaledChain(path)) as again:
        assert head(again) == before
        fund(again, 1)
        assert int(head(again)["timestamp"], 16) > 1_750_000_000, "time goes on as it does"


def test_what_makes_no_block_leaves_no_line(path: Path) -> None:
    chain = JournaledChain(path)
    size = path.stat().st_size
    chain.request("anvil_setBalance", [ADDRESS, "0x0"])
    with pytest.raises(RpcError):
        chain.request("eth_sendRawTransaction", ["0x02"])
    assert path.stat().st_size == size


def test_a_line_that_was_being_written_is_dropped(path: Path) -> None:
    chain = JournaledChain(path)
    fund(chain, 2)
    before, whole = head(chain), path.read_bytes()
    fund(chain, 1)
    chain.close()
    torn = path.read_bytes()
    for size in (len(whole), len(whole) + 1, len(torn) - 1):
        path.write_bytes(torn[:size])
        again = JournaledChain(path)
        assert head(again) == before
        assert path.read_bytes() == whole
        again.close()


@pytest.mark.parametrize("damaged", [1, 2, 3, 4])
def test_any_change_is_found_and_the_last_good_block_named(path: Path, damaged: int) -> None:
    chain = JournaledChain(path)
    blocks = [head(chain)]
    for _ in range(3):
        fund(chain, 1)
        blocks.append(head(chain))
    chain.close()
    lines = path.read_bytes().splitlines(keepends=True)
    line = lines[damaged - 1]
    for place in range(0, len(line) - 1, 7):
        broken = line[:place] + bytes([line[place] ^ 1]) + line[place + 1 :]
        path.write_bytes(b"".join([*lines[: damaged - 1], broken, *lines[damaged:]]))
        with pytest.raises(StoreDamagedError) as caught:
            JournaledChain(path)
        if damaged > 1 and broken.count(b"\n") == 1:
            good = blocks[damaged - 2]
            assert f"the last good block is {int(good['number'], 16)} {good['hash']}" in str(caught.value)


@pytest.mark.parametrize("change", ["left out", "moved", "twice"])
def test_lines_keep_their_places(path: Path, change: str) -> None:
    chain = JournaledChain(path)
    fund(chain, 3)
    chain.close()
    first, one, two, three = path.read_bytes().splitlines(keepends=True)
    lines = {"left out": [first, two, three], "moved": [first, two, one, three], "twice": [first, one, one, two]}
    path.write_bytes(b"".join(lines[change]))
    with pytest.raises(StoreDamagedError, match=r"damaged in line [23]; the last good block is [01] 0x"):
        JournaledChain(path)


def test_the_lines_before_the_damage_are_a_journal(path: Path) -> None:
    chain = JournaledChain(path)
    fund(chain, 3)
    chain.close()
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], b"{}\n", *lines[3:]]))
    with pytest.raises(StoreDamagedError, match="cut it to its first 2 lines"):
        JournaledChain(path)
    path.write_bytes(b"".join(lines[:2]))
    again = JournaledChain(path)
    assert head(again)["number"] == "0x1"
    again.close()


def test_a_journal_of_other_blocks_is_refused(path: Path) -> None:
    """Every check is right, and the block that comes of it is another."""
    chain = JournaledChain(path)
    fund(chain, 1)
    chain.close()
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    forged = JournaledChain(path.with_name("forged"))
    forged._append({**{name: lines[1][name] for name in lines[1] if name != "check"}, "hash": "0x" + "11" * 32})
    forged.close()
    with pytest.raises(StoreDamagedError, match=r"damaged in line 2; the last good block is 0 0x"):
        JournaledChain(path.with_name("forged"))


@pytest.mark.parametrize("content", [b"\n", b"[]\n", b'{"check":""}\n', b"hello\n", b"[" * 100_000 + b"\n"])
def test_what_is_no_journal_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(StoreDamagedError, match="damaged in its first line"):
        JournaledChain(path)


def test_two_devchains_do_not_share_a_journal(path: Path) -> None:
    chain = JournaledChain(path)
    with pytest.raises(SettingsError, match="no other devchain uses it"):
        JournaledChain(path)
    chain.close()
    JournaledChain(path).close()


def test_a_path_that_cannot_be_opened_is_said(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be opened"):
        JournaledChain(tmp_path / "missing" / "chain.journal")


def test_a_journal_that_cannot_be_written_makes_no_more_blocks(path: Path) -> None:
    chain = JournaledChain(path)
    fund(chain, 1)
    before = head(chain)
    chain._file, kept = os.open(path, os.O_RDONLY), chain._file  # as if the disk took nothing any more
    for _ in range(2):
        with pytest.raises(RpcError, match="the journal cannot be written"):
            fund(chain, 1)
    chain.close()
    chain._file = kept
    chain.close()
    again = JournaledChain(path)
    assert head(again) == before
    again.close()


def test_times_do_not_go_back() -> None:
    chain = EmbeddedChain(1_700_000_000)
    chain.request_at(1_700_000_005, "anvil_setBalance", [ADDRESS, "0x1"])
    chain.request_at(1_600_000_000, "anvil_setBalance", [ADDRESS, "0x2"])
    times = [chain.request("eth_getBlockByNumber", [hex(n), False])["timestamp"] for n in range(3)]
    assert [int(time, 16) for time in times] == [1_700_000_000, 1_700_000_005, 1_700_000_006]


def test_a_sealed_chain_keeps_its_validators(path: Path) -> None:
    chain = JournaledChain(path, 4)
    fund(chain, 2)
    before = head(chain)
    chain.close()
    assert path.stat().st_mode & 0o777 == 0o600, "the journal has the validators' keys"
    for wanted in (0, 4):
        again = JournaledChain(path, wanted)
        assert head(again) == before, "the same seals, too"
        again.close()
    with pytest.raises(SettingsError, match="has 4 validators, not 7"):
        JournaledChain(path, 7)
    again = JournaledChain(path)
    fund(again, 1)
    extra = parse_extra(bytes.fromhex(head(again)["extraData"][2:]))
    assert (len(extra.validators), len(extra.seals)) == (4, 4)
    again.close()


def test_a_journal_whose_validators_are_no_keys_is_damaged(path: Path) -> None:
    JournaledChain(path, 4).close()
    first = json.loads(path.read_text())
    del first["check"]
    for wrong in (None, "00" * 32, ["00" * 32], [7], ["zz"]):
        entry = {**first, "validators": wrong}
        check = sha256(canonical_json(entry))
        path.write_text(json.dumps({**entry, "check": check.hex()}) + "\n")
        with pytest.raises(StoreDamagedError, match="first line"):
            JournaledChain(path)
