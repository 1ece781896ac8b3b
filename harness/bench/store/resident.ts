/** Memory of this process, as the machine sees it. */
import { setImmediate as turn } from "node:timers/promises"

export function residentBytes(): number {
  return process.memoryUsage.rss()
}

/** What of it is the heap of the engine, where objects live, and what the buffers outside of it. */
export function heapAndBuffers(): { readonly heapBytes: number; readonly bufferBytes: number } {
  const { heapTotal, arrayBuffers } = process.memoryUsage()
  return { heapBytes: heapTotal, bufferBytes: arrayBuffers }
}

/** Without what the engine has yet to collect: the process has to run with --expose-gc. */
export async function settledBytes(): Promise<number> {
  if (global.gc === undefined) throw new Error("started without --expose-gc")
  // What a buffer holds outside of the heap is given back in a turn after the buffer was collected.
  for (let round = 0; round < 2; round++) {
    global.gc()
    await turn()
  }
  return residentBytes()
}
