// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Council} from "../src/Council.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
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

/// @notice What the companies decide together (DESIGN 4, "Council").
contract CouncilProof is World {
    Party[4] private _members;
    Council private _council;

    function setUp() public override {
        super.setUp();
        uint32[] memory ids = new uint32[](4);
        for (uint256 i; i < 4; ++i) {
            _members[i] = _admit(Roles.BUYER);
            ids[i] = _members[i].id;
        }
        _council = new Council(registry, 2 days, ids, 3);
        vm.prank(OWNER);
        registry.transferOwnership(address(_council));
        vm.prank(address(_council));
        registry.acceptOwnership();
    }

    /// @notice What the council does was approved by its quorum, all of it two days before.
    /// @dev Bounds: four members, quorum 3, delay 2 days; a motion that its proposer and any of the three others
    /// approve, each within 194 days of the one before, and its proposer takes its approval back or not; executed by any
    /// address.
    function check_nothingIsDoneWithoutQuorumAndDelay(bool[4] memory approves, bool retracts) external {
        uint256 approvals = 1;
        uint256 lastAt = block.timestamp;
        vm.prank(_members[0].key);
        uint32 motion = _council.propose(address(registry), abi.encodeCall(IRegistry.publish, (1, ROOT)), ROOT);
        for (uint256 i = 1; i < 4; ++i) {
            if (!approves[i]) continue;
            vm.warp(block.timestamp + _number("later", 24));
            if (++approvals == 3) lastAt = block.timestamp;
            vm.prank(_members[i].key);
            _council.approve(motion);
        }
        if (retracts) {
            --approvals;
            vm.prank(_members[0].key);
            _council.retract(motion);
        }
        uint256 executedAt = block.timestamp + _number("executed", 24);
        vm.warp(executedAt);
        vm.prank(_anybody());
        _council.execute(motion);
        assert(approvals >= 3 && executedAt >= lastAt + 2 days);
    }
}
