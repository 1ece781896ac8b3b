/**
 * The program as files that Node.js can run: everything in one, and beside it a smaller one with the commands that ask a
 * cluster one thing, because those run by the thousand from scripts and what is not loaded costs nothing. For the
 * executable both are compiled ahead of time.
 */
import path from "node:path"
import { root } from "./setup.mjs"

/** Both, by name. */
export const programs = ["whole", "small"]

/** The commands of the smaller program. Whatever is not named here, help included, is in the whole one. */
export const smallCommands = ["get", "set", "delete", "incr", "ttl", "touch", "health"]

/** What else the smaller program answers as the whole one would. */
export const smallWords = ["--version", "-v", "version"]

/**
 * Writes `whole.cjs` and `small.cjs`. Returns the files that went in. Throws what esbuild throws.
 *
 * @param folder where they are put
 */
export async function bundleProgram(folder) {
  const whole = await bundle(path.join(folder, "whole.cjs"), [])
  await bundle(path.join(folder, "small.cjs"), [withoutOtherCommands])
  return whole
}

async function bundle(outfile, plugins) {
  const { build } = await import("esbuild")
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: ["src/main.ts"],
    outfile,
    bundle: true,
    platform: "node",
    format: "cjs",
    target: "node24",
    minify: true,
    keepNames: true,
    legalComments: "none",
    metafile: true,
    // Without its search for a native add-on, which is left out on purpose and costs a look at the file system.
    alias: { "cbor-x": path.join(root, "node_modules/cbor-x/index.js") },
    // Optional native add-ons: ws looks for them and goes on without.
    external: ["bufferutil", "utf-8-validate"],
    plugins: [whenUsed, ...plugins],
  })
  return Object.keys(metafile.inputs).filter(file => !file.startsWith(`${unused}:`))
}

/**
 * Packages load TLS for addresses that begin with https: or wss:, and zlib for frames that are compressed, neither of which this
 * program asks them for. Loading them takes 15 ms of processor time, more than half of what an empty program takes, and one.
 */
const whenUsed = {
  name: "TLS and zlib when they are used",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^(https|tls|zlib)$/ }, ({ path, importer }) =>
      importer.includes("/node_modules/") ? { path, namespace: unused } : undefined,
    )
    onLoad({ filter: /^(https|tls|zlib)$/, namespace: unused }, ({ path }) => ({
      contents: `module.exports = new Proxy({}, { get: (_, name) => require("node:${path}")[name] })`,
    }))
  },
}

const withoutOtherCommands = {
  name: "without other commands",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^\.\/cli\/commands\// }, ({ path: file }) =>
      smallCommands.includes(path.basename(file, ".ts")) ? undefined : { path: file, namespace: unused },
    )
    onLoad({ filter: /\/commands\//, namespace: unused }, () => ({ contents: "export {}", loader: "js" }))
  },
}

const unused = "unused"
