"""Session tokens and API keys: forged ones, and what is kept of real ones."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millmark.ledger.errors import InputError, NotFoundError
from millmark.ledger.store import Rows, Store
from millmark.ledger.store.database import build_engine
from millmark.ledger.store.rows import ChainIdentityRow, ParticipantRow
from millmark.services.access import CredentialKind, Scope, UnauthenticatedError, authenticate, new_api_key, revoke
from millmark.services.access.credentials import MAX_API_KEY_LIFE_S
from millmark.services.access.repository import AccessRepository
from tests.support.command_line import Runner
from tests.support.sign_in import NOW_S
from tests.support.stores import new_store

LIFE_S = 3600


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with new_store(tmp_path_factory.mktemp("credentials")) as store:
        admit(store)
        yield store


def admit(store: Store) -> None:
    with store.transaction() as connection:
        Rows(connection).insert([ChainIdentityRow(1, 7, bytes(32), bytes(20), bytes(20), bytes(32))])
        Rows(connection).insert(
            [ParticipantRow(one, one, 4, 1, one == 5, False, 0, 0, 1, bytes(32)) for one in (3, 4, 5)]
        )


def make(store: Store, participant: int = 3) -> str:
    return new_api_key(store, participant, [Scope.PROVENANCE], "ERP", now_s=NOW_S, life_s=LIFE_S)[0]


def jwt(algorithm: str) -> str:
    parts = [{"alg": algorithm, "typ": "JWT", "kid": "../../dev/null"}, {"sub": "3", "exp": NOW_S * 2}]
    return ".".join(base64.urlsafe_b64encode(json.dumps(one).encode()).decode().rstrip("=") for one in parts) + "."


FORGED: dict[str, Callable[[str], str]] = {
    "empty": lambda _: "",
    "a blank": lambda _: " ",
    "the kind alone": lambda _: "mmk_",
    "the public part alone": lambda key: key[:16],
    "the secret alone": lambda key: key[17:],
    "cut by one": lambda key: key[:-1],
    "longer by one": lambda key: key + "A",
    "padded": lambda key: key + "=",
    "a blank before": lambda key: " " + key,
    "a line feed after": lambda key: key + "\n",
    "a zero byte after": lambda key: key + "\0",
    "twice": lambda key: key + key,
    "a list": lambda key: f"{key},{key}",
    "as a session": lambda key: "mms" + key[3:],
    "of no kind": lambda key: "mmx" + key[3:],
    "kind in capitals": lambda key: "MMK" + key[3:],
    "another id": lambda key: f"mmk_{'0' * 12}{key[16:]}",
    "id in capitals": lambda key: f"mmk_{'ABCDEF123456'}{key[16:]}",
    "first digit of the secret": lambda key: key[:17] + ("A" if key[17] != "A" else "B") + key[18:],
    "last digit of the secret": lambda key: key[:-1] + ("A" if key[-1] != "A" else "B"),
    "an unused bit of the last digit": lambda key: key[:-1] + _neighbour(key[-1]),
    "case of the secret": lambda key: key[:17] + key[17:].swapcase(),
    "secret of zeros": lambda key: key[:17] + "A" * 43,
    "secret reversed": lambda key: key[:17] + key[17:][::-1],
    "standard base64": lambda key: key[:17] + "+/" * 21 + "A",
    "the digest that is kept": lambda key: key[:17] + hashlib.sha256(key.encode()).hexdigest()[:43],
    "the digest in base64": lambda key: (
        key[:17] + base64.urlsafe_b64encode(hashlib.sha256(key.encode()).digest()).decode().rstrip("=")
    ),
    "SQL": lambda _: "mmk_' OR 1=1 --",
    "a wildcard": lambda _: "mmk_%",
    "another script's letters": lambda key: key.replace("mmk", "ｍｍｋ"),
    "a JWT without algorithm": lambda _: jwt("none"),
    "a JWT with a shared secret": lambda _: jwt("HS256"),
    "a JWT with a public key": lambda _: jwt("RS256"),
    "an address": lambda _: "0x" + "11" * 20,
    "a number": lambda _: "3",
    "a megabyte": lambda key: key * 15_000,
}


def _neighbour(digit: str) -> str:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return alphabet[alphabet.index(digit) ^ 1]


def refused(store: Store, text: str, now_s: int = NOW_S) -> str:
    with pytest.raises(UnauthenticatedError) as caught:
        authenticate(store, text, now_s=now_s, owner=3)
    return str(caught.value)


@pytest.mark.parametrize("name", FORGED)
def test_forged_credentials_are_refused(store: Store, name: str) -> None:
    key = make(store)
    forged = FORGED[name](key)
    assert forged != key
    assert refused(store, forged) == refused(store, "anything else")
    assert authenticate(store, key, now_s=NOW_S, owner=3).participant == 3


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=80))
def test_no_text_by_chance_is_a_credential(store: Store, text: str) -> None:
    refused(store, text)


def test_every_refusal_reads_the_same(store: Store) -> None:
    ended = make(store)
    revoke(store, ended[4:16], CredentialKind.API_KEY, now_s=NOW_S)
    texts = {refused(store, ended), refused(store, make(store), NOW_S + LIFE_S), refused(store, "mmk_unknown")}
    assert len(texts) == 1


def test_what_is_shown_says_how_far_it_carries(store: Store) -> None:
    key = make(store, 4)
    found = authenticate(store, key, now_s=NOW_S + LIFE_S - 1, owner=3)
    assert (found.participant, found.roles, found.scopes) == (4, 4, frozenset({Scope.PROVENANCE}))
    assert (found.owner, found.viewer, found.credential) == (False, 4, key[4:16])
    assert authenticate(store, key, now_s=NOW_S, owner=4).viewer is None


def test_the_database_has_no_secret(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        admit(store)
        key = make(store)
    for file in tmp_path.iterdir():
        assert key[17:].encode() not in file.read_bytes()


def test_a_suspended_participant_has_no_keys(store: Store) -> None:
    with pytest.raises(NotFoundError):
        make(store, 5)
    with pytest.raises(NotFoundError):
        make(store, 9)
    key = make(store, 4)
    with store.transaction() as connection:
        row = Rows(connection).get(ParticipantRow, 4)
        assert row is not None
        Rows(connection).update([replace(row, suspended=True)])
    try:
        refused(store, key)
    finally:
        with store.transaction() as connection:
            Rows(connection).update([row])


@pytest.mark.parametrize(
    ("scopes", "label", "life_s"),
    [
        ([], "ERP", LIFE_S),
        ([Scope.STATUS], "", LIFE_S),
        ([Scope.STATUS], "  ", LIFE_S),
        ([Scope.STATUS], "a" * 81, LIFE_S),
        ([Scope.STATUS], "a\nb", LIFE_S),
        ([Scope.STATUS], "ERP", 0),
        ([Scope.STATUS], "ERP", -1),
        ([Scope.STATUS], "ERP", MAX_API_KEY_LIFE_S + 1),
    ],
)
def test_keys_that_open_nothing_or_live_too_long_are_not_made(
    store: Store, scopes: list[Scope], label: str, life_s: int
) -> None:
    with pytest.raises(InputError):
        new_api_key(store, 3, scopes, label, now_s=NOW_S, life_s=life_s)


def test_revoking_counts_once_and_for_its_kind(store: Store) -> None:
    id_ = make(store)[4:16]
    with pytest.raises(NotFoundError):
        revoke(store, id_, CredentialKind.SESSION, now_s=NOW_S)
    revoke(store, id_, CredentialKind.API_KEY, now_s=NOW_S)
    with pytest.raises(NotFoundError):
        revoke(store, id_, CredentialKind.API_KEY, now_s=NOW_S)


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Runner:
    (tmp_path / "home").mkdir()
    with new_store(tmp_path / "home") as store:
        admit(store)
    made = Runner(tmp_path / "home", monkeypatch, capsys)
    made.settings('database = "sqlite:///ledger.db"\n')
    return made


def test_the_commands_make_list_and_revoke(runner: Runner) -> None:
    code, out, _ = runner("apikeys", "new", "3", "--label", "ERP", "--scopes", "provenance,documents", "--json")
    made = json.loads(out)
    assert (code, made["scopes"], made["state"]) == (0, ["documents", "provenance"], "active")
    with new_store_at(runner) as store:
        assert authenticate(store, made["key"], now_s=_issued(store, made["id"]), owner=None).participant == 3
    listed = runner("apikeys", "list")[1]
    assert made["id"] in listed
    assert made["key"][17:] not in listed
    assert runner("apikeys", "revoke", made["id"])[0] == 0
    assert json.loads(runner("apikeys", "list", "--json")[1])["keys"][0]["state"] == "revoked"
    assert runner.refused("apikeys", "revoke", made["id"])[0] == 1


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("3", "--label", "x", "--scopes", "everything"), 2),
        (("3", "--label", "x", "--scopes", ","), 2),
        (("3", "--label", "x", "--days", "0"), 2),
        (("3", "--label", "x", "--days", "367"), 2),
        (("3", "--label", ""), 2),
        (("9", "--label", "x"), 1),
        (("three", "--label", "x"), 2),
    ],
)
def test_the_command_refuses(runner: Runner, arguments: tuple[str, ...], code: int) -> None:
    assert runner.refused("apikeys", "new", *arguments)[0] == code


def new_store_at(runner: Runner) -> Store:
    return Store(build_engine(f"sqlite:///{runner.home / 'ledger.db'}"))


def _issued(store: Store, id_: str) -> int:
    with store.reading() as connection:
        row = AccessRepository(connection).credential(id_)
    assert row is not None
    return row.issued_at
