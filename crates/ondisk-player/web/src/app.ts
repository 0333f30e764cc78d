// What is shown, and every way in which it changes; `store.ts` is behind it.
//
// Invariant: the picture is a function of `state.run` and `state.moment`; whoever changes one tells
// all listeners what changed. The link in the address bar holds the moment, always.

import type { Names } from "./names.ts";
import type { Tape } from "./tape.ts";
import type { Death, Judged, Knobs, Moment, Recovered, RunInfo, ScriptError, Source } from "./types.ts";

/** A script or timeline that was run or opened. */
export interface Run {
  name: string;
  /** Null for a timeline: it cannot be run again here. */
  script: string | null;
  knobs: Knobs;
  info: RunInfo;
  tape: Tape;
  names: Names;
}

/** A panel at the side, or the help. */
export type Panel = "lesson" | "plug" | "change" | "why" | "help";

export type Theme = "auto" | "light" | "dark";

/** All that views render from. */
export interface State {
  moment: Moment;
  run: Run | null;
  /** Why the text in the editor does not run; the run before stays. */
  error: ScriptError | null;
  /** Something else that went wrong, in a sentence. */
  trouble: string | null;
  playing: boolean;
  speed: number;
  busy: boolean;
  theme: Theme;
  /** What is open. */
  panel: Panel;
  /** The cell that is looked at, by its name. */
  selected: string | null;
}

export type Changed =
  | "run" | "at" | "death" | "model" | "lesson" | "playing" | "speed" | "error" | "trouble" | "busy"
  | "theme" | "panel" | "selected";

/** A script that is part of the page. */
export interface BuiltIn {
  name: string;
  /** Its first comment up to the first full stop or colon. */
  title: string;
  /** Its first comment. */
  about: string;
  text: string;
}

export type Listener = (state: State, changed: ReadonlySet<Changed>) => void;

/** What views can do. */
export interface App {
  readonly state: State;
  /** Calls back behind every change; the answer ends that. */
  on(listener: Listener): () => void;
  go(at: number): void;
  step(by: number): void;
  /** Barrier: a sync call's return, a FLUSH or FUA done, a commit record. */
  jump(to: "barrier" | "ack" | "call", direction: 1 | -1): void;
  play(): void;
  pause(): void;
  speed(times: number): void;
  die(how: Death | null): void;
  choose(model: string): void;
  load(source: Source, knobs?: Partial<Knobs>, at?: number): Promise<void>;
  change(knobs: Partial<Knobs>): Promise<void>;
  openTimeline(name: string, text: string): void;
  /** The same, and says when it is done; `rest` is where to begin. */
  openSlowly(name: string, text: string, rest?: Partial<Moment>): Promise<void>;
  /** Null without the module and for timelines. Asked once, then kept. */
  judge(how: Death, model?: string): Judged | null;
  recover(how: Death, choice: string): Recovered | null;
  lesson(at: { id: string; step: number } | null): void;
  /** Shows a moment as a link has it. */
  restore(moment: Moment): Promise<void>;
  /** What went wrong, in a sentence; null takes it away. */
  complain(trouble: string | null): void;
  /** Opens a panel. The help is in front of the others; asked for again, it goes away. */
  show(panel: Panel): void;
  select(cell: string | null): void;
  theme(theme: Theme): void;
  /** The live line for screen readers. */
  say(text: string): void;
  /** The address of what is shown now. */
  link(): string;
  /** The module is there. */
  readonly canRun: boolean;
  /** Why it is not; empty when it is. */
  readonly cannotRun: string;
  readonly builtIns: readonly BuiltIn[];
}
