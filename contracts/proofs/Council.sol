// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Council} from "../src/Council.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {World} from "./World.sol";

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
    /// approve, each within 194 days of the one before, and its proposer takes its approval back or not; executed by
    /// any address.
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
