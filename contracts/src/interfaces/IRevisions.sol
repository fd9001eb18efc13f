// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOrders} from "./IOrders.sol";

/// @title What both sides of an order agree on later: other terms, or its end
/// @notice One proposal is open at a time. It is in force once all that it concerns agreed to it; a side that is gone, see
/// IOrders, is not waited for, or not forever.
interface IRevisions {
    /// @dev A revision, or an end, that was proposed and is not agreed yet. An order keeps the latest.
    struct Proposal {
        /// Of keccak256(abi.encode(kind, sequence, content)), the first 26 bytes: `kind` and `sequence` of the proposing
        /// record, `content` the hash of the encoded terms, or 0 of an end.
        bytes26 digest;
        uint40 proposedAt;
        /// Who agreed so far: 1 the buyer, 2 the coordinator, 4 the coordinator that the terms name.
        uint8 consents;
    }

    event RevisionProposed(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32[] histories,
        IOrders.OrderTerms terms
    );
    /// @param awaited Whose agreement is still missing; 0 when the terms are in force now.
    event RevisionAccepted(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32[] histories,
        uint40 proposal,
        uint32 awaited,
        IOrders.OrderTerms terms
    );
    event EndProposed(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32[] histories,
        bytes32 reasonRoot
    );
    event OrderEnded(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32[] histories,
        uint40 proposal,
        bytes32 claimsRoot
    );
    /// @notice Once production began, a revision may name other inspectors, but not none, and no new one that has an
    /// assignment of the order (a declined one does not count): it might inspect what it made itself. Not checked: whether it had one
    /// before the operation was assigned again.
    error OrderInspectorUnfit(bytes32 order, uint32 inspector);
    /// @notice A revision does not take operations away.
    error OrderOperationsFewer(bytes32 order, uint16 agreed, uint16 proposed);
    /// @notice The order's latest proposal is another one, or was agreed, or is for other terms.
    error OrderNotProposed(bytes32 order, uint40 proposal);
    /// @notice The caller agreed already; `awaited` did not.
    error OrderAgreementMissing(bytes32 order, uint32 awaited);
    /// @notice The other side is gone; who proposed the end brings it about alone from `notBefore` on.
    error OrderEndTooEarly(bytes32 order, uint40 notBefore);

    /// @notice Proposes other terms, in place of whatever was proposed before. Buyer (BUYER) or coordinator (COORDINATOR) of
    /// an order that is placed, accepted, in production or completed. Records that come between do not void it. Gates
    /// that all stay as they are are not checked again.
    function proposeRevision(bytes32 order, IOrders.OrderTerms calldata terms) external;
    /// @notice Agrees to the terms of the latest proposal, which is then checked against the order as it is. Buyer,
    /// coordinator, or the coordinator that the terms name (COORDINATOR). In force once all three agreed; the present
    /// coordinator's agreement is not needed when it is gone.
    /// @param proposal Sequence of the proposal.
    function acceptRevision(bytes32 order, IOrders.OrderTerms calldata terms, uint40 proposal) external;
    /// @notice Proposes to end an order in production or completed, in place of whatever was proposed before. Buyer (BUYER)
    /// or coordinator (COORDINATOR).
    function proposeEnd(bytes32 order, bytes32 reasonRoot) external;
    /// @notice Ends an order as the latest proposal says. The other side than proposed it; or the same, when the other one
    /// is gone and 14 days have passed since. Assignments that were started may still be finished; lots stay lots of
    /// the order, behind its gate.
    ///
    /// When both sides are gone, nobody could propose: the participant to which the council entrusted what the buyer has, see
    /// IRegistry, ends the order, placed or later, once the buyer has been gone for 14 days.
    /// @param proposal Sequence of the proposal; 0 for an order whose sides are gone.
    function endOrder(bytes32 order, uint40 proposal, bytes32 claimsRoot) external;

    /// @notice The latest proposal that is not agreed yet; zeros for none.
    function proposalOf(bytes32 order) external view returns (Proposal memory);
}
