// What a file is, told from its first bytes, before the rest is read.
//
// Invariant: nothing is done with a file but this, until its size and its kind are known.

/** The largest file that is read, in bytes. */
export const MOST_BYTES = 200_000_000;
/** The longest script, in bytes, as the simulation has it. */
export const MOST_SCRIPT = 256 << 10;
/** How many bytes tell a kind. */
export const HEAD = 512;

export type Kind = { kind: "timeline" } | { kind: "script" } | { kind: "none"; why: string };

/** What a file is; `size` is that of the whole, `head` its first bytes. */
export function tell(size: number, head: Uint8Array): Kind {
  if (size === 0) return none("It is empty.");
  if (size > MOST_BYTES) {
    return none(`It has ${millions(size)} million bytes; more than ${millions(MOST_BYTES)} million are not read.`);
  }
  const wrapped = packed(head);
  if (wrapped !== "") return none(wrapped);
  const text = decoded(head, size > head.length);
  if (text === null) return none("It is no timeline and no script: it is no text.");
  if (/^\s*\{\s*"ondisk"\s*:/.test(text)) {
    if (/^\s*\{\s*"ondisk"\s*:\s*"timeline"/.test(text)) return { kind: "timeline" };
    return none("It is of ondisk, but no timeline.");
  }
  if (/^\s*[[{]/.test(text)) return none("It is JSON, but no timeline: its first line does not say so.");
  if (/^\s*</.test(text)) return none("It is a page or another marked-up text; here go scripts and timelines.");
  if (size > MOST_SCRIPT) {
    return none(`It is no timeline, and too long for a script: ${size.toLocaleString("en")} bytes, and 262,144 are the most.`);
  }
  return { kind: "script" };
}

function none(why: string): Kind {
  return { kind: "none", why };
}

function millions(bytes: number): string {
  return Math.ceil(bytes / 1_000_000).toLocaleString("en");
}

function packed(head: Uint8Array): string {
  const [a, b, c, d] = head;
  const of = (name: string) => `It is packed (${name}): unpack it first.`;
  if (a === 0x1f && b === 0x8b) return of("gzip");
  if (a === 0x28 && b === 0xb5 && c === 0x2f && d === 0xfd) return of("zstd");
  if (a === 0x50 && b === 0x4b && c === 0x03 && d === 0x04) return of("zip");
  if (a === 0xfd && b === 0x37 && c === 0x7a) return of("xz");
  if ((a === 0xff && b === 0xfe) || (a === 0xfe && b === 0xff)) return "It is UTF-16 text: save it as UTF-8.";
  return "";
}

/** The text of the first bytes; null where they are none. A character may be cut in two at the end. */
function decoded(head: Uint8Array, cut: boolean): string | null {
  if (head.includes(0)) return null;
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(head, { stream: cut });
  } catch {
    return null;
  }
}

/** A name for a file to be saved under: no path, nothing odd. */
export function fileName(name: string, ending: string): string {
  const plain = name.replace(/\.(ondisk|jsonl?|txt)$/i, "").replace(/[^A-Za-z0-9._-]+/g, "-").replace(/^[-.]+|[-.]+$/g, "");
  return `${plain.slice(0, 60) || "script"}${ending}`;
}
