"""The sentences that this product itself writes about causes and steps, into its database and, for good, into records
and entries. Whatever else stands in such a place is somebody's own words, or an error's.
"""

from __future__ import annotations

from millmark.ledger.phrases import Phrase


class Sentence(Phrase):
    """A sentence. `error` stands for the words of an error, `reason` for a person's."""

    # Causes
    FAILED = "certificate {certificate:d} failed what it made"
    DRIFTS = "participant {participant:d} notes that what it makes drifts"
    DECLINED = "its owner declined assignment {assignment:d}"
    LATE = "assignment {assignment:d} took {minutes:d} min, and {agreed:d} were agreed"
    ENERGY = "assignment {assignment:d} took {wh:d} Wh, and {offered:d} were offered"
    WITHDREW = "its owner withdrew its offers: {cause}"
    BECAUSE = "{kind:s}: {cause} (0x{mark:s})"
    # Why a cause does not count
    NO_GATE = "participant {participant:d} inspects at no gate of the lot's order"
    NO_OWNER = "participant {participant:d} does not own it"
    # Settings
    SEARCHING = "settings are being looked for"
    NO_MODEL = "there is no model of the machine's process"
    NO_QUALITY = "the model of the machine's process needs millmark[quality]"
    UNUSABLE = "the model of the machine's process cannot be used: {error}"
    LONG_TELEMETRY = "its telemetry has more than {size:d} MiB: keep the latest rows alone there"
    LATER_TELEMETRY = "its telemetry is of a time to come: see the clock of what writes it"
    OLD_TELEMETRY = "its telemetry ended {minutes:d} min ago"
    LATER_MOVES = "no settings are proposed: only later moves would make it cheaper"
    NOT_PROPOSED = "no settings are proposed: {error}"
    ACCEPTED = "the operator accepted"
    REFUSED = "the operator refused: {reason}"
    EXPIRED = "it was expired before it was answered"
    SUPERSEDED = "it was superseded before it was answered"
    # Other steps
    EXPECTED = "offers expect {percent:d} % of its speed"
    WITHDRAWN = "{count:d} offers withdrawn"
    ANOTHER_RUNG = "the machine is on another rung by now"
    GOOD = "{count:d} good verdicts in a row"
    UNCHANGED = "the plan in force needs no change"
    IMPOSSIBLE = "no plan is possible: {error}"
    PLANNED = "plan {plan:s}: {moved:d} of {rows:d} rows are proposed anew"
