// The guide's getProcessingStats() on Prisma, for comparison: one answer for each line read.
// node guide_prisma.mjs with the database in libpq's variables; prints milliseconds and the total as JSON.
import { createInterface } from "node:readline";
import { PrismaPg } from "@prisma/adapter-pg";
import { PrismaClient } from "@prisma/client";

const { processedTicket: tickets } = new PrismaClient({ adapter: new PrismaPg({}) });

for await (const _ of createInterface({ input: process.stdin })) {
  const started = performance.now();
  const total = await tickets.count();
  const byProvider = await tickets.groupBy({ by: ["provider"], _count: true });
  const succeeded = await tickets.count({ where: { success: true } });
  const taken = performance.now() - started;
  console.log(JSON.stringify({ taken, total, byProvider: byProvider.length, succeeded }));
}
