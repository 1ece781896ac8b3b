import { deepEqual, equal, match, ok, rejects } from "node:assert/strict"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { test } from "node:test"
import { setTimeout as sleep } from "node:timers/promises"
import { maxValueBytes } from "../protocol/limits.ts"
import type { Reply } from "../protocol/message.ts"
import { CacheClient, CacheError, type CacheErrorCode, CacheManyError } from "./client.ts"
import { blackHole, FakeCluster, FakeNode } from "./testing/fake-node.ts"

/** A cluster of one node, and a client of it. */
async function pair(options?: Parameters<typeof CacheClient.connect>[1]) {
  const cluster = new FakeCluster()
  const node = await FakeNode.start(cluster)
  const cache = await CacheClient.connect(node.address, options)
  const dispose = async () => {
    await cache.close()
    await node.vanish()
  }
  return { cluster, node, cache, [Symbol.asyncDispose]: dispose }
}

function failing(code: CacheErrorCode, outcome: "not-done" | "unknown") {
  return (error: unknown) => {
    ok(error instanceof CacheError)
    deepEqual([error.code, error.outcome], [code, outcome], error.message)
    return true
  }
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = []
  for await (const item of items) list.push(item)
  return list
}

/** Waits for a condition, as long as a test may take. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(2)
}

// ------------------------------------------------------------------------------------------------ operations

test("values of every sort come back as they were stored, and a missing key is undefined", async () => {
  await using both = await pair()
  const { cache } = both
  const values = [
    "text",
    "",
    Uint8Array.of(0, 255),
    42,
    -0.5,
    true,
    null,
    [1, "a"],
    { name: "Ada", tags: ["x"] },
    12n,
    new Date(5),
  ]
  for (const value of values) {
    equal((await cache.set("key", value)).kind, "stored")
    deepEqual(await cache.get("key"), value)
  }
  equal(await cache.get("nothing"), undefined)
  equal(await cache.getEntry("nothing"), undefined)
})

test("keys may be any bytes, and a text key is its UTF-8", async () => {
  await using both = await pair()
  const { cache } = both
  await cache.set(Uint8Array.of(0xc3, 0xa9), "accented")
  equal(await cache.get("é"), "accented")
})

test("conditions: by absence, presence, version and value; an unmet one is an answer", async () => {
  await using both = await pair()
  const { cache } = both
  deepEqual(await cache.set("k", "a", { ifPresent: true }), { kind: "unmet", version: undefined })
  deepEqual(await cache.set("k", "a", { ifAbsent: true }), { kind: "stored", version: 1 })
  deepEqual(await cache.set("k", "b", { ifAbsent: true }), { kind: "unmet", version: 1 })
  deepEqual(await cache.set("k", "b", { ifVersion: 1 }), { kind: "stored", version: 2 })
  deepEqual(await cache.set("k", "c", { ifVersion: 1 }), { kind: "unmet", version: 2 })
  deepEqual(await cache.set("k", "c", { ifValue: "b" }), { kind: "stored", version: 3 })
  deepEqual(await cache.set("k", "d", { ifValue: "b" }), { kind: "unmet", version: 3 })
  deepEqual(await cache.getEntry("k"), { value: "c", version: 3 })
  equal(await cache.delete("k", { ifVersion: 1 }), false)
  equal(await cache.delete("k", { ifVersion: 3 }), true)
  equal(await cache.delete("k"), false)
})

test("times to live are set, read, renewed and taken away", async () => {
  await using both = await pair()
  const { cache } = both
  equal(await cache.ttl("k"), undefined)
  equal(await cache.touch("k", 1_000), false)
  await cache.set("k", 1, { ttlMs: 5_000 })
  equal(await cache.ttl("k"), 5_000)
  equal(await cache.touch("k", Number.POSITIVE_INFINITY), true)
  equal(await cache.ttl("k"), Number.POSITIVE_INFINITY)
  equal(await cache.has("k"), true)
  equal(await cache.has("other"), false)
})

test("incr counts in decimal text, and refuses what is none", async () => {
  await using both = await pair()
  const { cache } = both
  equal(await cache.incr("n"), 1)
  equal(await cache.incr("n", 41), 42)
  equal(await cache.get("n"), "42")
  equal(await cache.incr("window", 1, { ttlMs: 60_000 }), 1)
  equal(await cache.incr("window", 1, { ttlMs: 1 }), 2)
  const { value, ttlMs } = await cache.incrEntry("window", 1, { ttlMs: 1 })
  equal(value, 3)
  ok(ttlMs > 1_000, "an entry that is there keeps its time to live")
  equal((await cache.incrEntry("n", -2)).ttlMs, Number.POSITIVE_INFINITY)
  await cache.set("s", "many")
  await rejects(cache.incr("s"), failing("not-a-number", "not-done"))
})

test("calls of one turn to one node leave in one frame", async () => {
  await using both = await pair()
  const { cache, node } = both
  node.frames.length = 0
  await Promise.all(Array.from({ length: 100 }, (_, i) => cache.incr(`k${i}`)))
  deepEqual(
    node.frames.map(frame => frame.length),
    [100],
  )
})

test("what the caller does with its buffer after the call is not stored", async () => {
  await using both = await pair()
  const { cache } = both
  const value = Uint8Array.of(1)
  const stored = cache.set("k", value)
  value[0] = 2
  await stored
  deepEqual(await cache.get("k"), Uint8Array.of(1))
})

const misuses: {
  name: string
  call: (cache: CacheClient) => Promise<unknown>
  error: typeof TypeError | typeof RangeError
}[] = [
  { name: "two conditions", call: cache => cache.set("k", 1, { ifAbsent: true, ifVersion: 3 }), error: TypeError },
  { name: "undefined as a value", call: cache => cache.set("k", undefined), error: TypeError },
  { name: "a negative time to live", call: cache => cache.set("k", 1, { ttlMs: -1 }), error: RangeError },
  { name: "NaN as a time to live", call: cache => cache.touch("k", Number.NaN), error: RangeError },
  { name: "a fraction added", call: cache => cache.incr("k", 0.5), error: RangeError },
  { name: "a version that is none", call: cache => cache.set("k", 1, { ifVersion: 1.5 }), error: RangeError },
  { name: "a deadline of more than a minute", call: cache => cache.get("k", { timeoutMs: 61_000 }), error: RangeError },
  { name: "no deadline", call: cache => cache.get("k", { timeoutMs: 0 }), error: RangeError },
]
for (const { name, call, error } of misuses) {
  test(`${name}: refused before anything is sent`, async () => {
    await using both = await pair()
    const { cache, node } = both
    await rejects(call(cache), error)
    deepEqual(node.requests, [])
  })
}

test("a key or value beyond the limits is refused as such", async () => {
  await using both = await pair()
  const { cache, node } = both
  await rejects(cache.get("x".repeat(4_097)), failing("key-too-long", "not-done"))
  await rejects(cache.set("k", new Uint8Array(8 * 1024 * 1024 + 1)), failing("value-too-large", "not-done"))
  await rejects(
    cache.set("k", 1, { ifValue: new Uint8Array(8 * 1024 * 1024 + 1) }),
    failing("value-too-large", "not-done"),
  )
  deepEqual(node.requests, [])
  await cache.set("k", new Uint8Array(8 * 1024 * 1024))
  equal((await cache.get<Uint8Array>("k"))?.length, 8 * 1024 * 1024)
})

test("ask tells every outcome as a value, and throws for what no message can carry", async () => {
  await using both = await pair()
  const { cache, node } = both
  deepEqual(await cache.ask(Uint8Array.of(1), { op: "get" }), { kind: "missing" })
  node.behaviour = () => ({ kind: "full" })
  const outcome = await cache.ask(Uint8Array.of(1), { op: "incr", by: 1, ttlMs: null })
  deepEqual(outcome, { kind: "failed", code: "full", mayHaveHappened: "no" })
  await rejects(cache.ask(Uint8Array.of(1), { op: "incr", by: Number.NaN, ttlMs: null }))
})

test("an answer that does not fit, or bytes that are not what they are marked as, are errors of their own", async () => {
  await using both = await pair()
  const { cache, node } = both
  node.behaviour = () => ({ kind: "deleted" })
  await rejects(cache.get("k"), failing("unexpected-answer", "unknown"))
  const value = Uint8Array.of(0xff)
  node.behaviour = (): Reply => ({ kind: "value", value, flags: 1, version: 1 })
  await rejects(cache.get("k"), failing("unreadable-value", "not-done"))
})

// ------------------------------------------------------------------------------------------------ ends of a call

test("a call that is never answered ends at its deadline; only a write may have happened", async () => {
  await using both = await pair()
  const { cache, node } = both
  node.behaviour = () => "silence"
  const startMs = performance.now()
  await Promise.all([
    rejects(cache.get("k", { timeoutMs: 150 }), failing("timeout", "not-done")),
    rejects(cache.set("k", 1, { timeoutMs: 150 }), failing("timeout", "unknown")),
  ])
  const tookMs = performance.now() - startMs
  ok(tookMs >= 145, `ended after ${tookMs} ms`)
  ok(tookMs < 1_000, `ended after ${tookMs} ms`)
})

test("an abort ends the call at once, with the reason as its cause", async () => {
  await using both = await pair()
  const { cache, node } = both
  node.behaviour = () => "silence"
  const aborting = new AbortController()
  const call = cache.set("k", 1, { signal: aborting.signal })
  await until(() => node.requests.length === 1)
  const reason = new Error("changed my mind")
  aborting.abort(reason)
  await rejects(
    call,
    (error: unknown) => failing("cancelled", "unknown")(error) && (error as CacheError).cause === reason,
  )
  await rejects(cache.set("k", 1, { signal: aborting.signal }), failing("cancelled", "not-done"))
  equal(node.requests.length, 1, "nothing is sent for a call that was aborted before")
})

test("many keys are asked for in one frame to each node, and answered in the order of the keys", async () => {
  await using both = await pair()
  const { cache } = both
  const keys = Array.from({ length: 50 }, (_, i) => `many-${i}`)
  const stored = await cache.setMany(keys.map((key, i) => [key, i % 2 === 0 ? `value ${i}` : { i }]))
  ok(stored.every(({ kind }) => kind === "stored"))
  deepEqual(await cache.getMany(["none", ...keys]), [
    undefined,
    ...keys.map((_, i) => (i % 2 === 0 ? `value ${i}` : { i })),
  ])
  deepEqual(await cache.deleteMany([...keys, "none"]), [...keys.map(() => true), false])
  deepEqual(await cache.getMany([]), [])
})

test("of many keys each fails by itself, and the error holds what came of the others", async () => {
  await using both = await pair()
  const { cache, node } = both
  await cache.set("b", "kept")
  node.behaviour = request =>
    new TextDecoder().decode(request.key) === "a" ? { kind: "rejected", reason: "bad-request" } : "as-usual"
  await rejects(cache.getMany(["a", "b", "c"]), (error: unknown) => {
    ok(error instanceof CacheManyError)
    match(error.message, /1 of 3 keys failed.*get "a"/)
    deepEqual(
      error.results.map(result => (result.status === "fulfilled" ? result.value : result.reason.code)),
      ["bad-request", "kept", undefined],
    )
    return true
  })
  await rejects(cache.getMany(["x".repeat(5_000)]), CacheManyError)
  await rejects(cache.setMany([["k", () => 0]]), TypeError)
})

test("a signal ends all of many calls", async () => {
  await using both = await pair()
  const { cache, node } = both
  node.behaviour = () => "silence"
  const aborting = new AbortController()
  const call = cache.setMany(
    [
      ["a", 1],
      ["b", 2],
    ],
    { signal: aborting.signal },
  )
  await until(() => node.requests.length === 2)
  aborting.abort()
  await rejects(call, (error: unknown) => {
    ok(error instanceof CacheManyError)
    ok(error.results.every(result => result.status === "rejected" && failing("cancelled", "unknown")(result.reason)))
    return true
  })
})

test("more calls than the bounds allow fail at once; those within them are answered", async () => {
  await using both = await pair({ limits: { maxInFlight: 2, maxQueued: 3 } })
  const { cache } = both
  const calls = await Promise.allSettled(Array.from({ length: 8 }, () => cache.incr("k")))
  const refused = calls.flatMap(call => (call.status === "rejected" ? [call.reason] : []))
  equal(refused.length, 3)
  for (const error of refused) failing("too-many-calls", "not-done")(error)
  equal(await cache.get("k"), "5")
})

test("all keys are listed, counted and cleared, or those that begin alike", async () => {
  await using cluster = await pair()
  const { cache } = cluster
  await cache.setMany([["user:1", { name: "Ada" }], ["user:2", "text"], ["other", 3]], { ttlMs: 60_000 }) // biome-ignore format: one line says it
  await cache.set(Uint8Array.of(0xff, 0xfe), "no text")
  deepEqual((await all(cache.keys())).sort(), ["other", "user:1", "user:2"])
  deepEqual((await all(cache.keys({ prefix: "user:" }))).sort(), ["user:1", "user:2"])
  const asBytes = await all(cache.keys({ as: "bytes" }))
  ok(asBytes.some(key => Buffer.from(key).equals(Buffer.of(0xff, 0xfe))))
  const users = await all(cache.entries<{ name: string }>({ prefix: "user:1" }))
  deepEqual(users.map(({ key, value, ttlMs }) => [key, value, ttlMs]), [["user:1", { name: "Ada" }, 60_000]]) // biome-ignore format: one line says it
  equal((await cache.size()).entries, 4)
  equal(await cache.clear({ prefix: "user:" }), 2)
  deepEqual(await all(cache.keys()), ["other"])
  equal(await cache.clear(), 2)
  equal((await cache.size()).entries, 0)
})

test("getOrSet loads what is missing, once for all who ask, and stores it", async () => {
  await using cluster = await pair()
  const { cache } = cluster
  let loads = 0
  const load = async () => ({ name: "Ada", number: ++loads })
  const [first, second] = await Promise.all([cache.getOrSet("k", load, { ttlMs: 9_000 }), cache.getOrSet("k", load)])
  deepEqual([first, second], [{ name: "Ada", number: 1 }, { name: "Ada", number: 1 }]) // biome-ignore format: one line says it
  ok(first !== second, "each has its own")
  deepEqual(await cache.getOrSet("k", load), { name: "Ada", number: 1 })
  equal(await cache.ttl("k"), 9_000)
  equal(loads, 1)
})

test("getOrSet: what load throws reaches all who wait, and the next one loads", async () => {
  await using cluster = await pair()
  const { cache } = cluster
  const failure = new Error("no database")
  const failed = await Promise.allSettled([1, 2].map(() => cache.getOrSet("k", () => Promise.reject(failure))))
  ok(failed.every(each => each.status === "rejected" && each.reason === failure))
  equal(cluster.cluster.entries.size, 0)
  equal(await cache.getOrSet("k", () => "value"), "value")
})

test("getOrSet keeps nothing where there is nothing, or what cannot be kept", async () => {
  await using cluster = await pair()
  const { cache } = cluster
  equal(await cache.getOrSet("k", () => undefined), undefined)
  await rejects(cache.getOrSet("k", () => () => {}), TypeError) // biome-ignore format: one line says it
  const tooLarge = new Uint8Array(maxValueBytes + 1)
  equal((await cache.getOrSet("k", () => tooLarge)).length, tooLarge.length)
  equal(cluster.cluster.entries.size, 0)
})

test("getOrSet: a set or a delete while it loads wins, and the caller has what it loaded", async () => {
  await using cluster = await pair()
  const { cache } = cluster
  const load = async () => {
    await cache.set("k", "newer")
    return "loaded"
  }
  equal(await cache.getOrSet("k", load), "loaded")
  equal(await cache.get("k"), "newer")
  const removing = async () => {
    await cache.delete("other")
    return "loaded"
  }
  equal(await cache.getOrSet("other", removing), "loaded")
  equal(await cache.get("other"), undefined)
})

test("getOrSet: a signal ends the waiting, and the loading goes on", async () => {
  await using cluster = await pair()
  const { cache } = cluster
  const stop = new AbortController()
  const waiting = cache.getOrSet("k", () => sleep(30, "late"), { signal: stop.signal })
  stop.abort("enough")
  await rejects(waiting, failing("cancelled", "not-done"))
  while ((await cache.get("k")) === undefined);
  equal(await cache.get("k"), "late")
})

test("getOrSet without a cluster throws, or loads if told to", async () => {
  await using cluster = await pair()
  const { cache, node } = cluster
  node.behaviour = () => ({ kind: "unavailable", reason: "minority" })
  await rejects(
    cache.getOrSet("k", () => 1, { timeoutMs: 50 }),
    failing("minority", "not-done"),
  )
  equal(await cache.getOrSet("k", () => 1, { timeoutMs: 50, whenUnavailable: "load" }), 1)
})

test("tags: invalidating one makes all that bear it unreadable, and nothing else", async () => {
  await using cluster = await pair()
  const { cache } = cluster
  await cache.set("a", { of: "a" }, { tags: ["users", "page:1"] })
  await cache.setMany([["b", "b"], ["c", Uint8Array.of(3)]], { tags: ["users"] }) // biome-ignore format: one line says it
  await cache.set("d", "d", { tags: ["pages"] })
  const keys = ["a", "b", "c", "d"]
  deepEqual(await cache.getMany(keys), [{ of: "a" }, "b", Uint8Array.of(3), "d"])
  deepEqual((await cache.getEntry("a"))?.value, { of: "a" })
  await cache.invalidateTag("page:1")
  deepEqual(await cache.getMany(keys), [undefined, "b", Uint8Array.of(3), "d"])
  await cache.invalidateTag(["users", "nobody bears this"])
  deepEqual(await cache.getMany(keys), [undefined, undefined, undefined, "d"])
  deepEqual(await all(cache.entries()).then(found => found.map(({ key }) => key)), ["d"])
  await cache.set("a", "again", { tags: ["users"] })
  equal(await cache.get("a"), "again")
})

test("tags with getOrSet: an invalidation loads anew, also one that comes while it loads", async () => {
  await using cluster = await pair()
  const { cache } = cluster
  let loads = 0
  const load = () => ++loads
  const options = { tags: ["users"] }
  equal(await cache.getOrSet("k", load, options), 1)
  equal(await cache.getOrSet("k", load, options), 1)
  await cache.invalidateTag("users")
  equal(await cache.getOrSet("k", load, options), 2)
  const late = async () => {
    await cache.invalidateTag("users")
    return "too old already"
  }
  await cache.delete("k")
  equal(await cache.getOrSet("k", late, options), "too old already")
  equal(await cache.getOrSet("k", load, options), 3)
})

for (const tags of [[""], ["x".repeat(256)], Array.from({ length: 33 }, (_, i) => `${i}`)])
  test(`${tags.length} tags, the first of ${tags[0]?.length} characters, are refused`, async () => {
    await using cluster = await pair()
    await rejects(cluster.cache.set("k", "v", { tags }), RangeError)
  })

test("a listing that cannot go on throws, and is ended by its signal", async () => {
  await using cluster = await pair()
  const { cache, node } = cluster
  node.behaviour = () => ({ kind: "unavailable", reason: "minority" })
  await rejects(all(cache.keys({ timeoutMs: 50 })), failing("minority", "not-done"))
  await rejects(cache.size({ timeoutMs: 50 }), failing("minority", "not-done"))
  node.behaviour = () => "silence"
  const signal = AbortSignal.timeout(20)
  await rejects(all(cache.keys({ signal })), failing("cancelled", "not-done"))
  await rejects(cache.clear({ prefix: "x".repeat(5_000) }), failing("key-too-long", "not-done"))
})

test("close ends what is under way, and every later call", async () => {
  await using both = await pair()
  const { cache, node } = both
  node.behaviour = () => "silence"
  const call = rejects(cache.incr("k"), failing("closed", "unknown"))
  await until(() => node.requests.length === 1)
  await cache.close()
  await call
  await rejects(cache.get("k"), failing("closed", "not-done"))
  await cache.close()
  await until(() => node.connections === 0)
})

// ------------------------------------------------------------------------------------------------ connecting

test("connect to where nobody listens fails: at its deadline, or after one try when asked so", async () => {
  const node = await FakeNode.start(new FakeCluster())
  await node.vanish()
  const startMs = performance.now()
  await rejects(CacheClient.connect(node.address, { whenUnreachable: "fail" }), (error: unknown) => {
    failing("unreachable", "not-done")(error)
    return (error as Error).message.includes(`${node.address}: nobody listens there`)
  })
  ok(performance.now() - startMs < 1_000)
  await rejects(CacheClient.connect(node.address, { connectTimeoutMs: 200 }), failing("unreachable", "not-done"))
})

test("connect waits for a node that is still joining, and says so when it takes too long", async () => {
  await using node = await FakeNode.start(new FakeCluster())
  node.phase = "joining"
  const tooLong = CacheClient.connect(node.address, { connectTimeoutMs: 150, whenUnreachable: "fail" })
  await rejects(tooLong, failing("joining", "not-done"))
  const connecting = CacheClient.connect(node.address)
  await until(() => node.connections === 1)
  node.phase = "member"
  await using cache = await connecting
  equal(cache.members.length, 1)
})

test("connect to a port that says nothing ends at its deadline, and by a signal before", async () => {
  const hole = await blackHole()
  await rejects(CacheClient.connect(hole.address, { connectTimeoutMs: 150 }), failing("unreachable", "not-done"))
  await rejects(
    CacheClient.connect(hole.address, { signal: AbortSignal.timeout(50) }),
    failing("cancelled", "not-done"),
  )
  await hole.close()
})

test("an address that is none is refused in words", async () => {
  for (const address of ["", "a b", "host:99999", "host:0", "ws://host"])
    await rejects(CacheClient.connect(address), TypeError)
  await rejects(CacheClient.connect([]), TypeError)
})

test("of several addresses one that answers is enough", async () => {
  const hole = await blackHole()
  const gone = await FakeNode.start(new FakeCluster())
  await gone.vanish()
  await using node = await FakeNode.start(new FakeCluster())
  await using cache = await CacheClient.connect([hole.address, gone.address, node.address])
  equal(await cache.incr("k"), 1)
  await hole.close()
})

// ------------------------------------------------------------------------------------------------ when nodes fail

test("an incr whose answer is lost is sent again under its number, and counts once", async () => {
  await using both = await pair()
  const { cache, node } = both
  await cache.incr("k")
  let breaks = 2
  node.behaviour = () => (breaks-- > 0 ? "hang-up" : "as-usual")
  equal(await cache.incr("k"), 2)
  const attempts = node.requests.slice(1)
  ok(attempts.length >= 2)
  deepEqual(new Set(attempts.map(({ n }) => n)), new Set([2]))
})

test("a primary at an address that leads nowhere is reached through the node that was dialed", async () => {
  const hole = await blackHole()
  for (const address of [hole.address, "127.0.0.1:1", "no address at all"]) {
    const cluster = new FakeCluster()
    await using node = await FakeNode.start(cluster)
    cluster.addMember(address)
    cluster.primary = 1
    await using cache = await CacheClient.connect(node.address)
    const startMs = performance.now()
    for (let i = 1; i <= 20; i++) equal(await cache.incr("k"), i)
    ok(performance.now() - startMs < 1_000)
  }
  await hole.close()
})

test("a node that vanishes: calls end by their deadline, and succeed again when it is back", async () => {
  await using both = await pair()
  const { cache, node } = both
  await cache.set("k", "v")
  await node.vanish()
  await rejects(cache.get("k", { timeoutMs: 200 }), failing("unreachable", "not-done"))
  const waiting = cache.get("k")
  await node.comeBack()
  equal(await waiting, "v")
})

/** Nothing is asked again because it took long: an answer means that something else made the client ask again. */
const patient = { attemptMs: 60_000, longestAttemptMs: 60_000, silentMs: 60_000 }

