// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IEvidence} from "../interfaces/IEvidence.sol";
import {Roles} from "../libraries/Roles.sol";
import {Subjects} from "../libraries/Subjects.sol";
import {Book} from "./Book.sol";

/// @title Evidence streams and their anchors
abstract contract Evidence is Book, IEvidence {
    /// @dev Head of the empty tree, RFC 9162 section 2.1.1. Written when a stream is opened, so that an anchor always
    /// changes a slot that is in use, which is four times cheaper than filling an empty one.
    bytes32 private constant EMPTY_ROOT = sha256("");
    /// @dev Of who measures with machines, and of who keeps a log without one.
    uint16 private constant EQUIPPED = Roles.MANUFACTURER | Roles.INSPECTOR;
    uint16 private constant WRITING = Roles.COORDINATOR | Roles.AUDITOR;

    /// @inheritdoc IEvidence
    function openStream(bytes32 identifierHash, uint40 machine, bytes32 claimsRoot) external returns (bytes32 stream) {
        Actor memory actor = _actor(machine == 0 ? WRITING : EQUIPPED);
        uint32 owner = machine == 0 ? actor.participant : registry.ownerOfMachine(machine);
        if (owner != actor.participant) revert EvidenceMachineForeign(machine, owner);
        stream = Subjects.derive(Subjects.Kind.Stream, actor.participant, identifierHash);
        if (_streams[stream].sequence != 0) revert HistorySubjectTaken(stream);
        _streams[stream] = Stream({sequence: _next(), machine: machine, owner: owner, size: 0, root: EMPTY_ROOT});
        _recordApart(StreamOpened.selector, actor, stream, machine, claimsRoot);
    }

    /// @inheritdoc IEvidence
    function anchor(bytes32 stream, uint40 size, bytes32 root) external {
        Actor memory actor = _actor(EQUIPPED | WRITING);
        Stream storage entry = _streams[stream];
        // Read in one place, because the compiler merges reads of a slot only where nothing is called between them.
        (uint40 number, uint40 machine, uint32 owner, uint40 held) =
            (entry.sequence, entry.machine, entry.owner, entry.size);
        if (number == 0) revert EvidenceStreamUnknown(stream);
        if (owner != actor.participant) revert EvidenceStreamForeign(stream, owner);
        _requireRole(actor, machine == 0 ? WRITING : EQUIPPED);
        if (size <= held) revert EvidenceSizeNotGrown(stream, held, size);
        if (root == 0) revert EvidenceRootMissing(stream);
        entry.size = size;
        entry.root = root;
        _recordApart(StreamAnchored.selector, actor, stream, size, root);
    }

    /// @inheritdoc IEvidence
    function streamOf(bytes32 stream) external view returns (Stream memory) {
        return _streams[stream];
    }
}
