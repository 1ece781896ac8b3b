/**
 * The Redis door of real nodes, used by real clients. Every row of the table is asked of a cluster of three with two copies, at
 * one of its nodes or another; and of Redis itself, where it is installed, so that the table says what Redis does and not what we wish.
 */
import { deepEqual, equal, match, ok, rejects } from "node:assert/strict"
import { execFile, spawn } from "node:child_process"
import { connect, type Socket } from "node:net"
import { writeFile } from "node:fs/promises"
import path from "node:path"
import { test, type TestContext } from "node:test"
import { promisify } from "node:util"
import { Redis } from "ioredis"
import { Redis as Valkey } from "iovalkey"
import { createClient } from "redis"
import { assert } from "../../src/base/assert.ts"
import { Prng } from "../../src/base/prng.ts"
import { NodeBench } from "../cluster/node-bench.ts"
import { freePorts } from "../cluster/free-ports.ts"
import { until } from "../cluster/until.ts"
import { type Row, rows, type Told } from "./resp-rows.ts"
import { python, skipWithout } from "./skip-without.ts"

const runFile = promisify(execFile)

test("the Redis door", { timeout: 240_000 }, async context => {
  const bench = new NodeBench(context)
  // The largest values want more memory than the bench gives.
  const args = ["--memory", "256MiB"]
  const [own = 0] = await freePorts(1, new Prng(process.pid + 2))
  const nodes = await bench.cluster(
    { name: "first", args: [...args, "--resp", `127.0.0.1:${own}`] },
    { name: "second", args },
    { name: "third", args },
  )
  await bench.complete(nodes)
  const [first = 0, second = 0] = nodes.map(({ process }) => Number(process.address.split(":").at(-1)))

  await context.test("every row of the table, at one node or the other", async rowContext => {
    for (const [i, row] of rows.entries()) await rowContext.test(row.name, () => checkRow(i % 2 ? first : second, row))
  })

  await context.test("a pipeline is answered in order, and sees its own writes", async () => {
    const redis = new Redis({ port: first, lazyConnect: true })
    const batch = redis.pipeline()
    for (let i = 0; i < 500; i++) batch.set(`pipe:${i % 50}`, String(i)).get(`pipe:${i % 50}`)
    const answers = (await batch.exec()) ?? []
    for (let i = 0; i < 500; i++)
      deepEqual(answers.slice(2 * i, 2 * i + 2), [
        [null, "OK"],
        [null, String(i)],
      ])
    redis.disconnect()
  })

  await context.test("counting from many connections of all nodes counts each once", async () => {
    const connections = [first, second, first, second].map(port => new Redis({ port }))
    await Promise.all(connections.flatMap(redis => Array.from({ length: 100 }, () => redis.append("tail", "x"))))
    equal(await connections[0]?.strlen("tail"), 400)
    for (const redis of connections) redis.disconnect()
  })

  await context.test(
    "a scan finds every key that stays, once, through any node, while others come and go",
    async () => {
      const [redis, other] = [new Redis({ port: first, db: 5 }), new Redis({ port: second, db: 5 })]
      const names = Array.from({ length: 2_000 }, (_, i) => `stays:${i}`)
      await redis.mset(names.flatMap(name => [name, "x"]))
      const found: string[] = []
      let cursor = "0"
      let steps = 0
      do {
        const [next, page] = await (steps % 2 === 0 ? redis : other).scan(cursor, "COUNT", 50)
        found.push(...page)
        cursor = next
        steps += 1
        await Promise.all([redis.set(`comes:${steps}`, "x"), redis.del(`comes:${steps - 3}`)])
      } while (cursor !== "0")
      deepEqual(found.filter(name => name.startsWith("stays:")).toSorted(), names.toSorted())
      ok(steps > 10, `${steps} steps`)
      equal(await other.dbsize(), (await redis.keys("*")).length)
      await other.flushdb()
      equal(await redis.dbsize(), 0)
      for (const client of [redis, other]) client.disconnect()
    },
  )

  for (const RESP of [2, 3] as const)
    await context.test(`node-redis in RESP${RESP}`, async () => {
      const client = createClient({ RESP, socket: { port: second, host: "127.0.0.1" } })
      await client.connect()
      equal(await client.set("nr", "value", { expiration: { type: "EX", value: 100 } }), "OK")
      equal(await client.get("nr"), "value")
      equal(await client.get("nr:none"), null)
      ok(Number(await client.ttl("nr")) > 90)
      deepEqual(await client.mGet(["nr", "nr:none"]), ["value", null])
      deepEqual(await client.multi().set("nr", "1").incr("nr").get("nr").exec(), ["OK", 2, "2"])
      await rejects(client.sendCommand(["NOSUCH"]), /unknown command/)
      equal((await client.configGet("maxmemory-policy"))["maxmemory-policy"], "allkeys-s3fifo")
      client.destroy()
    })

  /** Two keys in different shards that one node leads. */
  const apartInPlace = async (): Promise<readonly [string, string]> => {
    const redis = new Redis({ port: first })
    for (let i = 0; ; i++) {
      const keys = [`bank:a${i}`, `bank:b${i}`] as const
      const isDone = await redis.msetnx(...keys.flatMap(key => [key, "x"])).catch(error => {
        match(String(error), /are led by different nodes/)
        return undefined
      })
      equal(await redis.exists(...keys), isDone === undefined ? 0 : 2)
      if (isDone === undefined) continue
      redis.disconnect()
      return keys
    }
  }

  const tagged = ["{bank}:a", "{bank}:b"] as const
  for (const [which, accountsOf] of [
    ["of one shard", async () => tagged],
    ["of one primary", apartInPlace],
  ] as const)
    await context.test(
      `money that many move at once between two accounts ${which} is neither made nor lost`,
      async () => {
        const accounts = await accountsOf()
        const movers = [first, second, first, second].map(port => new Redis({ port }))
        await movers[0]?.mset(accounts[0], 100, accounts[1], 100)
        let refused = 0
        const moveOne = async (redis: Redis): Promise<void> => {
          await redis.watch(...accounts)
          const [a = 0, b = 0] = (await redis.mget(...accounts)).map(Number)
          const done = await redis
            .multi()
            .set(accounts[0], a - 1)
            .set(accounts[1], b + 1)
            .exec()
          if (done !== null) return
          refused += 1
          await moveOne(redis)
        }
        const observer = new Redis({ port: second })
        const sums = new Set<number>()
        let isOver = false
        const look = async () => {
          while (!isOver) {
            const told = await observer.multi().get(accounts[0]).get(accounts[1]).exec()
            sums.add((told ?? []).reduce((sum, [, value]) => sum + Number(value), 0))
          }
        }
        const moveAll = async () => {
          await Promise.all(
            movers.map(async redis => {
              for (let i = 0; i < 20; i++) await moveOne(redis)
            }),
          )
          isOver = true
        }
        await Promise.all([moveAll(), look()])
        deepEqual(await observer.mget(...accounts), ["20", "180"])
        ok(refused > 0, "some had to begin again")
        deepEqual([...sums], [200])
        observer.disconnect()
        for (const redis of movers) redis.disconnect()
      },
    )

  await context.test(
    "node-redis and ioredis: several keys in one step, and null when a watched key was changed",
    async () => {
      const client = createClient({ socket: { port: second, host: "127.0.0.1" } })
      await client.connect()
      deepEqual(await client.multi().set("{nr}:1", "1").incr("{nr}:2").mGet(["{nr}:1", "{nr}:2"]).exec(), [
        "OK",
        1,
        ["1", "1"],
      ])
      equal(await client.mSetNX({ "{nr}:1": "x", "{nr}:3": "y" }), 0)
      equal(await client.mSetNX({ "{nr}:4": "x", "{nr}:3": "y" }), 1)
      await client.watch(["{nr}:1"])
      const other = new Redis({ port: first })
      await other.append("{nr}:1", "0")
      await rejects(client.multi().set("{nr}:2", "never").exec(), /watched keys has been changed/)
      equal(await other.get("{nr}:2"), "1")
      const everywhere = Array.from({ length: 40 }, (_, i) => `nr:${i}`)
      await rejects(client.multi().del(everywhere).exec(), /are led by different nodes/)
      await rejects(
        other
          .multi()
          .del(...everywhere)
          .exec(),
        /EXECABORT/,
      )
      client.destroy()
      other.disconnect()
    },
  )

  await context.test(
    "any transaction on a few keys answers what Redis answers",
    skipWithout("redis-server"),
    async () => {
      const [port = 0] = await freePorts(1, new Prng(process.pid + 3))
      await startRedis(port, context)
      const prng = new Prng(20_261)
      const [redis, real] = [new Redis({ port: first, db: 6 }), new Redis({ port })]
      for (let round = 0; round < 150; round++) {
        const commands = Array.from({ length: 1 + prng.below(8) }, () => anyCommand(prng))
        const [told, expected] = await Promise.all(
          [redis, real].map(async each => plainly(await each.multi(commands).exec())),
        )
        deepEqual(told, expected, commands.map(words => words.join(" ")).join("; "))
      }
      for (const each of [redis, real]) each.disconnect()
    },
  )

  await context.test("COMMAND DOCS tells of words as Redis does", skipWithout("redis-server"), async docsContext => {
    const redis = new Redis({ port: second })
    const names = (await redis.call("COMMAND", "LIST")) as string[]
    redis.disconnect()
    const ours = await syntaxOf(second, names)
    const [port = 0] = await freePorts(1, new Prng(process.pid + 4))
    await startRedis(port, docsContext as TestContext) // which is what it is
    const theirs = await syntaxOf(port, names)
    // Of these Redis takes more than is taken here; the others it has, or calls as we do, since 7.2.
    const others = ["command|list", "command|getkeys", "client|list", "client|setinfo", "client|no-touch"]
    for (const [name, words] of ours) if (!others.includes(name)) deepEqual(words, theirs.get(name), name)
    ok(ours.size > 90, `${ours.size} commands`)
  })

  await context.test("iovalkey", async () => {
    const client = new Valkey({ port: first })
    await client.set("iv", Buffer.from([0, 255]))
    deepEqual(await client.getBuffer("iv"), Buffer.from([0, 255]))
    client.disconnect()
  })

  await context.test("values are those of native clients, and the other way round", async () => {
    const redis = new Redis({ port: first })
    const { file, args } = bench.command
    const node = `127.0.0.1:${second}`
    await runFile(file, [...args, "set", "native", "grüße", "--node", node])
    equal(await redis.get("native"), "grüße")
    await redis.set("foreign", "grüße")
    const { stdout } = await runFile(file, [...args, "get", "foreign", "--node", node, "--json"])
    equal(JSON.parse(stdout).value, "grüße")
    redis.disconnect()
  })

  await context.test("what is no command is refused in words, and the connection ends", async () => {
    for (const [sent, answer] of [
      ["*1\r\n:1\r\n", /^-ERR Protocol error: expected '\$'/],
      ["*1\r\n$1073741824\r\n", /^-ERR Protocol error: invalid bulk length/],
      ["*99999999\r\n", /^-ERR Protocol error: invalid multibulk length/],
    ] as const)
      match(await exchange(first, sent), answer)
    // A command before it is still answered, one behind it is not.
    match(
      await exchange(first, "*1\r\n$4\r\nPING\r\n*x\r\n*1\r\n$4\r\nPING\r\n"),
      /^\+PONG\r\n-ERR Protocol error: invalid multibulk length\r\n$/,
    )
    equal(await exchange(first, "*1\r\n$4\r\nQUIT\r\n"), "+OK\r\n")
  })

  await context.test("a hundred thousand pipelined commands are all answered, by whoever reads late too", async () => {
    const socket = connect(first, "127.0.0.1")
    const count = 100_000
    socket.write("*1\r\n$4\r\nPING\r\n".repeat(count))
    let bytes = 0
    for await (const chunk of socket) {
      bytes += chunk.length
      if (bytes === count * "+PONG\r\n".length) break
    }
    equal(bytes, count * "+PONG\r\n".length)
  })

  await context.test("redis-cli", skipWithout("redis-cli"), async () => {
    const cli = (...args: string[]) => runFile("redis-cli", ["-p", String(first), ...args])
    equal((await cli("set", "cli", "value")).stdout, "OK\n")
    equal((await cli("-3", "get", "cli")).stdout, "value\n")
    match((await cli("info", "server")).stdout, /dcache_version/)
  })

  await context.test("redis-benchmark", skipWithout("redis-benchmark"), async () => {
    for (const [port, tests, names] of [
      [second, "ping_mbulk,set,get,incr,mset", ["PING_MBULK", "SET", "GET", "INCR", "MSET (10 keys)"]],
      [own, "ping_inline", ["PING_INLINE"]],
    ] as const) {
      const args = ["-p", String(port), "-t", tests, "-n", "2000", "-c", "20", "-P", "8", "--csv"]
      const { stdout } = await runFile("redis-benchmark", args)
      for (const name of names) ok(stdout.includes(`"${name}","`), stdout)
    }
  })

  await context.test("a node alone leads all keys, and needs no tag to write several in one step", async () => {
    const [alone] = await bench.cluster({ name: "alone" })
    assert(alone !== undefined, "it was started")
    const redis = new Redis({ port: Number(alone.process.address.split(":").at(-1)) })
    equal(await redis.msetnx("a", 1, "b", 2), 1)
    equal(await redis.msetnx("b", 3, "c", 3), 0)
    deepEqual(await redis.multi().incr("a").append("b", "0").rename("a", "c").mget("a", "b", "c").exec(), [
      [null, 2],
      [null, 2],
      [null, "OK"],
      [null, [null, "20", "2"]],
    ])
    await redis.watch("a", "b")
    const other = redis.duplicate()
    await other.set("b", "x")
    equal(await redis.multi().set("d", "never").exec(), null)
    for (const client of [redis, other]) client.disconnect()
  })

  await context.test(
    "a program in C",
    skipWithout("cc", "-include", "hiredis/hiredis.h", "-E", "-xc", "/dev/null"),
    async () => {
      const source = path.join(bench.directory, "client.c")
      const program = path.join(bench.directory, "client")
      await writeFile(
        source,
        `#include <hiredis/hiredis.h>
       #include <string.h>
       int main(int argc, char **argv) {
         redisContext *c = redisConnect("127.0.0.1", ${first});
         if (c == NULL || c->err) return 1;
         redisReply *set = redisCommand(c, "SET %s %b EX 100", "c:key", "a\\0b", (size_t)3);
         if (set == NULL || set->type != REDIS_REPLY_STATUS) return 2;
         redisReply *get = redisCommand(c, "GET c:key");
         if (get == NULL || get->type != REDIS_REPLY_STRING || get->len != 3 || memcmp(get->str, "a\\0b", 3) != 0) return 3;
         redisAppendCommand(c, "INCR c:n");
         redisAppendCommand(c, "NOSUCH");
         redisReply *n, *error;
         if (redisGetReply(c, (void **)&n) != REDIS_OK || n->type != REDIS_REPLY_INTEGER || n->integer != 1) return 4;
         if (redisGetReply(c, (void **)&error) != REDIS_OK || error->type != REDIS_REPLY_ERROR) return 5;
         return 0;
       }`,
      )
      await runFile("cc", ["-o", program, source, "-lhiredis"])
      await runFile(program, [])
    },
  )

  await context.test("plain lines are for the port of its own alone", async () => {
    match(await exchange(first, "PING\r\n"), /^HTTP\/1\.1 400 /)
    match(
      await exchange(own, "PING\r\nset inline 'two words'\r\nGET inline\r\nQUIT\r\n"),
      /^\+PONG\r\n\+OK\r\n\$9\r\ntwo words\r\n\+OK\r\n$/,
    )
    match(await exchange(own, `${"x".repeat(70_000)}`), /^-ERR Protocol error: too big inline request/)
    match(await exchange(own, "*1\r\n$4\r\nPING\r\nQUIT\r\n"), /^\+PONG\r\n\+OK\r\n$/)
  })

  await context.test("whoever ends its half of the connection still gets what it asked for", async () => {
    for (const port of [first, own]) {
      const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true })
      socket.end("*3\r\n$3\r\nSET\r\n$4\r\nhalf\r\n$1\r\nx\r\n*2\r\n$3\r\nGET\r\n$4\r\nhalf\r\n")
      equal(await textOf(socket), "+OK\r\n$1\r\nx\r\n")
    }
  })

  await context.test("a command that comes byte by byte, and one that never ends, harm nobody", async () => {
    const slow = connect(first, "127.0.0.1")
    const unfinished = connect(first, "127.0.0.1")
    unfinished.write("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$8388608\r\nhalf of it")
    for (const byte of "*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nQUIT\r\n") slow.write(byte)
    equal(await textOf(slow), "+PONG\r\n+OK\r\n")
    unfinished.destroy()
  })

  await context.test("what was wrong is counted in the metrics", async () => {
    const answer = await fetch(`http://127.0.0.1:${first}/metrics`)
    const text = await answer.text()
    match(text, /^dcache_resp_commands_total [1-9]/m)
    match(text, /^dcache_resp_errors_total [1-9]/m)
    match(text, /^dcache_resp_cutoffs_total\{reason="protocol-error"\} [1-9]/m)
  })

  await context.test("python's client", skipWithout(python, "-c", "import redis"), async () => {
    const script = `
import redis
client = redis.Redis(port=${second}, decode_responses=True)
client.set("py", "value", ex=100)
assert client.get("py") == "value"
assert client.incrby("py:n", 5) == 5
with client.pipeline() as pipe:
    pipe.set("py", "1").incr("py")
    assert pipe.execute() == [True, 2]
try:
    client.execute_command("NOSUCH")
    raise SystemExit("NOSUCH was taken")
except redis.ResponseError:
    pass
`
    await runFile(python, ["-c", script])
  })
})

