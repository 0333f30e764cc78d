// The first script of the page: unpacks the style and the program that the page holds, and begins.
//
// Invariant: until the program is there the page is the one without JavaScript, a table that reads;
// where it cannot come, that is said. The page's policy names the hash of the program, so no other
// text is ever run.

import { unpack } from "./unpack.ts";

async function textIn(id: string): Promise<string> {
  return new TextDecoder().decode(await unpack(document.getElementById(id)?.textContent ?? ""));
}

async function load(): Promise<void> {
  const [style, program] = [document.createElement("style"), document.createElement("script")];
  [style.textContent, program.textContent] = await Promise.all([textIn("ondisk-style"), textIn("ondisk-program")]);
  document.head.append(style);
  document.documentElement.removeAttribute("data-plain");
  document.body.append(program);
}

load().catch((error: unknown) => {
  const trouble = document.getElementById("trouble");
  if (trouble === null) return;
  trouble.textContent = `The page cannot unpack itself here (${error instanceof Error ? error.message : String(error)}). What follows is what it shows, in words.`;
  trouble.hidden = false;
});
