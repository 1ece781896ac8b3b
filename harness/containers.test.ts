/**
 * What can be known of the Dockerfile and compose.yaml without a container engine: that linters accept them, that what
 * they copy is there, and that what they set are options `dcache node` has.
 */
import { deepEqual, equal, match, ok } from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import path from "node:path"
import { test } from "node:test"
import { validate } from "dockerfile-utils"
import { parse } from "yaml"

type Service = {
  readonly environment: Readonly<Record<string, string>>
  readonly networks: { readonly cache: { readonly ipv4_address: string } }
  readonly stop_grace_period: string
}

const root = path.dirname(import.meta.dirname)
const dockerfile = readFileSync(path.join(root, "Dockerfile"), "utf8")
const composeFile = readFileSync(path.join(root, "compose.yaml"), "utf8")
// `merge` resolves "<<", as compose does. That the file has this shape is what the linter checks against its schema.
const compose = parse(composeFile, { merge: true }) as { readonly services: Readonly<Record<string, Service>> }
const nodes = Object.values(compose.services)

test("a linter has nothing to say about the Dockerfile", () => deepEqual(validate(dockerfile), []))

test("a linter has nothing to say about compose.yaml", () => {
  const linter = path.join(root, "node_modules/dclint/bin/dclint.cjs")
  const { status, stdout, stderr } = spawnSync(process.execPath, [linter, "--max-warnings", "0", "compose.yaml"], {
    cwd: root,
    encoding: "utf8",
  })
  equal(status, 0, stdout + stderr)
})

test("all that the Dockerfile copies is in the repository, and .dockerignore lets it through", () => {
  const letThrough = readFileSync(path.join(root, ".dockerignore"), "utf8")
    .split("\n")
    .filter(line => line.startsWith("!"))
    .map(line => line.slice(1))
  const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, sources = ""]) =>
    sources.split(" "),
  )
  deepEqual(copied.map(file => file.replace("./", "")).sort(), letThrough.sort())
  for (const file of copied) ok(existsSync(path.join(root, file)), `${file} is copied`)
})

test("the Dockerfile starts, checks and stops the executable itself: no shell stands between it and SIGTERM", () => {
  match(dockerfile, /^ENTRYPOINT \["\/dcache"\]$/m)
  match(dockerfile, /^CMD \["node"\]$/m)
  match(dockerfile, /^HEALTHCHECK .* CMD \["\/dcache", "health"\]$/m)
  match(dockerfile, /^STOPSIGNAL SIGTERM$/m)
  match(dockerfile, /^USER [1-9]\d*:[1-9]\d*$/m)
})

test("in compose.yaml each of four nodes knows one other by a fixed address, and the first itself", () => {
  const addresses = nodes.map(node => node.networks.cache.ipv4_address)
  deepEqual(addresses, ["172.18.0.11", "172.18.0.12", "172.18.0.13", "172.18.0.14"])
  deepEqual(
    nodes.map(node => node.environment["DCACHE_ADVERTISE"]),
    addresses.map(address => `${address}:5555`),
  )
  deepEqual(
    nodes.map(node => node.environment["DCACHE_JOIN"]),
    [`\${NODE1_JOIN:-${addresses[0]}}`, ...addresses.slice(0, 3)],
  )
  for (const node of nodes) equal(node.stop_grace_period, "75s")
})

test("what the container files set are options of dcache node", () => {
  const help = spawnSync(path.join(root, "dcache"), ["node", "--help"], { encoding: "utf8" }).stdout
  const variables = new Set(`${dockerfile}\n${composeFile}`.match(/DCACHE_\w+/g))
  ok(variables.size >= 4)
  for (const variable of variables) {
    const flag = `--${variable.replace("DCACHE_", "").replaceAll("_", "-").toLowerCase()}`
    ok(help.includes(flag), `${variable} is set, and dcache node has an option ${flag}`)
  }
})
