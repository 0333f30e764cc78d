// What a death took and why, in sentences made from the answers of the simulation.
//
// Invariant: a sentence says no more than the fate, the rung and the examples that it is made from;
// nothing here knows a script.

import type { Death, Fate, Judged, Lost, RecordInfo, Rung } from "../../types.ts";

/** A death as a verb and as a noun, and what it takes. */
export const DEATHS: Record<Death, { does: string; name: string; noun: string; takes: string }> = {
  cut: { does: "Cut the power", name: "Power cut", noun: "power cut", takes: "all memory, and the drive's volatile cache" },
  crash: { does: "Crash the kernel", name: "Crash of the kernel", noun: "crash", takes: "the page cache; the drive keeps its power" },
  kill: { does: "Kill the process", name: "Kill of the process", noun: "kill", takes: "the program's own buffers; the kernel lives on" },
};

/** The answers that can be given, by key. */
export const ANSWERS: readonly { key: string; lost: Lost; is: string; survives: string }[] = [
  { key: "1", lost: "never", is: "never lost", survives: "It survives, whatever happens." },
  { key: "2", lost: "sometimes", is: "may be lost", survives: "It may be there, and may not." },
  { key: "3", lost: "always", is: "always lost", survives: "It is gone for certain." },
];

/** `never lost`, `may be lost`, `always lost`. */
export function lostIs(lost: Lost): string {
  return ANSWERS.find((answer) => answer.lost === lost)?.is ?? "";
}

/** `it may be lost`. */
export function itIs(lost: Lost): string {
  return lost === "sometimes" ? "it may be lost" : `it is ${lostIs(lost)}`;
}

/** What counts: the model where one speaks, for it allows all that machines of its kind may do. */
export function truth(fate: Fate): Lost {
  return fate.model ?? fate.machine;
}

/** Whether a prediction came true, in one sentence. */
export function graded(said: Lost, fate: Fate, judged: Judged): string {
  const is = truth(fate);
  const here = lostIs(fate.machine);
  if (said === is) {
    const aside = fate.model !== null && fate.machine !== fate.model ? ` This very machine, seed and all: ${here}.` : "";
    return `Right: ${itIs(is)}.${aside}`;
  }
  if (said === fate.machine) {
    return `Right for this very machine (${here}), but ${judged.model} allows more: ${itIs(is)}.`;
  }
  return `No: you said “${lostIs(said)}”, and ${itIs(is)}.`;
}

const WHERE: Record<Exclude<Rung, "gone">, string> = {
  buffered: "in the program's own buffer",
  cached: "in the page cache, which is memory of the kernel",
  device: "in the drive, but only in its volatile cache",
  durable: "on stable media, and reachable by its name",
};

/** Why a record fares as it does, in one sentence or two. */
export function why(record: RecordInfo, rung: Rung | null, fate: Fate, judged: Judged): string {
  const place = rung === null || rung === "gone" ? "" : `It was ${WHERE[rung]}`;
  const is = truth(fate);
  const reason = is === "never" ? kept(rung, judged) : taken(rung, is, judged);
  const first = place === "" ? capital(reason) : `${place}: ${reason}`;
  const shape = is === "never" ? "" : shaped(record, fate);
  return shape === "" ? `${first}.` : `${first}. ${shape}`;
}

function kept(rung: Rung | null, judged: Judged): string {
  const noun = `a ${DEATHS[judged.how].noun}`;
  if (!judged.exact) return `${noun} was not seen to take it`;
  switch (rung) {
    case "cached":
    case "device":
      if (judged.how === "kill") return "a kill takes the process, and the kernel writes on";
      if (judged.how === "crash" && rung === "device") return "a crash takes the kernel, and the drive keeps its power";
      return `a sync has raised it above what ${noun} can take`;
    case "durable":
      return `${noun} does not reach that far`;
    default:
      return `${noun} leaves it in every state that is allowed`;
  }
}

/** What takes a record from its rung. */
function taken(rung: Rung | null, is: Lost, judged: Judged): string {
  const { how } = judged;
  const noun = `a ${DEATHS[how].noun}`;
  const chance = is === "sometimes";
  if (rung === "buffered") {
    const buffer = `${noun} takes the process and its buffer with it`;
    return chance ? `${buffer}, unless the bytes were handed down before` : `${buffer}`;
  }
  if (rung === "cached" && how !== "kill") {
    return chance
      ? `${noun} takes it, unless write-back has been quicker; no sync waited for it`
      : `${noun} takes it, and no sync has brought it further`;
  }
  if (rung === "device" && how === "cut") {
    return chance
      ? "a cut empties that cache, unless the drive has programmed it by then; no FLUSH has ended since"
      : "a cut empties that cache, and no FLUSH has brought it further";
  }
  if (rung === "durable" || rung === "device") {
    return `so it is on this machine, but ${judged.model} does not promise it: no sync that counts covers it`;
  }
  return chance ? `${noun} may take it: no sync covers it` : `${noun} takes it in every state that is allowed`;
}

/** What is there in its place, told from the example of a loss. */
function shaped(record: RecordInfo, fate: Fate): string {
  const file = record.file;
  const example = valueOf(fate.lost, file);
  const lost = withoutStrings(example);
  if (/\babsent\b/.test(lost)) {
    return fate.survives === ""
      ? `Nothing is under the name ${file} then.`
      : `The name ${file} is not durable yet: bytes that no name leads to are lost.`;
  }
  if (/\bjunk\b/.test(lost)) {
    return `The length of ${file} is there before its bytes: in their place are somebody's former bytes.`;
  }
  if (/\bzeros\b/.test(lost)) {
    // Where there are zeros either way, the program may have put them there itself.
    return fate.survives === "" || /\bzeros\b/.test(withoutStrings(fate.survives))
      ? "In its place are zeros."
      : `The length of ${file} is there before its bytes: in their place are zeros.`;
  }
  if (/\bpartial\b/.test(lost)) return `Of ${file} a part is there, and a part is not: a block may be torn.`;
  const path = fate.lost.slice(0, Math.max(0, fate.lost.length - example.length - 4));
  if (path !== "" && path !== file) return `The name ${path} does not stand for it yet: what was there before is there.`;
  return example === '""' ? `The name ${file} is there, and the file is empty.` : "";
}

/** The value in `log is "record 1"`. */
function valueOf(sentence: string, file: string): string {
  const begin = `${file} is `;
  if (sentence.startsWith(begin)) return sentence.slice(begin.length).trim();
  return sentence.slice(sentence.indexOf(" is ") < 0 ? 0 : sentence.indexOf(" is ") + 4).trim();
}

/** A value of scripts without its strings, so that no text of a program is taken for a word. */
function withoutStrings(value: string): string {
  return value.replace(/"(?:[^"\\]|\\.)*"/g, "");
}

/** How much was looked at. */
export function looked(judged: Judged): string {
  const count = judged.states.toLocaleString("en");
  const one = judged.states === 1;
  const what = judged.model === ""
    ? `${count} ${one ? "way" : "ways"} of this machine to die looked at`
    : `${count} ${one ? "state" : "states"} of ${judged.model} looked at`;
  if (judged.exact) return `${what}; nothing is left open.`;
  return `${what}; there are more, so “never lost” means: not seen to be lost.`;
}

/** A promise and what becomes of it. */
export function promise(fate: Fate): string {
  switch (truth(fate)) {
    case "never":
      return "kept";
    case "sometimes":
      return "may be broken";
    default:
      return "broken";
  }
}

/** A sentence begins with a capital. */
export function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
