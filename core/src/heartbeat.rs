//! The heartbeat: its schedule, and its payload read from the published view.
