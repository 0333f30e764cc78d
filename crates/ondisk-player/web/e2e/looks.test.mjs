// Each screen in each light and width: names, contrasts, sizes, motion.

import { after, before, test } from "node:test";
import { drawn, launch, visit } from "./browser.mjs";
import { complainsOfNothing, fitsItsWidth, hasLargeTargets, isAccessible, standsStill } from "./checks.mjs";
import { SCREENS } from "./screens.mjs";

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

const LIGHTS = {
  "in light": { colorScheme: "light" },
  "in the dark": { colorScheme: "dark" },
  "with forced colours": { colorScheme: "light", forcedColors: "active" },
};

for (const [name, reach] of Object.entries(SCREENS)) {
  test(name, async (t) => {
    const one = await visit(browser, { reducedMotion: "reduce" });
    try {
      await reach(one.page);
      for (const [light, media] of Object.entries(LIGHTS)) {
        await one.page.emulateMedia({ reducedMotion: "reduce", forcedColors: "none", ...media });
        await drawn(one.page);
        await t.test(`${name}, ${light}: axe finds nothing`, () => isAccessible(one));
      }
      await t.test(`${name}: targets are large enough`, () => hasLargeTargets(one));
      await one.page.setViewportSize({ width: 320, height: 640 });
      await drawn(one.page);
      await t.test(`${name}, 320 wide: nothing is cut off`, () => fitsItsWidth(one));
      await t.test(`${name}, 320 wide: targets are large enough`, () => hasLargeTargets(one));
      await complainsOfNothing(one);
    } finally {
      await one.close();
    }
  });
}

test("where motion is unwanted nothing moves", async () => {
  const one = await visit(browser, { reducedMotion: "reduce" });
  try {
    await standsStill(one);
  } finally {
    await one.close();
  }
});
