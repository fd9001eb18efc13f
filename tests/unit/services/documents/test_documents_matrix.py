"""Every mode for everybody: whether a document is there, what is fetched, and whether it opens."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import httpx
import pytest

from millmark.services.documents.encryption import open_sealed
from millmark.services.documents.views import Document, Mode
from tests.support.gateway_client import Caller, build_caller
from tests.support.shared_world import (
    BILLET,
    CONTENT,
    DESCENDANT,
    NAMED,
    OFFERED,
    OTHER,
    OWNER,
    REVOKED,
    SIBLING,
    SUPPLIER,
    SUSPENDED,
    SharedWorld,
    build_shared_world,
)
from tests.support.sign_in import NOW_S, open_session
from tests.support.stores import new_store

HOST = "gateway.example"
RELATIONS = {
    "owner": OWNER,
    "named": NAMED,
    "linked ancestor": SUPPLIER,
    "linked descendant": DESCENDANT,
    "sibling": SIBLING,
    "offered, not accepted": OFFERED,
    "other participant": OTHER,
    "anonymous": None,
    "suspended participant": SUSPENDED,
    "revoked key": REVOKED,
}
KNOWN = frozenset(RELATIONS) - {"anonymous", "suspended participant", "revoked key"}
MATRIX: dict[Mode, frozenset[str]] = {
    Mode.PRIVATE: frozenset({"owner"}),
    Mode.RESTRICTED: frozenset({"owner", "named"}),
    Mode.LINKED: frozenset({"owner", "linked ancestor", "linked descendant"}),
    Mode.CONSORTIUM: KNOWN,
}
"""Written out: for whom a document about the billet is there. All others get 404, or 401 before anything is read."""
SEES_BILLET = frozenset({"owner", "linked ancestor", "linked descendant", "offered, not accepted"})
CELLS = [(mode, relation) for mode in MATRIX for relation in RELATIONS]
ABSENT = "0" * 32


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedWorld]:
    folder = tmp_path_factory.mktemp("matrix")
    with new_store(folder) as store:
        yield build_shared_world(store, folder)


@pytest.fixture(scope="module")
def documents(shared: SharedWorld) -> dict[Mode, Document]:
    """One of each mode; in the modes that name nobody, whoever was named is so no more."""
    found = {mode: shared.add(mode) for mode in Mode}
    restricted = found[Mode.RESTRICTED].document
    for participant in (NAMED, OTHER):
        shared.documents.grant(restricted, participant, NOW_S)
    shared.documents.revoke(restricted, OTHER)
    for mode in (Mode.PRIVATE, Mode.LINKED):
        id_ = found[mode].document
        shared.documents.set_mode(id_, Mode.RESTRICTED)
        shared.documents.grant(id_, NAMED, NOW_S)
        shared.documents.set_mode(id_, mode)
    return found


@pytest.fixture(scope="module")
def caller(shared: SharedWorld) -> Caller:
    return build_caller(shared.store, OWNER, keys=shared.ring)


def ask(
    shared: SharedWorld, caller: Caller, relation: str, path: str, method: str = "GET", body: object = None
) -> httpx.Response:
    participant = RELATIONS[relation]
    headers = {"Host": HOST, "Idempotency-Key": secrets.token_hex(8)}
    if participant is not None:
        headers["Authorization"] = f"Bearer {open_session(shared.store, participant)}"
    return caller.ask(path, method, body, **headers)


def told(answer: httpx.Response, name: str) -> tuple[object, ...]:
    """All of an answer but its id, and what was asked."""
    headers = {key: value for key, value in answer.headers.items() if key not in ("x-request-id", "content-length")}
    body = {key: value for key, value in answer.json().items() if key != "request_id"}
    return answer.status_code, str(body).replace(name, "NAME"), headers


def test_every_cell_is_there() -> None:
    assert set(MATRIX) == set(Mode)
    assert all(seers <= set(RELATIONS) for seers in MATRIX.values())
    assert len(CELLS) == 40


@pytest.mark.parametrize(("mode", "relation"), CELLS)
def test_a_document_is_there_or_is_not(
    shared: SharedWorld, caller: Caller, documents: dict[Mode, Document], mode: Mode, relation: str
) -> None:
    id_ = documents[mode].document
    for path in ("/v1/documents/{}", "/v1/documents/{}/versions/1"):
        found = ask(shared, caller, relation, path.format(id_))
        absent = ask(shared, caller, relation, path.format(ABSENT))
        if relation in MATRIX[mode]:
            assert (found.status_code, absent.status_code) == (200, 404)
        else:
            assert found.status_code == (404 if relation in KNOWN else 401)
            assert told(found, id_) == told(absent, ABSENT)


@pytest.mark.parametrize(("mode", "relation"), CELLS)
def test_what_is_fetched_opens_for_who_fetched_it_alone(
    shared: SharedWorld, caller: Caller, documents: dict[Mode, Document], mode: Mode, relation: str
) -> None:
    if relation not in MATRIX[mode]:
        return
    answer = ask(shared, caller, relation, f"/v1/documents/{documents[mode].document}/versions/1")
    assert answer.headers["content-type"] == "application/vnd.millmark.sealed-document"
    assert answer.headers["content-disposition"].startswith("attachment; ")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert b"canary-content" not in answer.content
    participant = RELATIONS[relation]
    assert participant is not None
    opened = open_sealed(answer.content, shared.private_keys[participant])
    assert (opened.content, opened.header.recipient.root) == (CONTENT, documents[mode].versions[0].root)
    for other in shared.private_keys.keys() - {participant}:
        with pytest.raises(Exception, match="sealed for another key"):
            open_sealed(answer.content, shared.private_keys[other])


@pytest.mark.parametrize("relation", RELATIONS)
def test_lists_hold_what_is_there(
    shared: SharedWorld, caller: Caller, documents: dict[Mode, Document], relation: str
) -> None:
    """A participant finds linked ones by their lot, where that is there for it."""
    everything = ask(shared, caller, relation, "/v1/documents?limit=200")
    about = ask(shared, caller, relation, f"/v1/documents?about={BILLET}")
    if relation not in KNOWN:
        assert {everything.status_code, about.status_code} == {401}
        return
    seen = {documents[mode].document for mode in MATRIX if relation in MATRIX[mode]}
    linked = documents[Mode.LINKED].document
    listed = {one["document"] for one in everything.json()["items"]}
    assert listed == (seen if relation == "owner" else seen - {linked})
    if relation in SEES_BILLET:
        assert {one["document"] for one in about.json()["items"]} == seen
    else:
        absent = ask(shared, caller, relation, "/v1/documents?about=urn:example:bullet")
        assert told(about, BILLET) == told(absent, "urn:example:bullet")


@pytest.mark.parametrize("relation", RELATIONS)
def test_only_the_owner_sees_who_is_named_and_all_see_only_what_is_theirs(
    shared: SharedWorld, caller: Caller, documents: dict[Mode, Document], relation: str
) -> None:
    for mode, one in documents.items():
        if relation not in MATRIX[mode]:
            continue
        shown = ask(shared, caller, relation, f"/v1/documents/{one.document}").json()
        assert (shown["grants"] is not None) is (relation == "owner")
        assert (shown["about"] is not None) is (relation in SEES_BILLET)


OWNERS_ALONE = [
    ("POST", "/v1/documents?name=a", b"x"),
    ("POST", "/v1/documents/{}/versions?name=a", b"x"),
    ("PATCH", "/v1/documents/{}", {"mode": "consortium"}),
    ("PUT", "/v1/documents/{}/grants/6", None),
    ("DELETE", "/v1/documents/{}/grants/6", None),
    ("DELETE", "/v1/documents/{}", None),
]


@pytest.mark.parametrize("relation", sorted(set(RELATIONS) - {"owner"}))
@pytest.mark.parametrize(("method", "path", "body"), OWNERS_ALONE)
def test_nobody_else_changes_anything(
    shared: SharedWorld,
    caller: Caller,
    documents: dict[Mode, Document],
    relation: str,
    method: str,
    path: str,
    body: object,
) -> None:
    """With the same answer whether the document is there or not."""
    for id_ in (documents[Mode.CONSORTIUM].document, ABSENT):
        answer = ask(shared, caller, relation, path.format(id_), method, body)
        assert answer.status_code == (403 if relation in KNOWN else 401)
    assert shared.documents.get(documents[Mode.CONSORTIUM].document, None) == documents[Mode.CONSORTIUM]


@pytest.mark.parametrize("about", ["urn:example:screws", None])
@pytest.mark.parametrize("mode", [Mode.PRIVATE, Mode.RESTRICTED, Mode.CONSORTIUM])
def test_documents_about_an_order_or_nothing(
    shared: SharedWorld, caller: Caller, mode: Mode, about: str | None
) -> None:
    """The modes are the same; what a document is about is told to parties of the order alone."""
    id_ = shared.add(mode, about, content=b"x").document
    if mode is Mode.RESTRICTED:
        shared.documents.grant(id_, NAMED, NOW_S)
    parties = {"owner", "linked descendant", "other participant"}  # the order's buyer, and its coordinator
    for relation in RELATIONS:
        answer = ask(shared, caller, relation, f"/v1/documents/{id_}")
        fetched = ask(shared, caller, relation, f"/v1/documents/{id_}/versions/1")
        assert answer.status_code == fetched.status_code
        if relation in MATRIX[mode]:
            assert answer.status_code == 200
            assert (answer.json()["about"] is not None) is (about is not None and relation in parties)
        else:
            assert answer.status_code == (404 if relation in KNOWN else 401)
    shared.documents.erase(id_, NOW_S)


def test_links_come_and_go_with_the_ledger_and_offers_make_none(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("links")
    with new_store(folder) as store:
        shared = build_shared_world(store, folder)
        id_ = shared.add(Mode.LINKED).document
        with pytest.raises(Exception, match=f"document {id_} not found"):
            shared.documents.get(id_, OFFERED)
        shared.fake.take(shared.lots["billet"])
        shared.follow()
        assert open_sealed(shared.fetch(id_, OFFERED, OFFERED), shared.private_keys[OFFERED]).content == CONTENT
