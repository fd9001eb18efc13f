// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICertificates} from "../src/interfaces/ICertificates.sol";
import {ILots} from "../src/interfaces/ILots.sol";
import {IHistory} from "../src/interfaces/IHistory.sol";
import {INotes} from "../src/interfaces/INotes.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {Fixture} from "./Fixture.sol";

contract NotesTest is Fixture {
    uint16 private constant OBSERVATION = 1;
    uint16 private constant RECALL_NOTICE = 2;
    uint16 private constant CORRECTION = 6;

    bytes32 private _order;
    bytes32 private _lot;

    function setUp() public override {
        super.setUp();
        _order = _startedOrder("order");
        _lot = _commission(_order, "lot", 10);
    }

    /// @dev Before, a maker could say nothing about a lot once it had handed it over.
    function test_N1_aMakerSpeaksAboutWhatItHandedOver() public check {
        _move(maker, _item(_lot, _order), carrier);
        bytes32 head = ledger.headOf(_lot);
        bytes memory before = abi.encode(ledger.lotOf(_lot));
        uint40 next = _expectRecord();
        emit INotes.NoteRecorded(next, maker.id, _lot, maker.key, _one(_lot), RECALL_NOTICE, 0, ROOT);
        _note(maker, _lot, _hash("lot"), RECALL_NOTICE);
        assertTrue(ledger.headOf(_lot) != head);
        assertEq(abi.encode(ledger.lotOf(_lot)), before, "no state changes");
    }

    function test_N1_custodianAndPartiesSpeak() public check {
        _move(maker, _item(_lot, _order), carrier);
        _note(carrier, _lot, 0, OBSERVATION);
        _note(buyer, _lot, _order, OBSERVATION);
        _note(coordinator, _lot, _order, OBSERVATION);
        _note(inspector, _lot, _order, OBSERVATION);
        _note(buyer, _order, 0, OBSERVATION);
        _note(coordinator, _order, 0, OBSERVATION);
        _note(inspector, _order, 0, OBSERVATION);
        _refuseStanding(maker, _order, 0);
        _refuseStanding(auditor, _lot, _order);
        _refuseStanding(inspector2, _lot, _order);
    }

    function test_N1_severalHistoriesGrow() public check {
        bytes32 other = _receive(maker, "other", 5);
        bytes32[] memory subjects = _sorted(_lot, other);
        uint40 next = _expectRecord();
        emit INotes.NoteRecorded(next, maker.id, subjects[0], maker.key, subjects, OBSERVATION, 0, ROOT);
        _as(maker);
        ledger.note(subjects, new bytes32[](2), OBSERVATION, 0, ROOT);
        subjects = _sorted(_lot, _order);
        bytes32[] memory grounds = new bytes32[](2);
        grounds[subjects[0] == _lot ? 0 : 1] = _order;
        _as(buyer);
        ledger.note(subjects, grounds, OBSERVATION, 0, ROOT);
    }

    /// @dev Whatever its state: what is found out about a part that is gone matters, too.
    function test_N1_ofASpentLot() public check {
        _as(maker);
        ledger.scrapLot(_lot, 10, ILots.Disposition.Scrapped, ROOT);
        _note(maker, _lot, 0, OBSERVATION);
    }

    function test_N1_theOwnerSpeaksAboutAll() public check {
        uint40 next = _expectRecord();
        emit INotes.NoteRecorded(next, 0, _lot, owner, _one(_lot), RECALL_NOTICE, 0, ROOT);
        vm.prank(owner);
        ledger.note(_one(_lot), new bytes32[](1), RECALL_NOTICE, 0, ROOT);
        vm.prank(owner);
        ledger.note(_one(_order), new bytes32[](1), RECALL_NOTICE, 0, ROOT);
        vm.prank(owner);
        vm.expectRevert(abi.encodeWithSelector(INotes.NoteSubjectUnknown.selector, ROOT));
        ledger.note(_one(ROOT), new bytes32[](1), RECALL_NOTICE, 0, ROOT);
    }

    /// @dev The name of a packed lot's holder is the parent's number: nobody's.
    function test_N1_notOfAPackedLot() public check {
        bytes32 box = _receive(carrier, "box", 1);
        _move(maker, _item(_lot, _order), carrier);
        _pack(carrier, box, _one(_lot));
        _refuseStanding(carrier, _lot, 0);
        _note(maker, _lot, _hash("lot"), OBSERVATION);
    }

    function test_N1_groundsMustBeTrue() public check {
        bytes32 otherOrder = _place("other", _terms(1));
        bytes32 stock = _receive(maker2, "stock", 5);
        _refuseStanding(buyer, _lot, 0);
        _refuseStanding(buyer, _lot, otherOrder);
        _refuseStanding(buyer, _lot, ROOT);
        _refuseStanding(buyer, stock, 0);
        _refuseStanding(buyer, stock, _order);
        _refuseStanding(maker, stock, _hash("stock"));
        _refuseStanding(maker2, _lot, _hash("lot"));
    }

    /// @dev Also one whose gate the order has not: what it said wrongly, it can correct.
    function test_theIssuerOfACertificateSpeaks() public check {
        _openModel(model);
        bytes32 another = _commission(_order, "another", 1);
        ICertificates.Statement memory statement = _statement(_lot, _order, ICertificates.Verdict.Pass);
        _as(inspector2);
        uint40 certificate = ledger.issueCertificate(statement);
        bytes32 ground = bytes32(uint256(certificate));
        _as(inspector2);
        ledger.note(_one(_lot), _one(ground), CORRECTION, certificate, ROOT);
        _refuseStanding(inspector2, another, ground);
        _refuseStanding(buyer, _lot, ground);
        _refuseStanding(inspector2, _lot, bytes32(uint256(certificate) + (1 << 40)));
        _refuseStanding(inspector2, _lot, bytes32(uint256(certificate) - 1));
    }

    function test_N1_refusals() public check {
        bytes32[] memory none = new bytes32[](0);
        _refuse(maker, abi.encodeWithSelector(INotes.NoteSubjectsMissing.selector));
        ledger.note(none, none, OBSERVATION, 0, ROOT);
        _refuse(maker, abi.encodeWithSelector(INotes.NoteSubjectsTooMany.selector, 65, 64));
        ledger.note(new bytes32[](65), new bytes32[](65), OBSERVATION, 0, ROOT);
        _refuse(maker, abi.encodeWithSelector(INotes.NoteGroundsWrong.selector, 1, 0));
        ledger.note(_one(_lot), none, OBSERVATION, 0, ROOT);
        _refuse(maker, abi.encodeWithSelector(INotes.NoteKindMissing.selector));
        ledger.note(_one(_lot), new bytes32[](1), 0, 0, ROOT);
        _refuse(maker, abi.encodeWithSelector(INotes.NoteSubjectsNotAscending.selector, _lot));
        ledger.note(_two(_lot, _lot), new bytes32[](2), OBSERVATION, 0, ROOT);
        _refuse(maker, abi.encodeWithSelector(INotes.NoteSubjectUnknown.selector, stream));
        ledger.note(_one(stream), new bytes32[](1), OBSERVATION, 0, ROOT);
        _suspend(maker);
        _refuse(maker, abi.encodeWithSelector(IRegistry.RegistryParticipantSuspended.selector, maker.id));
        ledger.note(_one(_lot), new bytes32[](1), OBSERVATION, 0, ROOT);
        address nobody = makeAddress("nobody");
        vm.prank(nobody);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.RegistryKeyUnknown.selector, nobody));
        ledger.note(_one(_lot), new bytes32[](1), OBSERVATION, 0, ROOT);
    }

    function test_N1_sixtyFour() public check {
        bytes32[] memory subjects = new bytes32[](64);
        for (uint256 i; i < 64; ++i) {
            bytes32 lot = _receive(maker, vm.toString(i), 1);
            uint256 place = i;
            for (; place > 0 && subjects[place - 1] > lot; --place) {
                subjects[place] = subjects[place - 1];
            }
            subjects[place] = lot;
        }
        _as(maker);
        ledger.note(subjects, new bytes32[](64), OBSERVATION, 0, ROOT);
    }

    // ---- corrections ----

    /// @dev Nothing is changed: the record stays, and readers show the note beside it.
    function test_aCorrectionNamesAnEarlierRecord() public check {
        uint40 made = ledger.sequence();
        uint40 next = _expectRecord();
        emit INotes.NoteRecorded(next, maker.id, _lot, maker.key, _one(_lot), CORRECTION, made, ROOT);
        _as(maker);
        ledger.note(_one(_lot), _one(_hash("lot")), CORRECTION, made, ROOT);
    }

    /// @dev A correction is a record, and can be corrected as well; any other note may name a record, too.
    function test_aNoteNamesANote() public check {
        uint40 next = ledger.sequence() + 1;
        _as(maker);
        ledger.note(_one(_lot), _one(_hash("lot")), CORRECTION, 1, ROOT);
        _as(maker);
        ledger.note(_one(_lot), _one(_hash("lot")), CORRECTION, next, ROOT);
        _as(maker);
        ledger.note(_one(_lot), _one(_hash("lot")), OBSERVATION, next + 1, ROOT);
    }

    function test_aCorrectionOfNothingOrOfALaterRecordIsRefused() public check {
        _refuse(maker, abi.encodeWithSelector(INotes.NoteAboutMissing.selector));
        ledger.note(_one(_lot), _one(_hash("lot")), CORRECTION, 0, ROOT);
        uint40 own = ledger.sequence() + 1;
        _refuse(maker, abi.encodeWithSelector(INotes.NoteAboutLater.selector, own));
        ledger.note(_one(_lot), _one(_hash("lot")), CORRECTION, own, ROOT);
        _refuse(maker, abi.encodeWithSelector(INotes.NoteAboutLater.selector, type(uint40).max));
        ledger.note(_one(_lot), _one(_hash("lot")), OBSERVATION, type(uint40).max, ROOT);
    }

    function _note(Party storage party, bytes32 subject, bytes32 ground, uint16 kind) private {
        _as(party);
        ledger.note(_one(subject), _one(ground), kind, 0, ROOT);
    }

    function _refuseStanding(Party storage party, bytes32 subject, bytes32 ground) private {
        _refuse(party, abi.encodeWithSelector(INotes.NoteStandingMissing.selector, subject, party.id, ground));
        ledger.note(_one(subject), _one(ground), OBSERVATION, 0, ROOT);
    }
}
