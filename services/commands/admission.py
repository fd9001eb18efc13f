"""How an operator admits companies and tells all of them who is who: what `participants admit` and `directory publish`
do. Each step looks at the ledger first, so that an interrupted command can simply be repeated."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from millmark.ledger.errors import DuplicateRecordError, InputError, SettingsError
from millmark.ledger.records import PublicationKind, Publish
from millmark.ledger.signatures import Address, Signer
from millmark.ledger.store import Registry
from millmark.services.commands.context import Context
from millmark.services.directory import SignedDirectory, fetch_operators, take_directory
from millmark.services.directory.document import DirectoryError
from millmark.services.directory.following import issue_directory, keep_admission, published_digest, verify_admissible
from millmark.services.home import Candidate, find_admitted
from millmark.services.home.admissions import add_names, cancel_failed, keep_candidate, name_admission, verify_admitter

_ROUNDS = 8
"""How often somebody else may publish another directory meanwhile."""


def admit_all(opened: Context, signer: Signer, candidates: Sequence[Candidate]) -> dict[Address, int]:
    """Admits those that are not admitted yet, keeps for the directory what is said of each, and returns their numbers.

    What an earlier run queued is sent first: what is then missing on the ledger was never queued, and is admitted now.
    """
    opened.settle(signer)
    with opened.store.transaction() as connection:
        numbers = {one.key: find_admitted(connection, one.key) or 0 for one in candidates}
        listed = {one.key: replace(one.entry, participant=numbers[one.key]) for one in candidates}
        verify_admissible(connection, listed)
        for key, entry in listed.items():  # first: a crash must not lose what the directory will say
            keep_admission(connection, key, entry)
    new = [one for one in candidates if not numbers[one.key]]
    for _ in range(len(new) + 1):  # each time but the last one, somebody else has admitted one meanwhile
        if not new or _admit(opened, signer, new):
            break
        with opened.store.reading() as connection:
            new = [one for one in new if find_admitted(connection, one.key) is None]
    with opened.store.transaction() as connection:
        found = {one.key: find_admitted(connection, one.key) for one in candidates}
        names: dict[int, str] = {}
        for one in candidates:
            number = found[one.key]
            if number is None:
                raise InputError(
                    f"the admission of {one.entry.name} is not on the ledger yet",
                    hint="see `millmark outbox list`, then try again",
                )
            keep_admission(connection, one.key, replace(one.entry, participant=number))
            names[number] = one.entry.name
        add_names(connection, names)
    return {key: number for key, number in found.items() if number is not None}


def _admit(opened: Context, signer: Signer, new: Sequence[Candidate]) -> bool:
    """Whether it admitted them. If not, one of them is admitted by somebody else, for whom it waited."""
    for one in new:
        cancel_failed(opened.store, one.key)
        verify_admitter(opened.store, one.key, signer.address)
    names = [name_admission(opened.store, one.key) for one in new]
    with opened.store.transaction() as connection:  # first: a crash must not lose what the records commit to
        records = [keep_candidate(connection, one) for one in new]
    try:
        opened.record(signer, records, names)
    except DuplicateRecordError:
        # On the page, or by another command.
        opened.settle(signer)
        return False
    opened.follow()
    return True


def publish_directory(opened: Context, signer: Signer) -> tuple[SignedDirectory, bool]:
    """Signs the directory, publishes its digest on the ledger, and puts it in force here. Returns it, and whether it is
    another one than before. Whoever does the same at the same moment ends with the same directory.

    Raises SettingsError if the signer does not own the registry. A member of a council that owns it signs the directory
    only: the council publishes it by a motion, after which the command is repeated.
    """
    opened.settle(signer)
    operators = fetch_operators(opened.chain_at_hand())
    is_other = False
    for _ in range(_ROUNDS):
        with opened.store.transaction() as connection:
            if not operators.may_sign(Registry(connection), signer.address):
                raise SettingsError("the key does not own the registry", hint="sign with the operator's key")
            signed, _ = issue_directory(connection, signer, operators, int(time.time()))
            is_published = published_digest(connection) == signed.digest
            if is_published:
                return signed, take_directory(connection, signed, operators) or is_other
        if operators.owner != signer.address:
            raise SettingsError(
                "the directory is signed, and a council owns the registry",
                hint=f"run `millmark council propose publish 1 0x{signed.digest.hex()}`, then this again",
            )
        is_other = True
        opened.record(signer, [Publish(PublicationKind.DIRECTORY, signed.digest)])
        opened.follow()  # somebody else may have signed and published another one meanwhile
    raise DirectoryError("other directories are published again and again", hint="repeat the command alone")
