// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Lots: quantities under one identifier, and what became of them
/// @notice Quantities are whole numbers of the lot's unit, a UN/ECE Recommendation 20 code ("KGM", "GRM", "H87", padded
/// with zero bytes). A lot is held, offered (custody moves only when offered and accepted), quarantined (it goes nowhere
/// but rework, scrap or back to its maker), returning (quarantined and offered to its maker) or spent. A packed lot goes with its parent, and has no custodian of its own until it is unpacked.
interface ILots {
    enum LotState {
        None,
        Held,
        Offered,
        Quarantined,
        Spent,
        /// Quarantined, and offered to its maker.
        Returning
    }

    /// @notice How a quantity left for good.
    enum Disposition {
        Scrapped,
        Exported,
        Sold,
        Lost,
        Recycled
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
        /// Offered: to whom. Quarantined or returning: by whom it was quarantined.
        uint32 counterparty;
        /// How many lots are packed directly in it.
        uint16 contents;
        bytes3 unit;
        bool packed;
        /// How often it was reworked under this identifier, at most 255 times: passes before the last time do not count.
        uint8 reworks;
        LotState state;
    }

    enum TransformationKind {
        /// One lot into several of the same unit. Nothing is used up beside it.
        Split,
        /// Several lots into one of the same unit. Nothing is used up beside them.
        Merge,
        /// Lots into other things, by a stated yield: machining, mixing, assembly, disassembly.
        Conversion
    }

    struct Input {
        bytes32 lot;
        /// The lot's order; 0 when it has none.
        bytes32 order;
        uint40 quantity;
        /// Used up, whatever its unit: outside the balance. Otherwise the quantity is conserved.
        bool component;
    }

    struct Output {
        bytes32 identifierHash;
        uint40 quantity;
        bytes3 unit;
        bytes32 claimsRoot;
    }

    /// @notice What goes in and out.
    /// @dev With I the sum of the conserved inputs (all in `unit`), O the sum of the outputs in `outputUnit`, and R the sum
    /// of the outputs in `unit` when `outputUnit` is another unit (0 otherwise):
    ///
    ///     (I - loss - R) * yieldOut == O * yieldIn, with loss + R <= I and O > 0
    ///
    /// Split and merge have one unit and the yield 1 : 1, so I == loss + O: nothing appears and nothing vanishes
    /// unsaid. A conversion states its yield, also where both sides have the same unit (two pieces into one pump: 2 : 1;
    /// a pump into five parts: 1 : 5), and what stays in `unit` (offcuts, chips) is taken off one to one.
    ///
    /// Not conserved, but stated in the record: components; outputs in a third unit (by-products); and whatever a stated
    /// yield that is not 1 : 1 within one unit makes of a quantity. The ledger does not know units: that a kilogram is a
    /// thousand grams is the maker's statement, and a chain of conversions can return more kilograms than went in. Whoever
    /// reads a part's history sees each such step with its yield and its maker, and judges that.
    struct Transformation {
        TransformationKind kind;
        /// The order of the outputs; 0 for none.
        bytes32 order;
        /// Conversion under an order: the operation that the actor has started.
        uint16 operation;
        /// Of every input that is not a component.
        bytes3 unit;
        /// Of the outputs for which the yield is stated.
        bytes3 outputUnit;
        /// In `unit`: what went into no lot.
        uint40 loss;
        uint40 yieldIn;
        uint40 yieldOut;
        bytes32 claimsRoot;
        /// Ascending by lot.
        Input[] inputs;
        Output[] outputs;
    }

