"""Passports over a living chain: proofs are made once, anew when the index has more, and never better than the part."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import cast

import httpx
import pytest

from millmark.ledger.canonical import Json
from millmark.ledger.footprint import parse_register_entry
from millmark.ledger.ids import SubjectKind
from millmark.ledger.records import OrderTerms, PlaceOrder, WithdrawModel
from millmark.ledger.trust import parse_trust
from millmark.ledger.verify import Section, verify_bundle
from millmark.ledger.verify.statements import LANGUAGES
from millmark.services.demo.consortium import hash_of
from millmark.services.gateway import GatewayParts, build_policy, create_gateway
from millmark.services.portal import Proofs
from millmark.services.portal.proofs import kept_names
from tests.support.gateway_client import Caller, build_caller
from tests.support.patience import MAX_S
from tests.support.portal_world import PortalWorld, serve_world
from tests.support.story import named, said
from tests.support.story_site import as_shown

pytestmark = pytest.mark.integration
GOOD, STANDING = 'class="badge good"', 'class="badge bad"'


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PortalWorld]:
    with serve_world(tmp_path_factory.mktemp("proofs")) as world:
        yield world


def get(address: str) -> httpx.Response:
    """However busy the machine is."""
    return httpx.get(address, timeout=MAX_S)


def download(world: PortalWorld, what: str) -> bytes:
    answer = get(world.code().replace("/01/", f"/passport/{what}/01/"))
    assert answer.status_code == 200
    return answer.content


def place_another(world: PortalWorld) -> None:
    """A record that has nothing to do with the part."""
    consortium = world.line.consortium
    order = consortium.name(SubjectKind.ORDER, consortium.buyer, f"urn:example:order-{time.monotonic_ns()}")
    terms = OrderTerms(1, consortium.coordinator.number, (), 2**32, 0, bytes(3), bytes(32))
    consortium.record(consortium.buyer, [PlaceOrder(hash_of(order), terms)])
    world.follow()


def test_a_proof_is_made_once_and_anew_when_there_is_more(world: PortalWorld) -> None:
    assert GOOD in get(world.code()).text
    first = download(world, "bundle")
    assert GOOD in get(world.code()).text
    assert download(world, "bundle") == first
    place_another(world)
    assert download(world, "bundle") == first, "of the page that was shown"
    assert GOOD in get(world.code()).text
    assert download(world, "bundle") != first


def test_both_files_are_of_one_page_whatever_is_recorded_meanwhile(world: PortalWorld) -> None:
    get(world.code())
    bundle = download(world, "bundle")
    place_another(world)
    trust = download(world, "trust")
    report = verify_bundle(bundle, parse_trust(trust), now_s=int(time.time()))
    assert [part.identifier for part in named(report, "part", "lot")] == [world.identity(world.part).identifier]


def test_the_page_tells_no_more_than_its_file(world: PortalWorld) -> None:
    """What is disclosed in the file is what the policy says, and the page shows nothing beyond."""
    page = get(world.code()).text
    report = verify_bundle(download(world, "bundle"), parse_trust(download(world, "trust")), now_s=int(time.time()))
    paths = [path for document in named(report, "document", "fields") for path, _ in document.fields]
    assert paths
    assert {path[0] for path in paths} == {"passport"}
    assert not said(report, "inferences_shown")
    entries = [cast("Json", one.values["entry"]) for one in said(report, "entry")]
    assert entries, "the register readings, from which the footprint follows"
    assert all(parse_register_entry(entry) is not None for entry in entries)
    assert "engraving" not in page


def test_without_the_word_names_only_the_part_is_named(world: PortalWorld) -> None:
    path = world.code().removeprefix(world.origin)
    proofs = Proofs(world.store, None, None)
    page = build_caller(world.store, proofs=proofs).ask(path).text
    named = get(world.code()).text
    for name in ("CELL-1", "FORGE-1", "HEAT1", "0007700001"):
        assert name in named
        assert name not in page
    assert world.identity(world.part).identifier.rpartition("/")[2] in page


@pytest.mark.parametrize(
    ("language", "told"),
    [
        (
            "en",
            (
                "What needs attention",
                "certificate {number} of {part} by Umbra Inspection: fail, in force",
                "{part} is quarantined by",
            ),
        ),
        ("zh", ("需要注意", "对 {part} 的证书 {number}：不合格，生效中", "{part} 已被")),
    ],
)
def test_the_page_shows_what_the_verifier_draws_attention_to(
    world: PortalWorld, language: str, told: tuple[str, ...]
) -> None:
    page = get(f"{world.code(world.failed)}&lang={language}").text
    text = unescape(re.sub(r"<[^>]+>", "", page))
    part = world.identity(world.failed).identifier.rpartition("/")[2]
    [number] = set(re.findall({"en": r"FAILED: certificate (\d+) by", "zh": r"不合格：证书 (\d+)，由"}[language], text))
    for line in told:
        assert line.format(part=part, number=number) in text
    assert text.count(told[0]) == 1
    assert told[0] not in get(f"{world.code()}&lang={language}").text, "of a part that stands well"


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_portal_tells_of_a_lot_what_its_proof_tells(world: PortalWorld, language: str) -> None:
    """Of a part that passed and of one that failed: every sentence, once, on the passport and on the lot's page."""
    policy = build_policy("loopback-open")
    caller = Caller(create_gateway(GatewayParts(world.store, policy)))
    for job in (world.part, world.failed):
        code = f"{world.code(job)}&lang={language}"
        passport = items_of(get(code).text)
        bundle, trust = (
            get(world.code(job).replace("/01/", f"/passport/{what}/01/")).content for what in ("bundle", "trust")
        )
        report = verify_bundle(bundle, parse_trust(trust), now_s=int(time.time()), any_status=True)
        lot = items_of(caller.ask(f"/portal/lots/{world.identity(job).subject.hex()}?lang={language}").text)
        sections = (Section.PART, Section.ATTENTION, Section.ORIGIN)
        told = [one for one in report.statements if one.section in sections and one.code != "part"]
        assert len(told) > 12
        for one in told:
            sentence = as_shown(one, language)
            assert passport.count(sentence) == lot.count(sentence) == told.count(one), sentence


