// Files: what is opened, kept and passed on; and how the page looks.
//
// Invariant: a file is told apart by its first bytes and its size before it is read; what it holds
// is shown as text or played, and is never run, fetched or taken for markup. What is wrong with it
// is said at its place, and the page goes on.

import type { App, Theme } from "../app.ts";
import { el, fill, reconcile, set } from "./dom.ts";
import { knobsOf } from "./hands/command.ts";
import { Draft, presentText } from "./hands/draft.ts";
import { fileName, HEAD, tell } from "./hands/kinds.ts";

const THEMES: readonly Theme[] = ["auto", "light", "dark"];

export function mount(root: HTMLElement, app: App): void {
  new Files(root, app);
}

class Files {
  private readonly root: HTMLElement;
  private readonly app: App;
  private readonly menu = el("details", { class: "menu" });
  private readonly opener = el("summary", null, "File");
  private readonly input = el("input", { type: "file", class: "visually-hidden", tabindex: "-1", "aria-label": "A script or a timeline" });
  private readonly scripts = el("select", { id: "files-scripts" });
  private readonly link = el("input", { type: "text", class: "link", readonly: true, hidden: true, "aria-label": "Link to this moment" });
  private readonly saveScript = el("button", { type: "button" }, "Save the script");
  private readonly saveTimeline = el("button", { type: "button" }, "Save the timeline");
  private readonly themes = new Map<Theme, HTMLInputElement>();
  private readonly drop = el("div", { class: "drop", hidden: true }, el("p", null, "Drop a script or a timeline"));
  /** Which file was asked for last: an older one that comes late is not shown. */
  private asked = 0;

  constructor(root: HTMLElement, app: App) {
    this.root = root;
    this.app = app;
    fill(this.menu, this.opener, this.panel());
    fill(root, this.menu, this.input, this.drop);
    this.listen();
    app.on((_, changed) => {
      if (changed.has("run") || changed.has("theme")) this.render();
      if (changed.has("at") || changed.has("run")) set(this.link, "hidden", true);
    });
    this.render();
  }

  private panel(): HTMLElement {
    const open = el("button", { type: "button" }, "Open a file…");
    const copy = el("button", { type: "button" }, "Copy a link to this moment");
    open.addEventListener("click", () => this.input.click());
    copy.addEventListener("click", () => void this.copy());
    this.saveScript.addEventListener("click", () => this.save("script"));
    this.saveTimeline.addEventListener("click", () => this.save("timeline"));
    return el("div", { class: "menu-panel" },
      open,
      el("p", { class: "hint" }, "A script (.ondisk) or a timeline; or drop it onto the page."),
      el("label", { for: "files-scripts" }, "A script of this page"), this.scripts,
      copy, this.link, this.saveScript, this.saveTimeline, this.themeChoice(),
    );
  }

  private themeChoice(): HTMLElement {
    const choice = el("fieldset", { class: "themes" }, el("legend", null, "Paper"));
    for (const theme of THEMES) {
      const radio = el("input", { type: "radio", name: "theme", value: theme });
      radio.addEventListener("change", () => this.app.theme(theme));
      this.themes.set(theme, radio);
      choice.append(el("label", { class: "check" }, radio, theme));
    }
    return choice;
  }

