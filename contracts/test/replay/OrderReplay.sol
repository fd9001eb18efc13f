// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAssignments} from "../../src/interfaces/IAssignments.sol";
import {IEvidence} from "../../src/interfaces/IEvidence.sol";
import {IOrders} from "../../src/interfaces/IOrders.sol";
import {IRegistry} from "../../src/interfaces/IRegistry.sol";
import {IRevisions} from "../../src/interfaces/IRevisions.sol";
import {ITraceLedger} from "../../src/interfaces/ITraceLedger.sol";
import {Roles} from "../../src/libraries/Roles.sol";
import {GateReplay} from "./GateReplay.sol";

/// @notice Orders, assignments and streams as their logs tell them.
abstract contract OrderReplay is GateReplay {
    /// @dev What was proposed last for an order, and who agreed to it so far.
    struct Open {
        bytes32 kind;
        uint40 sequence;
        bytes32 content;
        uint40 proposedAt;
        bool byBuyer;
        bool byCoordinator;
        bool bySuccessor;
    }

    /// @dev Where an assignment is.
    struct Place {
        bytes32 order;
        uint16 operation;
    }

    /// @dev Of an order, counted as its records come.
    struct Tally {
        /// Assignments that are proposed, accepted or started.
        uint256 live;
        /// Operations that were finished at least once.
        uint256 finished;
    }

    uint16 private constant MOST_OPERATIONS = 64;
    uint40 private constant END_DELAY = 14 days;
    bytes32 private constant COORDINATOR_REPLACED = "coordinator replaced";
    bytes32 private constant GONE_COORDINATOR_REPLACED = "gone coordinator replaced";
    bytes32 private constant INSPECTOR_REPLACED = "inspector replaced in production";
    bytes32 private constant BACK_INTO_PRODUCTION = "back into production";
    bytes32 private constant ENDED_ALONE = "ended alone";
    bytes32 private constant DELIVERED_IN_FULL = "quantity delivered";

    ITraceLedger internal immutable _ledger;

    mapping(bytes32 order => IOrders.Order) internal _orders;
    mapping(uint40 sequence => bytes32 order) internal _orderAt;
    mapping(bytes32 order => Open) private _openOf;
    mapping(bytes32 order => mapping(uint16 operation => IAssignments.Assignment)) internal _assignments;
    mapping(uint40 sequence => Place) internal _assignmentAt;
    mapping(bytes32 order => Tally) private _tallies;
    mapping(bytes32 stream => IEvidence.Stream) internal _streams;

    constructor(ITraceLedger ledger_) {
        _ledger = ledger_;
    }

    function _act(Entry memory entry, uint32 expected, uint16 needed) internal {
        bool may = entry.participant == expected && _mayAct(entry.participant, entry.key, needed);
        _hold(Property.Authority, may, string.concat("no authority for record ", vm.toString(entry.sequence)));
    }

    function _applyOrder(Entry memory entry) internal returns (bool) {
        IOrders.Order storage order = _orders[entry.subject];
        IOrders.OrderState from = order.state;
        bytes32 kind = entry.kind;
        if (kind == IOrders.OrderPlaced.selector) {
            _place(entry, order);
        } else if (kind == IOrders.OrderAccepted.selector) {
            _act(entry, order.coordinator, Roles.COORDINATOR);
            order.state = IOrders.OrderState.Accepted;
        } else if (kind == IOrders.OrderCancelled.selector) {
            _actAsParty(entry, order);
            order.state = IOrders.OrderState.Cancelled;
        } else if (kind == IOrders.OrderCompleted.selector) {
            _act(entry, order.coordinator, Roles.COORDINATOR);
            _hold(Property.OrderMoves, _isDone(entry.subject), "completeOrder: unfinished");
            order.state = IOrders.OrderState.Completed;
        } else if (kind == IOrders.OrderDelivered.selector) {
            _act(entry, order.buyer, Roles.BUYER);
            (,, uint256 lots, uint256 quantity) = abi.decode(entry.data, (address, bytes32[], uint256, uint256));
            _hold(Property.OrderMoves, quantity >= order.quantity, "confirmDelivery: less than agreed");
            (uint256 mostLots, uint256 most) = _deliverable(entry.subject);
            _hold(Property.OrderMoves, lots <= mostLots && quantity <= most, "confirmDelivery: more than is there");
            if (order.quantity != 0) ++count[DELIVERED_IN_FULL];
            order.state = IOrders.OrderState.Delivered;
        } else if (kind == IRevisions.OrderEnded.selector) {
            _end(entry, order);
        } else {
            return _applyProposal(entry, order);
        }
        _hold(Property.OrderMoves, _isOrderEdge(from, order.state), "order: move not allowed");
        return true;
    }

    /// @dev How many of an order's lots are free with its buyer, and what they hold in the order's unit.
    function _deliverable(bytes32 subject) internal view virtual returns (uint256 lots, uint256 quantity);

    /// @dev A proposal, or an agreement to a revision.
    function _applyProposal(Entry memory entry, IOrders.Order storage order) private returns (bool) {
        Open storage open = _openOf[entry.subject];
        if (entry.kind == IRevisions.RevisionAccepted.selector) {
            _agree(entry, order, open);
            return true;
        }
        if (entry.kind != IRevisions.RevisionProposed.selector && entry.kind != IRevisions.EndProposed.selector) {
            return false;
        }
        delete _openOf[entry.subject];
        (open.kind, open.sequence, open.proposedAt) = (entry.kind, entry.sequence, uint40(block.timestamp));
        uint32 successor;
        if (entry.kind == IRevisions.RevisionProposed.selector) {
            (,, IOrders.OrderTerms memory terms) = abi.decode(entry.data, (address, bytes32[], IOrders.OrderTerms));
            _requireRevision(entry.subject, order, terms);
            bool fit = _rolesOf(terms.coordinator) & Roles.COORDINATOR != 0;
            _hold(Property.Terms, fit, "proposeRevision: no coordinator");
            (open.content, successor) = (keccak256(abi.encode(terms)), terms.coordinator);
        } else {
            _requireMade(order);
        }
        _consent(entry, order, open, successor);
        _hold(Property.Authority, open.byBuyer || open.byCoordinator, "proposal: by neither side");
        return true;
    }

    function _agree(Entry memory entry, IOrders.Order storage order, Open storage open) private {
        (,, uint40 proposal, uint32 awaited, IOrders.OrderTerms memory terms) =
            abi.decode(entry.data, (address, bytes32[], uint40, uint32, IOrders.OrderTerms));
        bool same = open.kind == IRevisions.RevisionProposed.selector && open.sequence == proposal
            && open.content == keccak256(abi.encode(terms));
        _hold(Property.Revisions, same, "acceptRevision: not what was proposed last");
        _requireRevision(entry.subject, order, terms);
        uint32 before = order.coordinator;
        bool gone = _rolesOf(before) & Roles.COORDINATOR == 0;
        _consent(entry, order, open, terms.coordinator);
        bool all = open.byBuyer && open.bySuccessor && (open.byCoordinator || gone);
        _hold(Property.Revisions, all == (awaited == 0), "acceptRevision: in force without all, or not with all");
        if (!all) return;
        if (terms.coordinator != before) {
            ++count[open.byCoordinator ? COORDINATOR_REPLACED : GONE_COORDINATOR_REPLACED];
        }
        bool made = order.state == IOrders.OrderState.InProduction || order.state == IOrders.OrderState.Completed;
        if (made && !_hasInspectors(entry.subject, _gatesIn(terms.gates))) ++count[INSPECTOR_REPLACED];
        bool more = terms.operations > order.operations;
        if (more && order.state == IOrders.OrderState.Completed) order.state = IOrders.OrderState.InProduction;
        _setTerms(entry.subject, order, terms);
        delete _openOf[entry.subject];
    }

    function _end(Entry memory entry, IOrders.Order storage order) private {
        (,, uint40 proposal,) = abi.decode(entry.data, (address, bytes32[], uint40, bytes32));
        Open storage open = _openOf[entry.subject];
        if (proposal == 0) {
            _abandon(entry, order);
            return;
        }
        bool same = open.kind == IRevisions.EndProposed.selector && open.sequence == proposal;
        _hold(Property.Revisions, same, "endOrder: not what was proposed last");
        _consent(entry, order, open, 0);
        if (!open.byBuyer || !open.byCoordinator) {
            bool gone = open.byBuyer
                ? _rolesOf(order.coordinator) & Roles.COORDINATOR == 0
                : open.byCoordinator && _rolesOf(order.buyer) & Roles.BUYER == 0;
            bool late = block.timestamp >= open.proposedAt + END_DELAY;
            _hold(Property.Revisions, gone && late, "endOrder: alone, but the other side may act, or might come back");
            ++count[ENDED_ALONE];
        }
        order.state = IOrders.OrderState.Ended;
        delete _openOf[entry.subject];
    }

    /// @dev Nobody is left who could end it, but whom the council entrusted with what the buyer has.
    function _abandon(Entry memory entry, IOrders.Order storage order) private {
        bool coordinated = _rolesOf(order.coordinator) & Roles.COORDINATOR != 0;
        (uint40 since, uint32 trustee) = _absenceOf(order.buyer);
        bool late = since != 0 && block.timestamp >= since + END_DELAY;
        _hold(Property.Revisions, !coordinated && late, "endOrder: abandoned, but a side is there");
        _hold(Property.Authority, trustee == entry.participant, "endOrder: by a stranger");
        order.state = IOrders.OrderState.Ended;
        delete _openOf[entry.subject];
    }

    /// @dev Each part by the role of its own, and at least one of them.
    function _consent(Entry memory entry, IOrders.Order storage order, Open storage open, uint32 successor) private {
        bool asBuyer = entry.participant == order.buyer && _mayAct(entry.participant, entry.key, Roles.BUYER);
        bool coordinates = _mayAct(entry.participant, entry.key, Roles.COORDINATOR);
        bool asCoordinator = coordinates && entry.participant == order.coordinator;
        bool asSuccessor = coordinates && entry.participant == successor;
        _hold(Property.Authority, asBuyer || asCoordinator || asSuccessor, "order: by none of its parties");
        if (asBuyer) open.byBuyer = true;
        if (asCoordinator) open.byCoordinator = true;
        if (asSuccessor) open.bySuccessor = true;
    }

    /// @dev What is asked of a revision when it is proposed and again when it is agreed to.
    function _requireRevision(bytes32 subject, IOrders.Order storage order, IOrders.OrderTerms memory terms) private {
        IOrders.OrderState state = order.state;
        bool made = state == IOrders.OrderState.InProduction || state == IOrders.OrderState.Completed;
        bool open = made || state == IOrders.OrderState.Placed || state == IOrders.OrderState.Accepted;
        _hold(Property.OrderMoves, open, "revision: order is over");
        _hold(Property.Revisions, terms.operations >= order.operations, "revision: operations taken away");
        _requireAmounts(terms);
        Gate[] memory gates = _gatesIn(terms.gates);
        if (!_hasGates(subject, gates)) _requireGates(terms.coordinator, gates);
        _hold(Property.Terms, !_names(gates, terms.coordinator), "terms: the coordinator inspects");
        if (!made || _hasInspectors(subject, gates)) return;
        bool fit = gates.length != 0;
        for (uint16 operation; operation < order.operations; ++operation) {
            IAssignments.Assignment storage current = _assignments[subject][operation];
            bool declined = current.state == IAssignments.AssignmentState.Declined;
            if (_names(gates, current.owner) && !_inspects(subject, current.owner) && !declined) fit = false;
        }
        _hold(Property.Revisions, fit, "revision: in production to no inspector, or to a maker");
    }

    /// @dev Whether the order's gates have the inspectors of these.
    function _hasInspectors(bytes32 subject, Gate[] memory gates) private view returns (bool same) {
        same = gates.length == _gatesAt[subject].length;
        for (uint256 i; i < gates.length; ++i) {
            same = same && _inspects(subject, gates[i].inspector);
        }
    }

    function _requireMade(IOrders.Order storage order) private {
        bool made = order.state == IOrders.OrderState.InProduction || order.state == IOrders.OrderState.Completed;
        _hold(Property.OrderMoves, made, "proposeEnd: not in production");
    }

    function _setTerms(bytes32 subject, IOrders.Order storage order, IOrders.OrderTerms memory terms) private {
        _setGates(subject, order, _gatesIn(terms.gates));
        order.coordinator = terms.coordinator;
        (order.operations, order.quantity, order.unit) = (uint8(terms.operations), terms.quantity, terms.unit);
    }

    function _applyAssignment(Entry memory entry) internal returns (bool) {
        bytes32 kind = entry.kind;
        if (kind == IAssignments.AssignmentProposed.selector) return _propose(entry);
        IAssignments.AssignmentState to = _target(kind);
        if (to == IAssignments.AssignmentState.None) return false;
        (,, uint16 operation, uint40 number) = abi.decode(entry.data, (address, bytes32[], uint16, uint40));
        IOrders.Order storage order = _orders[entry.subject];
        IAssignments.Assignment storage current = _assignments[entry.subject][operation];
        IAssignments.AssignmentState from = current.state;
        _hold(Property.AssignmentMoves, current.sequence == number, "assignment: not the current one");
        if (to == IAssignments.AssignmentState.Cancelled) _cancel(entry, order);
        else _act(entry, current.owner, Roles.MANUFACTURER);
        _hold(Property.AssignmentMoves, _isAssignmentEdge(from, to), "assignment: move not allowed");
        current.state = to;
        if (!_isLive(to)) --_tallies[entry.subject].live;
        if (to == IAssignments.AssignmentState.Accepted) _accept(order, current);
        if (to == IAssignments.AssignmentState.Started) _start(entry, order, current);
        if (to == IAssignments.AssignmentState.Finished) _finish(entry, current);
        _touched.push(Touched(Part.Assignment, entry.subject, operation));
        return true;
    }

    function _applyStream(Entry memory entry) internal returns (bool) {
        IEvidence.Stream storage stream = _streams[entry.subject];
        if (entry.kind == IEvidence.StreamOpened.selector) {
            (,, uint40 machine,) = abi.decode(entry.data, (address, bytes32[], uint40, bytes32));
            _hold(Property.Anchors, stream.sequence == 0, "openStream: exists");
            uint32 owner = machine == 0 ? entry.participant : _machines[machine].owner;
            _streams[entry.subject] = IEvidence.Stream(entry.sequence, machine, owner, 0, sha256(""));
        } else if (entry.kind == IEvidence.StreamAnchored.selector) {
            uint40 before = stream.size;
            (,, stream.size, stream.root) = abi.decode(entry.data, (address, bytes32[], uint40, bytes32));
            _hold(Property.Anchors, stream.size > before && stream.root != 0, "anchor: did not grow");
        } else {
            return false;
        }
        uint16 unequipped = Roles.COORDINATOR | Roles.AUDITOR;
        _act(entry, stream.owner, stream.machine == 0 ? unequipped : Roles.MANUFACTURER | Roles.INSPECTOR);
        _touch(Part.Stream, entry.subject);
        return true;
    }

    function _compareOrder(bytes32 subject) internal {
        IOrders.Order storage order = _orders[subject];
        Tally memory stored;
        order.open = 0;
        for (uint16 operation; operation < order.operations; ++operation) {
            IAssignments.Assignment memory current = _ledger.assignmentOf(subject, operation);
            if (_isLive(current.state)) ++stored.live;
            if (current.finishedOnce) ++stored.finished;
            if (_isLive(current.state) || !current.finishedOnce) ++order.open;
        }
        bool same = _same(abi.encode(_ledger.orderOf(subject)), abi.encode(order));
        same = same && _ledger.gatesOf(subject) == _wordOf(subject);
        _hold(Property.Rebuilt, same, "order differs from its logs");
        _compareProposal(subject);
        Tally storage counted = _tallies[subject];
        same = stored.live == counted.live && stored.finished == counted.finished;
        _hold(Property.OneLive, same, "order: its assignments are not as many as its logs say");
        same = _ledger.assignmentOf(subject, order.operations).sequence == 0;
        _hold(Property.OneLive, same, "order: an assignment of no operation");
        bool complete = order.state == IOrders.OrderState.Completed || order.state == IOrders.OrderState.Delivered;
        bool done = stored.live == 0 && stored.finished == order.operations;
        _hold(Property.OrderMoves, done || !complete, "order: complete with unfinished operations");
    }

    function _compareProposal(bytes32 subject) private {
        Open storage open = _openOf[subject];
        IRevisions.Proposal memory expected;
        if (open.sequence != 0) {
            expected.digest = bytes26(keccak256(abi.encode(open.kind, open.sequence, open.content)));
            expected.proposedAt = open.proposedAt;
            expected.consents = (open.byBuyer ? 1 : 0) + (open.byCoordinator ? 2 : 0) + (open.bySuccessor ? 4 : 0);
        }
        bool same = _same(abi.encode(_ledger.proposalOf(subject)), abi.encode(expected));
        _hold(Property.Rebuilt, same, "proposal differs from its logs");
    }

    function _compareAssignment(bytes32 order, uint16 operation) internal {
        bytes memory stored = abi.encode(_ledger.assignmentOf(order, operation));
        bool same = _same(stored, abi.encode(_assignments[order][operation]));
        _hold(Property.Rebuilt, same, "assignment differs from its logs");
    }

    function _compareStream(bytes32 subject) internal {
        bool same = _same(abi.encode(_ledger.streamOf(subject)), abi.encode(_streams[subject]));
        _hold(Property.Rebuilt, same, "stream differs from its logs");
    }

    function _place(Entry memory entry, IOrders.Order storage order) private {
        (,, IOrders.OrderTerms memory terms) = abi.decode(entry.data, (address, bytes32[], IOrders.OrderTerms));
        _act(entry, entry.participant, Roles.BUYER);
        _hold(Property.Terms, _successor == address(0), "placeOrder: closed");
        _requireAmounts(terms);
        _requireGates(terms.coordinator, _gatesIn(terms.gates));
        (order.sequence, order.buyer) = (entry.sequence, entry.participant);
        _setTerms(entry.subject, order, terms);
        order.state = IOrders.OrderState.Placed;
        _orderAt[entry.sequence] = entry.subject;
    }

    function _propose(Entry memory entry) private returns (bool) {
        (,, uint16 operation, uint40 machine, uint32 owner,) =
            abi.decode(entry.data, (address, bytes32[], uint16, uint40, uint32, bytes32));
        IOrders.Order storage order = _orders[entry.subject];
        IAssignments.Assignment storage current = _assignments[entry.subject][operation];
        _act(entry, order.coordinator, Roles.COORDINATOR);
        _hold(Property.OneLive, !_isLive(current.state), "proposeAssignment: another one is live");
        if (order.state == IOrders.OrderState.Completed) {
            order.state = IOrders.OrderState.InProduction;
            ++count[BACK_INTO_PRODUCTION];
        }
        _requireOpen(order);
        _hold(Property.AssignmentMoves, operation < order.operations, "proposeAssignment: no such operation");
        IRegistry.Machine storage entryOf = _machines[machine];
        _hold(Property.AssignmentMoves, entryOf.owner == owner && entryOf.retiredAt == 0, "proposeAssignment: machine");
        bool fit = !_inspects(entry.subject, owner) && _rolesOf(owner) & Roles.MANUFACTURER != 0;
        _hold(Property.Authority, fit, "proposeAssignment: to the inspector, or to nobody who may make");
        (current.sequence, current.order) = (entry.sequence, order.sequence);
        (current.machine, current.owner) = (machine, owner);
        (current.stream, current.streamSize) = (0, 0);
        current.state = IAssignments.AssignmentState.Proposed;
        _assignmentAt[entry.sequence] = Place(entry.subject, operation);
        ++_tallies[entry.subject].live;
        _touched.push(Touched(Part.Assignment, entry.subject, operation));
        return true;
    }

    function _requireOpen(IOrders.Order storage order) private {
        bool open = order.state == IOrders.OrderState.Accepted || order.state == IOrders.OrderState.InProduction;
        _hold(Property.AssignmentMoves, open, "assignment: order not open");
    }

    function _accept(IOrders.Order storage order, IAssignments.Assignment storage current) private {
        _requireOpen(order);
        bool inService = _machines[current.machine].retiredAt == 0;
        _hold(Property.AssignmentMoves, inService, "acceptAssignment: machine retired");
    }

    /// @dev The machine may have been retired since it was accepted.
    function _start(Entry memory entry, IOrders.Order storage order, IAssignments.Assignment storage current) private {
        _requireOpen(order);
        (,,,, bytes32 stream, uint40 size,) =
            abi.decode(entry.data, (address, bytes32[], uint16, uint40, bytes32, uint40, bytes32));
        IEvidence.Stream storage measuring = _streams[stream];
        bool own = measuring.machine == current.machine && size == measuring.size;
        _hold(Property.Anchors, own, "startAssignment: stream of another machine, or of another size");
        (current.stream, current.streamSize) = (measuring.sequence, size);
        _hold(Property.Authority, !_inspects(entry.subject, current.owner), "startAssignment: the inspector makes");
        order.state = IOrders.OrderState.InProduction;
    }

    function _finish(Entry memory entry, IAssignments.Assignment storage current) private {
        (,,,, bytes32 stream, uint40 leaf,) =
            abi.decode(entry.data, (address, bytes32[], uint16, uint40, bytes32, uint40, bytes32));
        bool own = _streams[stream].sequence == current.stream && leaf < _streams[stream].size;
        _hold(Property.Anchors, own, "finishAssignment: evidence of another stream, or not anchored");
        _hold(Property.Anchors, leaf >= current.streamSize, "finishAssignment: evidence from before the start");
        if (!current.finishedOnce) ++_tallies[entry.subject].finished;
        current.finishedOnce = true;
    }

    function _requireAmounts(IOrders.OrderTerms memory terms) private {
        bool bounded = terms.operations != 0 && terms.operations <= MOST_OPERATIONS;
        _hold(Property.Terms, bounded, "terms: too few or too many operations");
        bool paired = (terms.quantity == 0) == (terms.unit == 0);
        _hold(Property.Terms, paired, "terms: a quantity without unit, or the reverse");
    }

    /// @dev By the coordinator, or by the buyer once that is gone.
    function _cancel(Entry memory entry, IOrders.Order storage order) private {
        if (entry.participant == order.coordinator && _mayAct(entry.participant, entry.key, Roles.COORDINATOR)) return;
        _act(entry, order.buyer, Roles.BUYER);
        bool gone = _rolesOf(order.coordinator) & Roles.COORDINATOR == 0;
        _hold(Property.Authority, gone, "cancelAssignment: by the buyer of a coordinator that may act");
    }

    function _actAsParty(Entry memory entry, IOrders.Order storage order) private {
        bool asBuyer = entry.participant == order.buyer && _mayAct(entry.participant, entry.key, Roles.BUYER);
        bool asCoordinator =
            entry.participant == order.coordinator && _mayAct(entry.participant, entry.key, Roles.COORDINATOR);
        _hold(Property.Authority, asBuyer || asCoordinator, "order: neither its buyer nor its coordinator");
    }

    function _isDone(bytes32 subject) private view returns (bool) {
        IOrders.Order storage order = _orders[subject];
        for (uint16 operation; operation < order.operations; ++operation) {
            IAssignments.Assignment storage current = _assignments[subject][operation];
            if (!current.finishedOnce || _isLive(current.state)) return false;
        }
        return true;
    }

    function _target(bytes32 kind) private pure returns (IAssignments.AssignmentState) {
        if (kind == IAssignments.AssignmentAccepted.selector) return IAssignments.AssignmentState.Accepted;
        if (kind == IAssignments.AssignmentDeclined.selector) return IAssignments.AssignmentState.Declined;
        if (kind == IAssignments.AssignmentStarted.selector) return IAssignments.AssignmentState.Started;
        if (kind == IAssignments.AssignmentFinished.selector) return IAssignments.AssignmentState.Finished;
        if (kind == IAssignments.AssignmentCancelled.selector) return IAssignments.AssignmentState.Cancelled;
        return IAssignments.AssignmentState.None;
    }

    function _isLive(IAssignments.AssignmentState state) private pure returns (bool) {
        return state == IAssignments.AssignmentState.Proposed || state == IAssignments.AssignmentState.Accepted
            || state == IAssignments.AssignmentState.Started;
    }

    function _isAssignmentEdge(IAssignments.AssignmentState from, IAssignments.AssignmentState to)
        private
        pure
        returns (bool)
    {
        if (to == IAssignments.AssignmentState.Cancelled) return _isLive(from);
        if (to == IAssignments.AssignmentState.Started) return from == IAssignments.AssignmentState.Accepted;
        if (to == IAssignments.AssignmentState.Finished) return from == IAssignments.AssignmentState.Started;
        return from == IAssignments.AssignmentState.Proposed;
    }

    function _isOrderEdge(IOrders.OrderState from, IOrders.OrderState to) private pure returns (bool) {
        if (to == IOrders.OrderState.Placed) return from == IOrders.OrderState.None;
        if (to == IOrders.OrderState.Completed) return from == IOrders.OrderState.InProduction;
        if (to == IOrders.OrderState.Ended) {
            if (from == IOrders.OrderState.Placed || from == IOrders.OrderState.Accepted) return true; // abandoned
            return from == IOrders.OrderState.InProduction || from == IOrders.OrderState.Completed;
        }
        if (to == IOrders.OrderState.Delivered) return from == IOrders.OrderState.Completed;
        if (to == IOrders.OrderState.Cancelled && from == IOrders.OrderState.Accepted) return true;
        return from == IOrders.OrderState.Placed;
    }
}