test("when one node vanishes the others answer at once", async () => {
  const cluster = new FakeCluster()
  await using first = await FakeNode.start(cluster)
  await using second = await FakeNode.start(cluster)
  await using cache = await CacheClient.connect([first.address, second.address], { limits: patient })
  await until(() => second.connections === 1)
  first.behaviour = () => "silence"
  const call = cache.incr("k", 1, { timeoutMs: 60_000 })
  await until(() => first.requests.length === 1)
  await first.vanish()
  equal(await call, 1)
  await first.comeBack()
})

const wrongFrames: { name: string; frame: Uint8Array | string; ends: "ends" | "leaves" }[] = [
  { name: "bytes that are no CBOR", frame: Uint8Array.of(0xff), ends: "ends" },
  { name: "a message with a wrong field", frame: Uint8Array.of(0x81, 0x82, 0x01, 0x60), ends: "ends" },
  { name: "a frame beyond the limit", frame: new Uint8Array(10 * 1024 * 1024), ends: "ends" },
  { name: "a frame of text", frame: "hello", ends: "ends" },
  {
    name: "a message of a kind that this build does not know",
    frame: Uint8Array.of(0x81, 0x81, 0x18, 0xf0),
    ends: "leaves",
  },
]
for (const { name, frame, ends } of wrongFrames) {
  test(`${name} ${ends} that connection, and nothing else is harmed`, async () => {
    const cluster = new FakeCluster()
    await using odd = await FakeNode.start(cluster)
    await using good = await FakeNode.start(cluster)
    const limits = ends === "ends" ? patient : {}
    await using cache = await CacheClient.connect([odd.address, good.address], { limits })
    await until(() => odd.connections === 1 && good.connections === 1)
    odd.behaviour = () => "silence"
    const call = cache.incr("k", 1, { timeoutMs: 60_000 })
    await until(() => odd.requests.length === 1)
    odd.sendRaw(frame)
    // The operation that was under way there is asked of the other node: because the connection ended, or because it took long.
    equal(await call, 1)
    if (ends === "leaves") equal(odd.connections, 1)
    equal(odd.frames.flat().filter(({ kind }) => kind === "client-hello").length, 1)
  })
}

