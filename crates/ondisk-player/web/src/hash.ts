// Links: a moment as the part of an address behind `#`, and back.
//
// Invariant: what `write` makes of a moment, `read` gives again; what it cannot read is said and
// never half believed. A link that came from outside is bounded before it is unpacked.

import { DEFAULTS, knobsFrom } from "./runs.ts";
import type { Death, Knobs, Moment, Source } from "./types.ts";

/** A link that says nothing, or nothing that can be read: the sentence is for people. */
export class BadLink extends Error {
  override readonly name = "BadLink";
}

/** A script in a link is at most so long. */
export const MOST_SCRIPT = 1 << 20;
const MOST_LINK = 1 << 21;
const MOST_NAME = 200;
const KNOBS = ["fs", "mount", "scheduler", "drive", "profile", "seed"] as const;
const DEATHS: readonly string[] = ["cut", "crash", "kill"];

/** The part of a link that names the source: made once for each, since packing takes a moment. */
export async function packSource(source: Source): Promise<string> {
  if (source.kind === "built-in") return `s=${encodeURIComponent(source.name)}`;
  if (source.kind === "timeline") return `t=${encodeURIComponent(source.name)}`;
  const name = source.name ? `n=${encodeURIComponent(source.name)}&` : "";
  return `${name}${await packed(source.text)}`;
}

async function packed(text: string): Promise<string> {
  const bytes = new TextEncoder().encode(text);
  if (typeof CompressionStream !== "function") return `p=${toBase64(bytes)}`;
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate-raw"));
  return `z=${toBase64(new Uint8Array(await new Response(stream).arrayBuffer()))}`;
}

/** The part behind `#`, without it. `source` is what `packSource` made. */
export function write(moment: Moment, source: string): string {
  const words = [source];
  for (const name of KNOBS) {
    if (moment.knobs[name] !== DEFAULTS[name]) words.push(`${name}=${encodeURIComponent(moment.knobs[name])}`);
  }
  if (moment.at > 0) words.push(`at=${moment.at}`);
  if (moment.death) words.push(`die=${moment.death}`);
  if (moment.model) words.push(`model=${encodeURIComponent(moment.model)}`);
  if (moment.lesson) words.push(`lesson=${encodeURIComponent(moment.lesson.id)}.${moment.lesson.step}`);
  return words.join("&");
}

/** Reads the part behind `#`; null where there is none. Throws a `BadLink`. */
export async function read(hash: string, builtIns: readonly { name: string }[]): Promise<Moment | null> {
  const text = hash.replace(/^#/, "");
  if (text === "") return null;
  if (text.length > MOST_LINK) throw new BadLink("The link is too long.");
  const words = wordsOf(text);
  const source = await sourceOf(words, builtIns);
  const at = words.get("at") ?? "0";
  if (!/^\d{1,9}$/.test(at)) throw new BadLink("The link names no moment: `at` is no number of an event.");
  const die = words.get("die");
  if (die !== undefined && !DEATHS.includes(die)) throw new BadLink("The link names a death that is none: `die` is cut, crash or kill.");
  const model = words.get("model") ?? "";
  if (!/^[\w:.-]{0,40}$/.test(model)) throw new BadLink("The link names no model.");
  return { source, knobs: knobsOf(words), at: Number(at), death: (die as Death | undefined) ?? null, model, lesson: lessonOf(words) };
}

function wordsOf(text: string): Map<string, string> {
  const words = new Map<string, string>();
  for (const part of text.split("&")) {
    const cut = part.indexOf("=");
    if (cut <= 0) throw new BadLink("The link is broken.");
    words.set(part.slice(0, cut), decoded(part.slice(cut + 1)));
  }
  return words;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new BadLink("The link is broken.");
  }
}

async function sourceOf(words: Map<string, string>, builtIns: readonly { name: string }[]): Promise<Source> {
  const [builtIn, timeline, name] = [words.get("s"), words.get("t"), words.get("n") ?? ""];
  if ([builtIn, timeline, name].some((word) => (word ?? "").length > MOST_NAME)) throw new BadLink("The link has too long a name.");
  if (builtIn !== undefined) {
    if (builtIns.some((own) => own.name === builtIn)) return { kind: "built-in", name: builtIn };
    throw new BadLink(`The link names a script that this page does not have: ${builtIn}.`);
  }
  if (timeline !== undefined) return { kind: "timeline", name: timeline };
  const [deflated, plain] = [words.get("z"), words.get("p")];
  if (deflated !== undefined) return { kind: "script", name, text: await unpacked(fromBase64(deflated)) };
  if ((plain ?? "").length > MOST_SCRIPT) throw new BadLink("The script in the link is too long.");
  if (plain !== undefined) return { kind: "script", name, text: textOf(fromBase64(plain)) };
  throw new BadLink("The link names no script.");
}

function knobsOf(words: Map<string, string>): Knobs {
  const given = Object.fromEntries(KNOBS.flatMap((name) => (words.has(name) ? [[name, words.get(name)]] : [])));
  const knobs = knobsFrom(given);
  for (const [name, word] of Object.entries(given)) {
    if (knobs[name as keyof Knobs] !== word) throw new BadLink(`The link sets \`${name}\` to something that is not there.`);
  }
  return knobs;
}

function lessonOf(words: Map<string, string>): Moment["lesson"] {
  const lesson = words.get("lesson");
  if (lesson === undefined) return null;
  const found = /^([\w-]{1,60})\.(\d{1,3})$/.exec(lesson);
  if (!found) throw new BadLink("The link names no lesson.");
  return { id: found[1] ?? "", step: Number(found[2]) };
}

async function unpacked(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  if (typeof DecompressionStream !== "function") throw new BadLink("This browser cannot unpack the script in the link.");
  const reader = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw")).getReader();
  const parts: Uint8Array[] = [];
  let length = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      length += value.length;
      if (length > MOST_SCRIPT) throw new BadLink("The script in the link is too long.");
      parts.push(value);
    }
  } catch (error) {
    await reader.cancel().catch(() => undefined);
    throw error instanceof BadLink ? error : new BadLink("The script in the link is damaged: was the link cut off?");
  }
  const all = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return textOf(all);
}

function textOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new BadLink("The script in the link is damaged: was the link cut off?");
  }
}

function toBase64(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  try {
    return Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (letter) => letter.charCodeAt(0));
  } catch {
    throw new BadLink("The script in the link is damaged: was the link cut off?");
  }
}
