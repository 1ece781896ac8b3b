/**
 * A checker that never saw a rule broken proves nothing. Each rule of the protocol is switched off here, in random runs
 * of the faults that it is there for: some run must be caught, and the very same run must pass with the rule in force.
 * Rules whose absence shows only in a staged moment have a scenario of their own beside this file.
 */
import { deepEqual, equal, ok } from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import type { Config } from "../../src/config.ts"
import { allRules, type Rules } from "../../src/core/rules.ts"
import type { FaultKind } from "./faults.ts"
import { type RunReport, randomRun } from "./random-run.ts"

type Mutant = {
  readonly rule: keyof Rules
  readonly kinds: readonly FaultKind[]
  readonly config?: Partial<Config>
  readonly memory?: "scarce"
  /** What is seen when it is missing. */
  readonly because: string
}

const cuts: readonly FaultKind[] = [
  "isolate",
  "halves",
  "deafen",
  "mute",
  "one-way-link",
  "leader-crash",
  "primary-crash",
  "pause",
]
const moves: readonly FaultKind[] = [
  "primary-crash",
  "isolate",
  "join",
  "leave",
  "restart",
  "link",
  "one-way-link",
  "spikes",
  "slow-link",
]
const tails: readonly FaultKind[] = ["primary-crash", "crash", "spikes", "slow-link", "one-way-link"]
const retries: readonly FaultKind[] = ["client-cut", "break-links", "primary-crash", "restart", "spikes"]
const losses: readonly FaultKind[] = ["loss", "primary-crash", "crash", "restart"]
const disorders: readonly FaultKind[] = ["disorder", "loss", "spikes", "join", "restart", "primary-crash", "slow-link"]

// With the usual times a lease ends soon after its holder is suspected, and mistakes about it hide.
const longLeases: Partial<Config> = { leaseMs: 1_500 }
const hastyTransfers: Partial<Config> = { transferTimeoutMs: 60, chunkBytes: 64 }

const mutants: readonly Mutant[] = [
  { rule: "barrier", kinds: cuts, config: longLeases, because: "a new primary serves while the old one may" },
  { rule: "barrierWhole", kinds: cuts, config: longLeases, because: "it waits, and not long enough" },
  { rule: "lease", kinds: cuts, config: longLeases, because: "a primary that is cut off goes on" },
  { rule: "leaseMajority", kinds: cuts, config: longLeases, because: "so does a pair in a minority" },
  { rule: "commitNeedsAll", kinds: tails, because: "a write is acknowledged that one node has" },
  { rule: "conditionsOnNewest", kinds: ["spikes", "slow-link"], because: "two conditions are met by one value" },
  {
    rule: "inheritedFirst",
    kinds: [...tails, "clog"],
    config: { copies: 3 },
    because: "a new primary does not show what its predecessor had acknowledged",
  },
  { rule: "finishedStaysFinished", kinds: retries, because: "what is over takes effect again" },
  {
    rule: "readyNeedsCommit",
    kinds: [...tails, "clog", "join", "restart", "link"],
    config: { copies: 3, chunkBytes: 64 },
    because: "a replica holds what may yet be undone, and cannot undo it",
  },
  { rule: "includedStay", kinds: disorders, config: hastyTransfers, because: "a replica that counts is wiped" },
  {
    rule: "fillOnlyServing",
    kinds: [...cuts, ...moves],
    config: longLeases,
    because: "one that waits itself lets others serve",
  },
  {
    rule: "lastHoldersKeep",
    kinds: ["isolate", "halves", "pause", "voters-pause"],
    because: "what all others wait for is thrown away",
  },
  { rule: "majorityDecides", kinds: cuts, config: longLeases, because: "both sides of a cut decide" },
  { rule: "ranksAct", kinds: ["leader-crash", "crash"], because: "nobody leads when the first voter has gone" },
  { rule: "grantsAreNoted", kinds: cuts, config: longLeases, because: "nobody knows how long to wait for a lease" },
  { rule: "youngestGrant", kinds: cuts, config: longLeases, because: "a later grant of another voter is forgotten" },
  {
    rule: "sleepEndsLease",
    kinds: ["suspend"],
    config: longLeases,
    because: "a machine that slept goes by its own clock",
  },
  { rule: "dedup", kinds: retries, because: "a repeated operation takes effect twice" },
  { rule: "recordUnmet", kinds: retries, because: "a condition that was unmet is met by the late duplicate" },
  { rule: "ownNumbers", kinds: retries, because: "so does one that a node's own process repeats" },
  { rule: "aloneAtOnce", kinds: moves, because: "a write is answered that no replica has" },
  { rule: "learnersWait", kinds: moves, because: "a replica leads that holds a part of the data" },
  { rule: "fifo", kinds: losses, because: "a replica acknowledges operations that it never got" },
  { rule: "readyNeedsInclude", kinds: moves, because: "a replica is in sync that nobody waits for" },
  { rule: "primarySince", kinds: moves, because: "a replica keeps what another primary had said" },
  { rule: "transferIds", kinds: disorders, config: hastyTransfers, because: "an old beginning wipes a full learner" },
  { rule: "missIsWritten", kinds: moves, memory: "scarce", because: "what a client was told is gone comes back" },
  {
    rule: "sync",
    kinds: tails,
    config: { copies: 3 },
    because: "replicas differ, and their new primary does not know",
  },
]

