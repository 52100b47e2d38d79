// The same endpoint on Fastify and node-postgres, for comparison: signature, JSON, one insert, answer.
// node webhook_fastify.mjs SECRET PUBLIC_URL with the database in libpq's variables; prints its port.
import { createHmac, timingSafeEqual } from "node:crypto";
import Fastify from "fastify";
import pg from "pg";

const [secret, publicUrl] = process.argv.slice(2);
const pool = new pg.Pool();
const app = Fastify({ logger: false });

const text = `
INSERT INTO webhook_inbox (portal_id, event_type, object_id, event_id, occurred_at, received_at)
SELECT portal_id, event_type, object_id, event_id, occurred_at, clock_timestamp()
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[])
     AS g(portal_id, event_type, object_id, event_id, occurred_at)
ORDER BY portal_id, event_type, object_id, event_id, occurred_at
ON CONFLICT (portal_id, event_type, object_id, event_id, occurred_at) DO NOTHING`;

function isSigned(request) {
  const time = request.headers["x-hubspot-request-timestamp"] ?? "";
  if (Math.abs(Date.now() - Number(time)) > 300_000) return false;
  const mac = createHmac("sha256", secret)
    .update("POST" + publicUrl + request.url).update(request.body).update(time).digest("base64");
  const given = Buffer.from(request.headers["x-hubspot-signature-v3"] ?? "");
  return given.length === mac.length && timingSafeEqual(given, Buffer.from(mac));
}

app.addContentTypeParser("application/json", { parseAs: "buffer", bodyLimit: 1048576 }, (_, body, done) => done(null, body));

app.post("/webhook/hubspot", async (request, reply) => {
  if (!isSigned(request)) return reply.code(401).send({ error: "unauthorized" });
  const kept = JSON.parse(request.body).filter((one) => one.subscriptionType === "ticket.creation");
  const values = [
    kept.map((one) => String(one.portalId)),
    kept.map(() => "creation"),
    kept.map((one) => String(one.objectId)),
    kept.map((one) => String(one.eventId)),
    kept.map((one) => new Date(one.occurredAt).toISOString()),
  ];
  await pool.query({ name: "store", text, values });
  return { status: "accepted", accepted: kept.length, ignored: 0, request_id: request.id };
});

await app.listen({ port: 0, host: "127.0.0.1" });
console.log(app.server.address().port);
