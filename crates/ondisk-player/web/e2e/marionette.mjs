// Debian's firefox, spoken to in its own words: lines of JSON over a socket, each with its length.
//
// Invariant: one question is under way at a time. The profile is new and goes away with the browser.

import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inPath } from "./browser.mjs";

export const FIREFOX = inPath("firefox-esr", "firefox");

/** Nothing of its own is to ask for anything; the port is any that is free. */
const PREFERENCES = {
  "marionette.port": 0,
  "app.normandy.enabled": false,
  "app.update.disabledForTesting": true,
  "browser.shell.checkDefaultBrowser": false,
  "datareporting.policy.dataSubmissionEnabled": false,
  "network.captive-portal-service.enabled": false,
  "network.connectivity-service.enabled": false,
  "toolkit.telemetry.enabled": false,
};

/** Starts a firefox without a window. */
export async function startFirefox() {
  const profile = await mkdtemp(join(tmpdir(), "ondisk-firefox-"));
  const lines = Object.entries(PREFERENCES).map(([name, value]) => `user_pref("${name}", ${value});`);
  await writeFile(join(profile, "user.js"), lines.join("\n"));
  const child = spawn(
    FIREFOX ?? "firefox-esr",
    ["--headless", "--marionette", "--no-remote", "--profile", profile, "about:blank"],
    { stdio: ["ignore", "pipe", "pipe"] },
  );
  const gone = new Promise((done) => child.once("exit", done));
  const close = async () => {
    child.kill();
    await gone;
    await rm(profile, { recursive: true, force: true, maxRetries: 3 });
  };
  try {
    const socket = connect(await portOf(child), "127.0.0.1");
    return { ...(await talk(socket)), close: async () => (socket.destroy(), close()) };
  } catch (error) {
    await close();
    throw error;
  }
}

/** It says where it listens. */
function portOf(child) {
  return new Promise((done, failed) => {
    let said = "";
    child.once("error", failed);
    child.once("exit", () => failed(new Error(`firefox went away: ${said}`)));
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (data) => {
        said += data;
        const port = /Marionette\s+INFO\s+Listening on port (\d+)/.exec(said)?.[1];
        if (port !== undefined) done(Number(port));
      });
    }
  });
}

async function talk(socket) {
  let held = Buffer.alloc(0);
  let waiting = null;
  socket.on("data", (data) => {
    held = Buffer.concat([held, data]);
    for (;;) {
      const colon = held.indexOf(58);
      const to = colon + 1 + Number(held.subarray(0, Math.max(colon, 0)));
      if (colon < 0 || held.length < to) return;
      const message = JSON.parse(held.subarray(colon + 1, to).toString());
      held = held.subarray(to);
      waiting?.(message);
    }
  });
  await new Promise((done) => (waiting = done));
  let asked = 0;
  /** Asks one thing; the answer, or its error. */
  const ask = async (command, parameters = {}) => {
    asked += 1;
    const text = JSON.stringify([0, asked, command, parameters]);
    const answered = new Promise((done) => (waiting = done));
    socket.write(`${Buffer.byteLength(text)}:${text}`);
    const [, , error, answer] = await answered;
    if (error !== null) throw new Error(`${command}: ${error.error}: ${error.message}`);
    return answer;
  };
  await ask("WebDriver:NewSession");
  return {
    ask,
    go: (url) => ask("WebDriver:Navigate", { url }),
    /** Runs the body of a function in the page. */
    run: async (script, ...args) => (await ask("WebDriver:ExecuteScript", { script, args })).value,
    /** Runs one that calls back: its last argument. */
    wait: async (script, ...args) =>
      (await ask("WebDriver:ExecuteAsyncScript", { script, args, scriptTimeout: 60_000 })).value,
    /** Presses keys as a person does, one after the other. */
    press: (...keys) =>
      ask("WebDriver:PerformActions", {
        actions: [
          {
            type: "key",
            id: "keys",
            actions: keys.flatMap((value) => [{ type: "keyDown", value }, { type: "keyUp", value }]),
          },
        ],
      }),
  };
}
