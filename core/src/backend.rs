//! The Backend's rules, free of I/O: tokens, admission, queue order, guidance, merge, retention.
