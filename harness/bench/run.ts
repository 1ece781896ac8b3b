/**
 * The benches by name: `npm run bench -- NAME [OPTIONS]`. Each is a script of its own that reads its options from the command
 * line; what they are is said here, so that asking for help loads and starts nothing.
 */
import { isParseArgsError } from "../command-line.ts"
import { UsageError } from "./options.ts"

type Bench = {
  readonly about: string
  /** One a line. */
  readonly options: string
  run(): Promise<unknown>
}

const json = "--json                 figures for programs"

const benches: Readonly<Record<string, Bench>> = {
  throughput: {
    about: "operations a second and CPU an operation of clusters, beside Redis in the same run; needs ./dcache built",
    options: `--rounds 5             of each target and mode, interleaved; medians are printed
--ms 1000              of each round
--reads 0.9            share of reads
--program ./dcache     what to start
--only dcache          targets whose name begins so
${json}`,
    run: () => import("./throughput.ts"),
  },
  growth: {
    about: "how operations a second and CPU an operation change with nodes, callers at once and the size of values",
    options: `--parts nodes,...      some of: nodes (2 minutes), callers and values (a minute each)
--nodes 1,3,5,10,20    sizes of clusters, with two copies where there are two nodes
--callers 1,16,256,4096
--sizes 10B,1KiB,64KiB,1MiB
--members 3            nodes that callers and values are measured with
--rounds 3             of each; medians are printed
--ms 1000              of each round
--reads 0.9            share of reads
--program ./dcache     what to start
${json}`,
    run: () => import("./growth.ts"),
  },
  peers: {
    about:
      "beside Redis, a Redis cluster and memcached, each through its own clients: speed, memory, the loss of a primary",
    options: `--rounds 5             of each cache and mode, interleaved; medians are printed
--ms 500               of each round
--entries 5e6          set to see what one costs in memory
--failovers 5          of dcache and of a Redis cluster with a time-out of 1 s; one with its own
--parts speed,...      some of: speed (4 minutes), memory (2), failover (2)
--only dcache          caches whose name begins so
--svg FILE             a picture of the speeds
--program ./dcache     what to start
${json}`,
    run: () => import("./peers.ts"),
  },
  resp: {
    about: "the Redis door of nodes beside Redis, asked by redis-benchmark: operations a second, and a CPU second",
    options: `--rounds 3             of each server and test, interleaved; medians are printed
--operations 400000    of a round; a quarter of them without a pipeline
--pipeline 1,16        commands that a connection sends at once
--connections 50
--keys 1               keys that are asked for, by chance
--bytes 3              of a value
--nodes 1              sizes of clusters, with two copies where there are two nodes
--program ./dcache     what to start
${json}`,
    run: () => import("./resp.ts"),
  },
  store: {
    about: "memory, speed and pauses of a node's store, beside a Map and lru-cache in the same run",
    options: `--entries 1e6,5e6,20e6 sizes; the largest takes 4 GiB
--key-bytes 16         lengths of keys, by a comma
--engines map,...      some of: map, lru-cache, dcache
--operations 1e6       of each kind, after the entries are set
--rounds 1             of each engine and size, interleaved; medians are printed
--limit 1GiB           instead: is process memory within the limit under churn of values of 10 B to 1 MiB?
--expiry               instead: how long until 1e6 entries (--entries) that expire at one instant are gone?
--seconds 30           of churn (--limit)
${json}`,
    run: () => import("./store.ts"),
  },
  eviction: {
    about:
      "miss ratios of the store and of the policies of the literature on popular, scanned, drifting and real requests",
    options: `--keys 50000           of each made workload
--requests 500000      of each made workload
--shares 1,5,10,25     sizes of the cache, in percent of the footprint
--only NAME            workloads whose name begins so
--seed 1
${json}`,
    run: () => import("./eviction.ts"),
  },
  handover: {
    about: "latencies while a node of millions of entries hands them over to one that joins, beside those at rest",
    options: `--entries 5e6
--value-bytes 100      keys have 16
--rate 500             operations a second, a tenth of them sets
--rest 15              seconds at rest
--program ./dcache     what to start`,
    run: () => import("./handover.ts"),
  },
  startup: {
    about: "CPU of `dcache get` and `dcache --version` beside an empty program in the same Node.js",
    options: `--rounds 20            of five starts of each
--program ./dcache     what to start
${json}`,
    run: () => import("./startup.ts"),
  },
  idle: {
    about:
      "CPU of idle members of twenty, voters and others, beside bare processes with the same frames at the same time",
    options: `--seconds 20           measured, after a rest
--program ./dcache     what to start
${json}`,
    run: () => import("./idle.ts"),
  },
  failover: {
    about: "twenty nodes under load, one after another killed: until every key range of the victim answers again",
    options: `--kills 12
--rate 100             operations a second
--program ./dcache     what to start`,
    run: () => import("./failover.ts"),
  },
  checker: {
    about: "how fast histories are judged, right ones and lying ones, in CPU time",
    options: "none",
    run: () => import("./checker.ts"),
  },
  expiry: {
    about: "how long entries that expire at one instant stay in memory, and what others notice",
    options: `--entries 1e6
--nodes 1              with two copies where there are two
--eviction s3fifo      or lru, or none
--rate 500             reads of other keys a second
--program ./dcache     what to start`,
    run: () => import("./expiry.ts"),
  },
}

const [name, ...args] = process.argv.slice(2)
const bench = benches[name ?? ""]
if (name === undefined || name === "--help" || name === "-h") tell(overview())
else if (bench === undefined) complain(`there is no bench ${JSON.stringify(name)}`, overview())
else if (args.includes("--help") || args.includes("-h")) tell(helpOf(name, bench))
else {
  process.argv.splice(2, 1)
  try {
    await bench.run()
  } catch (error) {
    if (!isUsageError(error)) throw error
    complain(error.message, helpOf(name, bench))
  }
}

function overview(): string {
  const rows = Object.entries(benches).map(([each, { about }]) => `  ${each.padEnd(12)}${about}`)
  return `usage: npm run bench -- NAME [OPTIONS], with --help for the options\n\n${rows.join("\n")}`
}

function helpOf(name: string, { about, options }: Bench): string {
  return `usage: npm run bench -- ${name} [OPTIONS]\n${about}\n\n${options.replaceAll(/^/gm, "  ")}`
}

function tell(text: string): void {
  console.log(text)
}

function complain(problem: string, help: string): void {
  console.error(`bench: ${problem}\n\n${help}`)
  process.exitCode = 2
}

function isUsageError(error: unknown): error is Error {
  return error instanceof UsageError || isParseArgsError(error)
}
