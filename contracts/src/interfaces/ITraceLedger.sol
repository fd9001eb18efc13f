// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAssignments} from "./IAssignments.sol";
import {ICertificates} from "./ICertificates.sol";
import {ICustody} from "./ICustody.sol";
import {IEvidence} from "./IEvidence.sol";
import {IGates} from "./IGates.sol";
import {IHistory} from "./IHistory.sol";
import {ILots} from "./ILots.sol";
import {INotes} from "./INotes.sol";
import {IOrders} from "./IOrders.sol";
import {IRevisions} from "./IRevisions.sol";

/// @title What happened: one address, one log
/// @notice All that the ledger's address answers to, and so the ABI to use there, whichever code runs: TraceLedger's own
/// (orders, assignments, custody, corrections), LotOperations (lots, transformations, waivers, evidence, notes) or CertificateOperations
/// (certificates, their challenges, and the revisions of orders). Errors of the registry and of its evaluator come through as
/// they are.
interface ITraceLedger is
    IHistory,
    INotes,
    IOrders,
    IRevisions,
    IEvidence,
    IAssignments,
    ILots,
    ICustody,
    IGates,
    ICertificates
{
    /// @notice A call of a batch failed without an error of its own (OpenZeppelin).
    error FailedCall();

    /// @notice Makes many calls in one transaction: all or nothing.
    function multicall(bytes[] calldata data) external returns (bytes[] memory results);

    /// @notice What every history starts from, see IHistory.
    function HEAD_TAG() external view returns (bytes32);
    /// @notice The contract whose code runs for lots, waivers of gates, evidence and notes. Never changed.
    function lotOperations() external view returns (address);
    /// @notice The contract whose code runs for certificates and for the revisions of orders. Never changed.
    function certificateOperations() external view returns (address);
    /// @notice The ERC-2771 forwarder whose word on the sender is taken; 0 for none.
    function trustedForwarder() external view returns (address);
    function isTrustedForwarder(address forwarder) external view returns (bool);
}
