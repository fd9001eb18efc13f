// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Arrays} from "@openzeppelin/contracts/utils/Arrays.sol";
import {ICustody} from "../src/interfaces/ICustody.sol";
import {ILots} from "../src/interfaces/ILots.sol";
import {IOrders} from "../src/interfaces/IOrders.sol";
import {OrderFixture} from "./OrderFixture.sol";

/// @notice What a hostile member could do under the rules of the generation before: one test for each finding.
contract ThirdTest is OrderFixture {
    /// @dev 700 lots made every proof of an order impossible: a record's data was as long as their list.
    function test_third_N24_aDeliveryIsAsLongWhateverItLists() public check {
        _acceptedOrder("order", _quantified(700));
        _start(_order, 0);
        bytes32[] memory lots = new bytes32[](700);
        for (uint256 i; i < lots.length; ++i) {
            lots[i] = _commission(_order, vm.toString(i), 1);
            _move(maker, _item(lots[i], _order), buyer);
        }
        Arrays.sort(lots);
        _finish(_order, 0);
        _complete(_order);
        uint40 next = _expectRecord();
        bytes32 list = keccak256(abi.encode(lots));
        emit IOrders.OrderDelivered(next, buyer.id, _order, buyer.key, _one(_order), 700, 700, list, ROOT);
        _as(buyer);
        ledger.confirmDelivery(_order, lots, ROOT);
    }

    /// @dev The coordinator took what the buyer had already out of an order without a gate, so that the delivery was never
    /// confirmed.
    function test_third_N14_noCoordinatorTakesWhatTheBuyerHas() public check {
        _acceptedOrder("order", _quantified(4));
        _start(_order, 0);
        bytes32 lot = _commission(_order, "lot", 4);
        _move(maker, _item(lot, _order), buyer);
        _refuse(coordinator, abi.encodeWithSelector(ILots.LotBoundToOrder.selector, lot, _order, buyer.id));
        ledger.deallocateLot(lot, _order, ROOT);
        _finish(_order, 0);
        _complete(_order);
        _refuse(coordinator, abi.encodeWithSelector(ILots.LotBoundToOrder.selector, lot, _order, buyer.id));
        ledger.deallocateLot(lot, _order, ROOT);
        _as(buyer);
        ledger.confirmDelivery(_order, _one(lot), ROOT);
    }

    /// @dev What a company packed deeper than custody moves, before it was suspended, had no end: the pieces could not be
    /// reclaimed while they were packed, and the whole was too deep.
    function test_third_N23_whatTheAbsentPackedIsTakenOutInPieces() public check {
        _acceptedOrder("order", _quantified(1));
        _start(_order, 0);
        bytes32 lot = _commission(_order, "lot", 1);
        _move(maker, _item(lot, _order), carrier);
        bytes32[] memory boxes = _nest(lot, 9);
        _suspend(carrier);
        vm.prank(owner);
        registry.entrust(carrier.id, maker2.id);
        _refuse(maker2, abi.encodeWithSelector(ICustody.CustodyNotReclaimable.selector, boxes[8], carrier.id, START));
        ledger.unpackReclaimable(boxes[8], 0, _one(boxes[7]));
        _warp(block.timestamp + 14 days);
        _refuse(buyer, abi.encodeWithSelector(ICustody.CustodyReclaimForeign.selector, boxes[8], buyer.id, maker2.id));
        ledger.unpackReclaimable(boxes[8], 0, _one(boxes[7]));
        _refuse(maker2, abi.encodeWithSelector(ILots.LotPacked.selector, boxes[7], ledger.lotOf(boxes[8]).number));
        ledger.unpackReclaimable(boxes[7], 0, _one(boxes[6]));
        for (uint256 i = boxes.length; i > 0; --i) {
            (bytes32 outer, bytes32 inner) = (boxes[i - 1], i == 1 ? lot : boxes[i - 2]);
            uint40 next = _expectRecord();
            bytes32[] memory histories = _two(outer, inner);
            emit ILots.LotsUnpacked(next, maker2.id, outer, maker2.key, histories, carrier.id);
            _as(maker2);
            ledger.unpackReclaimable(outer, 0, _one(inner));
        }
        _as(coordinator);
        ledger.reclaimCustody(_item(lot, _order), ROOT);
        _assertLot(lot, ILots.LotState.Held, coordinator);
    }

    /// @dev The carrier packs a lot in a box, that in the next, and so on; outermost last.
    function _nest(bytes32 lot, uint256 depth) private returns (bytes32[] memory boxes) {
        boxes = new bytes32[](depth);
        for (uint256 i; i < depth; ++i) {
            boxes[i] = _receive(carrier, string.concat("box ", vm.toString(i)), 1);
            _pack(carrier, boxes[i], _one(i == 0 ? lot : boxes[i - 1]));
        }
    }

    /// @dev A maker with a started assignment went on making lots of an order that both sides had ended.
    function test_third_N21_anOrderThatEndedGetsNoMoreLots() public check {
        _acceptedOrder("order", _ungated(1));
        _start(_order, 0);
        bytes32 lot = _commission(_order, "lot", 4);
        bytes32 stock = _receive(maker, "stock", 4);
        _end();
        bytes memory ended = abi.encodeWithSelector(IOrders.OrderStateWrong.selector, _order, IOrders.OrderState.Ended);
        _refuse(maker, ended);
        ledger.commissionLot(_hash("more"), _order, 0, 1, PIECE, ROOT);
        _refuse(maker, ended);
        ledger.allocateLot(stock, _order, 0, ROOT);
        ILots.Transformation memory change =
            _change(ILots.TransformationKind.Conversion, _order, _inputs(stock, 4), _outputs("part", 4));
        _refuse(maker, ended);
        ledger.transformLots(change);
        _as(maker);
        ledger.reworkLot(ILots.Rework(lot, _order, 0, ROOT, new ILots.Input[](0)));
    }
}
