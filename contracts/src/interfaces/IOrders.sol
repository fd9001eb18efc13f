// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Orders: what a buyer wants, from whom, and who must have inspected it
/// @notice Placed -> Accepted; Accepted -> InProduction -> Completed -> Delivered; Placed or Accepted ->
/// Cancelled; InProduction or Completed -> Ended. Production begins with the first assignment that starts, and goes on
/// from Completed with another assignment or operation.
/// A side is gone when it no longer has the role of its part: the buyer BUYER, the coordinator COORDINATOR. The other one
/// can go on without it: it names another coordinator, or ends the order.
interface IOrders {
    enum OrderState {
        None,
        Placed,
        Accepted,
        InProduction,
        Completed,
        Delivered,
        Cancelled,
        Ended
    }

    /// @dev What both sides agree on.
    struct OrderTerms {
        /// Number of operations; they are numbered from 0.
        uint16 operations;
        /// Assigns the operations and declares the order complete. A revision may name another one, which must agree.
        uint32 coordinator;
        /// The quality gates, at most three, packed as libraries/Gates.sol says: lots of the order reach the buyer only with
        /// a valid passing certificate of each gate's inspector on its model. 0: no gate.
        uint256 gates;
        /// When the order is due, in seconds. Not enforced.
        uint40 dueAt;
        /// How much the buyer has in custody, in `unit`, when it confirms delivery. Both 0: not agreed. More than fits
        /// takes a larger unit, or a second order.
        uint32 quantity;
        bytes3 unit;
        bytes32 claimsRoot;
    }

    /// @dev One slot.
    struct Order {
        /// Of the placing record; 0 when the order does not exist.
        uint40 sequence;
        /// Of its one gate; 0 when that is by procedure, and without a gate or with several.
        uint40 model;
        uint32 buyer;
        uint32 coordinator;
        /// Of its one gate; 0 without a gate, 2^32 - 1 with several, which are in a slot of their own: IGates.gatesOf has
        /// both.
        uint32 inspector;
        uint32 quantity;
        bytes3 unit;
        uint8 operations;
        /// Of the operations, those that were never finished or are assigned again.
        uint8 open;
        OrderState state;
    }

    event OrderPlaced(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32[] histories,
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
    event OrderCancelled(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32[] histories,
        bytes32 reasonRoot
    );
    event OrderCompleted(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32[] histories,
        bytes32 claimsRoot
    );
    /// @param count Of the lots that were delivered.
    /// @param quantity What they hold in the unit agreed.
    /// @param lotsDigest keccak256 of abi.encode of their list: however long that is, no history grows with it.
    event OrderDelivered(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32[] histories,
        uint32 count,
        uint64 quantity,
        bytes32 lotsDigest,
        bytes32 claimsRoot
    );

    error OrderUnknown(bytes32 order);
    /// @notice The move is not allowed from `state`.
    error OrderStateWrong(bytes32 order, OrderState state);
    /// @notice Another participant has that part in the order.
    error OrderPartyWrong(bytes32 order, uint32 participant, uint32 expected);
    /// @notice An order has 1 to `most` operations.
    error OrderOperationsInvalid(uint16 operations, uint16 most);
    /// @notice Terms name a quantity and its unit, or neither.
    error OrderQuantityInvalid(uint32 quantity, bytes3 unit);
    /// @notice A gate names an inspector and an approved model, or 0 for a procedure; the inspector is not the coordinator.
    /// There are at most three, with ascending inspectors, and nothing above them in the word.
    error OrderGateInvalid(uint32 inspector, uint40 model);
    /// @notice The lots named hold `delivered`, less than the `quantity` agreed.
    error OrderUndelivered(bytes32 order, bytes3 unit, uint32 quantity, uint256 delivered);
    /// @notice An order is complete when every operation was finished and has no live assignment; `open` of them are not.
    error OrderUnfinished(bytes32 order, uint16 open);

    /// @notice Places an order with the coordinator that the terms name. BUYER. Not when the registry is closed.
    /// @return order Subject of kind Order.
    function placeOrder(bytes32 identifierHash, OrderTerms calldata terms) external returns (bytes32 order);
    /// @notice The coordinator takes a placed order on. COORDINATOR.
    function acceptOrder(bytes32 order, bytes32 claimsRoot) external;
    /// @notice Ends an order before production: its buyer (BUYER), or its coordinator (COORDINATOR), who declines it so.
    function cancelOrder(bytes32 order, bytes32 reasonRoot) external;
    /// @notice Declares an order complete. Its coordinator, COORDINATOR.
    function completeOrder(bytes32 order, bytes32 claimsRoot) external;
    /// @notice Confirms that a completed order was delivered. Its buyer, BUYER.
    /// @dev What was used up or passed on before is not counted: both sides then agree on the rest by a revision.
    /// @param lots What was delivered, ascending: lots of the order in the buyer's custody, held and not packed, which hold
    /// at least the quantity agreed in its unit. May be empty where none is agreed.
    function confirmDelivery(bytes32 order, bytes32[] calldata lots, bytes32 claimsRoot) external;

    function orderOf(bytes32 order) external view returns (Order memory);
}
