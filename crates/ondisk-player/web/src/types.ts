// What the parts of the page tell each other: runs, moments, verdicts.
//
// Invariant: what is shown is a function of a `Moment` alone. Whoever has the moment (a link holds
// one) sees the same picture.

/** A layer as timelines number it; 0 is the world around the machine. */
export type Layer = 0 | 1 | 2 | 3 | 4 | 5 | 6;

/** A way to die. */
export type Death = "cut" | "crash" | "kill";

/** How far a record has come; `gone`: the program itself replaced or removed it. */
export type Rung = "buffered" | "cached" | "device" | "durable" | "gone";

/** In how many of the deaths looked at something is lost. */
export type Lost = "never" | "sometimes" | "always";

/** How the machine is built: words of the options of `ondisk sim`. */
export interface Knobs {
  fs: "ext4" | "tmpfs" | "nfs" | "xfs" | "btrfs" | "posix";
  /** ext4 alone: several with commas. */
  mount: string;
  scheduler: "none" | "mq-deadline" | "bfq";
  drive: "volatile" | "capacitor" | "none" | "lies";
  profile: string;
  /** A number of 64 bits, as text. */
  seed: string;
}

/** What is played: a script of the page by its name, a text, or a timeline that was given. */
export type Source =
  | { kind: "built-in"; name: string }
  | { kind: "script"; name: string; text: string }
  | { kind: "timeline"; name: string };

/** All that the picture depends on; a link holds it. */
export interface Moment {
  source: Source;
  knobs: Knobs;
  /** How many events have happened: 0 is before the first. */
  at: number;
  /** The death that is being looked at, at `at`; none while the machine lives. */
  death: Death | null;
  /** The model that is asked what it allows; empty: the one of the file system. */
  model: string;
  /** A lesson and its step, counted from 0; none outside lessons. */
  lesson: { id: string; step: number } | null;
}

/** Bytes that one `write` of the program brought. */
export interface RecordInfo {
  n: number;
  task: number;
  line: number;
  file: string;
  /** Its bytes as text, shortened, anything odd escaped. */
  text: string;
  bytes: number;
  offset: number;
}

/** Something that the program said to the outside. */
export interface AckInfo {
  n: number;
  text: string;
  task: number;
  line: number;
  /** The event with which it was said. */
  event: number;
  files: string[];
  /** The records that it speaks for, by their numbers. */
  records: number[];
}

/** A call over the line between user and kernel. */
export interface CallInfo {
  task: number;
  line: number;
  /** The events with which it began and ended; `to` is 0 where it never did. */
  from: number;
  to: number;
  /** `write(3, …, 23)` and ` = 23`. */
  words: string;
  answer: string;
}

/** An `expect` of the script that does not hold. */
export interface Unmet {
  line: number;
  column: number;
  what: string;
}

/** What the simulation says of a run, beside its timeline. */
export interface RunInfo {
  /** On `operations` nothing moves in layers: there are calls and verdicts. */
  level: "machine" | "operations";
  /** The model that speaks for the file system; empty where its own machine is all there is. */
  model: string;
  tasks: string[];
  events: number;
  /** At an event a task begins a line of the script: `[event, task, line]`, by event. */
  lines: [number, number, number][];
  calls: CallInfo[];
  records: RecordInfo[];
  /** At an event a record comes to a rung: `[event, record, rung]`, by event. */
  ladder: [number, number, Rung][];
  /** Up to which event the ladder is known. */
  ladder_until: number;
  acks: AckInfo[];
  /** The script's own deaths. */
  deaths: { event: number; how: Death }[];
  notes: string[];
  unmet: Unmet[];
}

/** A script that cannot run, and where it is wrong; both counted from 1. */
export interface ScriptError {
  line: number;
  column: number;
  what: string;
}

/** What one record or acknowledgement comes to when the machine dies at a moment. */
export interface Fate {
  n: number;
  /** Lost by this very machine, over the ways that its death can go. */
  machine: Lost;
  /** Lost under the model; null where no model speaks. */
  model: Lost | null;
  /** What may be there when it survives, and when it does not; empty where that does not happen. */
  survives: string;
  lost: string;
}

/** What a file may be after a death. */
export interface FileFate {
  path: string;
  /** `machine`, or the name of a model. */
  by: string;
  may_be: string[];
  /** Whether that is all it may be. */
  exact: boolean;
}

/** The answer to: what survives this death, now? */
export interface Judged {
  event: number;
  how: Death;
  model: string;
  /** How many states of the model were looked at, and whether they are all. */
  states: number;
  exact: boolean;
  records: Fate[];
  acks: Fate[];
  files: FileFate[];
}

/** A transaction of the file system's journal, as recovery found it. */
export interface Replayed {
  tid: number;
  blocks: number;
  /** Whether its commit block is there, so that it counts. */
  whole: boolean;
}

/** A transaction of a write-ahead log that the program kept in a file. */
export interface LogTransaction {
  name: string;
  records: string[];
  /** Whether its COMMIT marker is there, so that recovery applies it. */
  committed: boolean;
}

/** What happens when the power comes back. */
export interface Recovered {
  event: number;
  how: Death;
  /** Empty where the journal had nothing to replay. */
  journal: Replayed[];
  files: { path: string; is: string; bytes: number }[];
  /** Files that hold a write-ahead log, and what its recovery does. */
  logs: { path: string; transactions: LogTransaction[]; torn: boolean }[];
  records: { n: number; kept: boolean }[];
  /** A promise is broken where an acknowledgement was not kept. */
  acks: { n: number; kept: boolean }[];
  /** What moved on the way, in words. */
  steps: { layer: Layer; kind: string; words: string }[];
}
