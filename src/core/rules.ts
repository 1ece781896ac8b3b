/**
 * The rules of the protocol that can be switched off, one at a time, by tests alone: a checker that never saw a rule broken
 * proves nothing. The product always runs `allRules`. Sections are those of `README.md` beside this file.
 */
export type Rules = {
  /** A new primary waits until no earlier one can hold a lease. */
  barrier: boolean
  /** ... for the whole of T(1 + rho) less the youngest age, not for a part of it. */
  barrierWhole: boolean
  /** Reads and answers need a lease. */
  lease: boolean
  /** A lease needs a majority of the voters. */
  leaseMajority: boolean
  /** A voter grants nothing to a beat of an epoch below its horizon. */
  grantHorizon: boolean
  /** An accepted value without outcome raises the horizon. */
  acceptRaisesHorizon: boolean
  /** A fence made after a change of voters lasts at least the whole lease. */
  voterFence: boolean
  /** A node that skipped views waits out the leases of primaries it never heard of. */
  gapFence: boolean
  /** Readers see committed values alone. */
  committedReads: boolean
  /** A retry is recognised and answered from its record. */
  dedup: boolean
  /** So it is for operations of a node's own process: repeated, they keep their number. */
  ownNumbers: boolean
  /** What is committed in the step that applies it has no other holder. */
  aloneAtOnce: boolean
  /** An operation whose first primary never answered is of unknown fate, whatever the successor says. */
  openForwards: boolean
  /** A learner never becomes a primary. */
  learnersWait: boolean
  /** Operations are applied in order; a gap is refused. */
  fifo: boolean
  /** Ready is said only for a learner whose acknowledgements are required. */
  readyNeedsInclude: boolean
  /** State survives a view only if the shard's primary did not change meanwhile. */
  primarySince: boolean
  /** Messages of an earlier transfer are ignored. */
  transferIds: boolean
  /** A new primary makes the other replicas equal to itself, also when there is only one. */
  sync: boolean
  /** An operation that changes nothing is recorded as well. */
  recordUnmet: boolean
  /** A write that finds its key missing makes it missing at every copy. */
  missIsWritten: boolean
  /** A copy forgets the version that its primary has forgotten, and no other. */
  forgetsExactly: boolean
  /** What a learner forgets while it is filled is not brought back, older, by a later piece. */
  forgottenStays: boolean
  /** What is not committed is not forgotten. */
  uncommittedStays: boolean
  /** Voters that are dead for certain are passed over only while they are fewer than a majority. */
  deadAreFew: boolean
  /** Restarted processes form a cluster only when all members of the newest view that they know of are restarted. */
  coldStartWaits: boolean
  /** A node with a lease ignores views of another generation. */
  leaseKeepsGeneration: boolean
  /** Who is voted out again and again stays out for growing times. */
  flapsWait: boolean
  /** Whoever knows that a stop was decided acknowledges nothing any more. */
  stopFreezes: boolean
  /** ... and has no part in the decision that follows it: only who has started again has. */
  stopAbstains: boolean
  /** What has not committed at the stop is written down as well. */
  stopKeepsLog: boolean
  /** The cluster resumes when all of its members are back. */
  resumeWaits: boolean
  /** A node does nothing with what it started from before nobody can start from it again. */
  resumeClaims: boolean
  /** Whoever learns that the cluster went on without it forgets what it started from. */
  resumeInTime: boolean
  /** The leader finishes an instance whose proposer went away. */
  finishInstances: boolean

  // The data path
  /** An operation commits when all in-sync replicas have it. */
  commitNeedsAll: boolean
  /** A replica listens to its primary alone, and under the config of the view that it has. */
  configSpeaks: boolean
  /** What is undone brings back what was there before. */
  undo: boolean
  /** A group is one operation in the order of its shard, so that whoever has a part of it has all. */
  groupsAreOne: boolean
  /** When one condition of a group is not met, nothing of it is done. */
  groupsAllOrNothing: boolean
  /** All conditions of a group are judged before anything of it is written, in whatever shards. */
  groupsInOneStep: boolean
  /** What it wrote in several shards is seen from one moment on. */
  groupsShowAtOnce: boolean
  /** A repeated group of which some shards have a part and others have not is finished. */
  groupsAreFinished: boolean
  /** A condition is judged by the newest value, committed or not. */
  conditionsOnNewest: boolean
  /** A new primary serves when what it inherited has committed. */
  inheritedFirst: boolean
  /** An operation that its client called finished is not executed again. */
  finishedStaysFinished: boolean
  /** Where a reset forgot what a client had done, an older attempt is not executed. */
  resetsForget: boolean
  /** A miss of an expired entry is answered when its deletion has committed. */
  expiryCommits: boolean
  /** ... and the deletion waits for a newer write of the key. */
  expirySparesNewer: boolean

  // Transfers, orphans, leaving
  /** A learner is complete when everything that was read for it has committed. */
  readyNeedsCommit: boolean
  /** A transfer is not begun again when the learner's acknowledgements count. */
  includedStay: boolean
  /** Only a primary that serves fills others. */
  fillOnlyServing: boolean
  /** What the live stream brought is newer than the pieces. */
  piecesYield: boolean
  /** The last holders of a shard keep it, though they were removed. */
  lastHoldersKeep: boolean
  /** However certain the deaths of its holders are, a shard begins anew after every lease on it has ended. */
  resetWaits: boolean
  /** Who leaves is removed when it holds nothing. */
  leaveHandsOver: boolean

  // Deciding
  /** A view needs the acceptance of a majority. */
  majorityDecides: boolean
  /** An acceptor that has promised a ballot takes part in no lower one. */
  promiseBinds: boolean
  /** A proposer takes over what some acceptor may have helped to decide. */
  adoptAccepted: boolean
  /** When the voters before it are silent, the next one leads. */
  ranksAct: boolean
  /** Whoever shows an old view is sent what it lacks. */
  laggardsLearn: boolean
  /** A batch never leaves more voters than it hears a majority of. */
  batchKeepsMajority: boolean
  /** A voter that has gone is replaced, so that the next one may go as well. */
  votersReplaced: boolean
  /** Who has just joined votes when it has shown that it is there. */
  votersShow: boolean

  // Leases and fences
  /** A lease counts from when the beat was sent, not from when the grant came. */
  leaseFromSending: boolean
  /** A voter remembers what it granted, to report how old it is. */
  grantsAreNoted: boolean
  /** Of the reported ages the youngest counts. */
  youngestGrant: boolean
  /** Nodes keep the fences of shards that they do not lead: they may later. */
  fencesEverywhere: boolean
  /** A predecessor ends its fence by showing the view that replaced it, not any. */
  releaseNeedsEpoch: boolean
  /** A fence lasts as long as the longest lease that may still be held, which may be of a larger cluster. */
  longLeasesCount: boolean
  /** After its machine slept, a node counts no grant of before. */
  sleepEndsLease: boolean

  // Detection
  /** Who does not confirm what it was granted counts as silent. */
  confirmationsCount: boolean
  /** A member is removed when a majority of the voters that are heard report it. */
  reportsNeedMajority: boolean
  /** A voter that was late itself reports nobody for it. */
  selfDistrust: boolean
  /** Who was no part of a majority just now removes nobody yet. */
  decidersSettle: boolean
  /** Of two members that do not reach each other one goes. */
  linkDown: boolean
  /** Who joins has answered at the address that it advertises. */
  dialBack: boolean

  /** What waits, what may be undone, and what is remembered of clients is refused beyond its bound. */
  bounds: boolean
}