test("the table says what Redis says", skipWithout("redis-server"), async context => {
  const [port = 0] = await freePorts(1, new Prng(process.pid + 1))
  await startRedis(port, context)
  for (const row of rows) if (row.only !== "dcache") await context.test(row.name, () => checkRow(port, row, "redis"))
})

async function startRedis(port: number, context: TestContext): Promise<void> {
  const server = spawn("redis-server", ["--port", String(port), "--save", "", "--bind", "127.0.0.1"], { stdio: "pipe" })
  context.after(() => server.kill("SIGKILL"))
  let said = ""
  server.stdout.on("data", chunk => (said += chunk))
  await until(() => said.includes("Ready to accept connections"), {
    ...{ withinMs: 20_000, everyMs: 10, what: () => `redis-server to be ready: ${said}` },
  })
}

/** What a server tells of the words of its commands, by name; of subcommands too. */
async function syntaxOf(port: number, names: readonly string[]): Promise<Map<string, unknown>> {
  const redis = new Redis({ port })
  const found = new Map<string, unknown>()
  const note = (docs: Record<string, unknown>) => {
    for (const [name, doc] of Object.entries(docs)) {
      const { arguments: words = [], subcommands = [] } = fieldsOf(doc)
      found.set(name, (words as unknown[]).map(wordOf))
      note(fieldsOf(subcommands))
    }
  }
  note(fieldsOf(await redis.call("COMMAND", "DOCS", ...names)))
  redis.disconnect()
  return found
}