/** Rules whose absence shows in a staged moment: what is seen then, and in which file. */
const staged: readonly (readonly [rule: keyof Rules, seen: string, file: string])[] = [
  ["grantHorizon", "two nodes serve one shard", "leases.scenario.test.ts"],
  ["acceptRaisesHorizon", "two nodes serve one shard", "leases.scenario.test.ts"],
  ["voterFence", "two nodes serve one shard", "leases.scenario.test.ts"],
  ["gapFence", "two nodes serve one shard", "leases.scenario.test.ts"],
  ["finishInstances", "leases are not granted again", "leases.scenario.test.ts"],
  ["releaseNeedsEpoch", "two nodes serve one shard", "leases.scenario.test.ts"],
  ["fencesEverywhere", "two nodes serve one shard", "leases.scenario.test.ts"],
  ["leaseFromSending", "two nodes serve one shard", "leases.scenario.test.ts"],
  ["longLeasesCount", "two nodes serve one shard", "fences.scenario.test.ts"],
  ["promiseBinds", "two views of one epoch", "deciding.scenario.test.ts"],
  ["adoptAccepted", "two views of one epoch", "deciding.scenario.test.ts"],
  ["laggardsLearn", "a member stays behind", "deciding.scenario.test.ts"],
  ["batchKeepsMajority", "nobody can decide anything any more", "deciding.scenario.test.ts"],
  ["votersReplaced", "half of three voters are gone, one after another", "deciding.scenario.test.ts"],
  ["votersShow", "joiners that died at once are a majority", "deciding.scenario.test.ts"],
  ["confirmationsCount", "one that hears nobody stays a member", "removal.scenario.test.ts"],
  ["reportsNeedMajority", "one that most hear is removed", "removal.scenario.test.ts"],
  ["selfDistrust", "members are removed for a voter's own standstill", "removal.scenario.test.ts"],
  ["decidersSettle", "members are removed that are about to be heard", "removal.scenario.test.ts"],
  ["linkDown", "writes wait for as long as a link is down", "removal.scenario.test.ts"],
  ["dialBack", "views without end for one that nobody can dial", "removal.scenario.test.ts"],
  ["undo", "replicas differ", "data.scenario.test.ts"],
  ["configSpeaks", "what was acknowledged is gone", "data.scenario.test.ts"],
  ["groupsAreOne", "a holder has a part of a group", "groups.scenario.test.ts"],
  ["groupsAllOrNothing", "a part of a group that was refused is done", "groups.scenario.test.ts"],
  ["groupsInOneStep", "a part of a group that was refused is done", "groups.scenario.test.ts"],
  ["groupsShowAtOnce", "a part of a group is seen before the rest", "groups.scenario.test.ts"],
  ["groupsAreFinished", "what was acknowledged is gone in part", "groups.scenario.test.ts"],
  ["expiryCommits", "what was gone is there again", "data.scenario.test.ts"],
  ["expirySparesNewer", "a write is deleted that came before the end of another", "data.scenario.test.ts"],
  ["resetsForget", "an operation takes effect twice", "data.scenario.test.ts"],
  ["piecesYield", "replicas differ", "data.scenario.test.ts"],
  ["leaveHandsOver", "shards lose a copy by an orderly leave", "data.scenario.test.ts"],
  ["resetWaits", "a shard begins anew under a lease", "data.scenario.test.ts"],
  ["forgetsExactly", "a copy lacks what its primary holds", "forgetting.scenario.test.ts"],
  ["forgottenStays", "a copy holds an older value", "forgetting.scenario.test.ts"],
  ["uncommittedStays", "a burst loses its beginning", "forgetting.scenario.test.ts"],
  ["committedReads", "a value is read that is gone later", "visibility.scenario.test.ts"],
  ["openForwards", "a write that happened is said not to have", "forwards.scenario.test.ts"],
  ["deadAreFew", "one that was cut off decides alone", "deaths.scenario.test.ts"],
  ["bounds", "a queue is longer than its bound", "bounds.scenario.test.ts"],
  ["flapsWait", "views without end", "removal.scenario.test.ts"],
  ["leaseKeepsGeneration", "a majority falls for what an operator did elsewhere", "recovery.scenario.test.ts"],
  ["coldStartWaits", "there are two clusters", "cold-start.scenario.test.ts"],
  ["stopFreezes", "what was acknowledged is gone after the stop", "stop.scenario.test.ts"],
  ["stopAbstains", "a stopped cluster resumes twice", "stop.scenario.test.ts"],
  ["stopKeepsLog", "what was acknowledged is gone after the stop", "stop.scenario.test.ts"],
  ["resumeWaits", "what only the late ones hold is gone", "stop.scenario.test.ts"],
  ["resumeClaims", "what was overwritten comes back", "stop.scenario.test.ts"],
  ["resumeInTime", "a copied snapshot brings the past back", "stop.scenario.test.ts"],
]

