// Whether the module of the page is the simulation: seeded scripts on seeded machines, asked of the
// committed module and of a native build, every moment of every run.
//
//   node crates/ondisk-player/conformance.mjs --seed 1 --count 100
//
// The last line says what was compared: {"scripts":N,"cuts":M,"differences":0}. Exits 1 where the two
// differ, with the script, its seed and the event. `--canary` changes one answer of the native build,
// which has to be noticed; `--module FILE` takes another module, `--native FILE` a native build that
// is there.
//
// Invariant: an answer that is not compared is not counted.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import path from "node:path";

const here = path.dirname(fileURLToPath(import.meta.url));
const words = { seed: "1", count: "10", module: path.join(here, "dist/ondisk.wasm"), native: "" };
const options = process.argv.slice(2);
const canary = options.includes("--canary");
const rest = options.filter((option) => option !== "--canary");
for (let at = 0; at < rest.length; at += 2) {
  const name = rest[at].slice(2);
  if (!rest[at].startsWith("--") || !(name in words) || rest[at + 1] === undefined) {
    console.error("usage: conformance.mjs [--seed N] [--count N] [--module FILE] [--native FILE] [--canary]");
    process.exit(2);
  }
  words[name] = rest[at + 1];
}

const compiled = new WebAssembly.Module(readFileSync(words.module));
const imports = WebAssembly.Module.imports(compiled);
if (imports.length > 0) {
  console.error(`the module has imports: ${imports.map((it) => it.name).join(" ")}`);
  process.exit(1);
}

/** A module of its own: what it answers, a trap in words. */
function host() {
  const { memory, alloc, free, ask } = new WebAssembly.Instance(compiled, {}).exports;
  return (request) => {
    try {
      const bytes = new TextEncoder().encode(request);
      const to = alloc(bytes.length) >>> 0;
      new Uint8Array(memory.buffer, to, bytes.length).set(bytes);
      const from = ask(to, bytes.length) >>> 0;
      const length = new DataView(memory.buffer).getUint32(from, true);
      const answer = new TextDecoder("utf-8", { fatal: true }).decode(new Uint8Array(memory.buffer, from + 4, length));
      free(from, 4 + length);
      return answer;
    } catch (error) {
      return `the module fails: ${error.message}`;
    }
  };
}

/** Where two texts part, with what stands there. */
function parting(one, other) {
  let at = 0;
  while (at < one.length && one[at] === other[at]) at += 1;
  const from = Math.max(0, at - 60);
  return `native: …${one.slice(from, at + 60)}\nmodule: …${other.slice(from, at + 60)}`;
}

const total = { scripts: 0, cuts: 0, differences: 0 };
function compare(seed, run, request, native, ask) {
  const module = ask(request === "run" ? run : request);
  if (request.startsWith("digest")) total.cuts += 1;
  if (module === native) return;
  total.differences += 1;
  if (total.differences > 5) return;
  console.log(`seed ${seed}, ${request}: the two differ\n${run}\n${parting(native, module)}\n`);
}

const cargo = ["run", "--quiet", "--package", "ondisk-player-wasm", "--example", "conform", "--"];
const [program, ...before] = words.native === "" ? ["cargo", ...cargo] : [words.native];
const native = spawn(program, [...before, "--seed", words.seed, "--count", words.count, ...(canary ? ["--canary"] : [])], {
  cwd: here,
  stdio: ["ignore", "pipe", "inherit"],
});
const ended = new Promise((resolve) => native.on("close", resolve));
let instance = host();
for await (const line of createInterface({ input: native.stdout, crlfDelay: Infinity })) {
  const [seed, run, answer, asked] = JSON.parse(line);
  // Memory of a module never shrinks: now and then it is a new one.
  if (total.scripts % 64 === 0) instance = host();
  compare(seed, run, "run", answer, instance);
  for (const [request, told] of asked) compare(seed, run, request, told, instance);
  total.scripts += 1;
}
const code = await ended;
const whole = code === 0 && total.scripts === Number(words.count);
if (!whole) console.log(`the native build ended with ${code} after ${total.scripts} scripts`);
console.log(JSON.stringify(total));
process.exit(whole && total.differences === 0 ? 0 : 1);
