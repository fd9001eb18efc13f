// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAssignments} from "../src/interfaces/IAssignments.sol";
import {IHistory} from "../src/interfaces/IHistory.sol";
import {ILots} from "../src/interfaces/ILots.sol";
import {IOrders} from "../src/interfaces/IOrders.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {Fixture} from "./Fixture.sol";

contract LotsTest is Fixture {
    bytes32 private _order;

    function setUp() public override {
        super.setUp();
        _order = _startedOrder("order");
    }

    // ---- coming to be ----

    function test_commission() public check {
        bytes32 lot = _lotName(maker, "lot");
        uint40 assignment = ledger.assignmentOf(_order, 0).sequence;
        uint40 next = _expectRecord();
        emit ILots.LotCommissioned(next, maker.id, lot, maker.key, _one(lot), _order, assignment, 5, PIECE, ROOT);
        assertEq(_commission(_order, "lot", 5), lot);
        ILots.Lot memory stored = ledger.lotOf(lot);
        assertEq(stored.number, uint256(next) * 64);
        assertEq(stored.order, ledger.orderOf(_order).sequence);
        assertEq(stored.quantity, 5);
        assertEq(bytes32(stored.unit), bytes32(PIECE));
        assertEq(uint256(stored.counterparty) + stored.contents, 0);
        assertFalse(stored.packed);
        _assertLot(lot, ILots.LotState.Held, maker);
        _refuse(maker, abi.encodeWithSelector(IHistory.HistorySubjectTaken.selector, lot));
        ledger.commissionLot(_hash("lot"), _order, 0, 5, PIECE, ROOT);
        _refuse(maker, abi.encodeWithSelector(IHistory.HistorySubjectTaken.selector, lot));
        ledger.receiveLot(_hash("lot"), 5, PIECE, ROOT);
    }

    function test_commissionRefusals() public check {
        _refuse(carrier, _roleMissing(carrier, Roles.CARRIER, Roles.MANUFACTURER));
        ledger.commissionLot(_hash("lot"), _order, 0, 5, PIECE, ROOT);
        _refuse(maker, abi.encodeWithSelector(IOrders.OrderUnknown.selector, ROOT));
        ledger.commissionLot(_hash("lot"), ROOT, 0, 5, PIECE, ROOT);
        _refuse(maker, abi.encodeWithSelector(IOrders.OrderUnknown.selector, bytes32(0)));
        ledger.commissionLot(_hash("lot"), 0, 0, 5, PIECE, ROOT);
        _refuse(maker, abi.encodeWithSelector(IAssignments.AssignmentNotCurrent.selector, _order, 1, 0, 0));
        ledger.commissionLot(_hash("lot"), _order, 1, 5, PIECE, ROOT);
        _refuse(maker2, abi.encodeWithSelector(IAssignments.AssignmentForeign.selector, _order, 0, maker.id));
        ledger.commissionLot(_hash("lot"), _order, 0, 5, PIECE, ROOT);
        _refuse(maker, abi.encodeWithSelector(ILots.LotQuantityZero.selector));
        ledger.commissionLot(_hash("lot"), _order, 0, 0, PIECE, ROOT);
        _refuse(maker, abi.encodeWithSelector(ILots.LotUnitMissing.selector));
        ledger.commissionLot(_hash("lot"), _order, 0, 5, 0, ROOT);
        _finish(_order, 0);
        _refuse(
            maker,
            abi.encodeWithSelector(
                IAssignments.AssignmentStateWrong.selector, _order, 0, IAssignments.AssignmentState.Finished
            )
        );
        ledger.commissionLot(_hash("lot"), _order, 0, 5, PIECE, ROOT);
    }

    function test_receive() public check {
        bytes32 lot = _lotName(carrier, "lot");
        uint40 next = _expectRecord();
        emit ILots.LotReceived(next, carrier.id, lot, carrier.key, _one(lot), 7, PIECE, ROOT);
        assertEq(_receive(carrier, "lot", 7), lot);
        assertEq(ledger.lotOf(lot).order, 0);
        assertEq(ledger.lotOf(lot).contents, 0);
        _assertLot(lot, ILots.LotState.Held, carrier);
        _refuse(auditor, _roleMissing(auditor, Roles.AUDITOR, Roles.HOLDER));
        ledger.receiveLot(_hash("lot"), 5, PIECE, ROOT);
        _refuse(carrier, abi.encodeWithSelector(ILots.LotQuantityZero.selector));
        ledger.receiveLot(_hash("other"), 0, PIECE, ROOT);
    }

    // ---- scrapping ----

    function test_scrapSomeThenAll() public check {
        bytes32 lot = _receive(carrier, "lot", 7);
        uint40 next = _expectRecord();
        emit ILots.LotScrapped(next, carrier.id, lot, carrier.key, _one(lot), 3, ILots.Disposition.Scrapped, ROOT);
        _scrap(carrier, lot, 3);
        assertEq(ledger.lotOf(lot).quantity, 4);
        _assertLot(lot, ILots.LotState.Held, carrier);
        _scrap(carrier, lot, 4);
        _assertLot(lot, ILots.LotState.Spent, carrier);
        _refuse(carrier, abi.encodeWithSelector(ILots.LotStateWrong.selector, lot, ILots.LotState.Spent));
        ledger.scrapLot(lot, 1, ILots.Disposition.Scrapped, ROOT);
    }

    function test_scrapFromQuarantine() public check {
        bytes32 lot = _receive(carrier, "lot", 7);
        _quarantine(carrier, lot, 0);
        _scrap(carrier, lot, 3);
        _assertLot(lot, ILots.LotState.Quarantined, carrier);
        assertEq(ledger.lotOf(lot).counterparty, carrier.id);
        _scrap(carrier, lot, 4);
        _assertLot(lot, ILots.LotState.Spent, carrier);
        assertEq(ledger.lotOf(lot).counterparty, 0);
    }

    function test_scrapRefusals() public check {
        bytes32 lot = _receive(carrier, "lot", 7);
        _refuse(carrier, abi.encodeWithSelector(ILots.LotQuantityZero.selector));
        ledger.scrapLot(lot, 0, ILots.Disposition.Scrapped, ROOT);
        _refuse(carrier, abi.encodeWithSelector(ILots.LotOverConsumed.selector, lot, 7, 8));
        ledger.scrapLot(lot, 8, ILots.Disposition.Scrapped, ROOT);
        _refuse(maker, abi.encodeWithSelector(ILots.LotForeign.selector, lot, carrier.id));
        ledger.scrapLot(lot, 1, ILots.Disposition.Scrapped, ROOT);
        _refuse(carrier, abi.encodeWithSelector(ILots.LotUnknown.selector, ROOT));
        ledger.scrapLot(ROOT, 1, ILots.Disposition.Scrapped, ROOT);
        _refuse(auditor, _roleMissing(auditor, Roles.AUDITOR, Roles.HOLDER));
        ledger.scrapLot(lot, 1, ILots.Disposition.Scrapped, ROOT);
        _offer(carrier, _item(lot, 0), maker);
        _refuse(carrier, abi.encodeWithSelector(ILots.LotStateWrong.selector, lot, ILots.LotState.Offered));
        ledger.scrapLot(lot, 1, ILots.Disposition.Scrapped, ROOT);
    }

    // ---- packing ----

    function test_packAndUnpack() public check {
        bytes32 parent = _receive(maker, "pallet", 1);
        bytes32[] memory lots = _sorted(_commission(_order, "a", 5), _commission(_order, "b", 5));
        bytes32[] memory histories = _histories(parent, lots);
        uint40 next = _expectRecord();
        emit ILots.LotsPacked(next, maker.id, parent, maker.key, histories);
        _pack(maker, parent, lots);
        assertEq(ledger.lotOf(parent).contents, 2);
        assertTrue(ledger.lotOf(lots[0]).packed);
        assertEq(ledger.lotOf(lots[0]).holder, ledger.lotOf(parent).number);
        next = _expectRecord();
        emit ILots.LotsUnpacked(next, maker.id, parent, maker.key, _two(parent, lots[1]), maker.id);
        _as(maker);
        ledger.unpackLots(parent, _one(lots[1]));
        assertEq(ledger.lotOf(parent).contents, 1);
        assertFalse(ledger.lotOf(lots[1]).packed);
        assertEq(ledger.lotOf(lots[1]).holder, maker.id);
        _assertLot(lots[1], ILots.LotState.Held, maker);
    }

    function test_packRefusals() public check {
        bytes32 parent = _receive(maker, "pallet", 1);
        bytes32 a = _commission(_order, "a", 5);
        bytes32 b = _commission(_order, "b", 5);
        _refusePack(parent, new bytes32[](0), abi.encodeWithSelector(ILots.LotsMissing.selector));
        _refusePack(parent, new bytes32[](65), abi.encodeWithSelector(ILots.LotsTooMany.selector, 65, 64));
        bytes32[] memory lots = _sorted(a, b);
        (lots[0], lots[1]) = (lots[1], lots[0]);
        _refusePack(parent, lots, abi.encodeWithSelector(ILots.LotsNotAscending.selector, lots[1]));
        lots[1] = lots[0];
        _refusePack(parent, lots, abi.encodeWithSelector(ILots.LotsNotAscending.selector, lots[0]));
        _refusePack(parent, _one(ROOT), abi.encodeWithSelector(ILots.LotUnknown.selector, ROOT));
        _refusePack(ROOT, _one(a), abi.encodeWithSelector(ILots.LotUnknown.selector, ROOT));
        uint40 number = ledger.lotOf(parent).number;
        _refusePack(parent, _one(parent), abi.encodeWithSelector(ILots.LotPacked.selector, parent, number));
        bytes32 foreign = _receive(maker2, "foreign", 1);
        bytes memory reason = abi.encodeWithSelector(ILots.LotForeign.selector, foreign, maker2.id);
        _refusePack(parent, _one(foreign), reason);
        _refusePack(foreign, _one(a), reason);
        _quarantine(maker, a, _order);
        reason = abi.encodeWithSelector(ILots.LotStateWrong.selector, a, ILots.LotState.Quarantined);
        _refusePack(parent, _one(a), reason);
        _refusePack(a, _one(b), reason);
        _refuse(auditor, _roleMissing(auditor, Roles.AUDITOR, Roles.HOLDER));
        ledger.packLots(parent, _one(b));
    }

    function test_packedLotStaysInItsParent() public check {
        (bytes32 parent, bytes32 child) = _packedPair();
        bytes memory reason = abi.encodeWithSelector(ILots.LotPacked.selector, child, ledger.lotOf(parent).number);
        bytes32 other = _receive(maker, "other", 1);
        _refusePack(other, _one(child), reason);
        _refusePack(child, _one(other), reason);
        _refuse(maker, reason);
        ledger.scrapLot(child, 1, ILots.Disposition.Scrapped, ROOT);
        _refuse(maker, reason);
        ledger.offerCustody(_item(child, _order), carrier.id, ROOT);
        _refuse(maker, reason);
        ledger.quarantineLot(child, _order, ROOT);
        _refuse(maker, reason);
        ledger.unpackLots(child, _one(other));
        _refusePack(child, _one(parent), reason);
    }

    function test_parentWithContentsIsNotUsedUp() public check {
        (bytes32 parent,) = _packedPair();
        _refuse(maker, abi.encodeWithSelector(ILots.LotNotEmpty.selector, parent, 1));
        ledger.scrapLot(parent, 1, ILots.Disposition.Scrapped, ROOT);
    }

    function test_unpackRefusals() public check {
        (bytes32 parent, bytes32 child) = _packedPair();
        bytes32 loose = _commission(_order, "loose", 5);
        uint40 number = ledger.lotOf(parent).number;
        _refuseUnpack(maker, parent, loose, abi.encodeWithSelector(ILots.LotNotInParent.selector, loose, 0, number));
        uint40 wrong = ledger.lotOf(loose).number;
        _refuseUnpack(maker, loose, child, abi.encodeWithSelector(ILots.LotNotInParent.selector, child, number, wrong));
        _refuseUnpack(maker2, parent, child, abi.encodeWithSelector(ILots.LotForeign.selector, parent, maker.id));
        _refuseUnpack(maker, parent, ROOT, abi.encodeWithSelector(ILots.LotUnknown.selector, ROOT));
        _refuse(maker, abi.encodeWithSelector(ILots.LotsMissing.selector));
        ledger.unpackLots(parent, new bytes32[](0));
        _refuseUnpack(auditor, parent, child, _roleMissing(auditor, Roles.AUDITOR, Roles.HOLDER));
        _offer(maker, _items(parent, _one(child), _order), carrier);
        bytes memory reason = abi.encodeWithSelector(ILots.LotStateWrong.selector, parent, ILots.LotState.Offered);
        _refuseUnpack(maker, parent, child, reason);
    }

    function test_packSixtyFour() public check {
        bytes32 parent = _receive(carrier, "pallet", 1);
        bytes32[] memory lots = new bytes32[](64);
        for (uint256 i; i < 64; ++i) {
            lots[i] = _receive(carrier, vm.toString(i), 1);
        }
        for (uint256 i = 1; i < 64; ++i) {
            for (uint256 j = i; j > 0 && lots[j] < lots[j - 1]; --j) {
                (lots[j], lots[j - 1]) = (lots[j - 1], lots[j]);
            }
        }
        _pack(carrier, parent, lots);
        assertEq(ledger.lotOf(parent).contents, 64);
        _as(carrier);
        ledger.unpackLots(parent, lots);
        assertEq(ledger.lotOf(parent).contents, 0);
    }

    /// @dev Lots made by one record are never taken for one another as parents.
    function test_siblingsAreDifferentParents() public check {
        bytes32 whole = _receive(maker, "whole", 4);
        _transform(maker, _change(ILots.TransformationKind.Split, 0, _inputs(whole, 4), _outputs("a", 2, "b", 2)));
        (bytes32 a, bytes32 b) = (_lotName(maker, "a"), _lotName(maker, "b"));
        (uint40 ofA, uint40 ofB) = (ledger.lotOf(a).number, ledger.lotOf(b).number);
        assertEq(ofB, uint256(ofA) + 1);
        (bytes32 inA, bytes32 inB) = (_receive(maker, "in a", 1), _receive(maker, "in b", 1));
        _pack(maker, a, _one(inA));
        _pack(maker, b, _one(inB));
        _refuseUnpack(maker, b, inA, abi.encodeWithSelector(ILots.LotNotInParent.selector, inA, ofA, ofB));
        _refuse(maker, abi.encodeWithSelector(ILots.LotNotInParent.selector, inB, ofB, ofA));
        ledger.offerCustody(_items(a, _one(inB), 0), carrier.id, ROOT);
        _pack(maker, a, _one(b));
        assertEq(ledger.lotOf(a).contents, 2);
    }

    // ---- quarantine ----

    function test_custodianQuarantinesAndReleases() public check {
        bytes32 lot = _commission(_order, "lot", 5);
        uint40 next = _expectRecord();
        emit ILots.LotQuarantined(next, maker.id, lot, maker.key, _one(lot), ROOT);
        _quarantine(maker, lot, _order);
        _assertLot(lot, ILots.LotState.Quarantined, maker);
        assertEq(ledger.lotOf(lot).counterparty, maker.id);
        next = _expectRecord();
        emit ILots.LotReleased(next, maker.id, lot, maker.key, _one(lot), LEAF);
        _as(maker);
        ledger.releaseLot(lot, _order, LEAF);
        _assertLot(lot, ILots.LotState.Held, maker);
        assertEq(ledger.lotOf(lot).counterparty, 0);
    }

    function test_inspectorQuarantinesAndAloneReleases() public check {
        bytes32 lot = _commission(_order, "lot", 5);
        _quarantine(inspector, lot, _order);
        _assertLot(lot, ILots.LotState.Quarantined, maker);
        _refuse(maker, abi.encodeWithSelector(ILots.LotQuarantineForeign.selector, lot, inspector.id));
        ledger.releaseLot(lot, _order, ROOT);
        _refuse(inspector2, abi.encodeWithSelector(ILots.LotQuarantineForeign.selector, lot, inspector.id));
        ledger.releaseLot(lot, _order, ROOT);
        _as(inspector);
        ledger.releaseLot(lot, _order, ROOT);
        _assertLot(lot, ILots.LotState.Held, maker);
    }

    function test_quarantineEndsAnOffer() public check {
        bytes32 lot = _commission(_order, "lot", 5);
        _offer(maker, _item(lot, _order), carrier);
        _quarantine(inspector, lot, _order);
        _refuse(carrier, abi.encodeWithSelector(ILots.LotStateWrong.selector, lot, ILots.LotState.Quarantined));
        ledger.acceptCustody(_item(lot, _order), 1, ROOT);
        _as(inspector);
        ledger.releaseLot(lot, _order, ROOT);
        _refuse(carrier, abi.encodeWithSelector(ILots.LotStateWrong.selector, lot, ILots.LotState.Held));
        ledger.acceptCustody(_item(lot, _order), 1, ROOT);
    }

    function test_inspectorQuarantinesAPackedLot() public check {
        (bytes32 parent, bytes32 child) = _packedPair();
        _quarantine(inspector, child, _order);
        _refuse(maker, abi.encodeWithSelector(ILots.LotStateWrong.selector, child, ILots.LotState.Quarantined));
        ledger.offerCustody(_items(parent, _one(child), _order), carrier.id, ROOT);
        _as(maker);
        ledger.unpackLots(parent, _one(child));
        _assertLot(child, ILots.LotState.Quarantined, maker);
        _offer(maker, _item(parent, 0), carrier);
    }

    function test_quarantineRefusals() public check {
        bytes32 lot = _commission(_order, "lot", 5);
        uint40 sequence = ledger.orderOf(_order).sequence;
        _refuse(maker, abi.encodeWithSelector(ILots.LotOrderWrong.selector, lot, bytes32(0), sequence));
        ledger.quarantineLot(lot, 0, ROOT);
        _refuse(maker, abi.encodeWithSelector(IOrders.OrderUnknown.selector, ROOT));
        ledger.quarantineLot(lot, ROOT, ROOT);
        _refuse(inspector2, abi.encodeWithSelector(ILots.LotForeign.selector, lot, maker.id));
        ledger.quarantineLot(lot, _order, ROOT);
        _refuse(maker, abi.encodeWithSelector(ILots.LotUnknown.selector, ROOT));
        ledger.quarantineLot(ROOT, 0, ROOT);
        _refuse(maker, abi.encodeWithSelector(ILots.LotStateWrong.selector, lot, ILots.LotState.Held));
        ledger.releaseLot(lot, _order, ROOT);
        _quarantine(maker, lot, _order);
        _refuse(inspector, abi.encodeWithSelector(ILots.LotStateWrong.selector, lot, ILots.LotState.Quarantined));
        ledger.quarantineLot(lot, _order, ROOT);
        _refuse(auditor, _roleMissing(auditor, Roles.AUDITOR, Roles.HOLDER));
        ledger.quarantineLot(lot, _order, ROOT);
        _refuse(auditor, _roleMissing(auditor, Roles.AUDITOR, Roles.HOLDER));
        ledger.releaseLot(lot, _order, ROOT);
        _refuse(maker, abi.encodeWithSelector(ILots.LotUnknown.selector, ROOT));
        ledger.releaseLot(ROOT, 0, ROOT);
    }

    /// @dev The inspector of a lot's order has no say over lots of no order.
    function test_looseLotHasNoInspector() public check {
        bytes32 lot = _receive(maker, "loose", 5);
        _refuse(inspector, abi.encodeWithSelector(ILots.LotForeign.selector, lot, maker.id));
        ledger.quarantineLot(lot, 0, ROOT);
        uint40 sequence = 0;
        _refuse(inspector, abi.encodeWithSelector(ILots.LotOrderWrong.selector, lot, _order, sequence));
        ledger.quarantineLot(lot, _order, ROOT);
    }

    // ---- inside ----

    function _packedPair() private returns (bytes32 parent, bytes32 child) {
        parent = _receive(maker, "pallet", 1);
        child = _commission(_order, "child", 5);
        _pack(maker, parent, _one(child));
    }

    function _histories(bytes32 parent, bytes32[] memory lots) private pure returns (bytes32[] memory list) {
        list = new bytes32[](3);
        (list[0], list[1], list[2]) = (parent, lots[0], lots[1]);
    }

    function _scrap(Party storage party, bytes32 lot, uint40 quantity) private {
        _as(party);
        ledger.scrapLot(lot, quantity, ILots.Disposition.Scrapped, ROOT);
    }

    function _refusePack(bytes32 parent, bytes32[] memory lots, bytes memory reason) private {
        _refuse(maker, reason);
        ledger.packLots(parent, lots);
    }

    function _refuseUnpack(Party storage party, bytes32 parent, bytes32 lot, bytes memory reason) private {
        _refuse(party, reason);
        ledger.unpackLots(parent, _one(lot));
    }
}