export const allRules: Rules = {
  barrier: true,
  barrierWhole: true,
  lease: true,
  leaseMajority: true,
  grantHorizon: true,
  acceptRaisesHorizon: true,
  voterFence: true,
  gapFence: true,
  committedReads: true,
  dedup: true,
  ownNumbers: true,
  aloneAtOnce: true,
  openForwards: true,
  learnersWait: true,
  fifo: true,
  readyNeedsInclude: true,
  primarySince: true,
  transferIds: true,
  sync: true,
  recordUnmet: true,
  missIsWritten: true,
  forgetsExactly: true,
  forgottenStays: true,
  uncommittedStays: true,
  deadAreFew: true,
  coldStartWaits: true,
  leaseKeepsGeneration: true,
  flapsWait: true,
  stopFreezes: true,
  stopAbstains: true,
  stopKeepsLog: true,
  resumeWaits: true,
  resumeClaims: true,
  resumeInTime: true,
  finishInstances: true,
  commitNeedsAll: true,
  configSpeaks: true,
  undo: true,
  groupsAreOne: true,
  groupsAllOrNothing: true,
  groupsInOneStep: true,
  groupsShowAtOnce: true,
  groupsAreFinished: true,
  conditionsOnNewest: true,
  inheritedFirst: true,
  finishedStaysFinished: true,
  resetsForget: true,
  expiryCommits: true,
  expirySparesNewer: true,
  readyNeedsCommit: true,
  includedStay: true,
  fillOnlyServing: true,
  piecesYield: true,
  lastHoldersKeep: true,
  resetWaits: true,
  leaveHandsOver: true,
  majorityDecides: true,
  promiseBinds: true,
  adoptAccepted: true,
  ranksAct: true,
  laggardsLearn: true,
  batchKeepsMajority: true,
  votersReplaced: true,
  votersShow: true,
  leaseFromSending: true,
  grantsAreNoted: true,
  youngestGrant: true,
  fencesEverywhere: true,
  releaseNeedsEpoch: true,
  longLeasesCount: true,
  sleepEndsLease: true,
  confirmationsCount: true,
  reportsNeedMajority: true,
  selfDistrust: true,
  decidersSettle: true,
  linkDown: true,
  dialBack: true,
  bounds: true,
}
