"""Participants with signing keys, and their signatures for signing in."""

from __future__ import annotations

from millmark.ledger.keys import LocalSigner
from millmark.ledger.records import ALL_ROLES
from millmark.ledger.store import Rows, Store
from millmark.ledger.store.rows import KeyRow
from millmark.services.access import CredentialKind, Scope, Session, SignIn
from millmark.services.access.credentials import issue
from millmark.services.access.people.people import People
from millmark.services.access.repository import AccessRepository
from millmark.services.access.rules import PersonRole
from millmark.services.access.siwe import build_digest

ORIGIN = "https://gateway.example"
NOW_S = 1_800_000_000


def signer_of(participant: int) -> LocalSigner:
    """The participant's signer, the same on every call."""
    return LocalSigner.from_bytes(participant.to_bytes(32, "big"))


def add_keys(store: Store, *participants: int) -> None:
    """Adds the participants' keys to the index."""
    with store.transaction() as connection:
        Rows(connection).insert(
            [KeyRow(signer_of(one).address, one, int(ALL_ROLES), True, 1, 0, 0, 0) for one in participants]
        )


def sign(text: str, signer: LocalSigner) -> str:
    """Signs a message; returns the signature as hexadecimal."""
    return "0x" + signer.sign_digest(build_digest(text)).to_bytes().hex()


def sign_in(site: SignIn, participant: int, now_s: int = NOW_S) -> Session:
    """Signs a participant in and returns the session."""
    signer = signer_of(participant)
    text = site.new_message(signer.address, now_s).to_text()
    return site.accept(text, sign(text, signer), now_s)


def open_session(store: Store, participant: int, now_s: int = NOW_S, key: bytes | None = None) -> str:
    """The token of a session with all scopes, of 900 s. `key`: the address that signed in, if not `signer_of`'s."""
    address = signer_of(participant).address if key is None else key
    with store.transaction() as connection:
        access, kind = AccessRepository(connection), CredentialKind.SESSION
        return issue(access, kind, participant, list(Scope), now_s=now_s, life_s=900, key=address)[0]


def enter_person(store: Store, owner: int, name: str, role: PersonRole, now_s: int = NOW_S) -> str:
    """The token of the session of somebody who is invited and enters at once."""
    people = People(store, owner)
    invited = people.invite(name, role, now_s=now_s)
    with store.transaction() as connection:
        return people.enter(connection, people.welcome(connection, invited.code, now_s), now_s).token
