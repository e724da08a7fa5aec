-- Polls are held at any of the replicas: each hears for which satellite there is something.
CREATE FUNCTION satellite_wake() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('satellite_wake', to_jsonb(NEW) ->> TG_ARGV[0]);
  RETURN NULL;
END
$$;
CREATE TRIGGER satellite_wake AFTER INSERT ON "satelliteCommands"
  FOR EACH ROW EXECUTE FUNCTION satellite_wake('satellite_id');
-- An administrator may close a queue while a poll of it is held.
CREATE TRIGGER satellite_wake AFTER UPDATE OF admin_state, maintenance_from, maintenance_until
  ON satellites FOR EACH ROW EXECUTE FUNCTION satellite_wake('id');
