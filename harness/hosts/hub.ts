/**
 * One cluster on five hosts with addresses of their own, a load from both sides of every cut, and what came of each story. Prints
 * a line of JSON for each (`StoryResult`); its words for people go to stderr.
 *
 *     unshare --net node harness/hosts/hub.ts [STORY...]        as root; stories by a part of their names, all if none
 *
 * `hosts.test.ts` and `npm run hosts` start it so. Everything it makes goes with its network namespace and its pipes.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { Prng } from "../../src/base/prng.ts"
import type { Operation } from "../checker/history.ts"
import { parseHistory } from "../checker/history.ts"
import { checkLinearizability } from "../checker/linearizability.ts"
import { primaryOf, shardOfKey } from "../../src/client/routes.ts"
import { Placement } from "../../src/core/ring.ts"
import { disagreement, incompleteness, unrest } from "../cluster/agreement.ts"
import { commandUnderTest } from "../cluster/command-under-test.ts"
import { machineSeconds } from "../cluster/cpu.ts"
import { NodeProcess } from "../cluster/node-process.ts"
import { NodeObserver } from "../cluster/observer.ts"
import { until } from "../cluster/until.ts"
import { type Host, Hosts } from "./hosts.ts"
import { type Asked, judged, type StoryResult } from "./judged.ts"
import { Teller } from "./teller.ts"
import { type Cut, halfAndHalf, stories, type Story } from "./stories.ts"

type Placed = { readonly host: Host; readonly process: NodeProcess; readonly observer: NodeObserver }

const port = 5555
const keyCount = 24
/** Keys that are asked of every node: so many led by each. */
const probesOfEach = 2
const steadyMs = 1_000
const patienceMs = 60_000

const wanted = process.argv.slice(2)
const isWanted = (story: Story) => wanted.length === 0 || wanted.some(part => story.name.includes(part))
const prng = new Prng(process.pid)
const placement = new Placement()
const directory = mkdtempSync(path.join(tmpdir(), "dcache-hosts-"))
const hosts = new Hosts(["a", "b", "c", "d", "e", "client"])
const [client] = hosts.all.slice(-1)
let placed: Placed[] = []
try {
  for (const host of hosts.all.slice(0, -1)) {
    placed.push(start(host, placed.slice(0, 1)))
    // The first must be there to be joined.
    if (placed.length === 1) await complete()
  }
  await complete()
  for (const story of stories) if (isWanted(story)) await tell(story)
  if (isWanted(halfAndHalf)) {
    const gone = placed.pop()
    gone?.process.kill()
    gone?.observer.close()
    await complete()
    await tell(halfAndHalf)
  }
} finally {
  for (const { process, observer } of placed) {
    observer.close()
    process.kill()
  }
  hosts.end()
  rmSync(directory, { recursive: true, force: true })
}
process.exit()

function start(host: Host, seeds: readonly Placed[]): Placed {
  const { file, args } = hosts.commandOn(host, commandUnderTest())
  const listen = `${host.ip}:${port}`
  return {
    host,
    process: new NodeProcess({
      ...{ name: host.name, listen, directory },
      command: { file, args },
      join: seeds.map(({ process }) => process.address),
      extraArgs: ["--memory", "64MiB", "--eviction", "none", "--zone", host.name],
    }),
    observer: new NodeObserver(listen, prng.hex64()),
  }
}

/** All list each other, nobody else, and every copy is where it should be. */
async function complete(): Promise<void> {
  let obstacle: string | undefined
  await until(
    async () => {
      const reports = await Promise.all(placed.map(({ observer }) => observer.status(2_000)))
      const sightings = placed.map(({ host }, i) => ({ name: host.name, report: reports[i] }))
      obstacle = disagreement(sightings) ?? incompleteness(sightings) ?? unrest(sightings) ?? displacement()
      return obstacle === undefined
    },
    {
      withinMs: patienceMs,
      everyMs: 50,
      what: () =>
        `a complete cluster: ${obstacle}\n${placed.map(one => `--- ${one.host.name}\n${one.process.tail}`).join("\n")}`,
    },
  )
}

