/**
 * One connection of the Redis door: takes commands in their order, answers in that order. Most are answered in the step in
 * which they were read. Those that take time are under way together, on different keys; one that touches a key of an
 * earlier one waits for it, so that whoever pipelines sees its own writes. What may wait here is bounded: at a bound the
 * connection is not read further.
 */
import type { Socket } from "node:net"
import { type Arguments, type ClientState, type Command, type Context, keyWordsOf, type ServerView } from "./command.ts"
import { keyOfDatabase } from "./keys.ts"
import { CommandParser, type ParseLimits, ProtocolError } from "./parse.ts"
import { CommandError } from "./refusals.ts"
import { error, ok, type Reply, type RespVersion } from "./reply.ts"
import { Subscriber, type SubscriberLimits } from "./subscriber.ts"
import type { Cutoff, Shared } from "./shared.ts"
import { commandNamed, isArity, type NumberedCommand } from "./table.ts"
import { inOneStep, Transaction } from "./transaction.ts"

export type ConnectionLimits = ParseLimits &
  SubscriberLimits & {
    /** Commands of one connection under way or waiting, and their bytes; beyond, it is not read. */
    readonly maxPending: number
    readonly maxPendingBytes: number
    /** Of the commands that a transaction has queued; beyond, it is refused. */
    readonly maxQueuedBytes: number
    /** A connection that is to be closed and is not, from the other end, is ended when nothing has passed for so long. */
    readonly lingerMs: number
    /** Bytes that a client has not taken; beyond, it is not served until it has. */
    readonly maxUnsentBytes: number
  }

export const connectionLimits: ConnectionLimits = {
  maxWordBytes: 8 * 1024 * 1024,
  maxCommandBytes: 64 * 1024 * 1024,
  maxWords: 131_072,
  maxInlineBytes: 64 * 1024,
  maxPending: 1_024,
  maxPendingBytes: 16 * 1024 * 1024,
  maxQueuedBytes: 16 * 1024 * 1024,
  maxUnsentBytes: 32 * 1024 * 1024,
  crowdedBytes: 64 * 1024,
  lingerMs: 5_000,
  maxSubscriptions: 16_384,
  // As Redis' client-output-buffer-limit has it for these.
  maxUnreadBytes: 32 * 1024 * 1024,
  longUnreadBytes: 8 * 1024 * 1024,
  longUnreadMs: 60_000,
}

export type RespConnectionOptions = {
  readonly socket: Socket
  readonly client: ClientState
  readonly shared: Shared
  readonly inline: "allowed" | "refused"
  readonly limits?: ConnectionLimits
  readonly ended: () => void
}

/** A place in the order of replies; filled when its command is done, and written as the connection spoke when it began. */
type Slot = { reply: Reply | undefined; readonly version: RespVersion }

/** A command that was read and cannot begin yet. */
type Held = { readonly row: NumberedCommand; readonly args: Arguments }

export class RespConnection {
  readonly client: ClientState
  readonly #shared: Shared
  readonly #socket: Socket
  readonly #ended: () => void
  readonly #limits: ConnectionLimits
  readonly #parser: CommandParser
  readonly #context: Context
  /** Replies due, in order. The first unfilled one holds back those behind it. */
  readonly #slots: Slot[] = []
  /** Commands under way on a key. Whoever writes, or reads behind a writer, waits. */
  readonly #busyKeys = new Map<string, number>()
  #underWay = 0
  #pendingBytes = 0
  #held: Held | undefined
  #transaction: Transaction | undefined
  #watched = new Map<string, number>()
  /** Undefined: it has never listened to anything. */
  #subscriber: Subscriber | undefined
  /** Of what was published to it and has not left its socket. */
  #pushedBytes = 0
  #phase: "open" | "closing" | "closed" = "open"
  #input: "flowing" | "paused" | "ended" = "flowing"
  #flush: "none" | "due" = "none"
  #accountedBytes = 0
  #unsent: "unwatched" | "watched" = "unwatched"
  /** Whether half a command is at hand, of which `halves` has been told. */
  #half: "none" | "begun" = "none"

