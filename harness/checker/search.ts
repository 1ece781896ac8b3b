/**
 * Decides whether the operations of one key can be put in an order that explains every answer: linearizability (Herlihy
 * and Wing 1990), by depth-first search with a memory of what failed.
 *
 * The search is Wing and Gong's (1993): walk the calls and returns in the order of time; at each return, that operation
 * must have found its place. Lowe's just-in-time linearization and memoization (2017): nothing is placed before a
 * return forces it, and a configuration (which open operations are placed, and the register) is searched once. From
 * Porcupine (Athalye): one search per key, and a linked list of the open operations whose links undo in reverse order.
 *
 * A register allows more, and each of these keeps the answer exact. Below, L is an order that explains the rest of the
 * history; a choice may be left out if, whenever some L exists, another one exists without that choice.
 *
 *  1. *Reads at once.* An open read that holds now is placed now: it changes nothing, so moved to the front of L it
 *     leaves L valid.
 *  2. *Hidden writes.* A blind write that is directly followed by another blind write in L is seen by nobody. So no
 *     order among such writes is tried: when a blind write is placed, every blind write open at that moment becomes
 *     *hideable*, and when its own return comes it may be taken to have happened just before that one.
 *  3. *Unknown outcomes on demand.* An unknown write that is directly followed by a blind write in L, or by nothing,
 *     may be dropped from L. So it is placed only where what comes next looks at the register, and one whose value
 *     nobody looks at during or after it is never considered at all. Unknown operations that are equal are counted, not
 *     told apart: all of them stay open for ever.
 *  4. *Other writes on demand.* By 2, a blind write placed before its return comes (on behalf of another's return) is
 *     directly followed by something that looks. Of equal ones the first to return is taken: in L the two may swap.
 *  5. *Needs and makers.* When the register leaves a value that a known answer still needs, and nothing remains that
 *     could write it again and was called before that answer returned, no L exists.
 *  6. *Fewer unknowns.* A failed configuration also rules out all that differ by having used up more unknown operations:
 *     an L for those would be one for it.
 *  7. *Cuts.* After an operation that overlapped nothing, while no unknown one matters, and which tells the register,
 *     there is one configuration; what came before need not be kept or tried again.
 *  8. *Nameless values.* Values that nothing left needs exactly, and nothing tells from one another, are one value: a
 *     failed configuration rules out those that differ in which of them the register holds, and 4 holds among them.
 */
import { isContradictory } from "./contradiction.ts"
import type { Index, KeyHistory } from "./key-history.ts"
import { blindWrite, count, readIs, readIsNot, swap, take } from "./key-history.ts"
import type { Values } from "./model.ts"

export type SearchVerdict = "consistent" | "inconsistent" | "undecided"

export type Budget = {
  /** Choices tried for one key; looking for them counts as parts of one. */
  readonly steps: number
  /** Failed configurations remembered for one key, about 100 bytes each. */
  readonly memory: number
}

export function search(history: KeyHistory, budget: Budget): { verdict: SearchVerdict; steps: number } {
  return isContradictory(history) ? { verdict: "inconsistent", steps: 0 } : new Search(history, budget).run()
}

/** A choice that was made, and what the world was like before it. */
type Frame = {
  readonly at: number
  readonly trailLength: number
  readonly register: number
  readonly lastBlindAt: number
  readonly owed: boolean
  /** Choices left, best last; undefined until the first two, which need no list, have failed. */
  choices: number[] | undefined
  tried: number
}

class Search {
  readonly #history: KeyHistory
  readonly #values: Values
  readonly #budget: Budget
  #steps = 0

  // ------------------------------------------------ the configuration
  /** The next event. */
  #at = 0
  #register = 0
  /** The event at which the last blind write was placed. */
  #lastBlindAt = -1
  /** A write was placed ahead of its time (3, 4): the next step must look at the register. */
  #owed = false
  /** Whether a known operation is placed. */
  readonly #placed: Uint8Array
  /** Of each class of equal unknown operations: called so far, and used. */
  readonly #called: Int32Array
  readonly #used: Int32Array
  /** The classes that were used, in the order of their first use. */
  #inUse: number[] = []

  // ------------------------------------------------ derived from it
  /** The open known operations in the order of their calls: a list through `next` and `previous`, index n its head. */
  readonly #next: Int32Array
  readonly #previous: Int32Array
  /** By value: how many known operations that need exactly it are not placed. */
  readonly #needs: Int32Array
  /** By value: no needer, and no maker, before this place of its index is free. Moved on when somebody asks. */
  readonly #firstNeeder: Int32Array
  readonly #firstMaker: Int32Array

