"""What is wrong with a plan that breaks a rule: each sentence is declared once."""

from __future__ import annotations

from millmark.ledger.phrases import Phrase


class PlanRefusal(Phrase):
    """What an error says of a broken rule. `why` stands for a breach."""

    AT_ROW = "rule {rule:s}: {why} (order {order:s}, operation {operation:d})"
    OF_PLAN = "rule {rule:s}: {why}"


class PlanBreach(Phrase):
    """How a plan breaks a rule. Of most, the subject is the row that the refusal names. `why` stands for the ground on
    which an offer does not count."""

    # Call, objective, revision
    FOR_OTHER_CALL = "the plan is for another call"
    OTHER_OBJECTIVE = "the objective is not the one that the call commits to"
    TERMS_CHANGED = "its terms were changed after the call"
    # Offers
    NOT_COUNTING = "offer {offer:s} does not count: {why}"
    NOT_RECEIVED = "not among those received"
    OFFER_LEFT_OUT = "offer {offer:s} was left out"
    # Order, offer, machine
    ROW_NOT_CALLED = "was not called for"
    ROWLESS = "has no row"
    OFFER_NOT_LISTED = "{offer:s} is not among the offers that count"
    OFFER_OF_OTHER_WORK = "its offer is for another operation"
    OFFER_NOT_OWNERS = "its offer is not one of this owner's for that operation"
    MACHINE_NOT_OFFERED = "machine {machine:d} is not the offer's, {offered:d}"
    OWNER_NOT_OFFERED = "owner {owner:d} is not the offer's, {offered:d}"
    REWORKED_ELSEWHERE = "is reworked by {owner:d}, and {holder:d} has the part"
    # Window
    SLOT_NOT_OFFERED = "no window of the offer has slot {slot:d}"
    LENGTH_NOT_OFFERED = "takes {slots:d} slots instead of {offered:d}"
    FIGURE_NOT_OFFERED = "its {field} is {stated:d}, and the offer's {offered:d}"
    OTHERWISE_OFFERED = "is not as it was offered"
    # Slots, sequence
    ENDS_AFTER_CALL = "ends in slot {slot:d}, and the call has {slots:d}"
    BEFORE_RELEASE = "starts in slot {slot:d}, before the order's {first:d}"
    BEFORE_PLAN = "starts in slot {slot:d}, before the plan's first, {first:d}"
    OUT_OF_SEQUENCE = "starts in slot {slot:d}, and the one before ends in {end:d}"
    # Transport
    LEG_TO_NOWHERE = "has a leg after it that leads nowhere"
    LEG_UNNEEDED = "has a leg after it, and stays where it is"
    NO_WAY = "nothing leads from {origin:d} to {destination:d}"
    LEG_MISSING = "lacks a leg from {origin:d} to {destination:d}"
    LEG_OTHERWISE = "the leg after it differs from the objective in its ends, carrier or cost"
    LEG_LENGTH = "the leg takes {slots:d} slots instead of {wanted:d}"
    LEG_EARLY = "the leg starts in slot {slot:d}, before its end in {end:d}"
    LEG_LATE = "the leg arrives in slot {slot:d}, and the next starts in {start:d}"
    # Overlap, setup
    ROWS_OVERLAP = "overlaps the row of machine {machine:d} that ends in slot {end:d}"
    SETUP_SHORT = "leaves {slots:d} slots for a setup of {setup:d}"
    # Sums
    SUM_OF_PARTS = (
        "the cost is {cost:d} (price {price:d}, transport {transport:d}, tardiness {tardiness:d}, carbon {carbon:d}, "
        "spent {spent:d}), and the plan says {stated:d}"
    )
    SUM_BEYOND = "the cost or a part of it is beyond {most:d}"
    # Before
    FIXED_ROWLESS = "is fixed, and has no row"
    FIXED_OTHERWISE = "is fixed, and differs from the plan before"
    REWORKED_UNSHOWN = "is reworked, and the plan before, which has that row, is not in the file"
    BEFORE_NOT_NAMED = "the plan before is not the one that it names"
    BEFORE_OF_OTHER_CALL = "the plan before is for another call"
    DROPS_UNKNOWN = "it drops an offer that the plan before did not have"
    LEG_NOT_BEFORE = "the leg after it starts in slot {slot:d}, before {first:d}, and the plan before has none such"
    CAUSE_TAKES_NONE = "an offer is dropped, and the cause {kind:s} takes none"
    CAUSE_TAKES_ONE = "offers of machines {machine:d} and {other:d} are dropped by one cause {kind:s}"
    CAUSE_TAKES_OTHER = "is not the operation that was declined, and its offer is dropped"
    REWORK_FORGOTTEN = "was reworked by the plan before, and is not by this one"
    REWORKED_TWICE = "is reworked twice, and the plan before has it once"
    CAUSE_REWORKS_NONE = "is reworked, and the cause {kind:s} asks for none"
    REWORKED_OTHERWISE = "is reworked, and the plan before has it otherwise"
    REWORKED_FIXED = "is reworked, and stays fixed"
    # Ties, bound
    OTHER_TIE = "the tie hash is not that of the first block since the call closed, {block:s}"
    OTHER_COMES_FIRST = "the equal offer {offer:s} comes first"
    PRICED_WITHOUT_OFFER = "machine {machine:d} has slot prices and no offer"
    PRICED_BEYOND_CALL = "slot {slot:d} of machine {machine:d} has a price, and the call has no such slot"
    OTHER_BOUND = "the slot prices prove {proved:d}, and the plan says {stated:d}"
    UNSOLD_BEYOND_GAP = "unused slots with prices add up to {unsold:d}, more than the gap of {gap:d}"
