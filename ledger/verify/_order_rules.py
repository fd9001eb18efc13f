"""Step 6, rules of orders, assignments and certificates: those of the contracts (contracts/src), told independently."""

from __future__ import annotations

import itertools

from millmark.ledger.events import Event, certificates, orders
from millmark.ledger.records import (
    AssignmentState,
    CertificateState,
    LotState,
    OrderState,
    OrderTerms,
    Verdict,
    optional_subject,
)
from millmark.ledger.verify._lot_rules import MAX_LOTS, quarantine
from millmark.ledger.verify._state import (
    WORTHLESS,
    Assignment,
    Certificate,
    Entry,
    Lot,
    Order,
    Proposal,
    State,
    broken,
    hold,
    inspectors_of,
    on,
    was_approved,
)

# Rules of orders and assignments (contracts/src/interfaces: IOrders.sol, IAssignments.sol).

_MAX_OPERATIONS = 64
_LIVE = (AssignmentState.PROPOSED, AssignmentState.ACCEPTED, AssignmentState.STARTED)
_OPEN = (OrderState.ACCEPTED, OrderState.IN_PRODUCTION)
_MADE = (OrderState.IN_PRODUCTION, OrderState.COMPLETED)
_REVISABLE = (OrderState.PLACED, OrderState.ACCEPTED, *_MADE)
_END_DELAY_S = 14 * 86_400
"""From the proposal of an end until one side brings it about alone."""


def _placed(entry: Entry[orders.OrderPlaced], state: State) -> None:
    (name,) = entry.histories
    hold(name not in state.orders and name not in state.lots, entry, "the order was placed before")
    terms = entry.event.terms
    _verify_terms(entry, terms)
    state.proved.participant(entry, terms.coordinator)
    _verify_gates(entry, state, terms)
    state.orders[name] = Order(name, entry.sequence, entry.participant, terms, OrderState.PLACED)


def _accepted(entry: Entry[orders.OrderAccepted], state: State) -> None:
    _move(entry, state, (OrderState.PLACED,), OrderState.ACCEPTED)
    _by(entry, _order(entry, state).coordinator)


def _cancelled(entry: Entry[orders.OrderCancelled], state: State) -> None:
    order = _order(entry, state)
    hold(entry.participant in (order.buyer, order.coordinator), entry, "not cancelled by who may")
    _move(entry, state, (OrderState.PLACED, OrderState.ACCEPTED), OrderState.CANCELLED)


def _completed(entry: Entry[orders.OrderCompleted], state: State) -> None:
    order = _order(entry, state)
    _by(entry, order.coordinator)
    for operation in range(order.terms.operations):
        current = order.current.get(operation)
        done = operation in order.finished and current is not None and current.state not in _LIVE
        hold(done, entry, f"completed with operation {operation + 1} unfinished")
    _move(entry, state, (OrderState.IN_PRODUCTION,), OrderState.COMPLETED)


def _delivered(entry: Entry[orders.OrderDelivered], state: State) -> None:
    order = _order(entry, state)
    _by(entry, order.buyer)
    # Not established: which lots these are, and that the buyer had them, since a bundle lacks the order's other lots.
    hold(entry.event.quantity >= order.terms.quantity, entry, "less was delivered than agreed")
    _move(entry, state, (OrderState.COMPLETED,), OrderState.DELIVERED)


def _revision_proposed(entry: Entry[orders.RevisionProposed], state: State) -> None:
    order = _order(entry, state)
    terms = entry.event.terms
    hold(entry.participant in (order.buyer, order.coordinator), entry, "revised by neither side")
    _verify_revision(entry, state, order, terms)
    state.proved.participant(entry, terms.coordinator)
    order.proposal = Proposal(entry.sequence, terms, entry.time, {entry.participant})


def _revision_accepted(entry: Entry[orders.RevisionAccepted], state: State) -> None:
    order = _order(entry, state)
    terms, awaited = entry.event.terms, entry.event.awaited
    parties = {order.buyer, order.coordinator, terms.coordinator}
    hold(entry.participant in parties, entry, "revised by none of the parties")
    _verify_revision(entry, state, order, terms)
    proposal = order.proposal
    if proposal is None or (proposal.sequence, proposal.terms) != (entry.event.proposal, terms):
        raise broken(entry, "the revision is not what was proposed last")
    agreed_before = entry.participant in proposal.agreed
    proposal.agreed.add(entry.participant)
    missing = parties - proposal.agreed
    if awaited:
        hold(not agreed_before, entry, "the same participant agrees again")
        hold(awaited in missing, entry, f"participant {awaited} is not missing")
        return
    # Not established: that a coordinator that did not agree to its successor could not coordinate at that time.
    hold(missing <= {order.coordinator} - {terms.coordinator}, entry, "the revision is in force without an agreement")
    if terms.operations > order.terms.operations and order.state is OrderState.COMPLETED:
        order.state = OrderState.IN_PRODUCTION
    order.terms, order.proposal = terms, None


