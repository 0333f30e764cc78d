// How the page comes to be: what it was given, where it begins, and every view on its place.
//
// Invariant: something is always shown. A link that cannot be read, data that make no sense, a
// browser without WebAssembly: each is said in a sentence, and what works goes on working.

import builtIns from "ondisk:scripts";
import type { App, Panel, Run, State, Theme } from "./app.ts";
import { dataFrom } from "./data.ts";
import type { Data } from "./data.ts";
import { openEngine } from "./engine.ts";
import { BadLink, read } from "./hash.ts";
import { listen } from "./keys.ts";
import { createApp } from "./store.ts";
import type { Host } from "./store.ts";
import type { Moment } from "./types.ts";
import { set } from "./view/dom.ts";

type Mount = (root: HTMLElement, app: App) => void;

const OPENING = { kind: "built-in", name: "opening" } as const;
const TABS = ["lesson", "plug", "change", "why"] as const;
const THEME = "ondisk-theme";

// A browser ignores a page that writes its address too often (Chromium: 200 times in ten seconds).
// A step is written at once while there is budget, then as soon as there is.
const BUDGET = 140;
const REFILL = 6 / 1000;
const SOON_MS = 250;

export async function boot(views: Record<string, Mount>): Promise<void> {
  byId("verdicts").hidden = true;
  const data = dataFrom(document.getElementById("ondisk-data")?.textContent ?? null);
  const opened = await openEngine(document.getElementById("ondisk-wasm")?.textContent ?? "");
  const host = new Page();
  const app = createApp({ host, engine: "engine" in opened ? opened.engine : opened.why, builtIns });
  frame(app);
  for (const [id, mount] of Object.entries(views)) {
    try {
      mount(byId(id), app);
    } catch (error) {
      console.error(error);
      app.complain(`A part of the page (${id}) does not work: ${String(error)}.`);
    }
  }
  listen(app);
  await begin(app, data);
  window.addEventListener("hashchange", () => {
    if (!host.isOwn()) void (location.hash.length > 1 ? follow(app) : begin(app, data));
  });
  set(document.documentElement, "data-ready", true);
}

/** Shows what the link says; else what the page was given; else the opening scene. */
async function begin(app: App, data: Data | string | null): Promise<void> {
  const given = typeof data === "string" ? null : data;
  if (given?.kind === "timeline") {
    const { name, text, at, death } = given;
    const moment = await read(location.hash, app.builtIns).catch(() => null);
    await app.openSlowly(name, text, moment?.source.kind === "timeline" ? restOf(moment) : { at, death });
  } else if (location.hash.length > 1) {
    await follow(app);
  } else if (given) {
    await app.load({ kind: "script", name: given.name, text: given.text }, given.knobs, given.at);
    if (given.death) app.die(given.death);
  }
  if (!app.state.run) await fallBack(app);
  if (typeof data === "string") app.complain(data);
}

function restOf({ at, death, model, lesson }: Moment): Partial<Moment> {
  return { at, death, model, lesson };
}

/** Goes where the link leads; where it leads nowhere, says so and shows the opening scene. */
async function follow(app: App): Promise<void> {
  try {
    const moment = await read(location.hash, app.builtIns);
    if (moment) await app.restore(moment);
  } catch (error) {
    await fallBack(app);
    app.complain(`${error instanceof BadLink ? error.message : String(error)} This is the opening scene.`);
  }
}

async function fallBack(app: App): Promise<void> {
  const trouble = app.state.trouble;
  await app.load(OPENING);
  app.go(firstSight(app.state.run));
  if (trouble) app.complain(trouble);
}

/** Where the opening scene begins: all records are in the program's buffer, and nothing left it. */
function firstSight(run: Run | null): number {
  let at = 0;
  for (let i = 1; run && i <= run.tape.length && run.tape.kind(i) !== "Spilled"; i += 1) {
    if (run.tape.kind(i) === "Buffered") at = i;
  }
  return at;
}

