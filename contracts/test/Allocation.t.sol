// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAssignments} from "../src/interfaces/IAssignments.sol";
import {ILots} from "../src/interfaces/ILots.sol";
import {IOrders} from "../src/interfaces/IOrders.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {TransformationFixture} from "./TransformationFixture.sol";

/// @notice Lots between orders and stock, by whose consent.
contract AllocationTest is TransformationFixture {
    // ---- the gate goes with the goods ----

    /// @dev The maker is buyer and coordinator of a second order, and hands over under that one what never passed.
    function test_C3_gatedLotIsNotConvertedIntoTheMakersOwnOrder() public check {
        _setRoles(maker, Roles.MANUFACTURER | Roles.BUYER | Roles.COORDINATOR);
        _as(maker);
        bytes32 own = ledger.placeOrder(_hash("own"), _coordinatedBy(maker.id, _ungated(1)));
        vm.startPrank(maker.key);
        ledger.acceptOrder(own, ROOT);
        uint40 assignment = ledger.proposeAssignment(own, 0, machine, ROOT);
        ledger.acceptAssignment(own, 0, assignment, ROOT);
        ledger.startAssignment(own, 0, assignment, stream, ROOT);
        vm.stopPrank();
        _refuseChange(maker, _change(CONVERSION, own, _inputs(_lot, 10), _outputs("part", 10)), _bound(_lot));
        bytes32 bare = _receive(maker, "bare", 1);
        ILots.Input[] memory inputs = _ascending(_component(_lot, 1), _input(bare, 1));
        _refuseChange(maker, _change(CONVERSION, own, inputs, _outputs("part", 1)), _bound(_lot));
    }

    function test_C3b_gatedLotIsNotConvertedIntoAnUngatedOrderOfItsBuyer() public check {
        bytes32 ungated = _acceptedOrder("ungated", _ungated(1));
        _start(ungated, 0);
        ILots.Transformation memory change = _change(CONVERSION, ungated, _inputs(_lot, 10), _outputs("part", 10));
        _refuseChange(maker, change, _bound(_lot));
        _as(buyer);
        ledger.deallocateLot(_lot, _order, ROOT);
        change.inputs = _inputs(_lot, 10);
        _transform(maker, change);
        assertEq(ledger.lotOf(_lotName(maker, "part")).order, ledger.orderOf(ungated).sequence);
    }

    /// @dev A buyer that is a maker for others uses what it bought, under their order.
    function test_buyerConvertsWhatItBoughtIntoAnotherOrder() public check {
        _setRoles(buyer, Roles.BUYER | Roles.MANUFACTURER);
        uint40 press = _registerMachine(buyer, "press");
        bytes32 gauge = _openStream(buyer, press, "gauge");
        bytes32 other = _acceptedOrder("other", _terms(1));
        _as(coordinator);
        uint40 assignment = ledger.proposeAssignment(other, 0, press, ROOT);
        vm.startPrank(buyer.key);
        ledger.acceptAssignment(other, 0, assignment, ROOT);
        ledger.startAssignment(other, 0, assignment, gauge, ROOT);
        vm.stopPrank();
        _pass(_lot, _order);
        _move(maker, _item(_lot, _order), buyer);
        _transform(buyer, _change(CONVERSION, other, _inputs(_lot, 10), _outputs("part", 10)));
        assertEq(ledger.lotOf(_lotName(buyer, "part")).order, ledger.orderOf(other).sequence);
    }

    // ---- stock and orders ----

    function test_D4_buyerUsesADeliveredLot() public check {
        _pass(_lot, _order);
        _move(maker, _item(_lot, _order), buyer);
        _finish(_order, 0);
        _complete(_order);
        _as(buyer);
        ledger.confirmDelivery(_order, _none(), ROOT);
        ILots.Transformation memory change = _change(SPLIT, 0, _inputs(_lot, 4), _outputs("a", 1, "b", 3));
        _transform(buyer, change);
        assertEq(ledger.lotOf(_lotName(buyer, "b")).order, 0);
        _setRoles(buyer, Roles.BUYER | Roles.MANUFACTURER);
        _transform(buyer, _change(CONVERSION, 0, _inputs(_lot, 6), _outputs("shelf", 6)));
        assertEq(ledger.lotOf(_lotName(buyer, "shelf")).order, 0);
    }

    function test_D4_surplusGoesToStockByTheBuyer() public check {
        bytes memory reason = abi.encodeWithSelector(ILots.LotBoundToOrder.selector, _lot, _order, buyer.id);
        _refuse(coordinator, reason);
        ledger.deallocateLot(_lot, _order, ROOT);
        uint40 next = _expectRecord();
        emit ILots.LotDeallocated(next, buyer.id, _lot, buyer.key, _one(_lot), _order, ROOT);
        _as(buyer);
        ledger.deallocateLot(_lot, _order, ROOT);
        assertEq(ledger.lotOf(_lot).order, 0);
        _refuse(buyer, _orderWrong(_lot, _order, 0));
        ledger.deallocateLot(_lot, _order, ROOT);
        _refuse(buyer, abi.encodeWithSelector(IOrders.OrderUnknown.selector, 0));
        ledger.deallocateLot(_lot, 0, ROOT);
    }

    function test_D4_surplusOfAnUngatedOrderByItsCoordinator() public check {
        bytes32 ungated = _acceptedOrder("ungated", _ungated(1));
        _start(ungated, 0);
        bytes32 lot = _commission(ungated, "surplus", 3);
        _as(coordinator);
        ledger.deallocateLot(lot, ungated, ROOT);
        _transform(maker, _change(CONVERSION, 0, _inputs(lot, 3), _outputs("part", 3)));
        _refuse(maker, _roleMissing(maker, Roles.MANUFACTURER, Roles.BUYER | Roles.COORDINATOR));
        ledger.deallocateLot(_lot, _order, ROOT);
    }

    function test_D4_failedSurplusIsReworkedInStock() public check {
        _fail(_lot, _order);
        _as(buyer);
        ledger.deallocateLot(_lot, _order, ROOT);
        _assertLot(_lot, ILots.LotState.Quarantined, maker);
        _as(maker);
        ledger.reworkLot(ILots.Rework(_lot, 0, 0, ROOT, new ILots.Input[](0)));
        _assertLot(_lot, ILots.LotState.Quarantined, maker);
    }

    function test_deallocatedLotIsFree() public check {
        _offer(maker, _item(_lot, _order), carrier);
        _refuse(buyer, _lotState(_lot, ILots.LotState.Offered));
        ledger.deallocateLot(_lot, _order, ROOT);
        _as(maker);
        ledger.withdrawCustody(_lot, ROOT);
        bytes32 pallet = _receive(maker, "pallet", 1);
        _pack(maker, pallet, _one(_lot));
        _refuse(buyer, abi.encodeWithSelector(ILots.LotPacked.selector, _lot, ledger.lotOf(pallet).number));
        ledger.deallocateLot(_lot, _order, ROOT);
    }

    function test_D4_stockIsAllocatedToAnOrder() public check {
        bytes32 stock = _receive(maker, "stock", 3);
        uint40 assignment = ledger.assignmentOf(_order, 0).sequence;
        uint40 next = _expectRecord();
        emit ILots.LotAllocated(next, maker.id, stock, maker.key, _one(stock), _order, assignment, ROOT);
        _as(maker);
        ledger.allocateLot(stock, _order, 0, ROOT);
        assertEq(ledger.lotOf(stock).order, ledger.orderOf(_order).sequence);
        _refuse(maker, _gateClosed(stock));
        ledger.offerCustody(_item(stock, _order), buyer.id, ROOT);
        _pass(stock, _order);
        _move(maker, _item(stock, _order), buyer);
    }

    function test_allocationNeedsBothSides() public check {
        bytes32 stock = _receive(maker, "stock", 3);
        bytes32 others = _receive(maker2, "others", 3);
        _refuse(maker, _orderWrong(_lot, 0, ledger.orderOf(_order).sequence));
        ledger.allocateLot(_lot, _order, 0, ROOT);
        _refuse(maker, abi.encodeWithSelector(ILots.LotForeign.selector, others, maker2.id));
        ledger.allocateLot(others, _order, 0, ROOT);
        _refuse(maker2, abi.encodeWithSelector(IAssignments.AssignmentForeign.selector, _order, 0, maker.id));
        ledger.allocateLot(others, _order, 0, ROOT);
        _refuse(maker, abi.encodeWithSelector(IOrders.OrderUnknown.selector, 0));
        ledger.allocateLot(stock, 0, 0, ROOT);
        _quarantine(maker, stock, 0);
        _refuse(maker, _lotState(stock, ILots.LotState.Quarantined));
        ledger.allocateLot(stock, _order, 0, ROOT);
        _as(maker);
        ledger.releaseLot(stock, 0, ROOT);
        _finish(_order, 0);
        _refuse(maker, _assignmentState(IAssignments.AssignmentState.Finished));
        ledger.allocateLot(stock, _order, 0, ROOT);
    }
}
