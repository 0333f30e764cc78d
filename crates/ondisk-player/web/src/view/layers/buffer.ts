// Band 1: the buffers in the process, and how full they are.
import { el, reconcile, say, set } from "../dom.ts";
import { label, taken } from "./blocks.ts";
import { takes, touched, type Scene } from "./scene.ts";
import { count, figures } from "./words.ts";

/** What the buffer of a profile takes before it spills. */
const SIZES: [prefix: string, bytes: number][] = [
  ["c", 4096],
  ["python3.13:bytes", 4096],
  ["python3.13", 8192],
  ["python3.14", 131072],
];

/** Draws the buffers that hold something; says how much they hold. */
export function draw(body: HTMLElement, scene: Scene): string {
  const held = scene.cells.in("buf");
  const profile = scene.run.tape.config["profile"] ?? "rust";
  const size = SIZES.find(([prefix]) => profile.startsWith(prefix))?.[1] ?? 8192;
  reconcile(body, held.slice(0, 8), (cell) => cell.name, gauge, (element, cell) => {
    const gone = takes(scene, cell);
    const file = scene.run.names.buffer(cell.n);
    set(element, "data-lost", gone);
    set(element, "data-now", touched(scene, cell));
    const full = Math.min(100, (100 * cell.ver) / size);
    const filling = element.querySelector<HTMLElement>(".gauge-fill");
    if (filling !== null) filling.style.width = `${full.toFixed(2)}%`;
    const name = element.querySelector(".row-name");
    if (name !== null) say(name, file);
    const note = element.querySelector(".row-note");
    const told = `${figures(cell.ver)} of ${figures(size)} bytes`;
    if (note !== null) say(note, told);
    label(element, `${file} ${told}, in the process’s own buffer${taken(scene, gone)}`);
  });
  const bytes = held.reduce((sum, cell) => sum + cell.ver, 0);
  return bytes === 0 ? "empty" : `${count(bytes, "byte")} held`;
}

function gauge(cell: { name: string }): HTMLElement {
  return el(
    "button",
    { type: "button", class: "gauge plain-button", "data-cell": cell.name },
    el("span", { class: "row-name" }),
    " ",
    el("span", { class: "gauge-scale" }, el("span", { class: "gauge-fill" })),
    el("span", { class: "row-note" }),
  );
}
