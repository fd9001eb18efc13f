"""What a person sees on the pages about quarantine, queues and status, in both languages, and what must not be seen."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest

from millmark.ledger.errors import ChainUnreachableError
from millmark.ledger.records import LotState
from millmark.ledger.store import Rows, Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import Entry
from millmark.ledger.store.rows import LotRow
from millmark.services.gateway import GatewayParts, build_policy, create_gateway
from tests.support.fake_ledger import FakeLedger
from tests.support.fake_world import CARRIER, INSPECTOR, NAMES, OTHER_BUYER, SMITH
from tests.support.gateway_client import Caller, ServedChain, build_caller
from tests.support.patience import MAX_S
from tests.support.portal_site import OWNER, Site
from tests.support.stores import new_store

SIGNER = b"\x01" * 20


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with new_store(tmp_path) as store:
        yield Site(store)


def seen(page: str) -> str:
    """The words between the page's menu and its foot, in one line."""
    main = page.partition("<main")[2].partition("</main>")[0]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", main.partition(">")[2])).split())


def rows_of(page: str) -> list[str]:
    """Each row of the tables' bodies, as it is read."""
    return [seen(f"<main>{row}</main>") for row in re.findall(r"<tr><th scope=\"row\".*?</tr>", page, re.DOTALL)]


# Quarantine


def set_apart(site: Site, name: str) -> None:
    with site.store.transaction() as connection:
        rows = Rows(connection)
        lot = rows.get(LotRow, site.world.lots[name])
        assert lot is not None
        rows.update([replace(lot, state=int(LotState.QUARANTINED), counterparty=INSPECTOR)])


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("en", ("Quarantine", "Lots that can only be reworked or scrapped", "Set apart by", "in quarantine", "pc")),
        ("zh", ("隔离", "只能返工或报废的批次", "隔离方", "隔离中", "件")),
    ],
)
def test_quarantine_says_which_lot_who_has_it_and_who_set_it_apart(
    site: Site, language: str, told: tuple[str, ...]
) -> None:
    set_apart(site, "hip 3")
    page = site.browser(OWNER).get(f"/portal/quarantine?lang={language}").text
    for words in told:
        assert words in seen(page)
    [row] = rows_of(page)
    for part in ("hip-3", NAMES[SMITH], NAMES[INSPECTOR], "UTC", told[3], told[4]):
        assert part in row
    assert f'href="/portal/lots/{site.world.lots["hip 3"].hex()}"' in page


@pytest.mark.parametrize(
    ("language", "nothing"), [("en", "There is nothing here that you may see."), ("zh", "此处没有您可查看的内容。")]
)
def test_quarantine_shows_nobody_what_is_not_theirs(site: Site, language: str, nothing: str) -> None:
    """A hip of one buyer's order: the other buyer sees no lot, no name, and not that there is one."""
    before = seen(site.browser(OTHER_BUYER).get(f"/portal/quarantine?lang={language}").text)
    set_apart(site, "hip 3")
    page = site.browser(OTHER_BUYER).get(f"/portal/quarantine?lang={language}").text
    assert seen(page) == before
    assert nothing in before
    for hidden in ("hip-3", site.world.lots["hip 3"].hex(), NAMES[INSPECTOR]):
        assert hidden not in page


# Queues


def fill(store: Store) -> None:
    """One record that waits, one held back, one that needs that, one given up."""
    entries = [("key-one", None), ("held", None), ("after-held", "held"), ("given-up", None)]
    outbox = Outbox(store)
    outbox.enqueue(SIGNER, [Entry(key, "ledger", "Anchor", b"secret-calldata", needs) for key, needs in entries])
    outbox.pause(["held"])
    outbox.cancel(["given-up"])


@pytest.mark.parametrize(
    ("language", "kind", "states", "reasons"),
    [
        (
            "en",
            "Anchor an evidence stream",
            ("queued 1", "paused 1", "blocked 1", "failed 0", "cancelled 1"),
            ("queued 0 waits for its turn key-one", "paused 0 held back by the operator held",
             "blocked 0 waits for another record: held after-held"),
        ),
        (
            "zh",
            "锚定证据流",
            ("排队中 1", "已暂停 1", "受阻 1", "失败 0", "已取消 1"),
            ("排队中 0 等待轮到 key-one", "已暂停 0 由运营方暂停 held", "受阻 0 等待其他记录： held after-held"),
        ),
    ],
)  # fmt: skip
def test_queues_say_how_many_wait_in_which_state_and_why(
    site: Site, language: str, kind: str, states: tuple[str, ...], reasons: tuple[str, ...]
) -> None:
    fill(site.store)
    page = site.browser(OWNER).get(f"/portal/queues?lang={language}").text
    rows = rows_of(page)
    for state in states:
        assert any(row.startswith(state) for row in rows), state
    waiting = [re.sub(rf"^{kind} (\S+) \d+ ", r"\1 0 ", row) for row in rows if row.startswith(kind)]
    assert sorted(waiting) == sorted(reasons), "an age is what it is"
    assert "given-up" not in page


