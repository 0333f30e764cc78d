// The knobs: small changes to the program's text, and the machine that it runs on.
//
// Invariant: a knob that cannot do anything is there, and says why; one that was turned says what
// it did, and one stays at the place where one was.

import type { App } from "../app.ts";
import type { Knobs } from "../types.ts";
import { el, fill, say, set } from "./dom.ts";
import * as config from "./hands/configuration.ts";
import { Draft } from "./hands/draft.ts";
import * as edits from "./hands/edits.ts";

interface TextKnob {
  name: string;
  is: string;
  edit: (text: string) => edits.Edit;
}

const PROGRAM: readonly TextKnob[] = [
  { name: "Drop the flush", is: "the bytes stay in the program", edit: edits.dropFlush },
  { name: "Drop the fsync", is: "no file is synced", edit: edits.dropSync },
  { name: "fdatasync instead of fsync", is: "leaves out what is not needed to read", edit: (text) => edits.syncBy(text, "fdatasync") },
  { name: "fsync instead of fdatasync", is: "metadata too", edit: (text) => edits.syncBy(text, "fsync") },
  { name: "Sync the directory", is: "the name too, before the promise", edit: edits.addDirectorySync },
  { name: "Drop the directory's sync", is: "the name comes when it likes", edit: edits.dropDirectorySync },
  { name: "Mode sync", is: "promised after the sync", edit: (text) => edits.mode(text, "sync") },
  { name: "Mode batch", is: "promised after the write, synced later", edit: (text) => edits.mode(text, "batch") },
  { name: "Mode none", is: "promised after the write, never synced", edit: (text) => edits.mode(text, "none") },
];

/** Longer texts are not looked through at every key; the knobs stay, and try when they are used. */
const LONG = 32_000;

export function mount(root: HTMLElement, app: App): void {
  new KnobsView(root, app);
}

class KnobsView {
  private readonly app: App;
  private readonly draft: Draft;
  private readonly did = el("p", { class: "did" });
  private readonly rows: { knob: TextKnob; button: HTMLButtonElement; hint: HTMLElement }[] = [];
  private readonly size = el("input", { type: "number", min: 1, max: 10000, step: 1, id: "knob-group", inputmode: "numeric" });
  private readonly groupButton = el("button", { type: "button", "aria-describedby": "knob-group-hint" }, "Set");
  private readonly groupHint = el("span", { class: "hint", id: "knob-group-hint" });
  private readonly selects = new Map<config.Select["knob"], { select: HTMLSelectElement; hint: HTMLElement }>();
  private readonly data = select("knob-data", config.DATA_MODES);
  private readonly switches = new Map<string, HTMLInputElement>();
  private readonly mountHint = el("p", { class: "hint" });
  private readonly seed = el("input", { type: "text", id: "knob-seed", inputmode: "numeric", maxlength: 20, "aria-describedby": "knob-seed-hint" });
  private readonly another = el("button", { type: "button" }, "Next seed");
  private readonly seedHint = el("span", { class: "hint", id: "knob-seed-hint" });

  constructor(root: HTMLElement, app: App) {
    this.app = app;
    this.draft = Draft.of(app);
    fill(
      root,
      el("p", { class: "hint" }, "Turn a knob: it runs again at once, and you stay at this place."),
      this.did,
      el("details", { class: "knob-group", open: true }, el("summary", null, "Change the program"), this.program()),
      el("details", { class: "knob-group", open: true }, el("summary", null, "Change the machine"), this.machine()),
    );
    this.draft.on(() => this.renderProgram());
    app.on((_, changed) => {
      if (changed.has("run") || changed.has("busy") || changed.has("error")) this.render();
    });
    this.render();
  }

  private program(): HTMLElement {
    const list = el("ul", { class: "bare knobs-list" });
    for (const [n, knob] of PROGRAM.entries()) {
      const hint = el("span", { class: "hint", id: `knob-hint-${n}` });
      const button = el("button", { type: "button", "aria-describedby": hint.id }, knob.name);
      button.addEventListener("click", () => void this.turn(button, knob.edit(this.draft.text)));
      this.rows.push({ knob, button, hint });
      list.append(el("li", null, button, hint));
    }
    this.groupButton.addEventListener("click", () => void this.group());
    this.size.addEventListener("keydown", (event) => {
      if (event.key === "Enter") void this.group();
    });
    const label = el("label", { for: "knob-group" }, "Records per sync");
    list.append(el("li", null, el("span", { class: "knob-line" }, label, this.size, this.groupButton), this.groupHint));
    return list;
  }

  private machine(): HTMLElement {
    const fields = el("div", { class: "fields" });
    for (const of of config.SELECTS) {
      const hint = el("span", { class: "hint", id: `knob-${of.knob}-hint` });
      const element = select(`knob-${of.knob}`, of.choices);
      set(element, "aria-describedby", hint.id);
      element.addEventListener("change", () => void this.change({ [of.knob]: element.value }, `${of.name}: ${chosen(element)}`));
      this.selects.set(of.knob, { select: element, hint });
      fields.append(el("label", { for: element.id }, of.name), element, hint);
      if (of.knob === "fs") fields.append(...this.mounts());
    }
    this.seed.addEventListener("change", () => void this.seeded(this.seed.value));
    this.another.addEventListener("click", () => {
      void this.seeded(String((BigInt(this.app.state.moment.knobs.seed || "0") + 1n) % (1n << 64n)));
    });
    fields.append(
      el("label", { for: "knob-seed" }, "Seed"),
      el("span", { class: "knob-line" }, this.seed, this.another),
      this.seedHint,
    );
    return fields;
  }