  readonly #classesByStretch: (readonly number[] | undefined)[] = []

  // ------------------------------------------------ the way back
  #frames: Frame[] = []
  /** What was placed, in order: a known operation, or the complement of a class. */
  #trail: number[] = []
  /** By event: configurations from which there is no way on, and for each how the unknown were used. */
  #failed = new Map<number, Map<string, Int32Array[]>>()
  #failedCount = 0

  constructor(history: KeyHistory, budget: Budget) {
    this.#history = history
    this.#values = history.values
    this.#budget = budget
    const count = history.kind.length
    this.#placed = new Uint8Array(count)
    this.#called = new Int32Array(history.classes.length)
    this.#used = new Int32Array(history.classes.length)
    this.#next = new Int32Array(count + 1).fill(count)
    this.#previous = new Int32Array(count + 1).fill(count)
    const { start } = history.needers
    this.#needs = Int32Array.from(
      { length: start.length - 1 },
      (_, v) => (start[v + 1] as number) - (start[v] as number),
    )
    this.#firstNeeder = start.slice()
    this.#firstMaker = history.makers.start.slice()
  }

  run(): { verdict: SearchVerdict; steps: number } {
    return { verdict: this.#decide(), steps: Math.ceil(this.#steps) }
  }

  #decide(): SearchVerdict {
    const { events, cuts } = this.#history
    while (this.#at < events.length) {
      const event = events[this.#at] as number // within bounds, here and in the loops below
      if (event < 0) {
        this.#called[~event] = (this.#called[~event] as number) + 1
        this.#at++
        continue
      }
      const operation = event >> 1
      if ((event & 1) === 0) {
        this.#open(operation)
        this.#at++
        continue
      }
      if (this.#placed[operation] === 0) {
        if (this.#choose(operation)) continue
        if (!this.#backtrack()) return "inconsistent"
        if (this.#steps > this.#budget.steps || this.#failedCount > this.#budget.memory) return "undecided"
        continue
      }
      this.#unlink(operation)
      this.#at++
      if (cuts[this.#at - 1] === 1) this.#forget()
    }
    return "consistent"
  }

  // ---------------------------------------------------------------------------------------------- events

  #open(operation: number): void {
    this.#link(operation)
    if (this.#isRead(operation) && this.#holds(operation, this.#register)) this.#mark(operation)
  }

  #link(operation: number): void {
    const head = this.#placed.length
    const last = this.#previous[head] as number
    this.#next[last] = operation
    this.#previous[operation] = last
    this.#next[operation] = head
    this.#previous[head] = operation
  }

  #unlink(operation: number): void {
    const next = this.#next[operation] as number
    const previous = this.#previous[operation] as number
    this.#next[previous] = next
    this.#previous[next] = previous
  }

  /** Undoes the unlink done last. */
  #relink(operation: number): void {
    this.#next[this.#previous[operation] as number] = operation
    this.#previous[this.#next[operation] as number] = operation
  }

  /** There is one configuration here: what led to it is of no interest any more. */
  #forget(): void {
    this.#frames = []
    this.#trail = []
    this.#inUse = []
    this.#failed = new Map()
    this.#failedCount = 0
  }

  // ---------------------------------------------------------------------------------------------- choices

  /** Takes the first way to place `due`, or something that lets it be placed; false: there is none. */
  #choose(due: number): boolean {
    if (this.#failed.size > 0 && this.#hasFailed()) return false
    this.#frames.push({
      at: this.#at,
      trailLength: this.#trail.length,
      register: this.#register,
      lastBlindAt: this.#lastBlindAt,
      owed: this.#owed,
      choices: undefined,
      tried: 0,
    })
    return this.#tryNext(due)
  }

  /** Goes on with the newest frame that has a choice left. */
  #backtrack(): boolean {
    while (this.#frames.length > 0) {
      const frame = this.#frames.at(-1) as Frame // there is one
      this.#restore(frame)
      if (this.#tryNext((this.#history.events[frame.at] as number) >> 1)) return true
      if (this.#steps > this.#budget.steps) return true
    }
    return false
  }

  /** The next choice of the newest frame that is possible; without one, drops the frame and remembers its failure. */
  #tryNext(due: number): boolean {
    const frame = this.#frames.at(-1) as Frame // the caller pushed or kept it
    const { kind, result } = this.#history
    const isBlind = kind[due] === blindWrite
    const isHideable = isBlind && (this.#history.callAt[due] as number) <= frame.lastBlindAt
    // A write whose value is still asked for is more likely the newest; another one more likely hidden.
    const hideFirst = isHideable && (this.#needs[result[due] as number] as number) === 0
    while (true) {
      this.#steps++
      const turn = frame.tried++
      if (turn < 2) {
        const isDone = (turn === 0) === hideFirst ? isHideable && this.#hide(due) : this.#placeDue(due)
        if (isDone) return true
        this.#restore(frame)
        continue
      }
      frame.choices ??= this.#choicesFor(due)
      const choice = frame.choices.pop()
      if (choice === undefined) break
      if (choice >= 0 ? this.#place(choice, due) : this.#useUnknown(~choice)) return true
      this.#restore(frame)
    }
    this.#frames.pop()
    this.#remember()
    return false
  }

  #placeDue(due: number): boolean {
    if (this.#isRead(due)) return false // it would have been placed when it held
    if (this.#owed && this.#history.kind[due] === blindWrite) return false
    return this.#holds(due, this.#register) && this.#place(due, due)
  }

  /** Takes a blind write to have happened just before the last one that was placed. */
  #hide(operation: number): boolean {
    if (this.#owed) return false // the write that is owed a look was not needed to do this: do it before that
    this.#mark(operation)
    const value = this.#history.result[operation] as number
    return this.#register === value || !this.#isMissed(value)
  }

  #place(operation: number, due: number): boolean {
    const { kind, result } = this.#history
    this.#mark(operation)
    const isBlind = kind[operation] === blindWrite
    if (isBlind) this.#lastBlindAt = this.#at
    return this.#moveTo(result[operation] as number, isBlind && operation !== due)
  }

  /** `choice`: a class, and which of its steps. */
  #useUnknown(choice: number): boolean {
    const group = choice >> 1
    const step = this.#history.classes[group]?.steps[choice & 1]
    if (step === undefined) return false
    const used = this.#used[group] as number
    if (used === 0) this.#inUse.push(group)
    this.#used[group] = used + 1
    this.#trail.push(~group)
    if (step.kind === "write") this.#lastBlindAt = this.#at
    const value = step.kind === "add-unknown" ? this.#values.sum(this.#register, step.by) : step.result
    return value !== undefined && this.#moveTo(value, true)
  }

  /** Changes the register and places the reads that hold now; false: a value that is still needed was lost for good. */
  #moveTo(value: number, mustBeSeen: boolean): boolean {
    const before = this.#register
    this.#register = value
    if (before !== value && this.#isMissed(before)) return false
    let isSeen = false
    const head = this.#placed.length
    for (let open = this.#next[head] as number; open !== head; open = this.#next[open] as number) {
      if (this.#placed[open] === 1 || !this.#isRead(open) || !this.#holds(open, value)) continue
      this.#mark(open)
      isSeen = true
    }
    this.#owed = mustBeSeen && !isSeen
    return true
  }

  /**
   * Whether a known answer needs a value that the register does not hold and nothing can bring back in time. Only the
   * needer that returns first is asked about.
   */
  #isMissed(value: number): boolean {
    const { needers, makers, returnAt, callAt, classMakers, classCallsAt, hasUnknownSums } = this.#history
    if (value >= this.#needs.length || this.#needs[value] === 0) return false // or a sum that appears in no answer
    const needer = firstFree(needers, this.#firstNeeder, value, this.#placed)
    const maker = firstFree(makers, this.#firstMaker, value, this.#placed)
    const neededAt = returnAt[needer] as number // `#needs` says that there is one
    if (maker >= 0 && (callAt[maker] as number) < neededAt) return false
    for (const group of classMakers.get(value) ?? [])
      if ((classCallsAt[group]?.[this.#used[group] as number] ?? Infinity) < neededAt) return false
    return !(hasUnknownSums && !Number.isNaN(this.#values.integerOf(value)))
  }

  /** The value, or one number for all values that are alike from now on. */
  #nameOf(value: number): number {
    const isNameless = this.#history.mayBeNameless[value] === 1 && this.#needs[value] === 0
    return isNameless ? -1 : value
  }

  /** Everything that may be placed ahead of `due`, best last. */
  #choicesFor(due: number): number[] {
    const { kind, result, returnAt, classes, classUselessAfter } = this.#history
    const head = this.#placed.length
    const wanted = this.#wanted()
    const known: number[] = []
    const firstToReturn = new Map<number, number>()
    if (kind[due] === blindWrite) firstToReturn.set(this.#nameOf(result[due] as number), due)
    for (let open = this.#next[head] as number; open !== head; open = this.#next[open] as number) {
      this.#steps += 0.1
      if (open === due || this.#placed[open] === 1 || this.#isRead(open)) continue
      const value = result[open] as number
      if (kind[open] !== blindWrite) {
        if (this.#holds(open, this.#register)) known.push(open)
        continue
      }
      if (this.#owed || !wanted(value)) continue
      const name = this.#nameOf(value)
      const rival = firstToReturn.get(name)
      if (rival === undefined || (returnAt[open] as number) < (returnAt[rival] as number)) firstToReturn.set(name, open)
    }
    for (const open of firstToReturn.values()) if (open !== due) known.push(open)
    const unknown: number[] = []
    for (const group of this.#classesNear(this.#at)) {
      this.#steps += 0.01
      if ((this.#used[group] as number) >= (this.#called[group] as number)) continue
      if (this.#at > (classUselessAfter[group] as number)) continue
      const steps = classes[group]?.steps ?? []
      for (let which = 0; which < steps.length; which++) {
        const step = steps[which]
        if (step === undefined || (step.kind === "write" && this.#owed)) continue
        if (step.kind === "swap" && step.need !== this.#register) continue
        const value = step.kind === "add-unknown" ? this.#values.sum(this.#register, step.by) : step.result
        if (value === undefined || !wanted(value)) continue
        // Where it changes nothing it may still be what a blind write was hidden by (2).
        if (value === this.#register && !(step.kind === "write" && this.#wouldHide())) continue
        unknown.push(~((group << 1) | which))
      }
    }
    // Few unknown operations took effect: they are tried last.
    return unknown.reverse().concat(known.reverse())
  }

  /** Whether a blind write is open that nothing could hide yet, and that one placed now could. */
  #wouldHide(): boolean {
    const { callAt, kind } = this.#history
    const head = this.#placed.length
    for (let open = this.#next[head] as number; open !== head; open = this.#next[open] as number)
      if (this.#placed[open] === 0 && kind[open] === blindWrite && (callAt[open] as number) > this.#lastBlindAt)
        return true
    return false
  }

  /** Classes that may matter at an event: worked out for a stretch of events at a time. */
  #classesNear(at: number): readonly number[] {
    const { classCallsAt, classUselessAfter } = this.#history
    const stretch = at >> 6
    const known = this.#classesByStretch[stretch]
    if (known !== undefined) return known
    const near: number[] = []
    for (let group = 0; group < classUselessAfter.length; group++) {
      const isCalled = (classCallsAt[group]?.[0] ?? Infinity) < (stretch + 1) << 6
      if (isCalled && (classUselessAfter[group] as number) >= stretch << 6) near.push(group)
    }
    this.#classesByStretch[stretch] = near
    return near
  }

  /** Whether anything open now would look at this value. */
  #wanted(): (value: number) => boolean {
    const { kind, need, from, classes, classUselessAfter } = this.#history
    const exactly = new Set<number>()
    const sums = new Set<number>()
    const otherThan = new Set<number>()
    let anyInteger = false
    const head = this.#placed.length
    for (let open = this.#next[head] as number; open !== head; open = this.#next[open] as number) {
      if (this.#placed[open] === 1) continue
      if (kind[open] === readIs || kind[open] === swap) exactly.add(need[open] as number)
      else if (kind[open] === readIsNot) otherThan.add(need[open] as number)
      else if (kind[open] === take) otherThan.add(0)
      else if (kind[open] === count) sums.add(from[open] as number)
    }
    for (const group of this.#classesNear(this.#at)) {
      if ((this.#used[group] as number) >= (this.#called[group] as number)) continue
      if (this.#at > (classUselessAfter[group] as number)) continue
      for (const step of classes[group]?.steps ?? []) {
        if (step.kind === "swap") exactly.add(step.need)
        else if (step.kind === "add-unknown") anyInteger = true
      }
    }
    return value => {
      if (exactly.has(value)) return true
      for (const other of otherThan) if (other !== value) return true
      const integer = this.#values.integerOf(value)
      return !Number.isNaN(integer) && (anyInteger || sums.has(integer))
    }
  }

  // ---------------------------------------------------------------------------------------------- steps

  #isRead(operation: number): boolean {
    return (this.#history.kind[operation] as number) <= readIsNot
  }

  #holds(operation: number, register: number): boolean {
    const { kind, need, from } = this.#history
    switch (kind[operation]) {
      case readIs:
      case swap:
        return register === need[operation]
      case readIsNot:
        return register !== need[operation]
      case take:
        return register !== 0
      case count:
        return this.#values.integerOf(register) === from[operation]
      default:
        return true
    }
  }

  #mark(operation: number): void {
    this.#placed[operation] = 1
    this.#trail.push(operation)
    const needed = this.#history.exactNeed[operation] as number
    if (needed >= 0) this.#needs[needed] = (this.#needs[needed] as number) - 1
  }

  #unmark(operation: number): void {
    const { exactNeed, result, needers, makers } = this.#history
    this.#placed[operation] = 0
    const needed = exactNeed[operation] as number
    if (needed >= 0) {
      this.#needs[needed] = (this.#needs[needed] as number) + 1
      this.#firstNeeder[needed] = Math.min(this.#firstNeeder[needed] as number, needers.place[operation] as number)
    }
    if (this.#isRead(operation)) return
    const made = result[operation] as number
    this.#firstMaker[made] = Math.min(this.#firstMaker[made] as number, makers.place[operation] as number)
  }

  // ---------------------------------------------------------------------------------------------- the way back

  #restore(frame: Frame): void {
    const { events } = this.#history
    while (this.#at > frame.at) {
      const event = events[--this.#at] as number
      if (event < 0) this.#called[~event] = (this.#called[~event] as number) - 1
      else if ((event & 1) === 0) this.#unlink(event >> 1)
      else this.#relink(event >> 1)
    }
    while (this.#trail.length > frame.trailLength) {
      const placed = this.#trail.pop() as number // the length says that there is one
      if (placed >= 0) {
        this.#unmark(placed)
        continue
      }
      const used = this.#used[~placed] as number
      // Undone in the reverse order, so it is the last one.
      if (used === 1) this.#inUse.pop()
      this.#used[~placed] = used - 1
    }
    this.#register = frame.register
    this.#lastBlindAt = frame.lastBlindAt
    this.#owed = frame.owed
  }

  #remember(): void {
    let here = this.#failed.get(this.#at)
    if (here === undefined) this.#failed.set(this.#at, (here = new Map()))
    const key = this.#configuration()
    const uses = this.#usesHere()
    const known = here.get(key)
    if (known === undefined) here.set(key, [uses])
    else known.push(uses)
    this.#failedCount++
  }

  #hasFailed(): boolean {
    const known = this.#failed.get(this.#at)?.get(this.#configuration())
    if (known === undefined) return false
    const uses = this.#usesHere()
    return known.some(failed => isWithin(failed, uses))
  }

  /** All of a configuration but the unknown operations: two bits for each open one. */
  #configuration(): string {
    const { callAt } = this.#history
    const head = this.#placed.length
    let key = `${this.#nameOf(this.#register)}${this.#owed ? "!" : ":"}`
    let bits = 0
    let count = 0
    for (let open = this.#next[head] as number; open !== head; open = this.#next[open] as number) {
      const isPlaced = this.#placed[open] === 1
      bits = (bits << 2) | (isPlaced ? 1 : 0) | (!isPlaced && (callAt[open] as number) <= this.#lastBlindAt ? 2 : 0)
      if (++count % 7 !== 0) continue
      key += String.fromCharCode(bits)
      bits = 0
    }
    return key + String.fromCharCode(bits)
  }

  /** Pairs of a class that still matters and how many of it were used. */
  #usesHere(): Int32Array {
    if (this.#inUse.length === 0) return nothingUsed
    const uses: number[] = []
    for (const group of this.#inUse.toSorted((a, b) => a - b))
      if (this.#at <= (this.#history.classUselessAfter[group] as number)) uses.push(group, this.#used[group] as number)
    return Int32Array.from(uses)
  }
}

/** The first operation of a value that is not placed; -1: all are. */
function firstFree({ start, operations }: Index, first: Int32Array, value: number, placed: Uint8Array): number {
  const end = start[value + 1] as number
  let place = first[value] as number
  while (place < end && placed[operations[place] as number] === 1) place++
  first[value] = place
  return place < end ? (operations[place] as number) : -1
}

const nothingUsed = new Int32Array(0)

/** Whether `less` uses no class more often than `more`. Both are ordered by class. */
function isWithin(less: Int32Array, more: Int32Array): boolean {
  let j = 0
  for (let i = 0; i < less.length; i += 2) {
    while (j < more.length && (more[j] as number) < (less[i] as number)) j += 2
    if (j >= more.length || more[j] !== less[i] || (more[j + 1] as number) < (less[i + 1] as number)) return false
  }
  return true
}
