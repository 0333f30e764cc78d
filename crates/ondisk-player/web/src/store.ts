// The store: the state, and who may change it how.
//
// Invariant: the picture is a function of `state.run` and `state.moment`; whoever changes one tells
// all listeners what changed. The link in the address bar holds the moment, always.

import type { App, BuiltIn, Changed, Listener, Panel, Run, State, Theme } from "./app.ts";
import { Trap } from "./engine.ts";
import type { Engine } from "./engine.ts";
import { packSource, write } from "./hash.ts";
import { marksOf, nearest } from "./marks.ts";
import { SPEEDS, nextStop } from "./pace.ts";
import { Answers, DEFAULTS, emptyRun, knobsFrom, runScript, runTimeline } from "./runs.ts";
import { TapeError, readingTape } from "./tape.ts";
import type { Tape } from "./tape.ts";
import type { Death, Judged, Knobs, Moment, Recovered, ScriptError, Source } from "./types.ts";

/** What the page does for the store. Tests give their own. */
export interface Host {
  /** Calls back later; the answer takes that back. */
  later(ms: number, then: () => void): () => void;
  /** Lets the page be drawn, and people act, before work goes on. */
  breath(): Promise<void>;
  /** Writes the part of the address behind `#`: at once, with a step that Back goes over, or soon. */
  address(hash: string, when: "now" | "push" | "soon"): void;
  say(text: string): void;
  /** The address of the page without `#`. */
  base(): string;
}

export interface Given {
  host: Host;
  /** Or why there is none. */
  engine: Engine | string;
  builtIns: readonly BuiltIn[];
}

/** A moment of a source. */
type Rest = Omit<Moment, "source" | "knobs">;
/** Where to be in a run that is still to be made. Without a lesson: in the one that is open then. */
type Going = Omit<Rest, "lesson"> & Partial<Pick<Rest, "lesson">>;

/** Whether Back goes over it. */
type Entry = "push" | "replace";

const NOTHING: Moment = { source: { kind: "built-in", name: "opening" }, knobs: DEFAULTS, at: 0, death: null, model: "", lesson: null };

export function createApp(given: Given): App {
  return new Store(given);
}

class Store implements App {
  state: State = {
    moment: NOTHING, run: null, error: null, trouble: null, playing: false, speed: 1, busy: false,
    theme: "auto", panel: "lesson", selected: null,
  };
  private readonly listeners = new Set<Listener>();
  private readonly tapes = new Map<string, Tape>();
  private answers: Answers | null = null;
  /** The source as links have it. */
  private packed = "s=opening";
  private stopPlaying: (() => void) | null = null;
  /** Which load is the last that was asked for: what an earlier one brings is dropped. */
  private turn = 0;
  private behindHelp: Panel = "lesson";

  constructor(private readonly given: Given) {}

  get canRun(): boolean {
    return typeof this.given.engine !== "string";
  }

  get cannotRun(): string {
    return typeof this.given.engine === "string" ? this.given.engine : "";
  }

  get builtIns(): readonly BuiltIn[] {
    return this.given.builtIns;
  }

  on(listener: Listener): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  private set(part: Partial<State>, ...changed: Changed[]): void {
    this.state = { ...this.state, ...part };
    const all = new Set(changed);
    for (const listener of [...this.listeners]) {
      try {
        listener(this.state, all);
      } catch (error) {
        console.error(error);
      }
    }
  }

  private move(part: Partial<Moment>, ...changed: Changed[]): void {
    const moment = { ...this.state.moment, ...part };
    this.given.host.address(write(moment, this.packed), this.state.playing ? "soon" : "now");
    this.set({ moment }, ...changed);
  }

  private get length(): number {
    return this.state.run?.tape.length ?? 0;
  }

  go(at: number): void {
    const to = Math.max(0, Math.min(this.length, Math.trunc(at) || 0));
    if (to !== this.state.moment.at) this.move({ at: to }, "at");
  }

  step(by: number): void {
    this.pause();
    this.go(this.state.moment.at + by);
  }

  jump(to: "barrier" | "ack" | "call", direction: 1 | -1): void {
    const { run, moment } = this.state;
    if (!run) return;
    this.pause();
    const at = nearest(marksOf(run)[to], moment.at, direction);
    const what = { barrier: "barrier", ack: "acknowledgement", call: "call" }[to];
    if (at === null) this.say(`There is no ${what} ${direction === 1 ? "after" : "before"} this.`);
    else this.go(at);
  }

