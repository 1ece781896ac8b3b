/**
 * An application of Next.js built once and started twice: a page that one instance rendered the other serves, and both
 * render anew after one of them revalidated its tag, or its path. Then the cluster cannot be reached: pages are served.
 */
import { equal, match, notEqual, ok } from "node:assert/strict"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { createServer } from "node:http"
import { createServer as createProbe } from "node:net"
import path from "node:path"
import { CacheClient } from "dcache"

const app = path.join(import.meta.dirname, "..", "next")
const next = path.join(app, "node_modules", "next", "dist", "bin", "next")
const withinMs = 60_000
const children = []
process.on("exit", () => {
  for (const child of children) child.kill("SIGKILL")
})

let count = 0
const origin = createServer((_request, response) => response.end(`#${++count}`)).listen(0, "127.0.0.1")
await once(origin, "listening")
const ORIGIN = `http://127.0.0.1:${origin.address().port}/`

function start(args, env = {}) {
  const child = spawn(process.execPath, [next, ...args], {
    cwd: app,
    env: { ...process.env, ORIGIN, NEXT_TELEMETRY_DISABLED: "1", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  })
  children.push(child)
  const started = { child, output: "" }
  for (const stream of [child.stdout, child.stderr]) stream.on("data", text => (started.output += text))
  return started
}

async function instance(env) {
  const probe = createProbe().listen(0, "127.0.0.1")
  await once(probe, "listening")
  const { port } = probe.address()
  probe.close()
  const running = start(["start", "--hostname", "127.0.0.1", "--port", String(port)], env)
  const url = `http://127.0.0.1:${port}`
  for (const untilMs = Date.now() + withinMs; ; ) {
    const answer = await fetch(`${url}/cached`).catch(() => undefined)
    if (answer?.ok) break
    ok(Date.now() < untilMs && running.child.exitCode === null, running.output)
    await new Promise(done => setTimeout(done, 100))
  }
  return {
    ...{ running, url },
    shown: async () => /count (?:<!-- -->)?(#\d+)/.exec(await (await fetch(`${url}/cached`)).text())?.[1],
    // Next.js answers the request and revalidates beside it: done is what the tags say.
    revalidate: async query => {
      const before = await versionsOf(":tag:")
      equal((await fetch(`${url}/revalidate?${query}`, { method: "POST" })).status, 200)
      for (const untilMs = Date.now() + withinMs; (await versionsOf(":tag:")) === before; )
        ok(Date.now() < untilMs, `no tag has changed: ${running.output}`)
    },
  }
}

const cache = await CacheClient.connect(process.env.DCACHE_NODE)
await cache.clear()

/** Of what the handler keeps whose name contains this, with their versions. */
async function versionsOf(part) {
  const names = (await Array.fromAsync(cache.keys({ prefix: "next:" }))).filter(name => name.includes(part)).sort()
  return JSON.stringify(await Promise.all(names.map(async name => [name, (await cache.getEntry(name))?.version])))
}

const building = start(["build"])
const [status] = await once(building.child, "close")
equal(status, 0, building.output)

const one = await instance()
const two = await instance()
/** Next.js stores beside answering: nothing is on its way any more when a round of requests has changed no entry. */
async function settled() {
  for (let before = ""; ; ) {
    await Promise.all([one.shown(), two.shown()])
    const after = await versionsOf(":")
    if (after === before) return
    before = after
  }
}
await settled()
const first = await one.shown()
match(first ?? "", /^#\d+$/)
equal(await two.shown(), first, "what one rendered the other shows")
equal(await one.shown(), first)

await two.revalidate("tag=count")
const second = await one.shown()
notEqual(second, first, "a tag that one revalidated is revalidated for all")
equal(await two.shown(), second)

await settled()
await one.revalidate("path=/cached")
const third = await two.shown()
notEqual(third, second, "so is a path")
equal(await one.shown(), third)

const names = await Array.fromAsync(cache.keys({ prefix: "next:" }))
ok(names.some(name => name.includes(":entry:")) && names.some(name => name.includes(":tag:")), names.join(" "))
// A tag that was forgotten says nothing about when it was revalidated: better rendered once too often.
for (const name of names) if (name.includes(":tag:")) await cache.delete(name)
notEqual(await two.shown(), third, "an entry whose tag is gone is not shown")

const alone = await instance({ DCACHE_NODE: "127.0.0.1:1" })
match((await alone.shown()) ?? "", /^#\d+$/)
match(alone.running.output, /goes on without its cache/)
// A revalidation that cannot be carried out is an error of its own, and of nothing else.
await fetch(`${alone.url}/revalidate?tag=count`, { method: "POST" })
match((await alone.shown()) ?? "", /^#\d+$/)
equal(alone.running.child.exitCode, null, alone.running.output)
await cache.close()
origin.close()
process.exit(0)
