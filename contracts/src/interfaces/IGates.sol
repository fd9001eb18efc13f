// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Gates: what must be certified before a lot reaches the buyer of its order, and what the buyer takes as it is
/// @notice The terms of an order name up to three gates, see IOrders; the ledger looks at them when custody is offered and
/// accepted, see ICustody. They protect the buyer alone. So the buyer may waive one for one lot: a concession, in the words
/// of ISO 9000, for a deviation that it can live with, or for an inspector that is gone.
interface IGates {
    /// @dev The latest of a lot and an inspector.
    struct Waiver {
        /// `sequence` of the order whose buyer gave it; 0 when none was given.
        uint40 order;
        /// The inspector's latest certificate on the lot then; 0 for none.
        uint40 certificate;
        /// How often the lot had been reworked by then.
        uint8 reworks;
    }

    /// @param certificate The inspector's latest certificate on the lot; 0 for none.
    event GateWaived(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32[] histories,
        uint32 inspector,
        uint40 certificate,
        bytes32 reasonRoot
    );

    /// @notice The order has no gate of that inspector.
    error GateUnknown(bytes32 order, uint32 inspector);

    /// @notice Opens the gate of one inspector for one lot that is not spent, whatever that inspector said of it, and lets
    /// the custodian lift that inspector's quarantine of it. The buyer of the lot's order, BUYER.
    /// @dev It holds while the lot is one of the order, no certificate of that inspector on the lot comes after, and the lot is
    /// not reworked: the buyer knew nothing of that. A split does not hand it on.
    function waiveGate(bytes32 lot, bytes32 order, uint32 inspector, bytes32 reasonRoot) external;

    /// @notice The gates of an order, one or several, packed as libraries/Gates.sol says; 0 for none, or when the order is
    /// unknown.
    function gatesOf(bytes32 order) external view returns (uint256);
    /// @notice The latest waiver, whether it still holds or not; zeros for none.
    function waiverOf(bytes32 lot, uint32 inspector) external view returns (Waiver memory);
}
