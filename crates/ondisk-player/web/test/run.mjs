// Runs the tests of the page's parts without a browser: `node test/run.mjs [PART OF A FILE'S NAME …]`.
//
// Invariant: every file that ends in .test.ts is run, and a run without a test fails.
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { scriptsPlugin } from "../build.mjs";

const WEB = join(dirname(fileURLToPath(import.meta.url)), "..");
const OUT = join(WEB, "node_modules/.tests", String(process.pid));

const wanted = process.argv.slice(2);
const names = readdirSync(join(WEB, "test"))
  .filter((name) => name.endsWith(".test.ts") && (wanted.length === 0 || wanted.some((part) => name.includes(part))))
  .sort();
if (names.length === 0) throw new Error("there is no such test");

mkdirSync(OUT, { recursive: true });
try {
  await build({
    absWorkingDir: WEB,
    entryPoints: names.map((name) => `test/${name}`),
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    outdir: OUT,
    outExtension: { ".js": ".mjs" },
    sourcemap: "inline",
    logLevel: "warning",
    plugins: [scriptsPlugin],
  });
  const files = names.map((name) => join(OUT, name.replace(/\.ts$/, ".mjs")));
  const run = spawnSync(process.execPath, ["--enable-source-maps", "--test", ...files], { cwd: WEB, stdio: "inherit" });
  process.exitCode = run.status ?? 1;
} finally {
  rmSync(OUT, { recursive: true, force: true });
}
