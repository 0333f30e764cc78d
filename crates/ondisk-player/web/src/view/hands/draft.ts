// The text that is being changed, between the editor and the knobs.
//
// Invariant: the original is what was opened, whatever was run since; and a draft that does not run
// changes nothing but itself.

import type { App, State } from "../../app.ts";
import type { Knobs, Source } from "../../types.ts";
import { knobsOf } from "./command.ts";
import { lineMap, placeIn } from "./place.ts";

interface Original {
  source: Source;
  text: string;
  knobs: Knobs;
}

/** Where a run begins: at the start, or at the place where one is. */
export type From = "start" | "here";

export class Draft {
  text = "";
  private original: Original | null = null;
  /** Whether the run that is coming was asked for here. */
  private own = false;
  private readonly app: App;
  private readonly listeners: (() => void)[] = [];

  private static readonly all = new WeakMap<App, Draft>();

  /** The one draft of a page. */
  static of(app: App): Draft {
    const known = Draft.all.get(app);
    if (known !== undefined) return known;
    const draft = new Draft(app);
    Draft.all.set(app, draft);
    return draft;
  }

  private constructor(app: App) {
    this.app = app;
    this.opened(app.state);
    app.on((state, changed) => {
      if (changed.has("run") || (changed.has("error") && state.run === null)) this.opened(state);
    });
  }

  on(listener: () => void): void {
    this.listeners.push(listener);
  }

  /** Whether the text is another than the one that ran. */
  get isChanged(): boolean {
    return this.text !== presentText(this.app.state);
  }

  get isOriginal(): boolean {
    const { original, app } = this;
    if (original === null) return true;
    return this.text === original.text && sameKnobs(app.state.moment.knobs, original.knobs);
  }

  /** Takes another text, and runs nothing. */
  type(text: string): void {
    this.text = text;
    this.tell();
  }

  /** Runs the text as it is now. */
  async run(from: From, knobs: Knobs = this.app.state.moment.knobs): Promise<void> {
    const { app } = this;
    const [before, at] = [app.state.run, app.state.moment.at];
    const old = presentText(app.state);
    await this.asked(() => app.load(this.source(), knobs, from === "here" ? at : 0));
    const after = app.state.run;
    if (app.state.error !== null || after === null || after === before) return;
    if (from === "here" && before !== null) {
      app.go(placeIn(before.info, at, after.info, lineMap(old, this.text)));
    }
  }

  /** Opens another script: it is the original from now on, whether it runs or not. */
  async open(name: string, text: string): Promise<void> {
    const knobs = knobsOf(text);
    this.original = { source: { kind: "script", name, text }, text, knobs };
    this.type(text);
    await this.asked(() => this.app.load({ kind: "script", name, text }, knobs, 0));
  }

  /** Changes the machine, and keeps the place. */
  async change(knobs: Partial<Knobs>): Promise<void> {
    if (this.isChanged) return this.run("here", { ...this.app.state.moment.knobs, ...knobs });
    const { run: before, moment: { at } } = this.app.state;
    await this.asked(() => this.app.change(knobs));
    const after = this.app.state.run;
    if (before !== null && after !== null && after !== before) {
      this.app.go(placeIn(before.info, at, after.info, (line) => line));
    }
  }

  /** Back to what was opened. */
  async restore(): Promise<void> {
    if (this.original === null) return;
    this.type(this.original.text);
    await this.run("here", this.original.knobs);
  }

  private source(): Source {
    const { original, text, app } = this;
    if (original !== null && text === original.text && original.source.kind !== "timeline") return original.source;
    const name = original === null ? app.state.run?.name ?? "script" : original.source.name;
    return { kind: "script", name: `${name.replace(/, changed$/, "")}, changed`, text };
  }

  private async asked(what: () => Promise<void>): Promise<void> {
    this.own = true;
    try {
      await what();
    } finally {
      this.own = false;
      this.tell();
    }
  }

  /** Something was run or opened: here, or by somebody else. */
  private opened(state: State): void {
    if (!this.own) {
      this.text = presentText(state);
      const { source, knobs } = state.moment;
      this.original = { source, text: this.text, knobs };
    }
    this.tell();
  }

  private tell(): void {
    for (const listener of this.listeners) listener();
  }
}

/** The text of what runs now; of a timeline, the script that it was made from. */
export function presentText(state: State): string {
  const { source } = state.moment;
  if (state.run === null) return source.kind === "script" ? source.text : "";
  return state.run.script ?? state.run.tape.script;
}

function sameKnobs(a: Knobs, b: Knobs): boolean {
  return (Object.keys(a) as (keyof Knobs)[]).every((knob) => a[knob] === b[knob]);
}
