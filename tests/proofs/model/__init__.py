"""A model of the ledger's state machines, searched for states from which no party can go on."""
