// Band 4: the journal. A transaction goes along six stations; the last one is durable.
import type { Run } from "../../app.ts";
import type { Cell } from "../../tape.ts";
import { el, reconcile, say, set } from "../dom.ts";
import { label, taken } from "./blocks.ts";
import { fsOf, takes, type Scene } from "./scene.ts";
import { count, figures } from "./words.ts";

const STATIONS: [state: string, does: string][] = [
  ["running", "calls join it"],
  ["locked", "no call may join any more"],
  ["flush", "ordered data first"],
  ["commit", "its blocks go to the journal"],
  ["record", "its commit block, behind a FLUSH"],
  ["finished", "durable; its blocks still go home"],
];
/** So many transactions are drawn, and so far back are their changes counted. */
const DRAWN = 4;
const BACK = 2000;

/** Draws the transactions that are not home yet; says which. */
export function draw(body: HTMLElement, scene: Scene): string {
  const all = scene.cells.in("jbd");
  const shown = all.slice(-DRAWN);
  reconcile(body, shown, (cell) => cell.name, transaction, (element, cell) => {
    const gone = takes(scene, cell) && cell.state !== "finished";
    set(element, "data-state", cell.state);
    set(element, "data-lost", gone);
    const here = STATIONS.findIndex(([state]) => state === cell.state);
    element.querySelectorAll(".txn-at").forEach((station, at) => {
      set(station, "data-is", at < here ? "past" : at === here ? "here" : "ahead");
    });
    const does = STATIONS[here]?.[1] ?? cell.state;
    const { changes, blocks } = joined(scene.run, scene.at, cell);
    const joins = [changes, blocks].filter((part) => part !== "").join(", ");
    const told = [`transaction ${cell.n}: ${does}`, joins].filter((part) => part !== "").join(" · ");
    const note = element.querySelector("button");
    if (note === null) return;
    say(note, told);
    label(note, `${told}${taken(scene, gone)}`);
  });
  return holds(scene, all);
}

function holds(scene: Scene, all: readonly Cell[]): string {
  const fs = fsOf(scene);
  if (fs === "tmpfs") return "tmpfs: nothing below the page cache";
  const mount = scene.run.tape.config["mount"] ?? "ordered";
  const kind = fs === "nfs" ? "nfs: the server is asked" : `ext4, ${mount}`;
  if (all.length === 0) return kind;
  const hidden = all.length - DRAWN;
  const more = hidden > 0 ? `, ${figures(hidden)} older not drawn` : "";
  return `${kind}; ${count(all.length, "transaction")}${more}`;
}

function transaction(cell: Cell): HTMLElement {
  const stations = STATIONS.map(([state]) => el("span", { class: "txn-at" }, state));
  return el(
    "div",
    { class: "txn" },
    el("span", { class: "txn-rail", "aria-hidden": "true" }, ...stations),
    el("button", { type: "button", class: "row-note", "data-cell": cell.name }),
  );
}

/** What has joined a transaction up to an event. */
function joined(run: Run, at: number, cell: Cell): { changes: string; blocks: string } {
  const mark = `transaction ${cell.n}:`;
  let [changes, blocks, i] = [0, 0, at];
  for (; i > 0 && at - i < BACK; i -= 1) {
    const kind = run.tape.kind(i);
    if (kind !== "Handle" && kind !== "JWrite") continue;
    const event = run.tape.event(i);
    if (event === null || !event.words.startsWith(mark)) continue;
    if (kind === "Handle") changes += 1;
    else blocks += 1;
    if (event.changes.some((change) => change.place === "jbd" && change.old === "")) break;
  }
  const least = at - i >= BACK ? "at least " : "";
  return {
    changes: changes === 0 ? "" : `${least}${count(changes, "change")}`,
    blocks: blocks === 0 ? "" : count(blocks, "block"),
  };
}