    /// @notice A rework after which the lot has the same identifier, quantity and unit.
    struct Rework {
        bytes32 lot;
        /// The lot's order; 0 when it has none.
        bytes32 order;
        /// Under an order: the operation that the actor has started.
        uint16 operation;
        bytes32 claimsRoot;
        /// Used up. Ascending by lot, each marked `component`.
        Input[] components;
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
    /// @notice `histories` are the lot, then the components.
    /// @param assignment Under which it was reworked; 0 when the lot has no order.
    event LotReworked(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32[] histories,
        Rework rework,
        uint40 assignment
    );
    /// @notice A lot of no order became one of `order`, whose assignment the custodian had started.
    event LotAllocated(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32[] histories,
        bytes32 order,
        uint40 assignment,
        bytes32 claimsRoot
    );
    /// @notice A lot of `order` became one of no order.
    event LotDeallocated(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32[] histories,
        bytes32 order,
        bytes32 claimsRoot
    );
    event LotScrapped(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32[] histories,
        uint40 quantity,
        Disposition disposition,
        bytes32 reasonRoot
    );
    /// @notice `histories` are the parent, then the packed lots.
    event LotsPacked(
        uint40 indexed sequence, uint32 indexed participant, bytes32 indexed subject, address key, bytes32[] histories
    );
    /// @notice `histories` are the parent, then the unpacked lots.
    /// @param custodian Of the parent, and so of what was in it.
    event LotsUnpacked(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32[] histories,
        uint32 custodian
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
    /// @notice Only the order's buyer takes the lot out of it, by using it or by `deallocateLot`; where the order has no
    /// gate, or ended and its buyer is gone, also its coordinator by `deallocateLot`, unless the buyer has it; where it has no
    /// gate, also a maker by converting it under another order.
    error LotBoundToOrder(bytes32 lot, bytes32 order, uint32 buyer);
    /// @notice The number of conserved inputs or of outputs does not fit the kind of transformation, or there are
    /// components where none may be.
    error TransformationShapeWrong(TransformationKind kind, uint256 conserved, uint256 outputs);
    /// @notice A rework takes nothing but components beside its lot.
    error ReworkInputConserved(bytes32 lot);
    /// @notice A conserved input has another unit than the one stated, or an output of a split or merge has.
    error TransformationUnitWrong(bytes32 lot, bytes3 unit);
    /// @notice (input - gone) * yieldOut is not output * yieldIn, nothing is made in `outputUnit`, or the yield is missing
    /// or not 1 : 1 in one unit where it must be. `gone` is the loss and what stays in `unit`.
    error TransformationUnbalanced(uint256 input, uint256 gone, uint256 output, uint40 yieldIn, uint40 yieldOut);
    /// @notice Only who quarantined a lot releases it, or a passing certificate of that inspector; its custodian only as
    /// `releaseLot` says.
    error LotQuarantineForeign(bytes32 lot, uint32 by);
    /// @notice The lot is packed in another lot than the parent given, or in none.
    error LotNotInParent(bytes32 lot, uint40 parent, uint40 expected);

    /// @notice Creates a lot of an order that has not ended, under an assignment that the caller has started. MANUFACTURER.
    /// @return lot Subject of kind Lot.
    function commissionLot(
        bytes32 identifierHash,
        bytes32 order,
        uint16 operation,
        uint40 quantity,
        bytes3 unit,
        bytes32 claimsRoot
    ) external returns (bytes32 lot);
    /// @notice Brings a lot in from outside the ledger, on the supplier's word in `claimsRoot`. Any role but AUDITOR. Not
    /// when the registry is closed.
    function receiveLot(bytes32 identifierHash, uint40 quantity, bytes3 unit, bytes32 claimsRoot)
        external
        returns (bytes32 lot);
    /// @notice Makes lots out of lots that the caller holds. Split and merge: any role but AUDITOR. Conversion:
    /// MANUFACTURER; under an order only with a started assignment of it, and not once it ended.
    /// @dev Lots stay in their order, with these exceptions. A conversion, and `reworkLot`, may take lots of no order, or of
    /// another order without a gate, into the order under which they are made. A lot of a gated order enters another order only when the caller is its buyer: the gate is the buyer's, and custody passed through it. A buyer may
    /// also make lots of no order of what it bought. For all others the buyer's consent is `deallocateLot`.
    function transformLots(Transformation calldata transformation) external;
    /// @notice Records that a lot, held or quarantined, was reworked. It keeps its identifier, quantity and unit; a
    /// quarantine stays, the passes before are void, and nothing that was open is. The custodian, MANUFACTURER; under an order
    /// with a started assignment of it. A lot with others packed in it is not reworked; what is made anew under another
    /// name is a conversion, and that takes nothing out of quarantine.
    function reworkLot(Rework calldata rework) external;
    /// @notice Makes a held lot of no order one of `order`, so that stock can be delivered under it. The custodian,
    /// MANUFACTURER, with a started assignment of `order`, which has not ended.
    /// @dev Both sides consent: the coordinator by having given the custodian that assignment, under which the custodian could
    /// as well commission the same lot; the custodian by this call. So no proposal needs to be kept. The order's gate applies
    /// from then on.
    function allocateLot(bytes32 lot, bytes32 order, uint16 operation, bytes32 claimsRoot) external;
    /// @notice Makes a lot of `order`, held or quarantined, one of no order: surplus goes to stock. The order's buyer; its
    /// coordinator where the order has no gate, or ended and its buyer has BUYER no more, but not out of the buyer's custody.
    /// BUYER or COORDINATOR. Any time, whatever became of the order.
    /// @dev The custodian need not agree: it may do with a lot of no order all that it may do with a lot of an order. A gate
    /// protects the buyer alone, so no coordinator, who may be the maker, takes it away. A quarantine stays.
    function deallocateLot(bytes32 lot, bytes32 order, bytes32 claimsRoot) external;
    /// @notice Takes a quantity out for good. The custodian, any role but AUDITOR; also from quarantine, from which nothing
    /// is exported or sold.
    function scrapLot(bytes32 lot, uint40 quantity, Disposition disposition, bytes32 reasonRoot) external;
    /// @notice Packs held lots into another held lot, all the caller's. Any role but AUDITOR.
    /// @param lots Ascending.
    function packLots(bytes32 parent, bytes32[] calldata lots) external;
    /// @notice Takes lots out of a held or quarantined parent: what is wrong with a pallet is not wrong with all that is on
    /// it. The parent's custodian, any role but AUDITOR.
    /// @param lots Ascending.
    function unpackLots(bytes32 parent, bytes32[] calldata lots) external;
    /// @notice Takes lots out of a parent whose custodian has not been able to act for 14 days, in pieces, whatever is
    /// packed in them: they stay in its custody, and each is then reclaimed by the parties of its own order. Whoever may
    /// reclaim the parent, any role but AUDITOR. An open offer of the parent lapses.
    /// @param lot The parent.
    /// @param order Of the parent; 0 for none.
    /// @param lots Ascending.
    function unpackReclaimable(bytes32 lot, bytes32 order, bytes32[] calldata lots) external;
    /// @notice Quarantines a lot; an open offer lapses. Its custodian, or an inspector of its order's gates. Any role but
    /// AUDITOR.
    function quarantineLot(bytes32 lot, bytes32 order, bytes32 reasonRoot) external;
    /// @notice Ends a quarantine. Who imposed it; the custodian that of another, when it stands on a certificate that does not
    /// count any more (refuted, unopened, revoked, expired, or fallen with its model), when it stands on none and who imposed
    /// it has no roles any more, when the buyer waived that inspector's gate for the lot, or when the lot's order is delivered.
    /// Any role but AUDITOR.
    /// @param order The lot's order; 0 when it has none.
    function releaseLot(bytes32 lot, bytes32 order, bytes32 reasonRoot) external;
    function lotOf(bytes32 lot) external view returns (Lot memory);
}
