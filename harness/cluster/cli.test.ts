/**
 * What the command line answers, as the program that people run: a table of arguments, exit status and the one line that
 * says what is wrong. First what needs no node, then what a small cluster answers, then how commands end early.
 */
import { equal, match, ok } from "node:assert/strict"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { createServer, type Server } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, describe, test } from "node:test"
import { Prng } from "../../src/base/prng.ts"
import { maxKeyBytes, maxValueBytes } from "../../src/protocol/limits.ts"
import { checkRow, type Given, type Row, startCommand, titleOf } from "./command-row.ts"
import { commandUnderTest } from "./command-under-test.ts"
import { freePorts } from "./free-ports.ts"
import { NodeProcess } from "./node-process.ts"
import { until } from "./until.ts"

const command = commandUnderTest()
const prng = new Prng(process.pid)
/** A test leaves nothing behind, and finds nothing of an earlier one. */
const noHints = ["--hint-file", "none"]

const start = (args: readonly string[], given: Given = {}) => startCommand(command, args, given)
const dcache = (args: readonly string[], given: Given = {}) => start(args, given).answer
const check = (row: Row) => checkRow(command, row)

const usage: Row[] = [
  { args: ["--version"], code: 0, out: /^\d+\.\d+\.\d+\n$/, because: "the version alone" },
  { args: ["--help"], code: 0, out: /Exit status/, because: "commands and exit status" },
  { args: ["help", "node"], code: 0, out: /--advertise-client HOST/, because: "options of one command" },
  { args: ["set", "--help"], code: 0, out: /--if-absent/, because: "help is where people look for it" },
  {
    args: ["frob"],
    code: 2,
    err: /there is no command "frob"; there are node, get, set/,
    because: "the commands are named",
  },
  { args: ["help", "frob"], code: 2, err: /there is no command "frob"/, because: "so for help" },
  {
    args: ["get"],
    code: 2,
    err: /not enough positional arguments; usage: dcache get \[options\] <KEY>/,
    because: "a key is missing",
  },
  { args: ["get", "a", "b"], code: 2, err: /extraneous positional argument \("b"\)/, because: "a key too many" },
  { args: ["get", "a", "--nod", "x"], code: 2, err: /unsupported option name \("--nod"\)/, because: "a mistyped flag" },
  {
    args: ["get", "a", "--timeout"],
    code: 2,
    err: /not enough arguments to option --timeout/,
    because: "a flag without its value",
  },
  { args: ["get", "a", "--timeout", "soon"], code: 2, err: /--timeout soon: /, because: "a word is no duration" },
  { args: ["get", "a", "--timeout", "0s"], code: 2, err: /--timeout 0s: /, because: "no time at all" },
  { args: ["get", "a", "--timeout", "2h"], code: 2, err: /--timeout 2h: /, because: "longer than a request may last" },
  {
    args: ["get", "a"],
    env: { DCACHE_TIMEOUT: "soon" },
    code: 2,
    err: /DCACHE_TIMEOUT=soon: /,
    because: "a variable is named as such",
  },
  {
    args: ["get", "a"],
    env: { DCACHE_JSON: "perhaps" },
    code: 2,
    err: /DCACHE_JSON=perhaps: /,
    because: "a switch is on or off",
  },
  {
    args: ["get", "a", "--node", "host:port"],
    code: 2,
    err: /--node host:port: the port must be a number/,
    because: "no port",
  },
  {
    args: ["get", "a", "--node", "http://h"],
    code: 2,
    err: /--node http:\/\/h: the port must be a number/,
    because: "a URL is no address",
  },
  { args: ["get", "a", "--node", ""], code: 2, err: /--node "": is empty/, because: "an unset variable in a script" },
  { args: ["set", "a", "b", "--ttl", "-1s"], code: 2, err: /--ttl -1s: /, because: "time runs forward" },
  { args: ["set", "a", "b", "--ttl", "5parsecs"], code: 2, err: /--ttl 5parsecs: /, because: "no unit of time" },
  {
    args: ["set", "a", "b", "--if-version", "x"],
    code: 2,
    err: /--if-version x: must be a whole number/,
    because: "no version",
  },
  { args: ["set", "a", "b", "--if-absent", "--if-present"], code: 2, err: /give one of/, because: "a contradiction" },
  { args: ["incr", "a", "1.5"], code: 2, err: /BY 1\.5: must be a whole number/, because: "counts are whole" },
  { args: ["touch", "a"], code: 2, err: /--ttl/, because: "touch needs a time" },
  {
    args: ["node", "--copies", "0"],
    code: 2,
    err: /--copies 0: must be a whole number from 1 to 7/,
    because: "an entry has a copy",
  },
  { args: ["node", "--memory", "lots"], code: 2, err: /--memory lots: /, because: "no size" },
  {
    args: ["node", "--memory", "10"],
    code: 2,
    err: /--memory 10: must be 16MiB or more/,
    because: "ten bytes hold nothing",
  },
  { args: ["node", "--listen", "x:99999"], code: 2, err: /--listen x:99999: the port/, because: "no such port" },
  {
    args: ["node", "--join", "a:0"],
    code: 2,
    err: /--join a:0: port 0 cannot be dialed/,
    because: "nobody has port 0",
  },
  {
    args: ["node"],
    env: { DCACHE_JOIN: "a,b:x" },
    code: 2,
    err: /DCACHE_JOIN=b:x: the port/,
    because: "the wrong one of a list",
  },
  { args: ["node", "--log-level", "loud"], code: 2, err: /--log-level loud: must be one of/, because: "no level" },
  { args: ["node", "--bootstrap", "--join", "a"], code: 2, err: /give one of them/, because: "a contradiction" },
  { args: ["node", "--name", "a\x1b[2J"], code: 2, err: /--name .*control/, because: "names are shown on terminals" },
  {
    args: ["set", "k".repeat(maxKeyBytes + 1), "v"],
    code: 5,
    err: /the key is longer than 4096 bytes/,
    because: "an oversized key",
  },
  {
    args: ["set", "k", "-"],
    stdin: new Uint8Array(maxValueBytes + 1),
    code: 5,
    err: /the value is larger than 8 ?MiB/,
    because: "an oversized value",
  },
]

