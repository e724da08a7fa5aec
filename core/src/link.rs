//! The satellite link: pairing, verification, polling, maintenance, draining.