def _end_proposed(entry: Entry[orders.EndProposed], state: State) -> None:
    order = _order(entry, state)
    hold(entry.participant in (order.buyer, order.coordinator), entry, "an end is proposed by neither side")
    hold(order.state in _MADE, entry, f"an end is proposed while {order.state.name.lower()}")
    order.proposal = Proposal(entry.sequence, None, entry.time, {entry.participant})


def _ended(entry: Entry[orders.OrderEnded], state: State) -> None:
    order = _order(entry, state)
    if entry.event.proposal == 0:
        # Not established: that both sides were gone, and that the council entrusted who ended it.
        _move(entry, state, _REVISABLE, OrderState.ENDED)
        order.proposal = None
        return
    hold(entry.participant in (order.buyer, order.coordinator), entry, "ended by neither side")
    proposal = order.proposal
    if proposal is None or (proposal.sequence, proposal.terms) != (entry.event.proposal, None):
        raise broken(entry, "the end is not what was proposed last")
    # Not established: that the other side, which did not agree, could not act at that time.
    both = {order.buyer, order.coordinator} <= proposal.agreed | {entry.participant}
    hold(both or entry.time >= proposal.proposed_at + _END_DELAY_S, entry, "ended by one side too early")
    order.proposal = None
    _move(entry, state, _MADE, OrderState.ENDED)


def _verify_revision(entry: Entry[Event], state: State, order: Order, terms: OrderTerms) -> None:
    hold(order.state in _REVISABLE, entry, f"revised while {order.state.name.lower()}")
    hold(terms.operations >= order.terms.operations, entry, "the revision takes operations away")
    _verify_terms(entry, terms)
    before = order.terms
    if terms.gates != before.gates:
        _verify_gates(entry, state, terms)
    hold(terms.coordinator not in inspectors_of(terms), entry, "the coordinator inspects")
    if order.state not in _MADE or terms.gates == before.gates:
        return
    # What was made under a gate must not be delivered without one, and nobody inspects what it made.
    hold(bool(terms.gates), entry, "the gates are taken away during production")
    new = inspectors_of(terms) - inspectors_of(before)
    makes = any(one.owner in new and one.state is not AssignmentState.DECLINED for one in order.current.values())
    hold(not makes, entry, "a new inspector has an assignment of the order")


def _verify_terms(entry: Entry[Event], terms: OrderTerms) -> None:
    hold(0 < terms.operations <= _MAX_OPERATIONS, entry, "an order has 1 to 64 operations")
    hold(bool(terms.quantity) == any(terms.unit), entry, "a quantity without a unit, or a unit without a quantity")


def _verify_gates(entry: Entry[Event], state: State, terms: OrderTerms) -> None:
    numbers = [gate.inspector for gate in terms.gates]
    hold(numbers == sorted(set(numbers)), entry, "the gates do not ascend by inspector")
    for gate in terms.gates:
        hold(gate.inspector not in (0, terms.coordinator), entry, "a gate names no inspector, or the coordinator")
        state.proved.participant(entry, gate.inspector)
        if gate.model:
            model = state.proved.model(entry, gate.model)
            hold(was_approved(model, entry.time), entry, "the gate's model was not approved")


def _order(entry: Entry[Event], state: State) -> Order:
    (name,) = entry.histories
    return state.order(entry, name)


def _by(entry: Entry[Event], expected: int) -> None:
    hold(entry.participant == expected, entry, f"by participant {entry.participant}, not {expected}")


def _move(entry: Entry[Event], state: State, sources: tuple[OrderState, ...], target: OrderState) -> None:
    order = _order(entry, state)
    hold(order.state in sources, entry, f"{target.name.lower()} while {order.state.name.lower()}")
    order.state = target


# Assignments


