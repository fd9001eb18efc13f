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

    function _assertThere(ILots.Lot memory before, ILots.Lot memory left) private pure {
        assert(left.number == before.number && left.holder == before.holder && left.packed == before.packed);
        assert(left.quantity == before.quantity && left.contents == before.contents && left.order == before.order);
    }
}
