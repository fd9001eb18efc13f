// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {ICertificates} from "../interfaces/ICertificates.sol";
import {ILots} from "../interfaces/ILots.sol";
import {INotes} from "../interfaces/INotes.sol";
import {IOrders} from "../interfaces/IOrders.sol";
import {Roles} from "../libraries/Roles.sol";
import {Subjects} from "../libraries/Subjects.sol";
import {Book} from "./Book.sol";

/// @title Notes on orders and lots
abstract contract Notes is Book, INotes {
    /// @dev Keeps one record within a block, and its replay within bounds.
    uint256 private constant MOST_SUBJECTS = 64;

    /// @dev Nothing is changed: readers show the corrected record and the note.
    uint16 private constant CORRECTION = 6;

    /// @inheritdoc INotes
    function note(
        bytes32[] calldata subjects,
        bytes32[] calldata grounds,
        uint16 kind,
        uint40 about,
        bytes32 claimsRoot
    ) external {
        Actor memory actor = _actorOrOwner();
        if (subjects.length == 0) revert NoteSubjectsMissing();
        if (subjects.length > MOST_SUBJECTS) revert NoteSubjectsTooMany(subjects.length, MOST_SUBJECTS);
        if (subjects.length != grounds.length) revert NoteGroundsWrong(subjects.length, grounds.length);
        if (kind == 0) revert NoteKindMissing();
        if (kind == CORRECTION && about == 0) revert NoteAboutMissing();
        if (about >= _next()) revert NoteAboutLater(about);
        for (uint256 i; i < subjects.length; ++i) {
            if (i != 0 && subjects[i] <= subjects[i - 1]) revert NoteSubjectsNotAscending(subjects[i]);
            _requireStanding(subjects[i], grounds[i], actor.participant);
        }
        bytes memory data = abi.encode(actor.key, subjects, kind, about, claimsRoot);
        _record(NoteRecorded.selector, actor, subjects[0], subjects, data);
    }

    /// @dev Who acts, with any role, or the registry's owner, which need not be a participant.
    function _actorOrOwner() private view returns (Actor memory actor) {
        address sender = _msgSender();
        if (sender != Ownable(address(registry)).owner()) return _actor(Roles.ANY);
        actor = Actor({participant: 0, roles: Roles.ANY, key: sender});
    }

    /// @dev Participant 0 is the owner.
    function _requireStanding(bytes32 subject, bytes32 ground, uint32 participant) private view {
        ILots.Lot storage lot = _lots[subject];
        bool isLot = lot.number != 0;
        if (!isLot && _orders[subject].sequence == 0) revert NoteSubjectUnknown(subject);
        if (participant == 0) return;
        if (isLot ? !_isOfLot(subject, lot, ground, participant) : !_isParty(subject, _orders[subject], participant)) {
            revert NoteStandingMissing(subject, participant, ground);
        }
    }

    /// @dev Custodian, maker, issuer of a certificate, or party of the order. Storage refers to the order by number, the
    /// caller names it.
    function _isOfLot(bytes32 subject, ILots.Lot storage lot, bytes32 ground, uint32 participant)
        private
        view
        returns (bool)
    {
        (uint40 number, uint40 holder, bool packed) = (lot.order, lot.holder, lot.packed);
        if (!packed && holder == participant) return true;
        if (Subjects.derive(Subjects.Kind.Lot, participant, ground) == subject) return true;
        if (_isIssuer(lot.number, ground, participant)) return true;
        IOrders.Order storage order = _orders[ground];
        return number != 0 && order.sequence == number && _isParty(ground, order, participant);
    }

    /// @dev A certificate by procedure has the number of the first of its lots.
    function _isIssuer(uint40 number, bytes32 ground, uint32 participant) private view returns (bool) {
        if (uint256(ground) > type(uint40).max) return false;
        // forge-lint: disable-next-line(unsafe-typecast) - as said above
        ICertificates.Certificate storage certificate = _certificates[uint40(uint256(ground))];
        return certificate.lot == number && certificate.issuer == participant;
    }

    function _isParty(bytes32 subject, IOrders.Order storage order, uint32 participant) private view returns (bool) {
        (uint32 buyer, uint32 coordinator, uint32 inspector) = (order.buyer, order.coordinator, order.inspector);
        return participant == buyer || participant == coordinator || _isGateOf(subject, inspector, participant);
    }
}
