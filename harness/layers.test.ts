/**
 * Who may import whom, and the determinism rule. A node is a function from what happened to what to do, which is what
 * lets the simulator run it unchanged. One clock read or one socket opened inside would end that silently, so this
 * test reads the sources and names each line that does.
 */
import { deepEqual } from "node:assert/strict"
import { globSync, readFileSync } from "node:fs"
import path from "node:path"
import { test } from "node:test"
import { readSource } from "./source-text.ts"

// ---------------------------------------------------------------------------------------------------------- the rules

/**
 * The first row that a file's path begins with is its layer. A file may import its own folder under `src` or `harness`
 * and what the row lists: files, folders ("src/base/"), packages, and Node.js's modules ("node:").
 */
const layers: readonly { readonly files: string; readonly may: readonly string[] }[] = [
  { files: "src/base/", may: [] },
  { files: "src/config.ts", may: ["src/base/", "src/protocol/limits.ts"] },
  { files: "src/version.ts", may: ["package.json"] },

  // What goes over a wire. One file knows how it is encoded.
  { files: "src/protocol/codec.ts", may: ["src/base/", "cbor-x"] },
  { files: "src/protocol/", may: ["src/base/"] },

  // The node: no sockets, no encoding.
  { files: "src/store/", may: ["src/base/"] },
  {
    files: "src/core/",
    may: ["src/base/", "src/config.ts", "src/store/", "src/protocol/message.ts", "src/protocol/limits.ts"],
  },

  // The real world around a node, and around a client.
  { files: "src/host/metrics.ts", may: ["src/base/", "src/protocol/", "src/core/operation-counts.ts", "prom-client"] },
  { files: "src/host/", may: ["src/base/", "src/config.ts", "src/protocol/", "src/core/", "ws", "node:"] },
  { files: "src/client/sockets.ts", may: ["src/base/", "src/protocol/", "ws", "node:"] },
  { files: "src/client/", may: ["src/base/", "src/protocol/", "src/core/ring.ts"] },
  // The client in the forms that frameworks ask for; a framework itself only where a class of it must be extended.
  { files: "src/adapters/express-session.ts", may: ["src/client/client.ts", "express-session"] },
  { files: "src/adapters/", may: ["src/client/client.ts", "node:"] },

  // Other protocols by which a node is used: clients that happen to live in its process.
  {
    files: "src/doors/",
    may: [
      "src/base/",
      "src/protocol/",
      "src/client/session.ts",
      "src/client/routes.ts",
      "src/client/walk.ts",
      "src/client/tags.ts",
      "src/client/follow.ts",
      "node:",
    ],
  },

  // What a person types. Two commands carry the harness with them; a node never does.
  { files: "src/cli/commands/stress.ts", may: ["src/", "clipanion", "node:", "harness/cluster/", "harness/checker/"] },
  { files: "src/cli/commands/bench.ts", may: ["src/", "clipanion", "node:", "harness/bench/load/"] },
  { files: "src/cli/", may: ["src/", "clipanion", "cli-table3", "picocolors", "node:"] },
  { files: "src/main.ts", may: ["src/cli/"] },

  // What judges. The simulator runs nodes without a world; the cluster's nodes are processes, black boxes.
  { files: "harness/checker/", may: ["src/base/"] },
  { files: "harness/sim/run", may: ["src/", "harness/checker/", "harness/command-line.ts", "node:"] },
  {
    files: "harness/sim/",
    may: [
      "src/base/",
      "src/config.ts",
      "src/protocol/",
      "src/store/",
      "src/core/",
      "src/client/session.ts",
      "src/client/loading.ts",
      "src/client/steps.ts",
      "src/client/tags.ts",
      "harness/checker/",
    ],
  },
  // What any network owes the core, as the core's border states it.
  {
    files: "harness/contract/",
    may: ["src/base/", "src/protocol/", "src/core/ports.ts", "src/host/", "harness/sim/", "ws", "node:"],
  },
  { files: "harness/cluster/next-build.ts", may: ["node:", "esbuild", "harness/cluster/"] },
  { files: "harness/cluster/soak.ts", may: ["harness/command-line.ts", "node:"] },
  {
    files: "harness/cluster/",
    may: ["src/base/", "src/protocol/", "src/client/", "harness/checker/", "harness/bench/load/", "node:"],
  },
  {
    files: "harness/hosts/",
    may: [
      "src/base/",
      "src/protocol/",
      "src/core/ring.ts",
      "src/client/routes.ts",
      "harness/checker/",
      "harness/cluster/",
      "node:",
    ],
  },
  { files: "harness/adapters/", may: ["harness/cluster/", "node:"] },
  // Those who misuse a door know its frames, to spoil them.
  { files: "harness/doors/attacks.ts", may: ["src/base/", "src/protocol/", "harness/contract/raw-stream.ts", "node:"] },
  {
    files: "harness/doors/idle-crowd.ts",
    may: ["src/base/", "src/protocol/", "harness/contract/raw-stream.ts", "node:"],
  },
  { files: "harness/examples/", may: ["dcache"] },
  { files: "harness/doors/", may: ["src/base/", "harness/cluster/", "harness/adapters/project.ts", "node:"] },
  { files: "harness/bench/load/", may: ["src/base/", "src/protocol/", "src/client/", "node:"] },
  { files: "harness/bench/throughput", may: ["src/", "harness/", "node:", "ioredis", "cli-table3"] },
  // What people use in place of ours, beside it.
  { files: "harness/bench/store/", may: ["src/", "harness/", "node:", "lru-cache"] },
  { files: "harness/bench/", may: ["src/", "harness/", "node:", "ws", "cbor-x"] },
  { files: "harness/source-text.ts", may: [] },
  { files: "harness/command-line.ts", may: ["node:"] },
]

