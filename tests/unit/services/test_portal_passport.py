"""The page behind a part's code: who gets in, what it tells and what not, and the resolver around it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from millmark.ledger.claims import build_claims
from millmark.ledger.events.lots import LotReceived
from millmark.ledger.footprint import Other, Own, Step, build_footprint
from millmark.ledger.ids import Identity, SubjectKind
from millmark.ledger.provenance import Disclosing
from millmark.ledger.records import NoteKind
from millmark.ledger.store import Book, Store
from millmark.ledger.verify.statements import LANGUAGES
from millmark.services.gateway import GatewayParts, Limiter, Rates, build_policy, create_gateway
from millmark.services.interop.contexts.published import build_linkset_context
from millmark.services.portal import Proofs
from millmark.services.portal.passports import BUNDLE_TYPE
from tests.support.fake_ledger import PIECE, digest
from tests.support.fake_world import SMITH, World
from tests.support.footprints import FACTORS, TIME_S
from tests.support.gateway_client import LINK, SLASHED, Caller, build_linked_world
from tests.support.sign_in import NOW_S
from tests.support.stores import new_store

PART = "/01/09506000134352/21/A-1"
LOT_KEY = "https://id.gs1.org/01/09506000134352/10/HEAT-7"
FOOTPRINT = build_footprint(
    Step(made=((b"\x01" * 32, 1),)),
    b"\x01" * 32,
    sources={},
    own=[Own(1800, "grid", "contract")],
    other=[Other("bar", "steel", 500)],
    table=FACTORS,
    time_s=TIME_S,
).to_json()
DOCUMENT = {
    "price": 940,
    "passport": {
        "productName": "Hüftschaft <b>",
        "material": "Ti-6Al-4V",
        "footprint": FOOTPRINT,
    },
}


def salt_of(link: str) -> str:
    return base64.urlsafe_b64encode(digest("salt", link)).rstrip(b"=").decode()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with new_store(tmp_path_factory.mktemp("portal")) as store:
        world = build_linked_world(store)
        add_lot(store, world)
        yield world


def add_lot(store: Store, world: World) -> None:
    """A lot under another key, with a document."""
    identity = Identity(SubjectKind.LOT, SMITH, LOT_KEY, digest("salt", LOT_KEY))
    claims = build_claims(DOCUMENT)  # type: ignore[arg-type]  # it is JSON
    lot = identity.subject
    world.fake.chain.record(LotReceived(1, PIECE, claims.root), SMITH, lot, (lot,))
    with store.transaction() as connection:
        Book(connection).add_identity(identity)
        Book(connection).put_document(claims.root, json.dumps(claims.to_json()))
    world.follow()


@pytest.fixture(scope="module")
def caller(world: World) -> Caller:
    return serve(world)


def serve(world: World, proofs: Proofs | None = None, contact: str | None = None) -> Caller:
    policy, limiter = build_policy("loopback-open"), Limiter(Rates(1e6, 1e6))
    parts = GatewayParts(world.store, policy, clock=lambda: NOW_S, limiter=limiter, proofs=proofs, contact=contact)
    return Caller(create_gateway(parts))


def told(answer: httpx.Response) -> tuple[int, str, dict[str, str]]:
    """All of an answer but its id, and but for the address that the language switch repeats."""
    headers = {name: value for name, value in answer.headers.items() if name not in ("x-request-id", "content-length")}
    return answer.status_code, re.sub(r'href="[^"]*lang=', 'href="lang=', answer.text), headers


def test_the_code_opens_the_passport(caller: Caller) -> None:
    answer = caller.ask(f"{PART}?salt={salt_of(LINK)}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "A-1" in answer.text
    assert "Smithy" in answer.text


def test_a_part_that_is_called_back_says_so_first_and_is_not_drawn_as_good(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        world = build_linked_world(store)
        where = f"{PART}?salt={salt_of(LINK)}"
        before = serve(world).ask(where).text
        assert "RECALLED" not in before
        assert 'class="asked bad"' not in before
        world.fake.note(SMITH, world.lots[LINK], kind=NoteKind.RECALL_NOTICE)
        world.follow()
        page = serve(world).ask(where).text
        assert "RECALLED: do not use it until this is settled" in page
        assert 'class="asked bad"' in page


@pytest.mark.parametrize(("language", "asks"), [("en", "Ask before you use it:"), ("zh", "使用前请先询问：")])
def test_a_part_that_is_called_back_says_in_its_box_whom_to_ask(tmp_path: Path, language: str, asks: str) -> None:
    with new_store(tmp_path) as store:
        world = build_linked_world(store)
        where = f"{PART}?salt={salt_of(LINK)}&lang={language}"
        mail = "mailto:quality@smithy.example"
        assert asks not in serve(world, contact=mail).ask(where).text, "there is nothing to ask"
        world.fake.note(SMITH, world.lots[LINK], kind=NoteKind.RECALL_NOTICE)
        world.follow()
        box = re.search(r'<div class="badge.*?\n</div>', serve(world, contact=mail).ask(where).text, re.DOTALL)
        assert box is not None
        assert asks in box[0]
        assert f'<a href="{mail}">' in box[0]
        assert asks not in serve(world).ask(where).text, "nobody is named"


def test_a_serial_number_may_hold_a_slash(caller: Caller) -> None:
    assert caller.ask(f"/01/09506000134352/21/A%2F1?salt={salt_of(SLASHED)}").status_code == 200
    assert caller.ask(f"/01/09506000134352/21/A/1?salt={salt_of(SLASHED)}").status_code == 400


@pytest.mark.parametrize("more", ["10/HEAT-7/", "22/V1/", "22/V1/10/HEAT-7/", ""])
@pytest.mark.parametrize("slash", ["", "/"])
def test_a_serial_number_names_its_part_also_beside_lot_and_variant(caller: Caller, more: str, slash: str) -> None:
    path = f"{PART.replace('/21/', f'/{more}21/')}{slash}?salt={salt_of(LINK)}"
    answer = caller.ask(f"{path}&linkType=linkset")
    (links,) = answer.json()["linkset"]
    assert links["anchor"] == LINK
    assert "A-1" in caller.ask(path).text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"/01/09506000134352/10/HEAT-7/21/A-1?salt={salt_of(LOT_KEY)}", 404),  # of the lot, whose code names no part
        (f"/01/09506000134352?salt={salt_of(LINK)}", 404),
        (f"/01/09506000134352/10/A-1?salt={salt_of(LINK)}", 404),
        (f"/01/09506000134352/22/V/10/HEAT-7?salt={salt_of(LOT_KEY)}", 404),
        (f"/01/09506000134352/235/A-1?salt={salt_of(LINK)}", 404),
        (f"{PART}/10/HEAT-7?salt={salt_of(LINK)}", 400),
        (f"{PART}//?salt={salt_of(LINK)}", 400),
        (f"/01/9506000134352/21/A-1?salt={salt_of(LINK)}", 400),
    ],
)
def test_other_paths_open_nothing(caller: Caller, path: str, status: int) -> None:
    assert caller.ask(path).status_code == status


def test_scripts_of_any_site_may_read_what_a_code_resolves_to(caller: Caller) -> None:
    path = f"{PART}?salt={salt_of(LINK)}"
    for url in (f"{path}&linkType=linkset", f"{path}&linkType=gs1:traceability", "/.well-known/gs1resolver"):
        headers = caller.ask(url, Origin="https://shop.example").headers
        assert headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in headers
    assert "access-control-allow-origin" not in caller.ask("/v1/status", Origin="https://shop.example").headers


def test_other_keys_open_theirs(caller: Caller) -> None:
    assert caller.ask(f"/01/09506000134352/10/HEAT-7?salt={salt_of(LOT_KEY)}").status_code == 200


@pytest.mark.parametrize("accept", ["text/html", "application/linkset+json"])
@pytest.mark.parametrize("what", ["", "/passport/bundle", "/passport/trust", "/passport/qr", "/passport/label"])
def test_without_its_salt_a_part_is_as_one_that_is_not_there(caller: Caller, what: str, accept: str) -> None:
    absent = caller.ask(f"{what}/01/09506000134352/21/NONE?salt={salt_of('none')}", Accept=accept)
    assert absent.status_code == 404
    wrong = base64.urlsafe_b64encode(bytes(32)).rstrip(b"=").decode()
    for query in ("", "?salt=", f"?salt={wrong}", f"?salt={salt_of(SLASHED)}", "?salt=short", f"?salt={salt_of(LINK)}x",
                  f"?salt={salt_of(LINK)}&salt={salt_of(LINK)}", f"?Salt={salt_of(LINK)}"):  # fmt: skip
        assert told(caller.ask(f"{what}{PART}{query}", Accept=accept)) == told(absent)


def test_an_order_has_no_passport(caller: Caller, world: World) -> None:
    order = Identity(SubjectKind.ORDER, 1, "https://id.gs1.org/253/9506000077000A", digest("salt", "order"))
    with world.store.transaction() as connection:
        Book(connection).add_identity(order)
    assert caller.ask(f"/253/9506000077000A?salt={salt_of('order')}").status_code == 404


@pytest.mark.parametrize(
    "path", ["/01/09506000134353/21/A-1", "/01/9506000134352", "/21/A-1", "/01/09506000134352/21/", "/01/1/2/3", "/1/2"]
)
def test_what_is_no_link_is_called_so(caller: Caller, path: str) -> None:
    answer = caller.ask(path)
    assert answer.status_code == 400
    assert "This is not a GS1 link" in answer.text


def test_only_what_is_disclosed_is_shown(world: World) -> None:
    path = f"/01/09506000134352/10/HEAT-7?salt={salt_of(LOT_KEY)}"
    for fields, shown, hidden in (
        ((), (), ("Hüft", "Ti-6Al-4V", "940", "1.800")),
        ((("passport",),), ("Hüftschaft &lt;b&gt;", "Ti-6Al-4V", "1.800", "0.684"), ("940", "<b>")),
        ((("price",),), ("940",), ("Hüft", "Ti-6Al-4V")),
    ):
        page = serve(world, Proofs(world.store, None, None, Disclosing(fields=fields))).ask(path).text
        assert all(text in page for text in shown)
        assert not [text for text in hidden if text in page]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_footprint_is_a_waterfall_that_adds_up(caller: Caller, language: str) -> None:
    page = caller.ask(f"/01/09506000134352/10/HEAT-7?salt={salt_of(LOT_KEY)}&lang={language}").text
    waterfall = re.findall(r'<svg class="waterfall".*?</svg>', page, re.DOTALL)
    assert len(waterfall) == 1
    amounts = re.findall(r'class="figure"[^>]*>([0-9.]+) kg<', waterfall[0])
    assert amounts == ["0.684", "0.950", "1.634"]
    assert "kg CO₂e" in page
    assert "passport &gt; footprint" not in page
    assert "footprint ›" not in page, "its fields are not listed as facts as well"


def test_without_a_chain_the_page_says_that_nothing_is_proved(caller: Caller) -> None:
    page = caller.ask(f"{PART}?salt={salt_of(LINK)}").text
    assert "No proof can be shown now" in page
    assert "That this was recorded is proved" not in page
    assert caller.ask(f"/passport/bundle{PART}?salt={salt_of(LINK)}").status_code == 404


def test_a_kept_file_that_is_no_proof_is_not_called_one(world: World, tmp_path: Path) -> None:
    lot = world.lots[LINK]
    vectors = Path(__file__).parents[2] / "vectors" / "bundle"
    (tmp_path / f"{lot.hex()}.bundle").write_bytes((vectors / "part.bundle").read_bytes()[:-9])
    (tmp_path / f"{lot.hex()}.trust.json").write_bytes((vectors / "trust.json").read_bytes())
    page = serve(world, Proofs(world.store, None, tmp_path)).ask(f"{PART}?salt={salt_of(LINK)}").text
    assert "The proof is refused" in page
    assert "That this was recorded is proved" not in page


@pytest.mark.parametrize(
    ("query", "accept"),
    [
        ("&linkType=all", "text/html"),
        ("&linkType=linkset", "*/*"),
        ("", "application/linkset+json"),
        ("", "text/html;q=0.5, application/linkset+json"),
        ("", "application/json"),
    ],
)
def test_the_linkset(caller: Caller, query: str, accept: str) -> None:
    answer = caller.ask(f"{PART}?salt={salt_of(LINK)}{query}", Accept=accept)
    assert answer.headers["content-type"] == "application/linkset+json"
    (links,) = answer.json()["linkset"]
    assert links.pop("anchor") == LINK
    assert set(links) == {
        f"https://ref.gs1.org/voc/{kind}" for kind in ("defaultLink", "pip", "certificationInfo", "traceability")
    }
    [default], [page] = (links[f"https://ref.gs1.org/voc/{kind}"] for kind in ("defaultLink", "pip"))
    assert default == {"href": page["href"], "title": default["title"]}
    for (one,) in links.values():
        assert f"salt={salt_of(LINK)}" in one["href"]
        path = one["href"].removeprefix("http://localhost:8600")
        assert caller.ask(path).status_code == (404 if one.get("type") == BUNDLE_TYPE else 200)  # no proof here


@pytest.mark.parametrize(
    ("query", "accept"),
    [
        ("&linkType=linkset", "application/ld+json"),
        ("", "application/ld+json"),
        ("", "text/html;q=0.5, application/ld+json"),
        ("", "application/linkset+json;q=0.9, application/ld+json"),
    ],
)
def test_the_linkset_as_json_ld_contains_its_context(caller: Caller, query: str, accept: str) -> None:
    answer = caller.ask(f"{PART}?salt={salt_of(LINK)}{query}", Accept=accept)
    assert answer.headers["content-type"] == "application/ld+json"
    plain = caller.ask(f"{PART}?salt={salt_of(LINK)}&linkType=linkset")
    assert {**build_linkset_context(), **plain.json()} == answer.json()


def test_the_context_of_a_linkset_is_told_and_served(caller: Caller) -> None:
    answer = caller.ask(f"{PART}?salt={salt_of(LINK)}&linkType=linkset")
    url, relation, _ = answer.headers["link"].split("; ")
    assert relation == 'rel="http://www.w3.org/ns/json-ld#context"'
    assert answer.headers["access-control-expose-headers"] == "Link"
    assert url == f"<{caller.ask('/.well-known/gs1resolver').json()['jsonLdContextLocation']}>"
    served = caller.ask(url[1:-1].removeprefix("http://localhost:8600"))
    assert (served.headers["content-type"], served.json()) == ("application/ld+json", build_linkset_context())


def test_link_types(caller: Caller) -> None:
    path = f"{PART}?salt={salt_of(LINK)}"
    assert caller.ask(f"{path}&linkType=gs1:pip").status_code == 200
    for namespace in ("https://ref.gs1.org/voc/", "https://gs1.org/voc/", "http://gs1.org/voc/", ""):
        assert caller.ask(f"{path}&linkType={namespace}pip").status_code == 200
    for unknown in ("https://example.com/voc/pip", "gs1:gs1:pip", "linkset/", "gs1:Pip"):
        assert caller.ask(f"{path}&linkType={unknown}").status_code == 404
    assert caller.ask(f"{path}&linkType=gs1:defaultLink").status_code == 200
    assert caller.ask(f"{path}&linkType=gs1:recipeInfo").status_code == 404
    assert 'rel="linkset"' in caller.ask(path).headers["link"]


@pytest.mark.parametrize("more", ["", "&17=261231;3103=000189", "&flag&context=eu&x=%2F%20+"])
@pytest.mark.parametrize("beside", ["", "10/HEAT-7/"])
def test_a_redirect_passes_the_whole_query_on_as_it_was_sent(caller: Caller, beside: str, more: str) -> None:
    query = f"salt={salt_of(LINK)}{more}&linkType=gs1:traceability"
    moved = caller.ask(f"{PART.replace('/21/', f'/{beside}21/')}?{query}")
    assert (moved.status_code, moved.headers["location"]) == (307, f"/passport/bundle{PART}?{query}")


def test_head_and_options_are_answered_as_a_resolver_must(caller: Caller) -> None:
    path = f"{PART}?salt={salt_of(LINK)}"
    for query, status in (
        ("", 200),
        ("&linkType=linkset", 200),
        ("&linkType=gs1:traceability", 307),
        ("&linkType=x", 404),
    ):
        got, head = caller.ask(path + query), caller.ask(path + query, "HEAD")
        assert (head.status_code, head.content) == (status, b"")
        assert [head.headers.get(name) for name in ("link", "location")] == [
            got.headers.get(name) for name in ("link", "location")
        ]
    assert caller.ask(path, "OPTIONS").headers["allow"] == "GET, HEAD, OPTIONS"


def test_the_resolver_describes_itself(caller: Caller) -> None:
    found = caller.ask("/.well-known/gs1resolver").json()
    assert found["resolverRoot"] == "http://localhost:8600"
    assert found["supportedPrimaryKeys"] == ["all"]
    assert found["supportedLinkType"] == [{"namespace": "https://ref.gs1.org/voc/", "prefix": "gs1:"}]


def test_the_label_has_the_code(caller: Caller) -> None:
    page = caller.ask(f"/passport/label{PART}?salt={salt_of(LINK)}").text
    (source,) = re.findall(r'<img src="(/passport/qr[^"]+)"', page)
    picture = caller.ask(source.replace("&amp;", "&"))
    assert picture.headers["content-type"] == "image/svg+xml"
    assert picture.text.startswith("<svg")


def test_nothing_else_is_loaded_and_nothing_is_inline(caller: Caller) -> None:
    answer = caller.ask(f"{PART}?salt={salt_of(LINK)}")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", answer.text)
    # The only script shows times in the reader's zone. No other would run: the policy has its digest and no address.
    (script,) = re.findall(r"<script[^>]*>[^<]*</script>", answer.text)
    parts = re.fullmatch(r'<script src="([^"]+/local\.js)" integrity="([^"]+)" defer></script>', script)
    assert parts is not None
    address, digest = parts.groups()
    assert policy.endswith(f"; script-src '{digest}'")
    own = base64.b64encode(hashlib.sha256(caller.ask(address).content).digest()).decode()
    assert digest == f"sha256-{own}"
    loaded = re.findall(r'(?:src|<link[^>]* href)="((?!/passport/qr/)[^"]+)"', answer.text)  # the code is for paper
    assert loaded
    for address in loaded:
        assert address.startswith("/portal/assets/")
        asset = caller.ask(address)
        assert asset.headers["cache-control"] == "public, max-age=31536000, immutable"
        again = caller.ask(address, If_None_Match=asset.headers["etag"])
        assert (again.status_code, again.content) == (304, b"")
        assert caller.ask(address.replace("assets/", "assets/x")).status_code == 404


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("de,en;q=0.7,zh;q=0.3", "en"),
        ("fr", "en"),
        ("zh;q=0", "en"),
        ("zh;q=x, en;q=0.1", "en"),
        ("*", "en"),
    ],
)
def test_the_language_is_the_readers(caller: Caller, accepted: str, language: str) -> None:
    answer = caller.ask(f"{PART}?salt={salt_of(LINK)}", Accept_Language=accepted)
    assert f'<html lang="{language}">' in answer.text
    assert answer.headers["content-language"] == language
    assert "set-cookie" not in answer.headers


def test_the_switch_keeps_the_salt_and_is_remembered(caller: Caller) -> None:
    page = caller.ask(f"{PART}?salt={salt_of(LINK)}&lang=en").text
    (switch,) = re.findall(r'href="([^"]+lang=zh)"', page)
    answer = caller.ask(switch.replace("&amp;", "&"))
    assert '<html lang="zh">' in answer.text
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    again = caller.ask(f"{PART}?salt={salt_of(LINK)}", Cookie=cookie.partition(";")[0])
    assert '<html lang="zh">' in again.text


def test_a_passport_is_packed_and_a_page_with_a_form_never(caller: Caller) -> None:
    """A form has a secret; packed beside what a stranger can have the page repeat, its size would tell of it."""
    packed = caller.ask(f"{PART}?salt={salt_of(LINK)}", Accept_Encoding="gzip")
    plain = caller.ask(f"{PART}?salt={salt_of(LINK)}", Accept_Encoding="identity")
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"]) / 2
    assert "content-encoding" not in plain.headers
    for answer in (packed, plain):
        assert "Accept-Encoding" in answer.headers["vary"]
    assert "content-encoding" not in caller.ask("/portal/sign-in", Accept_Encoding="gzip").headers
