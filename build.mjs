/**
 * Makes what users get: `./dcache`, one executable with Node.js inside, and `dist/lib` and `dist/cjs`, the client
 * library as JavaScript with types. Rebuilds only what changed. `node build.mjs --fresh` rebuilds everything.
 *
 * On linux-x64 the executable is a copy of the pinned Node.js with the bundled program injected, source and compiled code
 * (a "single executable application" in Node.js's words). Elsewhere `./dcache` is a script that runs the bundle with the Node.js on the PATH.
 */
import { createHash } from "node:crypto"
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs"
import { spawnSync } from "node:child_process"
import path from "node:path"
import { fileURLToPath } from "node:url"
import { bundleProgram, programs, smallCommands, smallWords } from "./tools/program.mjs"
import { announce, canBuildBinary, pinnedNode, report, root, setUp, stop } from "./tools/setup.mjs"

const binary = path.join(root, "dcache")
const dist = path.join(root, "dist")
/** The library twice: as ES modules and, for programs that `require`, as CommonJS. */
const library = [
  { folder: path.join(dist, "lib"), type: "module", options: [] },
  {
    folder: path.join(dist, "cjs"),
    type: "commonjs",
    options: ["--module", "commonjs", "--moduleResolution", "bundler", "--verbatimModuleSyntax", "false"],
  },
]

/** Set-up must have run: this needs the installed packages. */
export async function build({ fresh = process.argv.includes("--fresh") } = {}) {
  const work = workFolder()
  await buildExecutable(work, fresh)
  buildLibrary(work, fresh)
  rmSync(work, { recursive: true })
}

/** Two builds may run at once in one checkout: each works in a folder of its own and renames its results into place. */
function workFolder() {
  mkdirSync(dist, { recursive: true })
  for (const left of readdirSync(dist).filter(name => name.startsWith("work-"))) {
    if (!isRunning(Number(left.slice("work-".length)))) rmSync(path.join(dist, left), { recursive: true, force: true })
  }
  const work = path.join(dist, `work-${process.pid}`)
  rmSync(work, { recursive: true, force: true })
  mkdirSync(work)
  return work
}

function isRunning(pid) {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return error.code === "EPERM"
  }
}

// ---------------------------------------------------------------------------------------------------------- executable

async function buildExecutable(work, fresh) {
  const startedAtMs = performance.now()
  const licenses = path.join(work, "THIRD_PARTY_LICENSES")
  const bundled = await bundle(work)
  // Loaded here and not above: packages can be imported only after set-up has installed them.
  const { thirdPartyLicenses } = await import("./tools/licenses.mjs")
  writeFileSync(licenses, thirdPartyLicenses(bundled))

  // Bundling takes a moment and injecting takes ten, so "did anything change?" is asked of the bundles themselves: no list of
  // source files to keep, and an edited comment costs nothing.
  const bundles = programs.map(name => path.join(work, `${name}.cjs`))
  const key = digest([...bundles, licenses, ...toolchainFiles])
  if (!fresh && existsSync(binary) && stampOf("executable") === key) {
    report("build", "./dcache is up to date", startedAtMs)
    return
  }
  const made = path.join(work, "dcache")
  if (canBuildBinary) {
    announce("build", "packing Node.js and the program into ./dcache")
    inject(licenses, work, made)
  } else {
    const home = path.join(dist, "dcache.cjs")
    renameSync(path.join(work, "whole.cjs"), home)
    writeFileSync(made, `#!/bin/sh\nexec node "${home}" "$@"\n`)
  }
  chmodSync(made, 0o755)
  const version = smokeTest(made)
  copyFileSync(licenses, path.join(dist, "THIRD_PARTY_LICENSES"))
  renameSync(made, binary)
  writeStamp("executable", key)
  report("build", `./dcache ${version} is built`, startedAtMs)
}

/** Returns the files that went in. */
async function bundle(work) {
  try {
    return await bundleProgram(work)
  } catch (error) {
    // esbuild has printed what is wrong, with the place in the source.
    if (Array.isArray(error.errors)) stop("build: the program could not be bundled; the lines above say why.")
    throw error
  }
}

