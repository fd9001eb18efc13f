"""Adding, naming, publishing keys, rotating; and what is refused."""

from __future__ import annotations

import json
import os
import stat
import threading
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from millmark.ledger.errors import InputError, MillmarkError, NotFoundError, SettingsError, SigningError
from millmark.services.directory.document import KeyStatement
from millmark.services.documents import (
    DocumentError,
    Documents,
    Draft,
    KeyRing,
    RecipientKeyError,
    SealBrokenError,
    new_version_id,
)
from millmark.services.documents.encryption import (
    MAX_DOCUMENT_BYTES,
    VersionId,
    create_recipient_key,
    open_sealed,
    parse_sealed,
    read_recipient_key,
)
from millmark.services.documents.service import verify_media_type, verify_name
from millmark.services.documents.views import Mode
from tests.support.shared_world import (
    BILLET,
    CONTENT,
    NAMED,
    OTHER,
    OWNER,
    REVOKED,
    SUSPENDED,
    SharedWorld,
    build_shared_world,
)
from tests.support.sign_in import NOW_S
from tests.support.stores import new_store


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[SharedWorld]:
    with new_store(tmp_path) as store:
        yield build_shared_world(store, tmp_path)


def opened(shared: SharedWorld, id_: str, version: int = 1) -> bytes:
    return open_sealed(shared.fetch(id_, OWNER, None, version), shared.private_keys[OWNER]).content


@pytest.mark.parametrize("size", [0, 1, (256 << 10) - 17, (256 << 10) - 16, 256 << 10, 600_001])
def test_documents_of_any_size_come_back(shared: SharedWorld, size: int) -> None:
    content = bytes(at % 251 for at in range(size))
    assert opened(shared, shared.add(Mode.PRIVATE, content=content).document) == content


def test_versions_have_keys_of_their_own_and_stay(shared: SharedWorld) -> None:
    id_ = shared.add(Mode.PRIVATE).document
    with Draft(shared.documents.next_version_id(id_), "b.txt", "text/plain") as draft:
        draft.write(b"second")
        shown = shared.documents.add_version(draft, NOW_S)
    assert [one.version for one in shown.versions] == [1, 2]
    assert (opened(shared, id_, 1), opened(shared, id_, 2)) == (CONTENT, b"second")
    with pytest.raises(NotFoundError):
        shared.fetch(id_, OWNER, None, 3)


def test_two_versions_at_once_are_one(shared: SharedWorld) -> None:
    id_ = shared.add(Mode.PRIVATE).document
    with (
        Draft(VersionId(id_, 1), "b.txt", "text/plain") as draft,
        pytest.raises(DocumentError, match="in the meantime"),
    ):
        shared.documents.add_version(draft, NOW_S)
    assert opened(shared, id_) == CONTENT


def test_ciphertexts_of_one_content_have_nothing_in_common(shared: SharedWorld) -> None:
    first, second = (parse_sealed(shared.fetch(shared.add(Mode.PRIVATE).document, OWNER, None)) for _ in range(2))
    assert first[1][:64] != second[1][:64]
    assert first[0].nonce != second[0].nonce
    assert first[0].recipient.root != second[0].recipient.root, "equal documents are not told by their roots"


@pytest.mark.parametrize("about", [None, BILLET, "urn:example:screws"])
def test_only_what_is_about_a_lot_is_linked(shared: SharedWorld, about: str | None) -> None:
    if about == BILLET:
        shared.add(Mode.LINKED, about)
        return
    with pytest.raises(InputError, match="about a lot"):
        shared.add(Mode.LINKED, about)
    id_ = shared.add(Mode.PRIVATE, about).document
    with pytest.raises(InputError, match="about a lot"):
        shared.documents.set_mode(id_, Mode.LINKED)


def test_nothing_is_added_about_what_is_not_there(shared: SharedWorld) -> None:
    with pytest.raises(NotFoundError):
        shared.add(Mode.PRIVATE, "urn:example:bullet")
    assert shared.documents.page(None, "", 10, None).documents == ()


@pytest.mark.parametrize("mode", [mode for mode in Mode if mode is not Mode.RESTRICTED])
def test_only_a_restricted_document_names_anybody(shared: SharedWorld, mode: Mode) -> None:
    id_ = shared.add(mode).document
    with pytest.raises(DocumentError, match="restricted"):
        shared.documents.grant(id_, NAMED, NOW_S)
    with pytest.raises(NotFoundError):
        shared.documents.revoke(id_, NAMED)


