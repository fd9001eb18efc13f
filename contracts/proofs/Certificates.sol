// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICertificates} from "../src/interfaces/ICertificates.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {GatedWorld} from "./GatedWorld.sol";

/// @notice Who certifies answers for it, whatever is issued later (DESIGN 4, "Certificates").
contract CertificateProof is GatedWorld {
    Party private _signer;

    function setUp() public override {
        super.setUp();
        _signer = Party(_inspector.id, address(0xC1));
        vm.prank(_inspector.key);
        registry.proposeKey(_signer.key, Roles.INSPECTOR, false);
        vm.prank(_signer.key);
        registry.acceptKey(_inspector.id);
    }

    /// @notice Nobody but its issuer, with any of its keys, revokes a certificate.
    /// @dev Bounds: a pass of the gate's inspector; one revocation of any number, on its lot, from any address.
    function check_onlyItsIssuerRevokes(uint40 named) external {
        uint40 certificate = _certify(true, _model, EXPIRY);
        address caller = _anybody();
        bool done = _call(caller, abi.encodeCall(ledger.revokeCertificate, (_lots(), named, ROOT)));
        assert(!done || ((caller == _inspector.key || caller == _signer.key) && named == certificate));
        assert((ledger.certificateOf(certificate).state == ICertificates.CertificateState.Revoked) == done);
    }

    /// @notice A demand is not met by issuing again: the gate stays shut until the demanded certificate is opened.
    /// @dev Bounds: a pass whose opening the buyer demands; another certificate or none, of any verdict and expiry, on
    /// either of two models, at any second of 34 years; then one offer to the buyer.
    function check_whatIsDemandedShutsTheGate(bool again, bool pass, bool other, uint40 expiresAt) external {
        uint40 certificate = _certify(true, _model, EXPIRY);
        vm.prank(_buyer.key);
        ledger.demandOpening(_lot, _order, certificate);
        vm.warp(START + _number("after", 30));
        if (again) _certify(pass, other ? _otherModel : _model, expiresAt);
        assert(!_reachesTheBuyer(_lot));
    }

    /// @notice What a stolen key signed opens no gate: a pass counts only if it was issued before the time since which
    /// its inspector says that the key was in other hands.
    /// @dev Bounds: a pass, signed by a second key of the inspector; that key revoked, as compromised since any time or
    /// as never; the offer to the buyer; each at any second of the 34 years after the one before.
    function check_aStolenKeyOpensNoGate(uint40 expiresAt, uint40 since) external {
        uint256 issuedAt = START + _number("issued", 30);
        vm.warp(issuedAt);
        _certifyBy(_signer, true, _model, expiresAt);
        vm.warp(issuedAt + _number("revoked", 30));
        vm.prank(_inspector.key);
        registry.revokeKey(_signer.key, since);
        vm.warp(block.timestamp + _number("offered", 30));
        assert(!_reachesTheBuyer(_lot) || since == 0 || issuedAt < since);
    }

    /// @notice What was certified on a model after its defect began opens no gate.
    /// @dev Bounds: a pass of any expiry; its model withdrawn, as defective since any time or always; the offer to the
    /// buyer; each at any second of the 34 years after the one before.
    function check_aDefectiveModelOpensNoGate(uint40 expiresAt, uint40 since) external {
        uint256 issuedAt = START + _number("issued", 30);
        vm.warp(issuedAt);
        _certify(true, _model, expiresAt);
        vm.warp(issuedAt + _number("withdrawn", 30));
        vm.prank(_inspector.key);
        registry.withdrawModel(_model, since, ROOT);
        vm.warp(block.timestamp + _number("offered", 30));
        assert(!_reachesTheBuyer(_lot) || issuedAt < since);
    }
}