describe("usage", () => {
  for (const row of usage) test(titleOf(row), () => check(row))

  test("no arguments: the overview, on standard error", async () => {
    const { code, out, err } = await dcache([])
    equal(code, 2)
    equal(out.length, 0)
    match(err, /dcache node/)
  })
})

describe("nobody there", () => {
  let port = 0
  before(async () => {
    port = (await freePorts(1, prng))[0] ?? 0
  })

  for (const args of [
    ["get", "k"],
    ["set", "k", "v"],
    ["delete", "k"],
    ["incr", "k"],
    ["ttl", "k"],
    ["keys"],
    ["clear", "--yes"],
    ["status"],
    ["health"],
  ]) {
    test(`dcache ${args.join(" ")} -> 3, and whom it asked`, async () => {
      const node = `127.0.0.1:${port}`
      const err = new RegExp(`nobody answers at ${node}; start a node there`)
      await check({ args: [...args, "--node", node, "--timeout", "1s"], code: 3, err, because: "" })
    })
  }

  test("the variable names the node as the option does", () =>
    check({
      args: ["get", "k"],
      env: { DCACHE_NODE: `localhost:${port}`, DCACHE_TIMEOUT: "1s" },
      code: 3,
      err: /localhost/,
      because: "",
    }))

  test("a server that speaks something else is nobody", async () => {
    const server = await listening(createServer(socket => socket.end("220 smtp.example.org\r\n")))
    try {
      const args = ["get", "k", "--node", addressOf(server), "--timeout", "1s"]
      await check({ args, code: 3, err: /nobody answers/, because: "" })
    } finally {
      server.close()
    }
  })
})

