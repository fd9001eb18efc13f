"""Who may have a field erased at another company, and that nothing brings it back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from millmark.ledger.store import Book, Registry
from millmark.services.handover.content import (
    Content,
    Erasure,
    HandoverRefusedError,
    parse_path,
    sign_erasure,
    write_path,
)
from tests.support.apart import Home
from tests.support.stores import copy_database, new_store
from tests.unit.services.handover.conftest import Delivered
from tests.unit.services.handover.test_receiving import content_of, forge, refused

BUYER, MAKER, CARRIER = "nordwind", "alder", "swift"
WEIGHT = ("passport", "weight")


@pytest.fixture
def buyer(told: Delivered, tmp_path: Path) -> Iterator[Home]:
    """The buyer, who has been handed everything, in a database of this test."""
    home = told.home(BUYER)
    with new_store(tmp_path) as store:
        copy_database(home.store, store)
        yield replace(home, store=store)


def erasure_by(told: Delivered, who: str, **changed: object) -> Erasure:
    """The erasure of the lot's weight, which the maker's document has, signed by a company."""
    record = told.apart.records["make hip"]
    unsigned = Erasure(told.apart.roots["hip-1"], write_path(WEIGHT), "ledger", record, b"")
    home = told.home(who)
    with home.store.reading() as connection:
        ledger = Registry(connection).identity()
    assert ledger is not None
    return sign_erasure(ledger, replace(unsigned, **changed), home.company.signer)  # type: ignore[arg-type]  # its members


def test_the_author_has_it_erased_and_nothing_brings_it_back(told: Delivered, buyer: Home) -> None:
    root = told.apart.roots["hip-1"]
    assert "/passport/weight" in buyer.document(root)
    buyer.receiver.import_file(forge(told, Content(erasures=(erasure_by(told, MAKER),)), "make hip", MAKER))
    assert buyer.document(root) == {"/serial": "hip-1"}
    buyer.receiver.import_file(told.texts["make hip", BUYER])
    buyer.receiver.import_file(forge(told, content_of(told)))
    assert buyer.document(root) == {"/serial": "hip-1"}
    with buyer.store.reading() as connection:
        text = Book(connection).document(root)
    assert text is not None
    assert sum("erased" in field for field in json.loads(text)["fields"]) == 1


def test_all_of_a_document_is_erased(told: Delivered, buyer: Home) -> None:
    """As `documents erase` asks for, of the claims of an encrypted document that a record commits to."""
    root = told.apart.roots["hip-1"]
    buyer.receiver.import_file(forge(told, Content(erasures=(erasure_by(told, MAKER, path="[]"),)), "make hip", MAKER))
    assert buyer.document(root) == {}


def test_the_authors_erasure_is_taken_from_whoever_handed_the_document_over(told: Delivered, buyer: Home) -> None:
    buyer.receiver.import_file(forge(told, Content(erasures=(erasure_by(told, MAKER),))))
    assert "/passport/weight" not in buyer.document(told.apart.roots["hip-1"])


@pytest.mark.parametrize(
    ("who", "changed", "says"),
    [
        (CARRIER, {}, "not signed by the document's author"),
        (BUYER, {}, "not signed by the document's author"),
        (MAKER, {"root": b"\1" * 32}, "does not commit to a document that is to be erased"),
        (MAKER, {"record": 1}, "does not commit to a document that is to be erased"),
        (MAKER, {"contract": "registry"}, "does not commit to a document that is to be erased"),
        (MAKER, {"signature": b"\1" * 65}, "the signature of an erasure is invalid"),
        (MAKER, {"path": '["passport", "weight"]'}, "malformed path"),
        (MAKER, {"path": '"passport"'}, "malformed path"),
    ],
)
def test_nobody_else_has(told: Delivered, buyer: Home, who: str, changed: dict[str, object], says: str) -> None:
    refused(buyer, forge(told, Content(erasures=(erasure_by(told, who, **changed),))), says)
    assert "/passport/weight" in buyer.document(told.apart.roots["hip-1"])


def test_one_that_names_another_field_than_was_signed(told: Delivered, buyer: Home) -> None:
    bent = replace(erasure_by(told, MAKER), path=write_path(("serial",)))
    refused(buyer, forge(told, Content(erasures=(bent,))), "not signed by the document's author")


def test_paths_have_one_text() -> None:
    assert parse_path(write_path(("a", 0, "ü"))) == ("a", 0, "ü")
    with pytest.raises(HandoverRefusedError):
        parse_path('{"a":1}')
