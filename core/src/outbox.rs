//! Events on their way to the Backend: numbered, batched, re-sent, bounded.