function inject(licenses, work, output) {
  const base = path.join(work, "node")
  copyFileSync(pinnedNode, base)
  chmodSync(base, 0o755)
  strip(base)
  const assets = { licenses }
  for (const name of programs) {
    const compiled = run(pinnedNode, ["--random-seed=1", path.join(root, "tools/compile.cjs"), work, name])
    if (compiled.status !== 0) stop(`build: the program cannot be compiled.\n${compiled.stderr}`)
    for (const file of [`${name}.js`, `${name}.code`]) assets[file] = path.join(work, file)
  }
  const starter = path.join(work, "starter.cjs")
  const text = readFileSync(path.join(root, "tools/starter.cjs"), "utf8")
  writeFileSync(starter, text.replace("SMALL_COMMANDS", JSON.stringify([...smallCommands, ...smallWords])))
  // In a process of its own: the packager changes the working directory and prints what only its authors need.
  const packager = path.join(root, "tools/inject.mjs")
  const order = JSON.stringify({ starter, base, output, assets })
  const result = run(pinnedNode, [packager, order], { ...process.env, TMPDIR: work })
  if (result.status !== 0) stop(`build: the packager failed.\n${result.stdout}${result.stderr}`)
}

/** Takes 18 MB of symbols out. Before anything is injected: afterwards the result crashes. */
function strip(executable) {
  const stripped = `${executable}.stripped`
  const done = run("strip", ["--strip-all", "-o", stripped, executable])
  if (done.status === 0 && run(stripped, ["-e", "0"]).status === 0) renameSync(stripped, executable)
  else announce("build", "no working strip on this machine (it comes with binutils): ./dcache keeps 18 MB of symbols")
}

function smokeTest(executable) {
  const { status, signal, stdout, stderr } = run(executable, ["--version"])
  if (status !== 0) stop(`build: the new executable does not run (${signal ?? `exit status ${status}`}).\n${stderr}`)
  return stdout.trim()
}

// ------------------------------------------------------------------------------------------------------------- library

function buildLibrary(work, fresh) {
  const startedAtMs = performance.now()
  const config = path.join(root, "tools/library.tsconfig.json")
  const sources = readdirSync(path.join(root, "src"), { recursive: true })
    .filter(file => file.endsWith(".ts") && !file.endsWith(".test.ts"))
    .sort()
    .map(file => path.join(root, "src", file))
  const key = digest([config, path.join(root, "tsconfig.json"), ...toolchainFiles, ...sources])
  if (!fresh && library.every(({ folder }) => existsSync(folder)) && stampOf("library") === key) {
    report("build", "dist/lib and dist/cjs are up to date", startedAtMs)
    return
  }
  for (const { folder, type, options } of library) {
    const made = path.join(work, path.basename(folder))
    const compiler = path.join(root, "node_modules/.bin/tsc")
    const result = run(compiler, ["-p", config, "--outDir", made, "--pretty", "false", ...options])
    if (result.status !== 0) stop(`build: the client library does not compile.\n${result.stdout}${result.stderr}`)
    // What a file's `.js` means is said by the nearest package.json, whoever unpacks this wherever.
    writeFileSync(path.join(made, "package.json"), `${JSON.stringify({ type })}\n`)
    rmSync(folder, { recursive: true, force: true })
    renameSync(made, folder)
  }
  writeStamp("library", key)
  report("build", "dist/lib and dist/cjs are built: the client as JavaScript with types", startedAtMs)
}

// -------------------------------------------------------------------------------------------------------------- helpers

/** What else the results depend on: how they are made, and with which versions of what. */
const toolchainFiles = [
  "build.mjs",
  "tools/program.mjs",
  "tools/compile.cjs",
  "tools/starter.cjs",
  "tools/inject.mjs",
  "package-lock.json",
].map(file => path.join(root, file))

function digest(files) {
  const hash = createHash("sha256")
  for (const file of files) hash.update(readFileSync(file)).update("\0")
  return hash.digest("hex")
}

function stampOf(name) {
  const file = path.join(dist, `${name}.stamp`)
  return existsSync(file) ? readFileSync(file, "utf8") : undefined
}

function writeStamp(name, key) {
  writeFileSync(path.join(dist, `${name}.stamp`), key)
}

function run(command, args, env = process.env) {
  return spawnSync(command, args, { cwd: root, env, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await setUp()
  await build()
}