  play(): void {
    const { run, moment, playing } = this.state;
    if (!run || playing || this.length === 0) return;
    const isAtEnd = moment.at >= this.length;
    this.set({ playing: true }, "playing");
    if (moment.death) this.move({ death: null }, "death");
    if (isAtEnd) this.go(0);
    this.playOn();
  }

  private playOn(): void {
    const { run, moment, speed } = this.state;
    if (!run || !this.state.playing) return;
    if (moment.at >= this.length) return this.pause();
    const next = nextStop(run.tape, moment.at, speed);
    this.go(next.at);
    this.stopPlaying = this.given.host.later(next.ms, () => this.playOn());
  }

  pause(): void {
    this.stopPlaying?.();
    this.stopPlaying = null;
    if (!this.state.playing) return;
    this.given.host.address(write(this.state.moment, this.packed), "now");
    this.set({ playing: false }, "playing");
  }

  speed(times: number): void {
    const most = SPEEDS[SPEEDS.length - 1] ?? 1;
    const speed = Math.max(SPEEDS[0] ?? 1, Math.min(most, Number(times) || 1));
    if (speed !== this.state.speed) this.set({ speed }, "speed");
  }

  die(how: Death | null): void {
    this.pause();
    if (how === this.state.moment.death) return;
    this.move({ death: how }, "death");
    if (how && !this.state.moment.lesson) this.show("plug");
  }

  choose(model: string): void {
    if (model !== this.state.moment.model) this.move({ model }, "model");
  }

  lesson(lesson: Moment["lesson"]): void {
    this.move({ lesson }, "lesson");
    if (lesson) this.show("lesson");
  }

  show(panel: Panel): void {
    const now = this.state.panel;
    const next = panel === now && panel === "help" ? this.behindHelp : panel;
    if (next === now) return;
    if (now !== "help") this.behindHelp = now;
    this.set({ panel: next }, "panel");
  }

  select(cell: string | null): void {
    if (cell !== this.state.selected) this.set({ selected: cell }, "selected");
    if (cell) this.show("why");
  }

  theme(theme: Theme): void {
    if (theme !== this.state.theme) this.set({ theme }, "theme");
  }

  say(text: string): void {
    this.given.host.say(text);
  }

  complain(trouble: string | null): void {
    if (trouble !== this.state.trouble) this.set({ trouble }, "trouble");
  }

  link(): string {
    return `${this.given.host.base()}#${write(this.state.moment, this.packed)}`;
  }

  async load(source: Source, knobs: Partial<Knobs> = {}, at = 0): Promise<void> {
    await this.run(source, knobsFrom(knobs), { at, death: null, model: "" }, "push");
  }

  async restore(moment: Moment): Promise<void> {
    const { source, knobs, ...rest } = moment;
    const now = this.state.moment;
    const isSame = this.state.run !== null && JSON.stringify([now.source, now.knobs]) === JSON.stringify([source, knobs]);
    // It was gone to, by a link or by Back: the address is there already.
    if (!isSame) return this.run(source, knobs, rest, "replace");
    this.pause();
    this.move({ ...rest, at: Math.min(rest.at, this.length) }, "at", "death", "model", "lesson");
  }

  async change(knobs: Partial<Knobs>): Promise<void> {
    const { run, moment } = this.state;
    if (moment.source.kind === "timeline") return this.complain("A timeline cannot be run again. Open its script to change it.");
    const { model } = moment;
    const place = run ? placeOf(run, moment.at) : null;
    await this.run(moment.source, knobsFrom(knobs, moment.knobs), { at: 0, death: null, model }, "replace", place);
  }

  private async run(source: Source, knobs: Knobs, rest: Going, entry: Entry, place: Place | null = null): Promise<void> {
    this.pause();
    this.turn += 1;
    const turn = this.turn;
    this.set({ busy: true }, "busy");
    let packed = "";
    try {
      packed = await packSource(source);
      await this.given.host.breath();
      if (turn !== this.turn) return;
      const made = this.make(source, knobs);
      if ("run" in made) this.enter(source, packed, made.run, { ...rest, at: place ? atOf(made.run, place) : rest.at }, entry);
      else this.fail(source, packed, made.error, knobs);
    } catch (error) {
      if (turn !== this.turn) return;
      this.showText(source, packed, knobs);
      this.set({ error: null }, "error");
      this.complain(sentenceOf(error));
    }
    this.set({ busy: false }, "busy");
  }

