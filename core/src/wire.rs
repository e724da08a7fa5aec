//! The messages between satellite and Backend: every field of the contract, nothing else.
