// Whether somebody is just asked what survives: then no view gives the answer away.
//
// Invariant: a question that is seen hides the death everywhere; answered, skipped or out of sight it
// hides nothing.
import type { App } from "../../app.ts";

/** Whether a question waits for its answer. */
export function isAsked(): boolean {
  return document.querySelector("#panel-plug:not([hidden]) .plug-question") !== null;
}

/** Calls back when that changes. */
export function onAsked(app: App, draw: () => void): void {
  let was = isAsked();
  const look = (): void => {
    const now = isAsked();
    if (now === was) return;
    was = now;
    draw();
  };
  const plug = document.getElementById("plug");
  if (plug !== null) new MutationObserver(look).observe(plug, { childList: true, subtree: true });
  app.on((_, changed) => {
    if (changed.has("panel")) look();
  });
}
