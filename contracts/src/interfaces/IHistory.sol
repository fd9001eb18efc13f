// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IRegistry} from "./IRegistry.sol";

/// @title What every record has in common
/// @notice A record is one state change by one participant. It is one event of the form
///
///     event Name(uint40 indexed sequence, uint32 indexed participant, bytes32 indexed subject,
///                address key, bytes32[] histories, ...)
///
/// `sequence` is dense over the whole ledger (1, 2, 3 ...). `subject` is what the record is about. `key` is the address
/// that signed for the participant. `histories` are the orders and lots that the record touches: it becomes the latest
/// link of each one's hash chain, whose end, the head, is in storage:
///
///     start = keccak256(abi.encode(HEAD_TAG, chain id, this contract, ledgerId, subject))
///     inner = keccak256(abi.encode(sequence, participant, key, keccak256(event data), block timestamp))
///     head  = keccak256(abi.encode(previous head or start, topic 0, inner))
///
/// So heads can be recomputed from raw logs without knowing the event, and prove that no record was left out.
/// All times are block timestamps in seconds. Every `...Root` is a claims root, the commitment to an off-chain document,
/// 0 for none; what the document says is not checked.
interface IHistory {
    /// @dev Who acts in this call.
    struct Actor {
        uint32 participant;
        /// What the participant may do, see libraries/Roles.sol.
        uint16 roles;
        address key;
    }

    /// @notice The call belongs at the ledger's address, not at that of code behind it.
    error HistoryNotTheLedger(address self);
    /// @notice The acting participant holds none of the roles that the function needs.
    error HistoryRoleMissing(uint32 participant, uint16 held, uint16 needed);
    /// @notice A named participant is unknown, suspended, or holds none of the roles that its part needs.
    error HistoryParticipantUnfit(uint32 participant, uint16 held, uint16 needed);
    /// @notice The same creator used that subject before.
    error HistorySubjectTaken(bytes32 subject);
    /// @notice The registry is closed: no new orders, and no lots from outside; the ledger `successor` goes on.
    error HistoryClosed(address successor);

    /// @notice Number of records so far, and the sequence of the latest.
    function sequence() external view returns (uint40);
    /// @notice The head of an order's or lot's history; 0 when it has no record.
    function headOf(bytes32 subject) external view returns (bytes32);
    function registry() external view returns (IRegistry);
    /// @notice The ledger that this one replaces; 0 for the first.
    function predecessor() external view returns (address);
    /// @notice Made from the block hash before deployment, so that a chain made anew with the same keys, where the ledger
    /// has the same address, is another ledger:
    /// keccak256(abi.encode(block hash before the deployment of LotOperations, chain id, address of LotOperations)).
    function ledgerId() external view returns (bytes32);
}
