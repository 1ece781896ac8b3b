/** Which `dcache` the tests of real processes run: the executable when it is built of the present sources, else the sources. */
import { existsSync, readdirSync, statSync } from "node:fs"
import { fileURLToPath } from "node:url"
import type { CommandLine } from "./node-process.ts"

const root = fileURLToPath(new URL("../../", import.meta.url))

/** An executable older than a source would answer for yesterday's code. */
export function commandUnderTest(): CommandLine {
  const binary = `${root}dcache`
  if (existsSync(binary) && statSync(binary).mtimeMs > newestSourceMs()) return { file: binary, args: [] }
  return { file: process.execPath, args: [`${root}src/main.ts`] }
}

/** `stress` and `bench` carry parts of the harness. */
const folders = ["src", "harness/cluster", "harness/checker", "harness/bench/load"]

function newestSourceMs(): number {
  const files = folders.flatMap(folder =>
    readdirSync(`${root}${folder}`, { recursive: true, encoding: "utf8" })
      .filter(path => path.endsWith(".ts") && !path.endsWith(".test.ts"))
      .map(path => `${root}${folder}/${path}`),
  )
  return files.reduce((newest, file) => Math.max(newest, statSync(file).mtimeMs), 0)
}
