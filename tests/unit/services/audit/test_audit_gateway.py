"""The gateway's accesses and the operator's commands in the log; and that nothing is answered without it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from millmark.ledger.errors import StoreError
from millmark.services.audit import Access, AuditError, AuditLog, read_audit, verify_audit
from millmark.services.documents.views import Mode
from tests.support.command_line import Runner
from tests.support.gateway_client import Caller, build_caller
from tests.support.shared_world import BILLET, OTHER, OWNER, SharedWorld, build_shared_world
from tests.support.sign_in import NOW_S, open_session
from tests.support.stores import new_store

HOST = "gateway.example"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("audited")


@pytest.fixture(scope="module")
def shared(home: Path) -> Iterator[SharedWorld]:
    with new_store(home) as store:
        yield build_shared_world(store, home)


def caller(shared: SharedWorld, audit: AuditLog) -> Caller:
    return build_caller(shared.store, OWNER, keys=shared.ring, audit=audit)


def token(shared: SharedWorld, participant: int) -> str:
    return open_session(shared.store, participant)


def test_accesses_and_refusals_are_in_it_and_no_secret_is(shared: SharedWorld, tmp_path: Path) -> None:
    audit = AuditLog(tmp_path, lambda: NOW_S)
    asked, theirs, mine = caller(shared, audit), token(shared, OTHER), token(shared, OWNER)
    id_ = shared.add(Mode.PRIVATE).document

    def ask(path: str, bearer: str | None, method: str = "GET", body: object = None) -> httpx.Response:
        shown = {} if bearer is None else {"Authorization": f"Bearer {bearer}"}
        return asked.ask(path, method, body, Host=HOST, X_Request_ID="r-7", Idempotency_Key="canary-key", **shown)

    ask(f"/v1/documents/{id_}", mine)
    ask(f"/v1/documents/{id_}", theirs)
    ask(f"/v1/documents/{id_}", None)
    ask(f"/v1/documents/{id_}", "mms_0123456789ab_" + "A" * 43)
    ask(f"/v1/documents/{id_}", theirs, "DELETE")
    ask("/v1/documents?name=canary-file.pdf", mine, "POST", b"canary-body")
    ask(f"/v1/trace/{BILLET}", mine, "HEAD")
    ask("/v1/recall?lot=canary-lot", mine)
    ask("/01/09506000134352/21/A1?canary=salt", None)
    ask("/v1/sessions", None, "POST", {"message": "canary-message", "signature": "0x" + "0" * 130})
    for silent in ("/health", "/docs", "/openapi.json", "/nowhere"):
        ask(silent, None)
    audit.close()
    found = [
        (one["participant"], one["action"], one["target"], one["decision"], one["request_id"])
        for one in read_audit(tmp_path)
    ]
    document, route = f"/v1/documents/{id_}", "GET /v1/documents/{id}"
    assert found == [
        (OWNER, route, document, "allowed", "r-7"),
        (OTHER, route, document, "absent", "r-7"),
        (None, route, document, "denied", "r-7"),
        (None, route, document, "denied", "r-7"),
        (OTHER, "DELETE /v1/documents/{id}", document, "denied", "r-7"),
        (OWNER, "POST /v1/documents", "/v1/documents", "allowed", "r-7"),
        (OWNER, "HEAD /v1/trace/{identifier:path}", f"/v1/trace/{BILLET}", "allowed", "r-7"),
        (OWNER, "GET /v1/recall", "/v1/recall", "absent", "r-7"),
        (None, "GET /{key:gs1key}/{rest:path}", "/01/09506000134352/21/A1", "absent", "r-7"),
        (None, "POST /v1/sessions", "/v1/sessions", "denied", "r-7"),
    ]
    bodies = [one["body"] for one in read_audit(tmp_path)]
    assert bodies[5] == hashlib.sha256(b"canary-body").hexdigest()
    assert bodies[0] is None
    assert [one["credential"] for one in read_audit(tmp_path)][:3] == [mine.split("_")[1], theirs.split("_")[1], ""]
    assert verify_audit(tmp_path).last == len(found)
    text = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for secret in (b"canary", mine.encode(), theirs.encode(), b"mms_"):
        assert secret not in text


class Full(AuditLog):
    """A log on a full disk."""

    def append(self, access: Access) -> None:  # noqa: ARG002  # as the real one
        raise AuditError("the audit log cannot be written: no space left on device", hint="make room")


def test_nothing_is_answered_that_the_log_does_not_have(shared: SharedWorld, tmp_path: Path) -> None:
    asked, mine = caller(shared, Full(tmp_path, lambda: NOW_S)), token(shared, OWNER)
    id_ = shared.add(Mode.PRIVATE).document
    for path in (f"/v1/documents/{id_}", f"/v1/documents/{id_}/versions/1", f"/v1/trace/{BILLET}", "/v1/session"):
        for shown in ({"Authorization": f"Bearer {mine}"}, {}):
            answer = asked.ask(path, Host=HOST, **shown)
            assert (answer.status_code, answer.json()["type"]) == (503, "urn:millmark:problem:audit-failed")
            assert id_ not in answer.text
    assert asked.ask("/health", Host=HOST).status_code == 200


def test_an_unforeseen_failure_is_in_it(shared: SharedWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    audit = AuditLog(tmp_path, lambda: NOW_S)
    asked, mine = caller(shared, audit), token(shared, OWNER)
    monkeypatch.setattr("millmark.services.documents.service.build_reader", _fail)
    assert asked.ask(f"/v1/documents/{'0' * 32}", Host=HOST, Authorization=f"Bearer {mine}").status_code == 500
    assert [one["decision"] for one in read_audit(tmp_path)] == ["failed"]


def _fail(*_: object) -> None:
    raise ZeroDivisionError


def test_commands_are_in_it_and_it_is_checked_and_shown(
    shared: SharedWorld, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("MILLMARK_CHAIN_URL", "MILLMARK_DATABASE"):
        monkeypatch.delenv(name, raising=False)
    run = Runner(home, monkeypatch, capsys)
    run.settings('database = "sqlite:///ledger.db"\n')
    drawing = tmp_path / "canary-name.pdf"
    drawing.write_bytes(b"x")
    _, out, _ = run("documents", "add", str(drawing), "--mode", "restricted", "--json")
    id_ = json.loads(out)["document"]
    run("documents", "grant", id_, str(OTHER))
    run("documents", "grant", "0" * 32, str(OTHER))
    run("documents", "erase", id_)
    run("documents", "keys", "rotate")
    _, out, _ = run("audit", "show", "--json")
    assert [(one["action"], one["target"], one["decision"]) for one in json.loads(out)["entries"]] == [
        ("documents add", id_, "allowed"),
        ("documents grant", f"{id_} {OTHER}", "allowed"),
        ("documents grant", f"{'0' * 32} {OTHER}", "refused"),
        ("documents erase", id_, "allowed"),
        ("documents keys rotate", "", "allowed"),
    ]
    code, out, _ = run("audit", "verify", "--json")
    assert (code, json.loads(out)["last"]) == (0, 5)
    head = json.loads(out)["head"]
    assert run("audit", "verify", "--head", head)[0] == 0
    _, out, _ = run("audit", "show", "--target", id_, "--decision", "allowed", "--last", "1", "--json")
    assert [one["action"] for one in json.loads(out)["entries"]] == ["documents erase"]
    assert "denied" not in run("audit", "show")[1]
    (path,) = (home / "audit").glob("audit-*.jsonl")
    assert b"canary" not in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(b'"documents erase"', b'"documents mode"'))
    code, err = run.refused("audit", "verify")
    assert (code, "entry 4 of the audit log" in err) == (1, True)
    assert run.refused("audit", "verify", "--head", "0x12")[0] == 2


def test_the_log_stands_apart_from_the_database(shared: SharedWorld, tmp_path: Path) -> None:
    """A failing database is an access that failed."""
    audit = AuditLog(tmp_path, lambda: NOW_S)
    asked, mine = caller(shared, audit), token(shared, OWNER)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shared.store, "reading", _broken)
        assert asked.ask("/v1/session", Host=HOST, Authorization=f"Bearer {mine}").status_code == 503
    assert [one["status"] for one in read_audit(tmp_path)] == [503]


def _broken() -> None:
    raise StoreError("the database is gone", hint="")
