/**
 * Which keys to forget: the share of requests that miss, by workload and by size of the cache, for the policies of the
 * literature in their plain form and for the real store. The same seed gives the same table on every machine.
 *
 *     npm run bench -- eviction [--keys 50000] [--requests 500000] [--shares 1,5,10,25] [--only "zipf 1.0"] [--seed 1] [--json]
 */
import { parseArgs } from "node:util"
import { compare, judge, type Reference, type Row, references } from "./eviction/compare.ts"
import { formatTable } from "./format-table.ts"
import { workloads } from "./eviction/workloads.ts"
import { parseCount, parseCounts, UsageError } from "./options.ts"
import { Progress } from "./progress.ts"
import { smallStore } from "./own-store.ts"

const { values } = parseArgs({
  options: {
    keys: { type: "string", default: "50000" },
    requests: { type: "string", default: "500000" },
    shares: { type: "string", default: "1,5,10,25" },
    only: { type: "string", default: "" },
    seed: { type: "string", default: "1" },
    json: { type: "boolean", default: false },
  },
})

const shares = parseCounts("--shares", values.shares)
const all = workloads({
  keys: parseCount("--keys", values.keys),
  requests: parseCount("--requests", values.requests),
  seed: parseCount("--seed", values.seed),
})
const chosen = all.filter(({ name }) => name.startsWith(values.only))
if (chosen.length === 0)
  throw new UsageError(
    `--only: no workload begins so; there are ${all.map(({ name }) => JSON.stringify(name)).join(", ")}`,
  )

const progress = new Progress()
const rows: Row[] = []
for (const workload of chosen)
  for (const share of shares) {
    progress.show(`${rows.length} of ${chosen.length * shares.length}: ${workload.name}, ${share} % of its footprint`)
    rows.push(compare(workload, share, smallStore))
  }
progress.end()
if (values.json)
  console.log(
    JSON.stringify(
      rows.map(row => ({ ...row, ...judge(row) })),
      null,
      2,
    ),
  )
else print(rows)

function print(rows: readonly Row[]): void {
  const names = Object.keys(references) as Reference[] // the keys of a literal
  const titles = ["", "cache", ...names, "dcache", "(holds)", "optimum", "above LRU", "above best"]
  const lines = rows.map(row => {
    const { pointsAboveLru, pointsAboveBest, isAtMostLru, isNearBest } = judge(row)
    return [
      row.sharePercent === shares[0] ? row.workload : "",
      `${row.sharePercent} %`,
      ...names.map(name => row.misses[name].toFixed(1)),
      row.ours.toFixed(1),
      `${row.heldPercent.toFixed(0)} %`,
      row.optimum?.toFixed(1) ?? "",
      points(pointsAboveLru, isAtMostLru),
      points(pointsAboveBest, isNearBest),
    ]
  })
  console.log(
    "Requests that miss, in percent, by the size of the cache in percent of the footprint. What dcache holds is",
  )
  console.log("in percent of what the others may hold, which is what it was given memory for.\n")
  console.log(formatTable(titles, lines, 1))
  for (const { name, about, sizes, requests } of chosen)
    console.log(
      `${name}: ${about}; ${requests.length.toLocaleString("en")} requests of ${sizes.length.toLocaleString("en")} keys`,
    )
  const verdicts = rows.map(judge)
  console.log(
    aim(
      "at or below LRU",
      verdicts.map(({ isAtMostLru }) => isAtMostLru),
    ),
  )
  console.log(
    aim(
      "within 2 points of the best of the others",
      verdicts.map(({ isNearBest }) => isNearBest),
    ),
  )
}

function points(amount: number, isMet: boolean): string {
  return `${amount > 0 ? "+" : ""}${amount.toFixed(1)}${isMet ? "  " : " !"}`
}

function aim(what: string, met: readonly boolean[]): string {
  const misses = met.filter(each => !each).length
  return `${what}: ${misses === 0 ? "met in all rows" : `missed in ${misses} of ${met.length} rows (marked !)`}`
}
