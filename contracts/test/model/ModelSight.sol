// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAssignments} from "../../src/interfaces/IAssignments.sol";
import {ICertificates} from "../../src/interfaces/ICertificates.sol";
import {IGates} from "../../src/interfaces/IGates.sol";
import {ILots} from "../../src/interfaces/ILots.sol";
import {IOrders} from "../../src/interfaces/IOrders.sol";
import {IRegistry} from "../../src/interfaces/IRegistry.sol";
import {IRevisions} from "../../src/interfaces/IRevisions.sol";
import {ModelActs} from "./ModelActs.sol";

/// @notice What the contracts answer, packed as tests/proofs/model/world.py packs a state. Where the model does not tell
/// states apart, nor does this: an assignment that was declined or cancelled is as good as none, a lot that is spent has no
/// custodian, the verdict of a certificate that does not count any more is not looked at.
abstract contract ModelSight is ModelActs {
    uint40 private constant END_DELAY = 14 days;

    /// @dev Fields are appended from the lowest bit.
    struct Packed {
        uint256 bits;
        uint256 used;
        uint256 wide;
    }

    function _observe() internal view returns (uint256) {
        Packed memory packed;
        packed.wide = cast_.companies < 4 ? 2 : 3;
        _packOrder(packed);
        for (uint16 operation; operation < cast_.operations; ++operation) {
            IAssignments.Assignment memory current = ledger.assignmentOf(order, operation);
            _append(packed, uint8([0, 1, 2, 0, 3, 4, 0][uint8(current.state)]), 3);
            _append(packed, current.finishedOnce ? 1 : 0, 1);
        }
        for (uint32 company = 1; company <= cast_.companies; ++company) {
            IRegistry.Participant memory entry = registry.participantOf(company);
            uint256 absent = block.timestamp >= entry.inactiveSince + 14 days ? 2 : 1;
            _append(packed, entry.inactiveSince == 0 ? 0 : absent, 2);
        }
        for (uint256 lot; lot < lots.length; ++lot) {
            _packLot(packed, lot);
        }
        return packed.bits;
    }

    function _append(Packed memory packed, uint256 value, uint256 width) private pure {
        packed.bits |= value << packed.used;
        packed.used += width;
    }

    function _packOrder(Packed memory packed) private view {
        IOrders.Order memory entry = ledger.orderOf(order);
        uint8 state = uint8([0, 0, 1, 2, 3, 4, 6, 5][uint8(entry.state)]);
        _append(packed, state, 3);
        _append(packed, entry.coordinator, packed.wide);
        _append(packed, _inspector(), packed.wide);
        bool withdrawn = model != 0 && registry.stateOfModel(model) == IRegistry.ModelState.Withdrawn;
        _append(packed, withdrawn ? 1 : 0, 1);
        _packProposal(packed, state < 4);
    }

    function _packProposal(Packed memory packed, bool open) private view {
        IRevisions.Proposal memory kept = ledger.proposalOf(order);
        bool stands = open && kept.digest != 0;
        uint8 proposed = stands ? _proposed(kept) : 0;
        _append(packed, proposed, 2);
        _append(packed, stands ? kept.consents & 3 : 0, 2);
        bool due = proposed == END && block.timestamp >= kept.proposedAt + END_DELAY;
        _append(packed, due ? 1 : 0, 1);
    }

    /// @dev Which of the proposals that the acts make it is.
    function _proposed(IRevisions.Proposal memory kept) private view returns (uint8 proposed) {
        if (_isOf(kept, IRevisions.EndProposed.selector, 0)) return END;
        for (proposed = COORDINATOR; proposed <= GATE; ++proposed) {
            bytes32 content = keccak256(abi.encode(_proposedTerms(proposed)));
            if (_isOf(kept, IRevisions.RevisionProposed.selector, content)) return proposed;
        }
        revert("the ledger keeps another proposal than the latest");
    }

    function _isOf(IRevisions.Proposal memory kept, bytes32 kind, bytes32 content) private view returns (bool) {
        return kept.digest == bytes26(keccak256(abi.encode(kind, proposal, content)));
    }

    function _packLot(Packed memory packed, uint256 lot) private view {
        ILots.Lot memory entry = ledger.lotOf(lots[lot]);
        if (entry.number == 0 || entry.state == ILots.LotState.Spent) {
            uint256 over = isSold[lot] ? 6 : 5;
            _append(packed, 0, packed.wide);
            _append(packed, entry.number == 0 ? 0 : over, 3);
            packed.used += packed.wide + 11 + _waiverBits() + _secondBits();
            return;
        }
        if (entry.packed) require(entry.holder == ledger.lotOf(lots[0]).number, "packed in another lot");
        _append(packed, entry.packed ? 0 : entry.holder, packed.wide);
        _append(packed, uint8([0, 1, 2, 3, 5, 4][uint8(entry.state)]), 3);
        _append(packed, entry.counterparty, packed.wide);
        _append(packed, entry.order == 0 ? 0 : 1, 1);
        _packCertificate(packed, lots[lot], entry.reworks);
        _append(packed, _behind(lots[lot], entry), 2);
        _append(packed, entry.packed ? 1 : 0, 1);
        _append(packed, _isWaived(lots[lot], entry.reworks) ? 1 : 0, _waiverBits());
        _append(packed, _passesSecond(lots[lot], entry.reworks) ? 1 : 0, _secondBits());
    }

    /// @dev A world without waivers has no bit for them, and one without a second gate none for that. Neither is ever set
    /// then, so what follows is where the model has it.
    function _waiverBits() private view returns (uint256) {
        return cast_.waivers;
    }

    function _secondBits() private view returns (uint256) {
        return cast_.second == 0 ? 0 : 1;
    }

    function _packCertificate(Packed memory packed, bytes32 lot, uint8 reworks) private view {
        uint32 inspector = _inspector();
        ICertificates.Standing memory standing = ledger.standingOf(lot, inspector);
        ICertificates.Certificate memory latest = ledger.certificateOf(standing.latest);
        bool revoked = latest.state == ICertificates.CertificateState.Revoked;
        bool over = standing.latest != 0 && !revoked && block.timestamp >= latest.expiresAt;
        bool demanded = latest.state == ICertificates.CertificateState.Demanded;
        // Of what expired only who may demand its opening depends on the verdict.
        _append(packed, revoked || (over && demanded) ? 1 : uint8(latest.verdict), 2);
        _append(packed, revoked ? 2 : demanded ? 1 : 0, 2);
        _append(packed, over ? 1 : 0, 1);
        _append(packed, standing.open == 0 ? 0 : 1, 1);
        _append(packed, standing.latest != 0 && standing.reworks != reworks ? 1 : 0, 1);
    }

    /// @dev Whether the order's buyer waived the first gate for the lot, whether it is one of the order now or not.
    function _isWaived(bytes32 lot, uint8 reworks) private view returns (bool) {
        IGates.Waiver memory waiver = ledger.waiverOf(lot, _inspector());
        bool same = waiver.certificate == ledger.standingOf(lot, _inspector()).latest && waiver.reworks == reworks;
        return waiver.order != 0 && same;
    }

    function _passesSecond(bytes32 lot, uint8 reworks) private view returns (bool) {
        ICertificates.Standing memory standing = ledger.standingOf(lot, cast_.second);
        bool passes = ledger.certificateOf(standing.latest).verdict == ICertificates.Verdict.Pass;
        bool counts = ledger.certificateStatus(standing.latest) == ICertificates.CertificateStatus.Valid;
        return cast_.second != 0 && passes && counts && standing.reworks == reworks;
    }

    /// @dev What is behind a quarantine: nothing, a certificate that counts, one that does not count any more.
    function _behind(bytes32 lot, ILots.Lot memory entry) private view returns (uint256) {
        bool apart = entry.state == ILots.LotState.Quarantined || entry.state == ILots.LotState.Returning;
        if (!apart) return 0;
        uint40 certificate = ledger.standingOf(lot, entry.counterparty).quarantining;
        if (certificate == 0) return 0;
        return ledger.certificateStatus(certificate) == ICertificates.CertificateStatus.Valid ? 1 : 2;
    }
}