@pytest.mark.parametrize("participant", [SUSPENDED, 4_000_000])
def test_who_may_not_act_is_not_named(shared: SharedWorld, participant: int) -> None:
    id_ = shared.add(Mode.RESTRICTED).document
    with pytest.raises(NotFoundError):
        shared.documents.grant(id_, participant, NOW_S)


def test_who_is_no_longer_named_reads_nothing_more(shared: SharedWorld) -> None:
    id_ = shared.add(Mode.RESTRICTED).document
    shared.documents.grant(id_, NAMED, NOW_S)
    copy = shared.fetch(id_, NAMED, NAMED)
    shared.documents.revoke(id_, NAMED)
    for read in (lambda: shared.fetch(id_, NAMED, NAMED), lambda: shared.documents.get(id_, NAMED)):
        with pytest.raises(NotFoundError):
            read()
    assert open_sealed(copy, shared.private_keys[NAMED]).content == CONTENT, "a copy given out cannot be recalled"


def test_grants_do_not_come_back_with_the_mode(shared: SharedWorld) -> None:
    id_ = shared.add(Mode.RESTRICTED).document
    shared.documents.grant(id_, NAMED, NOW_S)
    shared.documents.set_mode(id_, Mode.PRIVATE)
    assert shared.documents.set_mode(id_, Mode.RESTRICTED).grants == ()
    with pytest.raises(NotFoundError):
        shared.documents.get(id_, NAMED)


def test_pages_follow_each_other(shared: SharedWorld) -> None:
    ids = sorted(shared.add(Mode.CONSORTIUM, content=b"x").document for _ in range(5))
    for about in (None, BILLET):
        seen, after = [], ""
        while True:
            page = shared.documents.page(about, after, 2, None)
            seen += [one.document for one in page.documents]
            if page.next is None:
                break
            after = page.next
        assert seen == ids


def test_a_key_must_be_published_before_anything_is_fetched(shared: SharedWorld, tmp_path: Path) -> None:
    id_ = shared.add(Mode.CONSORTIUM).document
    with pytest.raises(DocumentError, match="sealed for a participant"):
        shared.documents.fetch(id_, 1, None, None)
    with pytest.raises(RecipientKeyError, match="is not signed by an active key"):
        shared.documents.fetch(id_, 1, REVOKED, REVOKED)
    with pytest.raises(RecipientKeyError, match="has not published a recipient key"):
        shared.documents.fetch(id_, 1, 77, None)
    for participant in (REVOKED, SUSPENDED, 77):
        with pytest.raises(NotFoundError):
            shared.recipients.get(participant)


def test_a_new_key_takes_the_place_of_the_old_one(shared: SharedWorld) -> None:
    id_, old = shared.add(Mode.CONSORTIUM).document, shared.private_keys[OTHER]
    shared.publish(OTHER, NOW_S + 1)
    sealed = shared.fetch(id_, OTHER, OTHER)
    assert open_sealed(sealed, shared.private_keys[OTHER]).content == CONTENT
    with pytest.raises(SealBrokenError):
        open_sealed(sealed, old)


def test_statements_that_do_not_count(shared: SharedWorld) -> None:
    key = X25519PrivateKey.generate().public_key().public_bytes_raw()
    other_key = X25519PrivateKey.generate().public_key().public_bytes_raw()
    state = shared.statement

    def publish(statement: KeyStatement, participant: int = NAMED, shown: bytes = key, at: int = NOW_S + 1) -> None:
        shared.recipients.publish(participant, shown, at, statement.signature, NOW_S)

    good = state(NAMED, key, NOW_S + 1)
    refused: list[tuple[Callable[[], object], str]] = [
        (lambda: publish(state(OTHER, key, NOW_S + 1)), "not signed by an active key"),
        (lambda: publish(state(NAMED, key, NOW_S + 1, chain_id=1)), "not signed by an active key"),
        (lambda: publish(state(NAMED, key, NOW_S + 1, ledger=bytes([7]) * 20)), "not signed by an active key"),
        (lambda: publish(good, OTHER), "not signed by an active key"),
        (lambda: publish(good, shown=other_key), "not signed by an active key"),
        (lambda: publish(good, at=NOW_S + 2), "not signed by an active key"),
        (lambda: publish(state(NAMED, key, NOW_S), at=NOW_S), "same or a later time"),
        (lambda: publish(state(NAMED, key, NOW_S + 301), at=NOW_S + 301), "in the future"),
        (lambda: publish(state(REVOKED, key, NOW_S + 1), REVOKED), "not signed by an active key"),
        (lambda: publish(state(SUSPENDED, key, NOW_S + 1), SUSPENDED), "not signed by an active key"),
        (lambda: shared.recipients.publish(NAMED, key, NOW_S + 1, bytes(65), NOW_S), "signature is invalid"),
        (lambda: shared.recipients.publish(NAMED, bytes(32), NOW_S + 1, bytes(65), NOW_S), "not a valid X25519 key"),
    ]
    before = shared.recipients.get(NAMED)
    for act, why in refused:
        with pytest.raises(RecipientKeyError, match=why):
            act()
    assert shared.recipients.get(NAMED) == before
    publish(good)
    assert shared.recipients.get(NAMED).public_key == key
    publish(good)  # once more is fine: an answer may have been lost


