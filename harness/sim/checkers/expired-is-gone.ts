/**
 * A value that was written for a while is not read long after it: some time for a failover, whose new primary counts
 * from when it got the value, then it is gone. (That it is not gone too early, the history checker sees.)
 */
import type { MakeChecker } from "../checker.ts"

/** Messages held up by a cut, processes that were paused: what a copy of the value may have spent on its way. */
const lateMs = 6_000

export const expiredIsGone: MakeChecker = cluster => ({
  atEnd() {
    const { recorder, config } = cluster
    const gone = new Map<string, { byNs: number; sinceNs: number }>()
    for (const operation of recorder.operations) {
      if (operation.op !== "set" || operation.ttlMs === undefined || operation.status !== "ok") continue
      const lastsNs = (operation.ttlMs * (1 + config.clockRateError) + lateMs) * 1e6
      gone.set(`${operation.key} ${operation.value}`, { byNs: operation.returnNs + lastsNs, sinceNs: operation.callNs })
    }
    for (const operation of recorder.operations) {
      if (operation.op !== "get" || operation.value === null) continue
      const end = gone.get(`${operation.key} ${operation.value}`)
      if (end === undefined || operation.callNs <= end.byNs || recorder.wasTouched(operation.key, end.sinceNs)) continue
      const lateByMs = ((operation.callNs - end.byNs) / 1e6 + lateMs).toFixed(0)
      cluster.violate("what has expired is gone", `${operation.key} is read ${lateByMs} ms after its end`)
    }
  },
})
