// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IHistory} from "../src/interfaces/IHistory.sol";
import {IOrders} from "../src/interfaces/IOrders.sol";
import {Gates} from "../src/libraries/Gates.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {Subjects} from "../src/libraries/Subjects.sol";
import {OrderFixture} from "./OrderFixture.sol";

contract OrdersTest is OrderFixture {
    // ---- placing ----

    function test_placeOrder() public check {
        IOrders.OrderTerms memory terms = _terms(3);
        uint40 next = _expectRecord();
        emit IOrders.OrderPlaced(next, buyer.id, _order, buyer.key, _one(_order), terms);
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
        ledger.placeOrder(_hash("order"), _terms(1));
    }

    function test_placeOrderTwice() public check {
        _place("order", _terms(1));
        _refuse(buyer, abi.encodeWithSelector(IHistory.HistorySubjectTaken.selector, _order));
        ledger.placeOrder(_hash("order"), _terms(1));
    }

    function test_sameIdentifierOfAnotherBuyerIsAnotherOrder() public check {
        _setRoles(carrier, Roles.BUYER);
        _place("order", _terms(1));
        _as(carrier);
        assertNotEq(ledger.placeOrder(_hash("order"), _terms(1)), _order);
    }

    function test_placeOrderWithUnfitCoordinator() public check {
        _refuse(buyer, _unfit(maker.id, Roles.MANUFACTURER, Roles.COORDINATOR));
        ledger.placeOrder(_hash("order"), _coordinatedBy(maker.id, _terms(1)));
        _refuse(buyer, _unfit(99, 0, Roles.COORDINATOR));
        ledger.placeOrder(_hash("order"), _coordinatedBy(99, _terms(1)));
        _suspend(coordinator);
        _refuse(buyer, _unfit(coordinator.id, 0, Roles.COORDINATOR));
        ledger.placeOrder(_hash("order"), _terms(1));
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
        terms.gates = Gates.one(inspector.id, 77);
        _refuseGate(terms);
        _as(inspector);
        terms.gates = Gates.one(inspector.id, registry.registerModel(_hash("unapproved"), ROOT));
        _refuseGate(terms);
        terms.gates = Gates.one(inspector.id, model2);
        _withdrawModel(model2);
        _refuseGate(terms);
        terms.gates = Gates.one(coordinator.id, model);
        _refuseGate(terms);
        terms.gates = Gates.one(0, model);
        _refuseGate(terms);
        terms.gates = Gates.one(maker.id, model);
        _refuse(buyer, _unfit(maker.id, Roles.MANUFACTURER, Roles.INSPECTOR));
        ledger.placeOrder(_hash("order"), terms);
    }

    // ---- accepting, cancelling ----

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

    function test_onlyItsCoordinatorDecides() public check {
        _place("order", _terms(1));
        _setRoles(carrier, Roles.COORDINATOR);
        bytes memory reason = _partyWrong(carrier.id, coordinator.id);
        _refuse(carrier, reason);
        ledger.acceptOrder(_order, ROOT);
        _refuse(carrier, reason);
        ledger.cancelOrder(_order, ROOT);
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
        ledger.confirmDelivery(ROOT, _none(), ROOT);
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

    function test_coordinatorDeclinesByCancelling() public check {
        _place("order", _terms(1));
        uint40 next = _expectRecord();
        emit IOrders.OrderCancelled(next, coordinator.id, _order, coordinator.key, _one(_order), ROOT);
        _as(coordinator);
        ledger.cancelOrder(_order, ROOT);
        _assertOrder(_order, IOrders.OrderState.Cancelled);
        _refuse(coordinator, _stateWrong(IOrders.OrderState.Cancelled));
        ledger.acceptOrder(_order, ROOT);
    }

    function test_coordinatorCancelsWhatItAccepted() public check {
        _acceptedOrder("order", _terms(1));
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
        _refuse(carrier, _partyWrong(carrier.id, coordinator.id));
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

    // ---- completing, delivering ----

    function test_completeAndDeliver() public check {
        _startedOrder("order");
        _finish(_order, 0);
        uint40 next = _expectRecord();
        emit IOrders.OrderCompleted(next, coordinator.id, _order, coordinator.key, _one(_order), ROOT);
        _complete(_order);
        _assertOrder(_order, IOrders.OrderState.Completed);
        next = _expectRecord();
        bytes32 none = keccak256(abi.encode(_none()));
        emit IOrders.OrderDelivered(next, buyer.id, _order, buyer.key, _one(_order), 0, 0, none, ROOT);
        _as(buyer);
        ledger.confirmDelivery(_order, _none(), ROOT);
        _assertOrder(_order, IOrders.OrderState.Delivered);
        _refuse(buyer, _stateWrong(IOrders.OrderState.Delivered));
        ledger.confirmDelivery(_order, _none(), ROOT);
    }

    function test_completeNeedsEveryOperation() public check {
        _acceptedOrder("order", _terms(2));
        _refuse(coordinator, _stateWrong(IOrders.OrderState.Accepted));
        ledger.completeOrder(_order, ROOT);
        _start(_order, 0);
        _refuseCompletion(2);
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
        _refuseCompletion(1);
        _as(maker);
        ledger.declineAssignment(_order, 0, assignment, ROOT);
        _settle();
        uint256 state = vm.snapshotState();
        _complete(_order);
        _settle();
        vm.revertToState(state);
        assignment = _start(_order, 0);
        _refuseCompletion(1);
        _as(coordinator);
        ledger.cancelAssignment(_order, 0, assignment, ROOT);
        _complete(_order);
    }

    function test_revisionAddsOperationsToBeDone() public check {
        _startedOrder("order");
        _finish(_order, 0);
        uint40 proposal = _proposeTerms(true, _terms(2));
        _as(coordinator);
        ledger.acceptRevision(_order, _terms(2), proposal);
        _refuseCompletion(1);
        _start(_order, 1);
        _finish(_order, 1);
        _complete(_order);
    }

    /// @dev The last of the most operations counts as well.
    function test_completeTheLargestOrder() public check {
        _acceptedOrder("order", _terms(64));
        for (uint16 operation; operation < 64; ++operation) {
            if (operation != 0) _refuseCompletion(64 - operation);
            _start(_order, operation);
            _finish(_order, operation);
        }
        _complete(_order);
        _assertOrder(_order, IOrders.OrderState.Completed);
    }

    /// @dev Each operation in any state, with or without a finish before: refused with the number that is not done.
    function testFuzz_completeExactlyWhenAllIsDone(uint256 drawn) public check {
        uint16 operations = uint16(1 + drawn % 4);
        _acceptedOrder("order", _terms(operations + 1));
        _start(_order, operations); // so that the order is in production
        _finish(_order, operations);
        uint16 open;
        for (uint16 operation; operation < operations; ++operation) {
            drawn = uint256(keccak256(abi.encode(drawn)));
            bool finished = drawn % 3 != 0;
            if (finished) {
                _start(_order, operation);
                _finish(_order, operation);
            }
            bool live = _lead(operation, (drawn >> 8) % 8);
            if (!ledger.assignmentOf(_order, operation).finishedOnce || live) ++open;
            assertTrue(!finished || ledger.assignmentOf(_order, operation).finishedOnce);
        }
        if (open == 0) _complete(_order);
        else _refuseCompletion(open);
    }

    function test_onlyItsPartiesCompleteAndDeliver() public check {
        _startedOrder("order");
        _finish(_order, 0);
        _refuse(buyer, _stateWrong(IOrders.OrderState.InProduction));
        ledger.confirmDelivery(_order, _none(), ROOT);
        _setRoles(carrier, Roles.BUYER | Roles.COORDINATOR);
        _refuse(carrier, _partyWrong(carrier.id, coordinator.id));
        ledger.completeOrder(_order, ROOT);
        _complete(_order);
        _refuse(carrier, _partyWrong(carrier.id, buyer.id));
        ledger.confirmDelivery(_order, _none(), ROOT);
        _refuse(coordinator, _roleMissing(coordinator, Roles.COORDINATOR, Roles.BUYER));
        ledger.confirmDelivery(_order, _none(), ROOT);
    }
}
