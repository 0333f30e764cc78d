// The lessons, in the order in which they are best read.

import { driveCache, lyingDrive } from "./drive.ts";
import { network, ramDisk } from "./elsewhere.ts";
import { failedFsync, tornPages } from "./failures.ts";
import { flush, fsyncWithoutFlush } from "./flushes.ts";
import { ordered, requests } from "./journal.ts";
import type { Lesson } from "./lesson.ts";
import { batch, walCommit } from "./logs.ts";
import { fdatasyncNames, newFile, rename } from "./names.ts";
import { logFirst, truncate } from "./order.ts";
import { fdatasync, groupCommit } from "./syncs.ts";
import { close, fills, waiting } from "./waits.ts";

export const LESSONS: readonly Lesson[] = [
  flush,
  fsyncWithoutFlush,
  close,
  fills,
  waiting,
  newFile,
  rename,
  fdatasync,
  fdatasyncNames,
  groupCommit,
  walCommit,
  batch,
  truncate,
  logFirst,
  ordered,
  requests,
  driveCache,
  lyingDrive,
  failedFsync,
  tornPages,
  ramDisk,
  network,
];

export function lessonBy(id: string): Lesson | null {
  return LESSONS.find((lesson) => lesson.id === id) ?? null;
}
