// The stage: the machine at one moment, as six bands with a line for each way to die.
//
// Invariant: what is drawn is a function of the run, the moment and what is picked. A band stays the
// same element, so focus and reading place outlive every step.
//
// It is a drawing: hairlines, one weight of ink, and colour only where bytes are. The three lines are
// what one is to remember: above `user | kernel` a kill takes all, above `host | drive` a crash does,
// above `volatile | media` a cut does. The dimension at the right names the rung between two lines.
// A chip is a record; a square is a page, a block or a request; each looks as its state does.
import type { App } from "../app.ts";
import type { Death, Rung } from "../types.ts";
import { el, fill, say, set } from "./dom.ts";
import { isAsked, onAsked } from "./layers/asked.ts";
import * as boundary from "./layers/boundary.ts";
import * as buffer from "./layers/buffer.ts";
import * as drive from "./layers/drive.ts";
import * as journal from "./layers/journal.ts";
import * as operations from "./layers/operations.ts";
import * as pages from "./layers/pages.ts";
import { Chips } from "./layers/records.ts";
import * as requests from "./layers/requests.ts";
import { fsOf, scene, type Scene } from "./layers/scene.ts";
import * as vfs from "./layers/vfs.ts";
import { clock, doing, figures } from "./layers/words.ts";

/** What draws a band: it says in a few words what the band holds. */
type Draw = (body: HTMLElement, scene: Scene) => string;

/** A band, or a half of the last one. */
interface Band {
  layer: number;
  element: HTMLElement;
  holds: HTMLElement;
  now: HTMLElement;
  body: HTMLElement;
  empty: HTMLElement;
  records: HTMLElement;
  draw: Draw;
}

/** Which line a death draws, and what it says there. */
const LINES: Record<Death, [above: string, below: string]> = {
  kill: ["user", "kernel"],
  crash: ["host", "drive"],
  cut: ["volatile", "media"],
};

/** The same where the disk is a server's. */
const OVER_NETWORK: Record<Death, [above: string, below: string]> = {
  kill: ["user", "kernel"],
  crash: ["client", "server"],
  cut: ["its memory", "its disk"],
};

export function mount(root: HTMLElement, app: App): void {
  const stage = new Stage(root, app);
  stage.draw();
  onAsked(app, () => stage.draw());
  app.on((state, changed) => {
    const { run, moment, playing } = state;
    if (changed.has("at") && !changed.has("run") && run !== null && !playing) {
      app.say(`Event ${moment.at}: ${run.names.event(moment.at)}`);
    }
    if (["run", "at", "death", "model"].some((what) => changed.has(what as "run"))) stage.draw();
    else if (changed.has("selected")) stage.pick();
  });
}

class Stage {
  private readonly told: [number: HTMLElement, words: HTMLElement, cause: HTMLElement];
  private readonly drawing = el("div", { class: "drawing" });
  private readonly legend = legend();
  private readonly plain = el("div", { class: "plain", hidden: true });
  private readonly bands: Band[] = [];
  private readonly lines = new Map<Death, HTMLElement>();
  private readonly crossing = el("div", { class: "crossing" });
  private readonly chips: Chips;
  private at = 0;
  private readonly root: HTMLElement;
  private readonly app: App;

  constructor(root: HTMLElement, app: App) {
    this.root = root;
    this.app = app;
    this.told = [
      el("span", { class: "told-number" }),
      el("p", { class: "told-words" }),
      el("span", { class: "told-cause" }),
    ];
    fill(root, el("div", { class: "told" }, ...this.told), this.plain, this.drawing, this.legend);
    this.build();
    const home = (at: number): HTMLElement => this.bands[at]?.records ?? root;
    const homes: [Rung, HTMLElement][] = [
      ["buffered", home(0)],
      ["cached", home(2)],
      ["device", home(5)],
      ["durable", home(6)],
    ];
    this.chips = new Chips(new Map(homes));
    root.addEventListener("click", (event) => this.clicked(event));
    root.addEventListener("keydown", (event) => this.keyed(event));
    root.addEventListener("focusin", (event) => this.focused(event));
  }

