// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAssignments} from "../src/interfaces/IAssignments.sol";
import {IEvidence} from "../src/interfaces/IEvidence.sol";
import {IHistory} from "../src/interfaces/IHistory.sol";
import {IOrders} from "../src/interfaces/IOrders.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {Gates} from "../src/libraries/Gates.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {Fixture} from "./Fixture.sol";

contract AssignmentsTest is Fixture {
    bytes32 private _order;

    function setUp() public override {
        super.setUp();
        _order = _acceptedOrder("order", _terms(2));
    }

    // ---- proposing ----

    function test_propose() public check {
        uint40 next = _expectRecord();
        emit IAssignments.AssignmentProposed(
            next, coordinator.id, _order, coordinator.key, _one(_order), 1, machine, maker.id, ROOT
        );
        assertEq(_propose(_order, 1), next);
        IAssignments.Assignment memory stored = ledger.assignmentOf(_order, 1);
        assertEq(stored.sequence, next);
        assertEq(stored.order, ledger.orderOf(_order).sequence);
        assertEq(stored.machine, machine);
        assertEq(stored.owner, maker.id);
        assertFalse(stored.finishedOnce);
        assertEq(_live(), 1);
        _assertAssignment(_order, 1, IAssignments.AssignmentState.Proposed);
        _assertAssignment(_order, 0, IAssignments.AssignmentState.None);
    }

    function test_proposeRefusals() public check {
        _refuse(maker, _roleMissing(maker, Roles.MANUFACTURER, Roles.COORDINATOR));
        ledger.proposeAssignment(_order, 0, machine, ROOT);
        _refuse(coordinator, abi.encodeWithSelector(IOrders.OrderUnknown.selector, ROOT));
        ledger.proposeAssignment(ROOT, 0, machine, ROOT);
        _refuse(coordinator, abi.encodeWithSelector(IAssignments.AssignmentOperationUnknown.selector, _order, 2, 2));
        ledger.proposeAssignment(_order, 2, machine, ROOT);
        _refuse(coordinator, abi.encodeWithSelector(IRegistry.RegistryMachineUnknown.selector, 999));
        ledger.proposeAssignment(_order, 0, 999, ROOT);
        _refuse(
            coordinator, abi.encodeWithSelector(IAssignments.AssignmentOwnerInspects.selector, _order, inspector.id)
        );
        ledger.proposeAssignment(_order, 0, gauge, ROOT);
        _setRoles(carrier, Roles.COORDINATOR);
        _refuse(carrier, abi.encodeWithSelector(IOrders.OrderPartyWrong.selector, _order, carrier.id, coordinator.id));
        ledger.proposeAssignment(_order, 0, machine, ROOT);
        _setRoles(maker, Roles.CARRIER);
        _refuse(
            coordinator,
            abi.encodeWithSelector(
                IHistory.HistoryParticipantUnfit.selector, maker.id, Roles.CARRIER, Roles.MANUFACTURER
            )
        );
        ledger.proposeAssignment(_order, 0, machine, ROOT);
    }

    function test_proposeOnlyWhileTheOrderIsOpen() public check {
        bytes32 placed = _place("other", _terms(1));
        _refuse(coordinator, _orderState(placed, IOrders.OrderState.Placed));
        ledger.proposeAssignment(placed, 0, machine, ROOT);
        _as(buyer);
        ledger.cancelOrder(_order, ROOT);
        _refuse(coordinator, _orderState(_order, IOrders.OrderState.Cancelled));
        ledger.proposeAssignment(_order, 0, machine, ROOT);
    }

    function test_oneLiveAssignmentPerOperation() public check {
        uint40 assignment = _propose(_order, 0);
        _refuseLive(assignment);
        _as(maker);
        ledger.acceptAssignment(_order, 0, assignment, ROOT);
        _refuseLive(assignment);
        _as(maker);
        ledger.startAssignment(_order, 0, assignment, stream, ROOT);
        _refuseLive(assignment);
        _finish(_order, 0);
        assertNotEq(_propose(_order, 0), assignment);
    }

    function test_retiredMachine() public check {
        uint40 assignment = _propose(_order, 0);
        _as(maker);
        registry.retireMachine(machine, ROOT);
        bytes memory reason = abi.encodeWithSelector(IRegistry.RegistryMachineRetired.selector, machine, START);
        _refuse(maker, reason);
        ledger.acceptAssignment(_order, 0, assignment, ROOT);
        _as(maker);
        ledger.declineAssignment(_order, 0, assignment, ROOT);
        _refuse(coordinator, reason);
        ledger.proposeAssignment(_order, 0, machine, ROOT);
    }

    /// @dev A machine retired after it was accepted does that one job to its end, and no other.
    function test_machineRetiredBeforeStart() public check {
        uint40 assignment = _proposeAndAccept(_order, 0);
        _as(maker);
        registry.retireMachine(machine, ROOT);
        uint40 next = _expectRecord();
        emit IAssignments.AssignmentStarted(
            next, maker.id, _order, maker.key, _one(_order), 0, assignment, stream, 10, ROOT
        );
        _as(maker);
        ledger.startAssignment(_order, 0, assignment, stream, ROOT);
        _assertAssignment(_order, 0, IAssignments.AssignmentState.Started);
        _commission(_order, "lot", 5);
        _finish(_order, 0);
        assertEq(_finished(), 1);
        _refuse(coordinator, abi.encodeWithSelector(IRegistry.RegistryMachineRetired.selector, machine, START));
        ledger.proposeAssignment(_order, 0, machine, ROOT);
    }

    // ---- accepting, declining, cancelling ----

    function test_accept() public check {
        uint40 assignment = _propose(_order, 0);
        uint40 next = _expectRecord();
        emit IAssignments.AssignmentAccepted(next, maker.id, _order, maker.key, _one(_order), 0, assignment, ROOT);
        _as(maker);
        ledger.acceptAssignment(_order, 0, assignment, ROOT);
        _assertAssignment(_order, 0, IAssignments.AssignmentState.Accepted);
        assertEq(_live(), 1);
        _refuse(maker, _stateWrong(IAssignments.AssignmentState.Accepted));
        ledger.acceptAssignment(_order, 0, assignment, ROOT);
        _refuse(maker, _stateWrong(IAssignments.AssignmentState.Accepted));
        ledger.declineAssignment(_order, 0, assignment, ROOT);
    }

    function test_decline() public check {
        uint40 assignment = _propose(_order, 0);
        uint40 next = _expectRecord();
        emit IAssignments.AssignmentDeclined(next, maker.id, _order, maker.key, _one(_order), 0, assignment, ROOT);
        _as(maker);
        ledger.declineAssignment(_order, 0, assignment, ROOT);
        _assertAssignment(_order, 0, IAssignments.AssignmentState.Declined);
        assertEq(_live(), 0);
        _refuse(coordinator, _stateWrong(IAssignments.AssignmentState.Declined));
        ledger.cancelAssignment(_order, 0, assignment, ROOT);
    }

    function test_cancelWhileLive() public check {
        uint40 assignment = _propose(_order, 0);
        uint40 next = _expectRecord();
        emit IAssignments.AssignmentCancelled(
            next, coordinator.id, _order, coordinator.key, _one(_order), 0, assignment, ROOT
        );
        _cancel(assignment);
        assertEq(_live(), 0);
        _cancel(_proposeAndAccept(_order, 0));
        _cancel(_start(_order, 0));
        assertEq(_live(), 0);
        assertEq(_finished(), 0);
        _assertOrder(_order, IOrders.OrderState.InProduction);
    }

    function test_cancelRefusals() public check {
        uint40 assignment = _propose(_order, 0);
        _refuse(maker, _roleMissing(maker, Roles.MANUFACTURER, Roles.BUYER | Roles.COORDINATOR));
        ledger.cancelAssignment(_order, 0, assignment, ROOT);
        _setRoles(carrier, Roles.COORDINATOR);
        _refuse(carrier, abi.encodeWithSelector(IOrders.OrderPartyWrong.selector, _order, carrier.id, coordinator.id));
        ledger.cancelAssignment(_order, 0, assignment, ROOT);
        _refuse(coordinator, _notCurrent(1, 0, assignment));
        ledger.cancelAssignment(_order, 1, assignment, ROOT);
        _refuse(coordinator, abi.encodeWithSelector(IOrders.OrderUnknown.selector, ROOT));
        ledger.cancelAssignment(ROOT, 0, assignment, ROOT);
    }

    /// @dev Cancelling an order leaves its assignments to be declined or cancelled, never accepted.
    function test_assignmentsOfACancelledOrder() public check {
        uint40 first = _propose(_order, 0);
        uint40 second = _proposeAndAccept(_order, 1);
        _as(coordinator);
        ledger.cancelOrder(_order, ROOT);
        _refuse(maker, _orderState(_order, IOrders.OrderState.Cancelled));
        ledger.acceptAssignment(_order, 0, first, ROOT);
        _refuse(maker, _orderState(_order, IOrders.OrderState.Cancelled));
        ledger.startAssignment(_order, 1, second, stream, ROOT);
        _as(maker);
        ledger.declineAssignment(_order, 0, first, ROOT);
        _as(coordinator);
        ledger.cancelAssignment(_order, 1, second, ROOT);
        assertEq(_live(), 0);
    }

    function test_onlyTheOwnerConsents() public check {
        uint40 assignment = _propose(_order, 0);
        bytes memory reason = abi.encodeWithSelector(IAssignments.AssignmentForeign.selector, _order, 0, maker.id);
        _refuse(maker2, reason);
        ledger.acceptAssignment(_order, 0, assignment, ROOT);
        _refuse(maker2, reason);
        ledger.declineAssignment(_order, 0, assignment, ROOT);
        _refuse(coordinator, _roleMissing(coordinator, Roles.COORDINATOR, Roles.MANUFACTURER));
        ledger.acceptAssignment(_order, 0, assignment, ROOT);
    }

    function test_notCurrent() public check {
        _refuse(maker, _notCurrent(0, 0, 0));
        ledger.acceptAssignment(_order, 0, 0, ROOT);
        uint40 first = _propose(_order, 0);
        _cancel(first);
        uint40 second = _propose(_order, 0);
        _refuse(maker, _notCurrent(0, second, first));
        ledger.acceptAssignment(_order, 0, first, ROOT);
    }

    // ---- starting, finishing ----

    function test_start() public check {
        uint40 assignment = _proposeAndAccept(_order, 0);
        uint40 next = _expectRecord();
        emit IAssignments.AssignmentStarted(
            next, maker.id, _order, maker.key, _one(_order), 0, assignment, stream, 10, ROOT
        );
        _as(maker);
        ledger.startAssignment(_order, 0, assignment, stream, ROOT);
        _assertAssignment(_order, 0, IAssignments.AssignmentState.Started);
        _assertOrder(_order, IOrders.OrderState.InProduction);
        _start(_order, 1);
        _assertOrder(_order, IOrders.OrderState.InProduction);
        assertEq(_live(), 2);
        IAssignments.Assignment memory stored = ledger.assignmentOf(_order, 0);
        assertEq(stored.stream, ledger.streamOf(stream).sequence);
        assertEq(stored.streamSize, 10);
    }

    function test_startRefusals() public check {
        uint40 assignment = _proposeAndAccept(_order, 0);
        _refuse(maker, abi.encodeWithSelector(IEvidence.EvidenceStreamUnknown.selector, ROOT));
        ledger.startAssignment(_order, 0, assignment, ROOT, ROOT);
        _refuse(
            maker, abi.encodeWithSelector(IAssignments.AssignmentStreamOfOther.selector, stream2, machine2, machine)
        );
        ledger.startAssignment(_order, 0, assignment, stream2, ROOT);
    }

    /// @dev What was measured before the work began is not about it, in whichever stream of the machine; nor does what
    /// finished one operation finish another that began after it.
    function test_M9_evidenceFromBeforeTheStart() public check {
        uint40 assignment = _start(_order, 0);
        _refuseFinish(0, assignment, stream, 9, _tooOld(9, 10));
        _finish(_order, 0);
        assignment = _start(_order, 1);
        _refuseFinish(1, assignment, stream, 10, _tooOld(10, 11));
        uint40 kept = ledger.streamOf(stream).sequence;
        bytes32 other = _openStream(maker, machine, "other stream");
        bytes memory reason = abi.encodeWithSelector(IAssignments.AssignmentStreamOther.selector, other, kept);
        _refuseFinish(1, assignment, other, 9, reason);
        _finish(_order, 1);
    }

    /// @dev The audit's K9: one old leaf finished operations of two orders.
    function test_K9_oneMeasurementFinishesNoTwoOrders() public check {
        bytes32 second = _acceptedOrder("second", _terms(1));
        _start(_order, 0);
        _finish(_order, 0);
        uint40 assignment = _start(second, 0);
        _refuse(maker, _tooOld(10, 11));
        ledger.finishAssignment(second, 0, assignment, stream, 10, LEAF);
    }

    function test_startNeedsConsent() public check {
        uint40 assignment = _propose(_order, 0);
        _refuse(maker, _stateWrong(IAssignments.AssignmentState.Proposed));
        ledger.startAssignment(_order, 0, assignment, stream, ROOT);
    }

    /// @dev A revision between consent and start may name the maker as inspector.
    function test_inspectorDoesNotStart() public check {
        _as(inspector2);
        uint40 own = registry.registerMachine(_hash("own"), ROOT);
        _as(coordinator);
        uint40 assignment = ledger.proposeAssignment(_order, 0, own, ROOT);
        _as(inspector2);
        ledger.acceptAssignment(_order, 0, assignment, ROOT);
        IOrders.OrderTerms memory terms = _terms(2);
        terms.gates = Gates.one(inspector2.id, model);
        _as(buyer);
        ledger.proposeRevision(_order, terms);
        uint40 proposal = ledger.sequence();
        _as(coordinator);
        ledger.acceptRevision(_order, terms, proposal);
        _refuse(
            inspector2, abi.encodeWithSelector(IAssignments.AssignmentOwnerInspects.selector, _order, inspector2.id)
        );
        ledger.startAssignment(_order, 0, assignment, stream, ROOT);
    }

    function test_finish() public check {
        uint40 assignment = _start(_order, 0);
        _as(maker);
        ledger.anchor(stream, 11, ROOT);
        uint40 next = _expectRecord();
        emit IAssignments.AssignmentFinished(
            next, maker.id, _order, maker.key, _one(_order), 0, assignment, stream, 10, LEAF
        );
        _as(maker);
        ledger.finishAssignment(_order, 0, assignment, stream, 10, LEAF);
        _assertAssignment(_order, 0, IAssignments.AssignmentState.Finished);
        assertTrue(ledger.assignmentOf(_order, 0).finishedOnce);
        assertEq(_finished(), 1);
        assertEq(_live(), 0);
    }

    function test_reworkedOperationCountsOnce() public check {
        _start(_order, 0);
        _finish(_order, 0);
        _start(_order, 0);
        assertTrue(ledger.assignmentOf(_order, 0).finishedOnce);
        assertEq(_live(), 1);
        _finish(_order, 0);
        assertEq(_finished(), 1);
        uint40 third = _propose(_order, 0);
        _cancel(third);
        assertTrue(ledger.assignmentOf(_order, 0).finishedOnce);
    }

    function test_finishRefusals() public check {
        uint40 assignment = _proposeAndAccept(_order, 0);
        _refuse(maker, _stateWrong(IAssignments.AssignmentState.Accepted));
        ledger.finishAssignment(_order, 0, assignment, stream, 0, LEAF);
        _as(maker);
        ledger.startAssignment(_order, 0, assignment, stream, ROOT);
        _refuse(maker, abi.encodeWithSelector(IEvidence.EvidenceNotAnchored.selector, stream, 10, 10));
        ledger.finishAssignment(_order, 0, assignment, stream, 10, LEAF);
        uint40 kept = ledger.streamOf(stream).sequence;
        _refuse(maker, abi.encodeWithSelector(IAssignments.AssignmentStreamOther.selector, ROOT, kept));
        ledger.finishAssignment(_order, 0, assignment, ROOT, 0, LEAF);
        _refuse(maker, abi.encodeWithSelector(IAssignments.AssignmentStreamOther.selector, stream2, kept));
        ledger.finishAssignment(_order, 0, assignment, stream2, 0, LEAF);
        _refuse(maker2, abi.encodeWithSelector(IAssignments.AssignmentForeign.selector, _order, 0, maker.id));
        ledger.finishAssignment(_order, 0, assignment, stream2, 0, LEAF);
    }

    // ---- inside ----

    /// @dev Operations of the order whose assignment is proposed, accepted or started.
    function _live() private view returns (uint256 count) {
        for (uint16 operation; operation < ledger.orderOf(_order).operations; ++operation) {
            IAssignments.AssignmentState state = ledger.assignmentOf(_order, operation).state;
            bool waiting = state == IAssignments.AssignmentState.Proposed;
            if (waiting || state == IAssignments.AssignmentState.Accepted) ++count;
            if (state == IAssignments.AssignmentState.Started) ++count;
        }
    }

    /// @dev Operations of the order that were finished at least once.
    function _finished() private view returns (uint256 count) {
        for (uint16 operation; operation < ledger.orderOf(_order).operations; ++operation) {
            if (ledger.assignmentOf(_order, operation).finishedOnce) ++count;
        }
    }

    function _cancel(uint40 assignment) private {
        _as(coordinator);
        ledger.cancelAssignment(_order, 0, assignment, ROOT);
        _assertAssignment(_order, 0, IAssignments.AssignmentState.Cancelled);
    }

    function _refuseFinish(uint16 operation, uint40 assignment, bytes32 evidence, uint40 leaf, bytes memory reason)
        private
    {
        _refuse(maker, reason);
        ledger.finishAssignment(_order, operation, assignment, evidence, leaf, LEAF);
    }

    function _tooOld(uint40 leaf, uint40 least) private view returns (bytes memory) {
        return abi.encodeWithSelector(IAssignments.AssignmentLeafTooOld.selector, stream, leaf, least);
    }

    function _refuseLive(uint40 assignment) private {
        _refuse(coordinator, abi.encodeWithSelector(IAssignments.AssignmentLive.selector, _order, 0, assignment));
        ledger.proposeAssignment(_order, 0, machine2, ROOT);
    }

    function _stateWrong(IAssignments.AssignmentState state) private view returns (bytes memory) {
        return abi.encodeWithSelector(IAssignments.AssignmentStateWrong.selector, _order, 0, state);
    }

    function _notCurrent(uint16 operation, uint40 current, uint40 given) private view returns (bytes memory) {
        return abi.encodeWithSelector(IAssignments.AssignmentNotCurrent.selector, _order, operation, given, current);
    }

    function _orderState(bytes32 order, IOrders.OrderState state) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IOrders.OrderStateWrong.selector, order, state);
    }
}