describe("ending early", () => {
  let mute: Server
  before(async () => {
    mute = await listening(createServer(() => {}))
  })
  after(() => mute.close())

  for (const args of [["get", "k"], ["status"], ["health"]]) {
    test(`Ctrl-C during dcache ${args[0]} -> 130 at once, silent`, async () => {
      const dialed = once(mute, "connection")
      const { child, answer } = start([...args, "--node", addressOf(mute), "--timeout", "30s"])
      const [socket] = await dialed
      child.kill("SIGINT")
      const { code, out, err } = await answer
      socket.destroy()
      equal(code, 130)
      equal(`${out}${err}`, "")
    })
  }

  test("a reader that goes away is no failure", async () => {
    const { child, answer } = start(["--help"])
    child.stdout.destroy()
    const { code, err } = await answer
    equal(err, "")
    equal(code, 0)
  })
})

async function listening(server: Server): Promise<Server> {
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  return server
}

function addressOf(server: Server): string {
  const address = server.address()
  if (address === null || typeof address === "string") throw new Error("a listening server has a port")
  return `127.0.0.1:${address.port}`
}

describe("a node that cannot start", () => {
  test("its port is taken -> 3, and what to do", async () => {
    const server = await listening(createServer())
    try {
      const args = ["node", "--listen", addressOf(server), ...noHints]
      await check({ args, code: 3, err: /127\.0\.0\.1:\d+ is in use.*--listen/, because: "" })
    } finally {
      server.close()
    }
  })

  test("the port for Redis' clients is taken -> 3, before it joins anybody", async () => {
    const server = await listening(createServer())
    try {
      // Nobody is at its seed: a node that asked there first would go on asking.
      const args = ["node", "--listen", "127.0.0.1:0", "--join", "127.0.0.1:1", "--resp", addressOf(server), ...noHints]
      await check({ args, code: 3, out: /^$/, err: /--resp: cannot listen at 127\.0\.0\.1:\d+/, because: "" })
    } finally {
      server.close()
    }
  })

  test("its address is of another machine -> 3", () =>
    // 198.51.100.0/24 is for documentation: no machine has it.
    check({
      args: ["node", "--listen", "198.51.100.1:5555", ...noHints],
      code: 3,
      err: /198\.51\.100\.1:5555 is not an address of this machine; .*--listen/,
      because: "",
    }))
})

/** Starts n1, n2, ... each joined to the first, until all are members. Those in `nodes` are the caller's to end, whatever happens. */
async function startCluster(nodes: NodeProcess[], count: number, directory: string): Promise<void> {
  for (const port of await freePorts(count, prng)) {
    const seeds = nodes.slice(0, 1).map(first => first.address)
    const listen = `127.0.0.1:${port}`
    const node = new NodeProcess({
      command,
      name: `n${nodes.length + 1}`,
      listen,
      join: seeds,
      extraArgs: noHints,
      directory,
    })
    nodes.push(node)
    const args = ["status", "--node", listen, "--json", "--timeout", "5s"]
    const isMember = async () => {
      if (node.end) throw new Error(`${node.name} ended; it said: ${node.tail}`)
      return JSON.parse((await dcache(args)).out.toString() || "{}").members?.length === nodes.length
    }
    const what = () => `${node.name} to be a member; it said: ${node.tail}`
    await until(isMember, { withinMs: 60_000, everyMs: 200, what })
  }
}

