/**
 * The program as a later version of it: it speaks one protocol version more, and is otherwise the same. Made for a test of
 * upgrades, from the sources, with that one number changed.
 */
import { readFileSync } from "node:fs"
import path from "node:path"
import { fileURLToPath } from "node:url"
import { build } from "esbuild"
import type { CommandLine } from "./node-process.ts"

const root = fileURLToPath(new URL("../../", import.meta.url))

/** `directory` is where it is put. */
export async function nextBuild(directory: string): Promise<CommandLine> {
  const outfile = path.join(directory, "next.cjs")
  await build({
    absWorkingDir: root,
    entryPoints: ["src/main.ts"],
    outfile,
    bundle: true,
    platform: "node",
    format: "cjs",
    target: "node24",
    logLevel: "silent",
    external: ["bufferutil", "utf-8-validate", "cbor-extract"],
    define: { "import.meta.url": '"file:///dcache"' },
    plugins: [
      {
        name: "one version more",
        setup: ({ onLoad }) =>
          onLoad({ filter: /src\/protocol\/limits\.ts$/ }, ({ path: file }) => {
            const text = readFileSync(file, "utf8")
            const contents = text.replace(/protoMax = (\d+)/, (_, now) => `protoMax = ${Number(now) + 1}`)
            if (contents === text) throw new Error(`${file} states no protoMax`)
            return { contents, loader: "ts" }
          }),
      },
    ],
  })
  return { file: process.execPath, args: [outfile] }
}
