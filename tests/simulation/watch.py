"""Triggers that watch the ledger from within: what was deleted, and transitions that no rule allows.

The database's clock is virtual there too, and ``sim_process`` names the process whose statement it is.
"""

NOW = "strftime('%Y-%m-%d %H:%M:%f+00:00', 'now', '+0.000 seconds')"


#: Transitions of a claimed ticket that rule 1 forbids: name, condition, sentence.
#: A merge after a restore ends anybody's claim.
FORBIDDEN = (
    (
        "end",
        """NEW.state IN ('found', 'retry', 'skipped', 'unconfirmed') AND OLD.lease_owner <> sim_process()
           AND NOT (NEW.state = 'retry' AND coalesce(NEW.last_error, '') = 'merged')""",
        "a claim was ended by another than its owner",
    ),
    (
        "steal",
        "NEW.state = 'claimed' AND NEW.attempts > OLD.attempts AND OLD.lease_expires_at > {now}",
        "a ticket was claimed whose lease had not run out",
    ),
    (
        "extend",
        """NEW.state = 'claimed' AND NEW.attempts = OLD.attempts
           AND NEW.lease_expires_at > OLD.lease_expires_at
           AND (OLD.lease_expires_at <= {now} OR OLD.lease_owner <> sim_process())""",
        "a lease was extended that had run out, or was another''s",
    ),
)

WATCHED = ("sim_drained", "sim_forgotten", "sim_held_anew", "sim_offences")
WATCH = f"""
CREATE TABLE sim_drained (ticket_id TEXT, event_type TEXT, occurred_at TEXT, at TEXT, lost INTEGER);
CREATE TRIGGER sim_drain AFTER DELETE ON webhook_inbox BEGIN
    INSERT INTO sim_drained VALUES (OLD.object_id, OLD.event_type, OLD.occurred_at, {NOW}, 0);
END;
CREATE TABLE sim_forgotten (ticket_id TEXT, state TEXT, reason TEXT, processed_at TEXT, at TEXT);
CREATE TRIGGER sim_forget AFTER DELETE ON processed_tickets BEGIN
    INSERT INTO sim_forgotten VALUES (OLD.ticket_id, OLD.state, OLD.reason, OLD.processed_at, {NOW});
END;
CREATE TABLE sim_held_anew (ticket_id TEXT, channel TEXT);
CREATE TRIGGER sim_hold_anew AFTER UPDATE OF notice_at ON deliveries
WHEN OLD.notice_at IS NOT NULL AND NEW.notice_at IS NULL AND (
    OLD.state = 'pending' AND NEW.last_error IN ('restored', 'restored_unseen', 'part')
    OR EXISTS (SELECT 1 FROM processed_tickets WHERE merged_into = OLD.ticket_id)) BEGIN
    INSERT INTO sim_held_anew VALUES (OLD.ticket_id, OLD.channel);
END;
CREATE TABLE sim_offences (ticket_id TEXT, sentence TEXT);
""" + "".join(
    f"""
CREATE TRIGGER sim_{name} AFTER UPDATE ON processed_tickets
WHEN OLD.state = 'claimed' AND {condition.format(now=NOW)} BEGIN
    INSERT INTO sim_offences VALUES
        (OLD.ticket_id, '{sentence} (' || OLD.lease_owner || ' by ' || sim_process() || ')');
END;"""
    for name, condition, sentence in FORBIDDEN
)
