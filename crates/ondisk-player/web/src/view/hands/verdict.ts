// What survives a death: promises, records and files, the machine's own beside the model's.
//
// Invariant: every line tells who says it, the machine or a model; none says more than was looked at.

import type { App, Run } from "../../app.ts";
import type { Fate, FileFate, Judged, Lost } from "../../types.ts";
import { type Child, el } from "../dom.ts";
import { rungsAt, type Stands } from "./choose.ts";
import { looked, lostIs, promise, truth } from "./explain.ts";
import { about, MODELS } from "./models.ts";

const MARKS: Record<Lost, string> = { never: "●", sometimes: "◐", always: "○" };

/** More records than these are scrolled through in a frame of their own. */
const LONG = 8;

/** All that is said of a death. */
export function verdict(app: App, run: Run, at: number, judged: Judged, stands: Stands[], asked: number | null): HTMLElement[] {
  return [
    models(app, judged),
    el("p", { class: "hint looked" }, looked(judged)),
    promises(run, judged),
    records(run, judged, stands, asked, at),
    files(judged),
  ];
}

function models(app: App, judged: Judged): HTMLElement {
  const { moment, run } = app.state;
  const own = run?.info.model ?? "";
  const select = el("select", { id: "plug-model", "aria-describedby": "plug-model-is" });
  select.append(el("option", { value: "" }, own === "" ? "none" : `${own}, its own`));
  for (const { name } of MODELS) if (name !== own) select.append(el("option", { value: name }, name));
  select.value = moment.model === own ? "" : moment.model;
  select.addEventListener("change", () => app.choose(select.value));
  // Where no model speaks for the file system, none can be asked.
  select.disabled = own === "";
  const is = judged.model === "" ? "No model speaks for this file system: its machine is all there is." : `Stands for ${about(judged.model)}.`;
  return el("div", { class: "field model" },
    el("label", { for: "plug-model" }, "The model asked"), select,
    el("p", { class: "hint", id: "plug-model-is" }, is));
}

function promises(run: Run, judged: Judged): HTMLElement {
  const list = el("ul", { class: "bare promises" });
  for (const fate of judged.acks) {
    const ack = run.info.acks.find(({ n }) => n === fate.n);
    const is = promise(fate);
    list.append(el("li", { "data-lost": truth(fate) },
      el("b", { class: "promise" }, `Promise ${is}`), el("q", null, ack?.text ?? ""), badges(run, judged, fate), examples(fate)));
  }
  const none = judged.acks.length === 0 ? el("p", { class: "hint" }, "Nothing was acknowledged by then.") : null;
  return part("Acknowledgements", none ?? list);
}

function records(run: Run, judged: Judged, stands: Stands[], asked: number | null, at: number): HTMLElement {
  if (stands.length === 0) return part("Records", el("p", { class: "hint" }, "None was written by then, or the program replaced them itself."));
  const body = el("tbody");
  const isOwn = hasMachine(run, judged);
  for (const { record, rung } of [...stands].reverse()) {
    const fate = judged.records.find(({ n }) => n === record.n);
    if (fate === undefined) continue;
    const where = rung === null ? `line ${record.line}` : `${rung}, line ${record.line}`;
    body.append(el("tr", { "data-asked": record.n === asked, "data-lost": truth(fate) },
      el("th", { scope: "row" }, el("q", { class: "mono" }, record.text), el("span", { class: "hint" }, `${record.file}, ${where}`), examples(fate)),
      isOwn ? el("td", null, badge(fate.machine)) : null,
      fate.model === null ? null : el("td", null, badge(fate.model))));
  }
  const heads = ["Record", ...(isOwn ? ["This machine"] : []), ...(judged.model === "" ? [] : [judged.model])];
  const row = el("tr");
  for (const name of heads) row.append(el("th", { scope: "col" }, name));
  const replaced = [...rungsAt(run.info, at).values()].filter((rung) => rung === "gone").length;
  const note = replaced > 0 ? el("p", { class: "hint" }, `${replaced} more ${replaced === 1 ? "was" : "were"} replaced by the program itself.`) : null;
  const table = el("table", { class: "fates" }, el("thead", null, row), body);
  const isLong = stands.length > LONG;
  const frame = el("div", isLong ? { class: "fates-frame", tabindex: 0, role: "region", "aria-label": "All records" } : null, table);
  return part("Records", frame, note);
}

function files(judged: Judged): HTMLElement {
  const paths = [...new Set(judged.files.map(({ path }) => path))];
  const list = el("dl", { class: "files-may" });
  for (const path of paths) {
    const ways = judged.files.filter((file) => file.path === path);
    list.append(el("dt", { class: "mono" }, path));
    for (const way of ways) list.append(el("dd", null, el("span", { class: "hint" }, way.by === "machine" ? "this machine: " : `${way.by}: `), ...mayBe(way)));
  }
  return part("What the files may be", paths.length === 0 ? el("p", { class: "hint" }, "There are none.") : list);
}

function mayBe(way: FileFate): Child[] {
  const shown = way.may_be.slice(0, 12);
  const told: Child[] = shown.flatMap((value, n) => [n === 0 ? null : " | ", el("code", null, value)]);
  const more = way.may_be.length - shown.length;
  if (more > 0) told.push(`, and ${more} more`);
  if (!way.exact) told.push(" (and perhaps more)");
  return told;
}

function examples(fate: Fate): HTMLElement | null {
  if (fate.survives === "" && fate.lost === "") return null;
  return el("span", { class: "examples" },
    fate.survives === "" ? null : el("span", null, "kept: ", el("code", null, fate.survives)),
    fate.lost === "" ? null : el("span", null, "lost: ", el("code", null, fate.lost)));
}

/** Whether a machine of its own answers: of some file systems there is only the model. */
function hasMachine(run: Run, judged: Judged): boolean {
  return run.info.level === "machine" || judged.model === "" || judged.how === "kill";
}

function badges(run: Run, judged: Judged, fate: Fate): HTMLElement {
  return el("span", { class: "badges" },
    hasMachine(run, judged) ? el("span", null, "machine ", badge(fate.machine)) : null,
    fate.model === null ? null : el("span", null, `${judged.model} `, badge(fate.model)));
}

function badge(lost: Lost): HTMLElement {
  return el("span", { class: "fate", "data-fate": lost }, el("span", { "aria-hidden": "true" }, MARKS[lost]), ` ${lostIs(lost)}`);
}

function part(name: string, ...children: Child[]): HTMLElement {
  return el("section", { class: "fate-part", "aria-label": name }, el("h4", null, name), ...children);
}
