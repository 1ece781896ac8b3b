/**
 * The cache as a door of this node uses it: whoever came in by another protocol asks through the node's own calls, which
 * number, repeat and give up by the same rules as a client's ("Client protocol" in `src/core/README.md`), with one hop to
 * the primary at most.
 */
import { asking as askingOnly, follow } from "../client/follow.ts"
import { shardOfKey } from "../client/routes.ts"
import type { CallOutcome } from "../client/session.ts"
import { isTagged, untagged as untaggedOf } from "../client/tags.ts"
import { type Asking, WalkFailure, type WalkView } from "../client/walk.ts"
import type { Operation, Result, StatusReport } from "../protocol/message.ts"
import type { Soon } from "./soon.ts"

/** What a door needs of the node in whose process it is. */
export type LocalNode = {
  status(): StatusReport
  /** Of what was asked of this node, since it started. */
  reads(): { readonly hits: number; readonly misses: number }
  /** Before anything is done with what arrived. */
  beforeInput(): void
  /** `done` is called once, in the middle of a step of the node. */
  call(
    asked: { readonly key: Uint8Array; readonly operation: Operation; readonly timeoutMs: number },
    done: (outcome: CallOutcome) => void,
  ): void
  /** Who leads what, by the newest view; undefined: none is known. */
  routes(): WalkView | undefined
  /** Undefined: not at once. */
  callNow(key: Uint8Array, operation: Operation): Result | undefined
}

/** A call waits this long at most, as a client's does unless told otherwise. */
const timeoutMs = 5_000
const noKey = new Uint8Array(0)

export class LocalCache {
  readonly #node: LocalNode

  constructor(node: LocalNode) {
    this.#node = node
  }

  status(): StatusReport {
    return this.#node.status()
  }

  reads(): { readonly hits: number; readonly misses: number } {
    return this.#node.reads()
  }

  /** Every outcome is a value, at once where the node can tell at once. The bytes must not change before it is there. */
  ask(key: Uint8Array, operation: Operation): Soon<CallOutcome> {
    const outcome = this.#node.callNow(key, operation)
    if (outcome !== undefined) return outcome.kind === "value" && isTagged(outcome) ? this.#untag(outcome) : outcome
    return new Promise(resolve =>
      this.#node.call({ key, operation, timeoutMs }, outcome =>
        resolve(outcome.kind === "value" && isTagged(outcome) ? this.#untag(outcome) : outcome),
      ),
    )
  }

  /** A value that bears tags is there only as long as they are. Who asks in another protocol sees the value alone. */
  async #untag(outcome: CallOutcome): Promise<CallOutcome> {
    // The node may be in the middle of a step, in which it must not be asked.
    await null
    const [untagged = outcome] = await follow(
      untaggedOf([outcome]),
      askingOnly(({ key, operation }) => this.ask(key, operation)),
    )
    return untagged
  }

  /** Whether both lie in one shard: what is written to both in one step stays whole when the node that leads them dies. */
  shareShard(one: Uint8Array, other: Uint8Array): boolean {
    const routes = this.#node.routes()
    return routes === undefined || shardOfKey(routes, one) === shardOfKey(routes, other)
  }

  /** Whether one node leads both, so that they can be written in one step. Not refused here while this node knows no cluster. */
  sharePrimary(one: Uint8Array, other: Uint8Array): boolean {
    const routes = this.#node.routes()
    if (routes === undefined) return true
    const { primaries } = routes
    return primaries[shardOfKey(routes, one)] === primaries[shardOfKey(routes, other)]
  }

  /** For what goes through all keys (`src/client/walk.ts`). Throws a `WalkFailure` when this node is in no cluster yet. */
  asking(): Asking {
    const view = () => {
      const routes = this.#node.routes()
      if (routes === undefined) throw new WalkFailure({ kind: "failed", code: "joining", mayHaveHappened: "no" })
      return routes
    }
    view()
    return { view, ask: async operation => this.ask(noKey, operation) }
  }
}
