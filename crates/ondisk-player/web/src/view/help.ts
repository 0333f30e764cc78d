// Help: the keys, what the blocks look like, the four rungs, and where truth comes from.
//
// Invariant: it is a dialog of the browser's own, so focus stays in it while it is open and goes
// back to where it was.

import type { App } from "../app.ts";
import { KEYS } from "../keys.ts";
import { el, fill, set } from "./dom.ts";
import { MODELS } from "./hands/models.ts";

/** The keys that are not the whole page's. */
const MORE: readonly (readonly [string[], string])[] = [
  [["1", "2", "3"], "after a death, your prediction: never, may be, always lost"],
  [["S", "Enter"], "skip the prediction"],
  [["P"], "after a death, power on"],
  [["Ctrl+Enter"], "in the program's text, run it from the start; with Shift from where you are"],
];

const BLOCKS: readonly (readonly [string, string | null, string, string])[] = [
  ["dirty", null, "dirty", "dots: changed, and nowhere else yet; a crash or a cut takes it"],
  ["flight", null, "in flight", "stripes: on its way down, may land or not"],
  ["clean", null, "clean", "plain: a copy, the layer below has been given it"],
  ["held", null, "in the drive's cache", "lines: a crash leaves it, a cut takes it"],
  ["durable", null, "durable", "solid: on stable media"],
  ["clean", "always", "lost", "crossed: what a death takes; one stroke where it may be taken"],
];

const RUNGS: readonly (readonly [string, string, string, string])[] = [
  ["Buffered", "the process's own memory", "nothing", "flush"],
  ["Cached", "the page cache, dirty", "a kill", "fsync, fdatasync"],
  ["Device", "the drive's volatile cache", "a crash", "FLUSH, FUA"],
  ["Durable", "stable media, and reachable by name", "a power cut", "–"],
];

export function mount(root: HTMLElement, app: App): void {
  const button = el("button", { type: "button", "aria-haspopup": "dialog", "aria-keyshortcuts": "?" }, "Help ", el("kbd", { "aria-hidden": "true" }, "?"));
  const dialog = el("dialog", { class: "help", "aria-labelledby": "help-title" });
  button.addEventListener("click", () => app.show("help"));
  dialog.append(content(() => dialog.close()));
  // Keys of the page have no say while the dialog is open.
  dialog.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "?") dialog.close();
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  dialog.addEventListener("close", () => {
    // Asked for again, it goes away.
    if (app.state.panel === "help") app.show("help");
  });
  fill(root, button, dialog);
  const render = () => {
    const { panel } = app.state;
    if (panel === "help" && !dialog.open) {
      dialog.showModal();
      dialog.scrollTop = 0;
    } else if (panel !== "help" && dialog.open) {
      dialog.close();
    }
  };
  app.on((_, changed) => {
    if (changed.has("panel")) render();
  });
  render();
}

function content(close: () => void): HTMLElement {
  const button = el("button", { type: "button", class: "close", autofocus: true }, "Close ", el("kbd", { "aria-hidden": "true" }, "Esc"));
  button.addEventListener("click", close);
  return el("div", { class: "help-page" },
    el("div", { class: "help-head" }, el("h2", { id: "help-title" }, "Help"), button),
    el("p", null,
      "A write climbs down a ladder. Step through it, and at any moment cut the power, kill the process or crash the kernel: three different losses. That a call succeeded says which rung was reached, and no more."),
    keys(), rungs(), blocks(), truths(),
  );
}

function keys(): HTMLElement {
  const list = el("dl", { class: "keys" });
  const own = KEYS.map(({ keys, does }) => [[shown(keys.at(-1) ?? "")], does] as const);
  for (const [all, does] of [...own, ...MORE]) {
    const names = el("dt");
    for (const key of all) names.append(el("kbd", null, key), " ");
    list.append(el("div", null, names, el("dd", null, does)));
  }
  return el("section", { "aria-labelledby": "help-keys" }, el("h3", { id: "help-keys" }, "Keys"), list);
}

/** A key as it stands on it. */
function shown(key: string): string {
  return key.length === 1 ? key.toUpperCase() : key;
}

function rungs(): HTMLElement {
  const heads = ["Rung", "Where the bytes are", "Survives", "Moved on by"];
  return el("section", { "aria-labelledby": "help-rungs" },
    el("h3", { id: "help-rungs" }, "Four rungs"),
    table(heads, RUNGS),
  );
}

function table(heads: readonly string[], rows: readonly (readonly string[])[]): HTMLElement {
  const head = el("tr");
  for (const name of heads) head.append(el("th", { scope: "col" }, name));
  const body = el("tbody");
  for (const [first = "", ...rest] of rows) {
    const row = el("tr", null, el("th", { scope: "row" }, first));
    for (const cell of rest) row.append(el("td", null, cell));
    body.append(row);
  }
  return el("table", null, el("thead", null, head), body);
}

function blocks(): HTMLElement {
  const list = el("ul", { class: "bare legend" });
  for (const [state, lost, name, is] of BLOCKS) {
    const block = el("span", { class: "bytes block", "data-state": state, "aria-hidden": "true" }, el("span", null, "4"));
    set(block, "data-lost", lost);
    list.append(el("li", null, block, el("span", null, el("b", null, name), ` — ${is}`)));
  }
  return el("section", { "aria-labelledby": "help-blocks" }, el("h3", { id: "help-blocks" }, "Blocks"), list);
}

function truths(): HTMLElement {
  return el("section", { "aria-labelledby": "help-truth" },
    el("h3", { id: "help-truth" }, "Where truth comes from"),
    el("p", null,
      "This page plays the simulator that the command ondisk sim runs: the same code, in this file. Nothing is asked of a network. For ext4, a RAM disk and a network file system a machine of six layers moves, from the program's buffer to the flash; what it leaves is mounted as a real disk would be, from its bytes alone."),
    el("p", null,
      "Beside the machine stand models: for each file system the set of all that a death may leave, as it promises, widened by what a Linux 6.18 kernel was seen to leave. A machine shows one way; a model all. The mounts of ext4 stand from the strongest to the weakest, xfs and btrfs beside them; posix allows all that these allow:"),
    table(["Model", "What it stands for"], MODELS.map(({ name, is }) => [name, is])),
  );
}
