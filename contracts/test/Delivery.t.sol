// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ILots} from "../src/interfaces/ILots.sol";
import {IOrders} from "../src/interfaces/IOrders.sol";
import {OrderFixture} from "./OrderFixture.sol";

/// @notice What the buyer has when it confirms delivery, and the quantity that the terms name.
contract DeliveryTest is OrderFixture {
    function setUp() public override {
        super.setUp();
        _acceptedOrder("order", _quantified(10));
        _start(_order, 0);
    }

    function test_M14_deliveryNeedsTheQuantity() public check {
        bytes32[] memory lots = _sorted(_commission(_order, "first", 4), _commission(_order, "second", 6));
        _done();
        _refuseDelivery(_none(), _undelivered(0));
        _move(maker, _item(lots[0], _order), buyer);
        _refuseDelivery(_one(lots[0]), _undelivered(ledger.lotOf(lots[0]).quantity));
        _refuseDelivery(lots, abi.encodeWithSelector(ILots.LotForeign.selector, lots[1], maker.id));
        _move(maker, _item(lots[1], _order), buyer);
        uint40 next = _expectRecord();
        emit IOrders.OrderDelivered(
            next, buyer.id, _order, buyer.key, _one(_order), 2, 10, keccak256(abi.encode(lots)), ROOT
        );
        _as(buyer);
        ledger.confirmDelivery(_order, lots, ROOT);
        _assertOrder(_order, IOrders.OrderState.Delivered);
    }

    function test_M14_eachLotCountsOnce() public check {
        bytes32 lot = _commission(_order, "lot", 5);
        _move(maker, _item(lot, _order), buyer);
        _done();
        _refuseDelivery(_two(lot, lot), abi.encodeWithSelector(ILots.LotsNotAscending.selector, lot));
    }

    /// @dev Neither lots of others nor what is in another unit, set apart or packed.
    function test_M14_onlyWhatIsThereCounts() public check {
        bytes32 lot = _commission(_order, "lot", 10);
        _as(maker);
        bytes32 other = ledger.commissionLot(_hash("other"), _order, 0, 10, "KGM", ROOT);
        _move(maker, _item(lot, _order), buyer);
        _move(maker, _item(other, _order), buyer);
        bytes32 stock = _receive(buyer, "stock", 10);
        _done();
        _refuseDelivery(_one(other), _undelivered(0));
        _refuseDelivery(_one(stock), abi.encodeWithSelector(ILots.LotOrderWrong.selector, stock, _order, 0));
        _quarantine(buyer, lot, _order);
        _refuseDelivery(
            _one(lot), abi.encodeWithSelector(ILots.LotStateWrong.selector, lot, ILots.LotState.Quarantined)
        );
        _as(buyer);
        ledger.releaseLot(lot, _order, ROOT);
        bytes32 box = _receive(buyer, "box", 1);
        _pack(buyer, box, _one(lot));
        _refuseDelivery(_one(lot), abi.encodeWithSelector(ILots.LotPacked.selector, lot, ledger.lotOf(box).number));
    }

    /// @dev Less is delivered when both sides agree to less.
    function test_quantityIsRevised() public check {
        bytes32 lot = _commission(_order, "lot", 4);
        _move(maker, _item(lot, _order), buyer);
        _done();
        _refuseDelivery(_one(lot), _undelivered(4));
        _agree(_quantified(4));
        IOrders.Order memory stored = ledger.orderOf(_order);
        assertEq(stored.quantity, 4);
        assertEq(stored.unit, PIECE);
        _as(buyer);
        ledger.confirmDelivery(_order, _one(lot), ROOT);
    }

    function _done() private {
        _finish(_order, 0);
        _complete(_order);
    }

    function _undelivered(uint256 delivered) private view returns (bytes memory) {
        return abi.encodeWithSelector(IOrders.OrderUndelivered.selector, _order, PIECE, 10, delivered);
    }

    function _refuseDelivery(bytes32[] memory lots, bytes memory reason) private {
        _refuse(buyer, reason);
        ledger.confirmDelivery(_order, lots, ROOT);
    }
}
