// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Roles} from "../src/libraries/Roles.sol";
import {World} from "./World.sol";

/// @notice A lot has one custodian, and changes hands only when it is offered and accepted (DESIGN 4, "Lots").
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
}
