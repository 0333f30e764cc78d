// Why a text is no timeline: in which line, and what can be done.

/** Why a text is no timeline. The message is for people. */
export class TapeError extends Error {
  override readonly name = "TapeError";

  constructor(
    message: string,
    /** Counted from 1; 0 where it is no line's fault. */
    readonly line: number,
  ) {
    super(message);
  }
}

const AGAIN = "Write it again: ondisk sim SCRIPT --timeline FILE.";

export function noTimeline(): TapeError {
  return new TapeError(`This is no timeline: its first line does not say so. ${AGAIN}`, 1);
}

export function newer(version: number, known: number): TapeError {
  const what = `This timeline is of version ${version}, and this page reads up to ${known}.`;
  return new TapeError(`${what} Open it with the page of the program that wrote it.`, 1);
}

export function truncated(events: number, line: number): TapeError {
  const what = `This timeline is cut off in line ${line}, behind ${events} events: its last line is missing.`;
  return new TapeError(`${what} ${AGAIN}`, line);
}

export function tooLong(line: number, limit: number): TapeError {
  return new TapeError(`Line ${line} is longer than ${limit} bytes. No timeline has such a line: is this the right file?`, line);
}

export function noJson(line: number): TapeError {
  return new TapeError(`Line ${line} is no JSON: the file was damaged or edited. ${AGAIN}`, line);
}

export function badField(line: number, field: string): TapeError {
  return new TapeError(`Line ${line}: \`${field}\` is missing or makes no sense. ${AGAIN}`, line);
}

export function misfit(line: number, cell: string): TapeError {
  const what = `Line ${line}: ${cell} does not hold what the lines before made of it.`;
  return new TapeError(`${what} A line is missing or was edited. ${AGAIN}`, line);
}

export function tooMany(line: number, what: string, limit: number): TapeError {
  return new TapeError(`Line ${line}: more than ${limit} ${what}. Make a shorter run.`, line);
}

export function changed(line: number): TapeError {
  const what = "The lines of this timeline were changed: its last line has another digest.";
  return new TapeError(`${what} ${AGAIN}`, line);
}

export function behindEnd(line: number): TapeError {
  return new TapeError(`Line ${line}: something stands behind the end. Are these two timelines in one file?`, line);
}