/** Here time comes in with each call and chance from a seeded generator; nothing waits and nothing prints. */
const deterministic = [
  ...["src/base/", "src/store/", "src/core/"],
  ...["src/client/session.ts", "src/client/steps.ts", "src/client/tags.ts", "src/client/loading.ts"],
  ...["src/doors/resp/broadcast.ts", "src/doors/resp/channels.ts", "src/doors/resp/subscriber.ts"],
]

const bannedThere: readonly { readonly word: string; readonly pattern: RegExp }[] = [
  ...["Date", "performance", "Temporal", "process", "console", "globalThis", "crypto", "WeakRef"].map(global),
  ...["setTimeout", "setInterval", "setImmediate", "queueMicrotask", "fetch", "WebSocket", "require"].map(global),
  ...["Promise", "async", "await"].map(global),
  { word: "Math.random", pattern: /\bMath\s*(?:\?\.|\.)\s*random\b/g },
  // Its order among equals and its letters differ between the machines of one cluster.
  { word: "localeCompare", pattern: /\.\s*localeCompare\b/g },
]

/** As a name of its own: `record.process` and `{ process: 3 }` are somebody's field, `process.pid` is the process. */
function global(word: string): { word: string; pattern: RegExp } {
  return { word, pattern: new RegExp(`(?<![.\\w$#])${word}(?![\\w$]|\\??:)`, "g") }
}

// -------------------------------------------------------------------------------------------------------- the sources

test("every import goes where the table allows, and the deterministic parts stay deterministic", () => {
  const root = path.dirname(import.meta.dirname)
  // Packages that a test installs for itself are others' code.
  const exclude = ["**/node_modules/**"]
  const files = globSync(["src/**/*.ts", "harness/**/*.ts"], { cwd: root, exclude }).sort()
  deepEqual(
    files.flatMap(file => problems(file, readFileSync(path.join(root, file), "utf8"))),
    [],
  )
})

function problems(file: string, source: string): string[] {
  const { code, imports } = readSource(source)
  return [...importProblems(file, imports), ...determinismProblems(file, code)]
}

