"""Why a company is not admitted or listed, and nothing is decided about one: each ground is declared once."""

from __future__ import annotations

from millmark.ledger.phrases import Phrase


class ConsortiumGround(Phrase):
    """A ground. Its value is the error's cause; `words` are English, of a parser or of another program."""

    # Admission
    REQUEST_UNSIGNED = "the request cannot be used: its recipient key is not signed with its key, for its ledger"
    REQUEST_UNUSABLE = "the request cannot be used: {words}"
    REQUEST_OF_REVOKED_KEY = "the request of {name} is signed with a revoked key"
    REQUEST_OF_OTHER_LEDGER = "the request of {name} is for chain {chain:d} and ledger {ledger:s}"
    ADMISSION_UNDER_WAY = "the admission is on its way"
    OTHER_ADMISSION = "another request with this key is being admitted"
    LISTED_TWICE = "a company is in it twice: two entries have the same {what:s}, {twice}"
    # Suspension
    NOT_SUSPENDED = "participant {participant:d} is not suspended"
    SUSPENDED_ALREADY = "participant {participant:d} is suspended already"
    # Directory
    NOTHING_NEW = "the directory in force says all of it already"
    # Who decides
    NO_OWNER_KEY = "this gateway does not have the key that owns the registry"
    NO_COMPANY_KEY = "this gateway has no key of a company"
    NO_CHAIN = "this gateway has no chain"
    # Motions
    OTHER_MOTION = "the motion is another one than the form showed"
