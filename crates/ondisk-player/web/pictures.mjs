// The pictures of the page in docs/player: `node pictures.mjs [PART OF A NAME …]`.
//
// Invariant: each shows what somebody sees who came there by keys; nothing is drawn for it. None is
// larger than it need be: where twice the resolution makes a file too large, once has to do.

import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { launch, press, visit } from "./e2e/browser.mjs";
import { SCREENS, settled } from "./e2e/screens.mjs";

const OUT = join(dirname(fileURLToPath(import.meta.url)), "../../../docs/player");
/** A page with pictures is sent about too. */
const MOST_BYTES = 250 * 1024;
const DESK = { width: 1280, height: 960 };
const PHONE = { width: 390, height: 844 };

/** The first acknowledgement, then what can be changed, from its top on. */
async function editor(page) {
  await press(page, "a", "e");
  await settled(page);
  await page.evaluate(() => {
    document.activeElement.blur();
    document.getElementById("side").scrollTo(0, 0);
  });
}

/** What each shows: how to come there, and the window. */
const PICTURES = {
  opening: [SCREENS["the opening scene"], DESK],
  "mid-fsync": [SCREENS["the middle of an fsync"], DESK],
  cut: [SCREENS["what survives a cut"], DESK],
  recovery: [SCREENS.recovery, DESK],
  lesson: [SCREENS["a lesson"], DESK],
  check: [SCREENS["a question of check yourself"], DESK],
  editor: [editor, DESK],
  phone: [SCREENS["the middle of an fsync"], PHONE],
};

async function picture(browser, name, colorScheme, scale) {
  const [reach, viewport] = PICTURES[name];
  const one = await visit(browser, { viewport, colorScheme, deviceScaleFactor: scale, reducedMotion: "reduce" });
  try {
    await reach(one.page);
    await settled(one.page);
    return await one.page.screenshot({ animations: "disabled" });
  } finally {
    await one.close();
  }
}

const wanted = process.argv.slice(2);
const browser = await launch();
mkdirSync(OUT, { recursive: true });
try {
  for (const name of Object.keys(PICTURES)) {
    if (wanted.length > 0 && !wanted.some((part) => name.includes(part))) continue;
    for (const light of ["light", "dark"]) {
      let bytes = await picture(browser, name, light, 2);
      if (bytes.length > MOST_BYTES) bytes = await picture(browser, name, light, 1);
      const file = join(OUT, `${name}-${light}.png`);
      writeFileSync(file, bytes);
      console.log(`${relative(process.cwd(), file)}: ${bytes.length} bytes`);
      if (bytes.length > MOST_BYTES) throw new Error(`${name} is too large`);
    }
  }
} finally {
  await browser.close();
}