  private listen(): void {
    this.input.addEventListener("change", () => {
      const [file] = this.input.files ?? [];
      if (file !== undefined) void this.open(file);
      this.input.value = "";
    });
    this.scripts.addEventListener("change", () => void this.builtIn(this.scripts.value));
    this.menu.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !this.menu.open) return;
      event.stopPropagation();
      this.close();
    });
    document.addEventListener("click", (event) => {
      if (event.target instanceof Node && !this.menu.contains(event.target)) this.menu.open = false;
    });
    this.listenForDrops();
  }

  private listenForDrops(): void {
    const hasFile = (event: DragEvent) => event.dataTransfer?.types.includes("Files") ?? false;
    document.addEventListener("dragover", (event) => {
      if (!hasFile(event)) return;
      event.preventDefault();
      set(this.drop, "hidden", null);
    });
    document.addEventListener("dragleave", (event) => {
      if (event.relatedTarget === null) set(this.drop, "hidden", true);
    });
    document.addEventListener("drop", (event) => {
      if (!hasFile(event)) return;
      event.preventDefault();
      set(this.drop, "hidden", true);
      const files = event.dataTransfer?.files;
      if (files !== undefined && files.length > 1) this.trouble("One file at a time, please.");
      else if (files?.[0] !== undefined) void this.open(files[0]);
    });
  }

  private close(): void {
    this.menu.open = false;
    this.opener.focus();
  }

  private async open(file: File): Promise<void> {
    const asked = ++this.asked;
    const trouble = (why: string) => this.trouble(`${short(file.name)} was not opened. ${why}`);
    try {
      const head = new Uint8Array(await file.slice(0, HEAD).arrayBuffer());
      const told = tell(file.size, head);
      if (told.kind === "none") {
        trouble(told.why);
        return;
      }
      if (told.kind === "script" && !this.app.canRun) {
        trouble(this.app.cannotRun || "Programs cannot be run here.");
        return;
      }
      const text = withoutMark(new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer()));
      if (asked !== this.asked) return;
      this.trouble("");
      if (told.kind === "timeline") await this.timeline(short(file.name), text);
      else await this.script(short(file.name), text);
    } catch (error) {
      trouble(error instanceof TypeError ? "It is not all UTF-8 text." : "It could not be read.");
    }
  }

  private async timeline(name: string, text: string): Promise<void> {
    const before = this.app.state.run;
    await this.app.openSlowly(name, text);
    const { run } = this.app.state;
    if (run !== before && run !== null) this.opened(`${name}: a timeline of ${run.tape.length} events.`);
    else this.menu.open = false;
  }

  private async script(name: string, text: string): Promise<void> {
    await Draft.of(this.app).open(name, text);
    const { error, run } = this.app.state;
    if (error === null) {
      this.opened(`${name}: ${run?.info.events ?? 0} events.`);
      return;
    }
    this.app.show("change");
    this.trouble(`${name} does not run. Line ${error.line}, column ${error.column}: ${error.what}`);
  }

  private async builtIn(name: string): Promise<void> {
    if (name === "") return;
    const text = this.app.builtIns.find((own) => own.name === name)?.text ?? "";
    await this.app.load({ kind: "built-in", name }, knobsOf(text), 0);
    const { error, run } = this.app.state;
    if (error === null && run !== null) this.opened(`${run.name}: ${run.info.events} events.`);
  }

  private opened(what: string): void {
    if (this.menu.open) this.close();
    this.app.say(`Opened ${what}`);
  }

  /** Says what is wrong with a file; nothing: takes that back. */
  private trouble(words: string): void {
    this.menu.open = false;
    this.app.complain(words === "" ? null : words);
  }

  private async copy(): Promise<void> {
    const link = this.app.link();
    try {
      await navigator.clipboard.writeText(link);
      this.app.say("The link is copied.");
      this.close();
    } catch {
      // From a file the browser may not let it: then the link is there to be taken by hand.
      this.link.value = link;
      set(this.link, "hidden", null);
      this.link.focus();
      this.link.select();
      this.app.say("The browser did not copy it. The link is in the field, selected.");
    }
  }

  private save(what: "script" | "timeline"): void {
    const { run } = this.app.state;
    if (run === null) return;
    const text = what === "script" ? presentText(this.app.state) : run.tape.text;
    const name = fileName(run.name, what === "script" ? ".ondisk" : ".timeline");
    const address = URL.createObjectURL(new Blob([text], { type: "text/plain;charset=utf-8" }));
    const anchor = el("a", { href: address, download: name, hidden: true });
    this.root.append(anchor);
    anchor.click();
    anchor.remove();
    URL.revokeObjectURL(address);
    this.app.say(`Saved as ${name}.`);
  }

  private render(): void {
    const { run, moment, theme } = this.app.state;
    set(this.saveScript, "disabled", presentText(this.app.state) === "");
    set(this.saveTimeline, "disabled", run === null || run.tape.text === "");
    for (const [name, radio] of this.themes) radio.checked = name === theme;
    const present = moment.source.kind === "built-in" ? moment.source.name : "";
    const none = { name: "", title: "(another)" };
    reconcile(this.scripts, [none, ...this.app.builtIns], ({ name }) => name, ({ name, title }) =>
      el("option", { value: name }, name === "" ? title : `${name.replaceAll("_", " ")}: ${title}`),
    );
    this.scripts.value = present;
    set(this.scripts, "disabled", !this.app.canRun);
  }
}

/** Without the mark that some editors put in front of UTF-8; decoders leave it out by themselves. */
function withoutMark(text: string): string {
  return text.startsWith("\uFEFF") ? text.slice(1) : text;
}

function short(name: string): string {
  return name.length > 60 ? `${name.slice(0, 59)}…` : name;
}