function importProblems(file: string, imports: readonly string[]): string[] {
  const layer = layers.find(({ files }) => file.startsWith(files))
  if (!layer && !isTest(file)) return [`${file} is in no layer`]
  return imports
    .map(name => (name.startsWith(".") ? path.posix.join(path.posix.dirname(file), name) : name))
    .filter(target => !mayImport(file, target, layer?.may ?? []))
    .map(target => `${file} -> ${target}`)
}

function mayImport(file: string, target: string, may: readonly string[]): boolean {
  if (isTest(target) && !isTest(file)) return false
  const isPackage = !/^(src|harness)\//.test(target)
  // A test's own tools are its own affair: the rules are about what ships and what is simulated.
  if (isTest(file) && isPackage) return true
  if (!isPackage && layerFolder(file) === layerFolder(target)) return true
  return may.some(allowed => (/[/:]$/.test(allowed) ? target.startsWith(allowed) : target === allowed))
}

/** "src/core" of "src/core/shard/shard.ts". Files directly under `src` share no folder: each is a layer. */
function layerFolder(file: string): string {
  const [top, folder, ...rest] = file.split("/")
  return top === "harness" && rest.length === 0 ? "harness" : `${top}/${folder}`
}

function isTest(file: string): boolean {
  return file.endsWith(".test.ts") || file.includes("/testing/")
}

function determinismProblems(file: string, code: string): string[] {
  if (isTest(file) || !deterministic.some(place => file.startsWith(place))) return []
  return bannedThere.flatMap(({ word, pattern }) =>
    [...code.matchAll(pattern)].map(({ index }) => `${file}:${lineAt(code, index)} uses ${word}`),
  )
}

function lineAt(code: string, index: number): number {
  return code.slice(0, index).split("\n").length
}

// ---------------------------------------------------------------------------- that the rules would notice: wrong sources

