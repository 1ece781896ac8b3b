/**
 * The adapters with the frameworks that they are for: each program of `programs/` is what a user would write, runs as a process of
 * its own with the packed package, and asks a cluster of two real nodes.
 */
import { deepEqual, equal, match } from "node:assert/strict"
import { spawnSync } from "node:child_process"
import path from "node:path"
import { after, before, describe, test } from "node:test"
import { NodeBench } from "../cluster/node-bench.ts"
import { install, installedProject, run } from "./project.ts"

const root = path.dirname(path.dirname(import.meta.dirname))

describe("adapters", async () => {
  let project = ""
  let node = ""

  const ends: (() => Promise<void>)[] = []
  after(async () => {
    for (const end of ends) await end()
  })

  before(async () => {
    project = installedProject()
    const bench = new NodeBench({ after: end => ends.push(end as () => Promise<void>) }) // as it is called with
    const [, second] = await bench.cluster({ name: "n1" }, { name: "n2" })
    node = second?.process.address ?? ""
  })

  for (const [program, does] of [
    ["keyv-versions.mjs", "Keyv 5 and Keyv 6: lives, namespaces, many keys, iteration"],
    ["cache-manager.mjs", "cache-manager: two instances see one another"],
    ["nestjs.mjs", "@nestjs/cache-manager: an application's CACHE_MANAGER"],
    ["express-session.mjs", "express-session: two applications share their sessions"],
    ["rate-limiter.mjs", "rate-limiter-flexible and express-rate-limit: limits hold across instances, windows end"],
    ["unstorage.mjs", "unstorage: items, raw bytes, lives, names"],
    ["commonjs.cjs", "a program that requires"],
  ] as const)
    test(does, async () => {
      const { status, output } = await run([process.execPath, path.join("programs", program)], {
        cwd: project,
        env: { DCACHE_NODE: node },
      })
      equal(status, 0, output)
      equal(output, "", "it has nothing to complain of")
    })

  test("Next.js: two instances share pages, tags and paths, and go on without the cluster", async () => {
    install(path.join(project, "next"))
    const { status, output } = await run([process.execPath, "programs/next.mjs"], {
      cwd: project,
      env: { DCACHE_NODE: node },
    })
    equal(status, 0, output)
  })

  test("the suite that Keyv publishes passes, with Keyv 5 and with Keyv 6", async () => {
    const vitest = path.join("node_modules", "vitest", "vitest.mjs")
    const report = path.join(project, "node_modules", ".vitest-report.json")
    const { status, output } = await run([process.execPath, vitest, "run", `--outputFile.json=${report}`], {
      cwd: project,
      env: { DCACHE_NODE: node, NO_COLOR: "1" },
    })
    equal(status, 0, output)
    // One of Keyv 5's asks for what Keyv 6 answers otherwise.
    const [, passed = "", skipped, all] = /Tests\s+(\d+) passed \| (\d+) skipped \((\d+)\)/.exec(output) ?? []
    deepEqual([skipped, Number(passed) + 1], ["1", Number(all)], output)
    match(passed, /^\d{2,}$/)
  })

  test("each framework's own types take the adapters, under strict settings", () => {
    const settings = [
      "--ignoreConfig",
      "--strict",
      "--noEmit",
      "--skipLibCheck",
      "--target",
      "es2024",
      "--lib",
      "es2024,esnext.disposable",
    ]
    const modules = ["--module", "nodenext", "--types", "node", "--typeRoots", path.join(root, "node_modules/@types")]
    const compiler = path.join(root, "node_modules/.bin/tsc")
    const { status, stdout } = spawnSync(
      compiler,
      [...settings, ...modules, path.join(project, "programs/types.mts")],
      {
        cwd: project,
        encoding: "utf8",
      },
    )
    equal(status, 0, stdout)
  })

  test("publint and arethetypeswrong find nothing in the package", async () => {
    const home = path.join(project, "node_modules", "dcache")
    const cli = (name: string, file: string) => [process.execPath, path.join(project, "node_modules", name, file)]
    const lint = await run([...cli("publint", "src/cli.js"), "run", home, "--strict", "--pack", "false"], {
      cwd: project,
      env: { NO_COLOR: "1" },
    })
    equal(lint.status, 0, lint.output)
    match(lint.output, /All good!/)
    const types = await run([...cli("@arethetypeswrong/cli", "dist/index.js"), "--pack", root, "--no-color"], {
      cwd: project,
      env: { NO_COLOR: "1" },
    })
    equal(types.status, 0, types.output)
    match(types.output, /No problems found/)
  })
})
