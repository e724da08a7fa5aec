//! JSON-RPC text: depth, duplicate keys, one message per line, envelopes over raw values.
