// The text of a script as its steps stand in it, so that single steps can be changed in place.
//
// Invariant: a change keeps every line at its number, and every byte outside the steps that it
// touches. What is no script is cut into steps somehow, and never throws: whether it runs is for
// the simulation to say.

/** A step, and where its text stands: from `from` to before `to` of its line, counted from 0. */
export interface Step {
  line: number;
  from: number;
  to: number;
  task: string;
  verb: string;
  /** The words behind the verb, up to the first value; quotes and escapes undone. */
  args: string[];
  /** The `repeat` that it stands in; -1 outside. */
  block: number;
}

/** A `repeat`: where its number stands, and which steps are its own. */
export interface Block {
  line: number;
  from: number;
  to: number;
  times: number;
  parent: number;
  /** How many steps of the script stood before it. */
  before: number;
}

/** A script, cut up. */
export interface Steps {
  lines: string[];
  steps: Step[];
  blocks: Block[];
  /** Where the comment of a line begins; its length where it has none. */
  comments: number[];
}

interface Token {
  kind: "word" | "text" | "at" | "sign";
  from: number;
  to: number;
  text: string;
}

const BARE = /[A-Za-z0-9._\-/~,:%]/;

/** Cuts a line into tokens; `end` is where its comment begins. */
function tokens(line: string): { tokens: Token[]; end: number } {
  const found: Token[] = [];
  let i = 0;
  while (i < line.length) {
    const from = i;
    const c = line.charAt(i);
    if (c === "#") return { tokens: found, end: i };
    if (c === '"') {
      i++;
      while (i < line.length && line.charAt(i) !== '"') i += line.charAt(i) === "\\" ? 2 : 1;
      i = Math.min(i + 1, line.length);
      found.push({ kind: "text", from, to: i, text: unquoted(line.slice(from, i)) });
    } else if (c === "@" || BARE.test(c)) {
      i++;
      while (i < line.length && BARE.test(line.charAt(i))) i++;
      found.push({ kind: c === "@" ? "at" : "word", from, to: i, text: line.slice(from, i) });
    } else {
      i++;
      if (!/\s/.test(c)) found.push({ kind: "sign", from, to: i, text: c });
    }
  }
  return { tokens: found, end: line.length };
}

function unquoted(text: string): string {
  const inner = text.replace(/^"/, "").replace(/"$/, "");
  const plain: Record<string, string> = { n: "\n", r: "\r", t: "\t", "0": "\0" };
  return inner.replace(/\\(x[0-9A-Fa-f]{2}|.)/g, (_, code: string) =>
    code.length === 3 ? String.fromCharCode(parseInt(code.slice(1), 16)) : plain[code] ?? code,
  );
}

/** A number of the script, `4096` or `64Ki`; 0 where it is none. */
function size(word: string): number {
  const match = /^(\d+)(Ki|Mi)?$/.exec(word);
  if (match === null) return 0;
  return Number(match[1]) * (match[2] === "Ki" ? 1024 : match[2] === "Mi" ? 1048576 : 1);
}

/** Cuts a script up. */
export function cutUp(text: string): Steps {
  const reader = new Reader(text.split("\n"));
  for (let line = 0; line < reader.steps.lines.length; line++) reader.line(line);
  return reader.steps;
}

class Reader {
  readonly steps: Steps;
  /** What is open: the number of a `repeat`, or null for `durable`; and whose its steps are. */
  private readonly open: { block: number | null; task: string }[] = [];
  private task = "A";
  private at = 0;
  private step: Token[] = [];

  constructor(lines: string[]) {
    this.steps = { lines, steps: [], blocks: [], comments: [] };
  }

  line(line: number): void {
    this.at = line;
    this.task = this.open.at(-1)?.task ?? "A";
    const cut = tokens(this.steps.lines[line] ?? "");
    this.steps.comments.push(cut.end);
    for (const token of cut.tokens) this.take(token);
    this.end();
  }

  private take(token: Token): void {
    const sign = token.kind === "sign" ? token.text : "";
    if (sign === ";") this.end();
    else if (sign === "{") this.begin();
    else if (sign === "}") this.close();
    else if (token.kind === "at" && this.step.length === 0) this.task = token.text.slice(1);
    else this.step.push(token);
  }

  /** `repeat n {` or `durable {`. */
  private begin(): void {
    const [verb, times] = this.step;
    let block: number | null = null;
    if (verb?.text === "repeat" && times !== undefined) {
      block = this.steps.blocks.length;
      const { from, to, text } = times;
      const [parent, before] = [this.block(), this.steps.steps.length];
      this.steps.blocks.push({ line: this.at, from, to, times: size(text), parent, before });
    }
    this.step = [];
    this.open.push({ block, task: this.task });
  }

  private close(): void {
    this.end();
    this.task = this.open.pop()?.task ?? this.task;
  }

  private block(): number {
    return this.open.at(-1)?.block ?? -1;
  }

