// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Orders: what a buyer wants, from whom, and who must have inspected it
/// @notice Placed -> Accepted | Rejected; Accepted -> InProduction -> Completed -> Delivered; Placed or Accepted ->
/// Cancelled. Production begins with the first assignment that starts.
interface IOrders {
    enum OrderState {
        None,
        Placed,
        Accepted,
        Rejected,
        InProduction,
        Completed,
        Delivered,
        Cancelled
    }

    /// @dev What both sides agree on.
    struct OrderTerms {
        /// Number of operations; they are numbered from 0.
        uint16 operations;
        /// The quality gate: lots of the order reach the buyer only with a valid passing certificate of this inspector
        /// on `model`. Both 0: no gate.
        uint32 inspector;
        uint40 model;
        /// When the order is due, in seconds. Not enforced.
        uint40 dueAt;
        bytes32 claimsRoot;
    }

    struct Order {
        /// Of the placing record; 0 when the order does not exist.
        uint40 sequence;
        uint40 model;
        uint32 buyer;
        uint32 coordinator;
        uint32 inspector;
        uint16 operations;
        /// Of the operations, those that were never finished or are assigned again.
        uint16 open;
        OrderState state;
    }

    event OrderPlaced(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32[] histories,
        uint32 coordinator,
        OrderTerms terms
    );
    event OrderAccepted(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32[] histories,
        bytes32 claimsRoot
    );
    event OrderRejected(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32[] histories,
        bytes32 reasonRoot
    );
    event OrderCancelled(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32[] histories,
        bytes32 reasonRoot
    );
    event RevisionProposed(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32[] histories,
        OrderTerms terms
    );
    event RevisionAccepted(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32[] histories,
        uint40 proposal,
        OrderTerms terms
    );
    event OrderCompleted(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32[] histories,
        bytes32 claimsRoot
    );
    event OrderDelivered(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32[] histories,
        bytes32 claimsRoot
    );

    error OrderUnknown(bytes32 order);
    /// @notice The move is not allowed from `state`.
    error OrderStateWrong(bytes32 order, OrderState state);
    /// @notice Another participant has that part in the order.
    error OrderPartyWrong(bytes32 order, uint32 participant, uint32 expected);
    /// @notice An order has 1 to `most` operations.
    error OrderOperationsInvalid(uint16 operations, uint16 most);
    /// @notice A gate names an inspector and an approved model, or neither; the inspector is not the coordinator.
    error OrderGateInvalid(uint32 inspector, uint40 model);
    /// @notice Once production began, a revision may name another inspector, but none that is a MANUFACTURER when it is
    /// proposed, which might inspect what it made itself, and not none. Not checked: whether it was one before.
    error OrderInspectorUnfit(bytes32 order, uint32 inspector);
    /// @notice A revision does not take operations away.
    error OrderOperationsFewer(bytes32 order, uint16 agreed, uint16 proposed);
    /// @notice What is shown is not the latest record of the order, or not a proposal of the other side for these terms.
    error OrderRevisionNotProposed(bytes32 order);
    /// @notice An order is complete when every operation was finished and has no live assignment; `open` of them are not.
    error OrderUnfinished(bytes32 order, uint16 open);

    /// @notice Places an order with a coordinator. BUYER. Not when the registry is closed.
    /// @return order Subject of kind Order.
    function placeOrder(bytes32 identifierHash, uint32 coordinator, OrderTerms calldata terms)
        external
        returns (bytes32 order);
    /// @notice The coordinator takes a placed order on. COORDINATOR.
    function acceptOrder(bytes32 order, bytes32 claimsRoot) external;
    /// @notice The coordinator declines a placed order. COORDINATOR.
    function rejectOrder(bytes32 order, bytes32 reasonRoot) external;
    /// @notice Ends an order before production. Its buyer (BUYER), or once accepted its coordinator (COORDINATOR).
    function cancelOrder(bytes32 order, bytes32 reasonRoot) external;
    /// @notice Proposes other terms to the other side. Buyer (BUYER) or coordinator (COORDINATOR) of an order that is
    /// placed, accepted or in production.
    function proposeRevision(bytes32 order, OrderTerms calldata terms) external;
    /// @notice Agrees to the terms that the other side proposed in the order's latest record. Buyer or coordinator.
    /// @param previousHead Head of the order before the proposal.
    /// @param proposal Sequence of the proposal; `proposer` its key, `proposedAt` its block's timestamp.
    function acceptRevision(
        bytes32 order,
        OrderTerms calldata terms,
        bytes32 previousHead,
        uint40 proposal,
        address proposer,
        uint40 proposedAt
    ) external;
    /// @notice Declares an order complete. Its coordinator, COORDINATOR.
    function completeOrder(bytes32 order, bytes32 claimsRoot) external;
    /// @notice Confirms that a completed order was delivered. Its buyer, BUYER. That the buyer has custody of the lots
    /// is not checked.
    function confirmDelivery(bytes32 order, bytes32 claimsRoot) external;

    function orderOf(bytes32 order) external view returns (Order memory);
}