def test_rotation_opens_all_and_forgets_the_old_key(shared: SharedWorld, tmp_path: Path) -> None:
    ids = [shared.add(Mode.PRIVATE).document for _ in range(3)]
    shared.documents.erase(ids[0], NOW_S)
    path = tmp_path / "document-keys.json"
    old = path.read_bytes()
    assert shared.documents.rotate() == 2
    assert path.read_bytes() != old
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(json.loads(path.read_bytes())["keys"]) == 1
    assert all(opened(shared, id_) == CONTENT for id_ in ids[1:])
    assert opened(shared, shared.add(Mode.PRIVATE).document) == CONTENT
    path.write_bytes(old)
    with pytest.raises(SigningError, match="has no key"):
        opened(shared, ids[1])


def test_a_rotation_that_dies_half_way_leaves_a_key_file_that_opens_everything(shared: SharedWorld) -> None:
    ids = [shared.add(Mode.PRIVATE).document]
    shared.ring.add()
    ids.append(shared.add(Mode.PRIVATE).document)
    assert all(opened(shared, id_) == CONTENT for id_ in ids)
    assert shared.documents.rotate() == 2
    assert all(opened(shared, id_) == CONTENT for id_ in ids)


class SlowRing(KeyRing):
    """Runs a function before it drops keys."""

    def __init__(self, path: Path, before_dropping: Callable[[], object]) -> None:
        super().__init__(path)
        self._before_dropping = before_dropping

    def drop_old(self, *named: Collection[str]) -> None:
        self._before_dropping()
        super().drop_old(*named)


def test_a_second_rotation_waits_for_the_first(shared: SharedWorld, tmp_path: Path) -> None:
    """It would add its key after the first one committed, and the first would drop that under which all is wrapped."""
    id_, path = shared.add(Mode.PRIVATE).document, tmp_path / "document-keys.json"
    added, dropped, failures = threading.Event(), threading.Event(), list[MillmarkError]()

    class SecondRing(KeyRing):
        def add(self) -> None:
            super().add()
            added.set()
            dropped.wait(0.5)

    def rotate_as_well() -> None:
        try:
            Documents(shared.store, SecondRing(path)).rotate()
        except MillmarkError as error:
            failures.append(error)

    second = threading.Thread(target=rotate_as_well)

    def start_second() -> None:
        if not second.ident:
            second.start()
            added.wait(0.3)

    Documents(shared.store, SlowRing(path, start_second)).rotate()
    dropped.set()
    second.join()
    assert failures == []
    assert opened(shared, id_) == CONTENT
    assert len(json.loads(path.read_bytes())["keys"]) == 1


def test_no_key_is_dropped_that_a_row_names_and_dropped_ones_stay_for_a_day(
    shared: SharedWorld, tmp_path: Path
) -> None:
    path = tmp_path / "document-keys.json"
    id_ = shared.add(Mode.PRIVATE).document

    def dropped() -> list[Path]:
        return sorted(tmp_path.glob("document-keys.json.old-*"))

    [first] = shared.ring.keys().items()
    shared.ring.add()
    shared.ring.drop_old({first[0]})
    assert len(shared.ring.keys()) == 2
    assert dropped() == []
    shared.documents.rotate()
    [current] = shared.ring.keys()
    [earlier] = dropped()
    assert first in KeyRing(earlier).keys().items()
    assert (stat.S_IMODE(earlier.stat().st_mode), len(KeyRing(earlier).keys())) == (0o600, 2)
    yesterday = time.time() - 86_401
    os.utime(earlier, (yesterday, yesterday))
    shared.documents.rotate()
    [later] = dropped()
    assert list(KeyRing(later).keys()) == [current], "a rotation does not prolong the day of those before it"
    assert later != earlier
    assert opened(shared, id_) == CONTENT
    assert path.exists()


