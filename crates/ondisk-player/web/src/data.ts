// What `ondisk play` put into the page.
//
// Invariant: it is data. It is parsed as JSON and shown as text; nothing of it is run, fetched or
// taken for markup.

import { knobsFrom } from "./runs.ts";
import type { Death, Knobs } from "./types.ts";

export interface Data {
  kind: "script" | "timeline";
  name: string;
  text: string;
  knobs: Knobs;
  at: number;
  death: Death | null;
}

/** Reads it; null where there is none, a sentence where it makes no sense. */
export function dataFrom(json: string | null): Data | string | null {
  if (json === null) return null;
  const wrong = "The data in this page make no sense: it was damaged or edited. Make it anew: ondisk play.";
  let given: Record<string, unknown>;
  try {
    given = JSON.parse(json) as Record<string, unknown>;
  } catch {
    return wrong;
  }
  const { kind, name, text, at = 0, death = null } = given ?? {};
  if ((kind !== "script" && kind !== "timeline") || typeof name !== "string" || typeof text !== "string") return wrong;
  if (typeof at !== "number" || !Number.isSafeInteger(at) || at < 0) return wrong;
  if (death !== null && death !== "cut" && death !== "crash" && death !== "kill") return wrong;
  return { kind, name, text, knobs: knobsFrom(given["knobs"]), at, death };
}