def _proposed(entry: Entry[orders.AssignmentProposed], state: State) -> None:
    order = _order(entry, state)
    event = entry.event
    operation, machine, owner = event.operation, event.machine, event.owner
    _by(entry, order.coordinator)
    if order.state is OrderState.COMPLETED:
        order.state = OrderState.IN_PRODUCTION
    _verify_open(entry, order)
    hold(operation < order.terms.operations, entry, f"the order has no operation {operation + 1}")
    current = order.current.get(operation)
    hold(current is None or current.state not in _LIVE, entry, f"operation {operation + 1} has a live assignment")
    known = state.proved.machine(entry, machine)
    hold(known.owner == owner, entry, f"machine {machine} is not of participant {owner}")
    hold(_in_service(known.retired_at, entry.time), entry, f"machine {machine} was retired")
    hold(owner not in inspectors_of(order.terms), entry, "an inspector of the order makes it")
    state.proved.participant(entry, owner)
    made = Assignment(entry.sequence, operation, machine, owner, AssignmentState.PROPOSED)
    order.current[operation] = order.assignments[entry.sequence] = made


def _assignment_accepted(entry: Entry[orders.AssignmentAccepted], state: State) -> None:
    current = _step(entry, state, (AssignmentState.PROPOSED,), AssignmentState.ACCEPTED)
    _verify_open(entry, _order(entry, state))
    retired_at = state.proved.machine(entry, current.machine).retired_at
    hold(_in_service(retired_at, entry.time), entry, f"machine {current.machine} was retired")


def _assignment_declined(entry: Entry[orders.AssignmentDeclined], state: State) -> None:
    _step(entry, state, (AssignmentState.PROPOSED,), AssignmentState.DECLINED)


def _started(entry: Entry[orders.AssignmentStarted], state: State) -> None:
    current = _step(entry, state, (AssignmentState.ACCEPTED,), AssignmentState.STARTED)
    order = _order(entry, state)
    _verify_open(entry, order)
    # Again, as a revision may have named another inspector since the proposal.
    hold(entry.participant not in inspectors_of(order.terms), entry, "an inspector of the order makes it")
    stream = state.proved.stream(entry, entry.event.stream)
    hold(stream.machine == current.machine, entry, "the stream is of another machine")
    hold(entry.event.stream_size <= stream.size, entry, "the stream is shorter than it was at the start")
    current.stream, current.stream_size = entry.event.stream, entry.event.stream_size
    order.state = OrderState.IN_PRODUCTION


def _finished(entry: Entry[orders.AssignmentFinished], state: State) -> None:
    current = _step(entry, state, (AssignmentState.STARTED,), AssignmentState.FINISHED)
    stream = state.proved.stream(entry, entry.event.stream)
    hold(entry.event.stream == current.stream, entry, "the evidence is in another stream than the work was started on")
    hold(entry.event.leaf_index >= current.stream_size, entry, "the evidence is from before the start")
    hold(entry.event.leaf_index < stream.size, entry, "the evidence was never anchored")
    _order(entry, state).finished.add(current.operation)


def _assignment_cancelled(entry: Entry[orders.AssignmentCancelled], state: State) -> None:
    _step(entry, state, _LIVE, AssignmentState.CANCELLED)


def _step(
    entry: Entry[orders.AssignmentStep], state: State, sources: tuple[AssignmentState, ...], target: AssignmentState
) -> Assignment:
    order = _order(entry, state)
    operation, number = entry.event.operation, entry.event.assignment
    current = order.current.get(operation)
    if current is None or current.sequence != number:
        raise broken(entry, f"assignment {number} is not the current one of operation {operation + 1}")
    if target is AssignmentState.CANCELLED:
        # Not established: that the coordinator of an assignment that the buyer cancelled could not act at that time.
        may = entry.participant in (order.coordinator, order.buyer)
        hold(may, entry, f"cancelled by participant {entry.participant}, neither coordinator nor buyer")
    else:
        _by(entry, current.owner)
    hold(current.state in sources, entry, f"the assignment is {target.name.lower()} while {current.state.name.lower()}")
    current.state = target
    return current


def _verify_open(entry: Entry[Event], order: Order) -> None:
    hold(order.state in _OPEN, entry, f"an assignment moves while the order is {order.state.name.lower()}")


def _in_service(retired_at: int, time: int) -> bool:
    """Whether a machine was not retired before a time."""
    # Equal times: within one block, the record may have come before the retirement.
    return not retired_at or retired_at >= time


