// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {LotOperations} from "./LotOperations.sol";
import {Challenges} from "./history/Challenges.sol";
import {History} from "./history/History.sol";
import {Revisions} from "./history/Revisions.sol";

/// @title The certificates of TraceLedger and the revisions of its orders, apart because of the limits on a contract's size
/// @notice As LotOperations: TraceLedger runs this code on its own storage, and a call at this address is refused.
contract CertificateOperations is Challenges, Revisions {
    /// @notice The code from which the constants were copied. TraceLedger answers the same.
    address public immutable lotOperations;
    /// @notice This contract. TraceLedger answers the same.
    address public immutable certificateOperations = address(this);

    /// @notice `given` is no LotOperations.
    error CertificateOperationsLotsUnfit(address given);

    /// @dev The constants are copied, so they cannot differ from those of the lot families.
    constructor(LotOperations lots)
        History(lots.registry(), lots.trustedForwarder(), lots.predecessor(), lots.ledgerId(), true)
    {
        lotOperations = address(lots);
        // Whatever else knows a LotOperations (a ledger, another CertificateOperations) names one that is not itself.
        if (lots.lotOperations() != address(lots)) revert CertificateOperationsLotsUnfit(address(lots));
    }
}
