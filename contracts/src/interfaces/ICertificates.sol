// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Certificates: an inspector's verdict on a lot, bound to one inference of one model
/// @notice A lot's latest certificate counts; the ones before it are in its history. A failing one quarantines the lot
/// in its inspector's name (the gate's inspector also takes over its custodian's quarantine, another inspector does not),
/// a passing one releases what the same inspector quarantined. Certificates never pass to the outputs of a
/// transformation. A certificate falls with its model without being touched.
interface ICertificates {
    enum Verdict {
        None,
        Pass,
        Fail
    }

    /// @dev Whether a certificate counts, whatever its verdict.
    enum CertificateStatus {
        None,
        Valid,
        Expired,
        Revoked,
        Fallen
    }

    struct Certificate {
        /// Of the issuing record: the certificate's short name; 0 when the lot has none.
        uint40 sequence;
        uint40 model;
        /// From then on it is expired, in seconds.
        uint40 expiresAt;
        uint32 issuer;
        Verdict verdict;
        bool revoked;
    }

    /// @dev What an inspector states.
    struct Statement {
        bytes32 lot;
        /// The lot's order; 0 when it has none.
        bytes32 order;
        uint40 model;
        Verdict verdict;
        /// In seconds, later than now.
        uint40 expiresAt;
        /// sha256 over context, model, input commitment, logits and verdict.
        bytes32 inferenceDigest;
        bytes32 claimsRoot;
        /// The measured data: an entry of an anchored stream, and its RFC 9162 leaf hash.
        bytes32 stream;
        uint40 leafIndex;
        bytes32 leafHash;
    }

    /// @param anchorSize Size and root of the stream's anchor in force.
    event CertificateIssued(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32[] histories,
        Statement statement,
        uint40 anchorSize,
        bytes32 anchorRoot
    );
    event CertificateRevoked(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32[] histories,
        uint40 certificate,
        bytes32 reasonRoot
    );

    error CertificateVerdictMissing();
    error CertificateExpiryPast(uint40 expiresAt);
    error CertificateDigestMissing();
    /// @notice The model is not approved, or withdrawn.
    error CertificateModelUnfit(uint40 model);
    /// @notice The order's gate names another inspector.
    error CertificateInspectorWrong(bytes32 lot, uint32 inspector);
    /// @notice The lot's latest certificate is another one: `latest`, or none.
    error CertificateNotLatest(bytes32 lot, uint40 certificate, uint40 latest);
    error CertificateForeign(bytes32 lot, uint32 issuer);
    error CertificateAlreadyRevoked(bytes32 lot, uint40 certificate);

    /// @notice Issues a certificate on an approved model. INSPECTOR; for a lot of an order with a gate, the gate's.
    /// That the digest belongs to the data and the model is not checked here: whoever holds the input re-executes it.
    /// @return certificate The sequence of this record.
    function issueCertificate(Statement calldata statement) external returns (uint40 certificate);
    /// @notice Takes the lot's latest certificate back. Its issuer, INSPECTOR.
    function revokeCertificate(bytes32 lot, uint40 certificate, bytes32 reasonRoot) external;

    /// @notice The latest certificate of a lot.
    function certificateOf(bytes32 lot) external view returns (Certificate memory);
    /// @notice Whether it counts now.
    function certificateStatus(bytes32 lot) external view returns (CertificateStatus);
}