ORDER_RULES = dict(
    [
        on(orders.OrderPlaced, _placed),
        on(orders.OrderAccepted, _accepted),
        on(orders.OrderCancelled, _cancelled),
        on(orders.OrderCompleted, _completed),
        on(orders.OrderDelivered, _delivered),
        on(orders.RevisionProposed, _revision_proposed),
        on(orders.RevisionAccepted, _revision_accepted),
        on(orders.EndProposed, _end_proposed),
        on(orders.OrderEnded, _ended),
        on(orders.AssignmentProposed, _proposed),
        on(orders.AssignmentAccepted, _assignment_accepted),
        on(orders.AssignmentDeclined, _assignment_declined),
        on(orders.AssignmentStarted, _started),
        on(orders.AssignmentFinished, _finished),
        on(orders.AssignmentCancelled, _assignment_cancelled),
    ]
)


# Rules of certificates (contracts/src/interfaces/ICertificates.sol).

_OPENING_PERIOD_S = 7 * 86_400
_MAY_OPEN = (CertificateState.ISSUED, CertificateState.DEMANDED, CertificateState.REVOKED)


def _issued(entry: Entry[certificates.CertificateIssued], state: State) -> None:
    statement = entry.event.statement
    named = tuple(item.lot for item in statement.items)
    hold(entry.histories == named, entry, "the statement is about other lots")
    most = MAX_LOTS if statement.model == 0 else 1
    hold(len(named) <= most, entry, f"a certificate on {len(named)} lots")
    hold(all(one < two for one, two in itertools.pairwise(named)), entry, "its lots do not ascend")
    _verify_statement(entry, state)
    shown = [item for item in statement.items if item.lot in state.shown]
    certificate = Certificate(
        sequence=entry.sequence,
        lot=shown[0].lot,
        lots=named,
        model=statement.model,
        issuer=entry.participant,
        verdict=statement.verdict,
        issued_at=entry.time,
        expires_at=statement.expires_at,
        statement=statement,
        anchor_size=entry.event.anchor_size,
        anchor_root=entry.event.anchor_root,
    )
    state.certificates[entry.sequence] = certificate
    for item in shown:
        lot = state.lot(entry, item.lot)
        hold(optional_subject(item.order) == lot.order, entry, "the statement names another order", lot.subject)
        _certify(lot, certificate)
        if state.inspects(certificate.issuer, lot):
            _follow(lot, certificate.verdict, certificate.issuer, certificate)


def _verify_statement(entry: Entry[certificates.CertificateIssued], state: State) -> None:
    statement = entry.event.statement
    hold(statement.verdict in (Verdict.PASS, Verdict.FAIL), entry, "the certificate has no verdict")
    hold(statement.expires_at > entry.time, entry, "the certificate expired before it was issued")
    hold(any(statement.inference_digest), entry, "the certificate has no inference digest")
    if statement.model:
        model = state.proved.model(entry, statement.model)
        hold(was_approved(model, entry.time), entry, f"model {statement.model} was not approved")
    stream = state.proved.stream(entry, statement.stream)
    size, root = entry.event.anchor_size, entry.event.anchor_root
    hold(statement.leaf_index < size <= stream.size, entry, "the evidence was not anchored")
    # Of an earlier anchor, only the size can be judged here; step 9 compares its root, where the evidence is shown.
    hold(size < stream.size or root == stream.root, entry, "the anchor has another root")


def _certify(lot: Lot, certificate: Certificate) -> None:
    # As Certificates._certify in contracts/src/history.
    standing = lot.standing(certificate.issuer)
    if standing.latest is not None and standing.latest.sequence < lot.reworked:
        standing.open = 0
    elif standing.latest is not None and lot.subject not in standing.latest.lots and standing.latest.is_open():
        standing.count(1)
    standing.latest = certificate
    lot.certificates.append(certificate)


def _follow(lot: Lot, verdict: Verdict, inspector: int, certificate: Certificate | None) -> None:
    """Move a lot as a verdict of a gate's inspector does. `certificate` is the one behind a quarantine."""
    if lot.state is LotState.SPENT:
        return
    if verdict is Verdict.FAIL:
        quarantine(lot, inspector, certificate)
    elif lot.state.is_quarantined and lot.counterparty == inspector:
        lot.state, lot.counterparty = LotState.HELD, 0


