//! The lifecycle of one installation: the status of its best instance.
