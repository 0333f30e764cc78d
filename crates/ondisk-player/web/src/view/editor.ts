// The program as text that can be changed and run again.
//
// Invariant: a text is run when somebody says so, never by itself; one that does not run is told at
// its place, and the run before stays.

import type { App, Panel, State } from "../app.ts";
import { el, fill, reconcile, say, set } from "./dom.ts";
import { Draft, type From } from "./hands/draft.ts";

/** Whether focus is on nothing that would lose it. */
function isNowhere(focus: Element | null): boolean {
  return focus === null || focus === document.body || focus.checkVisibility?.() === false;
}

/** The place of a line and column, both from 1 and counted in characters, in a text. */
export function offsetOf(text: string, line: number, column: number): number {
  const lines = text.split("\n");
  const before = lines.slice(0, Math.max(0, line - 1)).reduce((all, one) => all + one.length + 1, 0);
  const inLine = [...(lines[line - 1] ?? "")].slice(0, Math.max(0, column - 1)).join("").length;
  return Math.min(before + inLine, text.length);
}

export function mount(root: HTMLElement, app: App): void {
  new Editor(root, app);
}

class Editor {
  private readonly app: App;
  private readonly draft: Draft;
  private readonly area = el("textarea", {
    id: "editor-text", class: "editor-text", spellcheck: "false", autocapitalize: "off", autocomplete: "off",
    wrap: "off", rows: 12, "aria-label": "Text of the program", "aria-describedby": "editor-keys editor-state editor-error",
  });
  private readonly numbers = el("div", { class: "editor-numbers", "aria-hidden": "true" });
  private readonly error = el("p", { id: "editor-error", class: "editor-error", hidden: true });
  private readonly state = el("p", { id: "editor-state", class: "hint" });
  private readonly unmet = el("ul", { class: "bare unmet" });
  private readonly start = el("button", { type: "button", class: "primary" }, "Run from the start");
  private readonly fork = el("button", { type: "button" }, "Fork from here");
  private panel: Panel = "lesson";
  private readonly back = el("button", { type: "button" }, "Back to the original");

  constructor(root: HTMLElement, app: App) {
    this.app = app;
    this.draft = Draft.of(app);
    this.area.addEventListener("input", () => this.draft.type(this.area.value));
    this.area.addEventListener("scroll", () => this.scrolled());
    this.area.addEventListener("keydown", (event) => this.key(event));
    this.start.addEventListener("click", () => void this.run("start"));
    this.fork.addEventListener("click", () => void this.run("here"));
    this.back.addEventListener("click", () => void this.restore());
    fill(
      root,
      el("h3", { class: "side-head" }, "The program"),
      el("div", { class: "editor" }, this.numbers, this.area),
      this.error,
      el("div", { class: "buttons" }, this.start, this.fork, this.back),
      this.state,
      el("p", { id: "editor-keys", class: "hint" },
        "Ctrl+Enter runs it from the start, Ctrl+Shift+Enter from where you are. Esc leaves the text."),
      this.unmet,
    );
    this.draft.on(() => this.render());
    app.on((_, changed) => {
      if (["run", "error", "busy"].some((what) => changed.has(what as "run"))) this.render();
      if (changed.has("panel")) this.shown(app.state.panel);
    });
    this.render();
  }

  /** Opened by its key, and not by its tab or from behind the help: whoever types is at the text. */
  private shown(panel: Panel): void {
    const isOpened = panel === "change" && this.panel !== "help";
    this.panel = panel;
    if (!isOpened || !isNowhere(document.activeElement)) return;
    this.area.focus({ preventScroll: true });
    // First the tabs, then the text: where both have room, both are seen.
    document.getElementById("tabs")?.scrollIntoView({ block: "nearest" });
    this.area.scrollIntoView({ block: "nearest" });
  }

  private key(event: KeyboardEvent): void {
    if (event.key === "Escape") {
      // Out of the text, and no further: a death that is looked at stays.
      event.stopPropagation();
      this.area.blur();
    }
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      void this.run(event.shiftKey ? "here" : "start");
    }
  }

  private async run(from: From): Promise<void> {
    if (!this.app.canRun || this.app.state.busy) return;
    await this.draft.run(from);
    const { error, run, moment } = this.app.state;
    if (error !== null) {
      this.toError();
      return;
    }
    if (run === null) return;
    this.app.say(`It ran: ${run.info.events} events. You are ${moment.at === 0 ? "at the start" : `at event ${moment.at}`}.`);
  }

  private async restore(): Promise<void> {
    await this.draft.restore();
    this.app.say("The original program and machine are back.");
  }

  /** Focus goes to where the text is wrong. */
  private toError(): void {
    const { error } = this.app.state;
    if (error === null) return;
    const at = offsetOf(this.area.value, error.line, error.column);
    this.area.focus();
    this.area.setSelectionRange(at, at);
    const lineHeight = this.area.scrollHeight / Math.max(1, this.area.value.split("\n").length);
    this.area.scrollTop = Math.max(0, (error.line - 4) * lineHeight);
    this.scrolled();
    this.app.say(`It does not run. Line ${error.line}, column ${error.column}: ${error.what}`);
  }

  private render(): void {
    const { app, draft } = this;
    if (this.area.value !== draft.text) this.area.value = draft.text;
    this.renderNumbers();
    this.renderError(app.state);
    const able = app.canRun && !app.state.busy && draft.text.trim() !== "";
    for (const button of [this.start, this.fork]) set(button, "disabled", !able);
    set(this.area, "readonly", !app.canRun);
    set(this.back, "disabled", !app.canRun || draft.isOriginal);
    say(this.state, this.told());
    reconcile(
      this.unmet,
      (app.state.run?.info.unmet ?? []).slice(0, 20),
      (one) => `${one.line}:${one.column}`,
      () => el("li"),
      (item, one) => say(item, `Line ${one.line}: what was expected does not hold: ${one.what}`),
    );
  }

  private told(): string {
    const { app, draft } = this;
    if (!app.canRun) return `${app.cannotRun || "Programs cannot be run here."} The text can be read and copied.`;
    if (app.state.run !== null && app.state.run.script === null) {
      return draft.text === "" ? "This timeline does not say what ran." : "The script that the timeline was made from: run it, and it can be asked and changed.";
    }
    if (draft.isChanged) return "Changed, and not run yet.";
    return draft.isOriginal ? "" : "This is a changed program or machine.";
  }

  private renderNumbers(): void {
    const wrong = this.app.state.error?.line ?? 0;
    const count = this.draft.text.split("\n").length;
    const numbers = Array.from({ length: Math.min(count, 20_000) }, (_, n) => n + 1);
    reconcile(this.numbers, numbers, (n) => n, (n) => el("span", null, n), (line, n) => {
      set(line, "data-wrong", n === wrong);
    });
    this.scrolled();
  }

  private renderError({ error }: State): void {
    set(this.area, "aria-invalid", error === null ? null : "true");
    set(this.error, "hidden", error === null);
    say(this.error, error === null ? "" : `Line ${error.line}, column ${error.column}: ${error.what}`);
  }

  private scrolled(): void {
    this.numbers.scrollTop = this.area.scrollTop;
  }
}
