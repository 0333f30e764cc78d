// The simulation: a module of WebAssembly that is asked in text and answers in text.
//
// Invariant: a module that trapped is never asked again. A fresh one takes its place, and runs what
// the last one ran before it answers for a moment of that run.

import { unpack } from "./unpack.ts";

/** The module broke off. What it was asked has no answer; the next question finds a fresh one. */
export class Trap extends Error {
  override readonly name = "Trap";
}

interface Exports {
  memory: WebAssembly.Memory;
  alloc(len: number): number;
  free(at: number, len: number): void;
  ask(at: number, len: number): number;
}

/** What answers one instance's questions. Tests give another one. */
export type Ask = (request: string) => string;

/** Whoever makes fresh instances. */
export type Fresh = () => Ask;

export class Engine {
  private ask: Ask;
  /** The run that later questions are about; null before the first. */
  private present: string | null = null;
  /** Whether the instance still has it to run. */
  private stale = false;

  constructor(private readonly fresh: Fresh) {
    this.ask = fresh();
  }

  /** Makes a script the present run. The first line of the answer is JSON, a timeline follows. */
  run(request: string): string {
    const answer = this.asked(request);
    if (isFine(answer)) {
      this.present = request;
      this.stale = false;
    } else {
      this.stale = this.present !== null;
    }
    return answer;
  }

  /** Asks about the present run; null where there is none. */
  about(question: string): string | null {
    if (this.present === null) return null;
    if (this.stale) {
      this.asked(this.present);
      this.stale = false;
    }
    return this.asked(question);
  }

  /** Makes a run that was run before the present one; it is run when it is asked about. */
  turnTo(request: string): void {
    if (this.present === request) return;
    this.present = request;
    this.stale = true;
  }

  private asked(request: string): string {
    try {
      return this.ask(request);
    } catch (error) {
      this.stale = this.present !== null;
      this.ask = this.fresh();
      throw new Trap(`The simulation broke off (${error instanceof Error ? error.message : String(error)}). It was started anew.`);
    }
  }
}

function isFine(answer: string): boolean {
  return /^\{[^\n]*"ok":true/.test(answer.slice(0, 4096)) || parsesFine(answer);
}

function parsesFine(answer: string): boolean {
  try {
    return (JSON.parse(answer.split("\n", 1)[0] ?? "") as { ok?: unknown }).ok === true;
  } catch {
    return false;
  }
}

/** An instance behind its raw interface: lengths and addresses are held against its memory. */
export function speaking(exports: WebAssembly.Exports): Ask {
  const { memory, alloc, free, ask } = exports as unknown as Exports;
  const encoder = new TextEncoder();
  const decoder = new TextDecoder("utf-8", { fatal: true });
  return (request) => {
    const bytes = encoder.encode(request);
    const at = alloc(bytes.length) >>> 0;
    if (at === 0) throw new Error("it has no memory for the question");
    new Uint8Array(memory.buffer, at, bytes.length).set(bytes);
    const answer = ask(at, bytes.length) >>> 0;
    if (answer === 0) throw new Error("it has no memory for the answer");
    const length = new DataView(memory.buffer).getUint32(answer, true);
    const text = decoder.decode(new Uint8Array(memory.buffer, answer + 4, length));
    free(answer, 4 + length);
    return text;
  };
}

/** Whether the module is there, or why not, in a sentence. */
export type Opened = { engine: Engine } | { why: string };

/** The module that the page holds packed. */
export async function openEngine(packed: string): Promise<Opened> {
  if (packed.trim() === "") return { why: "This page was built without the simulation: it plays timelines." };
  if (typeof WebAssembly !== "object") return { why: "This browser has no WebAssembly: timelines play, scripts do not run." };
  try {
    const module = await WebAssembly.compile(await unpack(packed));
    return { engine: new Engine(() => speaking(new WebAssembly.Instance(module).exports)) };
  } catch (error) {
    const what = error instanceof Error ? error.message : String(error);
    return { why: `The simulation does not start here (${what}): timelines play, scripts do not run.` };
  }
}
