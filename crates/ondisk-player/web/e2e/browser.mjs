// The page in Debian's chromium: opening it, and everything that it says or asks for meanwhile.
//
// Invariant: a visit writes down each request, each complaint of the console, each error and each
// breach of the page's own policy from the first byte on. No visit knows of another.

import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const HERE = dirname(fileURLToPath(import.meta.url));

/** The built page, or another one that is to be looked at. */
export const FILE = resolve(process.env.ONDISK_PAGE ?? join(HERE, "../../dist/player.html"));

/** Where a program is in the path; null where it is not. */
export function inPath(...names) {
  const folders = (process.env.PATH ?? "").split(":");
  const found = names.flatMap((name) => folders.map((folder) => join(folder, name)));
  return found.find((file) => existsSync(file)) ?? null;
}

export const CHROMIUM = inPath("chromium", "chromium-browser", "google-chrome");

/** One browser for many visits. It can resolve no name, whatever a page asks for. */
export function launch() {
  return chromium.launch({
    executablePath: CHROMIUM ?? "chromium",
    args: ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND", "--disable-dev-shm-usage"],
  });
}

/**
 * What runs in the page before its own script: breaches of the policy are kept, and the picture can
 * be read. It is every element of the three sections, every attribute and every text, but for what
 * tells only where the keyboard was.
 */
function prepare() {
  globalThis.breaches = [];
  const read = (node) => {
    if (node.nodeType === Node.TEXT_NODE) return node.data;
    if (node.nodeType !== Node.ELEMENT_NODE) return "";
    const attributes = [...node.attributes]
      .filter(({ name, value }) => name !== "tabindex" && !(name === "style" && value === ""))
      .map(({ name, value }) => ` ${name}="${value}"`)
      .sort();
    return `<${node.localName}${attributes.join("")}>${[...node.childNodes].map(read).join("")}</>`;
  };
  globalThis.readPicture = () => ["program", "stage", "ladder"].map((id) => read(document.getElementById(id))).join("\n");
  addEventListener("securitypolicyviolation", (breach) => {
    globalThis.breaches.push(`${breach.violatedDirective} ${breach.blockedURI}`);
  });
}

/**
 * Opens the page. `hash`: of the address. `init`: functions that run before the page's own script.
 * `file`: another page. `ready`: whether to wait for the opening scene. `viewport` and the rest are
 * the context's: `colorScheme`, `forcedColors`, `reducedMotion`, `javaScriptEnabled`.
 */
export async function visit(browser, options = {}) {
  const { hash = "", init = [], file = FILE, ready = true, ...rest } = options;
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...rest });
  const page = await context.newPage();
  const asked = [];
  const said = [];
  context.on("request", (request) => asked.push(request.url()));
  page.on("websocket", (socket) => asked.push(socket.url()));
  page.on("console", (line) => {
    if (line.type() === "error" || line.type() === "warning") said.push(line.text());
  });
  page.on("pageerror", (error) => said.push(String(error)));
  page.on("crash", () => said.push("the page crashed"));
  await page.addInitScript(prepare);
  for (const script of init) await page.addInitScript(script);
  const address = pathToFileURL(file).href;
  await page.goto(address + hash);
  if (ready) await opened(page);
  return { page, address, asked, said, close: () => context.close() };
}

/** Waits until the page says that it has begun. */
export async function opened(page) {
  await page.waitForSelector("html[data-ready]", { state: "attached" });
}

/** Waits for what a change brings: one frame is drawn, and what it asked for has run. */
export function drawn(page) {
  return page.evaluate(() => new Promise((done) => requestAnimationFrame(() => setTimeout(done))));
}

/** Presses keys one after the other. */
export async function press(page, ...keys) {
  for (const key of keys) await page.keyboard.press(key);
}

/** The link's own part of the address. */
export function hashOf(page) {
  return page.evaluate(() => location.hash);
}

/** All visible text of one element, as read aloud: spaces are one. */
export function textOf(page, selector) {
  return page.locator(selector).evaluate((element) => element.innerText.replace(/\s+/g, " ").trim());
}

/**
 * Goes on by Tab until the focus is where `wanted` says, a function of the element that runs in the
 * page. Fails where the focus comes back to where it was.
 */
export async function tabTo(page, wanted, argument, key = "Tab") {
  for (let presses = 0; presses < 400; presses++) {
    const there = await page.evaluate(
      ([text, given]) => {
        const element = document.activeElement;
        return element !== null && Boolean(new Function(`return (${text})`)()(element, given));
      },
      [String(wanted), argument],
    );
    if (there) return;
    await page.keyboard.press(key);
  }
  throw new Error(`no number of ${key} comes to ${wanted} ${JSON.stringify(argument ?? "")}`);
}
