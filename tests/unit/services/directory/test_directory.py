"""The directory: its format, who may sign it, and what of it is believed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from millmark.ledger.canonical import canonical_json
from millmark.ledger.errors import InputError
from millmark.ledger.store import Book, Registry, Rows, Store
from millmark.ledger.store.rows import KeyRow
from millmark.services.directory import (
    DirectoryEntry,
    DirectoryError,
    DirectoryRepository,
    KeyStatement,
    Operators,
    RecipientKeyError,
    SignedDirectory,
    parse_directory,
    take_directory,
    verify_statement,
)
from millmark.services.directory.document import Contact, entry_to_json, parse_contact
from millmark.services.documents.repository import DocumentRepository, RecipientKeyRow
from millmark.services.gateway.epcis.capture import find_parties
from tests.support.directories import (
    ALDER,
    BASE,
    BIRCH,
    ENTRIES,
    NEW,
    OPERATOR,
    OPERATORS,
    fill_index,
    publish,
    signed,
    state_key,
)
from tests.support.sign_in import NOW_S, signer_of
from tests.support.stores import new_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with new_store(tmp_path) as made:
        fill_index(made)
        yield made


def take(store: Store, one: SignedDirectory, operators: Operators = OPERATORS) -> bool:
    with store.transaction() as connection:
        return take_directory(connection, parse_directory(one.to_bytes()), operators)


def test_a_directory_is_read_again_as_it_was_written() -> None:
    assert parse_directory(signed().to_bytes()) == signed()
    assert signed().recover_signer() == signer_of(OPERATOR).address


def test_a_directory_from_before_there_were_contacts_stays_in_force(store: Store) -> None:
    """Written and signed when entries had no contact: it is read and verified, and its digest is the published one."""
    old = json.loads((Path(__file__).parents[3] / "vectors" / "kept_documents.json").read_text("utf-8"))["directory"]
    one = parse_directory(old["document"].encode())
    assert one.to_bytes() == old["document"].encode()
    assert "0x" + one.digest.hex() == old["digest"]
    assert one.recover_signer() == signer_of(OPERATOR).address == bytes.fromhex(old["signer"][2:])
    assert [entry.contact for entry in one.directory.entries] == [None, None]
    publish(store, one)
    assert take(store, one) is True
    with store.reading() as connection:
        assert DirectoryRepository(connection).signed() == one


def test_the_operators_directory_names_everybody(store: Store) -> None:
    publish(store, signed())
    assert take(store, signed()) is True
    assert take(store, signed()) is False  # once more changes nothing
    with store.reading() as connection:
        found = DirectoryRepository(connection)
        assert found.entries() == list(ENTRIES)
        assert found.entry(BIRCH) == ENTRIES[1]
        assert found.entry(NEW) is None
        assert Book(connection).names() == {ALDER: "Alder Forge", BIRCH: "Birch Müller 铸造"}


def test_a_later_directory_renames_and_keeps_the_names_of_those_who_left(store: Store) -> None:
    later = signed(replace(BASE, issued_at=NOW_S + 1, entries=(DirectoryEntry(BIRCH, "Birch AG"),)))
    for one in (signed(), later):
        publish(store, one)
        take(store, one)
    with store.reading() as connection:
        assert Book(connection).names() == {ALDER: "Alder Forge", BIRCH: "Birch AG"}
        assert DirectoryRepository(connection).entry(ALDER) is None


def test_members_of_a_council_that_owns_the_registry_may_sign(store: Store) -> None:
    council = Operators(bytes([7]) * 20, (ALDER,))
    by_member, by_other = signed(by=ALDER), signed(by=BIRCH)
    publish(store, by_other)
    with pytest.raises(DirectoryError, match="not by the operator"):
        take(store, by_other, council)
    publish(store, by_member)
    assert take(store, by_member, council)


REFUSED: list[tuple[str, Callable[[], SignedDirectory], str]] = [
    ("signed by another key", lambda: signed(by=ALDER), "is signed by 0x.*, not by the operator"),
    (
        "a byte of it changed",
        lambda: replace(signed(), directory=replace(BASE, issued_at=NOW_S + 9)),
        "not by the oper",
    ),
    ("another chain", lambda: signed(replace(BASE, chain_id=1)), "is of chain 1 and ledger"),
    ("another ledger", lambda: signed(replace(BASE, ledger=bytes(20))), "is of chain 77001 and ledger 0x0000"),
    ("no signature", lambda: replace(signed(), signature=bytes(65)), "signature is invalid"),
    (
        "a recipient key that another company signed",
        lambda: _with_key(BIRCH, state_key(BIRCH, by=ALDER)),
        "recipient key of participant 2 is not signed by a key of it",
    ),
    (
        "a recipient key that a stranger signed",
        lambda: _with_key(BIRCH, state_key(BIRCH, by=8)),
        "recipient key of participant 2 is not signed by a key of it",
    ),
    (
        "a recipient key of a new company that another one signed",
        lambda: _with_key(NEW, state_key(NEW, by=ALDER)),
        "recipient key of participant 3 is not signed by a key of it",
    ),
    ("a recipient key without signature", lambda: _with_key(BIRCH, KeyStatement(bytes(32), 1, bytes(65))), "invalid"),
    ("a company that does not exist", lambda: _with_key(40, None), "participant 40, which does not exist"),
]


def _with_key(participant: int, key: KeyStatement | None) -> SignedDirectory:
    return signed(replace(BASE, entries=(DirectoryEntry(participant, "Birch", recipient_key=key),)))


@pytest.mark.parametrize(("make", "why"), [pytest.param(make, why, id=name) for name, make, why in REFUSED])
def test_what_is_refused_is_not_kept(store: Store, make: Callable[[], SignedDirectory], why: str) -> None:
    """Although its digest is on the ledger: so nothing but the check named refuses it."""
    publish(store, make())
    with pytest.raises(DirectoryError, match=why):
        take(store, make())
    with store.reading() as connection:
        assert DirectoryRepository(connection).signed() is None
        assert DirectoryRepository(connection).entries() == []
        assert Book(connection).names() == {}


def test_an_older_directory_than_the_one_known_is_refused(store: Store) -> None:
    later = signed(replace(BASE, issued_at=NOW_S + 1))
    publish(store, later)
    take(store, later)
    publish(store, signed())  # even if the operator published it again
    with pytest.raises(DirectoryError, match="older than the one that is known here"):
        take(store, signed())
    with store.reading() as connection:
        assert DirectoryRepository(connection).signed() == later


def test_a_directory_that_is_not_on_the_ledger_is_refused(store: Store) -> None:
    with pytest.raises(DirectoryError, match="not the one whose digest is published on the ledger"):
        take(store, signed())
    publish(store, signed(replace(BASE, issued_at=NOW_S + 1)))
    with pytest.raises(DirectoryError, match="not the one whose digest is published on the ledger"):
        take(store, signed())


def test_a_new_companys_key_counts_once_its_signer_is_accepted(store: Store) -> None:
    one = _with_key(NEW, state_key(NEW))
    publish(store, one)
    assert take(store, one)
    with store.transaction() as connection:
        entry, registry = DirectoryRepository(connection).entry(NEW), Registry(connection)
        assert entry is not None
        assert entry.recipient_key is not None
        with pytest.raises(RecipientKeyError, match="not signed by an active key of it"):
            verify_statement(registry, NEW, entry.recipient_key)
        key = KeyRow(signer_of(NEW).address, NEW, 63, True, NOW_S, 0, 0, 0)
        Rows(connection).put(key)
        assert verify_statement(registry, NEW, entry.recipient_key) == key.address
        Rows(connection).put(replace(key, revoked_at=NOW_S + 1))
        with pytest.raises(RecipientKeyError, match="not signed by an active key of it"):
            verify_statement(registry, NEW, entry.recipient_key)


def _changed(**changes: object) -> bytes:
    """The document with other members, and a signature that does not matter: parsing comes first."""
    value = json.loads(signed().to_bytes())
    assert isinstance(value, dict)
    return canonical_json({**value, **changes})  # type: ignore[dict-item]  # JSON, as the tests give it


def _contact(**changes: object) -> dict[str, object]:
    plain = {"name": "Quality", "mail": "quality@alder.example", "telephone": None, "country": "DE"}
    return _entry(contact={**plain, **changes})


def _entry(**changes: object) -> dict[str, object]:
    plain = {"participant": 1, "name": "Alder", "gln": None, "gateway": None, "recipient_key": None}
    return {**plain, **changes}


MALFORMED = [
    (b"", "cannot be used"),
    (signed().to_bytes()[:-1], "cannot be used"),
    (signed().to_bytes().replace(b'":', b'": ', 1), "not in canonical form"),
    (_changed(version=2), "of version 1"),
    (_changed(format="millmark-trust"), "not a millmark-directory"),
    (_changed(more=1), "exactly the members"),
    (_changed(entries={}), "not a list of at most 2000"),
    (_changed(issued_at=-1), "integer from 0"),
    (_changed(issued_at=True), "integer from 0"),
    (_changed(entries=[_entry(), _entry(name="Other")]), "in it twice: two entries have the same participant"),
    (_changed(entries=[_entry(), _entry(participant=2, name="ALDER")]), "in it twice: two entries have the same name"),
    (
        _changed(entries=[_entry(gln="4012345000009"), _entry(participant=2, name="B", gln="4012345000009")]),
        "in it twice: two entries have the same GLN",
    ),
    (_changed(entries=[_entry(participant=2), _entry(name="B")]), "ascending order"),
    (_changed(entries=[_entry(name="")]), "visible characters"),
    (_changed(entries=[_entry(name="Alder\u202e")]), "visible characters"),
    (_changed(entries=[_entry(name="Alder\n")]), "visible characters"),
    (_changed(entries=[_entry(name="a" * 201)]), "visible characters"),
    (_changed(entries=[_entry(name=7)]), "not a string"),
    (_changed(entries=[_entry(gln="4012345000008")]), "not a GLN"),
    (_changed(entries=[_entry(gln="../x")]), "not a GLN"),
    (_changed(entries=[_entry(gateway="http://alder.example")]), "not the URL of a gateway"),
    (_changed(entries=[_entry(gateway="https://u@alder.example")]), "not the URL of a gateway"),
    (_changed(entries=[_entry(gateway="https://alder.example/x")]), "not the URL of a gateway"),
    (_changed(entries=[_entry(gateway="https://")]), "not the URL of a gateway"),
    (_changed(entries=[_entry(gateway="file:///etc/passwd")]), "not the URL of a gateway"),
    (_changed(entries=[_entry(gateway="https://alder.example:70000")]), "not the URL of a gateway"),
    (_changed(entries=[_entry(recipient_key={})]), "exactly the members"),
    (_changed(entries=[_entry(contact=None)]), "the member contact is null"),
    (_changed(entries=[_entry(contact={})]), "exactly the members"),
    (_changed(entries=[_contact(name="")]), "visible characters"),
    (_changed(entries=[_contact(name="Quality\u202e")]), "visible characters"),
    (_changed(entries=[_contact(name=7)]), "not a string"),
    (_changed(entries=[_contact(mail=7)]), "neither a string nor null"),
    (_changed(entries=[_contact(mail=None)]), "neither a mail address nor a telephone number"),
    (_changed(entries=[_contact(mail="a@b.example?bcc=x@y.example")]), "not a mail address"),
    (_changed(entries=[_contact(mail='"><script>@b.example')]), "not a mail address"),
    (_changed(entries=[_contact(mail="boss?bcc=mallory@evil.example")]), "not a mail address"),
    *(
        (_changed(entries=[_contact(mail=f"a{one}b@b.example")]), "not a mail address")
        for one in "?&%=# \t\n\0\x7f\u2028"
    ),
    (_changed(entries=[_contact(telephone="030 1234567")]), "not a telephone number"),
    (_changed(entries=[_contact(country="Germany")]), "not a country"),
    (_changed(signature="0x00"), "lower-case hexadecimal"),
]


@pytest.mark.parametrize(("data", "why"), MALFORMED)
def test_what_is_not_exactly_of_the_format_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(DirectoryError, match=why):
        parse_directory(data)


def test_the_operator_signs_nothing_that_nobody_could_read() -> None:
    with pytest.raises(DirectoryError, match="visible characters"):
        signed(replace(BASE, entries=(DirectoryEntry(1, "\x1b[31m"),)))


def test_events_find_companies_by_the_directorys_gln(store: Store) -> None:
    assert find_parties(store) == {}
    publish(store, signed())
    take(store, signed())
    assert find_parties(store) == {"https://id.gs1.org/417/4012345000009": ALDER}


def test_documents_are_encrypted_for_the_later_of_two_keys(store: Store) -> None:
    """One was sent to this gateway, one is in the directory."""
    publish(store, signed())
    take(store, signed())
    with store.transaction() as connection:
        documents = DocumentRepository(connection)
        listed = documents.recipient_key(ALDER)
        assert listed == RecipientKeyRow(ALDER, bytes([ALDER]) * 32, NOW_S, state_key(ALDER).signature)
        assert documents.recipient_key(BIRCH) is None
        documents.put_recipient_key(replace(listed, issued_at=NOW_S - 1, public_key=bytes(32)))
        assert documents.recipient_key(ALDER) == listed
        later = replace(listed, issued_at=NOW_S + 1, public_key=bytes(32))
        documents.put_recipient_key(later)
        assert documents.recipient_key(ALDER) == later


def test_what_the_consortium_sees_lists_every_field_of_an_entry() -> None:
    page = (Path(__file__).parents[4] / "ledger" / "VISIBLE.md").read_text().partition("\n## Directory\n")[2]
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == list(entry_to_json(ENTRIES[0]))


@pytest.mark.parametrize(
    ("text", "contact"),
    [
        ("Quality office, quality@alder.example, DE", Contact("Quality office", "quality@alder.example", None, "DE")),
        ("张伟, +86 (10) 1234-5678, CN", Contact("张伟", None, "+861012345678", "CN")),
        ("Ada, Quality,a@b.example,+4930123456,DE", Contact("Ada, Quality", "a@b.example", "+4930123456", "DE")),
    ],
)
def test_a_contact_is_read_as_people_write_it(text: str, contact: Contact) -> None:
    assert parse_contact(text) == contact
    assert Contact.from_text(contact.to_text()) == contact


_REFUSED = ["", "Quality", "Quality, DE", "a@b.example, DE", "Q, a@b.example", "Q, 030123, DE"]
_REFUSED += ["Q, boss?bcc=mallory@evil.example, DE", "Q, a%0Ab@b.example, DE"]


@pytest.mark.parametrize("text", _REFUSED)
def test_a_contact_that_nobody_could_be_reached_by_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"contact|country|mail address"):
        parse_contact(text)
