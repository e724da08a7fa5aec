-- What lists are shown by, so that a part of one costs no more than its rows.
CREATE INDEX registration_tokens_by_age ON "satelliteRegistrationTokens" (created_at DESC, id);
CREATE INDEX access_tokens_by_age ON "accessTokens" (user_id, created_at DESC, id);
DROP INDEX access_tokens_by_user;
