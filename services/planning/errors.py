"""What planning refuses, with the grounds that it gives, and the steps that it shows.

The errors are below the root in `millmark.ledger.errors`.

MillmarkError
  PlanningError            a call, an offer or a plan cannot be made, taken or shown
    CalendarError          the owner's calendar cannot be used
    CallRefusedError       a call cannot be made of these orders, or is not one of its sender's
    RowRefusedError        a row of a plan is not what its owner offered
    ForecastError          a forecast cannot be made, read or scored
    OmissionRefusedError   a file does not prove that an offer was left out
"""

from __future__ import annotations

from millmark.ledger import errors, phrases


class PlanningError(errors.MillmarkError):
    """A call, an offer or a plan cannot be made, taken or shown."""

    code = "planning-failed"


class CalendarError(PlanningError, errors.InputError):
    """The owner's calendar cannot be used."""

    code = "calendar-refused"


class CallRefusedError(PlanningError):
    """A call cannot be made of these orders, or is not one of its sender's."""

    code = "call-refused"


class RowRefusedError(PlanningError):
    """A row of a plan is not what its owner offered."""

    code = "row-refused"


class ForecastError(PlanningError):
    """A forecast cannot be made, read or scored."""

    code = "forecast-refused"


class OmissionRefusedError(PlanningError):
    """A file does not prove that an offer was left out."""

    code = "omission-refused"


