"""Why an offer does not count, or a machine is not offered: each ground is declared once."""

from __future__ import annotations

from millmark.ledger.phrases import Phrase


class OfferGround(Phrase):
    """A ground, in a few words. `why` stands for another one."""

    OTHER_CALL = "for another call"
    EXPIRED = "expired before the call closed"
    MACHINE_UNKNOWN = "of machine {machine:d}, which is not known"
    MACHINE_OF_OTHERS = "of machine {machine:d}, which is not the owner's"
    MACHINE_INCAPABLE = "of machine {machine:d}, which {why}"
    NOT_CALLED_FOR = "for an operation that was not called for"
    WITHDRAWN = "withdrawn"
    DOUBLED = "doubled: there is another one for this operation on this machine"
    LATE = "anchored when the call had closed"
    NOT_IN_TREE = "not in the tree that was anchored"
    NO_SUCH_WORK = "does no {need}"
    NOT_WITH_THIS = "does not do {need} with this {name}"