/** What is decided outside of a node, so that no switch of it can break it; broken by a test all the same. */
const outside: readonly (readonly [rule: string, seen: string, file: string])[] = [
  ["a new id for a process", "one answers for what it has forgotten", "deciding.scenario.test.ts"],
]

/** Most are caught by one of the first ten; a change of anything shifts what a seed means. */
const mostRuns = 200
/** What was caught in this run of the tests. */
const table: (readonly [rule: string, seen: string, where: string])[] = []

for (const { rule, because, ...shape } of mutants)
  test(`without ${rule}: ${because}`, () => {
    const found = firstCaught({ [rule]: false }, shape)
    ok(found !== undefined, `none of ${mostRuns} runs without ${rule} was caught`)
    table.push([rule, found.violations[0]?.promise ?? "", `random run, seed ${found.seed}`])
    const { violations } = randomRun({ seed: found.seed, ...shape })
    equal(violations.length, 0, `seed ${found.seed} with all rules: ${violations[0]?.what}`)
  })

test("every rule has its mutant", context => {
  for (const [rule, , file] of staged) {
    const story = readFileSync(new URL(file, import.meta.url), "utf8")
    ok(story.includes(rule), `${file} tells of ${rule}`)
  }
  const covered: readonly string[] = [...mutants.map(({ rule }) => rule), ...staged.map(([rule]) => rule)]
  deepEqual(
    Object.keys(allRules).filter(rule => !covered.includes(rule)),
    [],
  )
  for (const [rule, seen, where] of [...table, ...staged, ...outside])
    context.diagnostic(`without ${rule.padEnd(22)} ${seen.padEnd(60)} ${where}`)
})

function firstCaught(rules: Partial<Rules>, shape: Omit<Mutant, "rule" | "because">): RunReport | undefined {
  for (let seed = 1; seed <= mostRuns; seed++) {
    const report = randomRun({ seed, rules, ...shape })
    if (report.violations.length > 0) return report
  }
  return undefined
}
