// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {Context} from "@openzeppelin/contracts/utils/Context.sol";
import {Multicall} from "@openzeppelin/contracts/utils/Multicall.sol";
import {ICouncil} from "./interfaces/ICouncil.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";

/// @title The companies that own a Registry together
/// @notice The manual is on the interface.
contract Council is ICouncil, Context {
    uint256 public constant LEAST_MEMBERS = 4;
    uint256 public constant MOST_MEMBERS = 64;
    uint256 public constant MOST_DATA = 4096;
    uint40 public constant LAPSE = 30 days;
    /// @dev An owner that acts at once is no protection, one that acts after a month no help.
    uint40 private constant LEAST_DELAY = 1 days;
    uint40 private constant MOST_DELAY = 30 days;

    /// @inheritdoc ICouncil
    IRegistry public immutable registry;
    /// @inheritdoc ICouncil
    uint40 public immutable delay;

    /// @inheritdoc ICouncil
    uint8 public quorum;
    /// @inheritdoc ICouncil
    uint32 public term;
    /// @inheritdoc ICouncil
    uint32 public motions;
    uint32[] private _members;
    mapping(uint32 motion => Motion) private _motions;
    mapping(uint32 motion => mapping(uint32 participant => bool)) private _approvals;

    constructor(IRegistry registry_, uint40 delay_, uint32[] memory members_, uint8 quorum_) {
        if (delay_ < LEAST_DELAY || delay_ > MOST_DELAY) revert CouncilDelayWrong(delay_);
        registry = registry_;
        delay = delay_;
        _setMembers(registry_, members_, quorum_);
    }

    /// @inheritdoc ICouncil
    function propose(address target, bytes calldata data, bytes32 reasonRoot) external returns (uint32 motion) {
        uint32 participant = _member();
        if (target.code.length == 0) revert CouncilTargetWrong(target);
        if (data.length > MOST_DATA) revert CouncilDataTooLong(data.length, MOST_DATA);
        motion = ++motions;
        Motion storage entry = _motions[motion];
        (entry.target, entry.proposedAt, entry.term) = (target, uint40(block.timestamp), term);
        entry.data = data;
        emit MotionProposed(motion, participant, _msgSender(), target, data, reasonRoot);
        _approve(motion, entry, participant);
    }

    /// @inheritdoc ICouncil
    function approve(uint32 motion) external {
        uint32 participant = _member();
        Motion storage entry = _open(motion);
        if (_approvals[motion][participant]) revert CouncilApprovedAlready(motion, participant);
        _approve(motion, entry, participant);
    }

    /// @inheritdoc ICouncil
    function retract(uint32 motion) external {
        uint32 participant = _member();
        Motion storage entry = _open(motion);
        if (!_approvals[motion][participant]) revert CouncilNotApproved(motion, participant);
        _approvals[motion][participant] = false;
        if (--entry.approvals < neededFor(entry.data)) entry.approvedAt = 0;
        emit MotionRetracted(motion, participant, _msgSender(), entry.approvals);
    }

    /// @inheritdoc ICouncil
    function execute(uint32 motion) external {
        Motion storage entry = _open(motion);
        uint40 executableAt = entry.approvedAt == 0 ? 0 : entry.approvedAt + delay;
        if (executableAt == 0 || block.timestamp < executableAt) {
            revert CouncilMotionEarly(motion, entry.approvals, neededFor(entry.data), executableAt);
        }
        entry.executed = true; // before the call: it may come back here
        emit MotionExecuted(motion, _msgSender());
        Address.functionCall(entry.target, entry.data);
    }

    /// @inheritdoc ICouncil
    function setMembers(uint32[] calldata members_, uint8 quorum_) external {
        if (_msgSender() != address(this)) revert CouncilOnly(_msgSender());
        _setMembers(registry, members_, quorum_);
    }

    /// @inheritdoc ICouncil
    function members() external view returns (uint32[] memory) {
        return _members;
    }

    /// @inheritdoc ICouncil
    function motionOf(uint32 motion) external view returns (Motion memory) {
        return _motions[motion];
    }

    /// @inheritdoc ICouncil
    function hasApproved(uint32 motion, uint32 participant) external view returns (bool) {
        return _approvals[motion][participant];
    }

    /// @inheritdoc ICouncil
    function isMember(uint32 participant) public view returns (bool) {
        for (uint256 i; i < _members.length; ++i) {
            if (_members[i] == participant) return true;
        }
        return false;
    }

    /// @inheritdoc ICouncil
    function neededFor(bytes memory data) public view returns (uint8) {
        bytes4 selector = bytes4(data); // of fewer bytes, padded with zeros: none of these
        bool ordinary = selector != IRegistry.overruleObjection.selector && selector != Multicall.multicall.selector;
        // forge-lint: disable-next-line(unsafe-typecast) - at most 64 members
        uint8 supermajority = uint8((_members.length * 2 + 2) / 3);
        return ordinary || quorum > supermajority ? quorum : supermajority;
    }

    function _approve(uint32 motion, Motion storage entry, uint32 participant) private {
        _approvals[motion][participant] = true;
        uint8 approvals = ++entry.approvals;
        if (entry.approvedAt == 0 && approvals >= neededFor(entry.data)) entry.approvedAt = uint40(block.timestamp);
        emit MotionApproved(motion, participant, _msgSender(), approvals);
    }

    function _setMembers(IRegistry registry_, uint32[] memory members_, uint8 quorum_) private {
        uint256 count = members_.length;
        bool sized = count >= LEAST_MEMBERS && count <= MOST_MEMBERS;
        if (!sized || uint256(quorum_) * 2 <= count || quorum_ >= count) revert CouncilSizeWrong(count, quorum_);
        for (uint256 i; i < count; ++i) {
            if (i != 0 && members_[i] <= members_[i - 1]) revert CouncilNotAscending(members_[i]);
            if (registry_.rolesOf(members_[i]) == 0) revert CouncilMemberUnfit(members_[i]);
        }
        (_members, quorum) = (members_, quorum_);
        emit MembersSet(++term, members_, quorum_);
    }

    /// @dev The member whose admin key calls. keyOf knows of recoveries, rolesOf of suspensions and departures.
    function _member() private view returns (uint32 participant) {
        IRegistry.Key memory key = registry.keyOf(_msgSender());
        participant = key.participant;
        bool votes = key.admin && key.revokedAt == 0 && isMember(participant);
        if (!votes || registry.rolesOf(participant) == 0) revert CouncilNotMember(_msgSender(), participant);
    }

    /// @dev A motion that may still be approved or executed.
    function _open(uint32 motion) private view returns (Motion storage entry) {
        entry = _motions[motion];
        if (entry.target == address(0)) revert CouncilMotionUnknown(motion);
        uint40 lapsesAt = LAPSE + (entry.approvedAt == 0 ? entry.proposedAt : entry.approvedAt + delay);
        if (entry.executed || entry.term != term || block.timestamp >= lapsesAt) revert CouncilMotionOver(motion);
    }
}
