// What stands in the place of the bands where a file system is a set of states and not a machine.
import type { App } from "../../app.ts";
import { el, fill } from "../dom.ts";
import type { Scene } from "./scene.ts";
import { aDeath } from "./words.ts";

/** So many files, and so many contents of one, are listed. */
const FILES = 12;
const CONTENTS = 6;

/** Says what can be known here, and what each file may be after a death. */
export function draw(place: HTMLElement, app: App, scene: Scene, asked: boolean): void {
  const fs = scene.run.knobs.fs;
  const how = scene.death?.how ?? "cut";
  const judged = scene.death?.own === true || asked ? null : app.judge(how);
  const files = (judged?.files ?? []).filter((file) => file.by !== "machine").slice(0, FILES);
  const rows = files.map((file) => {
    const shown = file.may_be.slice(0, CONTENTS).join(" | ");
    const more = file.may_be.length > CONTENTS || !file.exact ? " | …" : "";
    return el("tr", null, el("th", { scope: "row" }, file.path), el("td", null, `${shown}${more}`));
  });
  const table =
    rows.length > 0 &&
    el(
      "table",
      { class: "may-be" },
      el("caption", null, `What ${aDeath(how)} now may leave under ${judged?.model ?? fs}`),
      el("tbody", null, ...rows),
    );
  fill(
    place,
    el("p", { class: "plain-title" }, `${fs} is shown by its verdict, not as a machine.`),
    el(
      "p",
      null,
      `What ${fs} may leave after a death is known as a set of states: the rules that its calls obey. ` +
        "Its layers are not simulated, so nothing moves here. Calls, acknowledgements and what " +
        "survives are exact. Choose ext4, tmpfs or nfs to see layers at work.",
    ),
    table,
  );
}
