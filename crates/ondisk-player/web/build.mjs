// Builds the page: one file with everything in it. `node build.mjs [FILE]`; without FILE it is
// ../dist/player.html.
//
// Invariant: the same sources give the same bytes. The page holds no path and no time, asks the
// network for nothing, and names its sources by their hash.
//
// The hash in `<meta name="ondisk-sources">` is FNV-1a of 64 bits (offset basis
// 0xcbf29ce484222325, prime 0x100000001b3), written as 16 hex digits. Its input are the files
//   crates/ondisk-player/web/{src,scripts}/** and {index.html,build.mjs,package.json,tsconfig.json},
//   examples/scripts/**, crates/ondisk-player/dist/ondisk.wasm (left out where it is not there),
// in the order of their paths from the repository's root (by bytes, with `/`); of each the path, a
// zero byte, the content, a zero byte. Names that begin with a dot are left out.

import { createHash } from "node:crypto";
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const WEB = dirname(fileURLToPath(import.meta.url));
const ROOT = resolve(WEB, "../../..");
const SCRIPTS = [join(WEB, "scripts"), join(ROOT, "examples/scripts")];
const WASM = join(WEB, "../dist/ondisk.wasm");
/** Without data of its own; the page is opened from a disk, yet it is sent about too. */
const MOST_BYTES = 600_000;

/** All files of a folder, or the file itself. */
function filesOf(path) {
  if (!existsSync(path)) return [];
  const found = [];
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.name.startsWith(".")) continue;
    const inner = join(path, entry.name);
    if (entry.isDirectory()) found.push(...filesOf(inner));
    else if (entry.isFile()) found.push(inner);
  }
  return found;
}

/** The hash of all sources. */
export function sourcesHash() {
  const single = ["index.html", "build.mjs", "package.json", "tsconfig.json"].map((name) => join(WEB, name));
  const files = [join(WEB, "src"), ...SCRIPTS].flatMap(filesOf).concat(single);
  if (existsSync(WASM)) files.push(WASM);
  const named = files.map((file) => [relative(ROOT, file).split(sep).join("/"), file]);
  named.sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  const zero = Buffer.of(0);
  const parts = named.flatMap(([name, file]) => [Buffer.from(name), zero, readFileSync(file), zero]);
  return fnv1a(Buffer.concat(parts));
}

/** FNV-1a of 64 bits, in two halves: the prime is 2^40 + 0x1b3. */
function fnv1a(bytes) {
  let [high, low] = [0xcbf29ce4, 0x84222325];
  for (const byte of bytes) {
    low = (low ^ byte) >>> 0;
    const product = low * 0x1b3;
    high = (Math.imul(high, 0x1b3) + Math.floor(product / 2 ** 32) + (low << 8)) >>> 0;
    low = product >>> 0;
  }
  return high.toString(16).padStart(8, "0") + low.toString(16).padStart(8, "0");
}

/** The scripts that are part of the page, the opening scene first. */
export function builtIns() {
  return SCRIPTS.flatMap(filesOf)
    .filter((file) => file.endsWith(".ondisk"))
    .map((file) => [file.split(sep).pop().replace(/\.ondisk$/, ""), readFileSync(file, "utf8")])
    .sort(([a], [b]) => (b === "opening") - (a === "opening") || (a < b ? -1 : a > b ? 1 : 0))
    .map(([name, text]) => ({ name, ...headOf(text), text }));
}

/** The first comment of a script: up to an empty line of it, and its first sentence. */
function headOf(text) {
  const lines = [];
  for (const line of text.split("\n")) {
    if (!line.startsWith("#") || line.trim() === "#") break;
    lines.push(line.slice(1).trim());
  }
  const about = lines.join(" ");
  const title = /^.*?(?=[.:](\s|$))/.exec(about)?.[0] ?? about;
  return { title, about };
}

