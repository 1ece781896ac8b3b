/** The real file system, as far as snapshots need one (`FileSystem`). */
import { open, rename, rm } from "node:fs/promises"
import type { FileSystem } from "./snapshot-file.ts"

export const realFiles: FileSystem = {
  create: async path => {
    const handle = await open(path, "w", 0o600)
    return {
      write: bytes => handle.appendFile(bytes),
      sync: () => handle.sync(),
      close: () => handle.close(),
    }
  },
  open: async path => {
    const handle = await open(path, "r")
    return {
      read: async into => (await handle.read(into)).bytesRead,
      close: () => handle.close(),
    }
  },
  rename,
  remove: path => rm(path, { force: true }),
  syncDirectory: async path => {
    // There a directory cannot be opened, and need not be.
    if (process.platform === "win32") return
    const handle = await open(path, "r")
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  },
}
