// The command that a script names in its first comment, as the scripts of examples do: it says for
// which machine the script was written.
//
// Invariant: only words that a knob has are taken over; the rest of the line means nothing here.

import { knobsFrom } from "../../runs.ts";
import type { Knobs } from "../../types.ts";

const OPTIONS = ["fs", "mount", "scheduler", "drive", "profile", "seed"];

/** The machine of a script: what its command says, else the default. */
export function knobsOf(script: string): Knobs {
  const head = /^(?:[ \t]*#.*(?:\r?\n|$))*/.exec(script)?.[0] ?? "";
  const command = /^[ \t]*#[ \t]*ondisk sim[ \t](.*)$/m.exec(head)?.[1] ?? "";
  const words: Record<string, string> = {};
  for (const [, name, value] of command.matchAll(/(?:^|\s)--([a-z]+)[ =](\S+)/g)) {
    if (name !== undefined && value !== undefined && OPTIONS.includes(name)) words[name] = value;
  }
  return knobsFrom(words);
}
