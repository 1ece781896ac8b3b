/** Where a node listens when nobody said, and which seeds are itself. */
import { deepEqual, equal, ok } from "node:assert/strict"
import { networkInterfaces } from "node:os"
import { test } from "node:test"
import { formatAddress } from "../base/address.ts"
import { advertisedHost, foreignSeeds, listenCandidates, parsedAddresses } from "./own-address.ts"

const outward = Object.values(networkInterfaces())
  .flatMap(addresses => addresses ?? [])
  .find(({ family, internal }) => family === "IPv4" && !internal)?.address

async function ports(seeds: string[]): Promise<string[]> {
  const candidates = await listenCandidates(undefined, parsedAddresses(seeds))
  return candidates.slice(0, 3).map(({ at, choice }) => `${formatAddress(at)} ${choice.kind}`)
}

test("what was asked for is the only candidate", async () => {
  const at = { host: "0.0.0.0", port: 1234 }
  deepEqual(await listenCandidates(at, parsedAddresses(["10.0.0.1"])), [{ at, choice: { kind: "asked" } }])
})

test("by default a node listens at the default port of this machine alone, then at the ports after it", async () => {
  deepEqual(await ports([]), ["127.0.0.1:5555 default", "127.0.0.1:5556 next-port", "127.0.0.1:5557 next-port"])
})

test("a port that a seed of this machine names is not taken from it", async () => {
  deepEqual(await ports(["127.0.0.1:5555", "localhost:5557"]), [
    "127.0.0.1:5556 next-port",
    "127.0.0.1:5558 next-port",
    "127.0.0.1:5559 next-port",
  ])
})

test("with a seed elsewhere a node listens at the address from which it is reached", { skip: !outward }, async () => {
  // Of this machine, so that a route exists; any other would do as well.
  deepEqual((await ports([`${outward}:7000`]))[0], `${outward}:5555 reaches-seed`)
})

test("a seed whose name nobody knows yet leads to no address, least of all to all of them", async () => {
  const seeds = ["no-such-host.invalid:5555"]
  ok(!((await ports(seeds))[0] ?? "").startsWith("0.0.0.0"))
  const host = await advertisedHost("0.0.0.0", parsedAddresses(seeds))
  ok(host !== "0.0.0.0" && host !== "")
})

const own = parsedAddresses(["127.0.0.1:5555", "10.9.9.9:6000"])
const seedCases: { seeds: string[]; foreign: string[]; because: string }[] = [
  { seeds: ["127.0.0.1:5555"], foreign: [], because: "it is where the node listens" },
  { seeds: ["localhost:5555", "localhost"], foreign: [], because: "the name leads there, also with the default port" },
  { seeds: ["10.9.9.9:6000"], foreign: [], because: "it is what the node advertises" },
  { seeds: ["127.0.0.1:5556"], foreign: ["127.0.0.1:5556"], because: "another port is another node" },
  {
    seeds: ["127.0.0.2:5555"],
    foreign: ["127.0.0.2:5555"],
    because: "another address of this machine is another node",
  },
  { seeds: ["no-such-host.invalid:5555"], foreign: ["no-such-host.invalid:5555"], because: "a name may become known" },
]

for (const { seeds, foreign, because } of seedCases) {
  test(`of the seeds ${seeds.join(", ")}, [${foreign.join(", ")}] are others: ${because}`, async () => {
    deepEqual((await foreignSeeds(parsedAddresses(seeds), own)).map(formatAddress), foreign)
  })
}

test("a node that listens on every interface is behind each address of this machine", async () => {
  const everywhere = parsedAddresses(["0.0.0.0:5555"])
  const seeds = parsedAddresses(["127.0.0.1:5555", "localhost:5555", ...(outward ? [`${outward}:5555`] : [])])
  deepEqual(await foreignSeeds(seeds, everywhere), [])
})

test("nobody is told to dial an unspecified address", async () => {
  equal(await advertisedHost("10.0.0.7", []), "10.0.0.7")
  const host = await advertisedHost("0.0.0.0", [])
  ok(host !== "0.0.0.0" && host !== "")
})
