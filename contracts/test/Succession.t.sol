// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAssignments} from "../src/interfaces/IAssignments.sol";
import {IHistory} from "../src/interfaces/IHistory.sol";
import {ILots} from "../src/interfaces/ILots.sol";
import {IOrders} from "../src/interfaces/IOrders.sol";
import {IRevisions} from "../src/interfaces/IRevisions.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {OrderFixture} from "./OrderFixture.sol";

/// @notice An order goes on without a side that is gone: another coordinator, or its end.
contract SuccessionTest is OrderFixture {
    uint256 private constant DELAY = 14 days;

    // ---- another coordinator ----

    /// @dev It may not act at all, or only not coordinate.
    function test_H8_S6_coordinatorGone() public check {
        _startedOrder("order");
        IOrders.OrderTerms memory terms = _succession();
        _suspend(coordinator);
        uint40 proposal = _proposeTerms(true, terms);
        uint40 next = _expectRecord();
        emit IRevisions.RevisionAccepted(next, carrier.id, _order, carrier.key, _one(_order), proposal, 0, terms);
        _as(carrier);
        ledger.acceptRevision(_order, terms, proposal);
        assertEq(ledger.orderOf(_order).coordinator, carrier.id);
        _finish(_order, 0);
        _as(carrier);
        ledger.completeOrder(_order, ROOT);
        _as(buyer);
        ledger.confirmDelivery(_order, _none(), ROOT);
    }

    function test_H8_S6_coordinatorMayNotCoordinate() public check {
        _startedOrder("order");
        IOrders.OrderTerms memory terms = _succession();
        _setRoles(coordinator, Roles.CARRIER);
        uint40 proposal = _proposeTerms(true, terms);
        _as(carrier);
        ledger.acceptRevision(_order, terms, proposal);
        assertEq(ledger.orderOf(_order).coordinator, carrier.id);
    }

    function test_coordinatorInStandingAgreesToItsSuccessor() public check {
        _startedOrder("order");
        IOrders.OrderTerms memory terms = _succession();
        uint40 proposal = _proposeTerms(true, terms);
        uint40 next = _expectRecord();
        emit IRevisions.RevisionAccepted(
            next, carrier.id, _order, carrier.key, _one(_order), proposal, coordinator.id, terms
        );
        _as(carrier);
        ledger.acceptRevision(_order, terms, proposal);
        assertEq(ledger.orderOf(_order).coordinator, coordinator.id, "not yet");
        assertEq(ledger.proposalOf(_order).consents, 5);
        _refuseMissing(carrier, terms, proposal, coordinator.id);
        _refuseMissing(buyer, terms, proposal, coordinator.id);
        _as(coordinator);
        ledger.acceptRevision(_order, terms, proposal);
        assertEq(ledger.orderOf(_order).coordinator, carrier.id);
        _refuse(coordinator, _partyWrong(coordinator.id, carrier.id));
        ledger.cancelAssignment(_order, 0, 1, ROOT);
    }

    function test_successorAgreesLast() public check {
        _startedOrder("order");
        IOrders.OrderTerms memory terms = _succession();
        uint40 proposal = _proposeTerms(false, terms);
        _as(buyer);
        ledger.acceptRevision(_order, terms, proposal);
        assertEq(ledger.proposalOf(_order).consents, 3);
        _refuseMissing(coordinator, terms, proposal, carrier.id);
        _as(carrier);
        ledger.acceptRevision(_order, terms, proposal);
        assertEq(ledger.orderOf(_order).coordinator, carrier.id);
    }

    /// @dev Whoever agreed already may say so again once nobody else is waited for.
    function test_coordinatorGoneWhileItIsWaitedFor() public check {
        _startedOrder("order");
        IOrders.OrderTerms memory terms = _succession();
        uint40 proposal = _proposeTerms(true, terms);
        _as(carrier);
        ledger.acceptRevision(_order, terms, proposal);
        _suspend(coordinator);
        _as(buyer);
        ledger.acceptRevision(_order, terms, proposal);
        assertEq(ledger.orderOf(_order).coordinator, carrier.id);
    }

    function test_buyerCoordinatesInPlaceOfACoordinatorThatIsGone() public check {
        _startedOrder("order");
        _setRoles(buyer, Roles.BUYER | Roles.COORDINATOR);
        _suspend(coordinator);
        IOrders.OrderTerms memory terms = _coordinatedBy(buyer.id, _terms(1));
        uint40 proposal = _proposeTerms(true, terms);
        _as(buyer);
        ledger.acceptRevision(_order, terms, proposal);
        assertEq(ledger.orderOf(_order).coordinator, buyer.id);
    }

    /// @dev The coordinator cannot change terms without the buyer, gone or not.
    function test_buyerIsAlwaysAsked() public check {
        _startedOrder("order");
        IOrders.OrderTerms memory terms = _succession();
        uint40 proposal = _proposeTerms(false, terms);
        _suspend(buyer);
        _as(carrier);
        ledger.acceptRevision(_order, terms, proposal);
        _refuseMissing(coordinator, terms, proposal, buyer.id);
    }

    function test_successorHasARole() public check {
        _startedOrder("order");
        _refuse(buyer, _unfit(carrier.id, Roles.CARRIER, Roles.COORDINATOR));
        ledger.proposeRevision(_order, _coordinatedBy(carrier.id, _terms(1)));
        IOrders.OrderTerms memory terms = _succession();
        uint40 proposal = _proposeTerms(true, terms);
        _setRoles(carrier, Roles.BUYER);
        _refuse(carrier, _unfit(carrier.id, Roles.BUYER, Roles.COORDINATOR));
        ledger.acceptRevision(_order, terms, proposal);
        _setRoles(maker, Roles.COORDINATOR | Roles.MANUFACTURER);
        _refuse(maker, _partyWrong(maker.id, coordinator.id));
        ledger.acceptRevision(_order, terms, proposal);
        _refuse(maker, _partyWrong(maker.id, coordinator.id));
        ledger.proposeRevision(_order, terms);
    }

    /// @dev A key may have less roles than its company: each part agrees by its own.
    function test_keyAgreesForItsOwnPartAlone() public check {
        _setRoles(buyer, Roles.BUYER | Roles.COORDINATOR);
        _place("order", _coordinatedBy(buyer.id, _terms(1)));
        IOrders.OrderTerms memory terms = _coordinatedBy(buyer.id, _terms(2));
        _setRoles(buyer, Roles.BUYER);
        _refuse(buyer, _unfit(buyer.id, Roles.BUYER, Roles.COORDINATOR));
        ledger.proposeRevision(_order, terms);
        _setRoles(buyer, Roles.COORDINATOR);
        uint40 proposal = _proposeTerms(true, terms);
        _refuseMissing(buyer, terms, proposal, buyer.id);
        _setRoles(buyer, Roles.BUYER | Roles.COORDINATOR);
        _as(buyer);
        ledger.acceptRevision(_order, terms, proposal);
        assertEq(ledger.orderOf(_order).operations, 2);
    }

    function test_H8_buyerCancelsAssignmentsOfACoordinatorThatIsGone() public check {
        _acceptedOrder("order", _terms(1));
        uint40 assignment = _start(_order, 0);
        _refuse(buyer, _partyWrong(buyer.id, coordinator.id));
        ledger.cancelAssignment(_order, 0, assignment, ROOT);
        _suspend(coordinator);
        _setRoles(carrier, Roles.BUYER);
        _refuse(carrier, _partyWrong(carrier.id, coordinator.id));
        ledger.cancelAssignment(_order, 0, assignment, ROOT);
        _as(buyer);
        ledger.cancelAssignment(_order, 0, assignment, ROOT);
        _assertAssignment(_order, 0, IAssignments.AssignmentState.Cancelled);
    }

    function test_cancellerHasTheRoleOfItsPart() public check {
        _acceptedOrder("order", _terms(1));
        uint40 assignment = _start(_order, 0);
        _setRoles(coordinator, Roles.BUYER);
        _refuse(coordinator, _unfit(coordinator.id, Roles.BUYER, Roles.COORDINATOR));
        ledger.cancelAssignment(_order, 0, assignment, ROOT);
        _setRoles(buyer, Roles.COORDINATOR);
        _refuse(buyer, _unfit(buyer.id, Roles.COORDINATOR, Roles.BUYER));
        ledger.cancelAssignment(_order, 0, assignment, ROOT);
    }

    /// @dev The owner of the machine is gone: its assignment is cancelled, the operation given to another.
    function test_H8_ownerOfTheMachineGone() public check {
        _acceptedOrder("order", _terms(1));
        uint40 assignment = _start(_order, 0);
        _suspend(maker);
        _as(coordinator);
        ledger.cancelAssignment(_order, 0, assignment, ROOT);
        _as(coordinator);
        ledger.proposeAssignment(_order, 0, machine2, ROOT);
    }

    // ---- back into production ----

    function test_H5_newAssignmentTakesACompletedOrderBack() public check {
        _startedOrder("order");
        bytes32 lot = _commission(_order, "lot", 5);
        _finish(_order, 0);
        _complete(_order);
        _fail(lot, _order);
        uint40 assignment = _propose(_order, 0);
        _assertOrder(_order, IOrders.OrderState.InProduction);
        assertEq(ledger.orderOf(_order).open, 1);
        _refuse(buyer, _stateWrong(IOrders.OrderState.InProduction));
        ledger.confirmDelivery(_order, _none(), ROOT);
        _as(maker);
        ledger.acceptAssignment(_order, 0, assignment, ROOT);
        _as(maker);
        ledger.startAssignment(_order, 0, assignment, stream, ROOT);
        _as(maker);
        ledger.reworkLot(ILots.Rework(lot, _order, 0, ROOT, new ILots.Input[](0)));
        _finish(_order, 0);
        _complete(_order);
    }

    // ---- the end ----

    function test_H8_S7_bothSidesEndAnOrderInProduction() public check {
        _startedOrder("order");
        uint40 next = _expectRecord();
        emit IRevisions.EndProposed(next, buyer.id, _order, buyer.key, _one(_order), ROOT);
        _as(buyer);
        ledger.proposeEnd(_order, ROOT);
        assertEq(ledger.proposalOf(_order).consents, 1);
        _refuse(buyer, abi.encodeWithSelector(IRevisions.OrderAgreementMissing.selector, _order, coordinator.id));
        ledger.endOrder(_order, next, ROOT);
        _refuse(coordinator, abi.encodeWithSelector(IRevisions.OrderNotProposed.selector, _order, next + 1));
        ledger.endOrder(_order, next + 1, ROOT);
        uint40 end = _expectRecord();
        emit IRevisions.OrderEnded(end, coordinator.id, _order, coordinator.key, _one(_order), next, LEAF);
        _as(coordinator);
        ledger.endOrder(_order, next, LEAF);
        _assertOrder(_order, IOrders.OrderState.Ended);
        assertEq(ledger.proposalOf(_order).proposedAt, 0);
        _refuse(buyer, _stateWrong(IOrders.OrderState.Ended));
        ledger.proposeEnd(_order, ROOT);
        _refuse(buyer, _stateWrong(IOrders.OrderState.Ended));
        ledger.endOrder(_order, next, ROOT);
        _refuse(buyer, _stateWrong(IOrders.OrderState.Ended));
        ledger.proposeRevision(_order, _terms(1));
    }

    function test_endBeforeProductionIsCancelling() public check {
        _acceptedOrder("order", _terms(1));
        _refuse(buyer, _stateWrong(IOrders.OrderState.Accepted));
        ledger.proposeEnd(_order, ROOT);
    }

    function test_strangerDoesNotEnd() public check {
        _startedOrder("order");
        _setRoles(carrier, Roles.BUYER | Roles.COORDINATOR);
        _refuse(carrier, _partyWrong(carrier.id, coordinator.id));
        ledger.proposeEnd(_order, ROOT);
        _as(buyer);
        ledger.proposeEnd(_order, ROOT);
        uint40 proposal = ledger.sequence();
        _refuse(carrier, _partyWrong(carrier.id, coordinator.id));
        ledger.endOrder(_order, proposal, ROOT);
        _refuse(maker, _roleMissing(maker, Roles.MANUFACTURER, Roles.BUYER | Roles.COORDINATOR));
        ledger.endOrder(_order, proposal, ROOT);
    }

    function test_proposalsAreNotMistakenForEachOther() public check {
        _startedOrder("order");
        uint40 proposal = _proposeTerms(true, _terms(1));
        _refuse(coordinator, abi.encodeWithSelector(IRevisions.OrderNotProposed.selector, _order, proposal));
        ledger.endOrder(_order, proposal, ROOT);
        _as(buyer);
        ledger.proposeEnd(_order, ROOT);
        _refuseAgreement(coordinator, _terms(1), proposal);
        _refuseAgreement(coordinator, _terms(1), proposal + 1);
    }

    /// @dev Also from Completed, where only the buyer can go on.
    function test_H8_buyerGone() public check {
        _startedOrder("order");
        bytes32 lot = _commission(_order, "lot", 5);
        _finish(_order, 0);
        _complete(_order);
        _refuse(coordinator, abi.encodeWithSelector(ILots.LotBoundToOrder.selector, lot, _order, buyer.id));
        ledger.deallocateLot(lot, _order, ROOT);
        _suspend(buyer);
        _refuse(coordinator, abi.encodeWithSelector(ILots.LotBoundToOrder.selector, lot, _order, buyer.id));
        ledger.deallocateLot(lot, _order, ROOT);
        _endAlone(coordinator);
        _as(coordinator);
        ledger.deallocateLot(lot, _order, ROOT);
        assertEq(ledger.lotOf(lot).order, 0);
    }

    /// @dev A buyer that coordinates its own order and is gone: whom the council entrusts with what it has ends the order.
    function test_H8_bothSidesGone() public check {
        _setRoles(buyer, Roles.BUYER | Roles.COORDINATOR);
        _acceptedBySelf();
        _refuseAbandoned(abi.encodeWithSelector(IRevisions.OrderAgreementMissing.selector, _order, buyer.id));
        _suspend(buyer);
        _refuseAbandoned(_partyWrong(coordinator.id, 0));
        vm.prank(owner);
        registry.entrust(buyer.id, coordinator.id);
        _warp(START + DELAY - 1);
        _refuseAbandoned(abi.encodeWithSelector(IRevisions.OrderEndTooEarly.selector, _order, START + DELAY));
        _warp(START + DELAY);
        _as(coordinator);
        ledger.endOrder(_order, 0, ROOT);
        _assertOrder(_order, IOrders.OrderState.Ended);
        _refuseAbandoned(_stateWrong(IOrders.OrderState.Ended));
    }

    function test_anOrderIsNotAbandonedByItsBuyerAlone() public check {
        _startedOrder("order");
        _setRoles(coordinator, Roles.MANUFACTURER);
        _refuse(buyer, abi.encodeWithSelector(IRevisions.OrderAgreementMissing.selector, _order, buyer.id));
        ledger.endOrder(_order, 0, ROOT);
        bytes32 none = _hash("none");
        _refuse(buyer, abi.encodeWithSelector(IOrders.OrderUnknown.selector, none));
        ledger.endOrder(none, 0, ROOT);
    }

    function test_H8_coordinatorGoneAndNoSuccessor() public check {
        _startedOrder("order");
        _suspend(coordinator);
        _endAlone(buyer);
    }

    /// @dev Whoever comes back in time is asked again.
    function test_otherSideComesBack() public check {
        _startedOrder("order");
        _suspend(coordinator);
        _as(buyer);
        ledger.proposeEnd(_order, ROOT);
        uint40 proposal = ledger.sequence();
        _warp(START + DELAY);
        vm.prank(owner);
        registry.reinstate(coordinator.id);
        _refuse(buyer, abi.encodeWithSelector(IRevisions.OrderAgreementMissing.selector, _order, coordinator.id));
        ledger.endOrder(_order, proposal, ROOT);
        _as(coordinator);
        ledger.proposeRevision(_order, _terms(1));
        _suspend(coordinator);
        _refuse(buyer, abi.encodeWithSelector(IRevisions.OrderNotProposed.selector, _order, proposal));
        ledger.endOrder(_order, proposal, ROOT);
    }

    /// @dev What was started may be finished; nothing else begins.
    function test_afterTheEnd() public check {
        _acceptedOrder("order", _terms(3));
        _start(_order, 0);
        uint40 accepted = _proposeAndAccept(_order, 1);
        _as(buyer);
        ledger.proposeEnd(_order, ROOT);
        uint40 proposal = ledger.sequence();
        _as(coordinator);
        ledger.endOrder(_order, proposal, ROOT);
        _finish(_order, 0);
        bytes memory over = _stateWrong(IOrders.OrderState.Ended);
        _refuse(maker, over);
        ledger.startAssignment(_order, 1, accepted, stream, ROOT);
        _refuse(coordinator, over);
        ledger.proposeAssignment(_order, 2, machine, ROOT);
        _refuse(coordinator, over);
        ledger.completeOrder(_order, ROOT);
        _refuse(buyer, over);
        ledger.confirmDelivery(_order, _none(), ROOT);
        _as(coordinator);
        ledger.cancelAssignment(_order, 1, accepted, ROOT);
    }

    // ---- inside ----

    function _acceptedBySelf() private {
        _place("order", _coordinatedBy(buyer.id, _terms(1)));
        _as(buyer);
        ledger.acceptOrder(_order, ROOT);
    }

    function _refuseAbandoned(bytes memory reason) private {
        _refuse(coordinator, reason);
        ledger.endOrder(_order, 0, ROOT);
    }

    function _endAlone(Party storage party) private {
        _as(party);
        ledger.proposeEnd(_order, ROOT);
        uint40 proposal = ledger.sequence();
        _warp(START + DELAY - 1);
        _refuse(party, abi.encodeWithSelector(IRevisions.OrderEndTooEarly.selector, _order, START + DELAY));
        ledger.endOrder(_order, proposal, ROOT);
        _warp(START + DELAY);
        _as(party);
        ledger.endOrder(_order, proposal, ROOT);
        _assertOrder(_order, IOrders.OrderState.Ended);
    }

    /// @dev The present terms with another coordinator, which may be one.
    function _succession() private returns (IOrders.OrderTerms memory) {
        _setRoles(carrier, Roles.CARRIER | Roles.COORDINATOR);
        return _coordinatedBy(carrier.id, _terms(1));
    }
}
