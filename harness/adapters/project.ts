/**
 * A project as a user has it: the tarball of `npm pack` beside the frameworks that it is used with, in `node_modules`. The
 * frameworks lie in a package of their own, with a lock file of its own, and are installed when a test first needs them.
 */
import { spawn, spawnSync } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs"
import { tmpdir } from "node:os"
import path from "node:path"

const root = path.dirname(path.dirname(import.meta.dirname))
const installWithinMs = 240_000
const programWithinMs = 120_000

/** The project's folder, with everything in it. */
export function installedProject(): string {
  const folder = path.join(import.meta.dirname, "project")
  install(folder)
  unpackInto(path.join(folder, "node_modules/dcache"))
  return folder
}

/** Installs what the folder's lock file names, unless it is there. */
export function install(folder: string): void {
  const wanted = path.join(folder, "package-lock.json")
  const installed = path.join(folder, "node_modules/.package-lock.json")
  if (existsSync(installed) && hasAll(wanted, installed)) return
  const args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
  const { status, stdout, stderr, error } = spawnSync("npm", args, {
    cwd: folder,
    encoding: "utf8",
    timeout: installWithinMs,
  })
  if (status === 0) return
  throw new Error(`npm ci in ${path.relative(root, folder)} failed: ${error?.message ?? ""}\n${stdout}${stderr}`)
}

function hasAll(wanted: string, installed: string): boolean {
  const there = versions(installed)
  // Of packages for other machines npm installs none.
  return Object.entries(versions(wanted)).every(
    ([where, entry]) => entry.optional === true || there[where]?.version === entry.version,
  )
}

type Versions = Record<string, { readonly version?: string; readonly optional?: boolean }>

function versions(file: string): Versions {
  const { packages } = JSON.parse(readFileSync(file, "utf8")) as { packages: Versions }
  const { "": _itself, ...others } = packages
  return others
}

/** Packs the package as it is built, and lets its own dependencies be found where this repository has them. */
function unpackInto(home: string): void {
  const work = mkdtempSync(path.join(tmpdir(), "dcache-project-"))
  try {
    const packing = spawnSync("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", work], {
      cwd: root,
      encoding: "utf8",
    })
    if (packing.status !== 0) throw new Error(`npm pack failed:\n${packing.stderr}`)
    const answer = Object.values(JSON.parse(packing.stdout) as Record<string, { filename: string }>)[0]
    rmSync(home, { recursive: true, force: true })
    mkdirSync(home, { recursive: true })
    const tarball = path.join(work, answer?.filename ?? "")
    const unpacking = spawnSync("tar", ["-xzf", tarball, "--strip-components=1", "-C", home], { encoding: "utf8" })
    if (unpacking.status !== 0) throw new Error(`tar failed:\n${unpacking.stderr}`)
    mkdirSync(path.join(home, "node_modules"))
    for (const name of ["cbor-x", "ws"])
      symlinkSync(path.join(root, "node_modules", name), path.join(home, "node_modules", name))
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

export type Ended = { readonly status: number | null; readonly output: string }

/** Runs a program of the project to its end, or for two minutes at most. */
export function run(command: readonly string[], options: { cwd: string; env: Record<string, string> }): Promise<Ended> {
  const [file = "", ...args] = command
  const child = spawn(file, args, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: programWithinMs,
    killSignal: "SIGKILL",
  })
  let output = ""
  const add = (text: Buffer) => {
    output += text.toString()
  }
  child.stdout.on("data", add)
  child.stderr.on("data", add)
  return new Promise((resolve, reject) => {
    child.once("error", reject)
    child.once("close", status => resolve({ status, output }))
  })
}
