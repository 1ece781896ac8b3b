/**
 * Gets memory back: empties one segment after another, a few records at a time, so that every write pays for about what it
 * takes and none for a whole segment. A segment that is emptied because much in it is dead keeps what lives (it is
 * compacted); one that is emptied because the limit is reached is judged record by record.
 *
 * S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction"), with segments where that has objects: what is new goes to a small
 * queue, a tenth of the whole or more (`small-share.ts`); who was used by the time it leaves it moves to the main queue, who was not is
 * forgotten, and remembered as a ghost: if it comes back soon it begins in the main queue. There each use, up to three, buys
 * another round. As "lru" there is the main queue alone, and a round is bought by any number of uses: the second-chance
 * approximation, since exact order would mean to move an entry at every use.
 *
 * Copies kept for others have no uses here. They have a queue of their own, of which the oldest go when they have more than
 * their share. Roles change without a word to the store: the queue of a record says what it was when it came there, and its
 * owner is asked when it is judged.
 *
 * What may not be dropped is moved to the end of its queue. When nothing may be dropped the search ends after a stated number of
 * segments, the store goes beyond its limit by what is held back, and searches no further than each write pays for until it has found something.
 */
import type { Entries } from "./entries.ts"
import { Ghost } from "./ghost.ts"
import { bytesAt, deadFlag, expiryAt, padFlag, pieceFlag, usesAt } from "./record.ts"
import { none, type Place, type SegmentId, type SegmentQueue, type Segments } from "./segments.ts"
import { SmallShare } from "./small-share.ts"
import type { StoreOptions } from "./store.ts"

/** Segments that only moves may take: what lives in a segment must have a place before it is emptied. */
const reserve = 2
/** What the next write must find. With fewer left it empties segments until there are so many, whatever is in them. */
const scarce = reserve + 1
/** Emptying begins when fewer are left than `scarce` and this many more: a share of the budget, within bounds. */
const fewestSpare = 3
const mostSpare = 16
const spareShare = 1 / 64

/** Dead bytes of sealed segments are worth compacting above this share. More: less copying; less: less memory. */
const deadShare = 0.12
/** Of a segment, what must be dead for its compaction to be worth the copying when memory is short. */
const leastGain = 1 / 32

/** The last 0.7 to 1.4 times as many as there are entries are remembered. */
const ghostShare = 0.7
/** An entry that takes more than so many times the mean needs two uses where others need one: in its room there is place for several. */
const largeFactor = 2

/**
 * Left for values on their way in and out: copies that wait for the collector, which comes for large ones when some 64 MiB have
 * gathered, and what the allocator keeps of them.
 */
const passingShare = 1 / 16
const mostPassingBytes = 64 * 1024 * 1024

/** Work is counted in bytes moved; these are about what a look and a drop cost in the same unit. */
const lookWork = 16
const dropWork = 128
const moveWork = 128
/** What a write of so many bytes pays: eight times that, since what lives in a victim is moved for the sake of the rest. */
const workPerByte = 8
/**
 * As long as there is room, compaction pays by how much is dead: little just above `deadShare`, all of it at a third more. It
 * settles in between, and does not begin with its full weight while its code has never run: that took 5 to 10 ms of 200 writes.
 */
const leastWorkPerByte = 1
const fullWorkAt = (4 / 3) * deadShare
const leastWork = 256
/** The most that one write pays of its own will: a few milliseconds. */
const mostWork = 512 * 1024

export type ReclaimOptions = StoreOptions & {
  readonly entries: Entries
  readonly queues: { readonly small: SegmentQueue; readonly main: SegmentQueue; readonly copies: SegmentQueue }
}

export class Reclaim {
  readonly #options: ReclaimOptions
  readonly #entries: Entries
  readonly #segments: Segments
  /** Who was forgotten after one round in the small queue. */
  readonly #ghost = new Ghost(ghostShare)
  readonly #smallShare = new SmallShare()
  #spare = fewestSpare
  /** What index and ghost took when the budget was set. */
  #budgetedBytes = 0

