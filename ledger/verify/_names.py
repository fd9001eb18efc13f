"""Step 7: identifiers lead to the subjects that they name, and their creators cannot show them for others."""

from __future__ import annotations

from collections.abc import Mapping

from millmark.ledger.bundle import Bundle, IdentityShown
from millmark.ledger.errors import IdentifierError, ProofError
from millmark.ledger.ids import SubjectKind, canonical_identifier
from millmark.ledger.names import subjects_of, verify_name
from millmark.ledger.slots import NameKeySlots
from millmark.ledger.verify._proofs import subject_of
from millmark.ledger.verify._state import State
from millmark.ledger.verify.refusals import IdentifiersRefused

__all__ = ["verify_identifiers"]


def verify_identifiers(bundle: Bundle, state: State, *, nameless: bool) -> dict[bytes, str]:
    """Step 7: every identifier is canonical, its salt is that of its creator's name key, and it leads to a subject that
    the bundle proves; every part has one.

    With `nameless`, parts may lack an identifier. Returns the identifiers by subject. Raises IdentifiersRefused.
    """
    found: dict[bytes, str] = {}
    for identity in bundle.identities:
        name = subject_of(identity)
        _verify_spelling(identity, name)
        _verify_key(bundle, state, identity, name)
        _verify_place(state, identity, name)
        found[name] = identity.identifier
    for name in bundle.parts:
        if name not in found and not nameless:
            raise IdentifiersRefused(
                "the part has no identifier", subject=name, hint="if the bundle is from a recall, accept any status"
            )
    return found


def _verify_spelling(identity: IdentityShown, name: bytes) -> None:
    try:
        canonical = canonical_identifier(identity.identifier)
    except IdentifierError as error:
        raise IdentifiersRefused(f"{identity.identifier}: {error.cause}", subject=name) from None
    if canonical != identity.identifier:
        cause = f"{identity.identifier} is not in canonical form, which is {canonical}"
        raise IdentifiersRefused(cause, subject=name)


def _verify_key(bundle: Bundle, state: State, identity: IdentityShown, name: bytes) -> None:
    """The proofs are valid under the creator's name keys, and under the earlier ones nothing is recorded."""
    kind, creator, identifier, proofs = identity.kind, identity.creator, identity.identifier, identity.proofs
    hashes = [state.proved.name_keys[creator, index].name_key_hash for index in range(len(proofs))]
    try:
        verify_name(bundle, kind, creator, identifier, proofs, hashes)
    except ProofError as error:
        raise IdentifiersRefused(f"the salt of {identifier}: {error.cause}", subject=name) from None
    for earlier in subjects_of(kind, creator, identifier, proofs[:-1]):
        if state.proved.taken[earlier]:
            raise IdentifiersRefused(
                f"{identifier} names another {kind.name.lower()}, under an earlier name key", subject=name
            )


def _verify_place(state: State, identity: IdentityShown, name: bytes) -> None:
    """The subject is one of the bundle's, and was recorded before its creator replaced the key that named it.

    Otherwise, a subject under the earlier key could still be recorded, and shown, after one under the later key was.
    """
    following = state.proved.name_keys[identity.creator, len(identity.proofs)]
    places: Mapping[SubjectKind, object] = {
        SubjectKind.ORDER: state.orders,
        SubjectKind.LOT: state.lots,
        SubjectKind.STREAM: state.proved.streams,
    }
    if identity.kind is SubjectKind.MACHINE:
        known = state.proved.named_machines[name] in state.proved.machines
    else:
        known = name in places[identity.kind]  # type: ignore[operator]  # a mapping by subject
    if not known:
        raise IdentifiersRefused(
            f"{identity.identifier} does not lead to any {identity.kind.name.lower()} in the bundle", subject=name
        )
    if following.set_at and not _precedes(state, identity.kind, name, following):
        raise IdentifiersRefused(
            f"{identity.identifier} was recorded under a name key that its creator had replaced", subject=name
        )


def _precedes(state: State, kind: SubjectKind, name: bytes, key: NameKeySlots) -> bool:
    """Whether a subject was recorded before a name key was set; assumed of streams, whose state has no time of it."""
    if kind is SubjectKind.MACHINE:
        return state.proved.named_machines[name] < key.sequence
    if kind is SubjectKind.STREAM:
        return True
    made = state.orders[name].sequence if kind is SubjectKind.ORDER else state.lots[name].sequence
    return state.entries_of[name][made].time < key.set_at
