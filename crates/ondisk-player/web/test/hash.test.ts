// A link holds the moment; what it cannot hold or read is said.
import assert from "node:assert/strict";
import { test } from "node:test";
import { BadLink, MOST_SCRIPT, packSource, read, write } from "../src/hash.ts";
import { DEFAULTS, knobsFrom, requestFor } from "../src/runs.ts";
import type { Moment } from "../src/types.ts";

const OWN = [{ name: "opening" }];
const START: Moment = { source: { kind: "built-in", name: "opening" }, knobs: DEFAULTS, at: 0, death: null, model: "", lesson: null };

async function around(moment: Moment): Promise<Moment | null> {
  return read(`#${write(moment, await packSource(moment.source))}`, OWN);
}

test("a moment comes back as it was", async () => {
  const moments: Moment[] = [
    START,
    { ...START, at: 57, death: "cut", model: "ext4:dioread_lock", lesson: { id: "first-lie", step: 3 } },
    { ...START, source: { kind: "script", name: "a & b=c#?", text: 'write f "ä → 😀 \\u0000"\n\tcut' }, at: 1 },
    { ...START, source: { kind: "script", name: "", text: "" } },
    { ...START, source: { kind: "script", name: "\u0000<b>", text: "\ufeffcut\r\n" } },
    { ...START, source: { kind: "timeline", name: "run 1.jsonl" }, at: 9_999, death: "kill" },
    { ...START, knobs: { fs: "nfs", mount: "journal,nodelalloc", scheduler: "bfq", drive: "lies", profile: "python3.14:bytes", seed: "18446744073709551615" } },
  ];
  for (const moment of moments) assert.deepEqual(await around(moment), moment);
});

test("a link is short: defaults are left out, and a script is packed", async () => {
  assert.equal(write(START, await packSource(START.source)), "s=opening");
  assert.equal(write({ ...START, at: 7, death: "cut" }, "s=opening"), "s=opening&at=7&die=cut");
  const text = 'write log "record"\n'.repeat(200);
  assert.ok((await packSource({ kind: "script", name: "x", text })).length < 200);
});

test("a link that cannot be read is refused with a sentence", async () => {
  const cases = [
    "#s=nowhere", "#at=4", "#nonsense", "#s=opening&at=x", "#s=opening&at=-1", "#s=opening&die=boredom", "#s=%E0%A4%A",
    "#s=opening&fs=ntfs", "#s=opening&seed=18446744073709551616", "#s=opening&mount=ordered,odd", "#s=opening&lesson=a", "#s=opening&model=a%20b",
    "#z=!!!", "#z=AAAA", "#z=", "#p=gA", `#n=${"x".repeat(201)}&p=`, `#s=opening&x=${"y".repeat(3_000_000)}`,
  ];
  for (const hash of cases) await assert.rejects(read(hash, OWN), BadLink, hash.slice(0, 40));
  assert.equal(await read("", OWN), null);
  assert.equal(await read("#", OWN), null);
});

test("a small link does not unpack to a large script", async () => {
  const source = await packSource({ kind: "script", name: "", text: " ".repeat(MOST_SCRIPT + 1) });
  assert.ok(source.length < 4096);
  await assert.rejects(read(source, OWN), /too long/);
  await assert.rejects(read(`p=${"IAAA".repeat(MOST_SCRIPT / 4)}A`, OWN), /too long/);
});

test("nothing but words of the module reaches its request line", () => {
  const hostile = { fs: "ext4 seed=9", mount: "ordered\nx", scheduler: null, drive: ["none"], profile: "__proto__", seed: "1 2" };
  assert.deepEqual(knobsFrom(hostile), DEFAULTS);
  assert.deepEqual(knobsFrom(null), DEFAULTS);
  assert.equal(knobsFrom({ seed: 12 }).seed, "12");
  assert.equal(knobsFrom({ fs: "nfs" }, { ...DEFAULTS, seed: "5" }).seed, "5");
  assert.equal(
    requestFor("cut", DEFAULTS),
    "run fs=ext4 mount=ordered scheduler=none drive=volatile profile=rust seed=1 limit=200000\ncut",
  );
  assert.ok(!requestFor("cut", { ...DEFAULTS, fs: "nfs" }).includes("mount"));
});