class PlanningGround(phrases.Phrase):
    """Why planning refuses something, or nothing came of it: each ground is declared once. Its value is the
    error's cause, or a line that pages and commands show. `error` stands for another error's cause;
    `why`, `reasons` and `difference` for grounds; `words` are those of another program."""

    # Calls
    NOT_COORDINATED = "order {order:s} is not coordinated by participant {participant:d}"
    NO_DOCUMENT = "the document of order {order:s} is not here"
    NO_NEED = "operation {operation:d} of order {order:s} does not say what it needs: {error}"
    NONE_OPEN = "order {order:s} has no open operation"
    ASSIGNED = "operation {operation:d} of order {order:s} is assigned already, and an earlier one is open"
    ORDER_STATE = "order {order:s} is {state}"
    OLD_REVISION = "the call is on an old revision of order {order:s}"
    PAST = "the call would close in the past"
    NOBODY_CALLED = "a call is for at least one order, and to at least one company"
    OTHERS_CALL = "the call is one of participant {participant:d}"
    # Forms
    NO_NUMBER = "{field:s} is not a whole number from {least:d} to {most:d}"
    NO_CHOICE = "{field:s} has something that cannot be chosen any more"
    NO_TIME = "{field:s} is not a time"
    NOTHING_CHOSEN = "nothing is chosen"
    # The calendar and the objective
    NO_FILE = "{file}.toml is missing"
    FILE_NO_TEXT = "{file}.toml cannot be read: it is not text in UTF-8"
    FILE_UNREADABLE = "{file}.toml cannot be read: line {line:d}, column {column:d}: {words}"
    FILE_END_UNREADABLE = "{file}.toml cannot be read at its end: {words}"
    FILE_ENTRY = "{file}.toml, {place}: {why}"
    CLOSURE = "{file}.toml: a closure ends on {day:s}, before it begins"
    MACHINE_TWICE = "{file}.toml has a machine twice"
    TRANSPORT_TO_ITSELF = "objective.toml has a transport from participant {origin:d} to itself"
    TRANSPORT_TWICE = "objective.toml has a transport from participant {origin:d} to participant {destination:d} twice"
    MANY_SLOTS = "{slots:d} slots are more than {most:d}"
    OTHER_UNIT = "the calendar's prices are in {unit}, and the call is in {wanted}"
    MACHINE_RETIRED = "machine {machine} of the calendar is retired"
    MACHINE_NOT_OWN = "machine {machine} of the calendar is not one of this company"
    NO_MACHINES = "the calendar has none of these machines"
    CLOCK_FORWARD = "{day:s} has {hours:s} hours in {zone:s}: the clock is put forward"
    CLOCK_BACK = "{day:s} has {hours:s} hours in {zone:s}: the clock is put back"
    # Streams
    STREAMS_FOR_PLANS = "this company has {count:s} streams for plans, without a machine"
    STREAMS_OF_MACHINE = "this company has {count:s} streams of machine {machine:d}"
    KEPT_ELSEWHERE = "the entries of this stream are kept by a node, not here"
    CAPTURED = "a node captures the stream of machine {machine:d}"
    # Offers
    CALL_CLOSED = "the call closed at {time}: an offer would be late"
    OFFERS_CHANGED = "the calendar or the machine's work has changed: some of it can no longer be offered"
    OFFER_NOT_OWN = "offer {offer:s} is not one of this company"
    OFFER_STANDS = "the call has closed: the offer stands"
    NO_OFFER = "no offer for operation {operation:d} of order {order:s}: {reasons}"
    OFFERED = "{count:d} are offered already: withdraw them first to change them"
    MACHINE_UNFIT = "machine {machine:d} {why}"
    NO_MACHINE = "there is no machine"
    MACHINE_WITHDRAWN = "is withdrawn because of what happened at it: see `millmark plan causes`"
    NO_MINUTES = "has no minutes for {need} in the calendar"
    BUSY = "has no time for it"
    NOT_ANCHORED = "not anchored yet"
    # Rows of plans
    OF_NO_PLAN = "assignment {assignment:d} is of no plan"
    ROW_NOT_HERE = "the document of assignment {assignment:d} has not arrived here yet"
    ROW_MALFORMED = "the row of assignment {assignment:d} is malformed: {error}"
    OTHERS_OFFER = "assignment {assignment:d} is on an offer that this company did not make"
    CALL_UNKNOWN = "the call of assignment {assignment:d} is not known here"
    NOT_AS_OFFERED = "assignment {assignment:d} is not what was offered: {difference}"
    NO_WINDOW = "no window lets it start in slot {slot:d}"
    OTHER_RECORD = "the ledger's record names another order, operation or machine"
    IN_PLACE = "{field} {one:s} in place of {two:s}"
    OFFER_EXPIRED = "the offer of assignment {assignment:d} has expired"
    OTHER_PLAN = "assignment {assignment:d} is of a plan for another call"
    OVERLAP = "assignment {assignment:d} is at a time when machine {machine:d} has assignment {other:d}"
    UNPLANNED = "operation {operation:d} is assigned without a plan, as assignment {assignment:d}"
    NO_ASSIGNMENT = "there is no assignment {assignment:d} here"
    # Causes of new plans
    NO_CAUSE = "why the plan is replaced is not said"
    CAUSE_UNFIT = "the cause {kind:s} does not go with what is named"
    NOT_DECLINED = "assignment {assignment:d} was not declined"
    NOT_FAILING = "record {certificate:d} is not a failing certificate that stands"
    NOT_IN_PLAN = "certificate {certificate:d} is about no part of this plan, or was followed by a rework"
    NEXT_BEGUN = "certificate {certificate:d} is about operation {operation:d}, and the next one has begun"
    UNSAID = "what has happened is not said"
    IDLE = "this machine has no work that is agreed or proposed"
    # Plans
    CALL_OPEN = "the call is still open"
    NO_BLOCK = "no final block is as late as the call's closing time yet"
    MAKING = "another plan is being made"
    NO_PLAN = "no plan for this call is known here"
    PART_ALONE = "only a part of the plan is known here"
    PLAN_GONE = "this plan is no longer here"
    OVERTAKEN = "another plan was recorded meanwhile"
    STREAM_GREW = "the stream has grown meanwhile"
    NO_PLAN_KEY = "this gateway has no key that signs plans"
    LARGE = "the plan is too large to be handed over: {error}"
    MAKER_STOPPED = "the gateway that made it was stopped; make it again"
    NOT_MADE = "the plan could not be made; the gateway's log says why"
    MAKER_FAILED = "the process that makes the plan has failed"
    MAKER_SLOW = "no plan was made within {seconds:d} s"
    NO_OFFER_COUNTS = "operation {operation:d} of order {order:s} has no offer that counts"
    NO_OFFER_IN_TIME = "operation {operation:d} of order {order:s} has no offer that starts in time"
    NOT_FOUND = "no plan was found on these offers"
    UNFINISHABLE = "order {order:s} cannot be finished on these offers after what has started"
    NO_PATH = "order {order:s} has no path"
    OFFER_DROPPED = "operation {operation:d} of order {order:s} has started, and its offer was dropped"


class MakingStep(phrases.Phrase):
    """How a plan was found, a sentence for each step: pages and commands show them. `able`: accepted rows that can
    be kept by themselves; `moved`: those of them that move; `least`: as few as could be."""

    PRICES = "slot prices: {rounds:d} iterations"
    SEARCH = "local search: {rounds:d} rounds"
    SOLVER_UNUSED = "CP-SAT: not used: on so many offers, or in so little time, local search finds more"
    SOLVER_MISSING = "CP-SAT: not installed (pip install 'millmark[planning]'); the other steps did the work"
    SOLVER_BEST = "CP-SAT: the best plan possible"
    SOLVER_BETTER = "CP-SAT: a better plan"
    SOLVER_NOTHING = "CP-SAT: nothing better"
    MOVES_FEWEST = (
        "CP-SAT: of {able:d} accepted rows that can be kept by themselves {moved:d} move, the fewest possible"
    )
    MOVES = (
        "CP-SAT: of {able:d} accepted rows that can be kept by themselves {moved:d} move, "
        "no fewer than {least:d} possible"
    )
