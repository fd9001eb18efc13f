// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Notes: something said about orders or lots, without a change of state
interface INotes {
    /// @notice `histories` are the orders and lots that the note is about, ascending; `subject` is the first of them. A note
    /// of the registry's owner has the participant 0. `about` is the sequence of an earlier record that the note is about, 0 for
    /// none; that it is of these histories, and whose it is, is for readers to see.
    event NoteRecorded(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32[] histories,
        uint16 kind,
        uint40 about,
        bytes32 claimsRoot
    );

    error NoteSubjectsMissing();
    error NoteSubjectsTooMany(uint256 given, uint256 most);
    /// @notice `grounds` has as many entries as `subjects`.
    error NoteGroundsWrong(uint256 subjects, uint256 grounds);
    /// @notice Subjects are listed in ascending order, each once.
    error NoteSubjectsNotAscending(bytes32 subject);
    error NoteSubjectUnknown(bytes32 subject);
    error NoteKindMissing();
    /// @notice A correction names the record that it corrects.
    error NoteAboutMissing();
    /// @notice No record of that sequence was made before this one.
    error NoteAboutLater(uint40 about);
    /// @notice The participant has no part in that order or lot, or `ground` does not show it.
    error NoteStandingMissing(bytes32 subject, uint32 participant, bytes32 ground);

    /// @notice Adds a statement to the histories of up to 64 orders and lots, whatever their state. Of an order: its buyer,
    /// its coordinator, the inspectors of its gates. Of a lot: who has custody of it, unless it is packed; who made or received it;
    /// who issued a certificate of it, of several lots of the first; the parties of its order. Of any: the registry's owner,
    /// as participant 0. Any role.
    /// @param grounds For each subject, what shows the caller's part in it: of a lot, for its maker the identifier hash by
    /// which it was made, for an issuer the certificate's number, for a party of its order that order; otherwise not looked at, 0.
    /// @param kind What sort of note it is. 1 observation, 2 recall notice, 3 calibration, 4 maintenance, 5 later fact, 6
    /// correction of the record `about`, 7 complaint; others as the consortium agrees, never 0.
    /// @param about Sequence of an earlier record that the note is about; 0 for none.
    function note(
        bytes32[] calldata subjects,
        bytes32[] calldata grounds,
        uint16 kind,
        uint40 about,
        bytes32 claimsRoot
    ) external;
}
