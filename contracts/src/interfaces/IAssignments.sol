// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Assignments: one operation of an order given to one machine, with its owner's consent
/// @notice Proposed -> Accepted | Declined; Accepted -> Started -> Finished; any of Proposed, Accepted, Started ->
/// Cancelled. An operation has one current assignment; a new one is proposed only when the one before is over, so at
/// most one is live by construction. All records are in the order's history.
interface IAssignments {
    enum AssignmentState {
        None,
        Proposed,
        Accepted,
        Declined,
        Started,
        Finished,
        Cancelled
    }

    struct Assignment {
        /// Of the proposing record: the assignment's short name; 0 when the operation was never assigned.
        uint40 sequence;
        /// `sequence` of the order.
        uint40 order;
        uint40 machine;
        /// Who owned the machine when it was proposed.
        uint32 owner;
        AssignmentState state;
        /// Whether this or an earlier assignment of the operation was finished.
        bool finishedOnce;
        /// `sequence` of the stream that measures the work; 0 until it is started.
        uint40 stream;
        /// Entries of that stream that were anchored when the work began: none of them is about it.
        uint40 streamSize;
    }

    event AssignmentProposed(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32[] histories,
        uint16 operation,
        uint40 machine,
        uint32 owner,
        bytes32 claimsRoot
    );
    event AssignmentAccepted(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32[] histories,
        uint16 operation,
        uint40 assignment,
        bytes32 claimsRoot
    );
    event AssignmentDeclined(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32[] histories,
        uint16 operation,
        uint40 assignment,
        bytes32 reasonRoot
    );
    /// @param streamSize Entries of the stream that are anchored by now.
    event AssignmentStarted(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32[] histories,
        uint16 operation,
        uint40 assignment,
        bytes32 stream,
        uint40 streamSize,
        bytes32 claimsRoot
    );
    event AssignmentFinished(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32[] histories,
        uint16 operation,
        uint40 assignment,
        bytes32 stream,
        uint40 leafIndex,
        bytes32 leafHash
    );
    event AssignmentCancelled(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32[] histories,
        uint16 operation,
        uint40 assignment,
        bytes32 reasonRoot
    );

    error AssignmentOperationUnknown(bytes32 order, uint16 operation, uint16 operations);
    /// @notice The operation has an assignment that is not over.
    error AssignmentLive(bytes32 order, uint16 operation, uint40 assignment);
    /// @notice The operation's current assignment is another one: `current`, or none.
    error AssignmentNotCurrent(bytes32 order, uint16 operation, uint40 assignment, uint40 current);
    /// @notice The move is not allowed from `state`.
    error AssignmentStateWrong(bytes32 order, uint16 operation, AssignmentState state);
    /// @notice Another participant owns the machine.
    error AssignmentForeign(bytes32 order, uint16 operation, uint32 owner);
    /// @notice Who inspects an order does not make it.
    error AssignmentOwnerInspects(bytes32 order, uint32 owner);
    /// @notice The stream is another machine's.
    error AssignmentStreamOfOther(bytes32 stream, uint40 machine, uint40 expected);
    /// @notice The work was started on another stream: that with the sequence `expected`.
    error AssignmentStreamOther(bytes32 stream, uint40 expected);
    /// @notice The entry was measured before the work began: name one from `least` on.
    error AssignmentLeafTooOld(bytes32 stream, uint40 leafIndex, uint40 least);

    /// @notice Proposes a machine for an operation of an order that is accepted, in production or completed, which it takes
    /// back into production. The order's coordinator, COORDINATOR. That the machine can do the work is not checked.
    /// @return assignment The sequence of this record.
    function proposeAssignment(bytes32 order, uint16 operation, uint40 machine, bytes32 claimsRoot)
        external
        returns (uint40 assignment);
    /// @notice Consents. The machine's owner, MANUFACTURER; the machine must be in service.
    function acceptAssignment(bytes32 order, uint16 operation, uint40 assignment, bytes32 claimsRoot) external;
    /// @notice Refuses a proposal. The machine's owner, MANUFACTURER.
    function declineAssignment(bytes32 order, uint16 operation, uint40 assignment, bytes32 reasonRoot) external;
    /// @notice Begins the work; the first start puts the order into production. The machine's owner, MANUFACTURER. A
    /// machine retired meanwhile may still do what was accepted for it.
    /// @param stream Of the machine; what it measures from now on is about this work.
    function startAssignment(bytes32 order, uint16 operation, uint40 assignment, bytes32 stream, bytes32 claimsRoot)
        external;
    /// @notice Ends the work, naming its evidence: an anchored entry that the stream got after the start. The machine's
    /// owner, MANUFACTURER.
    /// @param stream As at the start.
    /// @param leafHash RFC 9162 leaf hash of the entry; that it is the leaf at `leafIndex` is shown by inclusion proof.
    function finishAssignment(
        bytes32 order,
        uint16 operation,
        uint40 assignment,
        bytes32 stream,
        uint40 leafIndex,
        bytes32 leafHash
    ) external;
    /// @notice Takes a live assignment back, whatever the state of the order. The order's coordinator, COORDINATOR; its buyer,
    /// BUYER, when the coordinator is gone.
    function cancelAssignment(bytes32 order, uint16 operation, uint40 assignment, bytes32 reasonRoot) external;

    function assignmentOf(bytes32 order, uint16 operation) external view returns (Assignment memory);
}
