// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {GatedWorld} from "./GatedWorld.sol";

/// @notice No gated lot reaches its buyer without a pass (DESIGN 4, "Certificates").
contract GateProof is GatedWorld {
    /// @notice The buyer gets a gated lot only with a pass of the gate's inspector, on the gate's model, that counts
    /// when custody is accepted: not expired, not revoked, its model not withdrawn.
    /// @dev Bounds: one certificate or none, of any verdict, expiry and either of two models; revoked, or its model
    /// withdrawn, before the offer, after it, or never; offered and accepted at any two seconds of 34 years.
    function check_theGateNeedsAPass(bool issued, bool pass, bool other, uint40 expiresAt, uint8 fate) external {
        uint256 acceptedAt = START + _number("offered", 30) + _number("accepted", 30);
        uint40 certificate = issued ? _certify(pass, other ? _otherModel : _model, expiresAt) : 0;
        if (issued) _meet(fate, certificate);
        vm.prank(_maker.key);
        ledger.offerCustody(_item(_lot, _order), _buyer.id, ROOT);
        uint40 offer = ledger.sequence();
        if (issued && fate > 2) _meet(fate - 2, certificate);
        vm.warp(acceptedAt);
        vm.prank(_buyer.key);
        ledger.acceptCustody(_item(_lot, _order), offer, ROOT);
        assert(issued && pass && !other && expiresAt > acceptedAt);
        assert(fate == 0 || fate > 4);
    }

    /// @dev 1: revoked; 2: on a model that was withdrawn.
    function _meet(uint8 fate, uint40 certificate) private {
        vm.startPrank(_inspector.key);
        if (fate == 1) ledger.revokeCertificate(_lots(), certificate, ROOT);
        if (fate == 2) registry.withdrawModel(_model, 0, ROOT);
        vm.stopPrank();
    }
}