  #victim: SegmentId = none
  #offset = 0
  #purpose: "compact" | "evict" = "compact"
  #isForced = false
  /** Nothing may be dropped, as the last search found. */
  #isStuck = false

  /** The latest time that the store was told of: what had expired by then need not be kept. */
  nowMs = Number.NEGATIVE_INFINITY
  evicted = 0
  evictedCopies = 0

  constructor(options: ReclaimOptions) {
    this.#options = options
    this.#entries = options.entries
    this.#segments = options.entries.segments
    this.setBudget()
  }

  /** How many segments there may be: what index and ghost take, segments may not. */
  setBudget(): void {
    this.#budgetedBytes = this.#entries.index.memoryBytes + this.ghostBytes
    const { maxBytes } = this.#options
    const rest = maxBytes - Math.min(mostPassingBytes, maxBytes * passingShare) - this.#budgetedBytes
    const budget = Math.max(0, Math.floor(rest / this.#segments.segmentBytes))
    this.#segments.budget = budget
    this.#spare = Math.min(mostSpare, Math.max(fewestSpare, Math.floor(budget * spareShare)))
    this.#segments.shrinkToBudget()
  }

  /** The most that all entries may take if nothing is to be dropped: what moving and looking for room needs is apart. */
  get roomBytes(): number {
    const { budget, segmentBytes } = this.#segments
    return Math.max(0, budget - scarce - this.#spare - 1) * segmentBytes * (1 - 2 * leastGain)
  }

  get ghostBytes(): number {
    return this.#ghost.bytes + this.#smallShare.bytes
  }

  get victim(): SegmentId {
    return this.#victim
  }

  get offset(): number {
    return this.#offset
  }

  /** Where an entry of S3-FIFO begins. */
  queueForNew(position: number): SegmentQueue {
    const { small, main } = this.#options.queues
    this.#smallShare.began(position, this.#entries.index.count)
    if (this.#ghost.take(position)) return main
    // While there is room for all, most begin in the main queue: those are as good as any, and of what is asked for in turn, more
    // than there is room for, they stay and are found.
    const isRoomy = this.#segments.left > scarce + this.#spare + 2
    return isRoomy && this.#isSmallFull() ? main : small
  }

  #isSmallFull(): boolean {
    const { small, main } = this.#options.queues
    return small.count > this.#smallShare.share * (small.count + main.count)
  }

  /** Before an entry of so many bytes is written. Says whether anything may have moved or gone. */
  makeRoom(bytes: number): boolean {
    const segments = this.#segments
    if (this.#entries.index.memoryBytes + this.ghostBytes !== this.#budgetedBytes) this.setBudget()
    // For what is larger than a segment: pieces leave a little over at the end of each.
    const wanted =
      reserve + (bytes <= segments.segmentBytes / 4 ? 1 : Math.ceil((1.1 * bytes) / segments.segmentBytes) + 1)
    const comfortable = Math.max(scarce + this.#spare, wanted)
    if (this.#victim === none && segments.left >= comfortable && !this.#hasMuchDead()) return false
    const perByte = segments.left >= comfortable ? this.#unhurriedWork() : workPerByte
    this.#work(Math.min(mostWork, perByte * bytes + (leastWork / workPerByte) * perByte), comfortable)
    if (segments.left >= wanted) this.#isStuck = false
    else if (!this.#isStuck) this.#force(wanted)
    return true
  }

  /** Up to so much of the work that later writes would have to do. */
  tidy(workBytes: number): void {
    this.#work(workBytes, scarce + this.#spare)
  }

  #work(work: number, wanted: number): void {
    let left = work
    while (left > 0 && (this.#victim !== none || this.#pick(wanted))) left -= this.#step()
  }

  /**
   * Empties segments until so many are left, or until twice as many and a few have been looked through in vain: the first two as
   * ever, the others whatever is in them.
   */
  #force(wanted: number): void {
    const segments = this.#segments
    for (let looked = 0; looked < 2 * wanted + 4 && segments.left < wanted; looked++) {
      this.#isForced = looked >= 2
      if (this.#victim === none && !this.#pick(wanted)) break
      while (this.#victim !== none) this.#step()
    }
    this.#isForced = false
    this.#isStuck = segments.left < wanted
  }

  #unhurriedWork(): number {
    const { deadBytes, sealedCount, segmentBytes } = this.#segments
    const excess = (deadBytes / (sealedCount * segmentBytes || 1) - deadShare) / (fullWorkAt - deadShare)
    return leastWorkPerByte + (workPerByte - leastWorkPerByte) * Math.min(1, Math.max(0, excess))
  }

  #hasMuchDead(): boolean {
    const { deadBytes, sealedCount, segmentBytes } = this.#segments
    return deadBytes > deadShare * sealedCount * segmentBytes && deadBytes > 2 * segmentBytes
  }

  // ------------------------------------------------------------------------------------------------ which segment

  /** Chooses the segment to be emptied next, if there are fewer left than wanted or if it is worth it anyway. */
  #pick(wanted: number): boolean {
    const segments = this.#segments
    if (this.#hasMuchDead()) {
      const segment = segments.emptiest()
      // In need, what is dropped makes room faster than what is moved together.
      const isWorth = this.#options.eviction === "none" || !this.#isPressed() || this.#isHalfEmpty(segment)
      if (isWorth) return this.#begin(segment, "compact")
    }
    if (segments.left >= wanted) return false
    if (this.#options.eviction !== "none") return this.#begin(this.#oldest(), "evict")
    const segment = segments.emptiest()
    const isWorth = segment !== none && (segments.live[segment] as number) <= (1 - leastGain) * segments.segmentBytes
    return isWorth && this.#begin(segment, "compact")
  }

  #isHalfEmpty(segment: SegmentId): boolean {
    return segment !== none && (this.#segments.live[segment] as number) < this.#segments.segmentBytes / 2
  }

  #begin(segment: SegmentId, purpose: "compact" | "evict"): boolean {
    if (segment === none) return false
    this.#segments.pick(segment)
    this.#victim = segment
    this.#purpose = purpose
    this.#offset = 8
    return true
  }

  /** The segment whose entries have had their time; `none`: nothing was ever written. */
  #oldest(): SegmentId {
    const { small, main, copies } = this.#options.queues
    const first = this.#haveCopiesTooMuch()
      ? [copies, small, main]
      : this.#isSmallFull()
        ? [small, main, copies]
        : [main, small, copies]
    for (const queue of first) if (queue.oldest !== none) return queue.oldest
    // So small a store that every queue has one segment alone.
    for (const queue of first)
      if (queue.open !== none) {
        this.#segments.seal(queue)
        if (queue.newest !== none) return queue.newest
      }
    return none
  }

  #haveCopiesTooMuch(): boolean {
    const { copiesShare, queues } = this.#options
    return queues.copies.count > copiesShare * this.#segments.budget
  }

  // ------------------------------------------------------------------------------------------------ which records

  /** Deals with the next record of the victim; returns what that cost. */
  #step(): number {
    const segments = this.#segments
    const segment = this.#victim
    const offset = this.#offset
    if (offset >= (segments.used[segment] as number)) {
      this.#victim = none
      segments.release(segment)
      return lookWork
    }
    const words = segments.words[segment] as Uint32Array
    const at = offset >>> 2
    const word = words[at] as number
    const bytes = bytesAt(words, at)
    this.#offset = offset + bytes
    if ((word & (deadFlag | padFlag)) !== 0) return lookWork
    const place = segments.placeAt(segment, offset)
    if ((word & pieceFlag) !== 0) return this.#judgePiece(place, bytes)
    if (this.#purpose === "compact") {
      this.#entries.move(place, this.#queueOf(segment), usesAt(words, at))
      return moveWork + bytes
    }
    const verdict = this.#judge(place, words, at)
    if (verdict === undefined) return this.#drop(place)
    this.#entries.move(place, verdict.to, verdict.uses)
    return moveWork + bytes
  }

  #queueOf(segment: SegmentId): SegmentQueue {
    return this.#segments.queues[this.#segments.queue[segment] as number] as SegmentQueue
  }

  /** Where an entry goes from here, and with how many uses; undefined: nowhere. */
  #judge(place: Place, words: Uint32Array, at: number): { to: SegmentQueue; uses: number } | undefined {
    const { eviction, owner, queues } = this.#options
    const { small, main, copies } = queues
    const from = this.#queueOf(this.#victim)
    const position = words[at + 1] as number
    const uses = usesAt(words, at)
    const isLed = owner.isLed(position)
    if (!this.#isPressed()) {
      if (!isLed) {
        if (from !== copies && !this.#haveCopiesTooMuch()) return { to: copies, uses: 0 }
      } else if (from === copies) {
        // Not long ago it was somebody else's: it has a chance to be used, as long as there is room for chances.
        if (uses > 0 || this.#segments.left >= scarce + this.#spare / 2) return { to: main, uses }
      } else if (uses >= this.#usesNeeded(place) && expiryAt(words, at) > this.nowMs)
        return { to: main, uses: from === small || eviction === "lru" ? 0 : uses - 1 }
    }
    if (owner.mayDrop(this.#entries.keyWindow(place), position)) return undefined
    return { to: isLed ? (from === copies ? main : from) : copies, uses }
  }

  #usesNeeded(place: Place): number {
    if (this.#options.eviction === "lru") return 1
    const { liveBytes } = this.#segments
    return this.#entries.bytesOf(place) * this.#entries.index.count > largeFactor * liveBytes ? 2 : 1
  }

  /** Whatever may be dropped is dropped, used or not: what is moved instead would take the last of what moves may take. */
  #isPressed(): boolean {
    return this.#isForced || this.#segments.left < reserve
  }

  /**
   * A piece goes where its entry went. If that has not been judged since the piece came here (it lies in a segment no younger),
   * the piece stands for it now: an entry is not carried along for the sake of a record that comes later.
   */
  #judgePiece(piece: Place, bytes: number): number {
    const segments = this.#segments
    const record = this.#entries.recordOfPiece(piece)
    const home = segments.segmentOf(record)
    const isJudged = (segments.openedAt[home] as number) > (segments.openedAt[this.#victim] as number)
    if (this.#purpose === "evict" && (!isJudged || this.#isPressed())) {
      const verdict = this.#judge(record, segments.wordsOf(record), segments.wordOf(record))
      if (verdict === undefined) return this.#drop(record)
    }
    this.#entries.movePiece(piece, record, this.#queueOf(home))
    return moveWork + bytes
  }

  #drop(place: Place): number {
    const { eviction, owner } = this.#options
    const entries = this.#entries
    const position = entries.positionOf(place)
    const version = entries.versionOf(place)
    const isCopy = !owner.isLed(position)
    // The bytes stay as they are until something is written.
    const key = entries.keyWindow(place)
    entries.remove(place)
    if (isCopy) this.evictedCopies += 1
    else this.evicted += 1
    if (!isCopy && eviction === "s3fifo") this.#remember(position)
    owner.dropped(key, position, version, isCopy)
    return dropWork
  }

  #remember(position: number): void {
    const segments = this.#segments
    const { count } = this.#entries.index
    const isSmall = this.#queueOf(this.#victim) === this.#options.queues.small
    const before = this.ghostBytes
    const roomBytes = Math.max(0, segments.left - reserve) * (segments.segmentBytes / 2)
    if (isSmall) this.#ghost.add(position, count, roomBytes)
    this.#smallShare.lost(isSmall ? "small" : "main", position, count, roomBytes)
    if (this.ghostBytes !== before) this.setBudget()
  }
}
