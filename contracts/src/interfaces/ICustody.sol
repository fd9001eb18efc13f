// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICertificates} from "./ICertificates.sol";

/// @title Custody: who holds a lot
/// @notice It moves only when it is offered and accepted, with everything packed in the lot; to the buyer of a lot's order
/// only through the order's gates, see IGates, looked at on offer and on acceptance. A lot cannot be changed while it is offered, and an
/// acceptance names the offer: what is accepted is what was offered. A quarantined lot goes back to its maker only, and
/// stays quarantined. From a company that may not act, custody is reclaimed.
interface ICustody {
    /// @dev One lot of a consignment, with its order (0 for none).
    struct Item {
        bytes32 lot;
        bytes32 order;
    }

    /// @dev The latest offer of a lot; whether it stands is the lot's state.
    struct Offer {
        /// Of the record that made it; 0 when the lot was never offered.
        uint40 sequence;
        uint32 to;
    }

    event CustodyOffered(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32[] histories,
        uint32 to,
        bytes32 claimsRoot
    );
    /// @notice A quarantined lot was offered to its maker.
    event ReturnOffered(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32[] histories,
        uint32 to,
        bytes32 claimsRoot
    );
    /// @param offer The sequence of the offer.
    event CustodyAccepted(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32[] histories,
        uint40 offer,
        bytes32 claimsRoot
    );
    event CustodyDeclined(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32[] histories,
        uint40 offer,
        bytes32 reasonRoot
    );
    event CustodyWithdrawn(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32[] histories,
        bytes32 reasonRoot
    );

    /// @notice Custody passed from a company that may not act.
    event CustodyReclaimed(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32[] histories,
        uint32 from,
        bytes32 reasonRoot
    );

    /// @notice The consignment names lots that are not in it, or too few: `expected` more are packed in `lot`.
    error ConsignmentIncomplete(bytes32 lot, uint256 expected);
    error ConsignmentExcess(uint256 given, uint256 used);
    error ConsignmentTooDeep(bytes32 lot);
    error CustodyNotOffered(bytes32 lot, uint32 offeredTo);
    error CustodyToSelf(bytes32 lot);
    /// @notice The offer that stands is another one than the one given.
    error CustodyOfferWrong(bytes32 lot, uint40 offer, uint40 standing);
    /// @notice A quarantined lot goes back to its maker only, who is known by the identifier's hash.
    error CustodyNotTheMaker(bytes32 lot, uint32 to);
    /// @notice The custodian may act, or has been able to until less than 14 days ago. `inactiveSince` is 0 when it may act.
    error CustodyNotReclaimable(bytes32 lot, uint32 custodian, uint40 inactiveSince);
    /// @notice Only the buyer or the coordinator of the lot's order, or the custodian's trustee, reclaims.
    error CustodyReclaimForeign(bytes32 lot, uint32 participant, uint32 trustee);
    /// @notice A gate of the order is closed, and not waived: the latest certificate of `inspector` on the lot must be a valid
    /// pass on `model` (0: by procedure), none of its certificates there may be open, and it must be in standing.
    /// @param certificate The latest; 0 for none.
    /// @param inStanding Whether it may inspect now, and the key that signed was not compromised then.
    error GateClosed(
        bytes32 lot,
        uint32 inspector,
        uint40 model,
        uint40 certificate,
        ICertificates.CertificateStatus status,
        ICertificates.Verdict verdict,
        uint40 certifiedOn,
        uint8 open,
        bool inStanding
    );

    /// @notice Offers custody to another participant; a return is an offer back. The custodian, any role but AUDITOR.
    /// @param consignment The lot, then everything packed in it: each lot followed by its own contents, ascending.
    function offerCustody(Item[] calldata consignment, uint32 to, bytes32 claimsRoot) external;
    /// @notice Offers a quarantined lot to its maker: whoever brought it into the ledger. It stays quarantined, by the same
    /// participant, whether the offer is accepted, declined or withdrawn. A lot with others packed in it is unpacked first.
    /// The custodian, any role but AUDITOR.
    /// @param to The maker.
    /// @param identifierHash What the lot's subject was derived from, with the maker's number.
    function returnLot(bytes32 lot, uint32 to, bytes32 identifierHash, bytes32 claimsRoot) external;
    /// @notice Takes custody of what was offered; the gates of all orders in it must be open for the caller. Any role but
    /// AUDITOR. Who finds less than was offered, or damage, says so in a note of kind complaint in the same transaction, then
    /// splits that off and returns or scraps it.
    /// @param offer The sequence of the offer's record: another offer of the same lot is not accepted.
    function acceptCustody(Item[] calldata consignment, uint40 offer, bytes32 claimsRoot) external;
    /// @notice Refuses an offer. To whom it was made, any role but AUDITOR.
    function declineCustody(bytes32 lot, uint40 offer, bytes32 reasonRoot) external;
    /// @notice Takes an offer back. The custodian, any role but AUDITOR.
    function withdrawCustody(bytes32 lot, bytes32 reasonRoot) external;
    /// @notice Takes custody from a company that has not been able to act for 14 days: suspended, or departed. The buyer or
    /// the coordinator of the lot's order, or the custodian's trustee (IRegistry.entrust), any role but AUDITOR. The
    /// gates of all orders in it must be open for the caller; a quarantine, of the lot or of what is in it, stays. An open
    /// offer lapses.
    /// @dev The trustee is named by the registry's owner, for lots of no order and for orders whose parties are gone.
    function reclaimCustody(Item[] calldata consignment, bytes32 reasonRoot) external;
    function offerOf(bytes32 lot) external view returns (Offer memory);
}
