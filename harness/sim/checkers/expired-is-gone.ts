/**
 * A value that was written for a while is not read after it. How long after is no guess: a copy's time counts from when it got
 * the value, and what it got told what was left when that was sent. So each passing on of the shard adds at most what the
 * slowest such message of the run spent on its way, in a queue, or waiting for the view that it belongs to; and a machine that
 * stood still with its clock adds that. In a calm run this comes to milliseconds. (That it is not gone too early, the history
 * checker sees.)
 */
import type { Epoch, PeerMessage, ShardId } from "../../../src/protocol/message.ts"
import type { MakeChecker } from "../checker.ts"

/** What nobody measures: a step of a node, and numbers rounded. */
const slackMs = 2

export const expiredIsGone: MakeChecker = cluster => {
  const sentAtMs = new WeakMap<PeerMessage, number>()
  const firstInstalledAtMs = new Map<Epoch, number>()
  let slowestMs = 0
  let slowestViewMs = 0
  let slept = { sinceMs: Number.NaN, totalMs: 0 }
  /** By shard, when its config changed: each time somebody may have got it from somebody else. */
  const passedOnAtMs = new Map<ShardId, number[]>()
  let newestQ: Epoch = 0

  const noteConfigs = () => {
    const { epoch, shards } = cluster.newestView
    if (epoch === newestQ) return
    for (const [shard, { q }] of shards.entries()) {
      if (q <= newestQ) continue
      const times = passedOnAtMs.get(shard)
      if (times === undefined) passedOnAtMs.set(shard, [cluster.nowMs])
      else times.push(cluster.nowMs)
    }
    newestQ = epoch
  }

  return {
    sent(message) {
      if (carriesEntries(message)) sentAtMs.set(message, cluster.nowMs)
    },
    received(_process, _from, message) {
      const sentMs = carriesEntries(message) ? sentAtMs.get(message) : undefined
      if (sentMs !== undefined) slowestMs = Math.max(slowestMs, cluster.nowMs - sentMs)
    },
    event(process, event) {
      const epoch = process.node.view?.epoch
      if (event.kind !== "view-installed" || epoch === undefined) return
      const firstMs = firstInstalledAtMs.get(epoch)
      if (firstMs === undefined) firstInstalledAtMs.set(epoch, cluster.nowMs)
      else slowestViewMs = Math.max(slowestViewMs, cluster.nowMs - firstMs)
      noteConfigs()
    },
    glance() {
      const isAsleep = cluster.alive().some(process => process.isSuspended)
      const { sinceMs, totalMs } = slept
      if (isAsleep && Number.isNaN(sinceMs)) slept = { sinceMs: cluster.nowMs, totalMs }
      else if (!isAsleep && !Number.isNaN(sinceMs))
        slept = { sinceMs: Number.NaN, totalMs: totalMs + cluster.nowMs - sinceMs + glanceMs }
    },
    atEnd() {
      const { recorder, config } = cluster
      const gone = new Map<string, { byNs: number; sinceNs: number }>()
      for (const operation of recorder.operations) {
        if (operation.op !== "set" || operation.ttlMs === undefined || operation.status !== "ok") continue
        const byNs = operation.returnNs + operation.ttlMs * (1 + config.clockRateError) * 1e6
        gone.set(`${operation.key} ${operation.value}`, { byNs, sinceNs: operation.callNs })
      }
      for (const operation of recorder.operations) {
        if (operation.op !== "get" || operation.value === null) continue
        const end = gone.get(`${operation.key} ${operation.value}`)
        if (end === undefined || recorder.wasTouched(operation.key, end.sinceNs)) continue
        const [fromMs, toMs] = [end.sinceNs / 1e6, operation.callNs / 1e6]
        const times = passedOnAtMs.get(cluster.shardOf(operation.key)) ?? []
        const hops = 1 + times.filter(atMs => atMs >= fromMs && atMs <= toMs).length
        const sleptMs = slept.totalMs + (Number.isNaN(slept.sinceMs) ? 0 : cluster.nowMs - slept.sinceMs + glanceMs)
        const mayBeLateMs = hops * (slowestMs + slowestViewMs) + sleptMs + slackMs
        const lateMs = (operation.callNs - end.byNs) / 1e6
        if (lateMs <= mayBeLateMs) continue
        const allowed = `${mayBeLateMs.toFixed(0)} ms were allowed for ${hops} holders`
        cluster.violate(
          "what has expired is gone",
          `${operation.key} is read ${lateMs.toFixed(0)} ms after its end; ${allowed}`,
        )
      }
    },
  }
}

/** Between two glances a machine may fall asleep, and wake. */
const glanceMs = 40

function carriesEntries({ kind }: PeerMessage): boolean {
  return kind === "repl" || kind === "sync" || kind === "transfer-chunk"
}
