// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IHistory} from "./IHistory.sol";

/// @title Certificates: an inspector's verdict on a lot, bound to one inference of one model
/// @notice A lot's latest certificate counts; the ones before it are in its history. A failing one quarantines the lot
/// in its inspector's name (the gate's inspector also takes over a quarantine of its custodian or of the inspector that the
/// gate named before, another inspector does not),
/// a passing one releases what the same inspector quarantined. Certificates never pass to the outputs of a
/// transformation. A certificate falls with its model without being touched.
///
/// Whoever holds the input of an inference can challenge the certificate: the inference is opened, and executed again when
/// its model is kept on chain. That upholds the certificate or refutes it. The order's buyer and every auditor can demand
/// an opening; a certificate that nobody opens in time stops counting. What is opened is public for good.
interface ICertificates {
    enum Verdict {
        None,
        Pass,
        Fail
    }

    /// @dev Issued -> Demanded -> Upheld, or straight to Upheld; Issued or Demanded -> Refuted; any of the first three ->
    /// Revoked or, by rework, Voided.
    enum CertificateState {
        None,
        Issued,
        /// Its opening is demanded.
        Demanded,
        /// Opened, and found right.
        Upheld,
        Revoked,
        /// Opened, and found wrong.
        Refuted,
        /// A pass on the lot as it was before it was reworked.
        Voided
    }

    /// @dev Whether a certificate counts, whatever its verdict.
    enum CertificateStatus {
        None,
        Valid,
        Expired,
        Revoked,
        /// Its model is withdrawn.
        Fallen,
        Refuted,
        /// Its opening was demanded, and the deadline passed.
        Unopened,
        /// The lot was reworked since.
        Voided
    }

    struct Certificate {
        /// Of the issuing record: the certificate's short name; 0 when the lot has none.
        uint40 sequence;
        uint40 model;
        /// From then on it is expired, in seconds.
        uint40 expiresAt;
        uint32 issuer;
        Verdict verdict;
        CertificateState state;
        /// From then on it is unopened when it still is demanded, in seconds; 0 when its opening was never demanded.
        uint40 openingDeadline;
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

    /// @dev The rest of a CertificateIssued event, beside its key and histories.
    struct Issued {
        Statement statement;
        uint40 anchorSize;
        bytes32 anchorRoot;
    }

    /// @dev An opened inference: what its digest commits to, beside the context and the model.
    struct Inference {
        /// The quantised window as the model's family writes it, see quality/FORMAT.md.
        bytes input;
        bytes32 salt;
        int32[] logits;
        /// As in the digest; not of type Verdict, so that a digest of anything else can be opened as well.
        uint8 verdict;
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

    /// @param executed Whether the model was executed; otherwise its bytes are not on chain, and the digest's verdict was
    /// compared with the stated one alone.
    event CertificateUpheld(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32[] histories,
        uint40 certificate,
        bool executed
    );
    /// @param executed What the model says of the input: Pass lifts the issuer's quarantine, all else quarantines in the
    /// issuer's name. None when the input is invalid for the model, or the model's bytes are not on chain.
    event CertificateRefuted(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32[] histories,
        uint40 certificate,
        Verdict executed
    );
    /// @param deadline From then on the certificate is unopened, in seconds.
    event OpeningDemanded(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32[] histories,
        uint40 certificate,
        uint40 deadline
    );

    error CertificateVerdictMissing();
    error CertificateExpiryPast(uint40 expiresAt);
    error CertificateDigestMissing();
    /// @notice The model is not approved, or it is retired or withdrawn.
    error CertificateModelUnfit(uint40 model);
    /// @notice The model is another inspector's, who has not opened it to others.
    error CertificateModelClosed(uint40 model, uint32 issuer);
    /// @notice The order's gate names another inspector.
    error CertificateInspectorWrong(bytes32 lot, uint32 inspector);
    /// @notice The lot's latest certificate is another one: `latest`, or none.
    error CertificateNotLatest(bytes32 lot, uint40 certificate, uint40 latest);
    error CertificateForeign(bytes32 lot, uint32 issuer);
    /// @notice The move is not allowed from `state`.
    error CertificateStateWrong(bytes32 lot, uint40 certificate, CertificateState state);
    /// @notice What is shown is not the data of the opened record.
    error CertificateDataWrong(bytes32 computed, bytes32 digest);
    /// @notice What is shown is another inference than the certified one: context, model, input, salt, logits or verdict.
    error CertificateInferenceWrong(bytes32 computed, bytes32 inferenceDigest);
    /// @notice The inference is right, but the deadline for showing it passed.
    error CertificateOpeningLate(bytes32 lot, uint40 certificate, uint40 deadline);
    /// @notice A participant demands one opening an hour: `again` is when it may demand the next.
    error CertificateDemandTooSoon(uint32 participant, uint40 again);

    /// @notice Issues a certificate on an approved model, of the issuer or opened to others. INSPECTOR; for a lot of an
    /// order with a gate, the gate's.
    /// That the digest belongs to the data and the model is not checked here: whoever holds the input re-executes it.
    /// @return certificate The sequence of this record.
    function issueCertificate(Statement calldata statement) external returns (uint40 certificate);
    /// @notice Takes the lot's latest certificate back. Its issuer, INSPECTOR.
    function revokeCertificate(bytes32 lot, uint40 certificate, bytes32 reasonRoot) external;
    /// @notice Opens the inference behind the lot's latest certificate, for good, and settles it. Any role; any participant
    /// that holds the input. Right: the certificate is upheld, which also meets a demand made of it. Wrong, which is that the
    /// input is invalid for the model, or executing the model gives other logits or another verdict, or the digest's verdict
    /// is not the stated one: the certificate is refuted, and the lot follows what was executed. Reverts when what is shown
    /// is not what the certificate commits to.
    /// @param opening Of the issuing record in the lot's history.
    /// @param issued That record's data.
    function challenge(
        bytes32 lot,
        IHistory.Opening calldata opening,
        Issued calldata issued,
        Inference calldata inference
    ) external;
    /// @notice Demands that the lot's latest certificate be opened within seven days, or stop counting. The buyer of the
    /// lot's order, BUYER; or any AUDITOR.
    /// @param order The lot's order; 0 when it has none.
    function demandOpening(bytes32 lot, bytes32 order, uint40 certificate) external;

    /// @notice The latest certificate of a lot.
    function certificateOf(bytes32 lot) external view returns (Certificate memory);
    /// @notice Whether it counts now.
    function certificateStatus(bytes32 lot) external view returns (CertificateStatus);
}