describe("a cluster of two", () => {
  const directory = mkdtempSync(join(tmpdir(), "dcache-cli-"))
  const nodes: NodeProcess[] = []

  before(() => startCluster(nodes, 2, directory))

  after(async () => {
    for (const node of nodes) node.kill()
    await Promise.all(nodes.map(node => node.ended))
    rmSync(directory, { recursive: true, force: true })
  })

  // A busy machine is slow, not wrong.
  const patient = { DCACHE_TIMEOUT: "30s" }
  const bytes = new Uint8Array(256).map((_, index) => index)
  const story: Row[] = [
    { args: ["health"], code: 0, out: /^ok: a member at epoch \d+\n$/, because: "both voters are heard" },
    { args: ["get", "k"], code: 1, err: /there is no key "k"/, because: "nothing is there yet" },
    { args: ["get", "k", "--json"], code: 1, out: '{"key":"k","found":false}\n', because: "programs get an object" },
    {
      args: ["set", "k", "v", "--if-present"],
      code: 1,
      err: /not stored: there is no key "k"/,
      because: "nothing to replace",
    },
    { args: ["set", "k", "v", "--if-absent"], code: 0, out: /^stored \(version \d+\)\n$/, because: "the first one" },
    {
      args: ["set", "k", "w", "--if-absent"],
      code: 1,
      err: /not stored: "k" is there, in version \d+/,
      because: "the second one",
    },
    { args: ["set", "k", "w", "--if-version", "1"], code: 1, err: /not stored/, because: "another version" },
    { args: ["get", "k"], code: 0, out: "v", because: "exactly the bytes" },
    {
      args: ["get", "k", "--json"],
      code: 0,
      out: /"value":"v","encoding":"text","version":\d+,.*"ttlMs":null/,
      because: "all of it",
    },
    { args: ["set", "b", "-"], stdin: bytes, code: 0, out: /^stored/, because: "any bytes" },
    { args: ["get", "b"], code: 0, out: Buffer.from(bytes).toString("latin1"), because: "come back as they were" },
    { args: ["set", "n", "-5"], code: 0, out: /^stored/, because: "a negative number is a value" },
    { args: ["incr", "n"], code: 0, out: "-4\n", because: "one more" },
    { args: ["incr", "n", "-6"], code: 0, out: "-10\n", because: "six less" },
    { args: ["incr", "window", "--ttl", "1m"], code: 0, out: "1\n", because: "made with a time to live" },
    { args: ["incr", "window", "--ttl", "1h"], code: 0, out: "2\n", because: "it keeps the one that it has" },
    { args: ["ttl", "window"], code: 0, out: /^(1m|5\d)/, because: "less than a minute is left" },
    { args: ["incr", "k"], code: 1, err: /not a whole number/, because: "a word" },
    { args: ["ttl", "k"], code: 0, out: "never\n", because: "no time was set" },
    { args: ["touch", "k", "--ttl", "1h"], code: 0, because: "an hour" },
    { args: ["ttl", "k"], code: 0, out: /^(1h|59m).*\n$/, because: "of which most is left" },
    { args: ["ttl", "nothing"], code: 1, err: /there is no key/, because: "no key, no time" },
    { args: ["delete", "k", "b", "nothing"], code: 0, out: "deleted 2 of 3\n", because: "those that were there" },
    { args: ["delete", "k", "b"], code: 1, err: /none of the 2 keys was there/, because: "none is left" },
    { args: ["get", ""], code: 1, err: /there is no key ""/, because: "the empty key is a key" },
    { args: ["set", "k".repeat(maxKeyBytes), "v"], code: 0, out: /^stored/, because: "the longest key" },
    {
      args: ["set", "large", "-"],
      stdin: new Uint8Array(maxValueBytes),
      code: 0,
      out: /^stored/,
      because: "the largest value",
    },
    { args: ["keys", "--prefix", "win"], code: 0, out: "window\n", because: "of the whole cluster, by any node" },
    {
      args: ["keys", "--prefix", "win", "--json"],
      code: 0,
      out: '{"key":"window","encoding":"text"}\n',
      because: "an object a line",
    },
    { args: ["clear"], code: 2, err: /say --yes to confirm/, because: "nobody is there to be asked" },
    { args: ["clear", "--prefix", "win", "--yes"], code: 0, out: "deleted 1\n", because: "that one" },
    { args: ["clear", "--yes", "--json"], code: 0, out: '{"deleted":3}\n', because: "all the others" },
    { args: ["keys"], code: 0, because: "none is left" },
    { args: ["clear", "--prefix", "k".repeat(5_000), "--yes"], code: 5, err: /key is longer/, because: "no key is" },
  ]
  for (const [index, row] of story.entries()) {
    // Both nodes are asked in turn: any one answers for all.
    test(titleOf(row), () =>
      check({ ...row, env: patient, args: [...row.args, "--node", nodes[index % 2]?.address ?? ""] }),
    )
  }

  test("status shows both members, and agreement", async () => {
    const node = nodes[0]?.address ?? ""
    const { code, out } = await dcache(["status", "--node", node], { env: patient })
    equal(code, 0)
    match(out.toString(), /2 members, epoch \d+/)
    match(out.toString(), /n1 .*\n *n2 /)
    match(out.toString(), /all members list the same members/)
    const status = JSON.parse((await dcache(["status", "--node", node, "--json"], { env: patient })).out.toString())
    ok(status.epoch >= status.membersEpoch && status.membersEpoch > 0)
    for (const [index, member] of status.members.entries()) {
      match(member.id, /^[0-9a-f]{16}$/)
      equal(member.name, `n${index + 1}`)
      equal(member.address, nodes[index]?.address)
    }
  })

  test("a joiner that asks for another number of copies -> 5, and how many there are", async () => {
    const [port] = await freePorts(1, prng)
    const args = [
      "node",
      "--listen",
      `127.0.0.1:${port}`,
      "--join",
      nodes[0]?.address ?? "",
      "--copies",
      "3",
      ...noHints,
    ]
    const { child, answer } = start(args)
    const { code, err } = await answer
    child.kill("SIGKILL")
    equal(code, 5, err)
    match(err, /refused.*copies/)
  })

  test("SIGTERM: each hands over and leaves with 0; the last says that it is the last", async () => {
    const [first, second] = nodes
    first?.terminate()
    equal((await first?.ended)?.code, 0, first?.tail)
    second?.terminate()
    equal((await second?.ended)?.code, 0, second?.tail)
    match(second?.tail ?? "", /last/)
  })
})