  private build(): void {
    const top = (layer: number, name: string, draw: Draw): HTMLElement => this.band("section", layer, name, draw);
    // The bands are kept in the order in which they are made: from the top down.
    const user = top(1, "User buffer", buffer.draw);
    const kernel = [
      top(2, "VFS", vfs.draw),
      top(3, "Page cache", pages.draw),
      top(4, "File system", journal.draw),
      top(5, "Block layer", requests.draw),
    ];
    const ssd = el("section", { class: "ssd", "aria-label": "Layer 6: SSD" });
    ssd.append(
      zone(rung("device", "Device"), this.band("div", 6, "SSD, its cache", drive.drawCache)),
      this.line("cut"),
      zone(rung("durable", "Durable"), this.band("div", 6, "SSD, its flash", drive.drawFlash)),
    );
    this.drawing.append(
      zone(rung("buffered", "Buffered"), user),
      this.line("kill"),
      zone(rung("cached", "Cached"), ...kernel),
      this.line("crash"),
      ssd,
    );
    this.lines.get("kill")?.append(this.crossing);
  }

  private band(tag: "section" | "div", layer: number, name: string, draw: Draw): HTMLElement {
    const id = `band-${this.bands.length + 1}`;
    const holds = el("p", { class: "band-holds" });
    const now = el("p", { class: "band-now" });
    const body = el("div", { class: "band-rows" });
    const empty = el("span", { class: "band-empty", "aria-hidden": "true" }, "–");
    const records = el("div", { class: "records" });
    const head = el(
      "div",
      { class: "band-head" },
      el("span", { class: "band-number", "aria-hidden": "true" }, layer),
      el("h3", { class: "band-name", id }, name),
      holds,
      now,
    );
    const element = el(
      tag,
      { class: "band", "data-layer": layer, "aria-labelledby": id, role: tag === "div" ? "group" : null },
      head,
      el("div", { class: "band-body" }, records, body, empty),
    );
    this.bands.push({ layer, element, holds, now, body, empty, records, draw });
    return element;
  }

  private line(death: Death): HTMLElement {
    const [above, below] = LINES[death];
    const element = el(
      "div",
      { class: "line", "data-line": death },
      el("span", { class: "line-above" }, `${above} | ${below}`),
      el("span", { class: "line-takes" }),
    );
    this.lines.set(death, element);
    return element;
  }

  draw(): void {
    const now = scene(this.app, isAsked());
    this.root.hidden = now === null;
    if (now === null) return;
    this.tell(now);
    const machine = now.run.info.level === "machine";
    this.drawing.hidden = !machine;
    this.plain.hidden = machine;
    this.legend.hidden = !machine;
    if (!machine) {
      operations.draw(this.plain, this.app, now, isAsked());
      return;
    }
    this.bands.forEach((band, at) => this.drawBand(now, band, at));
    boundary.draw(this.crossing, now);
    this.drawLines(now);
    const near = Math.abs(now.at - this.at) <= 16;
    this.chips.draw(now, near && !now.death?.own);
    this.at = now.at;
    for (const band of this.bands) {
      const full = band.records.childElementCount > 0 || band.body.querySelector("[data-cell], .descriptor, .errno, .room") !== null;
      band.empty.hidden = full;
    }
    this.pick();
  }

  private drawBand(now: Scene, band: Band, at: number): void {
    say(band.holds, band.draw(band.body, now));
    const acts = now.event?.layer === band.layer && (band.layer !== 6 || half(now) === at);
    set(band.element, "data-now", acts);
    say(band.now, acts ? `${figures(now.at)} · ${doing(now.event?.kind ?? "")}` : "");
  }

  private drawLines(now: Scene): void {
    const drive = now.run.tape.config["drive"] ?? now.run.knobs.drive;
    const overNetwork = fsOf(now) === "nfs";
    for (const [death, line] of this.lines) {
      const fallen = now.death?.how === death;
      const [above, below] = overNetwork ? OVER_NETWORK[death] : LINES[death];
      const name = line.querySelector(".line-above");
      if (name !== null) say(name, `${above} | ${below}`);
      set(line, "data-fallen", fallen);
      const takes = line.querySelector(".line-takes");
      const spared = death === "cut" && drive === "capacitor";
      const words = fallen
        ? `this ${death} ${now.death?.own === true ? "took" : "takes"} all above`
        : spared
          ? "capacitors: a cut takes no more than a crash"
          : `a ${death} takes all above`;
      if (takes !== null) say(takes, words);
    }
  }

