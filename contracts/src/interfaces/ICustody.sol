// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICertificates} from "./ICertificates.sol";

/// @title Custody: who holds a lot
/// @notice It moves only when it is offered and accepted, with everything packed in the lot; to the buyer of a lot's order
/// only through the order's gate, looked at on offer and on acceptance.
interface ICustody {
    /// @dev One lot of a consignment, with its order (0 for none).
    struct Item {
        bytes32 lot;
        bytes32 order;
    }

    event CustodyOffered(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32[] histories,
        uint32 to,
        bytes32 claimsRoot
    );
    event CustodyAccepted(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32[] histories,
        uint32 from,
        bytes32 claimsRoot
    );
    event CustodyDeclined(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32[] histories,
        bytes32 reasonRoot
    );
    event CustodyWithdrawn(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32[] histories,
        bytes32 reasonRoot
    );

    /// @notice The consignment names lots that are not in it, or too few: `expected` more are packed in `lot`.
    error ConsignmentIncomplete(bytes32 lot, uint256 expected);
    error ConsignmentExcess(uint256 given, uint256 used);
    error ConsignmentTooDeep(bytes32 lot);
    error CustodyNotOffered(bytes32 lot, uint32 offeredTo);
    error CustodyToSelf(bytes32 lot);
    /// @notice The order's gate is closed: the latest certificate of `inspector` on the lot must be a valid pass on `model` (0:
    /// by procedure), none of its certificates there may be open, and it must be in standing.
    /// @param certificate The latest; 0 for none.
    /// @param inStanding Whether it may inspect now, and the key that signed was not compromised then.
    error GateClosed(
        bytes32 lot,
        uint32 inspector,
        uint40 model,
        uint40 certificate,
        ICertificates.CertificateStatus status,
        ICertificates.Verdict verdict,
        uint40 certifiedOn,
        uint8 open,
        bool inStanding
    );

    /// @notice Offers custody to another participant; a return is an offer back. The custodian, any role but AUDITOR.
    /// @param consignment The lot, then everything packed in it: each lot followed by its own contents, ascending.
    function offerCustody(Item[] calldata consignment, uint32 to, bytes32 claimsRoot) external;
    /// @notice Takes custody of what was offered; the gates of all orders in it must be open for the caller. Any role but
    /// AUDITOR.
    function acceptCustody(Item[] calldata consignment, bytes32 claimsRoot) external;
    /// @notice Refuses an offer. To whom it was made, any role but AUDITOR.
    function declineCustody(bytes32 lot, bytes32 reasonRoot) external;
    /// @notice Takes an offer back. The custodian, any role but AUDITOR.
    function withdrawCustody(bytes32 lot, bytes32 reasonRoot) external;
}
