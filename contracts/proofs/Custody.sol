// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ILots} from "../src/interfaces/ILots.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {World} from "./World.sol";

/// @notice A lot has one custodian, and changes hands only when it is offered and accepted (DESIGN 4, "Lots").
/// @dev Bounds of `one call`: any function but `multicall` and `openStream` (which touches no lot), with any arguments;
/// arrays of one element, bytes of 64. The companies have all roles.
contract CustodyProof is World {
    Party private _holder;
    Party private _other;
    bytes32 private _lot;

    function setUp() public override {
        super.setUp();
        _holder = _admit(Roles.ANY);
        _other = _admit(Roles.ANY);
        _lot = _receive(_holder, "lot", 10);
    }

    /// @notice Nobody but its custodian takes anything out of a lot, packs it or moves it.
    /// @dev Bounds: a lot; one call, by another company.
    function check_onlyTheCustodianMovesALot() external {
        ILots.Lot memory before = ledger.lotOf(_lot);
        _call(_other.key, _anyCall());
        _assertThere(before, ledger.lotOf(_lot));
    }

    /// @notice The custodian alone moves it to nobody: it needs the other's acceptance.
    /// @dev Bounds: a lot; one call, by its custodian.
    function check_nothingIsForcedOnAnybody() external {
        _call(_holder.key, _anyCall());
        ILots.Lot memory left = ledger.lotOf(_lot);
        assert(left.packed || left.holder == _holder.id);
    }

    /// @notice An offered lot goes only to whom it was offered, by that company's own act, and as it was offered.
    /// @dev Bounds: an offered lot; one call, by either company.
    function check_anOfferedLotGoesWhereItWasOffered() external {
        _offer(_holder, _lot, _other);
        address caller = _eitherOf(_holder, _other);
        ILots.Lot memory before = ledger.lotOf(_lot);
        _call(caller, _anyCall());
        ILots.Lot memory left = ledger.lotOf(_lot);
        assert(left.quantity == before.quantity && left.contents == before.contents && !left.packed);
        assert(left.holder == _holder.id || (left.holder == _other.id && caller == _other.key));
    }

    /// @notice An acceptance names the offer: one of an earlier offer moves nothing.
    /// @dev Bounds: two offers of a lot, the first withdrawn; one acceptance from any address, naming any offer.
    function check_acceptanceNamesTheOffer(uint40 named) external {
        _offer(_holder, _lot, _other);
        vm.prank(_holder.key);
        ledger.withdrawCustody(_lot, ROOT);
        uint40 offer = _offer(_holder, _lot, _other);
        address caller = _anybody();
        vm.prank(caller);
        try ledger.acceptCustody(_item(_lot, 0), named, ROOT) {
            assert(caller == _other.key && named == offer);
            assert(ledger.lotOf(_lot).holder == _other.id);
        } catch {
            assert(ledger.lotOf(_lot).holder == _holder.id);
        }
    }

    /// @notice What its custodian quarantined is offered to nobody but its maker, nor taken out for good but as scrap,
    /// until the custodian lifts the quarantine.
    /// @dev Bounds: a quarantined lot; one call, by either company.
    function check_aQuarantinedLotStays() external {
        vm.prank(_holder.key);
        ledger.quarantineLot(_lot, 0, ROOT);
        address caller = _eitherOf(_holder, _other);
        _call(caller, _anyCall());
        ILots.Lot memory left = ledger.lotOf(_lot);
        assert(left.holder == _holder.id && !left.packed && left.state != ILots.LotState.Offered);
        assert(caller == _holder.key || left.state == ILots.LotState.Quarantined);
    }

    function _assertThere(ILots.Lot memory before, ILots.Lot memory left) private pure {
        assert(left.number == before.number && left.holder == before.holder && left.packed == before.packed);
        assert(left.quantity == before.quantity && left.contents == before.contents && left.order == before.order);
    }
}

/// @notice What an absent company holds, and who takes it over (DESIGN 4, "Lots").
contract ReclaimProof is World {
    Party private _holder;
    Party private _trustee;
    Party private _other;
    bytes32 private _lot;

    function setUp() public override {
        super.setUp();
        _holder = _admit(Roles.ANY);
        _trustee = _admit(Roles.ANY);
        _other = _admit(Roles.ANY);
        _lot = _receive(_holder, "lot", 10);
    }

    /// @notice Goods are reclaimed only from a company that has not been able to act for 14 days, and only by the
    /// company that the council entrusted them to.
    /// @dev Bounds: a lot of no order; its custodian suspended or not, reinstated or not; a trustee named or not; one
    /// reclaim, from any address; each step at any second of the 34 years after the one before.
    function check_onlyTheAbsentAreReclaimed(bool suspended, bool reinstated, bool entrusted) external {
        vm.startPrank(OWNER);
        if (suspended) registry.suspend(_holder.id, ROOT);
        if (entrusted) registry.entrust(_holder.id, _trustee.id);
        vm.warp(START + _number("reinstated", 30));
        if (reinstated) registry.reinstate(_holder.id);
        vm.stopPrank();
        vm.warp(block.timestamp + _number("reclaimed", 30));
        address caller = _anybody();
        vm.prank(caller);
        ledger.reclaimCustody(_item(_lot, 0), ROOT);
        assert(suspended && !reinstated && entrusted && caller == _trustee.key);
        assert(block.timestamp >= START + 14 days && ledger.lotOf(_lot).holder == _trustee.id);
    }
}
