// The store: the same moment is the same picture, and every change is told and linked.
import assert from "node:assert/strict";
import { test } from "node:test";
import builtIns from "ondisk:scripts";
import type { App, Changed, State } from "../src/app.ts";
import { Engine } from "../src/engine.ts";
import { read } from "../src/hash.ts";
import { SPEEDS, nextStop } from "../src/pace.ts";
import { createApp } from "../src/store.ts";
import type { Host } from "../src/store.ts";
import { event, long, timeline } from "./timelines.ts";

class Fake implements Host {
  links: string[] = [];
  pushed: string[] = [];
  said: string[] = [];
  timers: (() => void)[] = [];
  asked: string[] = [];

  later(_ms: number, then: () => void): () => void {
    this.timers.push(then);
    return () => void (this.timers = this.timers.filter((own) => own !== then));
  }
  breaths: (() => void)[] | null = null;
  breath(): Promise<void> {
    const { breaths } = this;
    return breaths ? new Promise((done) => breaths.push(done)) : Promise.resolve();
  }
  address(hash: string, when: "now" | "push" | "soon"): void {
    if (when !== "soon") this.links.push(hash);
    if (when === "push") this.pushed.push(hash);
  }
  say(text: string): void {
    this.said.push(text);
  }
  base(): string {
    return "file:///player.html";
  }
  tick(): void {
    this.timers.shift()?.();
  }

  /** A module that knows three scripts: a run, a wrong one, and one that it breaks at. */
  engine(): Engine {
    return new Engine(() => (request) => {
      this.asked.push(request);
      if (request.startsWith("die")) return JSON.stringify({ ok: true, event: 1, how: "cut", asked: request });
      if (request.includes("wrong")) return JSON.stringify({ ok: false, line: 3, column: 5, what: "no such word" });
      if (request.includes("break")) throw new Error("unreachable");
      const shift = request.includes("seed=2") ? 2 : 0;
      return `${JSON.stringify({ ok: true, ...INFO(shift) })}\n${RUN(shift)}`;
    });
  }
}

const RUN = (shift: number) => timeline([
  ...Array.from({ length: 2 + shift }, (_, n) => event(n + 1, "Mounted")),
  ...["Call", "Dirtied", "Ret", "Ack", "Call", "FlushDone", "Ret", "Ack", "Cut"].map((kind, n) =>
    event(n + 3 + shift, kind, [], { op: n < 3 ? 1 : 2, m: kind === "Ret" ? "fsync(3) = 0" : "" })),
]);

const INFO = (shift: number) => ({
  level: "machine", model: "ext4", tasks: ["A"], events: 11 + shift, lines: [], records: [], ladder: [], ladder_until: 11,
  calls: [{ task: 0, line: 1, from: 3 + shift, to: 5 + shift, words: "", answer: "" }, { task: 0, line: 2, from: 7 + shift, to: 9 + shift, words: "", answer: "" }],
  acks: [], deaths: [{ event: 11 + shift, how: "cut" }], notes: [], unmet: [],
});

const SCRIPT = { kind: "script", name: "x", text: "cut" } as const;

async function started(): Promise<{ app: App; host: Fake; told: Changed[][] }> {
  const host = new Fake();
  const app = createApp({ host, engine: host.engine(), builtIns });
  await app.load(SCRIPT);
  const told: Changed[][] = [];
  app.on((_, changed) => told.push([...changed]));
  return { app, host, told };
}

test("a step is in the link at once, and is told as a step", async () => {
  const { app, host, told } = await started();
  app.step(1);
  assert.equal(app.state.moment.at, 1);
  assert.match(host.links.at(-1) ?? "", /&at=1$/);
  assert.deepEqual(told, [["at"]]);
  app.step(-5);
  assert.equal(app.state.moment.at, 0);
  app.step(1000);
  assert.equal(app.state.moment.at, 11);
  app.step(-Infinity);
  assert.equal(app.state.moment.at, 0);
  app.go(Number.NaN);
  assert.equal(app.state.moment.at, 0);
});

