/** What is published at any of three real nodes, and who gets it, by real clients. */
import { deepEqual, equal, match, ok, rejects } from "node:assert/strict"
import { execFile, spawn } from "node:child_process"
import { once } from "node:events"
import { connect } from "node:net"
import { test } from "node:test"
import { promisify } from "node:util"
import { Redis } from "ioredis"
import { createClient } from "redis"
import { NodeBench } from "../cluster/node-bench.ts"
import { until } from "../cluster/until.ts"
import { python, skipWithout } from "./skip-without.ts"

const runFile = promisify(execFile)

test("publish and subscribe", { timeout: 120_000 }, async context => {
  const bench = new NodeBench(context)
  const nodes = await bench.cluster({ name: "first" }, { name: "second" }, { name: "third" })
  await bench.complete(nodes)
  const ports = nodes.map(({ process }) => Number(process.address.split(":").at(-1)))
  const [first = 0, second = 0, third = 0] = ports
  const opened: Redis[] = []
  const client = (port: number): Redis => {
    const redis = new Redis({ port, retryStrategy: null, maxRetriesPerRequest: 0 })
    redis.on("error", () => {})
    opened.push(redis)
    return redis
  }
  context.after(() => {
    for (const redis of opened) redis.disconnect()
  })

  await context.test("a message published at any node reaches subscribers of all, by name and by pattern", async () => {
    const heard: string[][] = []
    const listeners = [first, second, third].map(client)
    for (const [i, redis] of listeners.entries()) {
      const messages: string[] = []
      heard.push(messages)
      redis.on("message", (channel, text) => messages.push(`${channel} ${text}`))
      redis.on("pmessage", (pattern, channel, text) => messages.push(`${pattern} ${channel} ${text}`))
      await redis.subscribe("news", `own:${i}`)
      await redis.psubscribe("n?ws")
    }
    const publishers = [first, second, third].map(client)
    for (const [i, redis] of publishers.entries()) equal(await redis.publish("news", `from ${i}`), 6)
    equal(await publishers[0]?.publish("own:2", "alone"), 1)
    equal(await publishers[0]?.publish("nobody", "x"), 0)
    const all = [0, 1, 2].flatMap(i => [`news from ${i}`, `n?ws news from ${i}`]).toSorted()
    const expected = [all, all, [...all, "own:2 alone"].toSorted()]
    await until(() => heard.flat().length === 19, { withinMs: 10_000, everyMs: 10, what: () => JSON.stringify(heard) })
    deepEqual(
      heard.map(messages => messages.toSorted()),
      expected,
    )

    const [one] = publishers
    ok(one)
    deepEqual(((await one.pubsub("CHANNELS")) as string[]).toSorted(), ["news", "own:0", "own:1", "own:2"])
    deepEqual(await one.pubsub("CHANNELS", "own:[12]").then(names => (names as string[]).toSorted()), [
      "own:1",
      "own:2",
    ])
    deepEqual(await one.pubsub("NUMSUB", "news", "own:2", "none"), ["news", 3, "own:2", 1, "none", 0])
    equal(await one.pubsub("NUMPAT"), 1)

    equal(await listeners[1]?.unsubscribe("news"), 2)
    equal(await listeners[1]?.punsubscribe("n?ws"), 1)
    equal(await one.publish("news", "again"), 4)
    for (const redis of listeners) redis.disconnect()
    await until(async () => (await one.publish("news", "to nobody")) === 0, {
      ...{ withinMs: 10_000, everyMs: 20, what: () => "those who have gone to listen no more" },
    })
  })

  await context.test("messages of one publisher arrive in their order at every node", async () => {
    const count = 2_000
    const heard = await Promise.all(
      ports.map(async port => {
        const redis = client(port)
        const texts: string[] = []
        redis.on("message", (_channel, text) => texts.push(text))
        await redis.subscribe("row")
        return { redis, texts }
      }),
    )
    const publisher = client(second)
    const pipeline = publisher.pipeline()
    for (let i = 0; i < count; i++) pipeline.publish("row", String(i))
    const answers = (await pipeline.exec()) ?? []
    deepEqual(new Set(answers.map(([error, reached]) => error ?? reached)), new Set([3]))
    const expected = Array.from({ length: count }, (_, i) => String(i))
    for (const { redis, texts } of heard) {
      await until(() => texts.length >= count, {
        withinMs: 20_000,
        everyMs: 20,
        what: () => `${texts.length} messages`,
      })
      deepEqual(texts, expected)
      redis.disconnect()
    }
  })

  for (const RESP of [2, 3] as const)
    await context.test(`node-redis in RESP${RESP}`, async () => {
      const [listener, publisher] = await Promise.all(
        [first, third].map(port => createClient({ RESP, socket: { port, host: "127.0.0.1" } }).connect()),
      )
      ok(listener && publisher)
      const heard: string[] = []
      await listener.subscribe("nr", (text, channel) => heard.push(`${channel} ${text}`))
      await listener.pSubscribe("n*", (text, channel) => heard.push(`n* ${channel} ${text}`))
      equal(await publisher.publish("nr", "x"), 2)
      await until(() => heard.length === 2, { withinMs: 10_000, everyMs: 10, what: () => JSON.stringify(heard) })
      deepEqual(heard.toSorted(), ["n* nr x", "nr x"])
      deepEqual({ ...(await publisher.pubSubNumSub(["nr"])) }, { nr: 1 })
      equal(await publisher.pubSubNumPat(), 1)
      // In the newer version the same connection goes on to do everything else.
      if (RESP === 3) equal(await listener.get("nothing"), null)
      else await rejects(listener.get("nothing"), /only \(P\|S\)SUBSCRIBE/)
      await listener.unsubscribe("nr")
      await listener.pUnsubscribe("n*")
      equal(await publisher.publish("nr", "x"), 0)
      listener.destroy()
      publisher.destroy()
    })

  await context.test("redis-cli", skipWithout("redis-cli"), async () => {
    const listener = spawn("redis-cli", ["-p", String(first), "--csv", "subscribe", "cli"], { stdio: "pipe" })
    context.after(() => listener.kill("SIGKILL"))
    let said = ""
    listener.stdout.on("data", chunk => (said += chunk))
    const says = (text: string) =>
      until(() => said.includes(text), { withinMs: 10_000, everyMs: 10, what: () => `${text}, not ${said}` })
    await says('"subscribe","cli",1')
    equal((await runFile("redis-cli", ["-p", String(third), "publish", "cli", "hello"])).stdout, "1\n")
    await says('"message","cli","hello"')
    listener.kill()
    await once(listener, "exit")
  })

  await context.test("python's client", skipWithout(python, "-c", "import redis"), async () => {
    const script = `
import redis
listener = redis.Redis(port=${second}, decode_responses=True).pubsub(ignore_subscribe_messages=True)
listener.subscribe("py")
listener.psubscribe("p?")
publisher = redis.Redis(port=${first}, decode_responses=True)
def heard(count):
    messages = []
    while len(messages) < count:
        message = listener.get_message(timeout=10)
        if message is not None:
            messages.append((message["type"], message["data"]))
    return sorted(messages)
while listener.get_message(timeout=0.2) is not None:
    pass
while publisher.publish("other", "x") != 0 or dict(publisher.pubsub_numsub("py")) != {"py": 1} or publisher.pubsub_numpat() != 1:
    pass
assert publisher.publish("py", "x") == 2
assert heard(2) == [("message", "x"), ("pmessage", "x")]
listener.unsubscribe("py")
`
    await runFile(python, ["-c", script])
  })

  await context.test("who listens by the older version is told what it may do, and RESET and QUIT end it", async () => {
    const socket = connect(first, "127.0.0.1")
    let said = ""
    socket.on("data", chunk => (said += chunk))
    const asks = async (command: string, answer: string) => {
      said = ""
      const words = command.split(" ")
      socket.write(`*${words.length}\r\n${words.map(word => `$${word.length}\r\n${word}\r\n`).join("")}`)
      await until(() => said.length >= answer.length, {
        withinMs: 10_000,
        everyMs: 5,
        what: () => `${command}: ${said}`,
      })
      equal(said, answer)
    }
    await asks("SUBSCRIBE a b", "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n")
    await asks("PING", "*2\r\n$4\r\npong\r\n$0\r\n\r\n")
    await asks("PING x", "*2\r\n$4\r\npong\r\n$1\r\nx\r\n")
    const only = "only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
    await asks("GET k", `-ERR Can't execute 'get': ${only}\r\n`)
    await asks("CLIENT ID", `-ERR Can't execute 'client|id': ${only}\r\n`)
    await asks("SSUBSCRIBE a", "-ERR unknown command 'SSUBSCRIBE', with args beginning with: 'a' \r\n")
    await asks("RESET", "+RESET\r\n")
    await asks("GET none", "$-1\r\n")
    await asks("SELECT 3", "+OK\r\n")
    await asks("SUBSCRIBE a", "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n")
    equal(await client(third).publish("a", "x"), 1)
    await until(() => said.includes("message"), { withinMs: 10_000, everyMs: 5, what: () => said })
    const ended = once(socket, "close")
    await asks("QUIT", "+OK\r\n")
    await ended
  })

  await context.test("in the newer version messages come between answers, after what was answered before", async () => {
    const socket = connect(first, "127.0.0.1")
    let said = ""
    socket.on("data", chunk => (said += chunk))
    // In one write: subscribed, published to itself, and left, all in this order.
    const commands = ["HELLO 3", "SUBSCRIBE s", "PUBLISH s one", "PING", "UNSUBSCRIBE s", "PUBLISH s two", "PING end"]
    for (const command of commands) {
      const words = command.split(" ")
      socket.write(`*${words.length}\r\n${words.map(word => `$${word.length}\r\n${word}\r\n`).join("")}`)
    }
    await until(() => said.includes("$3\r\nend"), { withinMs: 10_000, everyMs: 5, what: () => said })
    const after = said.slice(said.indexOf(">3"))
    match(
      after,
      /^>3\r\n\$9\r\nsubscribe\r\n\$1\r\ns\r\n:1\r\n[^]*>3\r\n\$7\r\nmessage\r\n\$1\r\ns\r\n\$3\r\none\r\n[^]*>3\r\n\$11\r\nunsubscribe/,
    )
    equal(after.includes("two"), false)
    // What is not pushed are the answers, in their order.
    equal(
      after.replace(/>3\r\n(?:\$\d+\r\n\w+\r\n){2}(?::\d\r\n|\$3\r\none\r\n)/g, ""),
      ":1\r\n+PONG\r\n:0\r\n$3\r\nend\r\n",
    )
    socket.destroy()
  })

  await context.test("who does not read is cut off and counted, and nobody else is harmed", async () => {
    const slow = connect(first, "127.0.0.1")
    slow.write("*2\r\n$9\r\nSUBSCRIBE\r\n$5\r\nflood\r\n")
    await once(slow, "data")
    slow.pause()
    const ended = once(slow, "close")
    const reader = client(first)
    let count = 0
    reader.on("message", () => (count += 1))
    await reader.subscribe("flood")
    const publisher = client(second)
    const payload = Buffer.alloc(256 * 1024, 120)
    let published = 0
    // What the systems at both ends hold for it comes before what counts.
    for (let reached = 2; reached === 2; published++) {
      ok(published < 1_000, "it was not cut off")
      reached = Number(await publisher.publish("flood", payload))
    }
    slow.resume()
    await ended
    await until(() => count >= published, { withinMs: 20_000, everyMs: 20, what: () => `${published}, not ${count}` })
    equal(await reader.subscribe("more"), 2)
    const metrics = await (await fetch(`http://127.0.0.1:${first}/metrics`)).text()
    match(metrics, /^dcache_resp_cutoffs_total\{reason="slow-reader"\} 1$/m)
    match(metrics, /^dcache_resp_delivered_total [1-9]/m)
    match(metrics, /^dcache_resp_subscriptions 2$/m)
    reader.disconnect()
  })

  await context.test("what a subscriber has taken in the end is memory of the node no longer", async () => {
    const memory = async () => {
      const metrics = await (await fetch(`http://127.0.0.1:${first}/metrics`)).text()
      return Number(/^dcache_resp_memory_bytes (\d+)$/m.exec(metrics)?.[1])
    }
    const slow = connect(first, "127.0.0.1")
    slow.write("*2\r\n$9\r\nSUBSCRIBE\r\n$4\r\nslow\r\n")
    await once(slow, "data")
    slow.pause()
    const publisher = client(second)
    const payload = Buffer.alloc(8 * 1024, 120)
    let published = 0
    // Little more than the systems at both ends hold for it: so little that no stream waits to go on.
    for (; (await memory()) === 0; published++) {
      ok(published < 4_000, "the systems take everything")
      equal(await publisher.publish("slow", payload), 1)
    }
    slow.resume()
    await until(async () => (await memory()) === 0, {
      ...{ withinMs: 10_000, everyMs: 50, what: () => "nothing to be kept for anybody" },
    })
    slow.destroy()
  })

  await context.test("PUBLISH answers in time when a member is paused, and when it dies", async () => {
    const reader = client(second)
    await reader.subscribe("late")
    const publisher = client(first)
    const lost = nodes[2]
    ok(lost)
    lost.process.pause()
    const pausedAtMs = performance.now()
    for (let i = 0; i < 20; i++) equal(await publisher.publish("late", "x"), 1)
    // One deadline of a second for all of them; the rest is this machine's.
    const pausedMs = performance.now() - pausedAtMs
    ok(pausedMs < 5_000, `${pausedMs} ms`)
    await bench.kill(lost)
    const began = performance.now()
    for (let i = 0; i < 20; i++) equal(await publisher.publish("late", "x"), 1)
    ok(performance.now() - began < 10_000)
    await bench.complete(nodes.slice(0, 2))
    equal(await publisher.publish("late", "x"), 1)
  })
})
