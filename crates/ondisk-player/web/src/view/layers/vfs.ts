// Band 2: descriptors, and the error that a call brought back.
import type { Run } from "../../app.ts";
import type { CallInfo } from "../../types.ts";
import { el, reconcile, set } from "../dom.ts";
import { crossing } from "./boundary.ts";
import type { Scene } from "./scene.ts";
import { count } from "./words.ts";

/** A descriptor that a call opened or closed. */
interface Moved {
  event: number;
  task: number;
  fd: number;
  /** The file; null where it was closed. */
  file: string | null;
}

const known = new WeakMap<Run, Moved[]>();

/** Draws what is open; says how much. */
export function draw(body: HTMLElement, scene: Scene): string {
  const open = opened(scene.run, scene.at);
  const several = scene.run.info.tasks.length > 1;
  const shown = open.slice(0, 16);
  const dead = scene.death !== null;
  const line = lineOf(body);
  reconcile(line, shown, (one) => `${one.task}/${one.fd}/${one.file}`, (one) => {
    const who = several ? `${scene.run.names.task(one.task)} ` : "";
    return el("span", { class: "descriptor" }, `${who}${one.fd} → `, el("b", null, one.file ?? ""));
  }, (element) => set(element, "data-lost", dead));
  const failed = scene.death?.own ? [] : crossing(scene.run.info.calls, scene.at).flatMap((call) => {
    const errno = call.to !== 0 && call.to <= scene.at ? /\bE[A-Z]{2,}\b/.exec(call.answer) : null;
    return errno === null ? [] : [errno[0]];
  });
  reconcile(errnosOf(body), failed, (name) => name, (name) => el("span", { class: "errno" }, name));
  return open.length === 0 ? "nothing open" : count(open.length, "descriptor");
}

const lines = new WeakMap<HTMLElement, [HTMLElement, HTMLElement]>();

function parts(body: HTMLElement): [HTMLElement, HTMLElement] {
  let made = lines.get(body);
  if (made === undefined) {
    made = [el("div", { class: "cells" }), el("div", { class: "cells errnos" })];
    body.append(...made);
    lines.set(body, made);
  }
  return made;
}

const lineOf = (body: HTMLElement): HTMLElement => parts(body)[0];
const errnosOf = (body: HTMLElement): HTMLElement => parts(body)[1];

/** What is open at a moment. */
export function opened(run: Run, at: number): Moved[] {
  let moves = known.get(run);
  if (moves === undefined) {
    moves = run.info.calls.flatMap(moved).sort((a, b) => a.event - b.event);
    for (const { event, how } of run.info.deaths) {
      if (how !== "kill") moves.push({ event, task: 0, fd: 0, file: null });
    }
    moves.sort((a, b) => a.event - b.event);
    known.set(run, moves);
  }
  const open = new Map<string, Moved>();
  for (const move of moves) {
    if (move.event > at || (move.fd === 0 && move.event === at)) break;
    if (move.fd === 0) open.clear();
    else if (move.file === null) open.delete(`${move.task}/${move.fd}`);
    else open.set(`${move.task}/${move.fd}`, move);
  }
  return [...open.values()];
}

function moved(call: CallInfo): Moved[] {
  if (call.to === 0) return [];
  const closed = /^close\((\d+)\)/.exec(call.words);
  if (closed !== null) {
    return [{ event: call.to, task: call.task, fd: Number(closed[1]), file: null }];
  }
  const asked = /^open(?:at)?\((.*), O_/.exec(call.words);
  const fd = /= (\d+)/.exec(call.answer);
  if (asked === null || fd === null) return [];
  const file = (asked[1] ?? "").replaceAll('"', "");
  return [{ event: call.to, task: call.task, fd: Number(fd[1]), file }];
}
