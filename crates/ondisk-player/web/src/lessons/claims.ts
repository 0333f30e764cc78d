// Questions to a run and their answers, and whether a claim holds.
//
// Invariant: an answer comes from the run, its judge or its recovery. Where none of them can answer
// there is null, which is equal to nothing: a claim that cannot be asked does not hold.

import type { Death, FileFate, Judged, Recovered } from "../types.ts";
import type { Answer, Ask, Claim, Option, Subject, When } from "./lesson.ts";
import { between, find, type Ran } from "./moments.ts";

/** A run that can be asked what a death at a moment takes. */
export interface Bench extends Ran {
  judge(at: number, how: Death, model: string): Judged | null;
  recover(at: number, how: Death, choice: string): Recovered | null;
}

/** The answer to a question at a moment. */
export function answerTo(ask: Ask, at: number, bench: Bench): Answer | null {
  switch (ask.ask) {
    case "lost": {
      const fate = judged(ask, at, bench, subject(ask.what, bench));
      return fate ?? null;
    }
    case "at risk":
      return atRisk(ask, at, bench);
    case "rung":
      return rungAt(ask.record, at, bench);
    case "file":
    case "may be":
    case "other":
    case "example": {
      const may = fate(ask, at, bench);
      return may === null ? null : stateOf(ask, may);
    }
    case "found":
    case "kept":
    case "applied":
      return recovered(ask, bench, bench.recover(at, ask.how, ask.choice));
    case "count": {
      const from = moment(ask.from, 0, bench);
      const to = moment(ask.to, at, bench);
      return from === null || to === null ? null : between(bench, ask.name, ask.says ?? "", from, to);
    }
    case "cells": {
      const found = bench.tape.at(at).in(ask.place);
      return found.filter((cell) => ask.state === undefined || cell.state === ask.state).length;
    }
    case "buffered":
      return bench.tape.at(at).in("buf").reduce((sum, cell) => sum + cell.ver, 0);
    case "answer":
      return returnOf(ask.call, ask.no ?? 1, bench);
    case "order": {
      const [first, then] = [find(ask.first, bench), find(ask.then, bench)];
      return first === null || then === null ? null : first < then ? "yes" : "no";
    }
    case "time":
      return timeBetween(ask.from, ask.to, bench);
  }
}

/** Whether a claim holds; `at` is the moment of its step. */
export function holds(claim: Claim, at: number, bench: Bench): boolean {
  const when = moment(claim.when, at, bench);
  return when !== null && answerTo(claim.ask, when, bench) === claim.is;
}

/** The options that the run's answer makes right: of a sound prediction exactly one. */
export function right(options: Option[], answer: Answer | null): Option[] {
  return answer === null ? [] : options.filter((option) => option.is.includes(answer));
}

function moment(when: When | undefined, otherwise: number, bench: Bench): number | null {
  return when === undefined ? otherwise : find(when, bench);
}

type Which = { of: "acks" | "records"; n: number };

function subject(what: Subject, bench: Bench): Which | null {
  if ("record" in what) {
    const record = bench.info.records[what.record - 1];
    return record === undefined ? null : { of: "records", n: record.n };
  }
  const ack = bench.info.acks.filter((ack) => ack.text === what.ack)[(what.no ?? 1) - 1];
  return ack === undefined ? null : { of: "acks", n: ack.n };
}

function judged(ask: { how: Death; by: string }, at: number, bench: Bench, which: Which | null): string | null {
  if (which === null) return null;
  const verdict = bench.judge(at, ask.how, model(ask.by, bench));
  const found = verdict?.[which.of].find((fate) => fate.n === which.n);
  return (ask.by === "machine" ? found?.machine : found?.model) ?? null;
}

/** The machine is judged beside any model; its own is at hand. */
function model(by: string, bench: Bench): string {
  return by === "machine" ? bench.info.model : by;
}

function atRisk(ask: Ask & { ask: "at risk" }, at: number, bench: Bench): number | null {
  let risked = 0;
  for (const ack of bench.info.acks) {
    if (ack.event > at || ack.text !== ask.text) continue;
    const lost = judged(ask, at, bench, { of: "acks", n: ack.n });
    if (lost === null) return null;
    if (lost !== "never") risked++;
  }
  return risked;
}

function rungAt(record: number, at: number, bench: Bench): string | null {
  const number = bench.info.records[record - 1]?.n;
  if (at > bench.info.ladder_until) return null;
  const steps = bench.info.ladder.filter(([event, n]) => n === number && event <= at);
  return steps.at(-1)?.[2] ?? null;
}

function fate(ask: { path: string; how: Death; by: string }, at: number, bench: Bench): FileFate | null {
  const verdict = bench.judge(at, ask.how, model(ask.by, bench));
  return verdict?.files.find((file) => file.path === ask.path && file.by === ask.by) ?? null;
}

/** `absent, "" or "A"`; where there may be more, `absent, "", …`. */
function listed(states: string[], exact: boolean): string {
  if (!exact) return [...states, "…"].join(", ");
  const last = states.at(-1) ?? "";
  return states.length < 2 ? last : `${states.slice(0, -1).join(", ")} or ${last}`;
}

type Recovery = Ask & { ask: "found" | "kept" | "applied" };

type OfFile = Ask & { ask: "file" | "may be" | "other" | "example" };

/** Where not all states were looked at, none is ruled out. */
function stateOf(ask: OfFile, { may_be, exact }: FileFate): string | null {
  if (ask.ask === "file") return listed(may_be, exact);
  const found = may_be.find((state) => (ask.ask === "may be" ? state === ask.value : !ask.whole.includes(state)));
  if (ask.ask === "example") return found ?? null;
  return found !== undefined ? "yes" : exact ? "no" : null;
}

function recovered(ask: Recovery, bench: Bench, found: Recovered | null): Answer | null {
  if (found === null) return null;
  if (ask.ask === "kept") {
    const kept = found.records.filter((record) => record.kept).map((record) => record.n);
    const places = bench.info.records.flatMap((record, at) => (kept.includes(record.n) ? [at + 1] : []));
    return places.join(", ") || "none";
  }
  if (ask.ask === "found") return found.files.find((file) => file.path === ask.path)?.is ?? "absent";
  const log = found.logs.find((log) => log.path === ask.path);
  return log?.transactions.filter((transaction) => transaction.committed).length ?? 0;
}

function returnOf(call: string, no: number, bench: Bench): string | null {
  const at = find({ kind: "returned", call, no }, bench);
  const found = bench.info.calls.find((call) => call.to === at);
  return at === null || found === undefined ? null : found.answer.replace(/^\s*=\s*/, "");
}

function timeBetween(from: When, to: When, bench: Bench): string | null {
  const [first, last] = [find(from, bench), find(to, bench)];
  if (first === null || last === null) return null;
  return duration((bench.tape.event(last)?.t ?? 0) - (bench.tape.event(first)?.t ?? 0));
}

/** Nanoseconds in three figures: `300 ns`, `1.87 ms`, `5.00 s`. */
export function duration(ns: number): string {
  const units: [number, string][] = [[1e9, "s"], [1e6, "ms"], [1e3, "µs"]];
  for (const [size, unit] of units) if (ns >= size) return `${(ns / size).toPrecision(3)} ${unit}`;
  return `${ns} ns`;
}
