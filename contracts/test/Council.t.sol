// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Multicall} from "@openzeppelin/contracts/utils/Multicall.sol";
import {Council} from "../src/Council.sol";
import {ICouncil} from "../src/interfaces/ICouncil.sol";
import {INotes} from "../src/interfaces/INotes.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {RegistryFixture} from "./RegistryFixture.sol";

contract CouncilTest is RegistryFixture {
    uint40 private constant DELAY = 3 days;

    Council private _council;

    function setUp() public override {
        super.setUp();
        _council = new Council(registry, DELAY, _five(), 3);
        vm.prank(owner);
        registry.transferOwnership(address(_council));
        _decide(address(registry), abi.encodeCall(registry.acceptOwnership, ()));
    }

    /// @dev Before, the owner was one key, unwatched.
    function test_M11_theCouncilOwnsTheRegistry() public check {
        assertEq(registry.owner(), address(_council));
        _refuseOwner(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, owner));
        registry.suspend(maker.id, ROOT);
        _decide(address(registry), abi.encodeCall(IRegistry.suspend, (maker.id, ROOT)));
        assertEq(registry.rolesOf(maker.id), 0);
    }

    function test_M11_aMotionGoesItsWay() public check {
        bytes memory data = abi.encodeCall(IRegistry.setRoles, (carrier.id, Roles.ANY));
        vm.expectEmit(address(_council));
        emit ICouncil.MotionProposed(2, buyer.id, buyer.key, address(registry), data, ROOT);
        vm.expectEmit(address(_council));
        emit ICouncil.MotionApproved(2, buyer.id, buyer.key, 1);
        _as(buyer);
        assertEq(_council.propose(address(registry), data, ROOT), 2);
        assertEq(_council.motions(), 2);
        assertTrue(_council.hasApproved(2, buyer.id));
        _refuse(buyer, abi.encodeWithSelector(ICouncil.CouncilApprovedAlready.selector, 2, buyer.id));
        _council.approve(2);
        _refuseEarly(2, 1, 3, 0);
        _approve(2, coordinator);
        assertEq(_council.motionOf(2).approvedAt, 0);
        _approve(2, maker);
        uint40 approvedAt = uint40(block.timestamp);
        assertEq(_council.motionOf(2).approvedAt, approvedAt);
        _refuseEarly(2, 3, 3, approvedAt + DELAY);
        _warp(approvedAt + DELAY - 1);
        _approve(2, inspector); // changes nothing
        _refuseEarly(2, 4, 3, approvedAt + DELAY);
        _warp(approvedAt + DELAY);
        vm.expectEmit(address(_council));
        emit ICouncil.MotionExecuted(2, carrier.key);
        _as(carrier); // anybody
        _council.execute(2);
        assertEq(registry.rolesOf(carrier.id), Roles.ANY);
        assertTrue(_council.motionOf(2).executed);
        _refuse(buyer, abi.encodeWithSelector(ICouncil.CouncilMotionOver.selector, 2));
        _council.execute(2);
    }

    /// @dev A stolen key votes for nothing that its company sees in time.
    function test_M11_anApprovalIsTakenBack() public check {
        uint32 motion = _approved(abi.encodeCall(IRegistry.suspend, (maker2.id, ROOT)));
        vm.expectEmit(address(_council));
        emit ICouncil.MotionRetracted(motion, maker.id, maker.key, 2);
        _as(maker);
        _council.retract(motion);
        _refuse(maker, abi.encodeWithSelector(ICouncil.CouncilNotApproved.selector, motion, maker.id));
        _council.retract(motion);
        _warp(block.timestamp + DELAY);
        _refuseEarly(motion, 2, 3, 0);
        _approve(motion, inspector);
        _refuseEarly(motion, 3, 3, uint40(block.timestamp) + DELAY);
        _approve(motion, auditor);
        _as(auditor);
        _council.retract(motion);
        _warp(block.timestamp + DELAY);
        _council.execute(motion);
        assertEq(registry.rolesOf(maker2.id), 0);
    }

    function test_M11_onlyAdminKeysOfMembersThatMayAct() public check {
        bytes memory data = abi.encodeCall(IRegistry.suspend, (maker.id, ROOT));
        _refuseMember(carrier.key, carrier.id, data);
        _refuseMember(owner, 0, data);
        _addKey(maker, _fresh, Roles.ANY, false);
        _refuseMember(_fresh, maker.id, data);
        address second = makeAddress("second");
        _addKey(maker, second);
        vm.prank(second);
        uint32 motion = _council.propose(address(registry), data, 0);
        _refuse(maker, abi.encodeWithSelector(ICouncil.CouncilApprovedAlready.selector, motion, maker.id));
        _council.approve(motion);
        _as(maker);
        registry.revokeKey(second, 0);
        _refuseMember(second, maker.id, data);
        _decide(address(registry), abi.encodeCall(IRegistry.suspend, (maker.id, ROOT)));
        _refuseMember(maker.key, maker.id, data);
    }

    function test_M11_motionsLapse() public check {
        bytes memory data = abi.encodeCall(IRegistry.suspend, (maker2.id, ROOT));
        _as(buyer);
        uint32 forgotten = _council.propose(address(registry), data, 0);
        uint32 approved = _approved(data);
        uint256 start = block.timestamp;
        _warp(start + 30 days);
        _refuse(maker, abi.encodeWithSelector(ICouncil.CouncilMotionOver.selector, forgotten));
        _council.approve(forgotten);
        _warp(start + 30 days + DELAY);
        _refuse(maker, abi.encodeWithSelector(ICouncil.CouncilMotionOver.selector, approved));
        _council.execute(approved);
        _refuse(maker, abi.encodeWithSelector(ICouncil.CouncilMotionUnknown.selector, 99));
        _council.retract(99);
    }

    function test_M11_membersChangeByMotionAlone() public check {
        uint32[] memory four = new uint32[](4);
        (four[0], four[1], four[2], four[3]) = (buyer.id, maker.id, maker2.id, carrier.id);
        bytes memory data = abi.encodeCall(ICouncil.setMembers, (four, 3));
        _refuse(buyer, abi.encodeWithSelector(ICouncil.CouncilOnly.selector, buyer.key));
        _council.setMembers(four, 3);
        uint32 open = _approved(abi.encodeCall(IRegistry.suspend, (maker3.id, ROOT)));
        _decide(address(_council), data);
        assertEq(_council.term(), 2);
        assertEq(_council.members().length, 4);
        assertTrue(_council.isMember(carrier.id));
        assertFalse(_council.isMember(inspector.id));
        _refuse(buyer, abi.encodeWithSelector(ICouncil.CouncilMotionOver.selector, open));
        _council.execute(open);
        _refuseMember(inspector.key, inspector.id, data);
    }

    function test_M11_listsThatAreRefused() public {
        uint32[] memory five = _five();
        for (uint8 quorum; quorum < 7; ++quorum) {
            if (quorum == 3 || quorum == 4) continue;
            vm.expectRevert(abi.encodeWithSelector(ICouncil.CouncilSizeWrong.selector, 5, quorum));
            new Council(registry, DELAY, five, quorum);
        }
        vm.expectRevert(abi.encodeWithSelector(ICouncil.CouncilSizeWrong.selector, 3, 2));
        new Council(registry, DELAY, new uint32[](3), 2);
        vm.expectRevert(abi.encodeWithSelector(ICouncil.CouncilSizeWrong.selector, 65, 33));
        new Council(registry, DELAY, new uint32[](65), 33);
        five[4] = five[3];
        vm.expectRevert(abi.encodeWithSelector(ICouncil.CouncilNotAscending.selector, five[3]));
        new Council(registry, DELAY, five, 3);
        five[4] = 999;
        vm.expectRevert(abi.encodeWithSelector(ICouncil.CouncilMemberUnfit.selector, 999));
        new Council(registry, DELAY, five, 3);
        vm.expectRevert(abi.encodeWithSelector(ICouncil.CouncilDelayWrong.selector, 1 days - 1));
        new Council(registry, 1 days - 1, five, 3);
        vm.expectRevert(abi.encodeWithSelector(ICouncil.CouncilDelayWrong.selector, 30 days + 1));
        new Council(registry, 30 days + 1, five, 3);
    }

    function test_M11_callsThatAreRefused() public check {
        _refuse(buyer, abi.encodeWithSelector(ICouncil.CouncilTargetWrong.selector, maker.key));
        _council.propose(maker.key, "", 0);
        _refuse(buyer, abi.encodeWithSelector(ICouncil.CouncilDataTooLong.selector, 4097, 4096));
        _council.propose(address(registry), new bytes(4097), 0);
        uint32 motion = _approved(abi.encodeCall(IRegistry.suspend, (999, ROOT)));
        _warp(block.timestamp + DELAY);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.RegistryParticipantUnknown.selector, 999));
        _council.execute(motion);
        assertFalse(_council.motionOf(motion).executed);
    }

    /// @dev Of six, four are two thirds: more than a quorum of four would be of seven.
    function test_M11_objectionsNeedASupermajority() public check {
        bytes memory overrule = abi.encodeCall(IRegistry.overruleObjection, (maker.id));
        bytes[] memory calls = new bytes[](1);
        calls[0] = overrule;
        assertEq(_council.neededFor(overrule), 4);
        assertEq(_council.neededFor(abi.encodeCall(Multicall.multicall, (calls))), 4);
        assertEq(_council.neededFor(abi.encodeCall(IRegistry.reinstate, (1))), 3);
        assertEq(_council.neededFor(""), 3);
        Council strict = new Council(registry, DELAY, _five(), 4);
        assertEq(strict.neededFor(overrule), 4);
        _decide(address(registry), abi.encodeCall(IRegistry.proposeRecovery, (maker2.id, _fresh)));
        _as(maker2);
        registry.objectToRecovery();
        _warp(block.timestamp + 14 days);
        uint32 motion = _approved(abi.encodeCall(IRegistry.overruleObjection, (maker2.id)));
        _refuseEarly(motion, 3, 4, 0);
        _approve(motion, inspector);
        _warp(block.timestamp + DELAY);
        _council.execute(motion);
        assertTrue(registry.recoveryOf(maker2.id).overruled);
    }

    function test_M11_theCouncilSpeaksOnTheLedger() public check {
        bytes32 lot = _receive(maker, "lot", 5);
        _decide(address(ledger), abi.encodeCall(INotes.note, (_one(lot), new bytes32[](1), 2, 0, ROOT)));
        _settle();
        assertEq(replay.count(INotes.NoteRecorded.selector), 1);
    }

    function _five() private view returns (uint32[] memory list) {
        list = new uint32[](5);
        (list[0], list[1], list[2], list[3], list[4]) = (buyer.id, coordinator.id, maker.id, inspector.id, auditor.id);
    }

    function _approve(uint32 motion, Party storage party) private {
        _as(party);
        _council.approve(motion);
    }

    /// @dev A motion on the registry with three approvals.
    function _approved(bytes memory data) private returns (uint32) {
        return _approved(address(registry), data);
    }

    function _approved(address target, bytes memory data) private returns (uint32 motion) {
        _as(buyer);
        motion = _council.propose(target, data, 0);
        _approve(motion, coordinator);
        _approve(motion, maker);
    }

    function _decide(address target, bytes memory data) private {
        uint32 motion = _approved(target, data);
        _warp(block.timestamp + DELAY);
        _council.execute(motion);
    }

    function _refuseEarly(uint32 motion, uint8 approvals, uint8 needed, uint40 executableAt) private {
        vm.expectRevert(
            abi.encodeWithSelector(ICouncil.CouncilMotionEarly.selector, motion, approvals, needed, executableAt)
        );
        _council.execute(motion);
    }

    function _refuseMember(address key, uint32 participant, bytes memory data) private {
        vm.prank(key);
        vm.expectRevert(abi.encodeWithSelector(ICouncil.CouncilNotMember.selector, key, participant));
        _council.propose(address(registry), data, 0);
    }
}
