// Band 5: requests, in the plug, in the scheduler and with the drive.
import type { Run } from "../../app.ts";
import type { Cell } from "../../tape.ts";
import { el, reconcile, say, set } from "../dom.ts";
import { label, taken } from "./blocks.ts";
import { fsOf, takes, touched, type Scene } from "./scene.ts";
import { count, figures, look, stated } from "./words.ts";

/** What the drive is told. */
interface Told {
  cmd: "read" | "write" | "flush";
  fua: boolean;
  words: string;
}

/** So many requests of one room are drawn. */
const DRAWN = 8;

/** File systems without a drive of their own. */
const OTHERS: Record<string, string> = { tmpfs: "not used by tmpfs", nfs: "the server's, not drawn" };

const ROOMS: [states: string, name: string][] = [["P", "plug"], ["Q", "scheduler"], ["DF", "with the drive"]];

/** Draws the three rooms; says how many requests there are. */
export function draw(body: HTMLElement, scene: Scene): string {
  const all = scene.cells.in("q");
  const scheduler = scene.run.tape.config["scheduler"] ?? scene.run.knobs.scheduler;
  const rooms = roomsOf(body);
  ROOMS.forEach(([states, name], at) => {
    const room = rooms[at];
    if (room === undefined) return;
    const inside = all.filter((cell) => states.includes(cell.state));
    const more = inside.length > DRAWN ? `, ${figures(inside.length)} requests` : "";
    say(room.name, `${name === "scheduler" ? `scheduler: ${scheduler}` : name}${more}`);
    reconcile(room.cells, inside.slice(0, DRAWN), (cell) => cell.name, request, (element, cell) => {
      update(element, scene, cell);
    });
  });
  const flushing = all.some((cell) => cell.state === "F");
  if (all.length === 0) return OTHERS[fsOf(scene)] ?? "idle";
  return `${count(all.length, "request")}${flushing ? ", FLUSH" : ""}`;
}

function update(element: HTMLElement, scene: Scene, cell: Cell): void {
  const gone = takes(scene, cell);
  const told = toldOf(scene.run, scene.at, cell);
  set(element, "data-state", look(cell.place, cell.state));
  set(element, "data-cmd", told.cmd);
  set(element, "data-fua", told.fua);
  set(element, "data-lost", gone ? "always" : null);
  set(element, "data-now", touched(scene, cell) && scene.death?.own !== true);
  const words = element.firstElementChild;
  if (words !== null) say(words, told.words);
  label(element, `request ${cell.n}: ${told.words}, ${stated(cell.place, cell.state)}${taken(scene, gone)}`);
}

function request(cell: Cell): HTMLElement {
  return el("button", { type: "button", class: "block bytes request", "data-cell": cell.name }, el("span"));
}

const made = new WeakMap<HTMLElement, { name: HTMLElement; cells: HTMLElement }[]>();

function roomsOf(body: HTMLElement): { name: HTMLElement; cells: HTMLElement }[] {
  let rooms = made.get(body);
  if (rooms === undefined) {
    rooms = ROOMS.map(() => ({ name: el("p", { class: "room-name" }), cells: el("div", { class: "cells" }) }));
    body.append(
      el("div", { class: "rooms" }, ...rooms.map((room) => el("div", { class: "room" }, room.name, room.cells))),
    );
    made.set(body, rooms);
  }
  return rooms;
}

/** What a request asks: read from the event that brought it where it is. */
function toldOf(run: Run, at: number, cell: Cell): Told {
  if (cell.state === "F") return { cmd: "flush", fua: false, words: "FLUSH" };
  const event = run.tape.event(run.tape.change(cell.name, at));
  if (event !== null) {
    const said = event.kind === "Plugged" ? (run.tape.event(event.cause)?.words ?? "") : event.words;
    return parsed(said);
  }
  return { cmd: "write", fua: false, words: "write" };
}

/** `request 3 in slot 0: write 1 at 6 with FUA`, `request 3: 1 at 6`, `bio 2: write 4 at 2`. */
function parsed(said: string): Told {
  const found = /(read|write)? ?(\d+) at (\d+)( with FUA)?$/.exec(said);
  if (found === null) return { cmd: "write", fua: false, words: "write" };
  const cmd = found[1] === "read" ? "read" : "write";
  const fua = found[4] !== undefined;
  const first = Number(found[3]);
  const last = first + Number(found[2]) - 1;
  const where = last > first ? `${first}–${last}` : String(first);
  const slot = /slot (\d+)/.exec(said)?.[1];
  const words = `${cmd} ${where}${fua ? " FUA" : ""}${slot === undefined ? "" : ` · slot ${slot}`}`;
  return { cmd, fua, words };
}
