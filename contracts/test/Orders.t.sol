// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IHistory} from "../src/interfaces/IHistory.sol";
import {IOrders} from "../src/interfaces/IOrders.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {Subjects} from "../src/libraries/Subjects.sol";
import {Fixture} from "./Fixture.sol";

contract OrdersTest is Fixture {
    bytes32 private _order;

    function setUp() public override {
        super.setUp();
        _order = _subject(Subjects.Kind.Order, buyer, "order");
    }

    // ---- placing ----

    function test_placeOrder() public check {
        IOrders.OrderTerms memory terms = _terms(3);
        uint40 next = _expectRecord();
        emit IOrders.OrderPlaced(next, buyer.id, _order, buyer.key, _one(_order), coordinator.id, terms);
        assertEq(_place("order", terms), _order);
        IOrders.Order memory stored = ledger.orderOf(_order);
        assertEq(stored.sequence, next);
        assertEq(stored.buyer, buyer.id);
        assertEq(stored.coordinator, coordinator.id);
        assertEq(stored.inspector, inspector.id);
        assertEq(stored.model, model);
        assertEq(stored.operations, 3);
        assertEq(uint256(stored.finished) + stored.live, 0);
        _assertOrder(_order, IOrders.OrderState.Placed);
    }

    function test_placeOrderWithoutGate() public check {
        _place("order", _ungated(1));
        assertEq(uint256(ledger.orderOf(_order).inspector) + ledger.orderOf(_order).model, 0);
    }

    function test_placeOrderNeedsBuyer() public check {
        _refuse(coordinator, _roleMissing(coordinator, Roles.COORDINATOR, Roles.BUYER));
        ledger.placeOrder(_hash("order"), coordinator.id, _terms(1));
    }

    function test_placeOrderTwice() public check {
        _place("order", _terms(1));
        _refuse(buyer, abi.encodeWithSelector(IHistory.HistorySubjectTaken.selector, _order));
        ledger.placeOrder(_hash("order"), coordinator.id, _terms(1));
    }

    function test_sameIdentifierOfAnotherBuyerIsAnotherOrder() public check {
        _setRoles(carrier, Roles.BUYER);
        _place("order", _terms(1));
        _as(carrier);
        assertNotEq(ledger.placeOrder(_hash("order"), coordinator.id, _terms(1)), _order);
    }

    function test_placeOrderWithUnfitCoordinator() public check {
        _refuse(buyer, _unfit(maker.id, Roles.MANUFACTURER, Roles.COORDINATOR));
        ledger.placeOrder(_hash("order"), maker.id, _terms(1));
        _refuse(buyer, _unfit(99, 0, Roles.COORDINATOR));
        ledger.placeOrder(_hash("order"), 99, _terms(1));
        _suspend(coordinator);
        _refuse(buyer, _unfit(coordinator.id, 0, Roles.COORDINATOR));
        ledger.placeOrder(_hash("order"), coordinator.id, _terms(1));
    }

    function test_placeOrderWithoutOperations() public check {
        _refuse(buyer, abi.encodeWithSelector(IOrders.OrderWithoutOperations.selector));
        ledger.placeOrder(_hash("order"), coordinator.id, _ungated(0));
    }

    function test_placeOrderWithInvalidGate() public check {
        IOrders.OrderTerms memory terms = _terms(1);
        terms.model = 0;
        _refuseGate(terms);
        terms.model = 77;
        _refuseGate(terms);
        _as(inspector);
        terms.model = registry.registerModel(_hash("unapproved"), ROOT);
        _refuseGate(terms);
        terms.model = model2;
        _withdrawModel(model2);
        _refuseGate(terms);
        terms.model = model;
        terms.inspector = coordinator.id;
        _refuseGate(terms);
        terms.inspector = 0;
        _refuse(buyer, _unfit(0, 0, Roles.INSPECTOR));
        ledger.placeOrder(_hash("order"), coordinator.id, terms);
        terms.inspector = maker.id;
        _refuse(buyer, _unfit(maker.id, Roles.MANUFACTURER, Roles.INSPECTOR));
        ledger.placeOrder(_hash("order"), coordinator.id, terms);
    }

    // ---- accepting, rejecting, cancelling ----

    function test_acceptOrder() public check {
        _place("order", _terms(1));
        uint40 next = _expectRecord();
        emit IOrders.OrderAccepted(next, coordinator.id, _order, coordinator.key, _one(_order), ROOT);
        _as(coordinator);
        ledger.acceptOrder(_order, ROOT);
        _assertOrder(_order, IOrders.OrderState.Accepted);
        _refuse(coordinator, _stateWrong(IOrders.OrderState.Accepted));
        ledger.acceptOrder(_order, ROOT);
    }

    function test_rejectOrder() public check {
        _place("order", _terms(1));
        uint40 next = _expectRecord();
        emit IOrders.OrderRejected(next, coordinator.id, _order, coordinator.key, _one(_order), ROOT);
        _as(coordinator);
        ledger.rejectOrder(_order, ROOT);
        _assertOrder(_order, IOrders.OrderState.Rejected);
        _refuse(coordinator, _stateWrong(IOrders.OrderState.Rejected));
        ledger.rejectOrder(_order, ROOT);
        _refuse(buyer, _stateWrong(IOrders.OrderState.Rejected));
        ledger.cancelOrder(_order, ROOT);
    }

    function test_onlyItsCoordinatorDecides() public check {
        _place("order", _terms(1));
        _setRoles(carrier, Roles.COORDINATOR);
        bytes memory reason = _partyWrong(carrier.id, coordinator.id);
        _refuse(carrier, reason);
        ledger.acceptOrder(_order, ROOT);
        _refuse(carrier, reason);
        ledger.rejectOrder(_order, ROOT);
        _refuse(buyer, _roleMissing(buyer, Roles.BUYER, Roles.COORDINATOR));
        ledger.acceptOrder(_order, ROOT);
    }

    function test_unknownOrder() public check {
        bytes memory reason = abi.encodeWithSelector(IOrders.OrderUnknown.selector, ROOT);
        _refuse(coordinator, reason);
        ledger.acceptOrder(ROOT, ROOT);
        _refuse(buyer, reason);
        ledger.cancelOrder(ROOT, ROOT);
        _refuse(buyer, reason);
        ledger.proposeRevision(ROOT, _terms(1));
        _refuse(buyer, reason);
        ledger.confirmDelivery(ROOT, ROOT);
    }

    function test_buyerCancels() public check {
        _place("order", _terms(1));
        uint40 next = _expectRecord();
        emit IOrders.OrderCancelled(next, buyer.id, _order, buyer.key, _one(_order), ROOT);
        _as(buyer);
        ledger.cancelOrder(_order, ROOT);
        _assertOrder(_order, IOrders.OrderState.Cancelled);
        _refuse(buyer, _stateWrong(IOrders.OrderState.Cancelled));
        ledger.cancelOrder(_order, ROOT);
    }

    function test_coordinatorCancelsOnlyWhatItAccepted() public check {
        _place("order", _terms(1));
        _refuse(coordinator, _partyWrong(coordinator.id, buyer.id));
        ledger.cancelOrder(_order, ROOT);
        _as(coordinator);
        ledger.acceptOrder(_order, ROOT);
        _as(coordinator);
        ledger.cancelOrder(_order, ROOT);
        _assertOrder(_order, IOrders.OrderState.Cancelled);
    }

    function test_cancelIsOver() public check {
        _startedOrder("order");
        _refuse(buyer, _stateWrong(IOrders.OrderState.InProduction));
        ledger.cancelOrder(_order, ROOT);
    }

    function test_strangerDoesNotCancel() public check {
        _acceptedOrder("order", _terms(1));
        _setRoles(carrier, Roles.BUYER);
        _refuse(carrier, _partyWrong(carrier.id, buyer.id));
        ledger.cancelOrder(_order, ROOT);
        _refuse(maker, _roleMissing(maker, Roles.MANUFACTURER, Roles.BUYER | Roles.COORDINATOR));
        ledger.cancelOrder(_order, ROOT);
    }

    /// @dev A buyer that is only a coordinator by now has lost the buyer's part.
    function test_eachPartNeedsItsOwnRole() public check {
        _acceptedOrder("order", _terms(1));
        _setRoles(buyer, Roles.COORDINATOR);
        bytes memory reason = _unfit(buyer.id, Roles.COORDINATOR, Roles.BUYER);
        _refuse(buyer, reason);
        ledger.cancelOrder(_order, ROOT);
        _refuse(buyer, reason);
        ledger.proposeRevision(_order, _terms(1));
        _setRoles(coordinator, Roles.BUYER);
        _refuse(coordinator, _unfit(coordinator.id, Roles.BUYER, Roles.COORDINATOR));
        ledger.cancelOrder(_order, ROOT);
    }

    // ---- revisions ----

    function test_buyerProposesAndCoordinatorAgrees() public check {
        _acceptedOrder("order", _terms(1));
        IOrders.OrderTerms memory terms = _ungated(4);
        uint40 next = _expectRecord();
        emit IOrders.RevisionProposed(next, buyer.id, _order, buyer.key, _one(_order), terms);
        _as(buyer);
        ledger.proposeRevision(_order, terms);
        assertEq(ledger.orderOf(_order).operations, 1, "a proposal changes nothing");
        _settle();
        bytes32 previous = replay.previousHeadOf(_order);
        next = _expectRecord();
        emit IOrders.RevisionAccepted(next, coordinator.id, _order, coordinator.key, _one(_order), next - 1, terms);
        _as(coordinator);
        ledger.acceptRevision(_order, terms, previous, next - 1, buyer.key, uint40(block.timestamp));
        assertEq(ledger.orderOf(_order).operations, 4);
        assertEq(uint256(ledger.orderOf(_order).inspector) + ledger.orderOf(_order).model, 0);
    }

    function test_coordinatorProposesAndBuyerAgreesLater() public check {
        _place("order", _ungated(2));
        uint40 proposal = _proposeTerms(false, _terms(2));
        bytes32 previous = replay.previousHeadOf(_order);
        uint40 proposedAt = uint40(block.timestamp);
        _warp(START + 5 days);
        _as(buyer);
        ledger.acceptRevision(_order, _terms(2), previous, proposal, coordinator.key, proposedAt);
        assertEq(ledger.orderOf(_order).inspector, inspector.id);
        assertEq(ledger.orderOf(_order).model, model);
        _assertOrder(_order, IOrders.OrderState.Placed);
    }

    function test_nobodyAgreesWithItself() public check {
        _acceptedOrder("order", _terms(1));
        uint40 proposal = _proposeTerms(true, _terms(2));
        _refuseAgreement(buyer, _terms(2), replay.previousHeadOf(_order), proposal, buyer.key, START);
        proposal = _proposeTerms(false, _terms(3));
        _refuseAgreement(coordinator, _terms(3), replay.previousHeadOf(_order), proposal, coordinator.key, START);
    }

    function test_changedTermsAreNotAgreed() public check {
        _acceptedOrder("order", _terms(1));
        uint40 proposal = _proposeTerms(true, _terms(2));
        bytes32 previous = replay.previousHeadOf(_order);
        IOrders.OrderTerms memory terms = _terms(2);
        terms.dueAt += 1;
        _refuseAgreement(coordinator, terms, previous, proposal, buyer.key, START);
        terms = _terms(2);
        terms.claimsRoot = LEAF;
        _refuseAgreement(coordinator, terms, previous, proposal, buyer.key, START);
        _refuseAgreement(coordinator, _terms(3), previous, proposal, buyer.key, START);
        _refuseAgreement(coordinator, _terms(2), ROOT, proposal, buyer.key, START);
        _refuseAgreement(coordinator, _terms(2), previous, proposal + 1, buyer.key, START);
        _refuseAgreement(coordinator, _terms(2), previous, proposal, maker.key, START);
        _refuseAgreement(coordinator, _terms(2), previous, proposal, buyer.key, START + 1);
        _as(coordinator);
        ledger.acceptRevision(_order, _terms(2), previous, proposal, buyer.key, uint40(START));
    }

    function test_laterRecordMakesAProposalStale() public check {
        _acceptedOrder("order", _terms(1));
        uint40 proposal = _proposeTerms(true, _terms(2));
        bytes32 previous = replay.previousHeadOf(_order);
        _propose(_order, 0);
        _refuseAgreement(coordinator, _terms(2), previous, proposal, buyer.key, START);
    }

    function test_proposalIsAgreedOnce() public check {
        _acceptedOrder("order", _terms(1));
        uint40 proposal = _proposeTerms(true, _terms(2));
        bytes32 previous = replay.previousHeadOf(_order);
        _as(coordinator);
        ledger.acceptRevision(_order, _terms(2), previous, proposal, buyer.key, uint40(START));
        _refuseAgreement(coordinator, _terms(2), previous, proposal, buyer.key, START);
    }

    function test_revisionBounds() public check {
        _acceptedOrder("order", _terms(2));
        _refuse(buyer, abi.encodeWithSelector(IOrders.OrderOperationsFewer.selector, _order, 2, 1));
        ledger.proposeRevision(_order, _terms(1));
        IOrders.OrderTerms memory terms = _terms(2);
        terms.model = 99;
        _refuse(buyer, abi.encodeWithSelector(IOrders.OrderGateInvalid.selector, inspector.id, 99));
        ledger.proposeRevision(_order, terms);
        _setRoles(carrier, Roles.BUYER);
        _refuse(carrier, _partyWrong(carrier.id, coordinator.id));
        ledger.proposeRevision(_order, _terms(2));
        _refuse(maker, _roleMissing(maker, Roles.MANUFACTURER, Roles.BUYER | Roles.COORDINATOR));
        ledger.proposeRevision(_order, _terms(2));
    }

    function test_inspectorIsFixedInProduction() public check {
        _startedOrder("order");
        bytes memory reason = abi.encodeWithSelector(IOrders.OrderInspectorFixed.selector, _order, inspector.id);
        _refuse(buyer, reason);
        ledger.proposeRevision(_order, _ungated(1));
        _refuse(coordinator, reason);
        ledger.acceptRevision(_order, _ungated(1), ROOT, 1, buyer.key, uint40(START));
        IOrders.OrderTerms memory terms = _terms(1);
        terms.model = model2;
        uint40 proposal = _proposeTerms(true, terms);
        bytes32 previous = replay.previousHeadOf(_order);
        _as(coordinator);
        ledger.acceptRevision(_order, terms, previous, proposal, buyer.key, uint40(START));
        assertEq(ledger.orderOf(_order).model, model2);
    }

    /// @dev Between proposal and agreement the model may have been withdrawn.
    function test_agreementChecksTheGateAgain() public check {
        _acceptedOrder("order", _ungated(1));
        uint40 proposal = _proposeTerms(true, _terms(1));
        bytes32 previous = replay.previousHeadOf(_order);
        _withdrawModel(model);
        _refuse(coordinator, abi.encodeWithSelector(IOrders.OrderGateInvalid.selector, inspector.id, model));
        ledger.acceptRevision(_order, _terms(1), previous, proposal, buyer.key, uint40(START));
    }

    function test_overIsNotRevised() public check {
        _startedOrder("order");
        _finish(_order, 0);
        _complete(_order);
        _refuse(buyer, _stateWrong(IOrders.OrderState.Completed));
        ledger.proposeRevision(_order, _terms(1));
        _refuse(coordinator, _stateWrong(IOrders.OrderState.Completed));
        ledger.acceptRevision(_order, _terms(1), ROOT, 1, buyer.key, uint40(START));
    }

    function test_companyThatIsBothSidesAgreesWithItself() public check {
        _setRoles(buyer, Roles.BUYER | Roles.COORDINATOR);
        _as(buyer);
        ledger.placeOrder(_hash("order"), buyer.id, _terms(1));
        uint40 proposal = _proposeTerms(true, _terms(2));
        bytes32 previous = replay.previousHeadOf(_order);
        _as(buyer);
        ledger.acceptRevision(_order, _terms(2), previous, proposal, buyer.key, uint40(START));
        assertEq(ledger.orderOf(_order).operations, 2);
    }

    // ---- completing, delivering ----

    function test_completeAndDeliver() public check {
        _startedOrder("order");
        _finish(_order, 0);
        uint40 next = _expectRecord();
        emit IOrders.OrderCompleted(next, coordinator.id, _order, coordinator.key, _one(_order), ROOT);
        _complete(_order);
        _assertOrder(_order, IOrders.OrderState.Completed);
        next = _expectRecord();
        emit IOrders.OrderDelivered(next, buyer.id, _order, buyer.key, _one(_order), ROOT);
        _as(buyer);
        ledger.confirmDelivery(_order, ROOT);
        _assertOrder(_order, IOrders.OrderState.Delivered);
        _refuse(buyer, _stateWrong(IOrders.OrderState.Delivered));
        ledger.confirmDelivery(_order, ROOT);
    }

    function test_completeNeedsEveryOperation() public check {
        _acceptedOrder("order", _terms(2));
        _refuse(coordinator, _stateWrong(IOrders.OrderState.Accepted));
        ledger.completeOrder(_order, ROOT);
        _start(_order, 0);
        _refuse(coordinator, abi.encodeWithSelector(IOrders.OrderUnfinished.selector, _order, 0, 2, 1));
        ledger.completeOrder(_order, ROOT);
        _finish(_order, 0);
        _refuse(coordinator, abi.encodeWithSelector(IOrders.OrderUnfinished.selector, _order, 1, 2, 0));
        ledger.completeOrder(_order, ROOT);
        _start(_order, 1);
        _finish(_order, 1);
        _propose(_order, 0);
        _refuse(coordinator, abi.encodeWithSelector(IOrders.OrderUnfinished.selector, _order, 2, 2, 1));
        ledger.completeOrder(_order, ROOT);
    }

    function test_onlyItsPartiesCompleteAndDeliver() public check {
        _startedOrder("order");
        _finish(_order, 0);
        _refuse(buyer, _stateWrong(IOrders.OrderState.InProduction));
        ledger.confirmDelivery(_order, ROOT);
        _setRoles(carrier, Roles.BUYER | Roles.COORDINATOR);
        _refuse(carrier, _partyWrong(carrier.id, coordinator.id));
        ledger.completeOrder(_order, ROOT);
        _complete(_order);
        _refuse(carrier, _partyWrong(carrier.id, buyer.id));
        ledger.confirmDelivery(_order, ROOT);
        _refuse(coordinator, _roleMissing(coordinator, Roles.COORDINATOR, Roles.BUYER));
        ledger.confirmDelivery(_order, ROOT);
    }

    // ---- inside ----

    /// @dev Proposes and takes the log, so that the replay knows the head before it.
    function _proposeTerms(bool byBuyer, IOrders.OrderTerms memory terms) private returns (uint40 proposal) {
        vm.prank(byBuyer ? buyer.key : coordinator.key);
        ledger.proposeRevision(_order, terms);
        _settle();
        return ledger.sequence();
    }

    function _refuseAgreement(
        Party storage party,
        IOrders.OrderTerms memory terms,
        bytes32 previous,
        uint40 proposal,
        address proposer,
        uint256 proposedAt
    ) private {
        _refuse(party, abi.encodeWithSelector(IOrders.OrderRevisionNotProposed.selector, _order));
        ledger.acceptRevision(_order, terms, previous, proposal, proposer, uint40(proposedAt));
    }

    function _refuseGate(IOrders.OrderTerms memory terms) private {
        _refuse(buyer, abi.encodeWithSelector(IOrders.OrderGateInvalid.selector, terms.inspector, terms.model));
        ledger.placeOrder(_hash("order"), coordinator.id, terms);
    }

    function _unfit(uint32 id, uint16 held, uint16 needed) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IHistory.HistoryParticipantUnfit.selector, id, held, needed);
    }

    function _stateWrong(IOrders.OrderState state) private view returns (bytes memory) {
        return abi.encodeWithSelector(IOrders.OrderStateWrong.selector, _order, state);
    }

    function _partyWrong(uint32 id, uint32 expected) private view returns (bytes memory) {
        return abi.encodeWithSelector(IOrders.OrderPartyWrong.selector, _order, id, expected);
    }
}
