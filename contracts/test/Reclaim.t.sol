// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {ICertificates} from "../src/interfaces/ICertificates.sol";
import {ICustody} from "../src/interfaces/ICustody.sol";
import {ILots} from "../src/interfaces/ILots.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {Fixture} from "./Fixture.sol";

/// @notice What a company leaves behind that may not act any longer.
contract ReclaimTest is Fixture {
    uint256 private constant LATER = 14 days;

    bytes32 private _order;
    bytes32 private _lot;
    bytes32 private _pallet;

    function setUp() public override {
        super.setUp();
        _order = _startedOrder("order");
        _lot = _commission(_order, "lot", 10);
        _pallet = _receive(maker, "pallet", 1);
    }

    // ---- by the order's parties ----

    function test_H8_buyerReclaimsFromASuspendedCarrier() public check {
        _pass(_lot, _order);
        _move(maker, _item(_lot, _order), carrier);
        _suspend(carrier);
        _warp(block.timestamp + LATER);
        uint40 next = _expectRecord();
        emit ICustody.CustodyReclaimed(next, buyer.id, _lot, buyer.key, _one(_lot), carrier.id, LEAF);
        _as(buyer);
        ledger.reclaimCustody(_item(_lot, _order), LEAF);
        _assertLot(_lot, ILots.LotState.Held, buyer);
    }

    /// @dev The gate protects the buyer also from itself; the coordinator takes what was not inspected yet.
    function test_H8_gateHoldsForTheBuyer() public check {
        _move(maker, _item(_lot, _order), carrier);
        _suspend(carrier);
        _warp(block.timestamp + LATER);
        bytes memory reason = abi.encodeWithSelector(
            ICustody.GateClosed.selector,
            _lot,
            inspector.id,
            model,
            0,
            ICertificates.CertificateStatus.None,
            ICertificates.Verdict.None,
            0,
            0,
            false
        );
        _refuse(buyer, reason);
        ledger.reclaimCustody(_item(_lot, _order), ROOT);
        _as(coordinator);
        ledger.reclaimCustody(_item(_lot, _order), ROOT);
        _assertLot(_lot, ILots.LotState.Held, coordinator);
        _pass(_lot, _order);
        _move(coordinator, _item(_lot, _order), buyer);
    }

    function test_H8_departedHolder() public check {
        _move(maker, _item(_lot, _order), carrier);
        _as(carrier);
        registry.depart(ROOT);
        _warp(block.timestamp + LATER);
        _as(coordinator);
        ledger.reclaimCustody(_item(_lot, _order), ROOT);
        _assertLot(_lot, ILots.LotState.Held, coordinator);
    }

    function test_onlyAfterFourteenDays() public check {
        _move(maker, _item(_lot, _order), carrier);
        _refuseReclaim(coordinator, _notYet(_lot, carrier.id, 0));
        uint40 since = uint40(block.timestamp);
        _suspend(carrier);
        _warp(since + LATER - 1);
        _refuseReclaim(coordinator, _notYet(_lot, carrier.id, since));
        // Back for a moment: the days are counted anew.
        vm.prank(owner);
        registry.reinstate(carrier.id);
        (uint40 inactiveSince,) = registry.absenceOf(carrier.id);
        assertEq(inactiveSince, 0);
        _suspend(carrier);
        _warp(since + LATER);
        _refuseReclaim(coordinator, _notYet(_lot, carrier.id, uint40(since + LATER - 1)));
    }

    function test_onlyByTheOrdersParties() public check {
        _move(maker, _item(_lot, _order), carrier);
        _suspend(carrier);
        _warp(block.timestamp + LATER);
        bytes memory reason = abi.encodeWithSelector(ICustody.CustodyReclaimForeign.selector, _lot, maker.id, 0);
        _refuseReclaim(maker, reason);
        _refuse(coordinator, abi.encodeWithSelector(ILots.LotsMissing.selector));
        ledger.reclaimCustody(new ICustody.Item[](0), ROOT);
        _refuse(coordinator, abi.encodeWithSelector(ILots.LotUnknown.selector, ROOT));
        ledger.reclaimCustody(_item(ROOT, 0), ROOT);
        // A party of one order does not take lots of another by naming its own.
        bytes32 other = _acceptedOrder("other", _ungated(1));
        uint40 number = ledger.orderOf(_order).sequence;
        _refuse(coordinator, abi.encodeWithSelector(ILots.LotOrderWrong.selector, _lot, other, number));
        ledger.reclaimCustody(_item(_lot, other), ROOT);
    }

    // ---- by a trustee ----

    function test_H8_trusteeTakesAPalletWithAllThatIsInIt() public check {
        _pack(maker, _pallet, _one(_lot));
        _move(maker, _items(_pallet, _one(_lot), _order), carrier);
        _quarantine(inspector, _lot, _order);
        _suspend(carrier);
        _entrust(carrier, maker2);
        _warp(block.timestamp + LATER);
        ICustody.Item[] memory consignment = _items(_pallet, _one(_lot), _order);
        _refuse(coordinator, _foreign(_pallet, coordinator, maker2));
        ledger.reclaimCustody(consignment, ROOT);
        _refuse(maker2, abi.encodeWithSelector(ICustody.ConsignmentIncomplete.selector, _pallet, 1));
        ledger.reclaimCustody(_item(_pallet, 0), ROOT);
        _as(maker2);
        ledger.reclaimCustody(consignment, ROOT);
        _as(maker2);
        ledger.unpackLots(_pallet, _one(_lot));
        _assertLot(_lot, ILots.LotState.Quarantined, maker2);
        _assertLot(_pallet, ILots.LotState.Held, maker2);
    }

    function test_reclaimedLotIsNeitherPackedNorSpent() public check {
        _pack(maker, _pallet, _one(_lot));
        bytes32 spent = _receive(maker, "spent", 1);
        _as(maker);
        ledger.scrapLot(spent, 1, ILots.Disposition.Scrapped, ROOT);
        _suspend(maker);
        _entrust(maker, maker2);
        _warp(block.timestamp + LATER);
        uint40 parent = ledger.lotOf(_pallet).number;
        _refuse(maker2, abi.encodeWithSelector(ILots.LotPacked.selector, _lot, parent));
        ledger.reclaimCustody(_item(_lot, _order), ROOT);
        _refuse(maker2, abi.encodeWithSelector(ILots.LotStateWrong.selector, spent, ILots.LotState.Spent));
        ledger.reclaimCustody(_item(spent, 0), ROOT);
        // Nor does it come with what it does not hold.
        bytes memory reason = abi.encodeWithSelector(ICustody.ConsignmentExcess.selector, 3, 2);
        ICustody.Item[] memory three = new ICustody.Item[](3);
        (three[0], three[1], three[2]) =
        (ICustody.Item(_pallet, 0), ICustody.Item(_lot, _order), ICustody.Item(spent, 0));
        _refuse(maker2, reason);
        ledger.reclaimCustody(three, ROOT);
    }

    /// @dev An open offer lapses; a quarantine stays, by whoever imposed it.
    function test_offersLapse() public check {
        _offer(maker, _item(_pallet, 0), carrier);
        bytes32 bad = _receive(carrier, "bad", 1);
        _move(carrier, _item(bad, 0), maker);
        _quarantine(maker, bad, 0);
        _as(maker);
        ledger.returnLot(bad, carrier.id, _hash("bad"), ROOT);
        _suspend(maker);
        _entrust(maker, maker2);
        _warp(block.timestamp + LATER);
        _as(maker2);
        ledger.reclaimCustody(_item(_pallet, 0), ROOT);
        _assertLot(_pallet, ILots.LotState.Held, maker2);
        assertEq(ledger.lotOf(_pallet).counterparty, 0);
        _as(maker2);
        ledger.reclaimCustody(_item(bad, 0), ROOT);
        _assertLot(bad, ILots.LotState.Quarantined, maker2);
        assertEq(ledger.lotOf(bad).counterparty, maker.id);
        uint40 offer = ledger.offerOf(bad).sequence;
        _refuse(carrier, abi.encodeWithSelector(ILots.LotStateWrong.selector, bad, ILots.LotState.Quarantined));
        ledger.acceptCustody(_item(bad, 0), offer, ROOT);
    }

    /// @dev Whoever takes over from a custodian that is gone takes over what that set apart by hand, too.
    function test_F2_quarantineOfACustodianThatIsGone() public check {
        _quarantine(maker, _lot, _order);
        _suspend(maker);
        _warp(block.timestamp + LATER);
        _as(coordinator);
        ledger.reclaimCustody(_item(_lot, _order), ROOT);
        _assertLot(_lot, ILots.LotState.Quarantined, coordinator);
        _release(coordinator, _lot, _order);
        _assertLot(_lot, ILots.LotState.Held, coordinator);
    }

    /// @dev But not while that may act, nor what an inspector's certificate imposed, though the inspector is gone.
    function test_F2_onlyWhenNothingIsBehindIt() public check {
        _quarantine(inspector, _lot, _order);
        bytes memory foreign = abi.encodeWithSelector(ILots.LotQuarantineForeign.selector, _lot, inspector.id);
        _refuse(maker, foreign);
        ledger.releaseLot(_lot, _order, ROOT);
        _fail(_lot, _order);
        _suspend(inspector);
        _refuse(maker, foreign);
        ledger.releaseLot(_lot, _order, ROOT);
    }

    function test_entrust() public check {
        vm.expectRevert(abi.encodeWithSelector(IRegistry.RegistryParticipantActive.selector, carrier.id));
        vm.prank(owner);
        registry.entrust(carrier.id, maker.id);
        _refuse(maker, abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, maker.key));
        registry.entrust(carrier.id, maker.id);
        _suspend(carrier);
        _suspend(maker3);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.RegistryParticipantSuspended.selector, maker3.id));
        vm.prank(owner);
        registry.entrust(carrier.id, maker3.id);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.RegistryParticipantUnknown.selector, 99));
        vm.prank(owner);
        registry.entrust(carrier.id, 99);
        vm.expectEmit(address(registry));
        emit IRegistry.TrusteeNamed(
            registry.sequence() + 1, 0, bytes32(uint256(carrier.id)), owner, carrier.id, maker.id
        );
        _entrust(carrier, maker);
        (uint40 since, uint32 trustee) = registry.absenceOf(carrier.id);
        assertEq(since, block.timestamp);
        assertEq(trustee, maker.id);
        vm.prank(owner);
        registry.entrust(carrier.id, 0);
        (, trustee) = registry.absenceOf(carrier.id);
        assertEq(trustee, 0);
        _entrust(carrier, maker);
        vm.prank(owner);
        registry.reinstate(carrier.id);
        (since, trustee) = registry.absenceOf(carrier.id);
        assertEq(since + trustee, 0);
    }

    // ---- inside ----

    function _entrust(Party storage gone, Party storage trustee) private {
        vm.prank(owner);
        registry.entrust(gone.id, trustee.id);
    }

    function _refuseReclaim(Party storage by, bytes memory reason) private {
        _refuse(by, reason);
        ledger.reclaimCustody(_item(_lot, _order), ROOT);
    }

    function _notYet(bytes32 lot, uint32 custodian, uint40 since) private pure returns (bytes memory) {
        return abi.encodeWithSelector(ICustody.CustodyNotReclaimable.selector, lot, custodian, since);
    }

    function _foreign(bytes32 lot, Party storage by, Party storage trustee) private view returns (bytes memory) {
        return abi.encodeWithSelector(ICustody.CustodyReclaimForeign.selector, lot, by.id, trustee.id);
    }
}
