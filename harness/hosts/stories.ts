/**
 * What is done to a cluster on several hosts: which links are cut, and what each side must then do. A story is told of hosts by
 * name; which of them stands where follows from who leads and who votes.
 */
import type { Host } from "./hosts.ts"

/** What a story may look at when it chooses its cut: who leads and who holds a copy, by host. */
export type Layout = {
  readonly hosts: readonly Host[]
  /** Who holds one of the keys that every node is asked for. */
  readonly victim: { readonly primary: Host; readonly copies: readonly Host[] }
}

export type Cut = {
  readonly describe: string
  /** Each link that is cut, one way. */
  readonly links: readonly { readonly from: readonly Host[]; readonly to: readonly Host[] }[]
  /** Hosts that cannot reach a majority of the voters, and those that can: what is asked of them is judged. */
  readonly minority: readonly Host[]
  readonly majority: readonly Host[]
  /** Hosts whose copies count on the majority's side; undefined: the majority's own. */
  readonly copiesAt?: readonly Host[]
}

export type Story = {
  readonly name: string
  /** How long the cut lasts. */
  readonly lastsMs: number
  /** Within this time of the cut the majority serves again. */
  readonly servesWithinMs: number
  cut(layout: Layout): Cut
}

function both(a: readonly Host[], b: readonly Host[]): Cut["links"] {
  return [
    { from: a, to: b },
    { from: b, to: a },
  ]
}

function without(hosts: readonly Host[], ...gone: readonly Host[]): Host[] {
  return hosts.filter(host => !gone.includes(host))
}

export const stories: readonly Story[] = [
  {
    name: "a minority of two, a majority of three",
    lastsMs: 5_000,
    servesWithinMs: 1_500,
    cut({ hosts }) {
      const [minority, majority] = [hosts.slice(0, 2), hosts.slice(2)]
      return { describe: "two hosts against three", links: both(minority, majority), minority, majority }
    },
  },
  {
    name: "an isolated primary",
    lastsMs: 4_000,
    servesWithinMs: 1_500,
    cut({ hosts, victim }) {
      const { primary } = victim
      const others = without(hosts, primary)
      return { describe: primary.name, links: both([primary], others), minority: [primary], majority: others }
    },
  },
  {
    name: "a primary that hears nobody",
    lastsMs: 4_000,
    servesWithinMs: 1_500,
    cut({ hosts, victim }) {
      const { primary } = victim
      const others = without(hosts, primary)
      const links = [{ from: others, to: [primary] }]
      return { describe: `nothing reaches ${primary.name}`, links, minority: [primary], majority: others }
    },
  },
  {
    name: "a primary that nobody hears",
    lastsMs: 4_000,
    servesWithinMs: 1_500,
    cut({ hosts, victim }) {
      const { primary } = victim
      const others = without(hosts, primary)
      const links = [{ from: [primary], to: others }]
      return { describe: `nothing leaves ${primary.name}`, links, minority: [primary], majority: others }
    },
  },
  {
    name: "a primary and its only copy together in the minority",
    lastsMs: 5_000,
    servesWithinMs: 1_500,
    cut({ hosts, victim }) {
      const { primary, copies } = victim
      const minority = [primary, ...copies.slice(0, 1)]
      const majority = without(hosts, ...minority)
      const describe = minority.map(({ name }) => name).join(" and ")
      return { describe, links: both(minority, majority), minority, majority }
    },
  },
  {
    name: "a single link, between a primary and its copy",
    lastsMs: 6_000,
    // The primary waits two seconds before it gives up on a copy that everybody else hears.
    servesWithinMs: 4_000,
    cut({ hosts, victim }) {
      const { primary, copies } = victim
      const links = both([primary], copies)
      return {
        describe: `${primary.name} and ${copies.map(({ name }) => name).join(", ")}`,
        // The two go on looking for each other; what is promised is the service of the others.
        ...{ links, minority: [], majority: without(hosts, primary, ...copies), copiesAt: hosts },
      }
    },
  },
]

/** Of four voters two are no majority: neither side may go on. Told of four hosts. */
export const halfAndHalf: Story = {
  name: "half and half",
  lastsMs: 4_000,
  servesWithinMs: 1_500,
  cut({ hosts }) {
    const [left, right] = [hosts.slice(0, 2), hosts.slice(2)]
    return { describe: "two hosts against two", links: both(left, right), minority: hosts, majority: [] }
  },
}
