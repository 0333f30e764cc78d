// The whole run on one strip: a lane for each layer, ink where it acts, and the marks above.
//
// Invariant: however many events there are, at most one piece of ink stands in a lane at a pixel and
// at most one mark of a kind in `APART` pixels.
import type { Run } from "../../app.ts";

/** One lane for each layer. */
export const LANES = 6;
/** Pixels between two marks of a kind. */
const APART = 11;
/** The first lane begins here, in pixels; a lane is so high. */
const TOP = 22;
const LANE = 6;

export interface Mark {
  kind: "ack" | "sync" | "flush" | "death";
  /** The event, and its pixel. */
  at: number;
  x: number;
}

export interface Strip {
  width: number;
  /** By lane and pixel: how many events of those in the pixel are in that lane, of 255. */
  ink: Uint8Array;
  /** From which pixel to which a sync call, and a FLUSH, was under way. */
  syncs: [number, number][];
  flushes: [number, number][];
  marks: Mark[];
  /** Pixels for an event. */
  wide: number;
}

/** Gathers a run into pixels. */
export function gathered(run: Run, width: number): Strip {
  const length = run.tape.length;
  const pixel = (at: number): number => Math.min(width - 1, Math.floor((at * width) / Math.max(1, length)));
  const counts = new Uint32Array(LANES * width);
  const strip: Strip = { width, ink: new Uint8Array(LANES * width), syncs: [], flushes: [], marks: [], wide: width / Math.max(1, length) };
  const all: Mark[] = [];
  const mark = (kind: Mark["kind"], at: number): void => {
    all.push({ kind, at, x: Math.round((at * width) / Math.max(1, length)) });
  };
  let flush = 0;
  for (let at = 1; at <= length; at += 1) {
    const layer = run.tape.layer(at);
    const lane = layer - 1;
    if (lane >= 0 && lane < LANES) {
      const place = lane * width + pixel(at);
      counts[place] = (counts[place] ?? 0) + 1;
    }
    const kind = run.tape.kind(at);
    if (kind === "FlushStart") flush = at;
    else if (kind === "FlushDone") {
      mark("flush", at);
      join(strip.flushes, pixel(flush), pixel(at));
    }
  }
  for (const death of run.info.deaths) mark("death", death.event);
  for (const call of run.info.calls) {
    if (!/^(?:fsync|fdatasync|sync|msync|sync_file_range)\(/.test(call.words)) continue;
    const to = call.to === 0 ? length : call.to;
    mark("sync", to);
    join(strip.syncs, pixel(call.from), pixel(to));
  }
  for (const ack of run.info.acks) mark("ack", ack.event);
  let most = 1;
  for (const n of counts) if (n > most) most = n;
  counts.forEach((n, place) => {
    strip.ink[place] = n === 0 ? 0 : 110 + Math.round((145 * n) / most);
  });
  strip.marks = thinned(all);
  return strip;
}

function join(spans: [number, number][], from: number, to: number): void {
  const last = spans[spans.length - 1];
  if (last !== undefined && from <= last[1]) last[1] = Math.max(last[1], to);
  else spans.push([from, to]);
}

/** Of marks of one kind that would stand upon each other, the first; a death always. */
function thinned(all: Mark[]): Mark[] {
  const order: Mark["kind"][] = ["death", "ack", "sync", "flush"];
  const taken: number[] = [];
  const kept: Mark[] = [];
  for (const kind of order) {
    let last = -APART;
    for (const mark of all.filter((one) => one.kind === kind).sort((a, b) => a.at - b.at)) {
      const free = kind === "death" || !taken.some((x) => Math.abs(x - mark.x) < APART);
      if (mark.x - last < APART || !free) continue;
      last = mark.x;
      kept.push(mark);
    }
    taken.push(...kept.filter((mark) => mark.kind === kind).map((mark) => mark.x));
  }
  return kept;
}

/** Draws a strip; marks are elements above it. */
export function paint(canvas: HTMLCanvasElement, strip: Strip): void {
  const height = TOP + LANES * LANE + 2;
  const dense = Math.min(3, window.devicePixelRatio || 1);
  canvas.width = Math.round(strip.width * dense);
  canvas.height = Math.round(height * dense);
  canvas.style.width = `${strip.width}px`;
  canvas.style.height = `${height}px`;
  const pen = canvas.getContext("2d");
  if (pen === null) return;
  pen.scale(dense, dense);
  const colour = colours(canvas);
  pen.fillStyle = colour.sync;
  if (!colour.forced) for (const [from, to] of strip.syncs) pen.fillRect(from, TOP, Math.max(1, to - from + 1), LANES * LANE);
  pen.fillStyle = colour.flush;
  for (const [from, to] of strip.flushes) pen.fillRect(from, TOP + LANES * LANE - 1, Math.max(1, to - from + 1), 3);
  pen.fillStyle = colour.hair;
  for (let lane = 0; lane <= LANES; lane += 1) pen.fillRect(0, TOP + lane * LANE - 0.5, strip.width, 0.5);
  pen.fillStyle = colour.ink;
  const wide = Math.max(1.5, Math.min(9, strip.wide * 0.7));
  for (let lane = 0; lane < LANES; lane += 1) {
    for (let x = 0; x < strip.width; x += 1) {
      const ink = strip.ink[lane * strip.width + x] ?? 0;
      if (ink === 0) continue;
      pen.globalAlpha = ink / 255;
      pen.fillRect(x - wide / 2, TOP + lane * LANE + 1, wide, LANE - 2);
    }
  }
  pen.globalAlpha = 1;
}

interface Colours {
  ink: string;
  hair: string;
  sync: string;
  flush: string;
  /** The person has chosen all colours: there is ink and paper, and no shade between. */
  forced: boolean;
}

function colours(canvas: HTMLCanvasElement): Colours {
  const forced = matchMedia("(forced-colors: active)").matches;
  const probe = document.createElement("i");
  canvas.after(probe);
  const of = (name: string): string => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };
  const found = { ink: of("--ink"), hair: of("--hair"), sync: of("--flight-bg"), flush: of("--flight"), forced };
  probe.remove();
  return found;
}
