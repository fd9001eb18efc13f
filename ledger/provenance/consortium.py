"""Who is in the consortium, as the index has it, and the trust file that says so to others."""

from __future__ import annotations

from collections.abc import Sequence

from ledger.chain import Chain, fetch_checkpoint, fetch_trust
from ledger.errors import InputError, NotFoundError
from ledger.provenance import answers
from ledger.provenance.jsonform import moment
from ledger.provenance.reader import open_reader
from ledger.records import Role
from ledger.store import Store
from ledger.store.rows import KeyRow, ParticipantRow
from ledger.trust import BelievedBlock, Cosigner, Cosigners, TrustFile

__all__ = ["build_trust_file", "participant", "participants"]


def participant(store: Store, number: int) -> answers.Participant:
    """Raises NotFoundError when there is none of that number."""
    for found in participants(store):
        if found.participant == number:
            return found
    raise NotFoundError(f"there is no participant {number}", hint="see the list")


def participants(store: Store) -> tuple[answers.Participant, ...]:
    """All participants, by number. Raises NotFoundError when nothing is indexed yet."""
    with open_reader(store) as reader:
        keys = reader.rows.find(KeyRow, revoked_at=0)
        names = reader.book.names()
        rows = sorted(reader.rows.find(ParticipantRow), key=lambda row: row.number)
    return tuple(
        answers.Participant(
            participant=row.number,
            name=names.get(row.number),
            roles=tuple(str(role.name).lower() for role in Role if role & row.roles),
            suspended=row.suspended,
            keys=tuple(key.address for key in keys if key.participant == row.number),
            admitted_at=moment(row.admitted_at),
        )
        for row in rows
    )


def build_trust_file(
    store: Store, chain: Chain, block: int | None = None, quorum: int | None = None, cosigners: Sequence[int] = ()
) -> TrustFile:
    """Believing one final block, the last by default; or, with a quorum, what so many of the co-signers signed (all
    participants that act, unless some are named). Raises InputError for a co-signer that does not act, ChainError."""
    members = participants(store)
    names = {member.participant: member.name for member in members if member.name}
    if quorum is None:
        point = fetch_checkpoint(chain, block)
        return fetch_trust(chain, names, BelievedBlock(point.block_number, point.block_hash))
    known = {member.participant: member for member in members if not member.suspended}
    for number in cosigners:
        if number not in known:
            raise InputError(f"participant {number} does not act", hint="see `millmark participants list`")
    chosen = cosigners or sorted(known)
    keys = sorted((number, key) for number in set(chosen) for key in known[number].keys)
    return fetch_trust(chain, names, Cosigners(quorum, tuple(Cosigner(number, key) for number, key in keys)))