def test_queues_show_no_calldata_and_no_signer(site: Site) -> None:
    fill(site.store)
    page = site.browser(OWNER).get("/portal/queues").text
    for hidden in (b"secret-calldata".hex(), "secret-calldata", SIGNER.hex()):
        assert hidden not in page


@pytest.mark.parametrize(("language", "nothing"), [("en", "Nothing is waiting."), ("zh", "没有等待中的记录。")])
def test_an_empty_queue_says_so(site: Site, language: str, nothing: str) -> None:
    assert nothing in seen(site.browser(OWNER).get(f"/portal/queues?lang={language}").text)


@pytest.mark.parametrize("path", ["/portal/queues", "/portal/status"])
@pytest.mark.parametrize("participant", [SMITH, CARRIER])
def test_operations_are_there_for_the_owner_alone(site: Site, path: str, participant: int) -> None:
    fill(site.store)
    answer = site.browser(participant).get(path)
    assert answer.status_code == 404
    for hidden in ("key-one", "after-held", "queued", "Digest"):
        assert hidden not in seen(answer.text)
    assert path not in site.browser(participant).get("/portal").text


# Status


def followed(chain: ServedChain, store: Store, script: Callable[[Callable[[str], str]], None]) -> None:
    """Runs `script` while a gateway follows the chain; it is given a way to read the page in a language."""
    app = create_gateway(GatewayParts(store, build_policy("loopback-open"), chain=chain, follow_interval_s=0.01))

    async def run() -> None:
        async with app.router.lifespan_context(app):
            await asyncio.to_thread(script, lambda lang: Caller(app).ask(f"/portal/status?lang={lang}").text)

    asyncio.run(run())


def until(read: Callable[[str], str], language: str, words: str) -> str:
    """The page once it says so: the follower is a thread of its own."""
    end = time.monotonic() + MAX_S
    while words not in seen(page := read(language)):
        assert time.monotonic() < end, seen(page)
        time.sleep(0.005)
    return seen(page)


@pytest.fixture
def chain() -> ServedChain:
    made = FakeLedger(ServedChain())
    made.admit(1)
    made.receive("a", 1, 10)
    made.chain.mine()
    assert isinstance(made.chain, ServedChain)
    return made.chain


def test_status_tells_how_far_index_and_chain_are_and_what_went_wrong(tmp_path: Path, chain: ServedChain) -> None:
    def script(read: Callable[[str], str]) -> None:
        head = chain.headers[-1]
        for language, equal, block in (
            ("en", "The index has everything that is on the chain.", "Last block"),
            ("zh", "索引与链一致。", "最新区块"),
        ):
            page = until(read, language, equal)
            assert page.count(f"{block} {head.number} ,") == 2
            assert page.count(head.hash.hex()[:8]) == 2
        chain.broken = ChainUnreachableError("the chain at http://key@node does not answer", hint="try again")
        silent = until(read, "en", "The chain does not respond: the index has not changed since.")
        assert "the chain at (address withheld) does not answer; try again" in silent
        assert "key@node" not in silent
        assert f"Last block {head.number} ," in silent, "of the index"
        assert "链没有响应" in seen(read("zh"))
        until(read, "en", "Last failure persists")
        until(read, "zh", "最近一次故障 仍在持续")
        chain.broken = None
        until(read, "en", "Last failure over")
        until(read, "zh", "最近一次故障 已恢复")

    with new_store(tmp_path) as store:
        followed(chain, store, script)


def test_status_says_when_the_index_is_behind(tmp_path: Path, chain: ServedChain) -> None:
    def script(read: Callable[[str], str]) -> None:
        until(read, "en", "The index has everything that is on the chain.")
        other = ServedChain(genesis="other")
        other.mine(len(chain.headers))
        chain.headers[1:] = other.headers[1:]
        chain.sequences = {contract: number + 5 for contract, number in chain.sequences.items()}
        until(read, "en", "The index is behind the chain.")
        until(read, "zh", "索引落后于链。")
        assert "Last failure persists" in until(read, "en", "Last failure")

    with new_store(tmp_path) as store:
        followed(chain, store, script)


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("en", ("There is no chain to compare the index with.", "No chain was indexed yet.")),
        ("zh", ("没有可供比较的链。", "尚未连接任何链。")),
    ],
)
def test_status_without_chain_and_index_says_so(tmp_path: Path, language: str, told: tuple[str, ...]) -> None:
    with new_store(tmp_path) as store:
        page = seen(build_caller(store).ask(f"/portal/status?lang={language}").text)
    for words in told:
        assert words in page
    assert "no chain is configured; set chain_url" in page
