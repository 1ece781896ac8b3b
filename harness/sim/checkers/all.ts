/** Every promise that a run is held to. */
import type { MakeChecker } from "../checker.ts"
import { acknowledgedIsHeld } from "./acknowledged-is-held.ts"
import { comesToRest } from "./comes-to-rest.ts"
import { copiesAreCurrent } from "./copies-are-current.ts"
import { expiredIsGone } from "./expired-is-gone.ts"
import { groupsAreWhole } from "./groups-are-whole.ts"
import { historyIsExplicable } from "./history-is-explicable.ts"
import { oneServerPerShard } from "./one-server-per-shard.ts"
import { oneViewPerEpoch } from "./one-view-per-epoch.ts"
import { queuesAreBounded } from "./queues-are-bounded.ts"
import { replicasAgree } from "./replicas-agree.ts"
import { staysBounded } from "./stays-bounded.ts"
import { viewsMakeSense } from "./views-make-sense.ts"

export const allCheckers: readonly MakeChecker[] = [
  oneViewPerEpoch,
  viewsMakeSense,
  oneServerPerShard,
  acknowledgedIsHeld,
  comesToRest,
  replicasAgree,
  copiesAreCurrent,
  groupsAreWhole,
  staysBounded,
  queuesAreBounded,
  expiredIsGone,
  historyIsExplicable,
]
