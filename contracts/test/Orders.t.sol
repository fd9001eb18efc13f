// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICertificates} from "../src/interfaces/ICertificates.sol";
import {IHistory} from "../src/interfaces/IHistory.sol";
import {ILots} from "../src/interfaces/ILots.sol";
import {IOrders} from "../src/interfaces/IOrders.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
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

    function test_operationBounds() public check {
        _refuseOperations(0);
        _refuseOperations(65);
        _refuseOperations(type(uint16).max);
        _place("order", _ungated(1));
        _place("other", _ungated(64));
        assertEq(ledger.orderOf(_subject(Subjects.Kind.Order, buyer, "other")).operations, 64);
    }

    function testFuzz_operationBounds(uint16 operations) public check {
        if (operations == 0 || operations > 64) {
            _refuseOperations(operations);
        } else {
            assertEq(ledger.orderOf(_place("order", _terms(operations))).operations, operations);
        }
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
        _refuseGate(terms);
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
        _refuse(buyer, abi.encodeWithSelector(IOrders.OrderOperationsFewer.selector, _order, 2, 0));
        ledger.proposeRevision(_order, _terms(0));
        _refuse(coordinator, abi.encodeWithSelector(IOrders.OrderOperationsInvalid.selector, 65, 64));
        ledger.proposeRevision(_order, _terms(65));
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
        _refuseAgreement(coordinator, _ungated(1), ROOT, 1, buyer.key, START);
        IOrders.OrderTerms memory terms = _terms(1);
        terms.model = model2;
        uint40 proposal = _proposeTerms(true, terms);
        bytes32 previous = replay.previousHeadOf(_order);
        _as(coordinator);
        ledger.acceptRevision(_order, terms, previous, proposal, buyer.key, uint40(START));
        assertEq(ledger.orderOf(_order).model, model2);
    }

    /// @dev The terms were checked when they were proposed. A model withdrawn since then is agreed to all the same, and
    /// the gate stays closed: it neither lets through what was certified before nor can anything be certified.
    function test_modelWithdrawnBeforeAgreement() public check {
        _acceptedOrder("order", _terms(1));
        _start(_order, 0);
        bytes32 lot = _commission(_order, "lot", 5);
        ICertificates.Statement memory statement = _statement(lot, _order, ICertificates.Verdict.Pass);
        statement.model = model2;
        _as(inspector);
        ledger.issueCertificate(statement);
        IOrders.OrderTerms memory terms = _terms(1);
        terms.model = model2;
        uint40 proposal = _proposeTerms(true, terms);
        bytes32 previous = replay.previousHeadOf(_order);
        _withdrawModel(model2);
        _settle();
        _as(coordinator);
        ledger.acceptRevision(_order, terms, previous, proposal, buyer.key, uint40(START));
        assertEq(ledger.orderOf(_order).model, model2);
        _assertStatus(lot, ICertificates.CertificateStatus.Fallen);
        _refuseOffer(lot);
        _refuse(inspector, abi.encodeWithSelector(ICertificates.CertificateModelUnfit.selector, model2));
        ledger.issueCertificate(statement);
        _pass(lot, _order);
        _refuseOffer(lot);
        _refuse(buyer, abi.encodeWithSelector(IOrders.OrderGateInvalid.selector, inspector.id, model2));
        ledger.proposeRevision(_order, terms);
        proposal = _proposeTerms(true, _terms(1));
        previous = replay.previousHeadOf(_order);
        _as(coordinator);
        ledger.acceptRevision(_order, _terms(1), previous, proposal, buyer.key, uint40(START));
        _move(maker, _item(lot, _order), buyer);
        _assertLot(lot, ILots.LotState.Held, buyer);
    }

    /// @dev As above, with an inspector that may inspect no more.
    function test_inspectorSuspendedBeforeAgreement() public check {
        _acceptedOrder("order", _ungated(1));
        uint40 proposal = _proposeTerms(true, _terms(1));
        bytes32 previous = replay.previousHeadOf(_order);
        _suspend(inspector);
        _as(coordinator);
        ledger.acceptRevision(_order, _terms(1), previous, proposal, buyer.key, uint40(START));
        assertEq(ledger.orderOf(_order).inspector, inspector.id);
        _start(_order, 0);
        bytes32 lot = _commission(_order, "lot", 5);
        _refuse(inspector, abi.encodeWithSelector(IRegistry.RegistryParticipantSuspended.selector, inspector.id));
        ledger.issueCertificate(_statement(lot, _order, ICertificates.Verdict.Pass));
        _refuseOffer(lot);
    }

    /// @dev What was checked against the order itself stays so: whatever changes an order makes the proposal stale.
    function test_startMakesAProposalStale() public check {
        _acceptedOrder("order", _terms(1));
        uint40 assignment = _proposeAndAccept(_order, 0);
        uint40 proposal = _proposeTerms(true, _ungated(1));
        bytes32 previous = replay.previousHeadOf(_order);
        _as(maker);
        ledger.startAssignment(_order, 0, assignment, ROOT);
        _refuseAgreement(coordinator, _ungated(1), previous, proposal, buyer.key, START);
    }

    function test_otherRevisionMakesAProposalStale() public check {
        _acceptedOrder("order", _terms(1));
        uint40 first = _proposeTerms(true, _terms(2));
        bytes32 firstPrevious = replay.previousHeadOf(_order);
        uint40 second = _proposeTerms(true, _terms(3));
        bytes32 previous = replay.previousHeadOf(_order);
        _refuseAgreement(coordinator, _terms(2), firstPrevious, first, buyer.key, START);
        _as(coordinator);
        ledger.acceptRevision(_order, _terms(3), previous, second, buyer.key, uint40(START));
        assertEq(ledger.orderOf(_order).operations, 3);
    }

    /// @dev Parts made meanwhile are no matter of the order's own history.
    function test_lotsLeaveAProposalOpen() public check {
        _startedOrder("order");
        uint40 proposal = _proposeTerms(true, _terms(2));
        bytes32 previous = replay.previousHeadOf(_order);
        bytes32 lot = _commission(_order, "lot", 5);
        _transform(maker, _change(ILots.TransformationKind.Rework, _order, _inputs(lot, 5), _outputs("reworked", 5)));
        _as(coordinator);
        ledger.acceptRevision(_order, _terms(2), previous, proposal, buyer.key, uint40(START));
        assertEq(ledger.orderOf(_order).operations, 2);
    }

    /// @dev Nothing new is agreed with a coordinator that may not coordinate.
    function test_revisionNeedsAFitCoordinator() public check {
        _acceptedOrder("order", _terms(1));
        _suspend(coordinator);
        _refuse(buyer, _unfit(coordinator.id, 0, Roles.COORDINATOR));
        ledger.proposeRevision(_order, _terms(2));
    }

    function test_overIsNotRevised() public check {
        _startedOrder("order");
        _finish(_order, 0);
        uint40 proposal = _proposeTerms(true, _terms(1));
        bytes32 previous = replay.previousHeadOf(_order);
        _complete(_order);
        _refuse(coordinator, _stateWrong(IOrders.OrderState.Completed));
        ledger.acceptRevision(_order, _terms(1), previous, proposal, buyer.key, uint40(START));
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
        _refuseCompletion(0);
        _finish(_order, 0);
        _refuseCompletion(1);
        uint40 assignment = _propose(_order, 1);
        _refuseCompletion(1);
        _as(maker);
        ledger.declineAssignment(_order, 1, assignment, ROOT);
        _refuseCompletion(1);
        assignment = _propose(_order, 1);
        _as(maker);
        ledger.acceptAssignment(_order, 1, assignment, ROOT);
        _refuseCompletion(1);
        _as(coordinator);
        ledger.cancelAssignment(_order, 1, assignment, ROOT);
        _refuseCompletion(1);
        _start(_order, 1);
        _refuseCompletion(1);
        _finish(_order, 1);
        _complete(_order);
    }

    /// @dev What was finished must rest: rework that is under way keeps the order open, rework called off does not.
    function test_completeWaitsForRework() public check {
        _startedOrder("order");
        _finish(_order, 0);
        uint40 assignment = _propose(_order, 0);
        _refuseCompletion(0);
        _as(maker);
        ledger.declineAssignment(_order, 0, assignment, ROOT);
        _settle();
        uint256 state = vm.snapshotState();
        _complete(_order);
        _settle();
        vm.revertToState(state);
        assignment = _start(_order, 0);
        _refuseCompletion(0);
        _as(coordinator);
        ledger.cancelAssignment(_order, 0, assignment, ROOT);
        _complete(_order);
    }

    function test_revisionAddsOperationsToBeDone() public check {
        _startedOrder("order");
        _finish(_order, 0);
        uint40 proposal = _proposeTerms(true, _terms(2));
        bytes32 previous = replay.previousHeadOf(_order);
        _as(coordinator);
        ledger.acceptRevision(_order, _terms(2), previous, proposal, buyer.key, uint40(START));
        _refuseCompletion(1);
        _start(_order, 1);
        _finish(_order, 1);
        _complete(_order);
    }

    /// @dev The last of the most operations counts as well.
    function test_completeTheLargestOrder() public check {
        _acceptedOrder("order", _terms(64));
        for (uint16 operation; operation < 64; ++operation) {
            if (operation != 0) _refuseCompletion(operation);
            _start(_order, operation);
            _finish(_order, operation);
        }
        _complete(_order);
        _assertOrder(_order, IOrders.OrderState.Completed);
    }

    /// @dev Each operation in any state, with or without a finish before: refused at the first that is not done.
    function testFuzz_completeExactlyWhenAllIsDone(uint256 drawn) public check {
        uint16 operations = uint16(1 + drawn % 4);
        _acceptedOrder("order", _terms(operations + 1));
        _start(_order, operations); // so that the order is in production
        _finish(_order, operations);
        uint16 first = type(uint16).max;
        for (uint16 operation; operation < operations; ++operation) {
            drawn = uint256(keccak256(abi.encode(drawn)));
            bool finished = drawn % 3 != 0;
            if (finished) {
                _start(_order, operation);
                _finish(_order, operation);
            }
            bool live = _lead(operation, (drawn >> 8) % 8);
            if (first == type(uint16).max && (!ledger.assignmentOf(_order, operation).finishedOnce || live)) {
                first = operation;
            }
            assertTrue(!finished || ledger.assignmentOf(_order, operation).finishedOnce);
        }
        if (first == type(uint16).max) _complete(_order);
        else _refuseCompletion(first);
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

    /// @dev Goes so many steps with an assignment, or none at all; says whether one is live then.
    function _lead(uint16 operation, uint256 draw) private returns (bool live) {
        if (draw == 0 || draw > 6) return false;
        uint40 assignment = _propose(_order, operation);
        if (draw == 1) return true;
        vm.startPrank(maker.key);
        if (draw == 2) ledger.declineAssignment(_order, operation, assignment, ROOT);
        else ledger.acceptAssignment(_order, operation, assignment, ROOT);
        if (draw > 4) ledger.startAssignment(_order, operation, assignment, ROOT);
        vm.stopPrank();
        if (draw != 4 && draw != 6) return draw != 2;
        _as(coordinator);
        ledger.cancelAssignment(_order, operation, assignment, ROOT);
        return false;
    }

    function _refuseCompletion(uint16 operation) private {
        _refuse(coordinator, abi.encodeWithSelector(IOrders.OrderUnfinished.selector, _order, operation));
        ledger.completeOrder(_order, ROOT);
    }

    function _refuseOperations(uint16 operations) private {
        _refuse(buyer, abi.encodeWithSelector(IOrders.OrderOperationsInvalid.selector, operations, 64));
        ledger.placeOrder(_hash("order"), coordinator.id, _ungated(operations));
    }

    function _refuseOffer(bytes32 lot) private {
        vm.prank(maker.key);
        vm.expectPartialRevert(ILots.GateClosed.selector);
        ledger.offerCustody(_item(lot, _order), buyer.id, ROOT);
    }

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
