// The host of the module: a trap takes nothing along, and questions go to the run they are about.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Engine, Trap, openEngine, speaking } from "../src/engine.ts";
import type { Ask } from "../src/engine.ts";

/** Instances that note what they are asked. */
function noting(): { fresh: () => Ask; told: string[][] } {
  const told: string[][] = [];
  const fresh = () => {
    const own: string[] = [];
    told.push(own);
    return (request: string) => {
      own.push(request);
      if (request.includes("trap")) throw new Error("unreachable");
      return request.includes("wrong") ? '{"ok":false}' : '{"ok":true}\n';
    };
  };
  return { fresh, told };
}

test("a fresh instance takes the place of one that trapped, and runs the present run first", () => {
  const { fresh, told } = noting();
  const engine = new Engine(fresh);
  assert.equal(engine.about("die at=1"), null);
  engine.run("run a");
  assert.throws(() => engine.about("trap"), (error) => error instanceof Trap && /broke off.*unreachable.*started anew/.test(error.message));
  assert.equal(engine.about("die at=1"), '{"ok":true}\n');
  assert.equal(engine.about("die at=2"), '{"ok":true}\n');
  assert.deepEqual(told, [["run a", "trap"], ["run a", "die at=1", "die at=2"]]);
});

test("a run that trapped is not run again, and the one before is still there", () => {
  const { fresh, told } = noting();
  const engine = new Engine(fresh);
  engine.run("run a");
  assert.throws(() => engine.run("run trap"), Trap);
  engine.about("die at=1");
  assert.deepEqual(told[1], ["run a", "die at=1"]);
});

test("a script that does not run leaves the run before", () => {
  const { fresh, told } = noting();
  const engine = new Engine(fresh);
  engine.run("run a");
  engine.run("run wrong");
  engine.about("die at=1");
  assert.deepEqual(told[0], ["run a", "run wrong", "run a", "die at=1"]);
});

test("a question about an earlier run turns to it", () => {
  const { fresh, told } = noting();
  const engine = new Engine(fresh);
  engine.run("run a");
  engine.run("run b");
  engine.turnTo("run b");
  engine.about("die at=1");
  engine.turnTo("run a");
  engine.about("die at=2");
  assert.deepEqual(told[0], ["run a", "run b", "die at=1", "run a", "die at=2"]);
});

test("requests and answers go through the module's memory, which may grow and move", () => {
  const memory = new WebAssembly.Memory({ initial: 1 });
  const freed: number[][] = [];
  let asked = "";
  const exports = {
    memory,
    alloc: () => 16,
    free: (at: number, len: number) => void freed.push([at, len]),
    ask: (at: number, len: number) => {
      asked = new TextDecoder().decode(new Uint8Array(memory.buffer, at, len));
      memory.grow(1);
      const bytes = new TextEncoder().encode("answer → ok");
      new DataView(memory.buffer).setUint32(65_536, bytes.length, true);
      new Uint8Array(memory.buffer).set(bytes, 65_540);
      return 65_536;
    },
  };
  assert.equal(speaking(exports)("frage → ä"), "answer → ok");
  assert.equal(asked, "frage → ä");
  assert.deepEqual(freed, [[65_536, 4 + 13]]);
});

test("an answer that lies outside the memory is a trap, not a picture", () => {
  const memory = new WebAssembly.Memory({ initial: 1 });
  const engine = new Engine(() => speaking({ memory, alloc: () => 0, free: () => undefined, ask: () => 70_000 }));
  assert.throws(() => engine.run("run a"), Trap);
});

test("without the module the page says why it cannot run scripts", async () => {
  for (const packed of ["", " ", "!!!", "AAAA"]) {
    const opened = await openEngine(packed);
    assert.ok("why" in opened && /timelines/.test(opened.why), packed);
  }
});