  constructor({ socket, client, shared, inline, limits, ended }: RespConnectionOptions) {
    this.client = client
    this.#socket = socket
    this.#shared = shared
    this.#ended = ended
    this.#limits = limits ?? connectionLimits
    this.#parser = new CommandParser({ limits: this.#limits, inline })
    this.#context = new ConnectionContext(shared, client)
    socket.setNoDelay(true)
    socket.on("data", chunk => this.#received(chunk))
    socket.on("drain", () => this.#go())
    socket.on("error", () => socket.destroy())
    socket.on("end", () => this.#finish())
    socket.on("close", () => this.#closed())
  }

  get heldBytes(): number {
    return this.#parser.heldBytes
  }

  close(): void {
    this.#socket.destroy()
  }

  /** The rest of its command has not come. */
  endHalf(): void {
    if (this.#phase !== "open") return
    this.#half = "none"
    this.#answer(error("ERR half a command, and its end did not come in time"))
    this.#cutOff("half-command")
    this.#send()
  }

  // --------------------------------------------------------------------------------------------------------- reading

  #received(chunk: Buffer): void {
    if (this.#phase !== "open") return
    this.#shared.beforeInput()
    this.client.activeAtMs = this.#shared.wallMs()
    this.#parser.add(chunk)
    this.#go()
  }

  /** The client sends no more; it may still read what it asked for. */
  #finish(): void {
    this.#input = "ended"
    this.#go()
  }

  /** Begins what can begin, and sends what was answered. */
  #go(): void {
    if (this.#phase === "closed") return
    try {
      this.#beginAll()
    } catch (problem) {
      if (!(problem instanceof ProtocolError)) return this.#lost(problem)
      this.#answer(error(`ERR ${problem.message}`))
      this.#cutOff("protocol-error")
    }
    this.#send()
    this.#account()
    if (this.#phase === "open" && this.#shared.memory.isCrowded && this.#parser.heldBytes > this.#limits.crowdedBytes) {
      this.#answer(error("ERR this node holds too much of incomplete commands: yours is given up"))
      this.#cutOff("memory")
      this.#send()
    }
    this.#flow()
    this.#watchHalf()
  }

  /** Our own mistake: it costs this connection, and nobody else. */
  #lost(problem: unknown): void {
    this.#shared.failed(problem)
    this.#shared.writer.take()
    this.#socket.destroy()
  }

  #beginAll(): void {
    while (this.#phase === "open" && this.#hasRoom()) {
      const held = this.#held
      if (held !== undefined) {
        if (this.#mustWait(held.row, held.args)) return
        this.#held = undefined
        this.#begin(held.row, held.args)
      } else if (!this.#parser.next()) {
        if (this.#input === "ended") this.#beginClosing()
        return
      } else {
        this.#wholeCommand()
        this.#meet()
      }
    }
  }

  /** What is incomplete from here on is another command. */
  #wholeCommand(): void {
    if (this.#half === "none") return
    this.#half = "none"
    this.#shared.halves.ended(this)
  }

  /** Half a command has its time as long as it is this end that reads. */
  #watchHalf(): void {
    const isHalf = this.#phase === "open" && this.#input === "flowing" && this.#parser.heldBytes > 0
    if (!isHalf) return this.#wholeCommand()
    if (this.#half === "begun") return
    this.#half = "begun"
    this.#shared.halves.begun(this, this.#shared.nowMs())
    this.#shared.busy()
  }

  #hasRoom(): boolean {
    const { maxPending, maxPendingBytes, maxUnsentBytes, crowdedBytes } = this.#limits
    const { memory, writer } = this.#shared
    const unsentBytes = this.#socket.writableLength + writer.waitingBytes
    return (
      this.#slots.length < maxPending &&
      this.#pendingBytes < maxPendingBytes &&
      unsentBytes < (memory.isCrowded ? crowdedBytes : maxUnsentBytes)
    )
  }

  /** Reads on when there is room for more. */
  #flow(): void {
    if (this.#input === "ended" || this.#phase === "closed") return
    const isRoom = this.#held === undefined && this.#hasRoom()
    if (isRoom === (this.#input === "flowing")) return
    this.#input = isRoom ? "flowing" : "paused"
    if (isRoom) this.#socket.resume()
    else this.#socket.pause()
  }

  #account(): void {
    this.client.heldBytes = this.#parser.heldBytes
    this.client.unsentBytes = this.#socket.writableLength
    this.client.queued = this.#transaction?.length
    this.client.watching = this.#watched.size
    // Messages are shared, and counted once for all who have yet to take them.
    const repliesBytes = Math.max(0, this.client.unsentBytes - this.#pushedBytes)
    const queuedBytes = this.#transaction?.queuedBytes ?? 0
    const bytes = this.client.heldBytes + queuedBytes + this.#pendingBytes + repliesBytes
    if (this.client.unsentBytes > 0 && this.#unsent === "unwatched") this.#watchUnsent()
    if (bytes === this.#accountedBytes) return
    this.#shared.memory.change(bytes - this.#accountedBytes)
    this.#accountedBytes = bytes
  }

  /** A stream that is behind by little does not say when it has caught up; the end of a write behind all others does. */
  #watchUnsent(): void {
    // One that has been ended is accounted for when it is closed.
    if (!this.#socket.writable) return
    this.#unsent = "watched"
    this.#socket.write(nothing, problem => {
      this.#unsent = "unwatched"
      if (problem == null) this.#go()
    })
  }

  // --------------------------------------------------------------------------------------------------------- commands

  /** Takes the command that the parser has at hand. */
  #meet(): void {
    const parser = this.#parser
    const { counts } = this.#shared
    const { bytes, count, nameStart, nameEnd } = parser
    const row = commandNamed(bytes, nameStart, nameEnd)
    if (row === undefined) {
      counts.unknownCommands += 1
      return this.#refuse(unknownCommand(bytes.toString("latin1", nameStart, nameEnd), parser.args()))
    }
    counts.commands[row.index] = (counts.commands[row.index] ?? 0) + 1
    if (!isArity(row.arity, count)) return this.#refuse(`ERR wrong number of arguments for '${row.name}' command`)
    const args = parser.args()
    if (this.#isListening && row.isAllowedWhileSubscribed !== true) return this.#refuse(listens(fullName(row, args)))
    if (this.#underWay > 0 && this.#mustWait(row, args)) this.#held = { row, args }
    else this.#begin(row, args)
  }

  /** Listening by the older version of the protocol, in which everything that it is sent looks like a message. */
  get #isListening(): boolean {
    return this.#subscriber !== undefined && this.#subscriber.count > 0 && this.client.version === 2
  }

  /** Whether it comes after something that is under way. */
  #mustWait(row: NumberedCommand, args: Arguments): boolean {
    if (this.#underWay === 0) return false
    if (this.#busyKeys.has(everyKey) || row.isWhole || isAlone(row)) return true
    if (this.#transaction !== undefined) return false
    return row.isNews ? this.#busyKeys.size > 0 : this.#keysOf(row, args).some(key => this.#busyKeys.has(key))
  }

  #begin(row: NumberedCommand, args: Arguments): void {
    this.client.lastCommand = row.subcommands === undefined ? row.name : fullName(row, args)
    // What was published before it was asked goes before its answer.
    if (this.#subscriber !== undefined && this.#subscriber.waitingBytes > 0) this.#push()
    if (row.own !== undefined) return this.#own(row.own, args)
    if (this.#transaction !== undefined) return this.#answer(this.#transaction.add(row, args, this.#context))
    const context = this.#context
    let reply: Reply | Promise<Reply>
    try {
      reply =
        row.run !== undefined ? row.run(context, args) : inOneStep(row.transact, keyWordsOf(row, args), args, context)
    } catch (problem) {
      return this.#answer(this.#replyFor(problem))
    }
    if (reply instanceof Promise) this.#wait(reply, row.isWhole ? [everyKey] : this.#keysOf(row, args), bytesOf(args))
    else this.#answer(reply)
  }

  #wait(reply: Promise<Reply>, keys: readonly string[], bytes: number): void {
    const slot: Slot = { reply: undefined, version: this.client.version }
    this.#slots.push(slot)
    this.#underWay += 1
    this.#pendingBytes += bytes
    for (const key of keys) this.#busyKeys.set(key, (this.#busyKeys.get(key) ?? 0) + 1)
    reply
      .catch((problem: unknown) => this.#replyFor(problem))
      .then(reply => {
        slot.reply = reply
        this.#underWay -= 1
        this.#pendingBytes -= bytes
        for (const key of keys) {
          const others = (this.#busyKeys.get(key) ?? 1) - 1
          if (others > 0) this.#busyKeys.set(key, others)
          else this.#busyKeys.delete(key)
        }
        this.#goLater()
      })
      .catch(this.#shared.failed)
  }

  /** By database, one character a byte. */
  #keysOf(row: Command, args: Arguments): string[] {
    return keyWordsOf(row, args).map(word => `${this.client.database} ${word.toString("latin1")}`)
  }

  #replyFor(problem: unknown): Reply {
    if (problem instanceof CommandError) return error(problem.message)
    this.#shared.failed(problem)
    return error("ERR internal error")
  }

  // ------------------------------------------------------------------------------------- what concerns the connection

  #own(command: NonNullable<Command["own"]>, args: Arguments): void {
    const isQueueing = this.#transaction !== undefined
    switch (command) {
      case "quit":
        this.#answer(ok)
        return this.#beginClosing()
      case "reset":
        this.#transaction = undefined
        this.#watched.clear()
        this.#subscriber?.leave()
        this.client.database = 0
        this.client.name = ""
        this.client.version = 2
        return this.#answer({ kind: "status", text: "RESET" })
      case "multi":
        if (isQueueing) return this.#answer(error("ERR MULTI calls can not be nested"))
        this.#transaction = this.#newTransaction()
        return this.#answer(ok)
      case "discard":
        if (!isQueueing) return this.#answer(error("ERR DISCARD without MULTI"))
        this.#transaction = undefined
        this.#watched.clear()
        return this.#answer(ok)
      case "unwatch":
        if (isQueueing) return this.#answer(this.#transaction?.addUnwatch(this.#context) ?? ok)
        this.#watched.clear()
        return this.#answer(ok)
      case "watch":
        if (isQueueing) return this.#answer(error("ERR WATCH inside MULTI is not allowed"))
        // Alone, so that what it sees is what everything before it left.
        return this.#alone(Transaction.watch(args, this.#context, this.#watched), 0)
      case "exec": {
        const transaction = this.#transaction
        if (transaction === undefined) return this.#answer(error("ERR EXEC without MULTI"))
        this.#transaction = undefined
        this.#watched = new Map()
        return this.#alone(transaction.execute(this.#context), transaction.queuedBytes)
      }
      case "subscribe":
      case "psubscribe":
      case "unsubscribe":
      case "punsubscribe":
        if (isQueueing) return this.#refuse(notInTransaction(command))
        return this.#listen(command, args)
    }
  }

  #listen(command: "subscribe" | "psubscribe" | "unsubscribe" | "punsubscribe", args: Arguments): void {
    const subscriber = (this.#subscriber ??= this.#newSubscriber())
    const kind = command === "subscribe" || command === "unsubscribe" ? "channel" : "pattern"
    const isMore = command === "subscribe" || command === "psubscribe"
    try {
      this.#answer(isMore ? subscriber.subscribe(kind, args) : subscriber.unsubscribe(kind, args))
    } catch (problem) {
      this.#answer(this.#replyFor(problem))
    }
  }

  #newTransaction(): Transaction {
    const { memory } = this.#shared
    const { maxQueuedBytes, crowdedBytes } = this.#limits
    return new Transaction(this.#watched, () => (memory.isCrowded ? crowdedBytes : maxQueuedBytes))
  }

  #newSubscriber(): Subscriber {
    const { channels, memory, nowMs, turnEnd } = this.#shared
    return new Subscriber({
      client: this.client,
      channels: channels.here,
      ...{ limits: this.#limits, memory },
      nowMs,
      unsentBytes: () => this.#socket.writableLength,
      due: () =>
        turnEnd.defer(() => {
          this.#push()
          this.#account()
        }),
      tooSlow: () => {
        this.#count("slow-reader")
        this.#socket.destroy()
      },
    })
  }

  /** Sends what was published to this connection, after what it has been answered so far. */
  #push(): void {
    if (this.#subscriber === undefined || this.#subscriber.waitingBytes === 0) return
    this.#send()
    this.#writePushed()
  }

  #writePushed(): void {
    const deliveries = this.#subscriber?.take() ?? []
    if (deliveries.length === 0) return
    const { memory } = this.#shared
    const bytes = deliveries.reduce((sum, delivery) => sum + delivery.bytes, 0)
    const parts = deliveries.flatMap(({ parts }) => parts)
    this.#pushedBytes += bytes
    writeAll(this.#socket, parts, () => {
      this.#pushedBytes -= bytes
      for (const delivery of deliveries) memory.release(delivery)
    })
  }

  /** Nothing else of this connection begins before it is done. */
  #alone(reply: Promise<Reply>, bytes: number): void {
    this.#wait(reply, [everyKey], bytes)
  }

  // -------------------------------------------------------------------------------------------------------- answering

  /** Of what is no command. */
  #refuse(text: string): void {
    this.#transaction?.spoil()
    this.#answer(error(text))
  }

  #answer(reply: Reply): void {
    if (reply.kind === "error") this.#shared.counts.errors += 1
    const { version } = this.client
    if (this.#slots.length > 0) this.#slots.push({ reply, version })
    else {
      const { writer } = this.#shared
      writer.version = version
      writer.write(reply)
    }
  }

  /** What was answered outside of a step leaves at the end of the turn. */
  #goLater(): void {
    if (this.#flush === "due" || this.#phase === "closed") return
    this.#flush = "due"
    this.#shared.turnEnd.defer(() => {
      this.#flush = "none"
      this.#writeFilled()
      this.#go()
    })
  }

  #writeFilled(): void {
    const { writer } = this.#shared
    const slots = this.#slots
    let done = 0
    for (; done < slots.length; done++) {
      const slot = slots[done]
      if (slot?.reply === undefined) break
      writer.version = slot.version
      writer.write(slot.reply)
    }
    if (done > 0) slots.splice(0, done)
  }