  private mounts(): HTMLElement[] {
    const turned = () => {
      const on = new Set([...this.switches].filter(([, box]) => box.checked).map(([value]) => value));
      const words = config.mount(this.data.value, on);
      void this.change({ mount: words }, `ext4 mounted ${words}`);
    };
    this.data.addEventListener("change", turned);
    const boxes = config.SWITCHES.map(({ value, is }) => {
      const box = el("input", { type: "checkbox", id: `knob-${value}` });
      box.addEventListener("change", turned);
      this.switches.set(value, box);
      return el("label", { class: "check", for: box.id }, box, is);
    });
    return [el("label", { for: "knob-data" }, "ext4 data="), this.data, el("div", { class: "wide" }, ...boxes, this.mountHint)];
  }

  private async group(): Promise<void> {
    await this.turn(this.groupButton, edits.group(this.draft.text, Number(this.size.value)));
  }

  /** Makes a change of the text, and runs it from here. */
  private async turn(button: HTMLButtonElement, edit: edits.Edit): Promise<void> {
    if (button.getAttribute("aria-disabled") === "true" || this.app.state.busy) return;
    if ("why" in edit) {
      this.tell(edit.why);
      return;
    }
    this.draft.type(edit.text);
    await this.draft.run("here");
    this.tell(this.app.state.error === null ? edit.did : `${edit.did} But now it does not run: see the text.`);
  }

  private async change(knobs: Partial<Knobs>, did: string): Promise<void> {
    await this.draft.change(knobs);
    this.tell(`${did}.`);
    this.render();
  }

  private async seeded(text: string): Promise<void> {
    const seed = config.seed(text);
    if (seed !== null) await this.change({ seed }, `Seed ${seed}`);
    set(this.seed, "aria-invalid", seed === null ? "true" : null);
    say(this.seedHint, seed === null ? "A seed is a whole number from 0 to 18,446,744,073,709,551,615." : "Repeats a run exactly.");
  }

  private tell(did: string): void {
    say(this.did, did);
    this.app.say(did);
  }

  private render(): void {
    this.renderProgram();
    this.renderMachine();
  }

  private renderProgram(): void {
    const { text } = this.draft;
    const barred = this.barred();
    for (const { knob, button, hint } of this.rows) {
      const edit = text.length > LONG ? null : knob.edit(text);
      const why = barred !== "" ? barred : edit !== null && "why" in edit ? edit.why : "";
      set(button, "aria-disabled", why === "" ? null : "true");
      say(hint, why === "" ? knob.is : why);
    }
    const present = text.length > LONG ? 1 : edits.groupSize(text);
    const why = barred !== "" ? barred : present === null ? "No file is synced more than once." : "";
    set(this.groupButton, "aria-disabled", why === "" ? null : "true");
    set(this.size, "disabled", why !== "");
    if (document.activeElement !== this.size) this.size.value = String(present ?? 1);
    say(this.groupHint, why === "" ? "one sync for so many" : why);
  }

  private barred(): string {
    const { app } = this;
    if (!app.canRun) return app.cannotRun || "Programs cannot be run here.";
    return "";
  }

  private renderMachine(): void {
    const { knobs } = this.app.state.moment;
    const barred = this.barred() || (this.draft.text.trim() === "" ? "There is no program to run." : "");
    for (const [knob, { select: element, hint }] of this.selects) {
      const why = barred || config.silent(knob, knobs.fs);
      put(element, knobs[knob]);
      set(element, "disabled", why !== "");
      say(hint, why);
    }
    const { data, on } = config.mounted(knobs.mount);
    const why = barred || config.silent("mount", knobs.fs);
    put(this.data, data);
    set(this.data, "disabled", why !== "");
    for (const [value, box] of this.switches) {
      box.checked = on.has(value);
      set(box, "disabled", why !== "");
    }
    say(this.mountHint, why);
    if (document.activeElement !== this.seed) this.seed.value = knobs.seed;
    set(this.seed, "disabled", barred !== "");
    set(this.another, "disabled", barred !== "");
    if (this.seedHint.textContent === "") say(this.seedHint, "Repeats a run exactly.");
  }
}

function select(id: string, choices: readonly config.Choice[]): HTMLSelectElement {
  return el("select", { id }, ...choices.map(({ value, is }) => el("option", { value }, is)));
}

/** Chooses a value; one that is not in the list is added, for a link may hold it. */
function put(element: HTMLSelectElement, value: string): void {
  if (![...element.options].some((option) => option.value === value)) element.append(el("option", { value }, value));
  if (element.value !== value) element.value = value;
}

function chosen(element: HTMLSelectElement): string {
  return element.selectedOptions[0]?.textContent ?? element.value;
}