  private end(): void {
    const [verb, ...rest] = this.step;
    this.step = [];
    const durable = this.open.some((open) => open.block === null);
    if (verb === undefined || verb.kind !== "word" || durable) return;
    const args: string[] = [];
    for (const token of rest) if (token.kind !== "sign") args.push(token.text);
    const to = rest.at(-1)?.to ?? verb.to;
    const place = { line: this.at, from: verb.from, to, task: this.task };
    this.steps.steps.push({ ...place, verb: verb.text, args, block: this.block() });
  }
}

/** What becomes of one step: other words, or nothing; and steps in front of it and behind it. */
interface Change {
  put: string | null;
  /** Whether the line says that the step was dropped. */
  told: boolean;
  before: string[];
  after: string[];
}

/** Changes to be made of one script, put together and then made at once. */
export class Changes {
  readonly script: Steps;
  private readonly changed = new Map<Step, Change>();
  private readonly counts = new Map<Block, number>();

  constructor(text: string) {
    this.script = cutUp(text);
  }

  /** How many steps were changed. */
  get size(): number {
    return this.changed.size + this.counts.size;
  }

  /** Takes a step out; what it said stays as a comment. */
  drop(step: Step): void {
    Object.assign(this.of(step), { put: null, told: true });
  }

  /** Takes a step out that stands elsewhere now. */
  take(step: Step): string {
    Object.assign(this.of(step), { put: null, told: false });
    return this.words(step);
  }

  isDropped(step: Step): boolean {
    return this.changed.get(step)?.put === null;
  }

  /** Gives a step another verb. */
  verb(step: Step, verb: string): void {
    const change = this.of(step);
    change.put = verb + this.words(step).slice(step.verb.length);
  }

  before(step: Step, words: string): void {
    this.of(step).before.push(words);
  }

  after(step: Step, words: string): void {
    this.of(step).after.push(words);
  }

  times(block: Block, times: number): void {
    this.counts.set(block, times);
  }

  /** The words of a step as they stand there. */
  words(step: Step): string {
    return (this.script.lines[step.line] ?? "").slice(step.from, step.to);
  }

  /** The lines that were changed, counted from 1. */
  lines(): number[] {
    const lines = [...this.changed.keys(), ...this.counts.keys()].map((one) => one.line + 1);
    return [...new Set(lines)].sort((a, b) => a - b);
  }

  /** The text with all changes made. */
  text(): string {
    const lines = [...this.script.lines];
    for (const number of this.lines()) {
      const line = number - 1;
      lines[line] = this.line(line, lines[line] ?? "");
    }
    return lines.join("\n");
  }

  private of(step: Step): Change {
    const known = this.changed.get(step);
    if (known !== undefined) return known;
    const change = { put: this.words(step), told: false, before: [], after: [] };
    this.changed.set(step, change);
    return change;
  }

  private line(line: number, text: string): string {
    const edits: { from: number; to: number; put: string }[] = [];
    for (const [block, times] of this.counts) {
      if (block.line === line) edits.push({ ...block, put: String(times) });
    }
    const [dropped, gone] = [[] as string[], [] as Step[]];
    for (const [step, change] of this.changed) {
      if (step.line !== line) continue;
      if (change.told) dropped.push(this.words(step));
      const put = [...change.before, change.put, ...change.after].filter((one) => one !== null);
      if (put.length === 0) gone.push(step);
      edits.push({ from: step.from, to: step.to, put: joined(put) });
    }
    const end = this.script.comments[line] ?? text.length;
    let code = text.slice(0, end);
    for (const edit of edits.sort((a, b) => b.from - a.from)) {
      code = code.slice(0, edit.from) + edit.put + code.slice(edit.to);
    }
    if (gone.length > 0) code = tidied(code);
    return noted(code, dropped.length === 0 ? "" : `# dropped: ${dropped.join("; ")}`, text.slice(end));
  }
}

/** Steps one after the other, and the braces around them. */
function joined(words: string[]): string {
  return words.reduce((all, word) => {
    const brace = all.endsWith("{") || word.startsWith("}");
    return all === "" ? word : `${all}${brace ? " " : "; "}${word}`;
  }, "");
}

/** A line with what is said of it behind it. */
function noted(code: string, note: string, comment: string): string {
  if (note === "") return code + comment;
  const left = code.trimEnd();
  return [left, note, comment].filter((one) => one !== "").join("  ");
}

/** A line without the separators that steps left behind; what stands in quotes is left alone. */
function tidied(code: string): string {
  const parts = code.split(/("(?:[^"\\]|\\.)*"?)/);
  const marked = parts.map((part, n) => (n % 2 === 1 ? `\u0000${n}\u0000` : part)).join("");
  const tidy = marked
    .replace(/;(\s*;)+/g, ";")
    .replace(/(^\s*|\{\s*)(@[A-Za-z0-9_]*\s*)?;\s*/g, "$1$2")
    .replace(/\s*;\s*\}/g, " }")
    .replace(/;\s*$/, "")
    .replace(/^\s*@[A-Za-z0-9_]*\s*$/, "");
  return tidy.replace(/\u0000(\d+)\u0000/g, (_, n: string) => parts[Number(n)] ?? "");
}
