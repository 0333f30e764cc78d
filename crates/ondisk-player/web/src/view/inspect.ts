// Why: what is picked, as a short chain from the program down to the media.
//
// Invariant: every link of the chain is an event of the timeline and can be gone to; what the
// timeline does not say is not said here.
import type { App, Run } from "../app.ts";
import { callsBehind, chainOf, why, type Writer } from "../causes.ts";
import type { RecordInfo, Rung } from "../types.ts";
import { el, fill, type Child } from "./dom.ts";
import { clock, count, figures, look, stated } from "./layers/words.ts";

/** So many writers, and so many links of a chain, are told. */
const WRITERS = 5;
const LINKS = 9;

/** A step on the way, to be gone to. */
interface Link {
  event: number;
  /** What it is, before its sentence. */
  as: string;
}

export function mount(root: HTMLElement, app: App): void {
  const draw = (): void => {
    const { run, selected } = app.state;
    if (run === null) return fill(root);
    if (selected === null) return fill(root, nothing());
    const record = /^record\/(\d+)$/.exec(selected)?.[1];
    if (record !== undefined) fill(root, ...ofRecord(app, run, Number(record)));
    else fill(root, ...ofCell(app, run, selected));
  };
  root.addEventListener("click", (event) => {
    const link = event.target instanceof Element ? event.target.closest<HTMLElement>("[data-go]") : null;
    if (link !== null) app.go(Number(link.dataset["go"]));
  });
  draw();
  app.on((_, changed) => {
    if (["run", "at", "death", "selected"].some((what) => changed.has(what as "run"))) draw();
  });
}

function nothing(): HTMLElement {
  return el(
    "p",
    { class: "hint" },
    "Choose a record, a page, a request or a block in the picture. Here it says why it is as it is, " +
      "who wrote it, and which call made it durable.",
  );
}

function ofCell(app: App, run: Run, cell: string): Child[] {
  const { at } = app.state.moment;
  const found = why(run.tape, run.names, cell, at);
  const name = run.names.cell(cell, at);
  if (found.holds === null) {
    const gone = found.since === 0 ? "It has held nothing yet." : "It holds nothing now.";
    return [title(name, null), el("p", null, gone), links(app, run, last(found.since))];
  }
  const { place, state, ver } = found.holds;
  const inside = place === "jbd" ? state : stated(place, state);
  const parts: Child[] = [title(name, inside, look(place, state))];
  if (place === "buf") parts.push(el("p", null, `${figures(ver)} bytes that no call has given to the kernel.`));
  parts.push(writers(app, run, found.writers));
  parts.push(part("How it came to be so"), links(app, run, [...way(found.since, found.chain)]));
  if (found.durable !== 0) {
    parts.push(part("What made it durable"), durable(app, run, found.durable));
  } else if (place === "page" && ver !== 0) {
    parts.push(el("p", { class: "not-yet" }, "No copy of this version is on stable media yet."));
  }
  if (found.next !== 0) parts.push(next(app, run, found.next));
  return parts;
}

function ofRecord(app: App, run: Run, n: number): Child[] {
  const record = run.info.records.find((one) => one.n === n);
  if (record === undefined) return [nothing()];
  const { at } = app.state.moment;
  const steps = run.info.ladder.filter(([event, of]) => of === n && event <= at);
  const rung = steps[steps.length - 1]?.[2];
  const list = el("ol", { class: "chain" });
  for (const [event, , to] of steps) list.append(link(app, run, { event, as: CAME[to] }));
  const parts: Child[] = [
    title(`“${record.text}”`, rung === undefined ? "not written yet" : NOW[rung], LOOK[rung ?? "gone"]),
    el("p", { class: "hint" }, about(record)),
    part("Up to now"),
    steps.length === 0 ? el("p", null, "The program has not come to it.") : list,
  ];
  const said = run.info.acks.filter((ack) => ack.event <= at && ack.records.includes(n));
  if (said.length > 0) {
    const acks = el("ol", { class: "chain" });
    for (const ack of said) acks.append(link(app, run, { event: ack.event, as: `acknowledged: ${ack.text}` }));
    parts.push(part("What the world was told"), acks);
  }
  const settled = steps.find(([, , to]) => to === "durable")?.[0];
  if (settled !== undefined) parts.push(part("What made it durable"), durable(app, run, settled));
  const later = run.info.ladder.find(([event, of]) => of === n && event > at);
  if (later !== undefined) parts.push(next(app, run, later[0]));
  return parts;
}

