// The ladder: for each record the rungs that it has come to, where it was acknowledged, and after a
// death what became of it.
//
// Invariant: a tick stands on the rung on which the record was when it was acknowledged, and not on
// the one on which it is now: so a tick left of the rung that was meant stays to be seen.
import type { App, Run } from "../app.ts";
import type { AckInfo, Fate, RecordInfo, Rung } from "../types.ts";
import { el, fill, reconcile, say, set } from "./dom.ts";
import { isAsked, onAsked } from "./layers/asked.ts";
import { lost, rungs, RUNGS, scene, type Scene } from "./layers/scene.ts";
import { count, FATES, figures } from "./layers/words.ts";

const HEADS: Record<string, [title: string, survives: string]> = {
  buffered: ["Buffered", "nothing"],
  cached: ["Cached", "a kill"],
  device: ["Device", "a crash"],
  durable: ["Durable", "a cut"],
};

/** So many acknowledgements of one record are told. */
const ACKS = 16;

/** What one row says. */
interface Row {
  record: RecordInfo;
  rung: Rung;
  /** Acknowledgements that speak for it, by the rung on which it was. */
  acks: Map<Rung, AckInfo[]>;
}

export function mount(root: HTMLElement, app: App): void {
  const body = el("tbody");
  const note = el("p", { class: "ladder-note" });
  const heads = RUNGS.map((rung) => {
    const [title, survives] = HEADS[rung] ?? [rung, ""];
    return el("th", { scope: "col", "data-rung": rung }, title, el("small", null, el("span", { class: "visually-hidden" }, " survives "), survives));
  });
  const head = el("tr", null, el("th", { scope: "col", class: "ladder-record" }, "Record", el("small", { "aria-hidden": "true" }, "survives")), ...heads);
  const table = el("table", { class: "ladder" }, el("thead", null, head), body);
  fill(root, el("h2", { class: "part" }, "Ladder"), el("div", { class: "ladder-scroll" }, table), note);
  body.addEventListener("click", (event) => {
    const picked = event.target instanceof Element ? event.target.closest("[data-cell]") : null;
    if (picked === null) return;
    app.select(picked.getAttribute("data-cell"));
  });
  const draw = (): void => {
    const now = scene(app, isAsked());
    root.hidden = now === null;
    if (now === null) return;
    const rows = rowsOf(now);
    reconcile(body, rows, (row) => row.record.n, make, (element, row) => update(element, row, now));
    set(table, "hidden", rows.length === 0);
    say(note, noted(now, rows));
  };
  draw();
  onAsked(app, draw);
  app.on((_, changed) => {
    if (["run", "at", "death", "model"].some((what) => changed.has(what as "run"))) draw();
  });
}

function rowsOf(now: Scene): Row[] {
  const known = rungs(now);
  const spoken = spokenFor(now.run);
  const rows: Row[] = [];
  for (const record of now.run.info.records) {
    const rung = known.get(record.n);
    if (rung === undefined) continue;
    const acks = new Map<Rung, AckInfo[]>();
    for (const { ack, on } of spoken.get(record.n) ?? []) {
      if (ack.event > now.at) break;
      acks.set(on, [...(acks.get(on) ?? []), ack]);
    }
    rows.push({ record, rung, acks });
  }
  return rows;
}

type Spoken = Map<number, { ack: AckInfo; on: Rung }[]>;

const kept = new WeakMap<Run, Spoken>();

/** By record: the first acknowledgements that speak for it, and the rung on which it was then. */
function spokenFor(run: Run): Spoken {
  let spoken = kept.get(run);
  if (spoken !== undefined) return spoken;
  spoken = new Map();
  const on = new Map<number, Rung>();
  let next = 0;
  for (const ack of [...run.info.acks].sort((a, b) => a.event - b.event)) {
    for (let step = run.info.ladder[next]; step !== undefined && step[0] <= ack.event; step = run.info.ladder[next]) {
      on.set(step[1], step[2]);
      next += 1;
    }
    for (const n of ack.records) {
      const all = spoken.get(n) ?? [];
      if (all.length < ACKS) all.push({ ack, on: on.get(n) ?? "buffered" });
      spoken.set(n, all);
    }
  }
  kept.set(run, spoken);
  return spoken;
}

function make(row: Row): HTMLTableRowElement {
  const name = el(
    "button",
    { type: "button", class: "ladder-name", "data-cell": `record/${row.record.n}` },
    el("span", { class: "ladder-text" }),
    el("span", { class: "ladder-fate" }),
  );
  const cells = RUNGS.map((rung) => el("td", { "data-rung": rung }, el("span", { class: "step" })));
  return el("tr", null, el("th", { scope: "row", class: "ladder-record" }, name), ...cells);
}

function update(element: HTMLElement, row: Row, now: Scene): void {
  const here = RUNGS.indexOf(row.rung);
  const fate = lost(now, row.record.n, row.rung);
  const text = element.querySelector(".ladder-text");
  if (text !== null) say(text, row.record.text || " ");
  set(element, "title", `record ${row.record.n} “${row.record.text}” of ${row.record.file}`);
  const says = element.querySelector(".ladder-fate");
  if (says !== null) say(says, row.rung === "gone" ? "replaced by the program" : fateWords(now, row));
  set(element, "data-fate", row.rung === "gone" ? "gone" : fate);
  set(element, "data-worse", (now.fates.get(row.record.n)?.model ?? "never") !== "never" && fate === "never");
  element.querySelectorAll("td").forEach((cell, at) => {
    const rung = RUNGS[at] ?? "buffered";
    set(cell, "data-is", at < here ? "past" : at === here ? "here" : "ahead");
    const acks = row.acks.get(rung) ?? [];
    set(cell, "data-ack", acks.length > 0);
    const step = cell.firstElementChild;
    const reached = at === here ? "is here" : at < here ? "was here" : "not yet";
    const told = acks.map((ack) => `acknowledged here: ${ack.text}`).join("; ");
    if (step !== null) say(step, acks.length > 0 ? "✓" : "");
    set(cell, "aria-label", told === "" ? reached : `${reached}, ${told}`);
    set(cell, "title", told === "" ? null : told);
  });
}

/** `always lost`; where the model says more than the machine shows, what each says. */
function fateWords(now: Scene, row: Row): string {
  if (now.death === null) return "";
  const fate: Fate | undefined = now.fates.get(row.record.n);
  const machine = lost(now, row.record.n, row.rung);
  if (machine === null) return "";
  const model = fate?.model;
  const by = now.model === "" ? "the model" : now.model;
  if (model === undefined || model === null || model === machine) return FATES[machine];
  return `this machine: ${FATES[machine]} · ${by}: ${FATES[model]}`;
}

function noted(now: Scene, rows: Row[]): string {
  const all = now.run.info.records.length;
  if (now.run.script === null) return "A timeline tells of pages and blocks, and not which bytes are a record.";
  if (rows.length === 0) return all === 0 ? "The program writes nothing." : "Nothing written yet.";
  const until = now.run.info.ladder_until;
  if (until < now.at) return `The ladder is known up to event ${figures(until)}.`;
  const hidden = all - rows.length;
  return hidden > 0 ? `${count(hidden, "record")} still to be written.` : "";
}
