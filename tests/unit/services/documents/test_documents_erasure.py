"""What is erased is in no file any more, and everything else proves what it did."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from sqlite3 import connect

import pytest

from millmark.ledger.claims import build_claims, parse_claims, verify_disclosure
from millmark.ledger.errors import ClaimsError, NotFoundError, SigningError, StoreError
from millmark.ledger.store import Book
from millmark.services.documents import DocumentError, Documents, Draft
from millmark.services.documents.encryption import open_sealed, parse_sealed
from millmark.services.documents.repository import DocumentRepository
from millmark.services.documents.views import Mode
from tests.support.shared_world import CONTENT, DESCENDANT, NAME, NAMED, OWNER, SharedWorld, build_shared_world
from tests.support.sign_in import NOW_S
from tests.support.stores import copy_database, new_store


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[SharedWorld]:
    with new_store(tmp_path) as store:
        yield build_shared_world(store, tmp_path)


def secrets_of(shared: SharedWorld, id_: str) -> dict[str, bytes]:
    """Whatever would open a document or its commitment, as it is stored."""
    with shared.store.reading() as connection:
        commands, book = DocumentRepository(connection), Book(connection)
        found: dict[str, bytes] = {"name": NAME.encode()}
        for row in commands.versions([id_]):
            piece = commands.piece(id_, row.version, 0)
            document = book.document(row.root)
            assert piece is not None
            assert document is not None
            found[f"wrapped key {row.version}"] = row.wrapped_key
            found[f"nonce {row.version}"] = row.nonce
            found[f"ciphertext {row.version}"] = piece[1000:1032]
            found[f"last ciphertext {row.version}"] = piece[-32:]
            for item in json.loads(document)["fields"]:
                found[f"salt {row.version} {item['path']}"] = item["salt"].encode()
                if item["path"] == ["sha256"]:
                    found[f"digest {row.version}"] = item["value"].encode()
    return found


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def hits(folder: Path, secrets: dict[str, bytes]) -> set[str]:
    return {name for name, secret in secrets.items() for content in files(folder).values() if secret in content}


def test_nothing_opens_what_is_erased(shared: SharedWorld, tmp_path: Path) -> None:
    id_, kept = shared.add(Mode.LINKED).document, shared.add(Mode.LINKED, content=b"kept", name="kept.pdf")
    _add_version(shared, id_, b"second canary" * 500)
    sealed = shared.fetch(id_, OWNER, None)
    header, _ = parse_sealed(sealed)
    secrets = secrets_of(shared, id_)
    assert hits(tmp_path, secrets) == set(secrets), "the search itself finds what is there"
    erased = shared.documents.erase(id_, NOW_S)
    assert hits(tmp_path, secrets) == set()
    assert (tmp_path / "ledger.db-wal").stat().st_size == 0
    assert erased.erased_at is not None
    assert [(one.name, one.size) for one in erased.versions] == [(None, None)] * 2
    assert erased.versions[0].root == header.recipient.root
    assert open_sealed(shared.fetch(kept.document, OWNER, None), shared.private_keys[OWNER]).content == b"kept"
    with pytest.raises(NotFoundError):
        shared.documents.get(id_, DESCENDANT)
    for act in (
        lambda: shared.documents.fetch(id_, 1, OWNER, None),
        lambda: shared.documents.set_mode(id_, Mode.PRIVATE),
        lambda: shared.documents.grant(id_, NAMED, NOW_S),
        lambda: shared.documents.next_version_id(id_),
    ):
        with pytest.raises(DocumentError, match="has been erased"):
            act()
    assert shared.documents.erase(id_, NOW_S + 1).erased_at == erased.erased_at


def test_the_root_of_an_erased_document_is_still_that_of_its_leaves(shared: SharedWorld) -> None:
    one = shared.add(Mode.PRIVATE)
    shared.documents.erase(one.document, NOW_S)
    with shared.store.reading() as connection:
        document = Book(connection).document(one.versions[0].root)
    assert document is not None
    claims = parse_claims(json.loads(document))
    assert claims.root == one.versions[0].root
    assert all(isinstance(field, bytes) for _, field in claims.fields)
    assert "salt" not in document


def test_an_erased_field_leaves_its_hash_and_the_proofs_of_the_others(shared: SharedWorld, tmp_path: Path) -> None:
    claims = build_claims({"engraving": "canary-engraving", "material": "steel", "parts": [1, 2]})
    with shared.store.transaction() as connection:
        Book(connection).put_document(claims.root, json.dumps(claims.to_json()))
    before = claims.disclose([("material",)])
    field = dict(claims.fields)["engraving",]
    assert not isinstance(field, bytes)
    secrets = {"value": b"canary-engraving", "salt": field.salt.hex().encode()}
    assert hits(tmp_path, secrets) == set(secrets)
    shared.documents.erase_fields(claims.root, [("engraving",), ("parts", 1)])
    assert hits(tmp_path, secrets) == set()
    with shared.store.reading() as connection:
        document = Book(connection).document(claims.root)
    assert document is not None
    left = parse_claims(json.loads(document))
    assert dict(left.fields)["engraving",] == field.leaf_hash(("engraving",))
    after = left.disclose([("material",), ("parts", 0)])
    for disclosure in (before, after):
        verify_disclosure(disclosure, claims.root)
    with pytest.raises(ClaimsError, match="is erased"):
        left.disclose([("engraving",)])


@pytest.mark.parametrize("path", [("none",), ("engraving", 0)])
def test_what_is_not_there_is_not_erased(shared: SharedWorld, path: tuple[str | int, ...]) -> None:
    claims = build_claims({"engraving": "x"})
    with shared.store.transaction() as connection:
        Book(connection).put_document(claims.root, json.dumps(claims.to_json()))
    with pytest.raises(ClaimsError):
        shared.documents.erase_fields(claims.root, [path])
    with pytest.raises(NotFoundError):
        shared.documents.erase_fields(bytes(32), [("engraving",)])


def test_a_reader_in_the_way_is_said_and_the_files_are_cleaned_later(shared: SharedWorld, tmp_path: Path) -> None:
    id_ = shared.add(Mode.PRIVATE).document
    secrets = secrets_of(shared, id_)
    with closing(connect(tmp_path / "ledger.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM stored_documents").fetchone()
        engine = shared.store._engine
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA busy_timeout=50")  # of the one connection that the pool has
        with pytest.raises(StoreError, match="deleted data are still in its write-ahead log"):
            shared.documents.erase(id_, NOW_S)
        reader.execute("ROLLBACK")
    with pytest.raises(DocumentError, match="has been erased"):
        shared.documents.fetch(id_, 1, OWNER, None)
    shared.documents.erase(id_, NOW_S)
    assert hits(tmp_path, secrets) == set()


def test_a_backup_is_closed_once_the_keys_are_rotated(shared: SharedWorld, tmp_path: Path) -> None:
    """It has the ciphertexts and the wrapped keys; what they were wrapped under is gone."""
    id_ = shared.add(Mode.PRIVATE).document
    (tmp_path / "backup").mkdir()
    with new_store(tmp_path / "backup") as backup:
        copy_database(shared.store, backup)
        restored = Documents(backup, shared.ring)
        before = b"".join(restored.fetch(id_, 1, OWNER, None).stream())
        assert open_sealed(before, shared.private_keys[OWNER]).content == CONTENT
        shared.documents.erase(id_, NOW_S)
        shared.documents.rotate()
        with pytest.raises(SigningError, match="has no key"):
            restored.fetch(id_, 1, OWNER, None)


def _add_version(shared: SharedWorld, id_: str, content: bytes) -> None:
    with Draft(shared.documents.next_version_id(id_), NAME, "text/plain") as draft:
        draft.write(content)
        shared.documents.add_version(draft, NOW_S)
