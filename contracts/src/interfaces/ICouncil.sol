// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IRegistry} from "./IRegistry.sol";

/// @title Council: the companies that own a Registry together
/// @notice Members vote by motions: one call of one contract each, made by the council after enough members approved it and
/// a delay passed in which everybody could see it. A member votes by any of its admin keys, while the Registry lets it act.
/// The list of members changes by a motion, too, and in no other way.
/// @dev The council has no rights anywhere but as an owner, so what a motion may call is not restricted.
interface ICouncil {
    struct Motion {
        /// 0 when the motion does not exist.
        address target;
        uint40 proposedAt;
        /// Since when enough members have approved; 0 while they have not.
        uint40 approvedAt;
        /// The list of members for which it was made: it ends with that list.
        uint32 term;
        uint8 approvals;
        bool executed;
        /// The call.
        bytes data;
    }

    /// @notice The members from now on, in ascending order. Open motions end.
    event MembersSet(uint32 indexed term, uint32[] members, uint8 quorum);
    event MotionProposed(
        uint32 indexed motion, uint32 indexed participant, address key, address target, bytes data, bytes32 reasonRoot
    );
    event MotionApproved(uint32 indexed motion, uint32 indexed participant, address key, uint8 approvals);
    event MotionRetracted(uint32 indexed motion, uint32 indexed participant, address key, uint8 approvals);
    event MotionExecuted(uint32 indexed motion, address key);

    /// @notice The key is no active admin key of a member that may act now.
    error CouncilNotMember(address key, uint32 participant);
    /// @notice A council has LEAST_MEMBERS to MOST_MEMBERS members, and a quorum of more than half of them, but not all: two
    /// motions that contradict each other have a member in common, and one member that vanished blocks nothing.
    error CouncilSizeWrong(uint256 members, uint8 quorum);
    /// @notice Members are listed in ascending order, each once.
    error CouncilNotAscending(uint32 participant);
    /// @notice The participant is unknown, suspended or departed.
    error CouncilMemberUnfit(uint32 participant);
    error CouncilDelayWrong(uint40 delay);
    /// @notice Only a motion changes the members.
    error CouncilOnly(address sender);
    error CouncilMotionUnknown(uint32 motion);
    error CouncilTargetWrong(address target);
    error CouncilDataTooLong(uint256 given, uint256 most);
    /// @notice It was executed, lapsed, or ended with the members for whom it was made.
    error CouncilMotionOver(uint32 motion);
    error CouncilApprovedAlready(uint32 motion, uint32 participant);
    error CouncilNotApproved(uint32 motion, uint32 participant);
    /// @notice It is executed when `needed` members have approved it, from `executableAt` on; 0 while they have not.
    error CouncilMotionEarly(uint32 motion, uint8 approvals, uint8 needed, uint40 executableAt);

    /// @notice Proposes a call, and approves it. Any member. Much of it should be decided by single calls: a `multicall` needs
    /// the supermajority.
    /// @param reasonRoot A claims root; 0 for none.
    /// @return motion Its number, from 1 on.
    function propose(address target, bytes calldata data, bytes32 reasonRoot) external returns (uint32 motion);
    /// @notice Approves a motion. Any member, once. With enough approvals the delay begins.
    function approve(uint32 motion) external;
    /// @notice Takes the own member's approval back, until the motion is executed: a stolen key votes for nothing that its
    /// company sees in time. With fewer approvals than needed, the delay begins anew.
    function retract(uint32 motion) external;
    /// @notice Makes the call of a motion that enough members approved, `delay` after that and LAPSE after that at the
    /// latest. Anybody: it is decided. The call's own error comes through, and it may be tried again.
    function execute(uint32 motion) external;
    /// @notice Replaces members and quorum. The council itself only, by a motion.
    function setMembers(uint32[] calldata members, uint8 quorum) external;

    function LEAST_MEMBERS() external view returns (uint256);
    function MOST_MEMBERS() external view returns (uint256);
    /// @notice Bytes of a motion's call at most.
    function MOST_DATA() external view returns (uint256);
    /// @notice For how long a motion may be approved after its proposal, and executed after its delay.
    function LAPSE() external view returns (uint40);
    function registry() external view returns (IRegistry);
    /// @notice How long an approved motion stays in the open, in seconds.
    function delay() external view returns (uint40);
    /// @notice How many members must approve.
    function quorum() external view returns (uint8);
    /// @notice How many lists of members there were.
    function term() external view returns (uint32);
    /// @notice How many motions there were.
    function motions() external view returns (uint32);
    function members() external view returns (uint32[] memory);
    function isMember(uint32 participant) external view returns (bool);
    /// @notice Zeros when unknown.
    function motionOf(uint32 motion) external view returns (Motion memory);
    function hasApproved(uint32 motion, uint32 participant) external view returns (bool);
    /// @notice How many approvals a call needs: the quorum, and at least two thirds of the members for overruling an
    /// objection to a recovery, and for a `multicall`, in which one could be.
    function neededFor(bytes calldata data) external view returns (uint8);
}