const wrongSources = [
  { file: "src/core/node.ts", source: 'import { log } from "../host/log.ts"', problem: "-> src/host/log.ts" },
  { file: "src/core/node.ts", source: 'import type { X } from "../client/call.ts"', problem: "-> src/client/call.ts" },
  { file: "src/core/shard/shard.ts", source: 'import {\n  a,\n  b,\n} from "node:fs"', problem: "-> node:fs" },
  { file: "src/core/ring.ts", source: 'import "../protocol/codec.ts"', problem: "-> src/protocol/codec.ts" },
  { file: "src/core/ring.ts", source: "export * from 'ws'", problem: "-> ws" },
  { file: "src/core/a.ts", source: 'const a = await import("../host/log.ts")', problem: "-> src/host/log.ts" },
  {
    file: "src/core/a.ts",
    source: 'import { views } from "./testing/views.ts"',
    problem: "-> src/core/testing/views.ts",
  },
  { file: "src/base/hash.ts", source: 'import { a } from "../config.ts"', problem: "-> src/config.ts" },
  { file: "src/store/arena.ts", source: 'import { a } from "../core/node.ts"', problem: "-> src/core/node.ts" },
  { file: "src/protocol/plain.ts", source: 'import { encode } from "cbor-x"', problem: "-> cbor-x" },
  { file: "src/client/session.ts", source: 'import WebSocket from "ws"', problem: "-> ws" },
  { file: "src/client/client.ts", source: 'import { a } from "../core/node.ts"', problem: "-> src/core/node.ts" },
  { file: "src/client/client.ts", source: 'import { WebSocket } from "ws"', problem: "-> ws" },
  { file: "src/host/daemon.ts", source: 'import { a } from "../cli/run.ts"', problem: "-> src/cli/run.ts" },
  { file: "src/cli/run.ts", source: 'import { a } from "../../harness/sim/run.ts"', problem: "-> harness/sim/run.ts" },
  { file: "src/cli/commands/stress.ts", source: 'import "../../../harness/sim/a.ts"', problem: "-> harness/sim/a.ts" },
  { file: "harness/sim/cluster.ts", source: 'import "../../src/host/links.ts"', problem: "-> src/host/links.ts" },
  { file: "harness/sim/cluster.ts", source: 'import { readFileSync } from "node:fs"', problem: "-> node:fs" },
  { file: "harness/cluster/stress.ts", source: 'import "../../src/core/ring.ts"', problem: "-> src/core/ring.ts" },
  { file: "harness/checker/a.ts", source: 'import "../sim/clock.ts"', problem: "-> harness/sim/clock.ts" },
  { file: "src/new/idea.ts", source: "", problem: "is in no layer" },

  { file: "src/core/node.ts", source: "let a = 1\nlet b = Date.now()", problem: "uses Date", line: 2 },
  { file: "src/core/node.ts", source: "/* one\ntwo */ new Date()", problem: "uses Date", line: 2 },
  { file: "src/core/node.ts", source: "const text = `${`${Date.now()}`}`", problem: "uses Date" },
  { file: "src/core/node.ts", source: "const a = 6 / 2; Date.now(); const b = 6 / 3", problem: "uses Date" },
  { file: "src/core/node.ts", source: "if (/['\"`]/.test(a)) performance.now()", problem: "uses performance" },
  { file: "src/base/prng.ts", source: "return Math.random()", problem: "uses Math.random" },
  { file: "src/store/store.ts", source: "setTimeout(() => {}, 1)", problem: "uses setTimeout" },
  { file: "src/client/session.ts", source: "queueMicrotask(f)", problem: "uses queueMicrotask" },
  { file: "src/core/node.ts", source: "async function f() {}", problem: "uses async" },
  { file: "src/core/node.ts", source: "await f()", problem: "uses await" },
  { file: "src/core/node.ts", source: "f(): Promise<void>", problem: "uses Promise" },
  { file: "src/core/node.ts", source: "const id = process.pid", problem: "uses process" },
  { file: "src/core/node.ts", source: "console.log(1)", problem: "uses console" },
  { file: "src/core/node.ts", source: "globalThis['Da' + 'te']", problem: "uses globalThis" },
  { file: "src/core/node.ts", source: "ids.sort((a, b) => a.localeCompare(b))", problem: "uses localeCompare" },
]

for (const { file, source, problem, line = 1 } of wrongSources) {
  const expected = problem.startsWith("uses") ? `${file}:${line} ${problem}` : `${file} ${problem}`
  test(`noticed: ${expected}, in ${JSON.stringify(source)}`, () => {
    deepEqual(
      problems(file, source).filter(found => found === expected),
      [expected],
    )
  })
}

const rightSources = [
  {
    file: "src/core/node.ts",
    source: "// a Date, await, process.exit()\n/** console */",
    because: "comments use nothing",
  },
  {
    file: "src/core/node.ts",
    source: "const a = 'Date'; const b = `Promise ${a} await`",
    because: "texts use nothing",
  },
  { file: "src/core/node.ts", source: "const a = /Date\\/await[/'\"]/g", because: "patterns use nothing" },
  {
    file: "src/core/node.ts",
    source: "record.process + updateDate + { process: 1 }.process",
    because: "fields are own",
  },
  { file: "src/core/node.ts", source: 'const a = \'import "ws"\' // from "ws"', because: "only code imports" },
  { file: "src/core/a.test.ts", source: 'import fc from "fast-check"\nawait f()', because: "tests have their tools" },
  {
    file: "src/host/daemon.ts",
    source: 'import { createServer } from "node:http"\nDate.now()',
    because: "it is the world",
  },
  { file: "harness/sim/run.ts", source: 'import { writeFileSync } from "node:fs"', because: "a runner prints" },
  { file: "src/client/sockets.ts", source: 'import WebSocket from "ws"\nawait f()', because: "it does the waiting" },
]

for (const { file, source, because } of rightSources) {
  test(`allowed in ${file}: ${JSON.stringify(source)}, because ${because}`, () => deepEqual(problems(file, source), []))
}