describe("a node whose seed does not answer", () => {
  test("goes on trying, says whom it tries, and Ctrl-C ends it", async () => {
    const [port, seed] = await freePorts(2, prng)
    const { child, answer, errSoFar, outSoFar } = start([
      "node",
      "--listen",
      `127.0.0.1:${port}`,
      "--join",
      `127.0.0.1:${seed}`,
      ...noHints,
    ])
    await until(() => outSoFar().includes(`still trying to join through 127.0.0.1:${seed}\n`), {
      withinMs: 10_000,
      what: "the seed's name",
    })
    child.kill("SIGINT")
    const { code } = await answer
    ok(code === 0 || code === 130, `ended with ${code}: ${errSoFar()}`)
  })
})

describe("a node that cannot hand over", () => {
  const directory = mkdtempSync(join(tmpdir(), "dcache-cli-"))
  const nodes: NodeProcess[] = []

  after(async () => {
    for (const node of nodes) node.kill()
    await Promise.all(nodes.map(node => node.ended))
    rmSync(directory, { recursive: true, force: true })
  })

  test("says what is left to do, and a second signal ends it at once with 130", async () => {
    await startCluster(nodes, 2, directory)
    const [leaving, deaf] = nodes
    deaf?.pause()
    leaving?.terminate()
    await until(() => /leaving: \d+ shards left/.test(leaving?.tail ?? ""), { withinMs: 30_000, what: "its progress" })
    leaving?.terminate()
    equal((await leaving?.ended)?.code, 130, leaving?.tail)
  })
})
