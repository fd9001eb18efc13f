// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICustody} from "../src/interfaces/ICustody.sol";
import {IHistory} from "../src/interfaces/IHistory.sol";
import {ILots} from "../src/interfaces/ILots.sol";
import {INotes} from "../src/interfaces/INotes.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {Fixture} from "./Fixture.sol";

/// @notice Custody when something is wrong with the goods: the offer changed, some are missing, a lot failed.
contract ReturnsTest is Fixture {
    bytes32 private _order;
    bytes32 private _lot;

    function setUp() public override {
        super.setUp();
        _order = _startedOrder("order");
        _lot = _commission(_order, "lot", 100);
    }

    // ---- the offer that is accepted ----

    /// @dev What was signed for a hundred pieces does not take the one that is left of them.
    function test_H4_acceptanceNamesTheOffer() public check {
        _offer(maker, _item(_lot, _order), carrier);
        uint40 seen = ledger.offerOf(_lot).sequence;
        _as(maker);
        ledger.withdrawCustody(_lot, ROOT);
        _as(maker);
        ledger.scrapLot(_lot, 99, ILots.Disposition.Scrapped, ROOT);
        _offer(maker, _item(_lot, _order), carrier);
        uint40 standing = ledger.offerOf(_lot).sequence;
        bytes memory reason = abi.encodeWithSelector(ICustody.CustodyOfferWrong.selector, _lot, seen, standing);
        _refuse(carrier, reason);
        ledger.acceptCustody(_item(_lot, _order), seen, ROOT);
        _refuse(carrier, reason);
        ledger.declineCustody(_lot, seen, ROOT);
        _as(carrier);
        ledger.acceptCustody(_item(_lot, _order), standing, ROOT);
        _assertLot(_lot, ILots.LotState.Held, carrier);
    }

    /// @dev Records of others, here a verdict, leave the acceptance as it was signed.
    function test_H4_aVerdictDoesNotVoidAnAcceptance() public check {
        _offer(maker, _item(_lot, _order), carrier);
        uint40 seen = ledger.offerOf(_lot).sequence;
        _pass(_lot, _order);
        _as(carrier);
        ledger.acceptCustody(_item(_lot, _order), seen, ROOT);
        _assertLot(_lot, ILots.LotState.Held, carrier);
    }

    /// @dev What is in an offered lot, and how much, cannot change while it is offered.
    function test_H4_contentsStayWhileOffered() public check {
        bytes32 pallet = _receive(maker, "pallet", 1);
        bytes32 other = _receive(maker, "other", 1);
        _pack(maker, pallet, _one(_lot));
        _offer(maker, _items(pallet, _one(_lot), _order), carrier);
        bytes memory reason = _lotState(pallet, ILots.LotState.Offered);
        _refuse(maker, reason);
        ledger.unpackLots(pallet, _one(_lot));
        _refuse(maker, reason);
        ledger.packLots(pallet, _one(other));
        _refuse(maker, reason);
        ledger.scrapLot(pallet, 1, ILots.Disposition.Lost, ROOT);
    }

    // ---- less than all ----

    /// @dev Who takes less than was offered takes all and says so; the rest is split off, and returned or written off.
    function test_theRestGoesBack() public check {
        _offer(maker, _item(_lot, _order), carrier);
        uint40 offer = ledger.offerOf(_lot).sequence;
        bytes[] memory calls = new bytes[](2);
        calls[0] = abi.encodeCall(ICustody.acceptCustody, (_item(_lot, _order), offer, ROOT));
        calls[1] = abi.encodeCall(INotes.note, (_one(_lot), new bytes32[](1), 7, 0, LEAF));
        _as(carrier);
        ledger.multicall(calls);
        _transform(
            carrier,
            _change(ILots.TransformationKind.Split, _order, _inputs(_lot, 3), _outputs("broken", 2, "missing", 1))
        );
        _move(carrier, _item(_lotName(carrier, "broken"), _order), maker);
        _as(carrier);
        ledger.scrapLot(_lotName(carrier, "missing"), 1, ILots.Disposition.Lost, ROOT);
        assertEq(ledger.lotOf(_lot).quantity, 97);
    }

    // ---- how a quantity leaves ----

    function test_dispositions() public check {
        for (uint8 i; i <= uint8(type(ILots.Disposition).max); ++i) {
            ILots.Disposition disposition = ILots.Disposition(i);
            uint40 next = _expectRecord();
            emit ILots.LotScrapped(next, maker.id, _lot, maker.key, _one(_lot), 10, disposition, ROOT);
            _as(maker);
            ledger.scrapLot(_lot, 10, disposition, ROOT);
        }
        assertEq(ledger.lotOf(_lot).quantity, 50);
    }

    function test_nothingIsHandedOnOutOfQuarantine() public check {
        _quarantine(maker, _lot, _order);
        bytes memory reason = _lotState(_lot, ILots.LotState.Quarantined);
        _refuse(maker, reason);
        ledger.scrapLot(_lot, 1, ILots.Disposition.Sold, ROOT);
        _refuse(maker, reason);
        ledger.scrapLot(_lot, 1, ILots.Disposition.Exported, ROOT);
        _as(maker);
        ledger.scrapLot(_lot, 1, ILots.Disposition.Recycled, ROOT);
        _as(maker);
        ledger.scrapLot(_lot, 1, ILots.Disposition.Lost, ROOT);
    }

    // ---- a failed lot goes back ----

    /// @dev It fails on the way, goes back to its maker, is reworked there, passes and goes out again.
    function test_H6_failedLotReturnsToItsMaker() public check {
        _move(maker, _item(_lot, _order), carrier);
        _fail(_lot, _order);
        uint40 next = _expectRecord();
        emit ICustody.ReturnOffered(next, carrier.id, _lot, carrier.key, _one(_lot), maker.id, LEAF);
        _return(carrier, _lot, maker, "lot");
        _assertLot(_lot, ILots.LotState.Returning, carrier);
        assertEq(ledger.lotOf(_lot).counterparty, inspector.id);
        _accept(maker, _item(_lot, _order));
        _assertLot(_lot, ILots.LotState.Quarantined, maker);
        assertEq(ledger.lotOf(_lot).counterparty, inspector.id);
        _as(maker);
        ledger.reworkLot(ILots.Rework(_lot, _order, 0, ROOT, new ILots.Input[](0)));
        _pass(_lot, _order);
        _move(maker, _item(_lot, _order), buyer);
        _assertLot(_lot, ILots.LotState.Held, buyer);
    }

    function test_H6_onlyToItsMaker() public check {
        _move(maker, _item(_lot, _order), carrier);
        _refuseReturn(carrier, maker.id, _lotState(_lot, ILots.LotState.Held));
        _fail(_lot, _order);
        bytes memory reason = abi.encodeWithSelector(ICustody.CustodyNotTheMaker.selector, _lot, maker2.id);
        _refuseReturn(carrier, maker2.id, reason);
        reason = abi.encodeWithSelector(IHistory.HistoryParticipantUnfit.selector, 99, 0, Roles.HOLDER);
        _refuseReturn(carrier, 99, reason);
        _refuseReturn(maker2, maker.id, abi.encodeWithSelector(ILots.LotForeign.selector, _lot, carrier.id));
        _refuseReturn(maker, maker.id, abi.encodeWithSelector(ICustody.CustodyToSelf.selector, _lot));
        reason = _lotState(_lot, ILots.LotState.Quarantined);
        _refuse(carrier, reason);
        ledger.offerCustody(_item(_lot, _order), maker.id, ROOT);
    }

    function test_returnedLotIsEmpty() public check {
        bytes32 box = _receive(maker, "box", 1);
        _pack(maker, box, _one(_lot));
        _move(maker, _items(box, _one(_lot), _order), carrier);
        _quarantine(carrier, box, 0);
        _refuse(carrier, abi.encodeWithSelector(ILots.LotNotEmpty.selector, box, 1));
        ledger.returnLot(box, maker.id, _hash("box"), ROOT);
        _as(carrier);
        ledger.unpackLots(box, _one(_lot));
        _return(carrier, box, maker, "box");
        _accept(maker, _item(box, 0));
        _assertLot(box, ILots.LotState.Quarantined, maker);
    }

    /// @dev Declined or withdrawn, it is as quarantined as before.
    function test_H6_quarantineSurvivesTheOffer() public check {
        _move(maker, _item(_lot, _order), carrier);
        _fail(_lot, _order);
        _return(carrier, _lot, maker, "lot");
        uint40 offer = ledger.offerOf(_lot).sequence;
        _refuse(maker2, abi.encodeWithSelector(ICustody.CustodyNotOffered.selector, _lot, maker.id));
        ledger.acceptCustody(_item(_lot, _order), offer, ROOT);
        _as(maker);
        ledger.declineCustody(_lot, offer, ROOT);
        _assertReturned();
        _return(carrier, _lot, maker, "lot");
        bytes memory reason = _lotState(_lot, ILots.LotState.Returning);
        _refuse(carrier, reason);
        ledger.scrapLot(_lot, 1, ILots.Disposition.Scrapped, ROOT);
        _refuse(inspector, reason);
        ledger.releaseLot(_lot, _order, ROOT);
        _as(carrier);
        ledger.withdrawCustody(_lot, ROOT);
        _assertReturned();
    }

    /// @dev A verdict on its way: the inspector's pass ends quarantine and offer, its fail the offer alone.
    function test_verdictsOnTheWayBack() public check {
        _move(maker, _item(_lot, _order), carrier);
        _fail(_lot, _order);
        _return(carrier, _lot, maker, "lot");
        _fail(_lot, _order);
        _assertReturned();
        _return(carrier, _lot, maker, "lot");
        _pass(_lot, _order);
        _assertLot(_lot, ILots.LotState.Held, carrier);
        assertEq(ledger.lotOf(_lot).counterparty, 0);
    }

    /// @dev A stranger's fail does not take over the quarantine of a lot on its way back.
    function test_strangersVerdictOnTheWayBack() public check {
        bytes32 loose = _receive(maker, "loose", 1);
        _move(maker, _item(loose, 0), carrier);
        _quarantine(carrier, loose, 0);
        _return(carrier, loose, maker, "loose");
        _fail(loose, 0);
        _assertLot(loose, ILots.LotState.Returning, carrier);
        assertEq(ledger.lotOf(loose).counterparty, carrier.id);
    }

    // ---- out of a quarantined parent ----

    /// @dev A quarantine of the pallet holds the pallet, not the parts on it.
    function test_H7_contentsLeaveAQuarantinedPallet() public check {
        bytes32 pallet = _receive(maker, "pallet", 1);
        bytes32 second = _commission(_order, "second", 5);
        _pass(second, _order);
        bytes32[] memory lots = _sorted(_lot, second);
        _pack(maker, pallet, lots);
        _quarantine(maker, pallet, 0);
        _assertLot(pallet, ILots.LotState.Quarantined, maker);
        _as(maker);
        ledger.unpackLots(pallet, lots);
        _move(maker, _item(second, _order), buyer);
        _assertLot(second, ILots.LotState.Held, buyer);
        _return(maker, pallet, maker, "pallet", abi.encodeWithSelector(ICustody.CustodyToSelf.selector, pallet));
    }

    function test_nothingLeavesAParentOnItsWay() public check {
        bytes32 pallet = _receive(maker, "pallet", 1);
        _pack(maker, pallet, _one(_lot));
        _offer(maker, _items(pallet, _one(_lot), _order), carrier);
        _refuse(maker, _lotState(pallet, ILots.LotState.Offered));
        ledger.unpackLots(pallet, _one(_lot));
    }

    // ---- after delivery ----

    function test_M4_custodianReleasesAfterDelivery() public check {
        _deliver();
        _quarantine(inspector, _lot, _order);
        _refuse(carrier, abi.encodeWithSelector(ILots.LotForeign.selector, _lot, buyer.id));
        ledger.releaseLot(_lot, _order, ROOT);
        _refuse(buyer, abi.encodeWithSelector(ILots.LotOrderWrong.selector, _lot, 0, ledger.orderOf(_order).sequence));
        ledger.releaseLot(_lot, 0, ROOT);
        _as(buyer);
        ledger.releaseLot(_lot, _order, ROOT);
        _assertLot(_lot, ILots.LotState.Held, buyer);
    }

    // ---- inside ----

    function _deliver() private {
        _pass(_lot, _order);
        _move(maker, _item(_lot, _order), buyer);
        _finish(_order, 0);
        _as(coordinator);
        ledger.completeOrder(_order, ROOT);
        _as(buyer);
        ledger.confirmDelivery(_order, _none(), ROOT);
    }

    function _assertReturned() private view {
        _assertLot(_lot, ILots.LotState.Quarantined, carrier);
        assertEq(ledger.lotOf(_lot).counterparty, inspector.id);
    }

    function _return(Party storage from, bytes32 lot, Party storage to, string memory name) private {
        _as(from);
        ledger.returnLot(lot, to.id, _hash(name), LEAF);
    }

    function _return(Party storage from, bytes32 lot, Party storage to, string memory name, bytes memory reason)
        private
    {
        _refuse(from, reason);
        ledger.returnLot(lot, to.id, _hash(name), LEAF);
    }

    function _refuseReturn(Party storage from, uint32 to, bytes memory reason) private {
        _refuse(from, reason);
        ledger.returnLot(_lot, to, _hash("lot"), ROOT);
    }

    function _lotState(bytes32 lot, ILots.LotState state) private pure returns (bytes memory) {
        return abi.encodeWithSelector(ILots.LotStateWrong.selector, lot, state);
    }
}
