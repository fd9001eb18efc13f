// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {CertificateOperations} from "./CertificateOperations.sol";
import {Assignments} from "./history/Assignments.sol";
import {Custody} from "./history/Custody.sol";
import {History} from "./history/History.sol";
import {Notes} from "./history/Notes.sol";
import {ICertificates} from "./interfaces/ICertificates.sol";
import {IRevisions} from "./interfaces/IRevisions.sol";

/// @title The ledger of orders, assignments, lots, certificates, evidence and notes: one address, one log
/// @notice The manual is on the interfaces; ITraceLedger is all that this address answers to. Many records go into one
/// transaction with `multicall`: all or nothing.
contract TraceLedger is Assignments, Custody, Notes {
    /// @notice Code for lots, transformations, waivers and evidence. Never changed.
    address public immutable lotOperations;
    /// @notice Code for certificates and their challenges, and for the revisions of orders. Never changed.
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
            certificates.ledgerId(),
            false
        )
    {
        lotOperations = certificates.lotOperations();
        certificateOperations = address(certificates);
        // A ledger names a CertificateOperations as well, but not itself.
        if (certificates.certificateOperations() != address(certificates)) {
            revert TraceLedgerCertificatesUnfit(address(certificates));
        }
    }

    /// @dev Whatever is not here is in one of the other two. Not payable, so no money can get stuck. In assembly because
    /// the call data and the answer pass through as they are: copied by the compiler they cost 2,300 gas a record.
    fallback() external {
        address code = _isOfCertificates(uint32(msg.sig)) ? certificateOperations : lotOperations;
        assembly {
            calldatacopy(0, 0, calldatasize())
            let done := delegatecall(gas(), code, 0, calldatasize(), 0, 0)
            returndatacopy(0, 0, returndatasize())
            if iszero(done) { revert(0, returndatasize()) }
            return(0, returndatasize())
        }
    }

    /// @dev All functions of CertificateOperations that are not here, too: the one place that routes them.
    /// As numbers of 256 bits, because the compiler masks anything narrower before each comparison: every record of a lot
    /// pays for all of them.
    function _isOfCertificates(uint256 selector) private pure returns (bool) {
        return selector == uint32(ICertificates.issueCertificate.selector)
            || selector == uint32(ICertificates.challenge.selector)
            || selector == uint32(ICertificates.demandOpening.selector)
            || selector == uint32(ICertificates.revokeCertificate.selector)
            || selector == uint32(ICertificates.certificateOf.selector)
            || selector == uint32(ICertificates.certificateStatus.selector)
            || selector == uint32(ICertificates.standingOf.selector)
            || selector == uint32(IRevisions.proposeRevision.selector)
            || selector == uint32(IRevisions.acceptRevision.selector)
            || selector == uint32(IRevisions.proposeEnd.selector) || selector == uint32(IRevisions.endOrder.selector)
            || selector == uint32(IRevisions.proposalOf.selector);
    }
}