def test_without_a_key_file_nothing_is_added(shared: SharedWorld) -> None:
    without = Documents(shared.store, None)
    with Draft(new_version_id(), "a", "text/plain") as draft, pytest.raises(SettingsError):
        without.add(draft, Mode.PRIVATE, None, NOW_S)
    assert without.page(None, "", 10, None).documents == ()


def test_key_files_are_the_users_alone_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "recipient.json"
    public_key = create_recipient_key(path)
    assert read_recipient_key(path).public_key().public_bytes_raw() == public_key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(SigningError, match="exists"):
        create_recipient_key(path)
    path.chmod(0o644)
    with pytest.raises(SigningError, match="open to other users"):
        read_recipient_key(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b'{"format":"millmark-document-keys","version":1,"keys":[]}',
        b'{"format":"millmark-document-keys","version":1,"keys":[{"id":"a","key":"00"}]}',
        b'{"format":"millmark-document-keys","version":1,"keys":[{"id":"a"}]}',
        b'{"format":"millmark-document-keys","version":1,"keys":[["a","b"]]}',
        b'{"format":"millmark-document-keys","version":2,"keys":[]}',
        b'{"format":"millmark-recipient-key","version":1,"private_key":"zz"}',
    ],
)
def test_files_of_something_else_are_no_key_files(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "keys.json"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(SigningError):
        KeyRing(path).in_use()
    with pytest.raises(SigningError):
        read_recipient_key(path)
    assert path.read_bytes() == content


def test_a_document_is_bounded(shared: SharedWorld) -> None:
    with Draft(new_version_id(), "a", "text/plain") as draft:
        draft.write(bytes(MAX_DOCUMENT_BYTES))
        with pytest.raises(InputError, match="has more than"):
            draft.write(b"x")


@pytest.mark.parametrize(
    "name", ["", " a", "a ", "../a", "a/b", "a\\b", ".a", "a\0b", "a\nb", "a" * 201, "\u202ea.pdf"]
)
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(InputError):
        verify_name(name)


@pytest.mark.parametrize(
    "media_type", ["", "text", "text/", "/html", "a b/c", "text/html\r\nX: y", "a/b/c", "t" * 64 + "/x"]
)
def test_media_types_that_are_none(media_type: str) -> None:
    with pytest.raises(InputError):
        verify_media_type(media_type)
    assert verify_media_type("Text/HTML; charset=utf-8") == "text/html"


def test_a_sealed_file_that_was_changed_anywhere_does_not_open(shared: SharedWorld) -> None:
    sealed = shared.fetch(shared.add(Mode.PRIVATE, content=b"short").document, OWNER, None)
    key = shared.private_keys[OWNER]
    assert open_sealed(sealed, key).content == b"short"
    for at in range(len(sealed)):
        for bit in (1, 32):
            changed = sealed[:at] + bytes([sealed[at] ^ bit]) + sealed[at + 1 :]
            with pytest.raises(MillmarkError):
                open_sealed(changed, key)
    for length in range(0, len(sealed), 7):
        with pytest.raises(MillmarkError):
            open_sealed(sealed[:length], key)
    with pytest.raises(MillmarkError):
        open_sealed(sealed + b"x", key)


def test_one_documents_header_on_anothers_ciphertext_does_not_open(shared: SharedWorld) -> None:
    one, two = (parse_sealed(shared.fetch(shared.add(Mode.PRIVATE).document, OWNER, None)) for _ in range(2))
    key = shared.private_keys[OWNER]
    for header, content in (
        (one[0], two[1]),
        (replace(one[0], version_id=two[0].version_id), one[1]),
        (replace(one[0], wrapped_key=two[0].wrapped_key, nonce=two[0].nonce), two[1]),
        (replace(one[0], claims=two[0].claims), one[1]),
        (
            replace(one[0], recipient=replace(one[0].recipient, root=two[0].recipient.root), claims=two[0].claims),
            one[1],
        ),
    ):
        with pytest.raises(SealBrokenError):
            open_sealed(header.to_bytes() + content, key)
