// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {LotOperations} from "../src/LotOperations.sol";
import {ICertificates} from "../src/interfaces/ICertificates.sol";
import {IOrders} from "../src/interfaces/IOrders.sol";
import {Gates} from "../src/libraries/Gates.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {SeededLots} from "./SeededLots.sol";
import {World} from "./World.sol";

/// @notice An order in production with a gate, and a lot of it at its maker.
abstract contract GatedWorld is World {
    Party internal _buyer;
    Party internal _maker;
    Party internal _inspector;
    uint40 internal _model;
    uint40 internal _otherModel;
    bytes32 internal _order;
    bytes32 internal _lot;
    uint40 internal _assignment;

    function setUp() public virtual override {
        super.setUp();
        _buyer = _admit(Roles.BUYER);
        _maker = _admit(Roles.ANY);
        _inspector = _admit(Roles.INSPECTOR);
        (_model, _otherModel) = (_approved("model"), _approved("other model"));
        _order = _place(_buyer, _maker, _gatedTerms());
        vm.startPrank(_maker.key);
        uint40 machine = registry.registerMachine("machine", ROOT);
        SeededLots(address(ledger)).seedStream("work", _maker.id, machine);
        _assignment = ledger.proposeAssignment(_order, 0, machine, ROOT);
        ledger.acceptAssignment(_order, 0, _assignment, ROOT);
        ledger.startAssignment(_order, 0, _assignment, "work", ROOT);
        _lot = ledger.commissionLot("lot", _order, 0, 10, PIECE, ROOT);
        vm.stopPrank();
        SeededLots(address(ledger)).seedStream("stream", _inspector.id, machine);
    }

    function _gatedTerms() internal view returns (IOrders.OrderTerms memory terms) {
        terms = _terms(_maker, 0);
        terms.gates = Gates.one(_inspector.id, _model);
    }

    function _certify(bool pass, uint40 model, uint40 expiresAt) internal returns (uint40) {
        return _certifyBy(_inspector, pass, model, expiresAt);
    }

    function _certifyBy(Party storage issuer, bool pass, uint40 model, uint40 expiresAt) internal returns (uint40) {
        ICertificates.Verdict verdict = pass ? ICertificates.Verdict.Pass : ICertificates.Verdict.Fail;
        vm.prank(issuer.key);
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

    /// @dev Whether the maker can offer a lot of the order to its buyer.
    function _reachesTheBuyer(bytes32 lot) internal returns (bool done) {
        return _call(_maker.key, abi.encodeCall(ledger.offerCustody, (_item(lot, _order), _buyer.id, ROOT)));
    }

    function _lots() internal view returns (bytes32[] memory list) {
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
