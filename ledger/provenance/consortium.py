"""The consortium's participants according to the index, and trust files with their names and keys."""

from __future__ import annotations

from collections.abc import Sequence

from millmark.ledger.chain import Chain, fetch_checkpoint, fetch_trust
from millmark.ledger.errors import InputError, NotFoundError
from millmark.ledger.provenance import answers
from millmark.ledger.provenance.answers import moment
from millmark.ledger.provenance.reader import open_reader
from millmark.ledger.records import Role
from millmark.ledger.store import Store
from millmark.ledger.store.rows import KeyRow, ParticipantRow, RecoveryRow
from millmark.ledger.trust import BelievedBlock, Cosigner, Cosigners, TrustFile, Validator, Validators

_HINT = "see `millmark participants list`"


def participant(store: Store, number: int) -> answers.Participant:
    """The participant with this number. Raises NotFoundError."""
    for found in participants(store):
        if found.participant == number:
            return found
    raise NotFoundError(f"participant {number} does not exist", hint="see the list of participants")


def participants(store: Store) -> tuple[answers.Participant, ...]:
    """All participants, by number, also suspended and departed ones. Raises NotFoundError if nothing is indexed yet."""
    with open_reader(store) as reader:
        keys = reader.rows.find(KeyRow, revoked_at=0)
        recoveries = {row.participant: row for row in reader.rows.find(RecoveryRow, accepted_at=0)}
        names = reader.book.names()
        rows = sorted(reader.rows.find(ParticipantRow), key=lambda row: row.number)
    return tuple(
        answers.Participant(
            participant=row.number,
            name=names.get(row.number),
            roles=_role_names(row.roles),
            suspended=row.suspended,
            departed=row.departed,
            keys=tuple(_key(key) for key in keys if key.participant == row.number),
            recovery=_recovery(recoveries.get(row.number)),
            admitted_at=moment(row.admitted_at),
        )
        for row in rows
    )


def _role_names(roles: int) -> tuple[str, ...]:
    return tuple(str(role.name).lower() for role in Role if role & roles)


def _key(row: KeyRow) -> answers.Key:
    return answers.Key(row.address, _role_names(row.roles), row.admin, moment(row.added_at))


def _recovery(row: RecoveryRow | None) -> answers.Recovery | None:
    return None if row is None else answers.Recovery(row.key, moment(row.effective_at), row.objected, row.overruled)


def build_trust_file(
    store: Store,
    chain: Chain,
    block: int | None = None,
    quorum: int | None = None,
    cosigners: Sequence[int] = (),
    validators: Sequence[Validator] = (),
) -> TrustFile:
    """Build a trust file, whose root of trust is one final block, a quorum of co-signers, or validators.

    Without `quorum`, the root of trust is the block with the given number, by default the last final one. With
    `quorum`, it is any checkpoint that this number of `cosigners` signed; `cosigners` are by default all participants
    that are neither suspended nor departed. With `validators`, it is any block that a quorum of them sealed; the
    co-signers, if there are any, are then those who must vouch for validators that changed long ago. Raises InputError
    for a co-signer that is suspended, has left or does not exist, or for a validator of a participant that does not
    exist, and ChainError.
    """
    members = participants(store)
    names = {member.participant: member.name for member in members if member.name}
    if quorum is None and not validators:
        point = fetch_checkpoint(chain, block)
        return fetch_trust(chain, names, BelievedBlock(point.block_number, point.block_hash))
    believed = None if quorum is None else _cosigners(members, quorum, cosigners)
    if believed is not None and not validators:
        return fetch_trust(chain, names, believed)
    numbers = {member.participant for member in members}
    for one in validators:
        if one.participant is not None and one.participant not in numbers:
            raise InputError(f"participant {one.participant} does not exist", hint=_HINT)
    ordered = tuple(sorted(validators, key=lambda one: one.address))
    return fetch_trust(chain, names, Validators(ordered, believed))


def _cosigners(members: Sequence[answers.Participant], quorum: int, cosigners: Sequence[int]) -> Cosigners:
    known = {member.participant: member for member in members if not member.suspended and not member.departed}
    for number in cosigners:
        if number not in known:
            raise InputError(
                f"participant {number} is suspended, has left or does not exist",
                hint=_HINT,
            )
    chosen = cosigners or sorted(known)
    keys = sorted((number, key.address) for number in set(chosen) for key in known[number].keys)
    return Cosigners(quorum, tuple(Cosigner(number, key) for number, key in keys))
