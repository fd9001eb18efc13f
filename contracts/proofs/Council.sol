// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Multicall} from "@openzeppelin/contracts/utils/Multicall.sol";
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

/// @notice Who has a vote in the council, and how many votes a batch needs.
contract VoteProof is World {
    address private constant WORKER = address(0xC1);

    Party[7] private _members;
    Party private _guest;
    Council private _council;
    uint32 private _motion;

    function setUp() public override {
        super.setUp();
        uint32[] memory ids = new uint32[](7);
        for (uint256 i; i < 7; ++i) {
            _members[i] = _admit(Roles.BUYER);
            ids[i] = _members[i].id;
        }
        _guest = _admit(Roles.ANY);
        vm.prank(_members[1].key);
        registry.proposeKey(WORKER, Roles.BUYER, false);
        vm.prank(WORKER);
        registry.acceptKey(_members[1].id);
        _council = new Council(registry, 2 days, ids, 4);
        vm.prank(OWNER);
        registry.transferOwnership(address(_council));
        vm.prank(address(_council));
        registry.acceptOwnership();
        vm.prank(_members[0].key);
        _motion = _council.propose(address(registry), abi.encodeCall(IRegistry.publish, (1, ROOT)), ROOT);
    }

    /// @notice Only admin keys of members vote; nobody else proposes, approves, takes back, executes what lacks votes,
    /// or changes who the members are.
    /// @dev Bounds: a motion with one vote of the four it needs; one call of any function of the council, with any
    /// arguments (arrays of one element, bytes of 64), from a member's key that is not an admin key, a company that is
    /// not a member, or any address that is no company's.
    function check_onlyMembersVote(bool works, bool stranger) external {
        address caller = works ? WORKER : stranger ? _outsider() : _guest.key;
        vm.assume(caller != WORKER || works);
        vm.assume(caller != address(_council));
        bytes memory data = any.createCalldata("Council");
        vm.prank(caller);
        (bool done,) = address(_council).call(data);
        assert(!done);
        assert(_council.motionOf(_motion).approvals == 1 && _council.term() == 1);
    }

    /// @notice A batch needs two thirds of the members, whatever the quorum: an objection could be overruled in it.
    /// @dev Bounds: seven members, quorum 4; a motion to publish, by itself or in a batch of one, that any number of
    /// members approve; executed at any second of the 34 years after.
    function check_aBatchNeedsTwoThirds(bool batch, uint8 votes) external {
        bytes[] memory calls = new bytes[](1);
        calls[0] = abi.encodeCall(IRegistry.publish, (1, ROOT));
        bytes memory data = batch ? abi.encodeCall(Multicall.multicall, (calls)) : calls[0];
        vm.prank(_members[0].key);
        uint32 motion = _council.propose(address(registry), data, ROOT);
        for (uint256 i = 1; i < 7; ++i) {
            if (i >= votes) break;
            vm.prank(_members[i].key);
            _council.approve(motion);
        }
        vm.warp(START + _number("after", 30));
        _council.execute(motion);
        assert(votes >= (batch ? 5 : 4));
    }
}