/** Since when something is there, and how it is drawn, is each server's own. */
function wordOf(word: unknown): object {
  const { name, type, token, flags, key_spec_index: keys, arguments: parts } = fieldsOf(word)
  return { name, type, token, flags, keys, parts: (parts as unknown[] | undefined)?.map(wordOf) }
}

/** Of a map as the older version of the protocol has it: names and values in turn. */
function fieldsOf(flat: unknown): Record<string, unknown> {
  const items = flat as unknown[]
  return Object.fromEntries(items.flatMap((name, i) => (i % 2 === 0 ? [[String(name), items[i + 1]]] : [])))
}

/** A command on keys with one tag. Times to live are so long that nobody can tell the machines apart. */
function anyCommand(prng: Prng): string[] {
  const key = () => `{t}${prng.pick(["a", "b", "c"])}`
  const value = () => prng.pick(["1", "20", "x", ""])
  return prng.pick([
    () => ["set", key(), value()],
    () => ["set", key(), value(), prng.pick(["NX", "XX", "KEEPTTL", "GET"])],
    () => ["get", key()],
    () => ["getset", key(), value()],
    () => ["getdel", key()],
    () => ["append", key(), value()],
    () => ["setrange", key(), "2", value()],
    () => ["strlen", key()],
    () => ["incrby", key(), "7"],
    () => ["decr", key()],
    () => ["incrbyfloat", key(), "0.5"],
    () => ["del", key(), key()],
    () => ["exists", key(), key(), key()],
    () => ["mset", key(), value(), key(), value()],
    () => ["msetnx", key(), value(), key(), value()],
    () => ["mget", key(), key()],
    () => ["rename", key(), key()],
    () => ["renamenx", key(), key()],
    () => ["copy", key(), key(), ...prng.pick([[], ["REPLACE"]])],
    () => ["expire", key(), "10000"],
    () => ["expire", key(), "20000", prng.pick(["NX", "XX", "GT", "LT"])],
    () => ["persist", key()],
    () => ["type", key()],
    () => ["echo", value()],
  ])()
}