const CAME: Record<Rung, string> = {
  buffered: "into the buffer",
  cached: "into the page cache",
  device: "into the drive’s cache",
  durable: "durable",
  gone: "replaced by the program",
};
const NOW: Record<Rung, string> = {
  buffered: "buffered: survives nothing",
  cached: "cached: survives a kill",
  device: "with the device: survives a crash",
  durable: "durable: survives a power cut",
  gone: "the program itself replaced it",
};
const LOOK: Record<Rung, string> = {
  buffered: "dirty",
  cached: "dirty",
  device: "held",
  durable: "durable",
  gone: "stale",
};

function about(record: RecordInfo): string {
  const where = `${count(record.bytes, "byte")} of ${record.file} from offset ${figures(record.offset)}`;
  return `Record ${record.n}: ${where}, written by line ${record.line}.`;
}

function title(name: string, state: string | null, as?: string): HTMLElement {
  return el(
    "div",
    { class: "why-title" },
    as === undefined ? null : el("span", { class: "bytes swatch", "data-state": as, "aria-hidden": "true" }),
    el("h3", null, name),
    state === null ? null : el("p", null, state),
  );
}

function part(name: string): HTMLElement {
  return el("h4", { class: "why-part" }, name);
}

function writers(app: App, run: Run, found: Writer[]): Child {
  if (found.length === 0) return null;
  const list = el("ol", { class: "chain" });
  for (const writer of found.slice(0, WRITERS)) {
    const one = writer.to - writer.from === 1;
    const bytes = one
      ? `byte ${figures(writer.from)}`
      : `bytes ${figures(writer.from)}–${figures(writer.to - 1)}`;
    if (writer.call === 0) list.append(el("li", null, `${bytes}: ${writer.words}`));
    else list.append(link(app, run, { event: writer.call, as: bytes }));
  }
  const more = found.length - WRITERS;
  if (more > 0) list.append(el("li", { class: "hint" }, `and ${figures(more)} writes before`));
  return el("div", null, part("Whose bytes these are"), list);
}

/** The sync that asked for it, and the way from there. */
function durable(app: App, run: Run, event: number): HTMLElement {
  const chain = chainOf(run.tape, event);
  const sync = callsBehind(run.tape, run.names, event)[0];
  const steps = way(event, chain);
  if (sync !== undefined && !steps.some((step) => step.event === sync)) steps.unshift({ event: sync, as: "asked for by" });
  return links(app, run, steps);
}

function last(event: number): Link[] {
  return event === 0 ? [] : [{ event, as: "" }];
}

/** The links in the order of time; of many the ends. */
function way(event: number, chain: number[]): Link[] {
  if (event === 0) return [];
  const all = [...chain].reverse().concat(event);
  const shown = all.length <= LINKS ? all : [...all.slice(0, 3), ...all.slice(3 - LINKS)];
  return shown.map((one) => ({ event: one, as: "" }));
}

function links(app: App, run: Run, steps: Link[]): HTMLElement {
  const list = el("ol", { class: "chain" });
  for (const step of steps) list.append(link(app, run, step));
  return list;
}

function link(app: App, run: Run, { event, as }: Link): HTMLElement {
  const here = app.state.moment.at === event;
  const go = el(
    "button",
    { type: "button", "data-go": event, "aria-current": here ? "step" : null },
    el("span", { class: "chain-at" }, `${figures(event)}`),
    el(
      "span",
      { class: "chain-words" },
      as === "" ? null : el("b", null, as),
      as === "" ? null : " · ",
      run.names.event(event),
      el("small", null, ` ${clock(run.tape.time(event))}`),
    ),
  );
  return el("li", null, go);
}

function next(app: App, run: Run, event: number): HTMLElement {
  return el("div", null, part("What happens to it next"), links(app, run, last(event)));
}

