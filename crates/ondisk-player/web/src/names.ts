// What the numbers in events are called: files of inodes, of buffers and of descriptors.
export interface Names {
  /** The file with an inode, as `log`; where nobody named it, `inode 12`. */
  inode(ino: number): string;
  /** The file of a buffer, as `log`; else `buffer 0`. */
  buffer(n: number): string;
  /** The name of a task: `A`. */
  task(n: number): string;
  /** An event as a sentence for people. */
  event(i: number): string;
  /** A cell as a person calls it: `page 0 of log`, `block 2048`. */
  cell(name: string): string;
}