test("a link taken anywhere shows the same moment", async () => {
  const { app } = await started();
  app.go(7);
  app.die("crash");
  app.choose("posix");
  app.lesson({ id: "one", step: 2 });
  const moment = await read(app.link().split("#")[1] ?? "", builtIns);
  assert.deepEqual(moment, app.state.moment);
  const other = await started();
  assert.ok(moment);
  await other.app.restore(moment);
  assert.deepEqual(other.app.state.moment, moment);
  assert.equal(other.host.asked.length, 1, "the same source is not run again");
});

test("Back goes over sources, not over steps", async () => {
  const { app, host } = await started();
  app.step(1);
  assert.equal(host.pushed.length, 0);
  await app.load({ kind: "built-in", name: "opening" });
  assert.deepEqual(host.pushed, ["s=opening"]);
  await app.restore({ ...app.state.moment, source: SCRIPT });
  await app.change({ seed: "2" });
  assert.deepEqual(host.pushed, ["s=opening"], "what Back led to is no new step");
});

test("jumps go to what is next, and say when there is none", async () => {
  const { app, host } = await started();
  const at = () => app.state.moment.at;
  app.jump("ack", 1);
  assert.equal(at(), 6);
  app.jump("barrier", 1);
  assert.equal(at(), 8);
  app.jump("call", -1);
  assert.equal(at(), 7);
  app.jump("ack", 1);
  app.jump("ack", 1);
  assert.equal(at(), 10);
  assert.match(host.said.at(-1) ?? "", /no acknowledgement after this/);
});

test("playing stops at the end, begins anew from there, and leaves a death", async () => {
  const { app, host } = await started();
  app.go(9);
  app.die("cut");
  app.play();
  assert.equal(app.state.moment.death, null);
  for (let n = 0; n < 20; n += 1) host.tick();
  assert.equal(app.state.moment.at, 11);
  assert.equal(app.state.playing, false);
  app.play();
  assert.equal(app.state.moment.at, 1);
  app.pause();
  assert.equal(host.timers.length, 0);
  assert.match(host.links.at(-1) ?? "", /&at=1$/);
  host.tick();
  assert.equal(app.state.moment.at, 1);
});

test("a script that does not run leaves the run, and says where it is wrong", async () => {
  const { app } = await started();
  const before = app.state.run;
  await app.load({ kind: "script", name: "y", text: "wrong" });
  assert.equal(app.state.run, before);
  assert.deepEqual(app.state.error, { line: 3, column: 5, what: "no such word" });
  await app.load(SCRIPT);
  assert.equal(app.state.error, null);
});

test("the first script is shown even when it does not run", async () => {
  const host = new Fake();
  const app = createApp({ host, engine: host.engine(), builtIns });
  await app.load({ kind: "script", name: "y", text: "wrong" });
  assert.equal(app.state.run?.script, "wrong");
  assert.equal(app.state.run?.tape.length, 0);
  assert.equal(app.state.error?.line, 3);
});

test("a simulation that breaks off is said, and the page goes on", async () => {
  const { app } = await started();
  await app.load({ kind: "script", name: "y", text: "break" });
  assert.match(app.state.trouble ?? "", /broke off/);
  assert.equal(app.state.busy, false);
  await app.load(SCRIPT);
  assert.equal(app.state.trouble, null);
});

test("another seed keeps the place: the same call of the script", async () => {
  const { app } = await started();
  app.go(9);
  await app.change({ seed: "2" });
  assert.equal(app.state.moment.at, 11);
  app.go(9);
  await app.change({ seed: "1" });
  assert.equal(app.state.moment.at, 7);
  assert.equal(app.state.moment.knobs.seed, "1");
});

test("a question is asked once", async () => {
  const { app, host } = await started();
  app.go(3);
  const judged = app.judge("cut", "ext4");
  assert.equal(app.judge("cut", "ext4"), judged);
  assert.deepEqual(host.asked.filter((request) => request.startsWith("die")), ["die at=3 how=cut model=ext4"]);
  assert.equal(app.judge("cut", "x\ny"), null);
});

