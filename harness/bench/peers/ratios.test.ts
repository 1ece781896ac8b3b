import { deepEqual, equal } from "node:assert/strict"
import { test } from "node:test"
import { ratios, verdictOf } from "./ratios.ts"

test("a ratio is ours over theirs, and meets what more or less of it is better", () => {
  const rows = ratios({
    ops: name => (name.startsWith("dcache") ? 200 : name === "node-redis" ? undefined : 100),
    cpuMicros: name => (name.startsWith("dcache") ? 6 : 10),
    lone: name => ({ p50Us: name.startsWith("dcache") ? 100 : 100, p99Us: name.startsWith("dcache") ? 200 : 100 }),
    bytesPerEntry: name => (name.startsWith("dcache") ? 170 : 200),
  })
  const of = (against: string, figure: string) =>
    rows.filter(row => row.against.startsWith(against) && row.figure.startsWith(figure)).map(verdictOf)
  deepEqual(of("ioredis, auto", "operations"), ["aim", "must"])
  deepEqual(of("ioredis, auto", "CPU"), ["must", "must"])
  deepEqual(of("node-redis", ""), ["-"])
  deepEqual(of("memcache", "operations"), ["missed"])
  deepEqual(of("memcache", "the server's memory"), ["must"])
  deepEqual(of("ioredis, auto", "one at a time"), ["aim", "missed"])
  deepEqual(of("the best", ""), ["aim"])
  equal(rows.length, 14)
})
