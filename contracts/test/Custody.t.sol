// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICertificates} from "../src/interfaces/ICertificates.sol";
import {IHistory} from "../src/interfaces/IHistory.sol";
import {ICustody} from "../src/interfaces/ICustody.sol";
import {ILots} from "../src/interfaces/ILots.sol";
import {IOrders} from "../src/interfaces/IOrders.sol";
import {Gates} from "../src/libraries/Gates.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {Fixture} from "./Fixture.sol";

contract CustodyTest is Fixture {
    bytes32 private _order;
    bytes32 private _lot;

    function setUp() public override {
        super.setUp();
        _order = _startedOrder("order");
        _lot = _commission(_order, "lot", 10);
    }

    // ---- offer and answer ----

    function test_offerAndAccept() public check {
        uint40 next = _expectRecord();
        emit ICustody.CustodyOffered(next, maker.id, _lot, maker.key, _one(_lot), carrier.id, ROOT);
        _offer(maker, _item(_lot, _order), carrier);
        _assertLot(_lot, ILots.LotState.Offered, maker);
        assertEq(ledger.lotOf(_lot).counterparty, carrier.id);
        uint40 offer = ledger.offerOf(_lot).sequence;
        assertEq(offer, next);
        assertEq(ledger.offerOf(_lot).to, carrier.id);
        next = _expectRecord();
        emit ICustody.CustodyAccepted(next, carrier.id, _lot, carrier.key, _one(_lot), offer, ROOT);
        _accept(carrier, _item(_lot, _order));
        _assertLot(_lot, ILots.LotState.Held, carrier);
        assertEq(ledger.lotOf(_lot).counterparty, 0);
    }

    function test_decline() public check {
        _offer(maker, _item(_lot, _order), carrier);
        uint40 offer = ledger.sequence();
        _refuse(maker2, abi.encodeWithSelector(ICustody.CustodyNotOffered.selector, _lot, carrier.id));
        ledger.declineCustody(_lot, offer, ROOT);
        _refuse(carrier, abi.encodeWithSelector(ICustody.CustodyOfferWrong.selector, _lot, offer - 1, offer));
        ledger.declineCustody(_lot, offer - 1, ROOT);
        uint40 next = _expectRecord();
        emit ICustody.CustodyDeclined(next, carrier.id, _lot, carrier.key, _one(_lot), offer, LEAF);
        _as(carrier);
        ledger.declineCustody(_lot, offer, LEAF);
        _assertLot(_lot, ILots.LotState.Held, maker);
        assertEq(ledger.lotOf(_lot).counterparty, 0);
        _refuse(carrier, _lotState(_lot, ILots.LotState.Held));
        ledger.declineCustody(_lot, 1, ROOT);
    }

    function test_withdraw() public check {
        _offer(maker, _item(_lot, _order), carrier);
        _refuse(carrier, abi.encodeWithSelector(ILots.LotForeign.selector, _lot, maker.id));
        ledger.withdrawCustody(_lot, ROOT);
        uint40 next = _expectRecord();
        emit ICustody.CustodyWithdrawn(next, maker.id, _lot, maker.key, _one(_lot), LEAF);
        _as(maker);
        ledger.withdrawCustody(_lot, LEAF);
        _assertLot(_lot, ILots.LotState.Held, maker);
        _refuse(carrier, _lotState(_lot, ILots.LotState.Held));
        ledger.acceptCustody(_item(_lot, _order), 1, ROOT);
        _refuse(maker, _lotState(_lot, ILots.LotState.Held));
        ledger.withdrawCustody(_lot, ROOT);
    }

    function test_offerRefusals() public check {
        _refuse(maker, abi.encodeWithSelector(ILots.LotsMissing.selector));
        ledger.offerCustody(new ICustody.Item[](0), carrier.id, ROOT);
        _refuseOffer(_item(_lot, _order), maker.id, abi.encodeWithSelector(ICustody.CustodyToSelf.selector, _lot));
        _refuseOffer(_item(_lot, _order), auditor.id, _unfit(auditor.id, Roles.AUDITOR));
        _refuseOffer(_item(_lot, _order), 99, _unfit(99, 0));
        _refuseOffer(_item(_lot, ROOT), carrier.id, abi.encodeWithSelector(IOrders.OrderUnknown.selector, ROOT));
        ICustody.Item[] memory twice = _items(_lot, _one(_lot), _order);
        twice[0].order = _order;
        _refuseOffer(twice, carrier.id, abi.encodeWithSelector(ICustody.ConsignmentExcess.selector, 2, 1));
        uint40 sequence = ledger.orderOf(_order).sequence;
        bytes memory reason = abi.encodeWithSelector(ILots.LotOrderWrong.selector, _lot, bytes32(0), sequence);
        _refuseOffer(_item(_lot, 0), carrier.id, reason);
        _refuse(maker2, abi.encodeWithSelector(ILots.LotForeign.selector, _lot, maker.id));
        ledger.offerCustody(_item(_lot, _order), carrier.id, ROOT);
        _refuse(auditor, _roleMissing(auditor, Roles.AUDITOR, Roles.HOLDER));
        ledger.offerCustody(_item(_lot, _order), carrier.id, ROOT);
        _offer(maker, _item(_lot, _order), carrier);
        _refuseOffer(_item(_lot, _order), maker2.id, _lotState(_lot, ILots.LotState.Offered));
    }

    function test_offerToSuspended() public check {
        _suspend(carrier);
        _refuseOffer(_item(_lot, _order), carrier.id, _unfit(carrier.id, 0));
    }

    function test_acceptRefusals() public check {
        _refuse(carrier, abi.encodeWithSelector(ILots.LotsMissing.selector));
        ledger.acceptCustody(new ICustody.Item[](0), 1, ROOT);
        _refuse(carrier, abi.encodeWithSelector(ILots.LotUnknown.selector, ROOT));
        ledger.acceptCustody(_item(ROOT, 0), 1, ROOT);
        _offer(maker, _item(_lot, _order), carrier);
        uint40 offer = ledger.offerOf(_lot).sequence;
        _refuse(maker2, abi.encodeWithSelector(ICustody.CustodyNotOffered.selector, _lot, carrier.id));
        ledger.acceptCustody(_item(_lot, _order), offer, ROOT);
        uint40 sequence = ledger.orderOf(_order).sequence;
        _refuse(carrier, abi.encodeWithSelector(ILots.LotOrderWrong.selector, _lot, bytes32(0), sequence));
        ledger.acceptCustody(_item(_lot, 0), offer, ROOT);
        _setRoles(carrier, Roles.AUDITOR);
        bytes memory reason = _roleMissing(carrier, Roles.AUDITOR, Roles.HOLDER);
        _refuse(carrier, reason);
        ledger.acceptCustody(_item(_lot, _order), 1, ROOT);
        _refuse(carrier, reason);
        ledger.declineCustody(_lot, 1, ROOT);
        _refuse(carrier, reason);
        ledger.withdrawCustody(_lot, ROOT);
    }

    function test_quarantinedLotIsNotOffered() public check {
        _quarantine(maker, _lot, _order);
        _refuseOffer(_item(_lot, _order), carrier.id, _lotState(_lot, ILots.LotState.Quarantined));
    }

    function test_spentLotIsNotOffered() public check {
        _as(maker);
        ledger.scrapLot(_lot, 10, ILots.Disposition.Scrapped, ROOT);
        _refuseOffer(_item(_lot, _order), carrier.id, _lotState(_lot, ILots.LotState.Spent));
    }

    function test_returnTheSameWay() public check {
        _move(maker, _item(_lot, _order), carrier);
        _move(carrier, _item(_lot, _order), maker);
        _assertLot(_lot, ILots.LotState.Held, maker);
    }

    // ---- the gate ----

    function test_gateNeedsACertificate() public check {
        _refuseGate(_lot, ICertificates.CertificateStatus.None, ICertificates.Verdict.None, 0);
        _pass(_lot, _order);
        _move(maker, _item(_lot, _order), buyer);
        _assertLot(_lot, ILots.LotState.Held, buyer);
    }

    function test_gateIsTheBuyersOnly() public check {
        _move(maker, _item(_lot, _order), carrier);
        _move(carrier, _item(_lot, _order), coordinator);
        _assertLot(_lot, ILots.LotState.Held, coordinator);
    }

    function test_orderWithoutGate() public check {
        bytes32 open = _acceptedOrder("open", _ungated(1));
        _start(open, 0);
        bytes32 lot = _commission(open, "free", 5);
        _move(maker, _item(lot, open), buyer);
        _assertLot(lot, ILots.LotState.Held, buyer);
    }

    function test_gateNeedsItsModel() public check {
        ICertificates.Statement memory statement = _statement(_lot, _order, ICertificates.Verdict.Pass);
        statement.model = model2;
        _as(inspector);
        ledger.issueCertificate(statement);
        _refuseGate(_lot, ICertificates.CertificateStatus.Valid, ICertificates.Verdict.Pass, model2);
    }

    /// @dev A verdict given before the gate named another inspector does not open it.
    function test_gateNeedsItsInspector() public check {
        bytes32 order = _acceptedOrder("other", _ungated(1));
        uint40 assignment = _proposeAndAccept(order, 0);
        _as(maker);
        ledger.startAssignment(order, 0, assignment, stream, ROOT);
        bytes32 lot = _commission(order, "free", 5);
        _openModel(model);
        _as(inspector2);
        ledger.issueCertificate(_statement(lot, order, ICertificates.Verdict.Pass));
        bytes32 next = _startedOrder("next");
        _transform(maker, _change(ILots.TransformationKind.Conversion, next, _inputs(lot, 5), _outputs("converted", 5)));
        bytes32 converted = _lotName(maker, "converted");
        _refuseOffer(
            _item(converted, next),
            buyer.id,
            _gateClosed(converted, ICertificates.CertificateStatus.None, ICertificates.Verdict.None, 0)
        );
    }

    function test_gateNeedsAPass() public check {
        _fail(_lot, _order);
        _as(inspector);
        ledger.releaseLot(_lot, _order, ROOT);
        _refuseGate(_lot, ICertificates.CertificateStatus.Valid, ICertificates.Verdict.Fail, model);
    }

    function test_gateIsCheckedAtOffer() public check {
        uint40 certificate = _pass(_lot, _order);
        _as(inspector);
        ledger.revokeCertificate(_one(_lot), certificate, ROOT);
        _refuseGate(_lot, ICertificates.CertificateStatus.Revoked, ICertificates.Verdict.Pass, model);
        _pass(_lot, _order);
        _withdrawModel(model);
        _refuseGate(_lot, ICertificates.CertificateStatus.Fallen, ICertificates.Verdict.Pass, model);
    }

    function test_expiredAtOffer() public check {
        _pass(_lot, _order);
        _warp(EXPIRY);
        _refuseGate(_lot, ICertificates.CertificateStatus.Expired, ICertificates.Verdict.Pass, model);
    }

    function test_expiredBetweenOfferAndAccept() public check {
        _pass(_lot, _order);
        _offer(maker, _item(_lot, _order), buyer);
        _warp(EXPIRY);
        _refuseAccept(ICertificates.CertificateStatus.Expired);
    }

    function test_revokedBetweenOfferAndAccept() public check {
        uint40 certificate = _pass(_lot, _order);
        _offer(maker, _item(_lot, _order), buyer);
        _as(inspector);
        ledger.revokeCertificate(_one(_lot), certificate, ROOT);
        _refuseAccept(ICertificates.CertificateStatus.Revoked);
    }

    function test_withdrawnBetweenOfferAndAccept() public check {
        _pass(_lot, _order);
        _offer(maker, _item(_lot, _order), buyer);
        _withdrawModel(model);
        _refuseAccept(ICertificates.CertificateStatus.Fallen);
    }

    function test_gateRevisedBetweenOfferAndAccept() public check {
        _pass(_lot, _order);
        _offer(maker, _item(_lot, _order), buyer);
        IOrders.OrderTerms memory terms = _terms(1);
        terms.gates = Gates.one(inspector.id, model2);
        _as(buyer);
        ledger.proposeRevision(_order, terms);
        uint40 proposal = ledger.sequence();
        _as(coordinator);
        ledger.acceptRevision(_order, terms, proposal);
        uint40 offer = ledger.offerOf(_lot).sequence;
        _refuse(
            buyer,
            abi.encodeWithSelector(
                ICustody.GateClosed.selector,
                _lot,
                inspector.id,
                model2,
                _latest(_lot),
                ICertificates.CertificateStatus.Valid,
                ICertificates.Verdict.Pass,
                model,
                0,
                true
            )
        );
        ledger.acceptCustody(_item(_lot, _order), offer, ROOT);
    }

    // ---- consignments ----

    /// @dev Maker to carrier to buyer, on one pallet: the gates of what is packed are checked for the buyer.
    function test_packedLotsPassTheirGates() public check {
        (bytes32 pallet, bytes32[] memory lots) = _pallet();
        ICustody.Item[] memory consignment = _items(pallet, lots, _order);
        _move(maker, consignment, carrier);
        _pass(lots[0], _order);
        _refuse(carrier, _gateClosed(lots[1], ICertificates.CertificateStatus.None, ICertificates.Verdict.None, 0));
        ledger.offerCustody(consignment, buyer.id, ROOT);
        uint40 second = _pass(lots[1], _order);
        _offer(carrier, consignment, buyer);
        _as(inspector);
        ledger.revokeCertificate(_one(lots[1]), second, ROOT);
        uint40 offer = ledger.offerOf(pallet).sequence;
        _refuse(buyer, _gateClosed(lots[1], ICertificates.CertificateStatus.Revoked, ICertificates.Verdict.Pass, model));
        ledger.acceptCustody(consignment, offer, ROOT);
        _pass(lots[1], _order);
        _accept(buyer, consignment);
        _as(buyer);
        ledger.unpackLots(pallet, lots);
        _assertLot(lots[0], ILots.LotState.Held, buyer);
        _assertLot(lots[1], ILots.LotState.Held, buyer);
    }

    function test_quarantinedContentsStopAnOffer() public check {
        (bytes32 pallet, bytes32[] memory lots) = _pallet();
        ICustody.Item[] memory consignment = _items(pallet, lots, _order);
        _offer(maker, consignment, carrier);
        _fail(lots[1], _order);
        uint40 offer = ledger.offerOf(pallet).sequence;
        _refuse(carrier, _lotState(lots[1], ILots.LotState.Quarantined));
        ledger.acceptCustody(consignment, offer, ROOT);
        _as(maker);
        ledger.withdrawCustody(pallet, ROOT);
        _refuseOffer(consignment, carrier.id, _lotState(lots[1], ILots.LotState.Quarantined));
    }

    function test_consignmentMustBeComplete() public check {
        (bytes32 pallet, bytes32[] memory lots) = _pallet();
        bytes memory reason = abi.encodeWithSelector(ICustody.ConsignmentIncomplete.selector, pallet, 2);
        _refuseOffer(_item(pallet, 0), carrier.id, reason);
        reason = abi.encodeWithSelector(ICustody.ConsignmentIncomplete.selector, pallet, 1);
        _refuseOffer(_items(pallet, _one(lots[0]), _order), carrier.id, reason);
        ICustody.Item[] memory consignment = _items(pallet, lots, _order);
        _offer(maker, consignment, carrier);
        uint40 offer = ledger.offerOf(pallet).sequence;
        _refuse(carrier, reason);
        ledger.acceptCustody(_items(pallet, _one(lots[1]), _order), offer, ROOT);
    }

    function test_consignmentHasNothingElse() public check {
        (bytes32 pallet, bytes32[] memory lots) = _pallet();
        ICustody.Item[] memory consignment = new ICustody.Item[](4);
        consignment[0] = ICustody.Item(pallet, 0);
        consignment[1] = ICustody.Item(lots[0], _order);
        consignment[2] = ICustody.Item(lots[1], _order);
        consignment[3] = ICustody.Item(_lot, _order);
        _refuseOffer(consignment, carrier.id, abi.encodeWithSelector(ICustody.ConsignmentExcess.selector, 4, 3));
        uint40 number = ledger.lotOf(pallet).number;
        consignment = _items(pallet, _sorted(lots[0], _lot), _order);
        _refuseOffer(consignment, carrier.id, abi.encodeWithSelector(ILots.LotNotInParent.selector, _lot, 0, number));
    }

    function test_consignmentIsInOrder() public check {
        (bytes32 pallet, bytes32[] memory lots) = _pallet();
        ICustody.Item[] memory consignment = _items(pallet, _two(lots[1], lots[0]), _order);
        _refuseOffer(consignment, carrier.id, abi.encodeWithSelector(ILots.LotsNotAscending.selector, lots[0]));
        consignment = _items(pallet, _two(lots[1], lots[1]), _order);
        _refuseOffer(consignment, carrier.id, abi.encodeWithSelector(ILots.LotsNotAscending.selector, lots[1]));
    }

    /// @dev Eight levels below the root move; a ninth does not.
    function test_consignmentDepth() public check {
        ICustody.Item[] memory nine = _nest(9);
        _move(carrier, nine, maker);
        bytes32 root = _receive(maker, "root", 1);
        _pack(maker, root, _one(nine[0].lot));
        ICustody.Item[] memory ten = new ICustody.Item[](10);
        ten[0] = ICustody.Item(root, 0);
        for (uint256 i; i < 9; ++i) {
            ten[i + 1] = nine[i];
        }
        bytes memory reason = abi.encodeWithSelector(ICustody.ConsignmentTooDeep.selector, nine[8].lot);
        _refuseOffer(ten, carrier.id, reason);
        _as(maker);
        ledger.unpackLots(root, _one(nine[0].lot));
        _move(maker, nine, carrier);
    }

    function test_nestedContentsFollowTheirParent() public check {
        bytes32 boxA = _receive(maker, "box a", 1);
        bytes32 boxB = _receive(maker, "box b", 1);
        bytes32 pallet = _receive(maker, "pallet", 1);
        bytes32 other = _commission(_order, "other", 5);
        _pack(maker, boxA, _one(_lot));
        _pack(maker, boxB, _one(other));
        bytes32[] memory boxes = _sorted(boxA, boxB);
        _pack(maker, pallet, boxes);
        ICustody.Item[] memory consignment = new ICustody.Item[](5);
        consignment[0] = ICustody.Item(pallet, 0);
        consignment[1] = ICustody.Item(boxes[0], 0);
        consignment[2] = ICustody.Item(boxes[0] == boxA ? _lot : other, _order);
        consignment[3] = ICustody.Item(boxes[1], 0);
        consignment[4] = ICustody.Item(boxes[1] == boxA ? _lot : other, _order);
        _move(maker, consignment, carrier);
        _as(carrier);
        ledger.unpackLots(pallet, boxes);
        _as(carrier);
        ledger.unpackLots(boxA, _one(_lot));
        _assertLot(_lot, ILots.LotState.Held, carrier);
        (consignment[2], consignment[4]) = (consignment[4], consignment[2]);
        _pack(carrier, boxA, _one(_lot));
        _pack(carrier, pallet, boxes);
        bytes32 wrong = consignment[2].lot;
        uint40 parent = ledger.lotOf(wrong).holder;
        uint40 expected = ledger.lotOf(boxes[0]).number;
        _refuse(carrier, abi.encodeWithSelector(ILots.LotNotInParent.selector, wrong, parent, expected));
        ledger.offerCustody(consignment, maker.id, ROOT);
    }

    // ---- inside ----

    /// @dev Two gated lots on a pallet of no order.
    function _pallet() private returns (bytes32 pallet, bytes32[] memory lots) {
        pallet = _receive(maker, "pallet", 1);
        lots = _sorted(_commission(_order, "a", 5), _commission(_order, "b", 5));
        _pack(maker, pallet, lots);
    }

    /// @dev `levels` lots of the carrier, each packed in the one before it.
    function _nest(uint256 levels) private returns (ICustody.Item[] memory consignment) {
        consignment = new ICustody.Item[](levels);
        for (uint256 i; i < levels; ++i) {
            consignment[i].lot = _receive(carrier, vm.toString(i), 1);
        }
        for (uint256 i = 1; i < levels; ++i) {
            uint256 inner = levels - i;
            _pack(carrier, consignment[inner - 1].lot, _one(consignment[inner].lot));
        }
    }

    function _refuseOffer(ICustody.Item[] memory consignment, uint32 to, bytes memory reason) private {
        _refuse(maker, reason);
        ledger.offerCustody(consignment, to, ROOT);
    }

    function _refuseGate(bytes32 lot, ICertificates.CertificateStatus status, ICertificates.Verdict verdict, uint40 on)
        private
    {
        _refuseOffer(_item(lot, _order), buyer.id, _gateClosed(lot, status, verdict, on));
    }

    function _refuseAccept(ICertificates.CertificateStatus status) private {
        uint40 offer = ledger.offerOf(_lot).sequence;
        _refuse(buyer, _gateClosed(_lot, status, ICertificates.Verdict.Pass, model));
        ledger.acceptCustody(_item(_lot, _order), offer, ROOT);
        _assertLot(_lot, ILots.LotState.Offered, maker);
    }

    function _gateClosed(bytes32 lot, ICertificates.CertificateStatus status, ICertificates.Verdict verdict, uint40 on)
        private
        view
        returns (bytes memory)
    {
        return abi.encodeWithSelector(
            ICustody.GateClosed.selector, lot, inspector.id, model, _latest(lot), status, verdict, on, 0, on != 0
        );
    }

    function _unfit(uint32 id, uint16 held) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IHistory.HistoryParticipantUnfit.selector, id, held, Roles.HOLDER);
    }

    function _lotState(bytes32 lot, ILots.LotState state) private pure returns (bytes memory) {
        return abi.encodeWithSelector(ILots.LotStateWrong.selector, lot, state);
    }
}