async function tell(story: Story): Promise<void> {
  process.stderr.write(`${story.name}\n`)
  // Each story begins with keys that nobody ever wrote.
  const prefix = `${story.name.replaceAll(" ", "-")}:`
  const hostsOfNodes = placed.map(({ host }) => host)
  const probeKeys = prng.shuffled(hostsOfNodes.flatMap(host => keysLedBy(host, `${prefix}probe:`)))
  const cut = story.cut({ hosts: hostsOfNodes, victim: holdersOf(probeKeys[0] ?? "") })
  const loads = loadsFor(cut, prefix)
  const askers = placed.map(({ host }) => ({ host, teller: asker(host, probeKeys) }))
  await Promise.all([...loads, ...askers.map(({ teller }) => teller)].map(({ begun }) => begun))
  await sleep(steadyMs)
  const held = new Map(probeKeys.map(key => [key, heldBy(key)]))
  const before = machineSeconds()
  const cutAtNs = nowNs()
  for (const { from, to } of cut.links) hosts.cut(from, to)
  await sleep(story.lastsMs)
  const healedAtNs = nowNs()
  hosts.heal()
  const after = machineSeconds()
  await complete()
  const completeAtNs = nowNs()
  await sleep(steadyMs)

  const asked = new Map(
    await Promise.all(askers.map(async ({ host, teller }) => [host.name, parseAsked(await teller.end())] as const)),
  )
  const history: Operation[] = []
  for (const load of loads) {
    const said = await load.end()
    const { operations, problems } = parseHistory(said.replace(/^ready\n/, ""))
    if (problems.length > 0) throw new Error(`a load wrote what is no history: ${JSON.stringify(problems[0])}`)
    history.push(...operations)
  }
  const { violations, undecidedKeys } = checkLinearizability(history.sort((a, b) => a.callNs - b.callNs))
  const idle = after.idle - before.idle
  const result: StoryResult = {
    story: story.name,
    cut: cut.describe,
    ...judged({ cut, asked, held, cutAtNs, healedAtNs }),
    completeAfterMs: (completeAtNs - healedAtNs) / 1e6,
    operations: history.length,
    violations: violations.map(({ key }) => key),
    undecided: undecidedKeys.length,
    servesWithinMs: story.servesWithinMs,
    idleShare: idle / (idle + after.busy - before.busy),
  }
  process.stdout.write(`${JSON.stringify(result)}\n`)
}

// ---------------------------------------------------------------------------------------------------- who holds what

/** Which shards are not led by whom the ring names; undefined: none. */
function displacement(): string | undefined {
  const { report, routes, targets } = firstNodesView()
  const displaced = targets.filter(([primary], shard) => primaryOf(routes, shard)?.id !== primary).length
  return displaced === 0 ? undefined : `${displaced} shards are led by others in the eyes of ${report.name}`
}

function firstNodesView() {
  const [witness] = placed
  const report = witness?.observer.lastReport
  const routes = witness?.observer.routes
  if (report === undefined || routes === undefined) throw new Error("the first node has not told its view")
  const shards = { length: report.shardCount }
  return { report, routes, targets: placement.targets({ members: report.members, copies: report.copies, shards }) }
}

/** At rest the copies stand where the ring says; asked for before anything is cut. */
function heldBy(key: string): Host[] {
  const { routes, targets } = firstNodesView()
  const ids = targets[shardOfKey(routes, new TextEncoder().encode(key))] ?? []
  return ids.flatMap(id => placed.find(({ observer }) => observer.lastReport?.id === id)?.host ?? [])
}

function keysLedBy(host: Host, prefix: string): string[] {
  const keys: string[] = []
  for (let i = 0; keys.length < probesOfEach; i++) {
    const key = `${prefix}${i}`
    if (heldBy(key)[0] === host) keys.push(key)
  }
  return keys
}

function holdersOf(key: string): { primary: Host; copies: Host[] } {
  const [primary, ...copies] = heldBy(key)
  if (primary === undefined) throw new Error(`nobody holds ${key}`)
  return { primary, copies }
}

// ------------------------------------------------------------------------------------------- who asks, from where

/** One load on each side of the cut, and one on a host that no cut concerns. */
function loadsFor({ minority, majority }: Cut, keyPrefix: string): Teller[] {
  const places = [client, minority[0], majority.at(-1)].filter((host): host is Host => host !== undefined)
  return places.map((host, i) => {
    const nodes = placed.map(({ process }) => process.address)
    const args = [String(i * 100), String(prng.below(1e9)), String(keyCount), "2000", keyPrefix, ...nodes]
    return new Teller(hosts, host, "load.ts", args)
  })
}

function asker(host: Host, keys: readonly string[]): Teller {
  return new Teller(hosts, host, "asker.ts", [`${host.ip}:${port}`, ...keys])
}

function parseAsked(text: string): Asked[] {
  return text
    .split("\n")
    .filter(line => line !== "")
    .map(line => JSON.parse(line) as Asked) // asker.ts wrote it
}

/** The machine's monotonic clock, which its processes share. */
function nowNs(): number {
  return Number(process.hrtime.bigint())
}
