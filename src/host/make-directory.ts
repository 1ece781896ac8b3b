/**
 * Makes a directory, and those above it that are missing. Not by Node.js' own recursion: that tries for ever where a directory
 * that is there says that nothing can be made in it, as `/proc` does, and neither a time limit nor a signal ends it.
 */
import { mkdirSync, statSync } from "node:fs"
import { dirname } from "node:path"

/** Throws what the file system throws. `mode`: of each that is new. */
export function makeDirectory(path: string, { mode }: { readonly mode?: number } = {}): void {
  const options = mode === undefined ? {} : { mode }
  try {
    mkdirSync(path, options)
  } catch (error) {
    const above = dirname(path)
    if (isCode(error, "ENOENT") && statSync(above, { throwIfNoEntry: false }) === undefined) {
      makeDirectory(above, options)
      mkdirSync(path, options)
    } else if (!isCode(error, "EEXIST") || !statSync(path).isDirectory()) throw error
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code
}
