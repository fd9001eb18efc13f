// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICustody} from "./ICustody.sol";

/// @title Certificates: an inspector's verdict on lots
/// @notice A certificate is an entity with a number, the sequence of the record that issued it: a verdict on one lot by one
/// inference of a model, or on up to 64 lots by a procedure (a sampling plan, a person with a gauge), which its claims
/// describe. A lot may have any number of certificates, of any inspectors; none erases another. A certificate falls with its
/// model without being touched.
///
/// What counts for a gate of an order is, per lot and inspector, the standing: the latest certificate of that inspector, and
/// how many of its certificates there are open: demanded or refuted, and not upheld. So an inspector answers for what it
/// certified, whatever it certifies afterwards. A rework of the lot closes what was open, and voids the passes before it. A
/// split hands the standings of the gates' inspectors on to its outputs; no other transformation does.
///
/// Only verdicts of a gate's inspector move the lot: a failing one quarantines in the inspector's name, whoever had
/// quarantined the lot before, and a passing one releases what the same inspector quarantined. A verdict of anybody else is
/// recorded and moves nothing.
///
/// A certificate by inference is bound to a measurement: it names a leaf of an anchored stream, which has to be that of a
/// window of its lot, and to commit to the very integers that the model read. So no measurement serves two lots.
///
/// Whoever holds that window can challenge the certificate: the leaf is rebuilt and found in the stream, the window is
/// quantised, and the inference executed again when its model is kept on chain. That upholds the certificate or refutes it.
/// The buyer and the coordinator of the lot's order,
/// the lot's custodian and every auditor can demand an opening; a certificate that nobody opens in time stops counting. What
/// is opened is public for good. There is nothing to open in a procedure, so that is neither challenged nor demanded.
interface ICertificates {
    enum Verdict {
        None,
        Pass,
        Fail
    }

    /// @dev Issued -> Demanded -> Upheld, or straight to Upheld; Issued, Demanded or Revoked -> Refuted; Issued, Demanded or
    /// Upheld -> Revoked.
    enum CertificateState {
        None,
        Issued,
        /// Its opening is demanded.
        Demanded,
        /// Opened, and found right.
        Upheld,
        Revoked,
        /// Opened, and found wrong.
        Refuted
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
        /// It is about the lot before its latest rework: only of a certificate on a lot, at a gate.
        Voided
    }

    struct Certificate {
        /// `number` of its lot; of the first, when it is by procedure on several.
        uint40 lot;
        /// 0 when it is by procedure.
        uint40 model;
        /// In seconds.
        uint40 issuedAt;
        /// From then on it is expired, in seconds.
        uint40 expiresAt;
        /// From then on it is unopened when it still is demanded, in seconds; 0 when its opening was never demanded.
        uint40 openingDeadline;
        uint32 issuer;
        /// How often its lot had been reworked by then; of several lots, see Standing.
        uint8 reworks;
        Verdict verdict;
        CertificateState state;
    }

    /// @dev Of one inspector on one lot.
    struct Standing {
        /// Number of the latest certificate; 0 for none.
        uint40 latest;
        /// The certificate whose verdict imposed the inspector's latest quarantine of the lot; 0 when none did.
        uint40 quarantining;
        /// How many certificates are demanded or refuted and not upheld; at 255 it stays. As of `latest`: nothing, once the
        /// lot was reworked after that.
        uint8 open;
        /// How often the lot had been reworked when the latest was issued, or handed on to it.
        uint8 reworks;
        /// That signed the latest.
        address key;
    }

    /// @dev What an inspector states.
    struct Statement {
        /// One lot; by procedure up to 64, ascending.
        ICustody.Item[] items;
        /// 0 for a verdict by procedure.
        uint40 model;
        Verdict verdict;
        /// In seconds, later than now.
        uint40 expiresAt;
        /// sha256 over context, model, input commitment, logits and verdict; of a procedure, the claims root of its
        /// description.
        bytes32 inferenceDigest;
        bytes32 claimsRoot;
        /// The measured data: an entry of an anchored stream, and its RFC 9162 leaf hash. By inference, a window of the lot.
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
        /// The measured window: raw integers, 8 bytes each in two's complement, most significant first.
        bytes window;
        bytes32 salt;
        int32[] logits;
        /// As in the digest; not of type Verdict, so that a digest of anything else can be opened as well.
        uint8 verdict;
    }

    /// @dev The leaf at a certificate's index.
    struct Measured {
        /// What the leaf is the hash of, see libraries/EvidenceLeaf.sol.
        bytes leaf;
        /// RFC 9162 inclusion proof under the anchor that was in force when the certificate was issued.
        bytes32[] proof;
    }

