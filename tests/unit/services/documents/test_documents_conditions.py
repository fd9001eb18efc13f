"""Changes of a document that are made only where it is still as the caller has it (If-Match)."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from millmark.services.documents.views import Mode
from tests.support.shared_world import NAMED, OTHER, Partner, SharedWorld, build_shared_world
from tests.support.sign_in import NOW_S
from tests.support.stores import new_store


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedWorld]:
    home = tmp_path_factory.mktemp("conditions")
    with new_store(home) as store:
        yield build_shared_world(store, home)


@pytest.fixture
def path(shared: SharedWorld) -> str:
    document = shared.add(Mode.RESTRICTED).document
    shared.documents.grant(document, NAMED, NOW_S)
    return f"/v1/documents/{document}"


CHANGES = {
    "mode": ("PATCH", "", {"mode": "private"}),
    "grant": ("PUT", f"/grants/{OTHER}", None),
    "revoke": ("DELETE", f"/grants/{NAMED}", None),
    "version": ("POST", "/versions?name=a.txt", b"second"),
    "erase": ("DELETE", "", None),
}


def change(owner: Partner, path: str, name: str, tag: str) -> httpx.Response:
    method, more, body = CHANGES[name]
    return owner(path + more, method, body, If_Match=tag)


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_of_what_was_changed_since_is_refused_and_does_nothing(owner: Partner, path: str, name: str) -> None:
    before = owner(path).headers["etag"]
    assert owner(f"{path}/grants/{OTHER}", "PUT").status_code == 200
    if name == "grant":
        assert owner(f"{path}/grants/{OTHER}", "DELETE").status_code == 200
        assert owner(path, "PATCH", {"mode": "private"}).status_code == 200
    now = owner(path)
    for stale in (before, f'"{"0" * 32}"', "W/" + now.headers["etag"], "x", '"', f"{before}, {before}"):
        refused = change(owner, path, name, stale)
        assert (refused.status_code, refused.json()["type"]) == (412, "urn:millmark:problem:precondition-failed")
    assert owner(path).content == now.content


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("form", ["{}", '"0", {}', " {} ,W/{}", "*"])
def test_a_change_of_what_is_as_it_was_is_made(owner: Partner, path: str, name: str, form: str) -> None:
    tag = form.replace("{}", owner(path).headers["etag"])
    made = change(owner, path, name, tag)
    assert made.status_code in (200, 201), made.text
    now = owner(path)
    assert now.json() == made.json()
    assert now.headers["etag"] != tag
    if made.status_code == 200:
        assert made.headers["etag"] == now.headers["etag"], "so that changes can follow each other"


def test_the_last_of_two_who_read_the_same_is_refused(owner: Partner, path: str) -> None:
    tag = owner(path).headers["etag"]
    first = change(owner, path, "grant", tag)
    assert first.status_code == 200
    assert change(owner, path, "revoke", tag).status_code == 412
    assert change(owner, path, "revoke", first.headers["etag"]).status_code == 200


def test_sent_again_a_version_is_answered_as_before(owner: Partner, path: str) -> None:
    """The key says that it is the same request: the tag is judged once."""
    tag, again = owner(path).headers["etag"], {"Idempotency_Key": "version-once"}
    first = owner(f"{path}/versions?name=a.txt", "POST", b"second", If_Match=tag, **again)
    second = owner(f"{path}/versions?name=a.txt", "POST", b"second", If_Match=tag, **again)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert len(owner(path).json()["versions"]) == 2


def test_what_is_not_there_is_not_there_whatever_is_expected(owner: Partner, shared: SharedWorld, path: str) -> None:
    assert change(owner, "/v1/documents/" + "0" * 32, "erase", "*").status_code == 404
    foreign = change(Partner(shared, NAMED), path, "erase", '"wrong"')
    assert foreign.status_code == 403
