import { equal, ok, throws } from "node:assert/strict"
import { existsSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, test } from "node:test"
import { makeDirectory } from "./make-directory.ts"

const base = mkdtempSync(join(tmpdir(), "dcache-directories-"))
after(() => rmSync(base, { recursive: true }))

test("what is missing above it is made as well, and what is there is left as it is", () => {
  const path = join(base, "a/b/c")
  makeDirectory(path, { mode: 0o700 })
  ok(statSync(path).isDirectory())
  equal(statSync(join(base, "a")).mode & 0o777, 0o700)
  makeDirectory(path)
  symlinkSync(path, join(base, "link"))
  makeDirectory(join(base, "link"))
})

test("a file in its place, or on the way, is an error", () => {
  writeFileSync(join(base, "file"), "")
  throws(() => makeDirectory(join(base, "file")), { code: "EEXIST" })
  throws(() => makeDirectory(join(base, "file/x/y")), { code: "ENOTDIR" })
})

test("where nothing can be made, that is an error and no endless attempt", {
  skip: existsSync("/proc/self") ? false : "there is no /proc here",
}, () => {
  throws(() => makeDirectory("/proc/nothing-of-ours"), { code: "ENOENT" })
  throws(() => makeDirectory("/proc/nothing-of-ours/x"), { code: "ENOENT" })
})
