// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAssignments} from "../interfaces/IAssignments.sol";
import {IEvidence} from "../interfaces/IEvidence.sol";
import {Roles} from "../libraries/Roles.sol";
import {Orders} from "./Orders.sol";

/// @title Operations given to machines
abstract contract Assignments is Orders, IAssignments {
    /// @inheritdoc IAssignments
    function proposeAssignment(bytes32 order, uint16 operation, uint40 machine, bytes32 claimsRoot)
        external
        returns (uint40 assignment)
    {
        Actor memory actor = _actor(Roles.COORDINATOR);
        Order storage entry = _existingOrder(order);
        _requireParty(order, actor, entry.coordinator);
        if (entry.state == OrderState.Completed) entry.state = OrderState.InProduction;
        _requireOpen(order, entry);
        if (operation >= entry.operations) revert AssignmentOperationUnknown(order, operation, entry.operations);
        Assignment storage current = _assignments[order][operation];
        if (_isLive(current.state)) revert AssignmentLive(order, operation, current.sequence);
        uint32 owner = registry.ownerOfMachine(machine);
        if (_isGateOf(order, entry.inspector, owner)) revert AssignmentOwnerInspects(order, owner);
        _requireHeld(owner, registry.rolesOf(owner), Roles.MANUFACTURER);
        (current.sequence, current.order) = (_next(), entry.sequence);
        (current.machine, current.owner) = (machine, owner);
        (current.state, current.stream, current.streamSize) = (AssignmentState.Proposed, 0, 0);
        if (current.finishedOnce) ++entry.open;
        bytes memory data = abi.encode(actor.key, _touching(order), operation, machine, owner, claimsRoot);
        return _recordOne(AssignmentProposed.selector, actor, order, data);
    }

    /// @inheritdoc IAssignments
    function acceptAssignment(bytes32 order, uint16 operation, uint40 assignment, bytes32 claimsRoot) external {
        Actor memory actor = _actor(Roles.MANUFACTURER);
        Assignment storage current = _owned(order, operation, assignment, actor, AssignmentState.Proposed);
        _requireOpen(order, _orders[order]);
        registry.ownerOfMachine(current.machine);
        current.state = AssignmentState.Accepted;
        _recordAssignment(AssignmentAccepted.selector, actor, order, operation, assignment, claimsRoot);
    }

    /// @inheritdoc IAssignments
    function declineAssignment(bytes32 order, uint16 operation, uint40 assignment, bytes32 reasonRoot) external {
        Actor memory actor = _actor(Roles.MANUFACTURER);
        Assignment storage current = _owned(order, operation, assignment, actor, AssignmentState.Proposed);
        current.state = AssignmentState.Declined;
        if (current.finishedOnce) --_orders[order].open;
        _recordAssignment(AssignmentDeclined.selector, actor, order, operation, assignment, reasonRoot);
    }

    /// @inheritdoc IAssignments
    function startAssignment(bytes32 order, uint16 operation, uint40 assignment, bytes32 stream, bytes32 claimsRoot)
        external
    {
        Actor memory actor = _actor(Roles.MANUFACTURER);
        Assignment storage current = _owned(order, operation, assignment, actor, AssignmentState.Accepted);
        _beginOrder(order, actor);
        uint40 size = _begin(current, stream);
        bytes memory data = _startedData(actor.key, operation, assignment, stream, size, claimsRoot, order);
        _recordOne(AssignmentStarted.selector, actor, order, data);
    }

    /// @inheritdoc IAssignments
    function finishAssignment(
        bytes32 order,
        uint16 operation,
        uint40 assignment,
        bytes32 stream,
        uint40 leafIndex,
        bytes32 leafHash
    ) external {
        Actor memory actor = _actor(Roles.MANUFACTURER);
        _finish(_owned(order, operation, assignment, actor, AssignmentState.Started), stream, leafIndex);
        --_orders[order].open;
        bytes memory data = _finishedData(actor.key, operation, assignment, stream, leafIndex, leafHash, order);
        _recordOne(AssignmentFinished.selector, actor, order, data);
    }

    /// @inheritdoc IAssignments
    function cancelAssignment(bytes32 order, uint16 operation, uint40 assignment, bytes32 reasonRoot) external {
        Actor memory actor = _actor(Roles.BUYER | Roles.COORDINATOR);
        _requireCanceller(order, actor);
        Assignment storage current = _current(order, operation, assignment);
        if (!_isLive(current.state)) revert AssignmentStateWrong(order, operation, current.state);
        current.state = AssignmentState.Cancelled;
        if (current.finishedOnce) --_orders[order].open;
        _recordAssignment(AssignmentCancelled.selector, actor, order, operation, assignment, reasonRoot);
    }

    /// @inheritdoc IAssignments
    function assignmentOf(bytes32 order, uint16 operation) external view returns (Assignment memory) {
        return _assignments[order][operation];
    }

    /// @dev The coordinator; in its place the buyer, when the coordinator is gone.
    function _requireCanceller(bytes32 order, Actor memory actor) private view {
        Order storage entry = _existingOrder(order);
        if (_partsOf(order, entry, 0, actor) & PART_COORDINATOR != 0) return;
        uint32 coordinator = entry.coordinator;
        if (!_isGone(coordinator, Roles.COORDINATOR)) revert OrderPartyWrong(order, actor.participant, coordinator);
    }

    function _beginOrder(bytes32 order, Actor memory actor) private {
        Order storage entry = _orders[order];
        _requireOpen(order, entry);
        // A revision may have named the owner inspector meanwhile.
        if (_isGateOf(order, entry.inspector, actor.participant)) {
            revert AssignmentOwnerInspects(order, actor.participant);
        }
        if (entry.state == OrderState.Accepted) entry.state = OrderState.InProduction;
    }

    /// @return size Of the stream so far.
    function _begin(Assignment storage current, bytes32 stream) private returns (uint40 size) {
        IEvidence.Stream storage entry = _existingStream(stream);
        uint40 number;
        uint40 machine;
        (number, machine, size) = (entry.sequence, entry.machine, entry.size);
        uint40 expected = current.machine;
        if (machine != expected) revert AssignmentStreamOfOther(stream, machine, expected);
        (current.state, current.stream, current.streamSize) = (AssignmentState.Started, number, size);
    }

    /// @dev A stream never changes its machine, so that is not compared again.
    function _finish(Assignment storage current, bytes32 stream, uint40 leafIndex) private {
        IEvidence.Stream storage entry = _streams[stream];
        (uint40 number, uint40 size) = (entry.sequence, entry.size);
        (uint40 expected, uint40 least) = (current.stream, current.streamSize);
        if (number != expected) revert AssignmentStreamOther(stream, expected);
        if (leafIndex < least) revert AssignmentLeafTooOld(stream, leafIndex, least);
        if (leafIndex >= size) revert IEvidence.EvidenceNotAnchored(stream, leafIndex, size);
        (current.state, current.finishedOnce) = (AssignmentState.Finished, true);
    }

    /// @dev abi.encode(key, [order], ...).
    function _startedData(
        address key,
        uint16 operation,
        uint40 assignment,
        bytes32 stream,
        uint40 size,
        bytes32 claimsRoot,
        bytes32 order
    ) private pure returns (bytes memory) {
        return abi.encode(key, _touching(order), operation, assignment, stream, size, claimsRoot);
    }

    /// @dev abi.encode(key, [order], ...).
    function _finishedData(
        address key,
        uint16 operation,
        uint40 assignment,
        bytes32 stream,
        uint40 leafIndex,
        bytes32 leafHash,
        bytes32 order
    ) private pure returns (bytes memory) {
        return abi.encode(key, _touching(order), operation, assignment, stream, leafIndex, leafHash);
    }

    function _requireOpen(bytes32 order, Order storage entry) private view {
        if (entry.state != OrderState.Accepted && entry.state != OrderState.InProduction) {
            revert OrderStateWrong(order, entry.state);
        }
    }

    /// @dev Every record of an assignment that carries one root and nothing else.
    function _recordAssignment(
        bytes32 kind,
        Actor memory actor,
        bytes32 order,
        uint16 operation,
        uint40 assignment,
        bytes32 root
    ) private {
        bytes memory data = abi.encode(actor.key, _touching(order), operation, assignment, root);
        _recordOne(kind, actor, order, data);
    }
}
