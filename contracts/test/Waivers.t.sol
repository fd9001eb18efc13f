// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICertificates} from "../src/interfaces/ICertificates.sol";
import {IGates} from "../src/interfaces/IGates.sol";
import {ILots} from "../src/interfaces/ILots.sol";
import {IOrders} from "../src/interfaces/IOrders.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {GateFixture} from "./GateFixture.sol";

/// @notice What the buyer takes without a gate.
contract WaiversTest is GateFixture {
    function setUp() public override {
        super.setUp();
        _pass(_lot, _order);
    }

    // ---- what it opens ----

    function test_M10_theBuyerTakesALotAsItIs() public check {
        uint40 failed = _proceed(_lot, ICertificates.Verdict.Fail);
        uint40 next = _expectRecord();
        emit IGates.GateWaived(next, buyer.id, _lot, buyer.key, _one(_lot), inspector2.id, failed, LEAF);
        _as(buyer);
        ledger.waiveGate(_lot, _order, inspector2.id, LEAF);
        IGates.Waiver memory waiver = ledger.waiverOf(_lot, inspector2.id);
        assertEq(waiver.order, ledger.orderOf(_order).sequence);
        assertEq(waiver.certificate, failed);
        assertEq(waiver.reworks, 0);
        _release(maker, _lot, _order);
        _move(maker, _item(_lot, _order), buyer);
        _assertLot(_lot, ILots.LotState.Held, buyer);
    }

    /// @dev The inspector is gone, and the buyer does not wait for another.
    function test_H8_theBuyerTakesALotThatNobodyInspects() public check {
        _suspend(inspector2);
        _waive(inspector2);
        assertEq(ledger.waiverOf(_lot, inspector2.id).certificate, 0);
        _move(maker, _item(_lot, _order), buyer);
    }

    function test_whateverIsOpenIsWaived() public check {
        uint40 certificate = _latest(_lot);
        _proceed(_lot, ICertificates.Verdict.Pass);
        _as(auditor);
        ledger.demandOpening(_lot, _order, certificate);
        _refuseDelivery(_lot, _closed(_lot, inspector.id, model, certificate, 1, true));
        _waive(inspector);
        _move(maker, _item(_lot, _order), buyer);
    }

    function test_aHandsQuarantineIsLifted() public check {
        _quarantine(inspector2, _lot, _order);
        _refuseRelease(inspector2.id);
        _waive(inspector2);
        _release(maker, _lot, _order);
    }

    function test_theOtherGateStaysClosed() public check {
        _waive(inspector);
        _refuseDelivery(_lot, _closed(_lot, inspector2.id, 0, 0, 0, false));
        _proceed(_lot, ICertificates.Verdict.Fail);
        _refuseRelease(inspector2.id);
    }

    function test_onlyForOneLot() public check {
        bytes32 other = _commission(_order, "other", 1);
        _pass(other, _order);
        _waive(inspector2);
        _refuseDelivery(other, _closed(other, inspector2.id, 0, 0, 0, false));
    }

    // ---- what ends it ----

    function test_M10_anotherCertificateEndsIt() public check {
        _waive(inspector2);
        uint40 failed = _proceed(_lot, ICertificates.Verdict.Fail);
        _refuseRelease(inspector2.id);
        _proceedAgain(failed);
        _refuseDelivery(_lot, _closed(_lot, inspector2.id, 0, _latestOf2(), 0, true));
        _waive(inspector2);
        _move(maker, _item(_lot, _order), buyer);
    }

    function test_M10_aReworkEndsIt() public check {
        _waive(inspector2);
        _as(maker);
        ledger.reworkLot(ILots.Rework(_lot, _order, 0, ROOT, new ILots.Input[](0)));
        _pass(_lot, _order);
        _refuseDelivery(_lot, _closed(_lot, inspector2.id, 0, 0, 0, false));
        _waive(inspector2);
        assertEq(ledger.waiverOf(_lot, inspector2.id).reworks, 1);
        _move(maker, _item(_lot, _order), buyer);
    }

    /// @dev Another buyer has not waived anything, though its order names the same inspector.
    function test_M10_aWaiverIsNotAnotherBuyers() public check {
        _setRoles(carrier, Roles.BUYER);
        _as(carrier);
        bytes32 other = ledger.placeOrder(_hash("other"), _twice(1));
        _as(coordinator);
        ledger.acceptOrder(other, ROOT);
        _start(other, 0);
        _waive(inspector2);
        _as(buyer);
        ledger.deallocateLot(_lot, _order, ROOT);
        _as(maker);
        ledger.allocateLot(_lot, other, 0, ROOT);
        _refuse(maker, _closed(_lot, inspector2.id, 0, 0, 0, false));
        ledger.offerCustody(_item(_lot, other), carrier.id, ROOT);
    }

    function test_M10_aSplitHandsNoWaiverOn() public check {
        _waive(inspector2);
        ILots.TransformationKind kind = ILots.TransformationKind.Split;
        _transform(maker, _change(kind, _order, _inputs(_lot, 9), _outputs("a", 4, "b", 5)));
        bytes32 part = _lotName(maker, "a");
        _refuseDelivery(part, _closed(part, inspector2.id, 0, 0, 0, false));
        _move(maker, _item(_lot, _order), buyer);
    }

    // ---- who gives it ----

    function test_M10_onlyTheBuyerWaives() public check {
        _refuse(coordinator, _roleMissing(coordinator, Roles.COORDINATOR, Roles.BUYER));
        ledger.waiveGate(_lot, _order, inspector.id, ROOT);
        _setRoles(carrier, Roles.BUYER);
        _refuse(carrier, _partyWrong(carrier.id, buyer.id));
        ledger.waiveGate(_lot, _order, inspector.id, ROOT);
    }

    function test_waiverRefusals() public check {
        _refuseWaiver(_lot, ROOT, inspector.id, abi.encodeWithSelector(IOrders.OrderUnknown.selector, ROOT));
        _refuseWaiver(ROOT, _order, inspector.id, abi.encodeWithSelector(ILots.LotUnknown.selector, ROOT));
        bytes memory unknown = abi.encodeWithSelector(IGates.GateUnknown.selector, _order, carrier.id);
        _refuseWaiver(_lot, _order, carrier.id, unknown);
        bytes32 open = _place("open", _ungated(1));
        _refuseWaiver(_lot, open, 0, abi.encodeWithSelector(IGates.GateUnknown.selector, open, 0));
        bytes32 other = _place("other", _terms(1));
        uint40 number = ledger.orderOf(_order).sequence;
        bytes memory wrong = abi.encodeWithSelector(ILots.LotOrderWrong.selector, _lot, other, number);
        _refuseWaiver(_lot, other, inspector.id, wrong);
        _as(maker);
        ledger.scrapLot(_lot, 10, ILots.Disposition.Scrapped, ROOT);
        bytes memory spent = abi.encodeWithSelector(ILots.LotStateWrong.selector, _lot, ILots.LotState.Spent);
        _refuseWaiver(_lot, _order, inspector.id, spent);
    }

    // ---- inside ----

    function _waive(Party storage of_) private {
        _as(buyer);
        ledger.waiveGate(_lot, _order, of_.id, ROOT);
    }

    function _refuseWaiver(bytes32 lot, bytes32 order, uint32 of_, bytes memory reason) private {
        _refuse(buyer, reason);
        ledger.waiveGate(lot, order, of_, ROOT);
    }

    function _refuseRelease(uint32 by) private {
        _refuse(maker, abi.encodeWithSelector(ILots.LotQuarantineForeign.selector, _lot, by));
        ledger.releaseLot(_lot, _order, ROOT);
    }

    function _latestOf2() private view returns (uint40) {
        return ledger.standingOf(_lot, inspector2.id).latest;
    }

    /// @dev The fail is taken back, so that the lot may move; the gate stays closed.
    function _proceedAgain(uint40 failed) private {
        _as(inspector2);
        ledger.revokeCertificate(_one(_lot), failed, ROOT);
        _release(maker, _lot, _order);
    }
}
