//! Fetching the configuration and reading what it asks for.
