/**
 * The addresses that a client knows, and how its connection to each stands: whom it can ask now, whom it may dial.
 * Sends nothing and knows nothing of operations. A client remembers every address it ever learned, within a bound, so
 * that it finds its cluster again after the nodes that it began with are long gone.
 */
import type { Prng } from "../base/prng.ts"
import type { Address, NodeId } from "../protocol/message.ts"

export type Connection =
  | { readonly kind: "none"; readonly lostAtMs: number; readonly redialAtMs: number }
  | { readonly kind: "dialing"; readonly giveUpAtMs: number }
  /** Open, but the node has not said which cluster it belongs to; nothing is asked of it before it has. */
  | { readonly kind: "greeting"; readonly giveUpAtMs: number }
  /** The node is not a member yet and will be asked again. */
  | { readonly kind: "joining"; readonly askAtMs: number }
  | { readonly kind: "ready"; readonly node: NodeId; readonly sinceMs: number }

export type Contact = {
  readonly address: Address
  readonly isSeed: boolean
  connection: Connection
  /** Connections in a row that came to nothing. */
  failures: number
  /** It answered for another cluster than ours when it was last asked. */
  isForeign: boolean
  triedAtMs: number
  heardAtMs: number
  /** Since when it has left a question unanswered; undefined: it speaks. */
  silentSinceMs: number | undefined
  probeAtMs: number
}

export type ContactLimits = {
  /** Addresses remembered; beyond, the one learned first is forgotten. */
  maxAddresses: number
  /** A failed address is dialed again after this, doubling. */
  firstRedialMs: number
  longestRedialMs: number
  /** The same while operations wait and nobody can be asked. */
  firstUrgentMs: number
  longestUrgentMs: number
}

/** A connection that broke sooner than this after it was ready counts as one that came to nothing. */
const settledMs = 1_000

export class Contacts {
  readonly #limits: ContactLimits
  readonly #prng: Prng
  readonly #contacts = new Map<Address, Contact>()
  #ready: Contact[] = []
  #readyByNode = new Map<NodeId, Contact>()
  #connected = 0

  constructor(options: { limits: ContactLimits; prng: Prng; seeds: readonly Address[] }) {
    this.#limits = options.limits
    this.#prng = options.prng
    for (const address of options.seeds) this.#add(address, true)
  }

  /** Those that can be asked. */
  get ready(): readonly Contact[] {
    return this.#ready
  }

  /** Connections that stand or are being made. */
  get connected(): number {
    return this.#connected
  }

  get(address: Address): Contact | undefined {
    return this.#contacts.get(address)
  }

  all(): IterableIterator<Contact> {
    return this.#contacts.values()
  }

  /** The connection to exactly this process, whatever address it was dialed at. */
  readyTo(node: NodeId): Contact | undefined {
    return this.#readyByNode.get(node)
  }

  learn(addresses: readonly Address[]): void {
    const current = new Set(addresses)
    for (const address of current) {
      if (address === "" || this.#contacts.has(address)) continue
      if (this.#contacts.size >= this.#limits.maxAddresses && !this.#forgetOne(current)) return
      this.#add(address, false)
    }
  }

  move(contact: Contact, connection: Connection): void {
    contact.connection = connection
    this.#ready = [...this.#contacts.values()].filter(one => one.connection.kind === "ready")
    this.#connected = 0
    this.#readyByNode = new Map()
    for (const one of this.#contacts.values()) {
      if (one.connection.kind !== "none") this.#connected++
      if (one.connection.kind === "ready") this.#readyByNode.set(one.connection.node, one)
    }
  }

  /** The connection ended or came to nothing; how soon it may be dialed again depends on how often that happened. */
  lost(contact: Contact, nowMs: number): void {
    const { connection } = contact
    const wasUseful = connection.kind === "ready" && nowMs - connection.sinceMs >= settledMs
    contact.failures = wasUseful ? 0 : contact.failures + 1
    const delayMs = contact.isForeign ? this.#limits.longestRedialMs : this.#redialDelayMs(contact.failures)
    this.move(contact, { kind: "none", lostAtMs: nowMs, redialAtMs: nowMs + delayMs })
  }

  /** When this address may be dialed; Infinity while it is connected. */
  dialableAtMs(contact: Contact, need: "patient" | "urgent"): number {
    if (contact.connection.kind !== "none") return Number.POSITIVE_INFINITY
    const { redialAtMs, lostAtMs } = contact.connection
    if (need === "patient" || contact.isForeign) return redialAtMs
    const { firstUrgentMs, longestUrgentMs } = this.#limits
    return Math.min(redialAtMs, lostAtMs + Math.min(longestUrgentMs, firstUrgentMs * 2 ** (contact.failures - 1)))
  }

  /**
   * Whom to dial when any node will do: of those that failed least, and were tried longest ago, one by chance, so that
   * a thousand clients do not all come to the first member of the list. Untried seeds come first and in order: whoever
   * wrote them down meant something by it.
   */
  next(nowMs: number, need: "patient" | "urgent"): Contact | undefined {
    let best: Contact[] = []
    for (const contact of this.#contacts.values()) {
      if (this.dialableAtMs(contact, need) > nowMs) continue
      const order = best[0] === undefined ? -1 : preference(contact, best[0])
      if (order < 0) best = [contact]
      else if (order === 0) best.push(contact)
    }
    if (best.length === 0) return undefined
    return best[0]?.isSeed ? best[0] : this.#prng.pick(best)
  }

  #redialDelayMs(failures: number): number {
    if (failures === 0) return 0
    const { firstRedialMs, longestRedialMs } = this.#limits
    const delayMs = Math.min(longestRedialMs, firstRedialMs * 2 ** (failures - 1))
    // Without the random part, all clients of a node that restarts would knock in the same instant.
    return delayMs * this.#prng.between(0.75, 1)
  }

  #add(address: Address, isSeed: boolean): void {
    if (this.#contacts.has(address)) return
    this.#contacts.set(address, {
      address,
      isSeed,
      connection: { kind: "none", lostAtMs: Number.NEGATIVE_INFINITY, redialAtMs: Number.NEGATIVE_INFINITY },
      failures: 0,
      isForeign: false,
      triedAtMs: Number.NEGATIVE_INFINITY,
      heardAtMs: Number.NEGATIVE_INFINITY,
      silentSinceMs: undefined,
      probeAtMs: Number.NEGATIVE_INFINITY,
    })
  }

  #forgetOne(current: ReadonlySet<Address>): boolean {
    for (const { address, isSeed, connection } of this.#contacts.values()) {
      if (!isSeed && connection.kind === "none" && !current.has(address)) return this.#contacts.delete(address)
    }
    return false
  }
}

/** Negative: `a` is the better one to dial. Seeds are never equal to learned addresses: ties are among one sort. */
function preference(a: Contact, b: Contact): number {
  if (a.failures !== b.failures) return a.failures - b.failures
  if (a.isSeed !== b.isSeed) return a.isSeed ? -1 : 1
  if (a.triedAtMs !== b.triedAtMs) return a.triedAtMs < b.triedAtMs ? -1 : 1
  return 0
}
