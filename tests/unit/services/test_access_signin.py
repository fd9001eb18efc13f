"""Sign-in messages and sessions: who is let in, and everything that is not."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millmark.ledger.errors import NotFoundError
from millmark.ledger.keys import LocalSigner
from millmark.ledger.signatures import ORDER
from millmark.ledger.store import Rows, Store
from millmark.ledger.store.rows import ChainIdentityRow, KeyRow, ParticipantRow
from millmark.services.access import Principal, SignIn, SignInError, UnauthenticatedError, authenticate
from millmark.services.access.repository import AccessRepository
from millmark.services.access.signin import NONCE_LIFE_S, Nonces, SteadyClock
from millmark.services.access.siwe import SignInMessage, build_digest, parse_message
from millmark.services.gateway.http.repository import StoredSecret
from tests.support.figures import Judge
from tests.support.patience import wait_until
from tests.support.sign_in import NOW_S, ORIGIN, add_keys, sign, sign_in, signer_of
from tests.support.stores import new_store

CHAIN_ID = 131277
SIGNER = signer_of(3)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with new_store(tmp_path) as store:
        with store.transaction() as connection:
            rows = Rows(connection)
            rows.insert([ChainIdentityRow(1, CHAIN_ID, bytes(32), bytes(20), bytes(20), bytes(32))])
            rows.insert([ParticipantRow(one, one, 4, 1, one == 5, False, 0, 0, 1, bytes(32)) for one in (3, 4, 5)])
        add_keys(store, 3, 4, 5)
        yield store


@pytest.fixture
def site(store: Store) -> SignIn:
    return SignIn(store, ORIGIN)


def shown(store: Store, token: str, now_s: int = NOW_S) -> Principal:
    return authenticate(store, token, now_s=now_s, owner=None)


def revoke_key(store: Store, participant: int) -> None:
    with store.transaction() as connection:
        row = Rows(connection).get(KeyRow, signer_of(participant).address)
        assert row is not None
        Rows(connection).update([replace(row, revoked_at=NOW_S)])


def test_a_key_of_a_participant_is_let_in(store: Store, site: SignIn) -> None:
    session = sign_in(site, 3)
    assert shown(store, session.token) == Principal(
        3, 4, frozenset(shown(store, session.token).scopes), session.row.id, owner=False, expires_at=NOW_S + 900
    )


def test_the_message_reads_as_the_standard_says(site: SignIn) -> None:
    message = replace(site.new_message(SIGNER.address, NOW_S), nonce="0123456789abcdef")
    assert message.to_text() == (
        "gateway.example wants you to sign in with your Ethereum account:\n"
        "0x6813Eb9362372EEF6200f3b1dbC3f819671cBA69\n\n"
        "Sign in to the Millmark gateway of this company.\n\n"
        "URI: https://gateway.example/v1/sessions\nVersion: 1\nChain ID: 131277\nNonce: 0123456789abcdef\n"
        "Issued At: 2027-01-15T08:00:00Z\nExpiration Time: 2027-01-15T08:05:00Z"
    )
    assert parse_message(message.to_text()) == message


def test_the_signature_is_that_of_personal_sign() -> None:
    """The published example of web3.eth.accounts.hashMessage("Hello World")."""
    assert build_digest("Hello World").hex() == "a1de988600a42c4b4ab089b619297c17d53cffae5d5120d82d8a92d0bb3b78f2"


Alter = Callable[[SignInMessage], SignInMessage]
MEANT_OTHERWISE: dict[str, Alter] = {
    "another domain": lambda one: replace(one, domain="gateway.example.evil.example"),
    "the domain with a port": lambda one: replace(one, domain="gateway.example:443"),
    "the domain in capitals": lambda one: replace(one, domain="GATEWAY.EXAMPLE"),
    "another URI": lambda one: replace(one, uri="https://evil.example/v1/sessions"),
    "the URI without TLS": lambda one: replace(one, uri="http://gateway.example/v1/sessions"),
    "another statement": lambda one: replace(one, statement="I transfer everything."),
    "another chain": lambda one: replace(one, chain_id=1),
    "chain 0": lambda one: replace(one, chain_id=0),
    "a nonce of nobody": lambda one: replace(one, nonce="0123456789abcdef"),
    "a nonce of another site": lambda one: replace(one, nonce=Nonces().issue(NOW_S)),
    "a nonce with a later expiry": lambda one: replace(one, nonce=f"{one.nonce[:32]}{NOW_S * 2:010x}{one.nonce[42:]}"),
    "a nonce in capitals": lambda one: replace(one, nonce=one.nonce.upper()),
    "a nonce cut short": lambda one: replace(one, nonce=one.nonce[:-1]),
    "issued long ago": lambda one: replace(one, issued_at=NOW_S - NONCE_LIFE_S - 1),
    "issued in the future": lambda one: replace(one, issued_at=NOW_S + 31, expires_at=NOW_S + 60),
    "expired": lambda one: replace(one, issued_at=NOW_S - 10, expires_at=NOW_S),
    "expiring before it was issued": lambda one: replace(one, expires_at=one.issued_at - 1),
    "lasting a year": lambda one: replace(one, expires_at=NOW_S + 31_536_000),
}


@pytest.mark.parametrize("name", MEANT_OTHERWISE)
def test_a_message_of_the_right_key_that_is_not_ours_is_refused(site: SignIn, name: str) -> None:
    message = MEANT_OTHERWISE[name](site.new_message(SIGNER.address, NOW_S))
    with pytest.raises(SignInError):
        site.accept(message.to_text(), sign(message.to_text(), SIGNER), NOW_S)


Spoil = Callable[[str], str]
SPOILED: dict[str, Spoil] = {
    "nothing": lambda _: "",
    "a line feed after it": lambda text: text + "\n",
    "a blank before it": lambda text: " " + text,
    "carriage returns": lambda text: text.replace("\n", "\r\n"),
    "no statement": lambda text: text.replace("Sign in to the Millmark gateway of this company.\n\n", "\n"),
    "a scheme": lambda text: "https://" + text,
    "two versions": lambda text: text.replace("Version: 1", "Version: 1\nVersion: 1"),
    "version 2": lambda text: text.replace("Version: 1", "Version: 2"),
    "a chain id with a zero before it": lambda text: text.replace("ID: 1", "ID: 01"),
    "a chain id in words of another script": lambda text: text.replace("131277", "١٣١٢٧٧"),
    "a negative chain id": lambda text: text.replace("ID: 1", "ID: -1"),
    "no nonce": lambda text: "\n".join(line for line in text.split("\n") if not line.startswith("Nonce")),
    "no expiry": lambda text: text.rpartition("\n")[0],
    "a request id": lambda text: text + "\nRequest ID: 1",
    "resources": lambda text: text + "\nResources:\n- https://gateway.example",
    "fields in another order": lambda text: text.replace("Version: 1\n", "") + "\nVersion: 1",
    "fractions of a second": lambda text: text.replace("00Z", "00.000Z"),
    "an offset": lambda text: text.replace("00Z", "00+00:00"),
    "a day that there is not": lambda text: text.replace("2027-01-15", "2027-02-30"),
    "an address without its checksum": lambda text: text.replace(
        "0x6813Eb9362372EEF6200f3b1dbC3f819671cBA69", "0x6813eb9362372eef6200f3b1dbc3f819671cba69"
    ),
    "an address with a wrong checksum": lambda text: text.replace("0x6813E", "0x6813e"),
    "a line within the statement": lambda text: text.replace("Sign in to", "Sign in\nto"),
    "a second message after it": lambda text: text + "\n\n" + text,
    "a megabyte": lambda text: text + "a" * 1_000_000,
}  # fmt: skip


@pytest.mark.parametrize("name", SPOILED)
def test_what_is_not_in_the_one_form_is_refused(site: SignIn, name: str) -> None:
    given_ = site.new_message(SIGNER.address, NOW_S).to_text()
    text = SPOILED[name](given_)
    assert text != given_
    with pytest.raises(SignInError, match="message"):
        site.accept(text, sign(text, SIGNER), NOW_S)


def _flipped(signature: bytes) -> bytes:
    """The other signature over the same bytes that ECDSA alone would take: high s."""
    s = ORDER - int.from_bytes(signature[32:64], "big")
    return signature[:32] + s.to_bytes(32, "big") + bytes([55 - signature[64]])


SIGNATURES: dict[str, Callable[[bytes], str]] = {
    "empty": lambda _: "",
    "without 0x": lambda one: one.hex(),
    "in capitals": lambda one: "0x" + one.hex().upper(),
    "a byte short": lambda one: "0x" + one[:-1].hex(),
    "a byte long": lambda one: "0x" + one.hex() + "00",
    "in the compact form": lambda one: "0x" + one[:64].hex(),
    "v as 0 or 1": lambda one: "0x" + (one[:64] + bytes([one[64] - 27])).hex(),
    "the other v": lambda one: "0x" + (one[:64] + bytes([55 - one[64]])).hex(),
    "high s": lambda one: "0x" + _flipped(one).hex(),
    "r of 0": lambda one: "0x" + (bytes(32) + one[32:]).hex(),
    "s of 0": lambda one: "0x" + (one[:32] + bytes(32) + one[64:]).hex(),
    "all zero": lambda _: "0x" + bytes(65).hex(),
    "of another message": lambda _: sign("another message", SIGNER),
    "of zero bytes": lambda _: "0x" + SIGNER.sign_digest(bytes(32)).to_bytes().hex(),
    "of another participant's key": lambda _: sign("x", signer_of(4)),
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_signature_that_is_not_of_that_key_over_that_message_is_refused(site: SignIn, name: str) -> None:
    text = site.new_message(SIGNER.address, NOW_S).to_text()
    signature = bytes.fromhex(sign(text, SIGNER)[2:])
    with pytest.raises(SignInError, match="signature"):
        site.accept(text, SIGNATURES[name](signature), NOW_S)
    site.accept(text, "0x" + signature.hex(), NOW_S)  # the refusal spent nothing


def test_a_nonce_counts_once(site: SignIn) -> None:
    text = site.new_message(SIGNER.address, NOW_S).to_text()
    site.accept(text, sign(text, SIGNER), NOW_S)
    for later in (0, 1, NONCE_LIFE_S - 1):
        with pytest.raises(SignInError, match="used before"):
            site.accept(text, sign(text, SIGNER), NOW_S + later)
    with pytest.raises(SignInError):
        site.accept(text, sign(text, SIGNER), NOW_S + NONCE_LIFE_S)


def test_a_nonce_is_spent_for_every_key(site: SignIn) -> None:
    message = site.new_message(SIGNER.address, NOW_S)
    site.accept(message.to_text(), sign(message.to_text(), SIGNER), NOW_S)
    other = replace(message, address=signer_of(4).address).to_text()
    with pytest.raises(SignInError, match="used before"):
        site.accept(other, sign(other, signer_of(4)), NOW_S)


def test_processes_with_one_key_accept_each_others_messages_once(store: Store) -> None:
    first, second = (SignIn(store, ORIGIN, StoredSecret(store, "sign-in")) for _ in range(2))
    text = first.new_message(SIGNER.address, NOW_S).to_text()
    second.accept(text, sign(text, SIGNER), NOW_S)
    with pytest.raises(SignInError, match="used before"):
        first.accept(text, sign(text, SIGNER), NOW_S)


def test_a_clock_that_is_set_forward_and_back_gives_no_second_session(site: SignIn) -> None:
    text = site.new_message(SIGNER.address, NOW_S).to_text()
    site.accept(text, sign(text, SIGNER), NOW_S)
    sign_in(site, 4, NOW_S + 1200)  # forgets the nonce, which has expired by then
    with pytest.raises(SignInError, match="expired"):
        site.accept(text, sign(text, SIGNER), NOW_S)


class Dials:
    """A wall clock that can be set, and time that passes."""

    wall_s, passed_s = float(NOW_S), 0.0

    def clock(self, store: Store) -> SteadyClock:
        return SteadyClock(store, lambda: self.wall_s + self.passed_s, lambda: self.passed_s)


def newest(store: Store) -> int:
    with store.reading() as connection:
        return AccessRepository(connection).newest_time()


@pytest.mark.parametrize("step_s", [1200, 86_400])
def test_what_has_expired_stays_so_when_the_clock_is_set_back(
    store: Store, site: SignIn, step_s: int, judge: Judge
) -> None:
    dials = Dials()
    clock, old = dials.clock(store), sign_in(site, 3)
    dials.wall_s += step_s
    for _ in range(2):
        now_s = clock()
        with pytest.raises(UnauthenticatedError):
            shown(store, old.token, now_s)
        wait_until(lambda now_s=now_s: newest(store) >= now_s)  # type: ignore[misc]  # bound early
        dials.wall_s = NOW_S - 86_400
        dials.passed_s += 70
        assert clock() == now_s + 70, "it goes on at its own pace"
        clock = dials.clock(store)  # after a restart, and in another process
        assert clock() >= now_s
    late = sign_in(site, 3, clock())
    dials.passed_s += 901
    with pytest.raises(UnauthenticatedError):
        shown(store, late.token, clock())
    judge("0 expired credentials accepted in 3 tries, 70 s after each step, also after a restart")


def test_a_clock_that_runs_ahead_is_followed(store: Store) -> None:
    dials = Dials()
    clock = dials.clock(store)
    assert clock() == NOW_S
    dials.wall_s += 5
    dials.passed_s += 10
    assert clock() == NOW_S + 15


def test_a_message_counts_until_it_expires_and_no_longer(site: SignIn) -> None:
    for late, counts in ((NONCE_LIFE_S - 1, True), (NONCE_LIFE_S, False)):
        text = site.new_message(SIGNER.address, NOW_S).to_text()
        if counts:
            site.accept(text, sign(text, SIGNER), NOW_S + late)
        else:
            with pytest.raises(SignInError):
                site.accept(text, sign(text, SIGNER), NOW_S + late)


@pytest.mark.parametrize("signer", [LocalSigner.generate(), signer_of(5)], ids=["unknown", "suspended"])
def test_a_key_that_signs_for_nobody_is_refused(site: SignIn, signer: LocalSigner) -> None:
    text = site.new_message(signer.address, NOW_S).to_text()
    with pytest.raises(SignInError, match="does not sign for an active participant"):
        site.accept(text, sign(text, signer), NOW_S)


def test_revoking_a_key_ends_its_sessions_and_bars_it(store: Store, site: SignIn) -> None:
    token = sign_in(site, 3).token
    shown(store, token)
    revoke_key(store, 3)
    with pytest.raises(UnauthenticatedError):
        shown(store, token)
    with pytest.raises(SignInError):
        sign_in(site, 3)


def test_suspending_a_participant_ends_its_sessions(store: Store, site: SignIn) -> None:
    token = sign_in(site, 3).token
    with store.transaction() as connection:
        row = Rows(connection).get(ParticipantRow, 3)
        assert row is not None
        Rows(connection).update([replace(row, suspended=True)])
    with pytest.raises(UnauthenticatedError):
        shown(store, token)


def test_a_session_ends_with_its_time(store: Store, site: SignIn) -> None:
    token = sign_in(site, 3).token
    assert shown(store, token, NOW_S + 899).participant == 3
    with pytest.raises(UnauthenticatedError):
        shown(store, token, NOW_S + 900)


def test_nobody_signs_in_before_a_chain_was_followed(tmp_path: Path) -> None:
    with new_store(tmp_path) as empty, pytest.raises(NotFoundError):
        SignIn(empty, ORIGIN).new_message(SIGNER.address, NOW_S)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=400))
def test_any_text_is_a_message_or_refused(text: str) -> None:
    with contextlib.suppress(SignInError):
        assert parse_message(text).to_text() == text


@settings(max_examples=100, deadline=None)
@given(
    chain_id=st.integers(0, 10**19 - 1),
    nonce=st.text("abcXYZ0189", min_size=8, max_size=128),
    issued_at=st.integers(0, 253_402_300_799),
)
def test_every_message_is_read_back(chain_id: int, nonce: str, issued_at: int) -> None:
    message = SignInMessage("a.example:8600", bytes(20), "Hi.", "https://a.example", chain_id, nonce, issued_at, 0)
    assert parse_message(message.to_text()) == message
