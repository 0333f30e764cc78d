// How far somebody has come in the lessons.
//
// Invariant: nothing depends on it. Where the browser keeps nothing, it holds for this visit.

const KEY = "ondisk-lessons";

class Progress {
  private readonly reached = new Map<string, number>();

  constructor() {
    try {
      const kept: unknown = JSON.parse(localStorage.getItem(KEY) ?? "{}");
      for (const [id, step] of Object.entries(kept as object)) {
        if (Number.isInteger(step)) this.reached.set(id, step as number);
      }
    } catch {
      // Nothing is kept here.
    }
  }

  /** How many steps of a lesson, or answers to a question, were seen. */
  of(id: string): number {
    return this.reached.get(id) ?? 0;
  }

  reach(id: string, steps: number): void {
    if (steps <= this.of(id)) return;
    this.reached.set(id, steps);
    try {
      localStorage.setItem(KEY, JSON.stringify(Object.fromEntries(this.reached)));
    } catch {
      // Then it holds for this visit.
    }
  }
}

/** The one that all views share. */
export const progress = new Progress();
