/** Which address a node listens at when nobody said, what it tells others to dial, and which of its seeds it is itself. */
import { createSocket } from "node:dgram"
import { lookup } from "node:dns/promises"
import { networkInterfaces } from "node:os"
import { defaultPort, formatAddress, type HostPort, isLoopback, isUnspecified, parseAddress } from "../base/address.ts"
import type { Address } from "../protocol/message.ts"

/** Ports tried, from the default one on, when none was asked for. */
const portsTried = 256
/** A name server that takes longer is as good as none. */
const lookupMs = 2_000

export type ListenChoice =
  /** The one that was asked for. */
  | { readonly kind: "asked" }
  | { readonly kind: "default" }
  /** The default port was taken, or is where a seed of this machine listens. */
  | { readonly kind: "next-port" }
  /** Where it listened when its data was written down. */
  | { readonly kind: "as-before" }
  /** The local address from which the seed is reached. */
  | { readonly kind: "reaches-seed"; readonly seed: Address }

export type ListenCandidate = { readonly at: HostPort; readonly choice: ListenChoice }

/** Where to try to listen, best first. `before`: where a node listened that this one is to be again. */
export async function listenCandidates(
  asked: HostPort | undefined,
  seeds: readonly HostPort[],
  before?: HostPort,
): Promise<ListenCandidate[]> {
  if (asked !== undefined) return [{ at: asked, choice: { kind: "asked" } }]
  if (before !== undefined) return [{ at: before, choice: { kind: "as-before" } }]
  const seed = seeds.find(({ host }) => !isLoopback(host))
  const host = seed === undefined ? undefined : ((await localHostTowards(seed)) ?? outwardHost())
  const choice: ListenChoice =
    seed === undefined || host === undefined ? { kind: "default" } : { kind: "reaches-seed", seed: formatAddress(seed) }
  // A port that a seed of this machine names is that node's, also while it is down: taking it would make this node its
  // own seed, and it would form a cluster by itself.
  const seedPorts = new Set(seeds.filter(({ host }) => isLoopback(host)).map(({ port }) => port))
  return Array.from({ length: portsTried }, (_, i) => defaultPort + i)
    .filter(port => !seedPorts.has(port))
    .map(port => ({
      at: { host: host ?? "127.0.0.1", port },
      choice: port === defaultPort || choice.kind === "reaches-seed" ? choice : { kind: "next-port" },
    }))
}

/** What other machines can dial, for a node that listens there. */
export async function advertisedHost(listenHost: string, seeds: readonly HostPort[]): Promise<string> {
  if (!isUnspecified(listenHost)) return listenHost
  const seed = seeds.find(({ host }) => !isLoopback(host))
  return (seed && (await localHostTowards(seed))) ?? outwardHost() ?? "127.0.0.1"
}

/** The seeds that lead to other nodes. `own`: where this node listens, and what it advertises. */
export async function foreignSeeds(seeds: readonly HostPort[], own: readonly HostPort[]): Promise<HostPort[]> {
  const ownHosts = await Promise.all(own.map(hostsOf))
  const verdicts = await Promise.all(
    seeds.map(async seed => {
      const hosts = await hostsOf(seed)
      return own.every(({ port }, i) => port !== seed.port || !ownHosts[i]?.some(host => hosts.includes(host)))
    }),
  )
  return seeds.filter((_, i) => verdicts[i])
}

/** Addresses as they were typed or told; what cannot be one is left out. */
export function parsedAddresses(addresses: readonly Address[]): HostPort[] {
  return addresses.flatMap(text => {
    const parsed = parseAddress(text, { defaultPort, portZero: "refused" })
    return "problem" in parsed ? [] : [parsed]
  })
}

/** The host itself and every IP address behind it; behind an unspecified one, all of this machine. */
async function hostsOf({ host }: HostPort): Promise<string[]> {
  if (isUnspecified(host)) return [host, "localhost", ...localHosts()]
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("no answer from the name server")), lookupMs)
  })
  try {
    const found = await Promise.race([lookup(host, { all: true }), late])
    return [host, ...found.map(({ address }) => address)]
  } catch {
    // An unknown name is nobody's yet; it may become known while the node goes on trying it.
    return [host]
  } finally {
    clearTimeout(timer)
  }
}

/** The local address that the routing table takes to get there. Connecting a datagram socket sends nothing. */
function localHostTowards(seed: HostPort): Promise<string | undefined> {
  return new Promise(resolve => {
    const socket = createSocket(seed.host.includes(":") ? "udp6" : "udp4")
    const done = (host: string | undefined) => {
      clearTimeout(timer)
      socket.removeAllListeners()
      // Closing it twice, or while it looks up a name, throws or reports; neither matters any more.
      socket.on("error", () => {})
      socket.close()
      resolve(host)
    }
    const timer = setTimeout(() => done(undefined), lookupMs)
    socket.on("error", () => done(undefined))
    // A name that is not known, yet or at all, comes here as an argument, not as an event.
    socket.connect(seed.port, seed.host, (error?: Error) => done(error ? undefined : socket.address().address))
  })
}

/** The first address of this machine that others may know. */
function outwardHost(): string | undefined {
  const all = Object.values(networkInterfaces()).flatMap(addresses => addresses ?? [])
  return all.find(({ family, internal }) => family === "IPv4" && !internal)?.address
}

function localHosts(): string[] {
  return Object.values(networkInterfaces()).flatMap(addresses => (addresses ?? []).map(({ address }) => address))
}
