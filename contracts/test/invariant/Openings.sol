// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICertificates} from "../../src/interfaces/ICertificates.sol";
import {IEvidence} from "../../src/interfaces/IEvidence.sol";
import {ILots} from "../../src/interfaces/ILots.sol";
import {IOrders} from "../../src/interfaces/IOrders.sol";
import {NetworkReference} from "../NetworkReference.sol";
import {Custodians} from "./Custodians.sol";

/// @notice Certificates with an inference behind them, true or not; their openings, and demands of them.
abstract contract Openings is Custodians {
    mapping(uint40 certificate => ICertificates.Inference) private _inferences;
    uint40[] private _inferred;
    uint40 private _demanded;

    /// @dev Half of them true; the others wrong in what they state, in their logits or verdict, or in their input.
    function infer(uint256 seed) external act(seed) {
        bytes32 lot = _anyLot();
        for (uint256 i; i < 3 && ledger.lotOf(lot).state == ILots.LotState.Spent; ++i) {
            lot = _anyLot();
        }
        bytes32 order = replay.orderAt(ledger.lotOf(lot).order);
        (uint32 inspects, uint40 on) = _anyGate(order);
        ICertificates.Inference memory inference = _drawInference();
        uint40 number = on != 0 && _chance(40) ? on : published;
        ICertificates.Statement memory statement = _statementOf(lot, order, number, inference);
        if (_chance(10)) statement.verdict = ICertificates.Verdict(3 - uint8(statement.verdict));
        statement.expiresAt = uint40(block.timestamp + 1 + _below(120 days));
        uint32 id = inspects != 0 ? inspects : inspector.id;
        if (!_record(_keyOf(id), abi.encodeCall(ICertificates.issueCertificate, (statement)))) return;
        _inferences[ledger.sequence()] = inference;
        _inferred.push(ledger.sequence());
    }

    /// @dev A right opening, seldom a spoilt one; whether the certificate stands is what the truth says.
    function open(uint256 seed) external act(seed) {
        uint40 number = _drawCertified();
        ICertificates.Certificate memory before = ledger.certificateOf(number);
        if (before.state == ICertificates.CertificateState.Demanded && _chance(30)) {
            _clock += 8 days;
            vm.warp(_clock);
        }
        ICertificates.Inference memory inference = _inferences[number];
        bool spoilt = _chance(10);
        if (spoilt) inference.salt = _name();
        (address key, ICertificates.Issued memory issued) = replay.issuedOf(number);
        bytes memory data = abi.encodeCall(
            ICertificates.challenge, (number, key, issued, inference, _measured[issued.statement.leafHash])
        );
        if (!_record(_keyOf(uint32(1 + _below(_parties.length))), data)) return;
        assertFalse(spoilt, "a wrong opening was let through");
        bool stands = ledger.certificateOf(number).state == ICertificates.CertificateState.Upheld;
        assertTrue(stands == _isTrue(before, inference), "a certificate was settled against the truth");
    }

    function demand(uint256 seed) external act(seed) {
        uint40 number = _drawCertified();
        if (number == 0) return;
        bytes32 lot = replay.lotsOf(number)[0];
        ILots.Lot memory stored = ledger.lotOf(lot);
        bytes32 order = replay.orderAt(stored.order);
        uint32 by = _chance(50) ? auditor.id : _chance(50) ? _custodianOf(stored) : _makerOf[lot];
        if (order != 0 && _chance(50)) by = _chance(50) ? buyer.id : coordinator.id;
        bytes32 ground = _chance(50) ? order : _hashOf[lot];
        if (_record(_keyOf(by), abi.encodeCall(ICertificates.demandOpening, (lot, ground, number)))) {
            _demanded = number;
        }
    }

    function _drawInference() private returns (ICertificates.Inference memory inference) {
        inference = _infer(int8(int256(_below(20))));
        uint256 draw = _below(8);
        if (draw == 0) inference.logits[0] += 1;
        if (draw == 1 || draw == 2) inference.verdict = 3 - inference.verdict;
        if (draw == 3) inference.window[0] = 0x40;
    }

    /// @dev Whoever may not anchor now names a leaf that is not anchored.
    function _anchor(uint40 size, bytes32 root) internal override {
        _record(inspector.key, abi.encodeCall(IEvidence.anchor, (gaugeStream, size, root)));
    }

    /// @dev One whose opening is demanded, or that has an inference, rather than any.
    function _drawCertified() private returns (uint40) {
        if (_demanded != 0 && _chance(40)) return _demanded;
        if (_inferred.length != 0 && _chance(70)) return _inferred[_inferred.length - 1];
        if (_inferred.length != 0 && _chance(80)) return _inferred[_below(_inferred.length)];
        return _latest(_anyLot());
    }

    function _isTrue(ICertificates.Certificate memory certificate, ICertificates.Inference memory inference)
        private
        view
        returns (bool)
    {
        if (inference.verdict != uint8(certificate.verdict)) return false;
        if (certificate.model != published) return true;
        (bool valid, int256[] memory logits, bool fails) = NetworkReference.evaluate(_content, inference.window);
        return valid && inference.logits[0] == logits[0] && inference.verdict == (fails ? 2 : 1);
    }

    /// @notice The kinds of records that these actions make, see Reach.t.sol.
    function openingKinds() public pure returns (bytes32[] memory kinds) {
        kinds = new bytes32[](3);
        kinds[0] = ICertificates.CertificateUpheld.selector;
        kinds[1] = ICertificates.CertificateRefuted.selector;
        kinds[2] = ICertificates.OpeningDemanded.selector;
    }
}