test("without the module timelines play, and questions have no answer", async () => {
  const host = new Fake();
  const app = createApp({ host, engine: "no WebAssembly", builtIns });
  await app.load({ kind: "built-in", name: "opening" });
  assert.equal(app.state.trouble, "no WebAssembly");
  assert.match(app.state.run?.script ?? "", /fsync log/);
  await app.openSlowly("run.jsonl", long(2000, 40));
  assert.equal(app.state.run?.tape.length, 2000);
  assert.equal(app.state.run?.script, null);
  app.go(1500);
  assert.equal(app.judge("cut"), null);
  assert.equal(app.canRun, false);
  assert.match(app.link(), /#t=run\.jsonl&.*at=1500$/);
});

test("a timeline that is damaged is named, and the run stays", async () => {
  const { app } = await started();
  const before = app.state.run;
  await app.openSlowly("bad.jsonl", "hello");
  assert.match(app.state.trouble ?? "", /^bad\.jsonl: This is no timeline/);
  assert.equal(app.state.run, before);
  await app.restore({ ...app.state.moment, source: { kind: "timeline", name: "gone" } });
  assert.match(app.state.trouble ?? "", /open its file/);
});

test("what an earlier load brings is dropped", async () => {
  const { app, host } = await started();
  const breaths: (() => void)[] = (host.breaths = []);
  const first = app.load({ kind: "built-in", name: "fsync" });
  while (breaths.length < 1) await Promise.resolve();
  const second = app.load({ kind: "built-in", name: "opening" });
  while (breaths.length < 2) await Promise.resolve();
  breaths[1]?.();
  await second;
  breaths[0]?.();
  await first;
  assert.deepEqual(app.state.moment.source, { kind: "built-in", name: "opening" });
  assert.equal(app.state.busy, false);
});

test("a lesson that is left while its run is made stays left", async () => {
  const { app, host } = await started();
  app.lesson({ id: "rename", step: 2 });
  const breaths: (() => void)[] = (host.breaths = []);
  const load = app.load({ kind: "built-in", name: "fsync" });
  while (breaths.length < 1) await Promise.resolve();
  app.lesson(null);
  breaths[0]?.();
  await load;
  assert.equal(app.state.moment.lesson, null);
});

test("a listener that fails takes no other with it", async (t) => {
  const { app } = await started();
  t.mock.method(console, "error", () => undefined);
  const states: State[] = [];
  app.on(() => { throw new Error("a view"); });
  app.on((state) => states.push(state));
  app.step(1);
  assert.equal(states.length, 1);
});

test("help is in front of the panel that was open", async () => {
  const { app } = await started();
  app.show("plug");
  app.show("help");
  assert.equal(app.state.panel, "help");
  app.show("help");
  assert.equal(app.state.panel, "plug");
});

test("no acknowledgement, call or death is passed over at any speed", async () => {
  const { app } = await started();
  const tape = app.state.run?.tape;
  assert.ok(tape);
  for (const speed of SPEEDS) {
    const seen = new Set<number>();
    for (let at = 0; at < tape.length;) {
      const next = nextStop(tape, at, speed);
      assert.ok(next.at > at && next.ms > 0);
      at = next.at;
      seen.add(at);
    }
    for (let i = 3; i <= tape.length; i += 1) if (tape.kind(i) !== "FlushDone") assert.ok(seen.has(i), `${i} at ${speed}`);
  }
  assert.equal(nextStop(tape, 0, 1).ms, 250);
  assert.ok(nextStop(tape, 0, 16).at > 1);
});

test("the opening scene comes first, and every script has a title", () => {
  assert.equal(builtIns[0]?.name, "opening");
  assert.ok(builtIns.length > 30);
  for (const own of builtIns) assert.ok(own.title.length > 5 && own.title.length < 160 && own.text.includes(own.title.slice(0, 20)), own.name);
});