  #send(): void {
    this.#writeFilled()
    const parts = this.#shared.writer.take()
    if (this.#phase === "closed") return
    writeAll(this.#socket, parts)
    if (this.#phase === "closing" && this.#slots.length === 0) this.#end()
  }

  /** The other end may take its time to read what is left, and none to do nothing. */
  #end(): void {
    const socket = this.#socket
    if (socket.writableEnded) return
    // Published to it before it left.
    this.#writePushed()
    socket.end()
    socket.setTimeout(this.#limits.lingerMs, () => socket.destroy())
    // What still comes is read, and is nothing any more: else the other end's good-bye would not be seen.
    socket.resume()
  }

  /** Says nothing more after what is due, and reads nothing more. */
  #cutOff(why: Cutoff): void {
    this.#count(why)
    this.#beginClosing()
  }

  /** It begins nothing more and is no listener any more; what is under way is still answered. */
  #beginClosing(): void {
    this.#phase = "closing"
    this.#subscriber?.leave()
  }

  #count(why: Cutoff): void {
    const { cutoffs } = this.#shared.counts
    cutoffs.set(why, (cutoffs.get(why) ?? 0) + 1)
  }

  #closed(): void {
    if (this.#phase === "closed") return
    this.#phase = "closed"
    this.#slots.length = 0
    this.#held = undefined
    this.#wholeCommand()
    this.#subscriber?.leave()
    for (const delivery of this.#subscriber?.take() ?? []) this.#shared.memory.release(delivery)
    this.#shared.memory.change(-this.#accountedBytes)
    this.#accountedBytes = 0
    this.#ended()
  }
}