/** What `import … from "ondisk:scripts"` gives. */
export const scriptsPlugin = {
  name: "scripts",
  setup(esbuild) {
    esbuild.onResolve({ filter: /^ondisk:scripts$/ }, () => ({ path: "scripts", namespace: "ondisk" }));
    esbuild.onLoad({ filter: /.*/, namespace: "ondisk" }, () => ({
      contents: JSON.stringify(builtIns()),
      loader: "json",
    }));
  },
};

async function bundle(entry, loader) {
  const result = await build({
    absWorkingDir: WEB,
    entryPoints: [entry],
    bundle: true,
    write: false,
    minify: true,
    charset: "utf8",
    legalComments: "none",
    format: loader === "js" ? "iife" : undefined,
    target: ["chrome111", "firefox113", "safari16.4"],
    plugins: [scriptsPlugin],
  });
  return result.outputFiles[0].text.trim();
}

/** Puts a text where a mark stands, once. */
function put(page, mark, text) {
  const parts = page.split(mark);
  if (parts.length !== 2) throw new Error(`index.html has ${parts.length - 1} times ${mark}`);
  return parts.join(text);
}

/** The signs of packed texts: `!` to `~` without `(`, `:` and `<`, so that it can hold no markup and no address. */
const SIGNS = Array.from({ length: 94 }, (_, n) => String.fromCharCode(33 + n)).filter((sign) => !"(:<".includes(sign));

/** Packs bytes as `src/unpack.ts` reads them. */
export function pack(bytes) {
  const packed = gzipSync(bytes, { level: 9, memLevel: 9 });
  const signs = [];
  let [held, bits] = [0, 0];
  const two = () => {
    const value = held & 8191;
    signs.push(SIGNS[Math.floor(value / 91)], SIGNS[value % 91]);
    [held, bits] = [held >>> 13, bits - 13];
  };
  for (const byte of packed) {
    held |= byte << bits;
    bits += 8;
    if (bits >= 13) two();
  }
  if (bits > 0) two();
  return `${packed.length} ${signs.join("")}`;
}

function hashOf(script) {
  return `'sha256-${createHash("sha256").update(script).digest("base64")}'`;
}

/** What is packed is seen by no test of the page's text, so it is looked at here. */
function mustAskForNothing(script, ...styles) {
  const addresses = script.match(/\b(?:https?|wss?):\/\/[^"'`\s)]*/g) ?? [];
  const odd = addresses.find((address) => address !== "http://www.w3.org/2000/svg");
  if (odd !== undefined) throw new Error(`the script names ${odd}`);
  for (const style of styles) {
    if (/<\/style/i.test(style) || /url\((?!["']?data:)|@import/i.test(style)) throw new Error("the style asks for something");
  }
}

async function page() {
  const [program, loader] = [await bundle("src/main.ts", "js"), await bundle("src/loader.ts", "js")];
  const [style, bare] = [await bundle("src/style/main.css", "css"), await bundle("src/style/bare.css", "css")];
  mustAskForNothing(program + loader, style, bare);
  if (/<\/script|<!--/i.test(loader)) throw new Error("the script would end its element, or open a comment");
  let text = readFileSync(join(WEB, "index.html"), "utf8");
  text = put(text, "<!--script-hashes-->", `${hashOf(loader)} ${hashOf(program)}`);
  text = put(text, "<!--sources-->", sourcesHash());
  text = put(text, "<!--bare-style-->", bare);
  text = put(text, "<!--style-->", pack(style));
  text = put(text, "<!--program-->", pack(program));
  text = put(text, "<!--wasm-->", existsSync(WASM) ? pack(readFileSync(WASM)) : "");
  return put(text, "<!--loader-->", loader);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const out = process.argv[2] ?? join(WEB, "../dist/player.html");
  const text = await page();
  if (text.split("<!--ondisk-data-->").length !== 2) throw new Error("the place for data is not there once");
  writeFileSync(out, text);
  const bytes = Buffer.byteLength(text);
  console.log(`${relative(process.cwd(), out)}: ${bytes} bytes${existsSync(WASM) ? "" : ", without the module"}`);
  if (bytes > MOST_BYTES) throw new Error(`the page has ${bytes} bytes; ${MOST_BYTES} is the most`);
}
