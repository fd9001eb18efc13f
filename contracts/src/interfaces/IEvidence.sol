// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Evidence: append-only logs of measured data, anchored by size and root
/// @notice A stream belongs to one machine, or to a coordinator or auditor for what it writes down without one (plans, audit
/// logs). Its log is an RFC 9162 Merkle tree kept off chain; an anchor fixes the first
/// `size` entries by their root. Stream records touch no order and no lot.
interface IEvidence {
    struct Stream {
        /// Of the opening record; 0 when the stream does not exist.
        uint40 sequence;
        /// 0 when it belongs to no machine: nothing in it is a measurement.
        uint40 machine;
        /// Who opened the stream, the machine's owner then, and who anchors.
        uint32 owner;
        /// Entries under `root`.
        uint40 size;
        /// RFC 9162 tree head over SHA-256; of the empty tree before the first anchor.
        bytes32 root;
    }

    event StreamOpened(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32[] histories,
        uint40 machine,
        bytes32 claimsRoot
    );
    event StreamAnchored(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32[] histories,
        uint40 size,
        bytes32 root
    );

    error EvidenceMachineForeign(uint40 machine, uint32 owner);
    error EvidenceStreamUnknown(bytes32 stream);
    error EvidenceStreamForeign(bytes32 stream, uint32 owner);
    /// @notice An anchor covers more entries than the one before it.
    error EvidenceSizeNotGrown(bytes32 stream, uint40 anchored, uint40 size);
    error EvidenceRootMissing(bytes32 stream);
    /// @notice The entry is not under an anchor yet: anchor first.
    error EvidenceNotAnchored(bytes32 stream, uint40 index, uint40 size);
    /// @notice The stream belongs to no machine, so its entries measure nothing.
    error EvidenceNotMeasured(bytes32 stream);

    /// @notice Opens a stream for a machine in service: its owner, MANUFACTURER or INSPECTOR; or for no machine, `machine`
    /// 0: COORDINATOR or AUDITOR.
    /// @return stream Subject of kind Stream.
    function openStream(bytes32 identifierHash, uint40 machine, bytes32 claimsRoot) external returns (bytes32 stream);
    /// @notice Fixes the first `size` entries. The stream's owner, with a role that may open such a stream. That the new tree extends
    /// the old one is not checked here: consistency proofs show it to whoever reads.
    function anchor(bytes32 stream, uint40 size, bytes32 root) external;

    function streamOf(bytes32 stream) external view returns (Stream memory);
}
