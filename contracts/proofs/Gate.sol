// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOrders} from "../src/interfaces/IOrders.sol";
import {Gates} from "../src/libraries/Gates.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {GatedWorld} from "./GatedWorld.sol";
import {SeededLots} from "./SeededLots.sol";

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

    /// @notice Only the order's buyer waives a gate, and for the lot as it is: not past a certificate that comes later.
    /// @dev Bounds: a lot without a certificate; one waiver of the gate, from any address; a failing certificate after
    /// it or none, lifted by its custodian or not; the offer to the buyer.
    function check_onlyTheBuyerWaives(bool fails, bool lifted) external {
        address caller = _anybody();
        vm.prank(caller);
        ledger.waiveGate(_lot, _order, _inspector.id, ROOT);
        if (fails) _certify(false, _model, EXPIRY);
        if (lifted) {
            vm.prank(_maker.key);
            ledger.releaseLot(_lot, _order, ROOT);
        }
        assert(!_reachesTheBuyer(_lot) || (caller == _buyer.key && !fails));
    }
}

/// @notice An order with two gates, one of which is by procedure.
contract GatesProof is GatedWorld {
    Party private _second;

    function setUp() public override {
        super.setUp();
        _second = _admit(Roles.INSPECTOR);
        IOrders.OrderTerms memory terms = _gatedTerms();
        terms.gates |= Gates.one(_second.id, 0) << 72;
        vm.prank(_buyer.key);
        _order = ledger.placeOrder("two gates", terms);
        vm.startPrank(_maker.key);
        ledger.acceptOrder(_order, ROOT);
        uint40 machine = registry.registerMachine("other machine", ROOT);
        SeededLots(address(ledger)).seedStream("other work", _maker.id, machine);
        uint40 assignment = ledger.proposeAssignment(_order, 0, machine, ROOT);
        ledger.acceptAssignment(_order, 0, assignment, ROOT);
        ledger.startAssignment(_order, 0, assignment, "other work", ROOT);
        _lot = ledger.commissionLot("lot of two gates", _order, 0, 10, PIECE, ROOT);
        vm.stopPrank();
    }

    /// @notice A lot reaches the buyer only when every gate of its order lets it through.
    /// @dev Bounds: an order of two gates; of each inspector a certificate or none, passing or failing, on either of
    /// two models or by procedure, of an expiry after the offer.
    function check_everyGateIsLookedAt(bool[2] memory issued, bool[2] memory pass, uint8[2] memory on) external {
        if (issued[0]) _certifyBy(_inspector, pass[0], _modelOf(on[0]), EXPIRY);
        if (issued[1]) _certifyBy(_second, pass[1], _modelOf(on[1]), EXPIRY);
        bool first = issued[0] && pass[0] && on[0] == 1;
        bool second = issued[1] && pass[1] && on[1] == 0;
        assert(!_reachesTheBuyer(_lot) || (first && second));
    }

    /// @dev 0 by procedure.
    function _modelOf(uint8 on) private view returns (uint40) {
        return on == 0 ? 0 : on == 1 ? _model : _otherModel;
    }
}