def _revoked(entry: Entry[certificates.CertificateRevoked], state: State) -> None:
    certificate = _named(entry, state)
    hold(entry.histories == certificate.lots, entry, "its histories are not the certificate's lots")
    hold(certificate.issuer == entry.participant, entry, "revoked by another participant than its issuer")
    hold(certificate.state not in WORTHLESS, entry, f"revoked when it was {certificate.state.name.lower()}")
    certificate.state = CertificateState.REVOKED


def _upheld(entry: Entry[certificates.CertificateUpheld], state: State) -> None:
    certificate = _openable(entry, state)
    hold(certificate.state is not CertificateState.REVOKED, entry, "upheld when it was revoked")
    hold(not certificate.has_lapsed(entry.time), entry, "upheld past its deadline")
    published = any(state.proved.model(entry, certificate.model).code)
    hold(entry.event.executed is published, entry, "a published model is executed, and no other")
    if certificate.state is CertificateState.DEMANDED:
        _count(state.lot(entry, certificate.lot), certificate, -1)
    certificate.state = CertificateState.UPHELD
    certificate.executed = certificate.verdict if published else Verdict.NONE


def _refuted(entry: Entry[certificates.CertificateRefuted], state: State) -> None:
    certificate = _openable(entry, state)
    executed = entry.event.executed
    hold(executed in tuple(Verdict), entry, f"{executed} is not a verdict")
    published = any(state.proved.model(entry, certificate.model).code)
    hold(published or executed == Verdict.NONE, entry, "a model that is not published was executed")
    lot = state.lot(entry, certificate.lot)
    if not certificate.opening_deadline:
        _count(lot, certificate, 1)
    certificate.state, certificate.executed = CertificateState.REFUTED, executed
    _follow_execution(state, lot, certificate)


def _follow_execution(state: State, lot: Lot, certificate: Certificate) -> None:
    # As Challenges._refute in contracts/src/history.
    order = optional_subject(certificate.statement.items[0].order)
    gated = lot.order == order and state.inspects(certificate.issuer, lot)
    known = certificate.executed is not Verdict.NONE or certificate.verdict is Verdict.PASS
    if not gated or not known or certificate.sequence < lot.reworked:
        return
    if certificate.executed is not Verdict.PASS:
        _follow(lot, Verdict.FAIL, certificate.issuer, None)
    elif lot.standing(certificate.issuer).quarantining is certificate:
        _follow(lot, Verdict.PASS, certificate.issuer, None)


def _demanded(entry: Entry[certificates.OpeningDemanded], state: State) -> None:
    certificate = _named(entry, state)
    hold(certificate.model != 0, entry, "demanded of a procedure")
    hold(certificate.state is CertificateState.ISSUED, entry, f"demanded when {certificate.state.name.lower()}")
    deadline = entry.event.deadline
    hold(deadline == entry.time + _OPENING_PERIOD_S, entry, "the deadline is not seven days after the demand")
    certificate.state, certificate.opening_deadline = CertificateState.DEMANDED, deadline
    _count(state.lot(entry, certificate.lot), certificate, 1)


def _count(lot: Lot, certificate: Certificate, change: int) -> None:
    """Count an open certificate, unless it is about the lot as it was before it was reworked."""
    if certificate.sequence > lot.reworked:
        lot.standing(certificate.issuer).count(change)


def _openable(
    entry: Entry[certificates.CertificateUpheld | certificates.CertificateRefuted], state: State
) -> Certificate:
    certificate = _named(entry, state)
    hold(certificate.model != 0, entry, "a procedure was opened")
    hold(certificate.state in _MAY_OPEN, entry, f"opened when {certificate.state.name.lower()}")
    return certificate


def _named(
    entry: Entry[
        certificates.CertificateRevoked
        | certificates.CertificateUpheld
        | certificates.CertificateRefuted
        | certificates.OpeningDemanded
    ],
    state: State,
) -> Certificate:
    """The certificate that a record names. Raises ReplayRefused unless it is about the record's lots."""
    certificate = state.certificates.get(entry.event.certificate)
    if certificate is None or entry.histories[0] != certificate.lots[0]:
        raise broken(entry, f"the lot has no certificate {entry.event.certificate}")
    return certificate


CERTIFICATE_RULES = dict(
    [
        on(certificates.CertificateIssued, _issued),
        on(certificates.CertificateRevoked, _revoked),
        on(certificates.CertificateUpheld, _upheld),
        on(certificates.CertificateRefuted, _refuted),
        on(certificates.OpeningDemanded, _demanded),
    ]
)
