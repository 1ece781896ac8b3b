/** The client, as the commands use it. Loaded when there is something to ask: it brings sockets and codecs with it. */
import { CacheClient, type MemberStatus } from "../client/client.ts"
import { CacheError } from "../client/errors.ts"
import { asking, follow } from "../client/follow.ts"
import type { Question } from "../client/steps.ts"
import { untagged } from "../client/tags.ts"
import type { Asking as Walk } from "../client/walk.ts"
import type { Address } from "../protocol/message.ts"
import type { Ask } from "./asking.ts"
import type { NodeAnswer } from "./cluster-status.ts"
import { commandFailure } from "./outcomes.ts"

export type Wanted = { readonly nodes: readonly Address[]; readonly timeoutMs: number }

/**
 * Connects when something is asked, so that what can be refused without a node is. The time limit covers connecting
 * and asking together: a command is one question.
 */
export function asker(wanted: Wanted): AsyncDisposable & { readonly ask: Ask } {
  let client: Promise<CacheClient> | undefined
  let giveUpAtMs = 0
  return {
    ask: async (key, operation) => {
      client ??= connected(wanted)
      const connecting = client
      giveUpAtMs ||= performance.now() + wanted.timeoutMs
      // What is left may be nothing; a client takes only deadlines ahead.
      const ask = async (question: Question) => {
        const timeoutMs = Math.max(1, giveUpAtMs - performance.now())
        return (await connecting).ask(question.key, question.operation, { timeoutMs })
      }
      const outcome = await ask({ key, operation })
      // A value that bears tags is there only as long as they are.
      return outcome.kind === "value" ? ((await follow(untagged([outcome]), asking(ask)))[0] ?? outcome) : outcome
    },
    [Symbol.asyncDispose]: async () => {
      // Why connecting failed was told to whoever asked.
      await client?.then(
        connected => connected.close(),
        () => {},
      )
    },
  }
}

/** For what goes through all keys: a deadline for each step, since nobody knows how many there are. */
export function walker(wanted: Wanted): AsyncDisposable & { readonly walk: () => Promise<Walk> } {
  let client: CacheClient | undefined
  return {
    walk: async () => {
      client ??= await connected(wanted)
      const asked = client
      return { view: () => asked.view, ask: operation => asked.ask(noKey, operation) }
    },
    [Symbol.asyncDispose]: async () => client?.close(),
  }
}

const noKey = new Uint8Array(0)

/** What every member answers about itself and the others. */
export async function askEveryNode(wanted: Wanted): Promise<NodeAnswer[]> {
  await using watched = await watcher(wanted)
  return await watched.ask()
}

/** For asking the same again and again. */
export async function watcher(
  wanted: Wanted,
): Promise<AsyncDisposable & { readonly ask: () => Promise<NodeAnswer[]> }> {
  const client = await connected(wanted)
  return {
    ask: async () => nodeAnswers(await client.status({ timeoutMs: wanted.timeoutMs })),
    [Symbol.asyncDispose]: () => client.close(),
  }
}

function nodeAnswers(answers: readonly MemberStatus[]): NodeAnswer[] {
  return answers.map(answer => {
    const { addr: address } = answer.member
    return answer.report
      ? { address, report: answer.report }
      : { address, report: null, problem: answer.code === "timeout" ? "no answer in time" : answer.code }
  })
}

async function connected({ nodes, timeoutMs }: Wanted): Promise<CacheClient> {
  try {
    // A person who mistyped an address should learn it now, not after a deadline.
    return await CacheClient.connect(nodes, { timeoutMs, whenUnreachable: "fail" })
  } catch (error) {
    if (!(error instanceof CacheError)) throw error
    const { code } = error
    // Of those only operations are answered with, which connecting is not.
    if (code === "not-a-number" || code === "unreadable-value" || code === "unexpected-answer") throw error
    throw commandFailure({ kind: "failed", code, mayHaveHappened: "no" }, nodes)
  }
}
