// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICertificates} from "../src/interfaces/ICertificates.sol";
import {Fixture} from "./Fixture.sol";
import {Models} from "./Models.sol";
import {NetworkReference} from "./NetworkReference.sol";

/// @notice A model that is published, inferences of it, and certificates on them. Digests are built here as
/// quality/FORMAT.md says, not by the contracts.
abstract contract Inspection is Fixture {
    uint256 internal constant WIDTH = 5;

    bytes internal _content;
    uint40 internal published;
    /// @dev What the statements made here name, by leaf hash.
    mapping(bytes32 leaf => ICertificates.Measured) internal _measured;

    /// @dev One logit, threshold 0, and weights and bias such that small inputs pass and large ones fail.
    function _publish() internal {
        _content = Models.uniform(WIDTH, 1, -100, 3);
        _as(inspector);
        published = registry.publishModel(_content, ROOT);
        _as(auditor);
        registry.approveModel(published, ROOT);
    }

    /// @dev The true inference of the published model on an input of equal values: 7 and more fail.
    function _infer(int8 value) internal view returns (ICertificates.Inference memory) {
        return _infer(Models.raw(Models.fill(WIDTH, value)));
    }

    /// @dev For a window that the model refuses, what an inspector might make up.
    function _infer(bytes memory window) internal view returns (ICertificates.Inference memory inference) {
        (bool valid, int256[] memory logits, bool fails) = NetworkReference.evaluate(_content, window);
        inference.window = window;
        inference.salt = keccak256(abi.encode("salt", window));
        inference.logits = new int32[](1);
        if (valid) inference.logits[0] = int32(logits[0]);
        inference.verdict = fails ? 2 : 1;
    }

    function _tooLarge() internal pure returns (bytes memory) {
        return abi.encodePacked(int64(1), int64(1), int64(1), int64(2 ** 53), int64(1));
    }

    /// @dev A statement of the inference on the model, and of the verdict that the inference has; the lot's window is
    /// anchored first.
    function _statementOf(bytes32 lot, bytes32 order, uint40 model_, ICertificates.Inference memory inference)
        internal
        returns (ICertificates.Statement memory statement)
    {
        statement = _statement(lot, order, ICertificates.Verdict(inference.verdict == 2 ? 2 : 1));
        statement.model = model_;
        (statement.leafIndex, statement.leafHash) = _measure(_windowOf(lot, inference));
        statement.inferenceDigest = _digestOf(statement, inference);
    }

    function _digestOf(ICertificates.Statement memory statement, ICertificates.Inference memory inference)
        internal
        view
        returns (bytes32)
    {
        bytes32 context = sha256(
            abi.encodePacked(
                "millmark.inference-context.v1",
                uint8(0),
                block.chainid,
                uint256(uint160(address(ledger))),
                statement.items[0].lot,
                statement.stream,
                uint256(statement.leafIndex),
                statement.leafHash
            )
        );
        bytes memory logits;
        for (uint256 i; i < inference.logits.length; ++i) {
            logits = abi.encodePacked(logits, uint32(inference.logits[i]));
        }
        bytes32 commitment = _commitmentOf(inference);
        bytes32 model_ = registry.modelOf(statement.model).digest;
        bytes memory head = abi.encodePacked("millmark/infer/1", hex"0001", context, model_, commitment);
        return sha256(abi.encodePacked(head, uint16(inference.logits.length), logits, inference.verdict));
    }

    function _commitmentOf(ICertificates.Inference memory inference) internal pure returns (bytes32) {
        uint16 width = uint16(inference.window.length / 8);
        return sha256(abi.encodePacked("millmark/input/1", inference.salt, width, inference.window));
    }

    /// @dev The data of a window's leaf, as ledger/evidence.py makes them. No two have one entry.
    function _windowOf(bytes32 lot, ICertificates.Inference memory inference) internal view returns (bytes memory) {
        bytes32 entry = keccak256(abi.encode("salted hash of the entry", ledger.streamOf(gaugeStream).size));
        return abi.encodePacked("millmark.evidence.v1", hex"0002", lot, _commitmentOf(inference), entry);
    }

    /// @dev Anchors a tree of any leaves and `data` as its last.
    function _measure(bytes memory data) internal returns (uint40 index, bytes32 leaf) {
        index = ledger.streamOf(gaugeStream).size;
        leaf = sha256(bytes.concat(hex"00", data));
        bytes32 root = leaf;
        delete _measured[leaf];
        _measured[leaf].leaf = data;
        for (uint256 left = index; left != 0; left &= left - 1) {
            bytes32 sibling = keccak256(abi.encode("sibling", left));
            _measured[leaf].proof.push(sibling);
            root = sha256(bytes.concat(hex"01", sibling, root));
        }
        _anchor(index + 1, root);
    }

    function _anchor(uint40 size, bytes32 root) internal virtual {
        _as(inspector);
        ledger.anchor(gaugeStream, size, root);
    }

    function _issue(ICertificates.Statement memory statement) internal returns (uint40) {
        _as(inspector);
        return ledger.issueCertificate(statement);
    }

    function _certify(bytes32 lot, bytes32 order, ICertificates.Inference memory inference) internal returns (uint40) {
        return _issue(_statementOf(lot, order, published, inference));
    }

    /// @dev Opens the lot's latest certificate as `party`.
    function _challenge(Party storage party, bytes32 lot, ICertificates.Inference memory inference) internal {
        _challengeOf(party, _latest(lot), inference);
    }

    function _challengeOf(Party storage party, uint40 certificate, ICertificates.Inference memory inference) internal {
        _settle();
        (address key, ICertificates.Issued memory issued) = replay.issuedOf(certificate);
        _as(party);
        ledger.challenge(certificate, key, issued, inference, _measured[issued.statement.leafHash]);
    }

    function _demand(Party storage party, bytes32 lot, bytes32 order) internal {
        uint40 certificate = _latest(lot);
        _as(party);
        ledger.demandOpening(lot, order, certificate);
    }

    function _assertState(bytes32 lot, ICertificates.CertificateState state) internal view {
        assertEq(uint256(_latestOf(lot).state), uint256(state), "state of the certificate");
    }
}
