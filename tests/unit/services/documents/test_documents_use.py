"""From the command line and over HTTP, as a company and its partner use it."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from millmark.ledger.chain import Deployment, write_deployment
from millmark.ledger.keys import create_keystore
from millmark.ledger.store import Registry
from millmark.services.documents import DocumentError, Draft, new_version_id
from millmark.services.documents.encryption import MAX_DOCUMENT_BYTES, open_sealed
from millmark.services.documents.views import Mode
from tests.support.command_line import Runner
from tests.support.shared_world import BILLET, CONTENT, NAMED, OWNER, Partner, SharedWorld, build_shared_world
from tests.support.sign_in import NOW_S, signer_of
from tests.support.stores import new_store


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("documents")


@pytest.fixture(scope="module")
def shared(home: Path) -> Iterator[SharedWorld]:
    """Each test that adds something erases it, or leaves it alone."""
    with new_store(home) as store:
        shared = build_shared_world(store, home)
        with store.reading() as connection:
            identity = Registry(connection).identity()
        assert identity is not None
        nothing, address = bytes(32), bytes(20)
        deployment = Deployment(identity.chain_id, address, identity.ledger, nothing, address, 1, nothing, 1, nothing)
        write_deployment(home / "deployment.json", deployment)
        yield shared


@pytest.fixture
def run(shared: SharedWorld, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Runner:
    for name in ("MILLMARK_CHAIN_URL", "MILLMARK_DATABASE"):
        monkeypatch.delenv(name, raising=False)
    runner = Runner(home, monkeypatch, capsys)
    runner.settings('database = "sqlite:///ledger.db"\n')
    return runner


def test_a_company_shares_and_a_partner_opens(shared: SharedWorld, run: Runner, tmp_path: Path) -> None:
    drawing = tmp_path / "图纸.pdf"
    drawing.write_bytes(CONTENT)
    _, out, err = run("documents", "add", str(drawing), "--about", BILLET, "--mode", "restricted", "--json")
    added = json.loads(out)
    id_ = added["document"]
    assert (added["versions"][0]["media_type"], err) == ("application/pdf", "")
    assert run("documents", "grant", id_, str(NAMED))[0] == 0

    _, public_key, _ = run("documents", "keys", "new", str(tmp_path / "recipient.json"))
    create_keystore(tmp_path / "named.json", "pass", signer=signer_of(NAMED), scrypt_cost=2)
    (tmp_path / "secret").touch(mode=0o600)
    (tmp_path / "secret").write_text("pass\n")
    signer = [f"--signer=keystore:{tmp_path / 'named.json'}", f"--passphrase-file={tmp_path / 'secret'}"]
    _, statement, _ = run("documents", "keys", "sign", str(tmp_path / "recipient.json"), *signer)
    now_s = json.loads(statement)["issued_at"]
    late = Partner(shared, NAMED, now_s)
    if now_s <= NOW_S:  # the clock of this machine is before that of the other tests: their key is the later one
        assert late("/v1/recipient-key", "PUT", json.loads(statement)).status_code == 409
        with shared.store.transaction() as connection:
            connection.exec_driver_sql("DELETE FROM recipient_keys WHERE participant = ?", (NAMED,))
    published = late("/v1/recipient-key", "PUT", json.loads(statement))
    assert (published.status_code, published.json()["public_key"]) == (200, public_key.strip())
    assert late(f"/v1/recipient-keys/{NAMED}").json() == published.json()

    answer = late(f"/v1/documents/{id_}/versions/1")
    assert int(answer.headers["content-length"]) == len(answer.content)
    (tmp_path / "drawing.sealed").write_bytes(answer.content)
    opened = tmp_path / "opened.pdf"
    key = f"--key={tmp_path / 'recipient.json'}"
    code, out, _ = run("documents", "open", str(tmp_path / "drawing.sealed"), key, "-o", str(opened), "--json")
    assert (code, opened.read_bytes(), stat.S_IMODE(opened.stat().st_mode)) == (0, CONTENT, 0o600)
    assert json.loads(out)["root"] == added["versions"][0]["root"]
    _, out, _ = run("documents", "open", str(tmp_path / "drawing.sealed"), key, "-o", str(tmp_path / "again.pdf"))
    assert out.startswith("图纸.pdf (application/pdf, ")

    _, out, _ = run("documents", "revoke", id_, str(NAMED))
    assert "cannot be recalled" in out
    assert late(f"/v1/documents/{id_}/versions/1").status_code == 404
    assert run("documents", "keys", "rotate")[1].startswith("1 data keys")
    _, out, _ = run("documents", "list", "--about", BILLET, "--json")
    assert [one["document"] for one in json.loads(out)["documents"]] == [id_]
    assert run("documents", "erase", id_)[0] == 0
    assert "(erased)" in run("documents", "list")[1]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("add", "{drawing}", "--about", "engine-7"), 1),
        (("add", "{drawing}", "--about", "engine 7 of all"), 2),
        (("add", "{drawing}", "--about", "urn:example:bullet"), 1),
        (("add", "{drawing}", "--mode", "linked"), 2),
        (("add", "{drawing}", "--type", "pdf"), 2),
        (
            (
                "add",
                "{drawing}.none",
            ),
            2,
        ),
        (("update", "0" * 32, "{drawing}"), 1),
        (("mode", "0" * 32, "private"), 1),
        (("grant", "0" * 32, "5"), 1),
        (("revoke", "0" * 32, "5"), 1),
        (("erase", "nothing"), 1),
        (("erase-field", "0x12", "/a"), 1),
        (("erase-field", "zz", "/a"), 2),
        (("erase-field", "0x" + "0" * 64, "a"), 2),
        (("open", "{drawing}", "--key", "{drawing}", "-o", "{drawing}.out"), 1),
    ],
)
def test_failures_are_one_line(run: Runner, tmp_path: Path, arguments: tuple[str, ...], code: int) -> None:
    drawing = tmp_path / "drawing.pdf"
    drawing.write_bytes(b"x")
    found, _ = run.refused("documents", *(one.format(drawing=drawing) for one in arguments))
    assert found == code
    assert not (tmp_path / "drawing.pdf.out").exists()


def test_over_http(shared: SharedWorld, owner: Partner) -> None:
    added = owner(f"/v1/documents?name=a.csv&mode=consortium&about={BILLET}", "POST", CONTENT, Content_Type="text/csv")
    assert added.status_code == 201
    id_ = added.json()["document"]
    second = owner(f"/v1/documents/{id_}/versions?name=b.csv", "POST", b"second")
    assert [one["name"] for one in second.json()["versions"]] == ["a.csv", "b.csv"]
    shown = owner(f"/v1/documents/{id_}")
    assert owner(f"/v1/documents/{id_}", If_None_Match=shown.headers["etag"]).status_code == 304
    fetched = owner(f"/v1/documents/{id_}/versions/2")
    assert open_sealed(fetched.content, shared.private_keys[OWNER]).content == b"second"
    assert owner(f"/v1/documents/{id_}/versions/2", If_None_Match=fetched.headers["etag"]).status_code == 304
    changed = owner(f"/v1/documents/{id_}", "PATCH", {"mode": "restricted"})
    assert changed.json()["mode"] == "restricted"
    assert (
        owner(f"/v1/documents/{id_}/grants/{NAMED}", "PUT").json()["grants"][0]["participant"]["participant"] == NAMED
    )
    named = Partner(shared, NAMED)
    assert named(f"/v1/documents/{id_}").status_code == 200
    assert owner(f"/v1/documents/{id_}/grants/{NAMED}", "DELETE").json()["grants"] == []
    assert named(f"/v1/documents/{id_}").status_code == 404
    assert owner(f"/v1/documents/{id_}", "DELETE").json()["erased_at"] is not None
    assert owner(f"/v1/documents/{id_}/versions/1").status_code == 409


@pytest.mark.parametrize(
    ("path", "method", "body", "status"),
    [
        ("/v1/documents", "POST", b"x", 422),
        ("/v1/documents?name=../a", "POST", b"x", 400),
        ("/v1/documents?name=a&mode=public", "POST", b"x", 422),
        ("/v1/documents?name=a&mode=linked", "POST", b"x", 400),
        ("/v1/documents?name=a&about=urn:example:bullet", "POST", b"x", 404),
        ("/v1/documents?cursor=zz", "GET", None, 400),
        ("/v1/documents?limit=201", "GET", None, 422),
        ("/v1/documents?about=engine%207%20of%20all", "GET", None, 400),
        ("/v1/documents?about=engine-7", "GET", None, 404),
        ("/v1/documents/..%2F..%2Fledger.db", "GET", None, 404),
        ("/v1/documents/" + "A" * 32, "GET", None, 422),
        ("/v1/documents/" + "0" * 32 + "/versions/0", "GET", None, 422),
        ("/v1/documents/" + "0" * 32 + "/versions/1e3", "GET", None, 422),
        ("/v1/documents/" + "0" * 32 + "/versions?name=a", "POST", b"x", 404),
        ("/v1/documents/" + "0" * 32, "PATCH", {"mode": "private", "grants": [1]}, 422),
        ("/v1/documents/" + "0" * 32 + "/grants/4294967296", "PUT", None, 422),
        ("/v1/recipient-key", "PUT", {"public_key": "0x00", "issued_at": 1, "signature": "0x"}, 422),
        (
            "/v1/recipient-key",
            "PUT",
            {"public_key": "0x" + "0" * 64, "issued_at": 1, "signature": "0x" + "0" * 130},
            409,
        ),
        ("/v1/recipient-keys/77", "GET", None, 404),
    ],
)
def test_requests_that_are_refused(owner: Partner, path: str, method: str, body: object, status: int) -> None:
    answer = owner(path, method, body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


def test_an_upload_that_is_sent_again_adds_one_document(shared: SharedWorld, owner: Partner) -> None:
    def send(body: bytes, path: str = "/v1/documents?name=a", key: str = "upload-0001") -> httpx.Response:
        return owner(path, "POST", body, Idempotency_Key=key)

    first, again = send(CONTENT), send(CONTENT)
    assert (first.status_code, again.status_code, again.content) == (201, 201, first.content)
    assert again.headers["idempotent-replayed"] == "true"
    for changed in (send(b"other"), send(CONTENT, "/v1/documents?name=b")):
        assert (changed.status_code, changed.json()["type"]) == (422, "urn:millmark:problem:idempotency-key-reused")
    id_ = first.json()["document"]
    place = f"/v1/documents/{id_}/versions?name=a"
    assert send(b"second", place).json() == send(b"second", place).json()
    assert [one.version for one in shared.documents.get(id_, None).versions] == [1, 2]


def test_what_was_sent_over_http_is_erased_from_every_file(
    home: Path, shared: SharedWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also from the answers that are kept for requests that come again; and the gateway's log never has it."""
    owner = Partner(shared, OWNER)

    def traces() -> set[str]:
        return {path.name for path in home.rglob("*") if path.is_file() and b"canary-upload" in path.read_bytes()}

    sent = owner("/v1/documents?name=canary-upload.pdf", "POST", b"x", Idempotency_Key="upload-0002")
    assert traces() & {"ledger.db", "ledger.db-wal"}
    erased = owner(f"/v1/documents/{sent.json()['document']}", "DELETE")
    assert (erased.status_code, traces()) == (200, set())
    again = owner("/v1/documents?name=canary-upload.pdf", "POST", b"x", Idempotency_Key="upload-0002")
    assert again.json() == erased.json(), "the request that comes again finds what it added, erased"
    assert traces() == set()
    logged = "".join(capsys.readouterr())
    assert "DELETE" in logged
    assert "canary-upload" not in logged


