// Where the page begins: the store, the views, the keys.
//
// Invariant: a view that fails takes no other with it; what went wrong is said.

import { boot } from "./boot.ts";
import type { App } from "./app.ts";
import { mount as editor } from "./view/editor.ts";
import { mount as files } from "./view/files.ts";
import { mount as help } from "./view/help.ts";
import { mount as inspect } from "./view/inspect.ts";
import { mount as knobs } from "./view/knobs.ts";
import { mount as ladder } from "./view/ladder.ts";
import { mount as lessons } from "./view/lessons.ts";
import { mount as plug } from "./view/plug.ts";
import { mount as program } from "./view/program.ts";
import { mount as quiz } from "./view/quiz.ts";
import { mount as stage } from "./view/stage.ts";
import { mount as timebar } from "./view/timebar.ts";

/** By the id of the element that each owns. */
const VIEWS: Record<string, (root: HTMLElement, app: App) => void> = {
  program, stage, ladder, time: timebar, lessons, quiz, plug, knobs, editor, inspect, files, help,
};

void boot(VIEWS);