/** What each command was told: its answer, or the words in which it was refused. */
function plainly(told: readonly (readonly [Error | null, unknown])[] | null): unknown[] {
  return (told ?? []).map(([problem, answer]) => problem?.message ?? answer)
}

async function checkRow(port: number, { steps }: Row, side: "told" | "redis" = "told"): Promise<void> {
  const redis = new Redis({ port, retryStrategy: attempt => (attempt > 50 ? null : 100), maxRetriesPerRequest: null })
  try {
    for (const step of steps) {
      const { ask } = step
      const [name = "", ...args] = ask
      const isBinary = ask.some(word => Buffer.isBuffer(word))
      const call = isBinary ? redis.callBuffer(String(name), ...args) : redis.call(String(name), ...args)
      const answer = await call.catch((error: unknown) => error)
      check(answer instanceof Buffer ? answer.toString() : answer, step[side], ask.join(" ").slice(0, 80))
    }
  } finally {
    redis.disconnect()
  }
}

function check(answer: unknown, told: Told, asked: string): void {
  // The message alone: the error holds the command, and a value of megabytes would be told of byte by byte.
  const plain = answer instanceof Error ? `error: ${answer.message}` : answer
  if (typeof told === "function") ok(told(answer), `${asked}: ${String(plain)}`)
  else if (told instanceof RegExp) match(String(answer instanceof Error ? answer.message : answer), told, asked)
  else deepEqual(plain, told, asked)
}

/** Everything that is answered until the node ends the connection. */
async function exchange(port: number, sent: string): Promise<string> {
  const socket = connect(port, "127.0.0.1")
  socket.write(sent)
  return textOf(socket)
}

async function textOf(socket: Socket): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}
