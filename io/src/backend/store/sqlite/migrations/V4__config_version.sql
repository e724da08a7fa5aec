-- Grows with every change that concerns a satellite's configuration.
ALTER TABLE satellites ADD COLUMN config_version INTEGER NOT NULL DEFAULT 1;