/** What the page does for the store. */
class Page implements Host {
  private written = "";
  private budget = BUDGET;
  private filled = performance.now();
  private waiting = false;

  later(ms: number, then: () => void): () => void {
    const timer = setTimeout(then, ms);
    return () => clearTimeout(timer);
  }

  breath(): Promise<void> {
    return new Promise((done) => setTimeout(done, 0));
  }

  address(hash: string, when: "now" | "push" | "soon"): void {
    const now = performance.now();
    this.budget = Math.min(BUDGET, this.budget + (now - this.filled) * REFILL);
    this.filled = now;
    this.written = `#${hash}`;
    if (when === "push") return this.put("pushState");
    if (when === "now" && this.budget >= 1) return this.put("replaceState");
    if (this.waiting) return;
    this.waiting = true;
    setTimeout(() => {
      this.waiting = false;
      if (location.hash !== this.written) this.put("replaceState");
    }, SOON_MS);
  }

  private put(how: "pushState" | "replaceState"): void {
    this.budget -= 1;
    try {
      history[how](null, "", this.written);
    } catch {
      // The page goes on without: the link is copied from the store.
    }
  }

  /** Whether the address is the one that was written last. */
  isOwn(): boolean {
    return location.hash === this.written;
  }

  say(text: string): void {
    const live = byId("live");
    // The same sentence again is a new one to who listens.
    live.textContent = live.textContent === text ? `${text}\u00a0` : text;
  }

  base(): string {
    return location.href.replace(/#.*$/s, "");
  }
}

/** What belongs to no view: tabs, theme, troubles, the way past the head. */
function frame(app: App): void {
  const skip = byId("skip");
  skip.addEventListener("click", (event) => {
    event.preventDefault();
    const program = byId("program");
    set(program, "tabindex", -1);
    program.focus();
  });
  const tabs = TABS.map((name) => byId(`tab-${name}`));
  tabs.forEach((tab, at) => {
    tab.addEventListener("click", () => app.show(TABS[at] ?? "lesson"));
    tab.addEventListener("keydown", (event) => {
      const by = { ArrowRight: 1, ArrowLeft: -1, Home: -at, End: TABS.length - 1 - at }[event.key];
      if (by === undefined) return;
      const to = (at + by + TABS.length) % TABS.length;
      app.show(TABS[to] ?? "lesson");
      tabs[to]?.focus();
      event.preventDefault();
    });
  });
  app.theme(storedTheme());
  let side: Panel = "lesson";
  const draw = (state: State) => {
    if (state.panel !== "help") side = state.panel;
    for (const name of TABS) {
      set(byId(`tab-${name}`), "aria-selected", String(name === side));
      set(byId(`tab-${name}`), "tabindex", name === side ? 0 : -1);
      byId(`panel-${name}`).hidden = name !== side;
    }
    const trouble = byId("trouble");
    trouble.hidden = state.trouble === null;
    if (trouble.textContent !== (state.trouble ?? "")) trouble.textContent = state.trouble ?? "";
    set(document.documentElement, "data-theme", state.theme);
    set(document.documentElement, "data-busy", state.busy);
    set(document.documentElement, "data-death", state.moment.death);
  };
  draw(app.state);
  app.on((state, changed) => {
    draw(state);
    if (changed.has("theme")) store(state.theme);
  });
}

function storedTheme(): Theme {
  try {
    const theme = localStorage.getItem(THEME);
    return theme === "light" || theme === "dark" ? theme : "auto";
  } catch {
    return "auto";
  }
}

function store(theme: Theme): void {
  try {
    localStorage.setItem(THEME, theme);
  } catch {
    // Then it holds for this visit.
  }
}

function byId(id: string): HTMLElement {
  const element = document.getElementById(id);
  if (!element) throw new Error(`The page has no place called ${id}.`);
  return element;
}