  private tell(now: Scene): void {
    const [number, words, cause] = this.told;
    const last = now.run.tape.length;
    say(number, `${figures(now.at)} / ${figures(last)}`);
    say(words, now.at === 0 ? "Before the first event" : now.run.names.event(now.at));
    const because = now.event?.cause ?? 0;
    const ago = because === 0 ? "" : `, because of event ${figures(because)}: ${now.run.names.event(because)}`;
    say(cause, now.at === 0 ? "The machine is switched on." : `${when(now)}${ago}`);
  }

  /** Marks what is picked, and leaves one stop for the tabulator in each band. */
  pick(): void {
    const picked = this.app.state.selected;
    for (const band of this.bands) {
      const cells = [...band.element.querySelectorAll<HTMLElement>("[data-cell]")];
      const stop = cells.find((cell) => cell === document.activeElement) ?? cells[0];
      for (const cell of cells) {
        set(cell, "tabindex", cell === stop ? 0 : -1);
        const mine = cell.dataset["cell"] === picked;
        set(cell, "data-picked", mine);
        set(cell, "aria-current", mine ? "true" : null);
      }
    }
  }

  private clicked(event: MouseEvent): void {
    const cell = cellOf(event.target);
    if (cell === null) return;
    this.app.select(cell.dataset["cell"] ?? null);
  }

  /** Up and down go from block to block; left and right stay with time. */
  private keyed(event: KeyboardEvent): void {
    const from = cellOf(event.target);
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (from === null || step === 0 || event.altKey || event.ctrlKey || event.metaKey) return;
    const all = [...this.drawing.querySelectorAll<HTMLElement>("[data-cell]")];
    const to = all[all.indexOf(from) + step];
    event.preventDefault();
    to?.focus();
  }

  private focused(event: FocusEvent): void {
    const cell = cellOf(event.target);
    const band = this.bands.find((one) => cell !== null && one.element.contains(cell));
    if (cell === null || band === undefined) return;
    for (const other of band.element.querySelectorAll("[data-cell]")) {
      set(other, "tabindex", other === cell ? 0 : -1);
    }
  }
}

/** The models know no time. */
function when(now: Scene): string {
  return now.run.info.level === "machine" ? `at ${clock(now.t)}` : "one call after the other";
}

function cellOf(target: EventTarget | null): HTMLElement | null {
  return target instanceof Element ? target.closest<HTMLElement>("[data-cell]") : null;
}

/** Which half of the drive an event is about: the cache or flash, by their places among the bands. */
function half(now: Scene): number {
  const changes = now.event?.changes ?? [];
  const flash = changes.some((change) => change.place === "nand" || change.now.startsWith("S"));
  return flash || now.event?.kind === "Erased" ? 6 : 5;
}

/** Bands between two lines: all on one rung. */
function zone(dimension: HTMLElement, ...bands: HTMLElement[]): HTMLElement {
  return el("div", { class: "zone" }, el("div", { class: "bands" }, ...bands), dimension);
}

function rung(name: Rung, title: string): HTMLElement {
  const words = el("span", null, el("strong", null, title));
  return el("div", { class: "rung", "data-rung": name, "aria-hidden": "true" }, words);
}


/** What the looks of bytes mean. */
function legend(): HTMLElement {
  const looks: [look: string, lost: string | null, words: string][] = [
    ["dirty", null, "dirty: in memory alone"],
    ["flight", null, "on its way"],
    ["clean", null, "clean: a copy"],
    ["held", null, "in the drive’s cache"],
    ["durable", null, "durable"],
    ["failed", null, "failed"],
    ["dirty", "always", "lost"],
  ];
  const items = looks.map(([look, lost, words]) =>
    el("li", null, el("span", { class: "bytes key", "data-state": look, "data-lost": lost }), words),
  );
  return el("ul", { class: "legend", "aria-label": "What the looks mean" }, ...items);
}
