// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAssignments} from "../interfaces/IAssignments.sol";
import {ICertificates} from "../interfaces/ICertificates.sol";
import {IEvidence} from "../interfaces/IEvidence.sol";
import {ILots} from "../interfaces/ILots.sol";
import {IOrders} from "../interfaces/IOrders.sol";
import {History} from "./History.sol";

/// @title What the families of records keep, and what one family asks of another
/// @dev All state is declared here and in History, so that TraceLedger and LotOperations, which share one storage, cannot
/// disagree about where anything lies.
abstract contract Book is History {
    mapping(bytes32 order => IOrders.Order) internal _orders;
    mapping(bytes32 order => mapping(uint16 operation => IAssignments.Assignment)) internal _assignments;
    mapping(bytes32 stream => IEvidence.Stream) internal _streams;
    mapping(bytes32 lot => ILots.Lot) internal _lots;
    mapping(bytes32 lot => uint256) internal _contents;
    mapping(bytes32 lot => ICertificates.Certificate) internal _certificates;
    mapping(uint32 participant => uint40 time) internal _lastDemands;

    function _existingOrder(bytes32 order) internal view returns (IOrders.Order storage entry) {
        entry = _orders[order];
        if (entry.sequence == 0) revert IOrders.OrderUnknown(order);
    }

    /// @dev The operation's current assignment, when the actor owns its machine and it is in `state`.
    function _owned(
        bytes32 order,
        uint16 operation,
        uint40 assignment,
        Actor memory actor,
        IAssignments.AssignmentState state
    ) internal view returns (IAssignments.Assignment storage current) {
        current = _current(order, operation, assignment);
        if (current.owner != actor.participant) {
            revert IAssignments.AssignmentForeign(order, operation, current.owner);
        }
        if (current.state != state) revert IAssignments.AssignmentStateWrong(order, operation, current.state);
    }

    function _current(bytes32 order, uint16 operation, uint40 assignment)
        internal
        view
        returns (IAssignments.Assignment storage current)
    {
        current = _assignments[order][operation];
        if (assignment == 0 || current.sequence != assignment) {
            revert IAssignments.AssignmentNotCurrent(order, operation, assignment, current.sequence);
        }
    }

    function _isLive(IAssignments.AssignmentState state) internal pure returns (bool) {
        return state == IAssignments.AssignmentState.Proposed || state == IAssignments.AssignmentState.Accepted
            || state == IAssignments.AssignmentState.Started;
    }

    function _existingStream(bytes32 stream) internal view returns (IEvidence.Stream storage entry) {
        entry = _streams[stream];
        if (entry.sequence == 0) revert IEvidence.EvidenceStreamUnknown(stream);
    }

    /// @dev The stream, when its entry `index` is under the latest anchor.
    function _anchored(bytes32 stream, uint40 index) internal view returns (IEvidence.Stream storage entry) {
        entry = _existingStream(stream);
        if (index >= entry.size) revert IEvidence.EvidenceNotAnchored(stream, index, entry.size);
    }
}
