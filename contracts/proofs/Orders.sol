// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {LotOperations} from "../src/LotOperations.sol";
import {ICertificates} from "../src/interfaces/ICertificates.sol";
import {IOrders} from "../src/interfaces/IOrders.sol";
import {Gates} from "../src/libraries/Gates.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {SeededLots} from "./SeededLots.sol";
import {World} from "./World.sol";

/// @notice What must have arrived before an order is delivered (DESIGN 4, "Orders").
contract DeliveryProof is World {
    uint32 private constant AGREED = 10;

    Party private _company;
    bytes32 private _order;
    bytes32[2] private _lots;

    function setUp() public override {
        super.setUp();
        _company = _admit(Roles.ANY);
        _order = _place(_company, _company, _terms(_company, AGREED));
        vm.startPrank(_company.key);
        uint40 machine = registry.registerMachine("machine", ROOT);
        SeededLots(address(ledger)).seedStream("stream", _company.id, machine);
        uint40 assignment = ledger.proposeAssignment(_order, 0, machine, ROOT);
        ledger.acceptAssignment(_order, 0, assignment, ROOT);
        ledger.startAssignment(_order, 0, assignment, "stream", ROOT);
        uint40[2] memory quantities = [_number("first", 40), _number("second", 40)];
        vm.assume(quantities[0] != 0 && quantities[1] != 0);
        for (uint256 i; i < 2; ++i) {
            _lots[i] = ledger.commissionLot(bytes32(i + 1), _order, 0, quantities[i], PIECE, ROOT);
        }
        ledger.anchor("stream", 11, ROOT);
        ledger.finishAssignment(_order, 0, assignment, "stream", 10, LEAF);
        ledger.completeOrder(_order, ROOT);
        vm.stopPrank();
    }

    /// @notice An order is delivered only with lots that together hold the quantity agreed, each of which counts once.
    /// @dev Bounds: 10 pieces agreed, two lots of any quantities (40 bits); a list of one or two, each any of them, in
    /// any order.
    function check_deliveryNeedsTheQuantity(bool both, bool[2] memory which) external {
        bytes32[] memory named = both ? new bytes32[](2) : new bytes32[](1);
        for (uint256 i; i < named.length; ++i) {
            named[i] = which[i] ? _lots[1] : _lots[0];
        }
        vm.prank(_company.key);
        ledger.confirmDelivery(_order, named, ROOT);
        uint256 delivered;
        for (uint256 i; i < 2; ++i) {
            bool listed = which[0] == (i == 1) || (both && which[1] == (i == 1));
            if (listed) delivered += ledger.lotOf(_lots[i]).quantity;
        }
        assert(delivered >= AGREED);
    }

    function _newLots() internal override returns (LotOperations) {
        return new SeededLots(registry);
    }
}

/// @notice No gated lot reaches its buyer without a pass (DESIGN 4, "Certificates").
contract GateProof is World {
    Party private _buyer;
    Party private _maker;
    Party private _inspector;
    uint40 private _model;
    uint40 private _otherModel;
    bytes32 private _order;
    bytes32 private _lot;

    function setUp() public override {
        super.setUp();
        _buyer = _admit(Roles.BUYER);
        _maker = _admit(Roles.ANY);
        _inspector = _admit(Roles.INSPECTOR);
        (_model, _otherModel) = (_approved("model"), _approved("other model"));
        IOrders.OrderTerms memory terms = _terms(_maker, 0);
        terms.gates = Gates.one(_inspector.id, _model);
        _order = _place(_buyer, _maker, terms);
        vm.startPrank(_maker.key);
        uint40 machine = registry.registerMachine("machine", ROOT);
        SeededLots(address(ledger)).seedStream("work", _maker.id, machine);
        uint40 assignment = ledger.proposeAssignment(_order, 0, machine, ROOT);
        ledger.acceptAssignment(_order, 0, assignment, ROOT);
        ledger.startAssignment(_order, 0, assignment, "work", ROOT);
        _lot = ledger.commissionLot("lot", _order, 0, 10, PIECE, ROOT);
        vm.stopPrank();
        SeededLots(address(ledger)).seedStream("stream", _inspector.id, machine);
    }

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

    function _certify(bool pass, uint40 model, uint40 expiresAt) private returns (uint40) {
        ICertificates.Verdict verdict = pass ? ICertificates.Verdict.Pass : ICertificates.Verdict.Fail;
        vm.prank(_inspector.key);
        return ledger.issueCertificate(
            ICertificates.Statement({
                items: _item(_lot, _order),
                model: model,
                verdict: verdict,
                expiresAt: expiresAt,
                inferenceDigest: "inference",
                claimsRoot: ROOT,
                stream: "stream",
                leafIndex: 3,
                leafHash: LEAF
            })
        );
    }

    function _lots() private view returns (bytes32[] memory list) {
        list = new bytes32[](1);
        list[0] = _lot;
    }

    function _approved(bytes32 digest) private returns (uint40 model) {
        vm.prank(_inspector.key);
        model = registry.registerModel(digest, ROOT);
        vm.prank(_maker.key);
        registry.approveModel(model, ROOT);
    }

    function _newLots() internal override returns (LotOperations) {
        return new SeededLots(registry);
    }
}

/// @notice Evidence is only ever added (DESIGN 4, "Evidence").
contract EvidenceProof is World {
    Party private _owner;

    function setUp() public override {
        super.setUp();
        _owner = _admit(Roles.ANY);
        _admit(Roles.ANY);
        SeededLots(address(ledger)).seedStream("stream", _owner.id, 0);
    }

    /// @notice A stream's size only grows, and only its owner anchors it.
    /// @dev Bounds: a stream of 10 entries; two anchors of any sizes (40 bits) and roots, each from any address.
    function check_streamsOnlyGrow(uint40[2] memory size, bytes32[2] memory root) external {
        for (uint256 i; i < 2; ++i) {
            uint40 before = ledger.streamOf("stream").size;
            address caller = _anybody();
            vm.prank(caller);
            try ledger.anchor("stream", size[i], root[i]) {
                assert(caller == _owner.key && size[i] > before);
                assert(ledger.streamOf("stream").size == size[i] && ledger.streamOf("stream").root == root[i]);
            } catch {
                assert(ledger.streamOf("stream").size == before);
            }
        }
    }

    function _newLots() internal override returns (LotOperations) {
        return new SeededLots(registry);
    }
}
