// Records: chips that sit in the layer of their rung, and travel when they come to another.
//
// Invariant: a record has one chip, or none while too many are on its rung; what it shows is a
// function of the scene.
import type { RecordInfo, Rung } from "../../types.ts";
import { el, reconcile, say, set } from "../dom.ts";
import { label } from "./blocks.ts";
import { lost, rungs, RUNGS, type Scene } from "./scene.ts";
import { FATES, look, shortened, type Look } from "./words.ts";

/** So many chips are drawn on one rung: the newest. */
const DRAWN = 12;
/** The longest text on a chip. */
const TEXT = 18;

const WHERE: Record<Rung, string> = {
  buffered: "in the process's buffer",
  cached: "in the page cache",
  device: "in the drive's cache",
  durable: "durable",
  gone: "replaced by the program itself",
};

/** The chips of a stage, by record. */
export class Chips {
  private readonly chips = new Map<number, HTMLElement>();
  private readonly homes: ReadonlyMap<Rung, HTMLElement>;
  private run: Scene["run"] | null = null;

  /** `homes`: where the chips of each rung stand. */
  constructor(homes: ReadonlyMap<Rung, HTMLElement>) {
    this.homes = homes;
  }

  /** Puts every chip where it belongs; they travel if `moving`. */
  draw(scene: Scene, moving: boolean): void {
    if (this.run !== scene.run) this.clear(scene);
    const known = rungs(scene);
    const by = new Map(scene.run.info.records.map((record) => [record.n, record]));
    const wanted = new Map<Rung, RecordInfo[]>(RUNGS.map((rung) => [rung, []]));
    for (const [n, rung] of [...known].sort((a, b) => a[0] - b[0])) {
      const record = by.get(n);
      if (record !== undefined) wanted.get(home(scene, rung))?.push(record);
    }
    const hidden = new Map<Rung, number>();
    for (const [rung, records] of wanted) {
      const more = records.length - DRAWN;
      hidden.set(rung, more > 0 ? more + 1 : 0);
      if (more > 0) wanted.set(rung, records.slice(more + 1));
    }
    const before = moving ? this.places(wanted) : new Map<number, DOMRect>();
    const focused = document.activeElement;
    // First those that leave, so that no home takes away what another has taken in.
    for (const [rung, home] of this.homes) this.keep(home, staying(home, wanted.get(rung) ?? []));
    for (const [rung, home] of this.homes) {
      this.keep(home, wanted.get(rung) ?? []);
      const more = hidden.get(rung) ?? 0;
      set(home, "data-before", more === 0 ? null : `${more} before, and`);
      for (const record of wanted.get(rung) ?? []) this.update(scene, record, known.get(record.n) ?? rung);
    }
    if (focused instanceof HTMLElement && focused.isConnected && focused !== document.activeElement) {
      focused.focus({ preventScroll: true });
    }
    this.travel(before);
  }

  private clear(scene: Scene): void {
    this.run = scene.run;
    for (const home of this.homes.values()) this.keep(home, []);
    this.chips.clear();
  }

  private keep(home: HTMLElement, records: RecordInfo[]): void {
    reconcile(home, records, (record) => record.n, (record) => this.chip(record));
  }

  private chip(record: RecordInfo): HTMLElement {
    let chip = this.chips.get(record.n);
    if (chip === undefined) {
      const text = shortened(record.text, TEXT);
      const cell = `record/${record.n}`;
      chip = el("button", { type: "button", class: "chip bytes", "data-cell": cell }, el("span", null, text));
      this.chips.set(record.n, chip);
    }
    return chip;
  }

  private update(scene: Scene, record: RecordInfo, rung: Rung): void {
    const chip = this.chips.get(record.n);
    if (chip === undefined) return;
    const fate = lost(scene, record.n, rung);
    const state = worn(scene, record, rung);
    set(chip, "data-state", state);
    set(chip, "data-lost", fate === "never" ? null : fate);
    const words = chip.firstElementChild;
    if (words !== null) say(words, shortened(record.text, TEXT) || " ");
    const how = scene.death?.how ?? "cut";
    const told =
      fate === null ? "" : fate === "never" ? `; a ${how} leaves it` : `; by a ${how}: ${FATES[fate]}`;
    const shown = shortened(record.text, TEXT);
    label(chip, `${shown} (record ${record.n} of ${record.file}): ${WHERE[rung]}${told}`);
    if (shown !== record.text) set(chip, "title", `${record.text}: ${WHERE[rung]}${told}`);
  }

  /** Where those chips stand that are about to go elsewhere. */
  private places(wanted: Map<Rung, RecordInfo[]>): Map<number, DOMRect> {
    const places = new Map<number, DOMRect>();
    for (const [rung, records] of wanted) {
      const home = this.homes.get(rung);
      for (const { n } of records) {
        const chip = this.chips.get(n);
        if (chip?.isConnected && chip.parentElement !== home) places.set(n, chip.getBoundingClientRect());
      }
    }
    return places;
  }

  private travel(before: Map<number, DOMRect>): void {
    if (before.size === 0) return;
    const length = getComputedStyle(document.documentElement).getPropertyValue("--move").trim();
    const duration = Number.parseFloat(length) * (length.endsWith("ms") ? 1 : 1000);
    if (!(duration > 0)) return;
    for (const [n, from] of before) {
      const chip = this.chips.get(n);
      const to = chip?.getBoundingClientRect();
      if (chip === undefined || to === undefined || to.width === 0) continue;
      const shift = `translate(${from.left - to.left}px, ${from.top - to.top}px)`;
      chip.animate([{ transform: shift }, { transform: "none" }], {
        duration,
        easing: "cubic-bezier(0.3, 0.1, 0.2, 1)",
      });
    }
  }
}

/** Where a chip of a rung stands: what capacitors keep is in the cache still. */
function home(scene: Scene, rung: Rung): Rung {
  const drive = scene.run.tape.config["drive"] ?? scene.run.knobs.drive;
  return rung === "durable" && drive === "capacitor" ? "device" : rung;
}

function staying(home: HTMLElement, wanted: RecordInfo[]): RecordInfo[] {
  const here = new Set([...home.children].map((chip) => chip.getAttribute("data-cell")));
  return wanted.filter((record) => here.has(`record/${record.n}`));
}

/** What a record looks like: in the page cache, like the page that it is on. */
function worn(scene: Scene, record: RecordInfo, rung: Rung): Look {
  switch (rung) {
    case "durable":
      return "durable";
    case "device":
      return "held";
    case "cached":
      return look("page", pageOf(scene, record) ?? "D");
    default:
      return "dirty";
  }
}

function pageOf(scene: Scene, record: RecordInfo): string | null {
  const n = Math.floor(record.offset / 4096);
  const cell = scene.cells
    .in("page")
    .find((page) => page.n === n && scene.run.names.inode(page.of, scene.at) === record.file);
  return cell?.state ?? null;
}