const everyKey = "*"
const nothing = Buffer.alloc(0)

/** What it answers or changes is of one moment: nothing that came before it is under way any more. */
function isAlone({ own }: Command): boolean {
  switch (own) {
    case "watch":
    case "exec":
    case "subscribe":
    case "psubscribe":
    case "unsubscribe":
    case "punsubscribe":
      return true
    default:
      return false
  }
}

/** `written` is called when the last of them has left the socket, or never will: the socket was destroyed. */
function writeAll(socket: Socket, parts: readonly Buffer[], written?: () => void): void {
  if (parts.length > 1) socket.cork()
  for (const [i, part] of parts.entries()) socket.write(part, i === parts.length - 1 ? written : undefined)
  if (parts.length > 1) socket.uncork()
}

function listens(name: string): string {
  const allowed = "only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
  return `ERR Can't execute '${name}': ${allowed}`
}

function notInTransaction(name: string): string {
  return `ERR '${name}' cannot be part of a transaction here: channels are no keys`
}

/** What commands see of their connection. */
class ConnectionContext implements Context {
  readonly client: ClientState
  readonly #shared: Shared

  constructor(shared: Shared, client: ClientState) {
    this.#shared = shared
    this.client = client
  }

  get cache() {
    return this.#shared.cache
  }

  get server(): ServerView {
    return this.#shared.server
  }

  get channels() {
    return this.#shared.channels
  }

  get wallMs(): number {
    return this.#shared.wallMs()
  }

  key(word: Buffer): Uint8Array {
    return keyOfDatabase(this.client.database, word)
  }

  naming(): (word: Buffer) => Uint8Array {
    const { database } = this.client
    return word => keyOfDatabase(database, word)
  }
}

/** With the second word, where that is part of the name. */
function fullName({ name, subcommands = {} }: Command, args: Arguments): string {
  const word = args[0]?.toString("latin1").toLowerCase() ?? ""
  return Object.hasOwn(subcommands, word) ? `${name}|${word}` : name
}

function bytesOf(args: Arguments): number {
  let bytes = 0
  for (const arg of args) bytes += arg.length
  return bytes
}

function unknownCommand(name: string, args: Arguments): string {
  const shown = args
    .slice(0, 20)
    .map(word => `'${word.toString("latin1", 0, 128)}' `)
    .join("")
  return `ERR unknown command '${name.slice(0, 128)}', with args beginning with: ${shown}`.slice(0, 512)
}