test("status asks every member and names those that do not answer", async () => {
  const cluster = new FakeCluster()
  await using node = await FakeNode.start(cluster)
  cluster.addMember("127.0.0.1:1")
  await using cache = await CacheClient.connect(`localhost:${node.port}`)
  const [here, gone] = await cache.status({ timeoutMs: 1_000 })
  equal(here?.report?.name, "fake-0")
  equal(node.connections, 1, "asked over the connection that stands")
  deepEqual(gone, { member: cluster.members[1], report: null, code: "unreachable" })
})

// ------------------------------------------------------------------------------------------------ the process around it

test("a process ends by itself once its client is closed, or when connecting has failed", async () => {
  await using node = await FakeNode.start(new FakeCluster())
  const script = `
    import { CacheClient } from ${JSON.stringify(new URL("./client.ts", import.meta.url).href)}
    const cache = await CacheClient.connect(${JSON.stringify(node.address)})
    await cache.set("from", "child")
    await cache.close()
    await CacheClient.connect("127.0.0.1:1", { whenUnreachable: "fail" }).catch(error => console.log(error.code))
  `
  const child = spawn(process.execPath, ["--input-type=module", "--no-warnings", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  })
  const output: Buffer[] = []
  child.stdout.on("data", (chunk: Buffer) => output.push(chunk))
  const [code] = await once(child, "exit")
  equal(code, 0)
  equal(Buffer.concat(output).toString(), "unreachable\n")
})
