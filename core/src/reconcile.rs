//! Desired configuration against running instances: what must exist, what must go.
