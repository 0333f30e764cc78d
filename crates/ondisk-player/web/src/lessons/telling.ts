// Sentences with their figures: `{name}` becomes what the run answers.
//
// Invariant: a figure is asked, never written. One that cannot be asked now is shown as …

import type { Answer, Ask, Option } from "./lesson.ts";
import { answerTo, type Bench } from "./claims.ts";

/** The figures of a sentence, asked at a moment. */
export type Figures = Readonly<Record<string, Answer | null>>;

export function figuresOf(asks: Record<string, Ask> | undefined, at: number, bench: Bench | null): Figures {
  const figures: Record<string, Answer | null> = {};
  for (const [name, ask] of Object.entries(asks ?? {})) {
    figures[name] = bench === null ? null : answerTo(ask, at, bench);
  }
  return figures;
}

/** A piece of a sentence. */
export interface Piece {
  kind: "words" | "code" | "figure";
  text: string;
}

/** Takes a sentence apart: words, `code`, and figures in their places. */
export function pieces(text: string, figures: Figures): Piece[] {
  return text
    .split(/(`[^`]*`|\{\w+\})/)
    .filter((part) => part !== "")
    .map((part): Piece => {
      if (part.startsWith("`")) return { kind: "code", text: part.slice(1, -1) };
      if (part.startsWith("{")) return { kind: "figure", text: String(figures[part.slice(1, -1)] ?? "…") };
      return { kind: "words", text: part };
    });
}

/** The same as plain text, for who listens. */
export function plain(text: string, figures: Figures): string {
  return pieces(text, figures).map((piece) => piece.text).join("");
}

/** What is said of a choice: whether it was right, and what the run says. */
export function verdict(chosen: Option | undefined, right: Option | undefined): string {
  if (right === undefined) return "The run does not say.";
  return chosen === right ? `Right: ${lower(right.text)}.` : `No. The run says: ${lower(right.text)}.`;
}

function lower(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
