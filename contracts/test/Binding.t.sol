// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICertificates} from "../src/interfaces/ICertificates.sol";
import {ILots} from "../src/interfaces/ILots.sol";
import {ChallengeFixture} from "./ChallengeFixture.sol";

/// @notice A certificate by inference stands on a window of its lot, in the stream, and on no other.
contract BindingTest is ChallengeFixture {
    /// @dev The audit's K3: an input that was made up is opened, and the measurement that the certificate names is another.
    function test_H3_inputIsThatOfTheMeasurement() public check {
        ICertificates.Statement memory statement = _statementOf(_lot, _order, published, _infer(BAD));
        ICertificates.Inference memory madeUp = _infer(GOOD);
        statement.verdict = ICertificates.Verdict.Pass;
        statement.inferenceDigest = _digestOf(statement, madeUp);
        uint40 certificate = _issue(statement);
        _refuteUnexecuted(inspector, certificate, madeUp);
    }

    /// @dev Nobody certifies a second lot on the window of a first one. The leaf alone shows it: no measurement is opened.
    function test_H3_oneMeasurementServesOneLot() public check {
        ICertificates.Inference memory inference = _infer(GOOD);
        ICertificates.Statement memory statement = _statementOf(_lot, _order, published, inference);
        _issue(statement);
        bytes32 other = _commission(_order, "other", 10);
        statement.items = _item(other, _order);
        statement.inferenceDigest = _digestOf(statement, inference);
        _issue(statement);
        ICertificates.Inference memory nothing;
        _challenge(buyer, other, nothing);
        _assertState(other, ICertificates.CertificateState.Refuted);
        _assertLot(other, ILots.LotState.Quarantined, maker);
        _challenge(inspector, _lot, inference);
        _assertState(_lot, ICertificates.CertificateState.Upheld);
    }

    /// @dev The audit's K10: an entry of the stream that is no window of the lot.
    function test_K10_leafIsAWindowOfTheLot() public check {
        ICertificates.Inference memory inference = _infer(GOOD);
        bytes memory right = _windowOf(_lot, inference);
        for (uint256 i; i < 4; ++i) {
            bytes memory data = bytes.concat(right);
            if (i == 0) data[0] = "M";
            if (i == 1) data[21] = 0x01;
            if (i == 2) data = bytes.concat(data, hex"00");
            if (i == 3) data = hex"00";
            _issue(_statementOn(data, inference));
            _challenge(carrier, _lot, inference);
            _assertRefuted(ILots.LotState.Quarantined);
        }
        _issue(_statementOn(right, inference));
        _challenge(carrier, _lot, inference);
        _assertState(_lot, ICertificates.CertificateState.Upheld);
    }

    function test_H3_leafIsTheOneInTheStream() public check {
        ICertificates.Inference memory inference = _infer(GOOD);
        ICertificates.Statement memory statement = _statementOf(_lot, _order, published, inference);
        _measured[ROOT] = _measured[statement.leafHash];
        statement.leafHash = ROOT;
        statement.inferenceDigest = _digestOf(statement, inference);
        _issue(statement);
        _challenge(carrier, _lot, inference);
        _assertRefuted(ILots.LotState.Quarantined);
    }

    /// @dev Of a model that is registered by its digest alone, the measurement is compared all the same.
    function test_H3_alsoWithoutExecution() public check {
        ICertificates.Inference memory inference = _infer(GOOD);
        ICertificates.Statement memory statement = _statementOf(_lot, _order, model, _infer(BAD));
        statement.verdict = ICertificates.Verdict.Pass;
        statement.inferenceDigest = _digestOf(statement, inference);
        _issue(statement);
        _challenge(auditor, _lot, inference);
        _assertRefuted(ILots.LotState.Quarantined);
    }

    /// @dev Who cannot open refutes itself or lets the deadline pass.
    function test_H3_foreignMeasurementMeetsNoDemand() public check {
        ICertificates.Inference memory inference = _infer(GOOD);
        _issue(_statementOn(_windowOf(ROOT, inference), inference));
        _demand(buyer, _lot, _order);
        _warp(START + WEEK);
        _assertStatus(_lot, ICertificates.CertificateStatus.Unopened);
        _challenge(inspector, _lot, inference);
        _assertRefuted(ILots.LotState.Quarantined);
    }

    function test_leafIsProven() public check {
        ICertificates.Inference memory inference = _infer(GOOD);
        uint40 certificate = _certify(_lot, _order, inference);
        _settle();
        (, ICertificates.Issued memory issued) = replay.issuedOf(certificate);
        bytes32 leaf = issued.statement.leafHash;
        ICertificates.Measured memory right = _measured[leaf];
        _measured[leaf].leaf[117] ^= 0x01;
        _refuseUnproven(inference);
        _measured[leaf] = right;
        _measured[leaf].proof[0] = ROOT;
        _refuseUnproven(inference);
        _measured[leaf] = right;
        _measured[leaf].proof.push(ROOT);
        _refuseUnproven(inference);
        _measured[leaf] = right;
        _measured[leaf].proof.pop();
        _refuseUnproven(inference);
        _measured[leaf] = right;
        _challenge(inspector, _lot, inference);
        _assertState(_lot, ICertificates.CertificateState.Upheld);
    }

    function _statementOn(bytes memory data, ICertificates.Inference memory inference)
        private
        returns (ICertificates.Statement memory statement)
    {
        statement = _statement(_lot, _order, ICertificates.Verdict.Pass);
        statement.model = published;
        (statement.leafIndex, statement.leafHash) = _measure(data);
        statement.inferenceDigest = _digestOf(statement, inference);
    }

    function _refuseUnproven(ICertificates.Inference memory inference) private {
        uint40 certificate = _latest(_lot);
        (address key, ICertificates.Issued memory issued) = replay.issuedOf(certificate);
        ICertificates.Measured memory measured = _measured[issued.statement.leafHash];
        vm.prank(buyer.key);
        vm.expectPartialRevert(ICertificates.CertificateLeafUnproven.selector);
        ledger.challenge(certificate, key, issued, inference, measured);
    }
}
