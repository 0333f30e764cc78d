// What a lesson is: data. A script, and steps that each name a moment by its meaning.
//
// Invariant: no lesson holds the number of an event, and none holds the answer to its own questions.
// A moment is found in the run, an answer is asked of the run, and every sentence about what is lost
// or where something is stands on claims that can be asked too (test/lessons.test.ts asks them all).

import type { Death, Knobs, Layer } from "../types.ts";

/** A moment, by what happens then. It is the moment just behind the event that is meant. */
export type When =
  | { kind: "start" }
  | { kind: "end" }
  /** The call with this name that comes `no`-th, as it begins or as it returns. */
  | { kind: "called" | "returned"; call: string; no: number }
  /** The `no`-th acknowledgement with these words. */
  | { kind: "said"; text: string; no: number }
  /** The `no`-th event of a kind whose words hold `says`, of those behind another moment. */
  | { kind: "event"; name: string; says: string; no: number; since?: When }
  /** One event earlier. */
  | { kind: "before"; when: When };

export const START: When = { kind: "start" };
export const END: When = { kind: "end" };
export const called = (call: string, no = 1): When => ({ kind: "called", call, no });
export const returned = (call: string, no = 1): When => ({ kind: "returned", call, no });
export const said = (text: string, no = 1): When => ({ kind: "said", text, no });
export const event = (name: string, says = "", no = 1): When => ({ kind: "event", name, says, no });
export const next = (since: When, name: string, says = ""): When => ({ kind: "event", name, says, no: 1, since });
export const before = (when: When): When => ({ kind: "before", when });
/** The `no`-th commit record of the journal is durable. */
export const committed = (no = 1): When => event("TxnState", "to Finished", no);

/** What may be lost: what an acknowledgement spoke for, or one record, counted from 1. */
export type Subject = { ack: string; no?: number } | { record: number };

/** A question to a run, mostly at a moment. `by` is `machine`, or the name of a model. */
export type Ask =
  /** `never`, `sometimes` or `always`. */
  | { ask: "lost"; what: Subject; how: Death; by: string }
  /** How many of the acknowledgements so far with these words may be lost. */
  | { ask: "at risk"; text: string; how: Death; by: string }
  /** The rung of a record. */
  | { ask: "rung"; record: number }
  /** All that a file may be after a death: `absent, "" or "A"`; with … where that is not all. */
  | { ask: "file"; path: string; how: Death; by: string }
  /** `yes` or `no`: whether a file may be this after a death. */
  | { ask: "may be"; path: string; value: string; how: Death; by: string }
  /** `yes` or `no`: whether a file may be anything else; and such a state, for the reader. */
  | { ask: "other" | "example"; path: string; whole: string[]; how: Death; by: string }
  /** What recovery finds of a file, and which records, where the death goes as `choice` says. */
  | { ask: "found"; path: string; how: Death; choice: string }
  | { ask: "kept"; how: Death; choice: string }
  /** How many transactions of a program's own log its recovery applies. */
  | { ask: "applied"; path: string; how: Death; choice: string }
  /** How many events of a kind whose words hold `says` lie between two moments, or up to this one. */
  | { ask: "count"; name: string; says?: string; from?: When; to?: When }
  /** How many cells of a place are in a state, or hold anything. */
  | { ask: "cells"; place: "page" | "jbd" | "q" | "lba"; state?: string }
  /** How many bytes lie in the buffers of the program. */
  | { ask: "buffered" }
  /** What a call answered: `0`, `EIO`. */
  | { ask: "answer"; call: string; no?: number }
  /** `yes` or `no`: whether the first moment comes before the second. */
  | { ask: "order"; first: When; then: When }
  /** How long it took: `1.87 ms`. */
  | { ask: "time"; from: When; to: When };

export type Answer = string | number;

/** What a run must answer, at the step's moment where `when` is missing. */
export interface Claim {
  when?: When;
  ask: Ask;
  is: Answer;
}

export interface Option {
  text: string;
  /** It is right where the run answers one of these. */
  is: Answer[];
}

export interface Prediction {
  question: string;
  ask: Ask;
  options: Option[];
  /** How the answer is performed: a death, judged by a model; or a moment to go to. */
  show: { die: Death; by: string } | { go: When };
  /** What is said then; figures as in the step's text. */
  then: string;
}

/** A run of a script on a machine. */
export interface Setup {
  script: string;
  knobs: Partial<Knobs>;
}

export interface Step {
  /** Plain sentences; `code` is the only markup, `{name}` the place of a figure. */
  text: string;
  when: When;
  /** The layer to look at. */
  look?: Layer;
  /** Another run than that of the lesson: another script, or another machine. */
  run?: Partial<Setup>;
  /** Numbers and states that are asked of the run. */
  figures?: Record<string, Ask>;
  claims: Claim[];
  predict?: Prediction;
}

export interface Lesson {
  id: string;
  title: string;
  question: string;
  script: string;
  knobs?: Partial<Knobs>;
  steps: Step[];
}

/** What a step runs. */
export function setupOf(lesson: Lesson, step: Step): Setup {
  return {
    script: step.run?.script ?? lesson.script,
    knobs: { ...lesson.knobs, ...step.run?.knobs },
  };
}

/** The options of most predictions. */
export const LOST: Option[] = [
  { text: "Never", is: ["never"] },
  { text: "Sometimes", is: ["sometimes"] },
  { text: "Always", is: ["always"] },
];

export const YES_NO: Option[] = [
  { text: "Yes", is: ["yes"] },
  { text: "No", is: ["no"] },
];

/** Terse ways to ask what most claims ask. */
export const lost = (what: Subject, how: Death, by: string): Ask => ({ ask: "lost", what, how, by });
export const rung = (record: number): Ask => ({ ask: "rung", record });
export const count = (name: string, says = "", from?: When, to?: When): Ask =>
  ({ ask: "count", name, says, from, to });
export const cells = (place: "page" | "jbd" | "q" | "lba", state?: string): Ask =>
  ({ ask: "cells", place, state });
export const file = (path: string, by: string, how: Death = "cut"): Ask => ({ ask: "file", path, how, by });
export const mayBe = (path: string, value: string, by: string, how: Death = "cut"): Ask =>
  ({ ask: "may be", path, value, how, by });
export const other = (path: string, whole: string[], by: string, how: Death = "cut"): Ask =>
  ({ ask: "other", path, whole, how, by });
export const example = (path: string, whole: string[], by: string, how: Death = "cut"): Ask =>
  ({ ask: "example", path, whole, how, by });
export const order = (first: When, then: When): Ask => ({ ask: "order", first, then });
export const time = (from: When, to: When): Ask => ({ ask: "time", from, to });
export const answer = (call: string, no = 1): Ask => ({ ask: "answer", call, no });
/** Commits of the journal, FLUSHes of the drive, writes to it. */
export const commits = (from: When, to: When): Ask => count("TxnState", "to Finished", from, to);
export const flushes = (from: When, to: When): Ask => count("FlushStart", "", from, to);
export const writes = (from: When, to: When): Ask => count("Dispatched", ": write", from, to);
