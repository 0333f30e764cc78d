// What a question of Check yourself is: data, as lessons are.
//
// Invariant: none of them holds its answer. One is answered by a run, a moment and a death; one that
// asks for the best way is answered by running all ways and counting.

import type { Knobs } from "../types.ts";
import { answerTo, type Bench } from "./claims.ts";
import type { Ask, Claim, Option, Prediction, When } from "./lesson.ts";
import { between, find, nameOf } from "./moments.ts";

/** Answered by a death, or by counting in one run. */
export interface Single extends Prediction {
  kind: "single";
  id: string;
  /** The lesson that tells more. */
  lesson: string;
  script: string;
  knobs?: Partial<Knobs>;
  when: When;
  figures?: Record<string, Ask>;
  claims: Claim[];
}

/** Answered by running several ways side by side: the right one is safe, and the cheapest of those. */
export interface Ways {
  kind: "ways";
  id: string;
  question: string;
  lesson: string;
  ways: { text: string; script: string }[];
  /** What a file must be after a cut at any call: nothing else is whole. */
  whole?: { path: string; is: string[] };
  then: string;
}

export type Question = Single | Ways;

/** What one way costs, and what it risks. */
export interface Measure {
  records: number;
  /** How many acknowledgements there were. */
  told: number;
  syncs: number;
  flushes: number;
  commits: number;
  ns: number;
  /** Acknowledgements that a cut could take back when they were said. */
  early: number;
  /** Moments at which a cut could leave a file that is not whole. */
  broken: number;
}

/** Measures a run. A model that does not answer counts as a risk. */
export function measure(bench: Bench, ways: Ways): Measure {
  const { info, tape } = bench;
  const { acks, calls } = info;
  const early = acks.filter((ack) => {
    const before = acks.filter((other) => other.text === ack.text && other.event <= ack.event).length;
    const what = { ack: ack.text, no: before };
    return answerTo({ ask: "lost", what, how: "cut", by: info.model }, ack.event, bench) !== "never";
  }).length;
  const broken = ways.whole ? calls.filter((call) => !isWhole(bench, call.to, ways.whole!)).length : 0;
  return {
    records: info.records.length,
    told: acks.length,
    syncs: calls.filter((call) => /^(fsync|fdatasync)$/.test(nameOf(call.words))).length,
    flushes: between(bench, "FlushStart", "", 0, tape.length),
    commits: between(bench, "TxnState", "to Finished", 0, tape.length),
    ns: (tape.event(tape.length)?.t ?? 0) - (tape.event(calls[0]?.from ?? 1)?.t ?? 0),
    early,
    broken,
  };
}

function isWhole(bench: Bench, at: number, whole: { path: string; is: string[] }): boolean {
  const verdict = bench.judge(at, "cut", bench.info.model);
  const fate = verdict?.files.find((file) => file.path === whole.path && file.by === bench.info.model);
  return fate !== undefined && fate.exact && fate.may_be.every((state) => whole.is.includes(state));
}

/** The place of the best way: nothing at risk, then the fewest FLUSHes, then commits, then time. */
export function best(measures: Measure[]): number | null {
  const safe = measures.map((measure, at) => ({ measure, at })).filter(({ measure }) => measure.early === 0 && measure.broken === 0);
  safe.sort((a, b) => compare(a.measure, b.measure));
  const [first, second] = safe;
  if (!first || (second && compare(first.measure, second.measure) === 0)) return null;
  return first.at;
}

function compare(a: Measure, b: Measure): number {
  return a.flushes - b.flushes || a.commits - b.commits || a.ns - b.ns;
}

/** The right option of a single question in its run; null where the run does not say. */
export function rightOf(question: Single, bench: Bench): { at: number; option: Option } | null {
  const at = find(question.when, bench);
  if (at === null) return null;
  const answer = answerTo(question.ask, at, bench);
  const option = question.options.find((option) => answer !== null && option.is.includes(answer));
  return option === undefined ? null : { at, option };
}
