// The models by name, and for whom each speaks.
//
// Invariant: the names are those that the simulation answers to, ext4's mounts from the strongest to the weakest, others beside them.

export interface ModelName {
  name: string;
  /** Half a sentence. */
  is: string;
}

export const MODELS: readonly ModelName[] = [
  { name: "strict", is: "what most programmers believe: all in order, and one sync for everything" },
  { name: "ext4:journal", is: "ext4 with data=journal: the bytes go through the journal too" },
  { name: "ext4:nodelalloc", is: "ext4 with nodelalloc: blocks get their place with the write" },
  { name: "ext4:dioread_lock", is: "ext4 with dioread_lock: the length of a new block waits for its bytes" },
  { name: "ext4", is: "ext4 as it is mounted by default: a length may come before its bytes" },
  { name: "ext4:writeback", is: "ext4 with data=writeback: nothing waits for bytes" },
  { name: "xfs", is: "xfs: names are one log, a length comes with its bytes" },
  { name: "btrfs", is: "btrfs: no block is overwritten in place" },
  { name: "posix", is: "the weakest world that a careful program defends against: what no sync covered may be lost alone" },
];

/** What a name stands for; empty for a name that is none. */
export function about(name: string): string {
  return MODELS.find((model) => model.name === name)?.is ?? "";
}
