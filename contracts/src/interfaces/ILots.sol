// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Lots: quantities under one identifier, and what became of them
/// @notice Quantities are whole numbers of the lot's unit, a UN/ECE Recommendation 20 code ("KGM", "GRM", "H87", padded
/// with zero bytes). A lot is held, offered (custody moves only when offered and accepted), quarantined (it goes nowhere
/// but rework or scrap) or spent. A packed lot goes with its parent, and has no custodian of its own until it is unpacked.
interface ILots {
    enum LotState {
        None,
        Held,
        Offered,
        Quarantined,
        Spent
    }

    struct Lot {
        /// The lot's short name: 64 times the sequence of the creating record, plus the lot's place (0, 1 ...) among the
        /// lots that this record made; 0 when the lot does not exist.
        uint40 number;
        /// `sequence` of its order's first record; 0 when it belongs to none.
        uint40 order;
        /// What is left, in `unit`.
        uint40 quantity;
        /// The participant that has custody; of a packed lot, the `number` of the lot that it is packed in.
        uint40 holder;
        /// Offered: to whom. Quarantined: by whom.
        uint32 counterparty;
        /// How many lots are packed directly in it.
        uint24 contents;
        bytes3 unit;
        bool packed;
        LotState state;
    }

    enum TransformationKind {
        /// One lot into several of the same unit.
        Split,
        /// Several lots into one of the same unit.
        Merge,
        /// Lots into other things, by a stated yield.
        Conversion,
        /// One lot, quarantined or not, made anew; a quarantine passes on.
        Rework
    }

    struct Input {
        bytes32 lot;
        uint40 quantity;
    }

    struct Output {
        bytes32 identifierHash;
        uint40 quantity;
        bytes32 claimsRoot;
    }

    /// @dev What goes in and out. With I the sum of the inputs in `unit` and O the sum of the outputs in `outputUnit`:
    /// (I - loss) * yieldOut == O * yieldIn. Where the units are the same, and for split and merge, the yield is 1 : 1.
    struct Transformation {
        TransformationKind kind;
        /// The order of the outputs; 0 for none.
        bytes32 order;
        /// Conversion and rework under an order: the operation that the actor has started.
        uint16 operation;
        /// Unit in which quantities are conserved. Inputs of other units are components, used up as stated.
        bytes3 unit;
        bytes3 outputUnit;
        /// In `unit`.
        uint40 loss;
        uint40 yieldIn;
        uint40 yieldOut;
        bytes32 claimsRoot;
        /// Ascending by lot.
        Input[] inputs;
        Output[] outputs;
    }

    event LotCommissioned(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32[] histories,
        bytes32 order,
        uint40 assignment,
        uint40 quantity,
        bytes3 unit,
        bytes32 claimsRoot
    );
    event LotReceived(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32[] histories,
        uint40 quantity,
        bytes3 unit,
        bytes32 claimsRoot
    );
    /// @notice `histories` are the inputs, then the outputs; the subject is the first output.
    event LotsTransformed(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32[] histories,
        Transformation transformation
    );
    event LotScrapped(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32[] histories,
        uint40 quantity,
        bytes32 reasonRoot
    );
    /// @notice `histories` are the parent, then the packed lots.
    event LotsPacked(
        uint40 indexed sequence, uint32 indexed participant, bytes32 indexed subject, address key, bytes32[] histories
    );
    /// @notice `histories` are the parent, then the unpacked lots.
    event LotsUnpacked(
        uint40 indexed sequence, uint32 indexed participant, bytes32 indexed subject, address key, bytes32[] histories
    );
    event LotQuarantined(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32[] histories,
        bytes32 reasonRoot
    );
    event LotReleased(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32[] histories,
        bytes32 reasonRoot
    );
    error LotUnknown(bytes32 lot);
    /// @notice The move is not allowed from `state`.
    error LotStateWrong(bytes32 lot, LotState state);
    error LotForeign(bytes32 lot, uint32 custodian);
    /// @notice The lot is packed in another one: unpack it first.
    error LotPacked(bytes32 lot, uint40 parent);
    /// @notice The lot has others packed in it: unpack them first.
    error LotNotEmpty(bytes32 lot, uint256 contents);
    error LotQuantityZero();
    error LotUnitMissing();
    /// @notice More is taken out of a lot than it holds.
    error LotOverConsumed(bytes32 lot, uint40 held, uint40 taken);
    /// @notice The lot belongs to another order than the one given (or to one, or to none).
    error LotOrderWrong(bytes32 lot, bytes32 order, uint40 orderOfLot);
    /// @notice Lots are given in ascending order, each once.
    error LotsNotAscending(bytes32 lot);
    error LotsMissing();
    /// @notice At most `most` inputs, outputs or packed lots in one record.
    error LotsTooMany(uint256 given, uint256 most);
    /// @notice The number of inputs or outputs does not fit the kind of transformation.
    error TransformationShapeWrong(TransformationKind kind, uint256 inputs, uint256 outputs);
    /// @notice An input of a split, merge or rework has another unit than the one stated.
    error TransformationUnitWrong(bytes32 lot, bytes3 unit);
    /// @notice (input - loss) * yieldOut is not output * yieldIn, or the yield is missing or not 1 : 1 where it must be.
    error TransformationUnbalanced(uint256 input, uint40 loss, uint256 output, uint40 yieldIn, uint40 yieldOut);
    /// @notice Only who quarantined a lot releases it, or a passing certificate of that inspector.
    error LotQuarantineForeign(bytes32 lot, uint32 by);
    /// @notice The lot is packed in another lot than the parent given, or in none.
    error LotNotInParent(bytes32 lot, uint40 parent, uint40 expected);

    /// @notice Creates a lot of an order under an assignment that the caller has started. MANUFACTURER.
    /// @return lot Subject of kind Lot.
    function commissionLot(
        bytes32 identifierHash,
        bytes32 order,
        uint16 operation,
        uint40 quantity,
        bytes3 unit,
        bytes32 claimsRoot
    ) external returns (bytes32 lot);
    /// @notice Brings a lot in from outside the ledger, on the supplier's word in `claimsRoot`. Any role but AUDITOR.
    function receiveLot(bytes32 identifierHash, uint40 quantity, bytes3 unit, bytes32 claimsRoot)
        external
        returns (bytes32 lot);
    /// @notice Makes lots out of lots that the caller holds. Split and merge: any role but AUDITOR; lots of an order stay
    /// in it. Conversion and rework: MANUFACTURER; an order's lot goes on only under a started assignment.
    function transformLots(Transformation calldata transformation) external;
    /// @notice Takes a quantity out for good. The custodian, any role but AUDITOR; also from quarantine.
    function scrapLot(bytes32 lot, uint40 quantity, bytes32 reasonRoot) external;
    /// @notice Packs held lots into another held lot, all the caller's. Any role but AUDITOR.
    /// @param lots Ascending.
    function packLots(bytes32 parent, bytes32[] calldata lots) external;
    /// @notice Takes lots out of a held parent. The parent's custodian, any role but AUDITOR.
    /// @param lots Ascending.
    function unpackLots(bytes32 parent, bytes32[] calldata lots) external;
    /// @notice Quarantines a lot; an open offer lapses. Its custodian, or the inspector of its order's gate. Any role but
    /// AUDITOR.
    function quarantineLot(bytes32 lot, bytes32 order, bytes32 reasonRoot) external;
    /// @notice Ends a quarantine. Who imposed it, any role but AUDITOR.
    function releaseLot(bytes32 lot, bytes32 reasonRoot) external;
    function lotOf(bytes32 lot) external view returns (Lot memory);
}
