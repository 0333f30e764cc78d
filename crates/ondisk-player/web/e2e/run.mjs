// Runs the tests in browsers: `node e2e/run.mjs [PART OF A FILE'S NAME …]`.
//
// Invariant: ends with a line of counts and seconds, and with success alone where tests ran and all
// of them held.

import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { run } from "node:test";
import { fileURLToPath } from "node:url";

const HERE = dirname(fileURLToPath(import.meta.url));
const parts = process.argv.slice(2);
const files = readdirSync(HERE)
  .filter((name) => name.endsWith(".test.mjs"))
  .filter((name) => parts.length === 0 || parts.some((part) => name.includes(part)))
  .map((name) => join(HERE, name));

const began = performance.now();
const counts = { held: 0, failed: 0, skipped: 0 };

function why(error) {
  const cause = error?.cause ?? error;
  const text = String(cause?.stack ?? cause?.message ?? cause);
  const lines = text.slice(0, 4000).split("\n").filter((line) => !line.includes("node:internal"));
  return lines.slice(0, 25).map((line) => `      ${line.slice(0, 600)}`).join("\n");
}

/** Files and groups are told of too; they count for nothing unless one fails by itself. */
function leaf({ details }) {
  return details.type !== "suite" && !("failureType" in (details.error ?? {}) && details.error.failureType === "subtestsFailed");
}

const stream = run({ files, concurrency: 2, timeout: 240_000 });
stream.on("test:pass", (test) => {
  if (test.nesting === 0 && test.name.endsWith(".test.mjs")) return;
  if (!leaf(test)) return;
  if (test.skip !== undefined) counts.skipped += 1;
  else counts.held += 1;
  const mark = test.skip === undefined ? "ok  " : "skip";
  console.log(`${mark} ${String(Math.round(test.details.duration_ms)).padStart(6)} ms  ${test.name}`);
});
stream.on("test:fail", (test) => {
  if (!leaf(test)) return;
  counts.failed += 1;
  console.log(`FAIL ${String(Math.round(test.details.duration_ms)).padStart(6)} ms  ${test.name}\n${why(test.details.error)}`);
});
stream.on("test:stderr", (line) => process.stderr.write(line.message));
stream.on("end", () => {
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  console.log(`browsers: ${counts.held} held, ${counts.failed} failed, ${counts.skipped} skipped, ${seconds} s`);
  process.exitCode = counts.failed === 0 && counts.held > 0 ? 0 : 1;
});
stream.resume();
