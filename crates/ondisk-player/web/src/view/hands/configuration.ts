// The knobs of the machine, each choice with what it means, and when a knob has no say.
//
// Invariant: the values are words of `Knobs`; a knob that has no say tells why.

import type { Knobs } from "../../types.ts";

export interface Choice<T extends string = string> {
  value: T;
  is: string;
}

export interface Select {
  knob: "fs" | "scheduler" | "drive" | "profile";
  name: string;
  choices: readonly Choice[];
}

export const SELECTS: readonly Select[] = [
  {
    knob: "fs",
    name: "File system",
    choices: [
      { value: "ext4", is: "ext4" },
      { value: "tmpfs", is: "RAM disk (tmpfs)" },
      { value: "nfs", is: "network file system (nfs)" },
      { value: "xfs", is: "xfs (verdict only)" },
      { value: "btrfs", is: "btrfs (verdict only)" },
      { value: "posix", is: "posix (verdict only)" },
    ],
  },
  {
    knob: "scheduler",
    name: "Scheduler",
    choices: [
      { value: "none", is: "none: as they come" },
      { value: "mq-deadline", is: "mq-deadline: by place, until one expires" },
      { value: "bfq", is: "bfq: a budget for each task" },
    ],
  },
  {
    knob: "drive",
    name: "Drive",
    choices: [
      { value: "volatile", is: "volatile cache, FLUSH obeyed" },
      { value: "capacitor", is: "cache with capacitors" },
      { value: "none", is: "no cache" },
      { value: "lies", is: "lying: FLUSH answered, not obeyed" },
    ],
  },
  {
    knob: "profile",
    name: "The program's buffer",
    choices: [
      { value: "rust", is: "Rust BufWriter, 8 KiB" },
      { value: "c", is: "C stdio, 4 KiB" },
      { value: "python3.13", is: "Python 3.13, text" },
      { value: "python3.13:bytes", is: "Python 3.13, bytes, 4 KiB" },
      { value: "python3.14", is: "Python 3.14, text" },
      { value: "python3.14:bytes", is: "Python 3.14, bytes, 128 KiB" },
    ],
  },
];

/** `data=` of ext4; the two words beside it are switches. */
export const DATA_MODES: readonly Choice[] = [
  { value: "ordered", is: "ordered: metadata is journalled" },
  { value: "writeback", is: "writeback: nothing waits for bytes" },
  { value: "journal", is: "journal: bytes are journalled too" },
];

export const SWITCHES: readonly Choice[] = [
  { value: "dioread_lock", is: "dioread_lock: the length of a new block waits for its bytes" },
  { value: "nodelalloc", is: "nodelalloc: a block has its place with the write" },
];

/** The words of a mount: the data mode, and the switches that are on. */
export function mounted(mount: string): { data: string; on: Set<string> } {
  const words = mount.split(",").filter((word) => word !== "");
  const data = ["journal", "writeback"].find((mode) => words.includes(mode)) ?? "ordered";
  return { data, on: new Set(words.filter((word) => SWITCHES.some(({ value }) => value === word))) };
}

export function mount(data: string, on: ReadonlySet<string>): string {
  return [data, ...SWITCHES.map(({ value }) => value).filter((value) => on.has(value))].join(",");
}

/** Why a knob has no say on this machine; empty where it has one. */
export function silent(knob: "mount" | Select["knob"] | "seed", fs: Knobs["fs"]): string {
  const layers = fs === "ext4" || fs === "tmpfs" || fs === "nfs";
  if (knob === "mount" && fs !== "ext4") return "Mount options are those of ext4.";
  if (fs === "tmpfs" && (knob === "drive" || knob === "scheduler")) return "A RAM disk has no drive under it.";
  if (!layers && knob === "scheduler") return `${fs} is a set of outcomes here: nothing is ordered.`;
  return "";
}

/** A seed as it may be typed: a number of 64 bits; null for anything else. */
export function seed(text: string): string | null {
  if (!/^\d{1,20}$/.test(text.trim())) return null;
  const number = BigInt(text.trim());
  return number < 1n << 64n ? String(number) : null;
}