  private make(source: Source, knobs: Knobs): { run: Run } | { error: ScriptError } {
    if (source.kind === "timeline") {
      const tape = this.tapes.get(source.name);
      if (!tape) throw new TapeError(`This link shows the timeline ${source.name}. It is not in the link: open its file.`, 0);
      return { run: runTimeline(source.name, tape) };
    }
    const text = this.textOf(source);
    if (typeof this.given.engine === "string") throw new Trap(this.given.engine);
    const made = runScript(this.given.engine, source.name, text, knobs);
    return "tape" in made ? { run: made } : { error: made };
  }

  private textOf(source: Source): string {
    if (source.kind === "script") return source.text;
    return this.builtIns.find((own) => own.name === source.name)?.text ?? "";
  }

  private enter(source: Source, packed: string, run: Run, rest: Going, entry: Entry): void {
    const isNew = entry === "push" && packed !== this.packed && this.state.run !== null;
    const { lesson } = this.state.moment;
    const moment: Moment = { lesson, ...rest, source, knobs: run.knobs, at: Math.min(rest.at, run.tape.length) };
    this.packed = packed;
    this.answers = typeof this.given.engine === "string" ? null : new Answers(this.given.engine, run);
    this.given.host.address(write(moment, packed), isNew ? "push" : "now");
    const changed: Changed[] = ["run", "at", "death", "model", "lesson", "error", "trouble", "selected"];
    this.set({ moment, run, error: null, trouble: null, selected: null }, ...changed);
    if (moment.lesson) this.show("lesson");
    else if (moment.death) this.show("plug");
  }

  private fail(source: Source, packed: string, error: ScriptError, knobs: Knobs): void {
    this.showText(source, packed, knobs);
    this.set({ error }, "error");
  }

  /** What ran before stays. Where nothing did, the text at least is shown. */
  private showText(source: Source, packed: string, knobs: Knobs): void {
    if (this.state.run || source.kind === "timeline") return;
    this.enter(source, packed, emptyRun(source.name, this.textOf(source), knobs), NOTHING, "replace");
  }

  openTimeline(name: string, text: string): void {
    void this.openSlowly(name, text);
  }

  async openSlowly(name: string, text: string, rest: Partial<Moment> = {}): Promise<void> {
    this.pause();
    this.turn += 1;
    const turn = this.turn;
    this.set({ busy: true }, "busy");
    try {
      const reading = readingTape(text);
      for (;;) {
        await this.given.host.breath();
        if (turn !== this.turn) return;
        const step = reading.next();
        if (step.done) {
          this.tapes.set(name, step.value);
          break;
        }
      }
      const source: Source = { kind: "timeline", name };
      await this.run(source, DEFAULTS, { ...NOTHING, ...rest }, "push");
    } catch (error) {
      this.complain(`${name}: ${sentenceOf(error)}`);
      this.set({ busy: false }, "busy");
    }
  }

  judge(how: Death, model = this.state.moment.model): Judged | null {
    return this.asked((answers) => answers.judge(this.state.moment.at, how, model));
  }

  recover(how: Death, choice: string): Recovered | null {
    return this.asked((answers) => answers.recover(this.state.moment.at, how, choice));
  }

  private asked<T>(ask: (answers: Answers) => T | null): T | null {
    try {
      return this.answers ? ask(this.answers) : null;
    } catch (error) {
      // A view asks while it draws: what went wrong is told behind that.
      this.given.host.later(0, () => this.complain(sentenceOf(error)));
      return null;
    }
  }
}

function sentenceOf(error: unknown): string {
  if (error instanceof Trap || error instanceof TapeError) return error.message;
  return `Something went wrong: ${error instanceof Error ? error.message : String(error)}.`;
}

/** A place in a script: so many calls of a task have begun, and whether the last has returned. */
interface Place {
  task: number;
  nth: number;
  returned: boolean;
}

function placeOf(run: Run, at: number): Place | null {
  const begun = run.info.calls.filter((call) => call.from <= at);
  const last = begun[begun.length - 1];
  if (!last) return null;
  const nth = begun.filter((call) => call.task === last.task).length;
  return { task: last.task, nth, returned: last.to > 0 && last.to <= at };
}

function atOf(run: Run, place: Place): number {
  const call = run.info.calls.filter((own) => own.task === place.task)[place.nth - 1];
  if (!call) return run.tape.length;
  return place.returned && call.to > 0 ? call.to : call.from;
}