    /// @notice `histories` are the lots; the subject is the first.
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
    /// @notice `histories` are the lots, as in the issuing record.
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
    /// @param executed What the model says of the window. Of the certificates of a gate's inspector, Pass lifts the quarantine
    /// that this certificate imposed, all else quarantines in the issuer's name. None when the measurement is not the lot's,
    /// the window is invalid for the model, or the model's bytes are not on chain.
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
    /// @notice One lot by an inference, 1 to 64 by a procedure.
    error CertificateLotsWrong(uint256 given, uint256 most);
    error CertificateUnknown(uint40 certificate);
    /// @notice The certificate is about other lots than those given.
    error CertificateOfOtherLots(uint40 certificate);
    error CertificateForeign(uint40 certificate, uint32 issuer);
    /// @notice The move is not allowed from `state`.
    error CertificateStateWrong(uint40 certificate, CertificateState state);
    /// @notice A verdict by procedure has no inference that could be opened.
    error CertificateByProcedure(uint40 certificate);
    /// @notice The participant is no auditor, nor, of a pass, buyer or coordinator of the lot's order, nor, of a fail, the
    /// lot's custodian or maker.
    error CertificateDemanderUnfit(uint40 certificate, uint32 participant);
    /// @notice What is shown is not the data of the issuing record, whose hash is `kept`.
    error CertificateDataWrong(bytes32 computed, bytes32 kept);
    /// @notice What is shown is another inference than the certified one: context, model, window, salt, logits or verdict.
    error CertificateInferenceWrong(bytes32 computed, bytes32 inferenceDigest);
    /// @notice What is shown is not the leaf at the certificate's index under the anchor `anchored`; `computed` is 0 when
    /// the proof has a wrong length.
    error CertificateLeafUnproven(bytes32 computed, bytes32 anchored);
    /// @notice The inference is right, but the deadline for showing it passed.
    error CertificateOpeningLate(uint40 certificate, uint40 deadline);
    /// @notice A participant demands one opening an hour: `again` is when it may demand the next.
    error CertificateDemandTooSoon(uint32 participant, uint40 again);

    /// @notice Issues a certificate, on an approved model, of the issuer or opened to others, or by procedure. INSPECTOR.
    /// That the digest belongs to the leaf and the model is not checked here: whoever holds the window re-executes it.
    /// @return certificate The sequence of this record.
    function issueCertificate(Statement calldata statement) external returns (uint40 certificate);
    /// @notice Takes a certificate back, at any time. Its issuer, INSPECTOR. It can still be refuted.
    /// @param lots All its lots, as it named them.
    function revokeCertificate(bytes32[] calldata lots, uint40 certificate, bytes32 reasonRoot) external;
    /// @notice Opens the inference behind a certificate, for good, and settles it, whatever the inspector certified after
    /// it. Any role; any participant that holds the window. Right: the certificate is upheld, which also meets a demand made
    /// of it. Wrong, which is that the leaf is another than the stated one, or no window of the lot, or commits to another
    /// window; that the window is invalid for the model, or executing the model gives other logits or another verdict; or
    /// that the digest's verdict is not the stated one: the certificate is refuted, and the lot follows what was executed
    /// when the issuer is a gate's inspector. A revoked one is only refuted. Reverts when what is shown is not what the
    /// certificate commits to.
    /// @param key That issued it.
    /// @param issued The issuing record's data.
    /// @param inference Not looked at when the leaf is no window of the lot.
    /// @param measured The leaf that is at the stated index.
    function challenge(
        uint40 certificate,
        address key,
        Issued calldata issued,
        Inference calldata inference,
        Measured calldata measured
    ) external;
    /// @notice Demands that a certificate be opened within seven days, or stop counting. One that passed: buyer (BUYER) or
    /// coordinator (COORDINATOR) of the order that the lot has now. One that failed: the lot's custodian or its maker, in
    /// any role. Either: any AUDITOR.
    /// @param ground The lot's order, of a pass; of a fail, for its maker, the hash of the lot's identifier.
    function demandOpening(bytes32 lot, bytes32 ground, uint40 certificate) external;

    /// @notice A certificate by its number; zeros when there is none.
    function certificateOf(uint40 certificate) external view returns (Certificate memory);
    /// @notice Whether it counts now.
    function certificateStatus(uint40 certificate) external view returns (CertificateStatus);
    /// @notice What an inspector's certificates on a lot amount to.
    function standingOf(bytes32 lot, uint32 inspector) external view returns (Standing memory);
}
