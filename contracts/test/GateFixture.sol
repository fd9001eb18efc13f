// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICertificates} from "../src/interfaces/ICertificates.sol";
import {ICustody} from "../src/interfaces/ICustody.sol";
import {IOrders} from "../src/interfaces/IOrders.sol";
import {OrderFixture} from "./OrderFixture.sol";

/// @notice An order with two gates: the one inspector's by the model, the other's by procedure.
abstract contract GateFixture is OrderFixture {
    bytes32 internal _lot;

    function setUp() public virtual override {
        super.setUp();
        _acceptedOrder("order", _twice(1));
        _start(_order, 0);
        _lot = _commission(_order, "lot", 10);
    }

    function _twice(uint16 operations) internal view returns (IOrders.OrderTerms memory) {
        return _gatedBy(operations, _both(inspector.id, model, inspector2.id, 0));
    }

    function _gatedBy(uint16 operations, uint256 gates) internal view returns (IOrders.OrderTerms memory terms) {
        terms = _terms(operations);
        terms.gates = gates;
    }

    /// @dev Of the second inspector.
    function _proceed(bytes32 lot, ICertificates.Verdict verdict) internal returns (uint40) {
        ICertificates.Statement memory statement = _statement(lot, _order, verdict);
        statement.model = 0;
        _as(inspector2);
        return ledger.issueCertificate(statement);
    }

    /// @dev The gate of `by` on `on` is the one that is closed, because of this certificate.
    function _closed(bytes32 lot, uint32 by, uint40 on, uint40 certificate, uint8 open, bool inStanding)
        internal
        view
        returns (bytes memory)
    {
        ICertificates.Certificate memory found = ledger.certificateOf(certificate);
        return abi.encodeWithSelector(
            ICustody.GateClosed.selector,
            lot,
            by,
            on,
            certificate,
            ledger.certificateStatus(certificate),
            found.verdict,
            found.model,
            open,
            inStanding
        );
    }

    function _refuseDelivery(bytes32 lot, bytes memory reason) internal {
        _refuse(maker, reason);
        ledger.offerCustody(_item(lot, _order), buyer.id, ROOT);
    }
}
