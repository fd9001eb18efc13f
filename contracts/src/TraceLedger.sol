// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {CertificateOperations} from "./CertificateOperations.sol";
import {Assignments} from "./history/Assignments.sol";
import {Corrections} from "./history/Corrections.sol";
import {Evidence} from "./history/Evidence.sol";
import {History} from "./history/History.sol";
import {ICertificates} from "./interfaces/ICertificates.sol";

/// @title The ledger of orders, assignments, lots, certificates and evidence: one address, one log
/// @notice The manual is on the interfaces; ITraceLedger is all that this address answers to. Many records go into one
/// transaction with `multicall`: all or nothing.
contract TraceLedger is Assignments, Corrections, Evidence {
    /// @notice Code of the lot families. Never changed.
    address public immutable lotOperations;
    /// @notice Code of the certificate families. Never changed.
    address public immutable certificateOperations;

    /// @notice `given` is no CertificateOperations.
    error TraceLedgerCertificatesUnfit(address given);

    /// @dev The constants are copied, so the three pieces of code cannot differ in them. That their code is what it should
    /// be is not checked here, but by whoever trusts the ledger.
    constructor(CertificateOperations certificates)
        History(
            certificates.registry(),
            certificates.trustedForwarder(),
            certificates.predecessor(),
            certificates.ledgerId()
        )
    {
        lotOperations = certificates.lotOperations();
        certificateOperations = address(certificates);
        // A ledger names a CertificateOperations as well, but not itself.
        if (certificates.certificateOperations() != address(certificates)) {
            revert TraceLedgerCertificatesUnfit(address(certificates));
        }
    }

    /// @dev Whatever is not here is a certificate's or a lot's. Not payable, so no money can get stuck. In assembly because
    /// the call data and the answer pass through as they are: copied by the compiler they cost 2,300 gas a record.
    fallback() external {
        address code = _isOfCertificates(msg.sig) ? certificateOperations : lotOperations;
        assembly {
            calldatacopy(0, 0, calldatasize())
            let done := delegatecall(gas(), code, 0, calldatasize(), 0, 0)
            returndatacopy(0, 0, returndatasize())
            if iszero(done) { revert(0, returndatasize()) }
            return(0, returndatasize())
        }
    }

    /// @dev All functions of CertificateOperations that are not here, too: the one place that routes them.
    function _isOfCertificates(bytes4 selector) private pure returns (bool) {
        return selector == ICertificates.issueCertificate.selector || selector == ICertificates.challenge.selector
            || selector == ICertificates.demandOpening.selector || selector == ICertificates.revokeCertificate.selector
            || selector == ICertificates.certificateOf.selector || selector == ICertificates.certificateStatus.selector;
    }
}
