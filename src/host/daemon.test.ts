/** A daemon from start to stop: real ports of loopback, a real node, files in a directory of its own. */
import { deepEqual, equal, match, ok, rejects } from "node:assert/strict"
import { once } from "node:events"
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { connect } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type TestContext, test } from "node:test"
import { formatAddress } from "../base/address.ts"
import type { NodeEvent } from "../core/ports.ts"
import { type Daemon, type DaemonOptions, startDaemon } from "./daemon.ts"
import { StartFailure } from "./start-failure.ts"
import type { LogLevel } from "./log.ts"

/** Nothing here takes so long on a machine that works. */
const patienceMs = 20_000

async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + patienceMs
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`waited in vain for: ${what}`)
    await new Promise(resolve => setTimeout(resolve, 5))
  }
}

/** One test's nodes, which end with it. */
class Bench {
  readonly directory = mkdtempSync(join(tmpdir(), "dcache-daemon-"))
  readonly logged: { level: LogLevel; name: string; fields: object }[] = []
  readonly events: NodeEvent[] = []
  readonly fatal: unknown[] = []
  readonly #daemons: Daemon[] = []

  constructor(context: TestContext) {
    context.after(async () => {
      await Promise.all(this.#daemons.map(daemon => daemon.stop()))
      rmSync(this.directory, { recursive: true, force: true })
    })
  }

  async start(options: Partial<DaemonOptions> = {}): Promise<Daemon> {
    const daemon = await startDaemon({
      listen: { host: "127.0.0.1", port: 0 },
      seeds: [],
      advertise: undefined,
      advertiseClient: undefined,
      copies: undefined,
      name: undefined,
      zone: "",
      role: "member",
      formation: "careful",
      hintFile: "none",
      maxBytes: () => 16 * 1024 * 1024,
      version: "test",
      log: { event: (level, name, fields = {}) => this.logged.push({ level, name, fields }) },
      onEvent: event => this.events.push(event),
      onFatal: error => this.fatal.push(error),
      // Few shards, so that a test is about the host and not about moving thousands of them.
      config: { shardCount: 16 },
      ...options,
    })
    this.#daemons.push(daemon)
    return daemon
  }

  path(name: string): string {
    return join(this.directory, name)
  }

  has(name: string): boolean {
    return this.logged.some(line => line.name === name)
  }
}

test("a node without seeds forms a cluster, one with a seed joins it, and both leave", async context => {
  const bench = new Bench(context)
  const first = await bench.start({ name: "first" })
  const second = await bench.start({ name: "second", seeds: [first.address] })
  await until(
    "both copies of everything",
    () => second.status().phase === "member" && first.status().underReplicated === 0,
  )
  deepEqual(
    first.status().members.map(({ name }) => name),
    ["first", "second"],
  )
  equal((await fetch(`http://${second.address}/health`)).status, 200)
  equal((await fetch(`http://${second.address}/healthz`)).status, 200)
  await until("the second to have seen all copies", async () => {
    return (await fetch(`http://${second.address}/readyz`)).status === 200
  })
  const metrics = await fetch(`http://${second.address}/metrics`)
  match(metrics.headers.get("content-type") ?? "", /^text\/plain; version=0\.0\.4/)
  match(await metrics.text(), /^dcache_members 2$/m)
  equal(((await (await fetch(`http://${second.address}/status`)).json()) as { id: string }).id, second.id)

  equal(await second.leave(), "handed-over")
  await second.stop()
  await until("one member", () => first.status().members.length === 1)
  equal(await first.leave(), "last")
  deepEqual(bench.fatal, [])
})

test("a node that is still joining is not healthy", async context => {
  const bench = new Bench(context)
  const joiner = await bench.start({ seeds: ["127.0.0.1:1"] })
  equal(joiner.status().phase, "joining")
  equal((await fetch(`http://${joiner.address}/health`)).status, 503)
  equal((await fetch(`http://${joiner.address}/readyz`)).status, 503)
  equal((await fetch(`http://${joiner.address}/healthz`)).status, 200)
  match(await (await fetch(`http://${joiner.address}/metrics`)).text(), /^dcache_member 0$/m)
})

test("a node that stops without leaving is removed, sooner than by its silence alone", async context => {
  const bench = new Bench(context)
  const first = await bench.start()
  const others = await Promise.all([1, 2].map(() => bench.start({ seeds: [first.address] })))
  await until("three members", () => [first, ...others].every(daemon => daemon.status().members.length === 3))
  await others[0]?.stop()
  await until("two members", () => first.status().members.length === 2)
})

test("its own address among the seeds counts as none", async context => {
  const bench = new Bench(context)
  const node = await bench.start()
  const { port } = node.listen
  await node.stop()
  const again = await bench.start({ listen: { host: "127.0.0.1", port }, seeds: [`localhost:${port}`] })
  deepEqual(again.seeds, [])
  await until("a cluster of one", () => again.status().phase === "member")
})

test("a port that was asked for and is taken is refused in words", async context => {
  const bench = new Bench(context)
  const node = await bench.start()
  await rejects(bench.start({ listen: node.listen }), (error: unknown) => {
    ok(error instanceof StartFailure)
    match(error.message, new RegExp(`${formatAddress(node.listen)} is in use`))
    return true
  })
  await rejects(bench.start({ listen: { host: "192.0.2.1", port: 0 } }), /not an address of this machine/)
  await rejects(bench.start({ config: { copies: 99 } }), /copies must be 1 to 7/)
})

test("when none was asked for, a port that is taken has a next one, and the memory is shared", async context => {
  const bench = new Bench(context)
  const sharing: string[] = []
  const maxBytes = (node: string) => {
    sharing.push(node)
    return 16 * 1024 * 1024
  }
  const first = await bench.start({ listen: undefined, maxBytes })
  const second = await bench.start({ listen: undefined, maxBytes })
  ok(second.listen.port > first.listen.port)
  deepEqual([second.listenChoice.kind, sharing[1]], ["next-port", "sharing"])
})

// -------------------------------------------------------------------------------------------------------- hint file

test("a first node that is restarted looks for its cluster instead of forming a second one", async context => {
  const bench = new Bench(context)
  const hintFile = bench.path("hints.json")
  const first = await bench.start({ hintFile })
  const second = await bench.start({ seeds: [first.address] })
  await until("two members", () => first.status().members.length === 2)
  const { port } = first.listen
  await first.stop() // as by kill -9: it has not left
  ok(existsSync(hintFile))

  const again = await bench.start({ hintFile, listen: { host: "127.0.0.1", port } })
  deepEqual([again.seeds, again.seedsFrom], [[second.address], "hint-file"])
  equal(again.status().phase, "joining")

  const anew = await bench.start({ hintFile, formation: "anew" })
  deepEqual(anew.seeds, [])
})

test("the last node to leave takes the hint file with it", async context => {
  const bench = new Bench(context)
  const hintFile = bench.path("hints.json")
  writeFileSync(hintFile, JSON.stringify({ clusterId: "c", generation: 0, epoch: 1, copies: 2, addresses: [] }))
  const node = await bench.start({ hintFile })
  await until("a cluster of one", () => node.status().phase === "member")
  equal(await node.leave(), "last")
  await node.stop()
  equal(existsSync(hintFile), false)
})

test("a node whose hint file is damaged asks what to do: there may be a cluster that it belongs to", async context => {
  const bench = new Bench(context)
  const hintFile = bench.path("hints.json")
  writeFileSync(hintFile, '{"clusterId":')
  await rejects(bench.start({ hintFile }), /hints\.json, which tells .*cannot be read.*--join.*--bootstrap/)
  const first = await bench.start({ hintFile, formation: "anew" })
  deepEqual((await bench.start({ hintFile, seeds: [first.address] })).seeds, [first.address])
})

test("a hint file that cannot be written is one warning and no more", async context => {
  const bench = new Bench(context)
  writeFileSync(bench.path("file"), "")
  const node = await bench.start({ hintFile: bench.path("file/hints.json") })
  await until("a cluster of one", () => node.status().phase === "member")
  await node.stop()
  equal(bench.logged.filter(({ name }) => name === "hint-file-not-written").length, 1)
  deepEqual(bench.fatal, [])
})

test("a connection that speaks for the first time while its node stops keeps nothing open", {
  timeout: patienceMs,
}, async context => {
  const bench = new Bench(context)
  const node = await bench.start()
  const late = connect(node.listen.port, node.listen.host)
  late.on("error", () => late.destroy())
  await once(late, "connect")
  // Connections are taken in their order: with this one answered, the other was taken.
  await fetch(`http://${node.address}/healthz`)
  const stopped = node.stop()
  late.write("GET / HTTP/1.1\r\n\r\n")
  await stopped
})

// ------------------------------------------------------------------------------------------------------------- fatal

test("an exception out of the node's events ends the node, and its owner is told once", async context => {
  const bench = new Bench(context)
  const failure = new Error("lost track")
  const node = await bench.start({
    onEvent: () => {
      throw failure
    },
  })
  await until("the end", () => bench.fatal.length > 0)
  await node.stop()
  deepEqual(bench.fatal, [failure])
  ok(bench.has("fatal"))
  await rejects(fetch(`http://${node.address}/health`))
})
