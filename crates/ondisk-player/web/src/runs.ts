// Runs: of a script by the module, of a timeline from what it says itself.
//
// Invariant: a run is whole or it is an error; knobs that come from outside are words that the
// module knows, and nothing else reaches its request line.

import type { Run } from "./app.ts";
import type { Engine } from "./engine.ts";
import { Names } from "./names.ts";
import { emptyTape, readTape } from "./tape.ts";
import type { Tape } from "./tape.ts";
import type { CallInfo, Death, Judged, Knobs, Recovered, RunInfo, ScriptError } from "./types.ts";

export const DEFAULTS: Knobs = {
  fs: "ext4", mount: "ordered", scheduler: "none", drive: "volatile", profile: "rust", seed: "1",
};

/** What each knob can be, as `ondisk sim` says it; the first is the default. */
export const CHOICES = {
  fs: ["ext4", "tmpfs", "nfs", "xfs", "btrfs", "posix"],
  mount: ["ordered", "writeback", "journal", "dioread_lock", "nodelalloc"],
  scheduler: ["none", "mq-deadline", "bfq"],
  drive: ["volatile", "capacitor", "none", "lies"],
  profile: ["rust", "c", "python3.13", "python3.14", "python3.13:bytes", "python3.14:bytes"],
} as const;

/** No script runs for ever in a page. */
export const MOST_EVENTS = 200_000;

/** Takes over what is a knob, and leaves out what is none. */
export function knobsFrom(given: unknown, base: Knobs = DEFAULTS): Knobs {
  const knobs = { ...base };
  if (typeof given !== "object" || given === null) return knobs;
  const words = given as Record<string, unknown>;
  const one = (name: "fs" | "scheduler" | "drive" | "profile") => {
    const word = words[name];
    if ((CHOICES[name] as readonly unknown[]).includes(word)) Object.assign(knobs, { [name]: word });
  };
  (["fs", "scheduler", "drive", "profile"] as const).forEach(one);
  const mount = words["mount"];
  const options = typeof mount === "string" ? mount.split(",") : [];
  if (options.length > 0 && options.every((option) => (CHOICES.mount as readonly string[]).includes(option))) {
    knobs.mount = [...new Set(options)].join(",");
  }
  const seed = String(words["seed"] ?? "");
  if (/^\d{1,20}$/.test(seed) && BigInt(seed) < 2n ** 64n) knobs.seed = BigInt(seed).toString();
  return knobs;
}

/** The request for a run. */
export function requestFor(script: string, knobs: Knobs): string {
  const mount = knobs.fs === "ext4" ? ` mount=${knobs.mount}` : "";
  const { fs, scheduler, drive, profile, seed } = knobs;
  return `run fs=${fs}${mount} scheduler=${scheduler} drive=${drive} profile=${profile} seed=${seed} limit=${MOST_EVENTS}\n${script}`;
}

/** Runs a script. Throws a `Trap` or a `TapeError` where the module is broken. */
export function runScript(engine: Engine, name: string, script: string, knobs: Knobs): Run | ScriptError {
  const answer = engine.run(requestFor(script, knobs));
  const cut = answer.indexOf("\n");
  const info = JSON.parse(cut < 0 ? answer : answer.slice(0, cut)) as RunInfo & Partial<ScriptError> & { ok: boolean };
  if (!info.ok) return { line: info.line ?? 1, column: info.column ?? 1, what: info.what ?? "It does not run." };
  const tape = readTape(answer.slice(cut + 1));
  return { name, script, knobs, info, tape, names: new Names(tape, info) };
}

/** A run as a timeline tells it: calls, acknowledgements and deaths; nothing of records. */
export function runTimeline(name: string, tape: Tape): Run {
  const info = infoOf(tape);
  return { name, script: null, knobs: knobsFrom({ ...tape.config, seed: tape.seed }), info, tape, names: new Names(tape, info) };
}

/** A script that does not run: its text, and no event. */
export function emptyRun(name: string, script: string, knobs: Knobs): Run {
  const tape = emptyTape();
  const info = infoOf(tape);
  return { name, script, knobs, info, tape, names: new Names(tape, info) };
}

const DEATHS: Record<string, Death> = { Cut: "cut", Crash: "crash", Kill: "kill" };

function infoOf(tape: Tape): RunInfo {
  const info: RunInfo = {
    level: "machine", model: "", tasks: [], events: tape.length, lines: [], calls: [], records: [],
    ladder: [], ladder_until: 0, acks: [], deaths: [], notes: [], unmet: [],
  };
  const open = new Map<number, CallInfo>();
  for (let i = 1; i <= tape.length; i += 1) {
    const kind = tape.kind(i);
    const how = DEATHS[kind];
    if (kind === "Call") {
      const call = { task: 0, line: 0, from: i, to: 0, words: tape.event(i)?.words ?? "", answer: "" };
      open.set(tape.op(i), call);
      info.calls.push(call);
    } else if (kind === "Ret") {
      const call = open.get(tape.op(i));
      const words = tape.event(i)?.words ?? "";
      if (call) Object.assign(call, { to: i, answer: words.slice(Math.max(0, words.lastIndexOf(" = "))) });
    } else if (kind === "Ack") {
      const text = (tape.event(i)?.words ?? "").replace(/^ack "(.*)"$/s, "$1");
      info.acks.push({ n: info.acks.length, text, task: 0, line: 0, event: i, files: [], records: [] });
    } else if (how) {
      info.deaths.push({ event: i, how });
    }
  }
  return info;
}

/** So many answers about a run are kept. */
const KEPT = 200;

/** The answers about one run, of which the last are asked once. */
export class Answers {
  private readonly kept = new Map<string, Judged | Recovered | null>();

  constructor(
    private readonly engine: Engine,
    private readonly run: Run,
  ) {}

  judge(at: number, how: Death, model: string): Judged | null {
    return this.asked<Judged>(`die at=${at} how=${how}${model ? ` model=${model}` : ""}`);
  }

  recover(at: number, how: Death, choice: string): Recovered | null {
    return this.asked<Recovered>(`recover at=${at} how=${how} choice=${choice}`);
  }

  private asked<T extends Judged | Recovered>(question: string): T | null {
    const known = this.kept.get(question);
    if (known !== undefined) return known as T | null;
    if (this.run.script === null || !/^[\w=. :,-]+$/.test(question)) return null;
    this.engine.turnTo(requestFor(this.run.script, this.run.knobs));
    const answer = this.engine.about(question);
    const parsed = answer === null ? null : (JSON.parse(answer) as T & { ok: boolean });
    const fine = parsed?.ok === true ? parsed : null;
    // Of a walk through a death the last answers are kept.
    if (this.kept.size >= KEPT) this.kept.delete(this.kept.keys().next().value ?? "");
    this.kept.set(question, fine);
    return fine;
  }
}