def test_a_fetch_that_is_overtaken_by_an_erasure_breaks_off(shared: SharedWorld) -> None:
    id_ = shared.add(Mode.PRIVATE).document
    stream = shared.documents.fetch(id_, 1, OWNER, None).stream()
    assert next(stream).startswith(b"millmark-sealed-document 1\n")
    next(stream)
    shared.documents.erase(id_, NOW_S)
    with pytest.raises(DocumentError, match="was erased"):
        next(stream)


def test_an_upload_whose_answer_was_never_kept_adds_one_document(shared: SharedWorld) -> None:
    """The gateway died between the work and the note of its answer; the request comes again, under the same token."""
    seen = []
    for _ in range(2):
        with Draft(new_version_id(), "a", "text/plain") as draft:
            draft.write(b"x")
            seen.append(shared.documents.add(draft, Mode.PRIVATE, None, NOW_S, "token"))
    assert seen[0] == seen[1]
    for _ in range(2):
        with Draft(shared.documents.next_version_id(seen[0].document), "a", "text/plain") as draft:
            draft.write(b"y")
            shown = shared.documents.add_version(draft, NOW_S, "second token")
    assert len(shown.versions) == 2


def test_what_is_too_long_is_refused_whatever_was_announced(shared: SharedWorld, owner: Partner) -> None:
    before = shared.documents.page(None, "", 10, None)
    for path, most in (
        ("/v1/documents?name=a", MAX_DOCUMENT_BYTES),
        (f"/v1/documents/{'0' * 32}", 64 * 1024),
        ("/v1/sessions", 64 * 1024),
        ("/v1/documents/x?name=a", 64 * 1024),
    ):
        assert owner(path, "POST", b"", Content_Length=str(most + 1)).status_code == 413
    assert owner("/v1/documents?name=a", "POST", bytes(MAX_DOCUMENT_BYTES + 1), Content_Length="1").status_code == 413
    assert shared.documents.page(None, "", 10, None) == before
