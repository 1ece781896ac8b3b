/**
 * The library as other projects get it: the tarball of `npm pack`, unpacked into an empty project that has nothing but
 * the dependencies which package.json promises.
 */
import { deepEqual, equal, match } from "node:assert/strict"
import { type SpawnSyncReturns, spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import path from "node:path"
import { after, before, test } from "node:test"

const root = path.dirname(import.meta.dirname)
const manifest = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8")) as {
  readonly dependencies: Readonly<Record<string, string>>
}
const project = mkdtempSync(path.join(tmpdir(), "dcache-package-"))
let packed: readonly string[] = []

before(() => {
  packed = installTarball()
  writeFileSync(path.join(project, "package.json"), '{ "private": true, "type": "module" }')
})

after(() => rmSync(project, { recursive: true }))

test("the tarball holds the client and what it needs: no node, no tests, no executable", () => {
  const folders = new Set(packed.map(file => path.dirname(file)))
  const parts = ["", "/adapters", "/base", "/client", "/core", "/protocol"]
  deepEqual(
    [...folders].sort(),
    [".", ...["dist/cjs", "dist/lib"].flatMap(form => parts.map(part => form + part))].sort(),
  )
  deepEqual(packed.filter(file => path.dirname(file) === ".").sort(), ["LICENSE", "README.md", "package.json"])
  deepEqual(packed.filter(file => file.startsWith("dist/lib/core/")).sort(), [
    "dist/lib/core/ring.d.ts",
    "dist/lib/core/ring.js",
  ])
  deepEqual(
    packed.filter(file => file.includes(".test.")),
    [],
  )
})

test("a program in plain JavaScript connects, and is told when nobody is there", () => {
  const program = `
    import { CacheClient, CacheError } from "dcache"
    try {
      await CacheClient.connect("127.0.0.1:1", { whenUnreachable: "fail" })
    } catch (error) {
      console.log(error instanceof CacheError, error.code)
    }`
  writeFileSync(path.join(project, "program.js"), program)
  equal(succeeded(run(process.execPath, ["program.js"])).stdout, "true unreachable\n")
})

test("a program in TypeScript has types to rely on, under strict settings and with every declaration checked", () => {
  const program = `
    import { CacheClient, CacheError, type SetResult } from "dcache"
    type User = { readonly name: string }
    export async function nameOf(key: string): Promise<string | undefined> {
      await using cache = await CacheClient.connect(["127.0.0.1:5555"], { timeoutMs: 100 })
      const stored: SetResult = await cache.set(key, { name: "Ada" }, { ttlMs: 60_000, ifAbsent: true })
      if (stored.kind === "unmet") return (await cache.get<User>(key))?.name
      // @ts-expect-error: a field that the type does not have
      return (await cache.get<User>(key))?.age
    }
    // @ts-expect-error: the codes are a closed union
    export const isImagined = (error: CacheError) => error.code === "imagined"`
  writeFileSync(path.join(project, "program.ts"), program)
  for (const resolution of ["nodenext", "bundler"]) {
    const module = resolution === "bundler" ? "esnext" : "nodenext"
    const settings = ["--strict", "--target", "es2024", "--lib", "es2024,esnext.disposable", "--types", "node"]
    const compiler = path.join(root, "node_modules/.bin/tsc")
    const modules = ["--module", module, "--moduleResolution", resolution]
    succeeded(run(compiler, ["--noEmit", "--skipLibCheck", "false", ...settings, ...modules, "program.ts"]))
  }
})

/** Packs, unpacks, and links the dependencies: what npm would do, without asking a registry. Returns the files. */
function installTarball(): string[] {
  const packing = succeeded(run("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", project], root))
  // npm 11 answers with a list, later ones with an object by package name.
  const answer = Object.values(JSON.parse(packing.stdout) as Record<string, PackAnswer>)[0]
  match(answer?.filename ?? "", /^dcache-.*\.tgz$/)
  const home = path.join(project, "node_modules/dcache")
  mkdirSync(home, { recursive: true })
  succeeded(run("tar", ["-xzf", answer?.filename ?? "", "--strip-components=1", "-C", home]))
  for (const name of [...Object.keys(manifest.dependencies), "@types/node"]) {
    const link = path.join(project, "node_modules", name)
    mkdirSync(path.dirname(link), { recursive: true })
    symlinkSync(path.join(root, "node_modules", name), link)
  }
  return (answer?.files ?? []).map(file => file.path)
}

type PackAnswer = { readonly filename: string; readonly files: readonly { readonly path: string }[] }

function run(command: string, args: readonly string[], cwd = project): SpawnSyncReturns<string> {
  return spawnSync(command, args, { cwd, encoding: "utf8", timeout: 60_000 })
}

function succeeded(result: SpawnSyncReturns<string>): SpawnSyncReturns<string> {
  equal(result.status, 0, `${result.error?.message ?? ""}${result.stdout}${result.stderr}`)
  return result
}
