// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Roles} from "../src/libraries/Roles.sol";
import {World} from "./World.sol";

/// @notice Keys, who sets them, and how lost ones are replaced (DESIGN 4, "Keys").
contract KeyProof is World {
    address private constant WORKER = address(0xC1);
    address private constant FRESH = address(0xC2);

    Party private _company;

    function setUp() public override {
        super.setUp();
        _company = _admit(Roles.ANY);
        _admit(Roles.ANY);
        vm.prank(_company.key);
        registry.proposeKey(WORKER, Roles.ANY, false);
        vm.prank(WORKER);
        registry.acceptKey(_company.id);
    }

    /// @notice A recovered key counts 14 days after it was proposed; if the company objected, only when that was
    /// overruled, which takes 14 days from the objection.
    /// @dev Bounds: one proposal; an objection or none, overruled or not; each step at any second of the 34 years after
    /// the one before.
    function check_aRecoveryTakesItsTime(bool objects, bool overrules) external {
        (uint256 proposedAt, uint256 objectedAt) = (START, START + _number("objected", 30));
        vm.prank(OWNER);
        registry.proposeRecovery(_company.id, FRESH);
        vm.warp(objectedAt);
        vm.startPrank(_company.key);
        if (objects) registry.objectToRecovery();
        vm.stopPrank();
        vm.warp(objectedAt + _number("overruled", 30));
        vm.startPrank(OWNER);
        if (overrules) registry.overruleObjection(_company.id);
        vm.stopPrank();
        uint256 acceptedAt = block.timestamp + _number("accepted", 30);
        vm.warp(acceptedAt);
        vm.prank(FRESH);
        registry.acceptRecovery(_company.id);
        assert(acceptedAt >= proposedAt + 14 days);
        assert(!objects || (overrules && acceptedAt >= objectedAt + 14 days));
    }
}