def items_of(page: str) -> list[str]:
    """What is read on a page, item by item."""
    main = re.sub(r"</?(?:p|li|h\d|td|dd|dt)\b[^>]*>", " ¶ ", page.partition("<main")[2].partition("</main>")[0])
    return [" ".join(item.split()) for item in re.split("[¶·]", unescape(re.sub(r"<[^>]+>", "", main)))]


def test_what_is_not_proved_is_what_the_verifier_says(world: PortalWorld) -> None:
    page = get(world.code()).text
    report = verify_bundle(download(world, "bundle"), parse_trust(download(world, "trust")), now_s=int(time.time()))
    items = page.partition('<details class="said not_proved" open>')[2].partition("</ul>")[0].count("<li>")
    assert items == len(report.not_proved) > 3


def test_a_gateway_without_a_node_shows_the_proof_that_it_keeps(world: PortalWorld, tmp_path: Path) -> None:
    get(world.code())
    for name, what in zip(kept_names(world.part.lot), ("bundle", "trust"), strict=True):
        (tmp_path / name).write_bytes(download(world, what))
    proofs = Proofs(world.store, None, tmp_path)
    caller = build_caller(world.store, proofs=proofs)
    page = caller.ask(world.code().removeprefix(world.origin)).text
    assert GOOD in page
    assert "This gateway stores the file below" in page
    other = caller.ask(world.code(world.failed).removeprefix(world.origin)).text
    assert "No proof can be shown now" in other
    assert "millmark bundle" in other


def test_a_withdrawn_model_shows_at_once(world: PortalWorld) -> None:
    """Last: it cannot be undone."""
    consortium = world.line.consortium
    now = int(time.time())
    consortium.record(consortium.auditor, [WithdrawModel(world.line.plant.model, now - 86_400, bytes(32))])
    world.follow()
    page = get(world.code()).text
    assert GOOD not in page
    assert STANDING in page
    assert "fallen with its model" in page
    verify_bundle(download(world, "bundle"), parse_trust(download(world, "trust")), now_s=now, any_status=True)
