"""The same watch on PostgreSQL, and a clock that is the world's.

What is in the schema here comes before pg_catalog in a session's search path, so the product's statements
find this ``clock_timestamp``. Before each of them the wire sets the time and the process.
"""

from tests.simulation.watch import FORBIDDEN

SCHEMA = "sim"
WATCH = f"""
CREATE SCHEMA {SCHEMA};
SET search_path = {SCHEMA}, pg_catalog, public;
CREATE FUNCTION clock_timestamp() RETURNS timestamptz LANGUAGE sql
    AS $$ SELECT current_setting('sim.now')::timestamptz $$;
CREATE FUNCTION sim_process() RETURNS text LANGUAGE sql AS $$ SELECT current_setting('sim.process') $$;
CREATE TABLE sim_drained (ticket_id text, event_type text, occurred_at timestamptz, at timestamptz,
    lost boolean, number bigint GENERATED ALWAYS AS IDENTITY);
CREATE FUNCTION note_drained() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO sim_drained VALUES (OLD.object_id, OLD.event_type, OLD.occurred_at, clock_timestamp(), false);
    RETURN NULL;
END $$;
CREATE TRIGGER sim_drain AFTER DELETE ON webhook_inbox FOR EACH ROW EXECUTE FUNCTION note_drained();
CREATE TABLE sim_forgotten (ticket_id text, state text, reason text,
    processed_at timestamptz, at timestamptz);
CREATE FUNCTION note_forgotten() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO sim_forgotten VALUES
        (OLD.ticket_id, OLD.state, OLD.reason, OLD.processed_at, clock_timestamp());
    RETURN NULL;
END $$;
CREATE TRIGGER sim_forget AFTER DELETE ON processed_tickets FOR EACH ROW EXECUTE FUNCTION note_forgotten();
CREATE TABLE sim_held_anew (ticket_id text, channel text);
CREATE FUNCTION note_held_anew() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO sim_held_anew SELECT OLD.ticket_id, OLD.channel
    WHERE OLD.state = 'pending' AND NEW.last_error IN ('restored', 'restored_unseen', 'part')
        OR EXISTS (SELECT 1 FROM processed_tickets WHERE merged_into = OLD.ticket_id);
    RETURN NULL;
END $$;
CREATE TRIGGER sim_hold_anew AFTER UPDATE OF notice_at ON deliveries FOR EACH ROW
WHEN (OLD.notice_at IS NOT NULL AND NEW.notice_at IS NULL)
EXECUTE FUNCTION note_held_anew();
CREATE TABLE sim_offences (ticket_id text, sentence text);
CREATE FUNCTION note_offence() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO sim_offences VALUES
        (OLD.ticket_id, TG_ARGV[0] || ' (' || OLD.lease_owner || ' by ' || sim_process() || ')');
    RETURN NULL;
END $$;
""" + "".join(
    f"""
CREATE TRIGGER sim_{name} AFTER UPDATE ON processed_tickets FOR EACH ROW
WHEN (OLD.state = 'claimed' AND {condition.format(now="clock_timestamp()")})
EXECUTE FUNCTION note_offence('{sentence}');"""
    for name, condition, sentence in FORBIDDEN
)
