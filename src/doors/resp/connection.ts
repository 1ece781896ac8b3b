/**
 * One connection of the Redis door: takes commands in their order, answers in that order. Commands on different keys are
 * under way at the same time; one that touches a key of an earlier one waits for it, so that whoever pipelines sees its own
 * writes. What may wait here is bounded: at the bound the connection is not read further.
 */
import type { Socket } from "node:net"
import type { LocalCache } from "../local-cache.ts"
import { wordAt } from "./arguments.ts"
import { type Arguments, type ClientState, type Command, type Context, type ServerView } from "./command.ts"
import { keyOfDatabase } from "./keys.ts"
import { CommandParser, type ParseLimits, ProtocolError, type Words } from "./parse.ts"
import { CommandError } from "./refusals.ts"
import { error, ok, type Reply, ReplyWriter, type RespVersion } from "./reply.ts"
import { commandOf, connectionCommands, isArity } from "./table.ts"
import { Transaction } from "./transaction.ts"

export type ConnectionLimits = ParseLimits & {
  /** Commands of one connection under way or waiting; at this many it is not read. */
  readonly maxPending: number
  /** Bytes that a client has not taken; beyond, it is not served until it has, and dropped at twice that. */
  readonly maxUnsentBytes: number
}

export const connectionLimits: ConnectionLimits = {
  maxWordBytes: 8 * 1024 * 1024,
  maxCommandBytes: 64 * 1024 * 1024,
  maxWords: 131_072,
  maxInlineBytes: 64 * 1024,
  maxPending: 1_024,
  maxUnsentBytes: 32 * 1024 * 1024,
}

export type RespConnectionOptions = {
  readonly socket: Socket
  readonly client: ClientState
  readonly cache: LocalCache
  readonly server: ServerView
  readonly inline: "allowed" | "refused"
  readonly limits?: ConnectionLimits
  readonly wallMs: () => number
  /** An exception that is nobody's wrong input. */
  readonly failed: (error: unknown) => void
  readonly ended: () => void
}

/** A place in the order of replies; filled when its command is done, and written as the connection spoke when it began. */
type Slot = { reply: Reply | undefined; readonly version: RespVersion }

export class RespConnection {
  readonly client: ClientState
  readonly #options: RespConnectionOptions
  readonly #limits: ConnectionLimits
  readonly #parser: CommandParser
  readonly #writer = new ReplyWriter()
  /** Replies due, in order. The first unfilled one holds back those behind it. */
  readonly #slots: Slot[] = []
  /** Commands under way on a key. Whoever writes, or reads behind a writer, waits. */
  readonly #busyKeys = new Map<string, number>()
  #underWay = 0
  /** The next command, which cannot begin yet. */
  #held: Words | undefined
  #transaction: Transaction | undefined
  #watched = new Map<string, number>()
  #phase: "open" | "closing" | "closed" = "open"
  #input: "open" | "ended" = "open"
  #flushes: "no" | "due" = "no"

  constructor(options: RespConnectionOptions) {
    this.#options = options
    this.client = options.client
    this.#limits = options.limits ?? connectionLimits
    this.#parser = new CommandParser({ limits: this.#limits, inline: options.inline })
    const { socket } = options
    socket.setNoDelay(true)
    socket.on("data", chunk => this.#received(chunk))
    socket.on("drain", () => this.#go())
    socket.on("error", () => socket.destroy())
    socket.on("end", () => this.#finish())
    socket.on("close", () => this.#ended())
  }

  close(): void {
    this.#options.socket.destroy()
  }

  #received(chunk: Buffer): void {
    if (this.#phase !== "open") return
    this.#parser.add(chunk)
    this.#go()
  }

  /** Begins what can begin. */
  #go(): void {
    try {
      while (this.#phase === "open" && this.#hasRoom()) {
        const words = this.#held ?? this.#parser.next()
        this.#held = undefined
        if (words === undefined) {
          if (this.#input === "ended") this.#phase = "closing"
          break
        }
        if (!this.#begin(words)) {
          this.#held = words
          break
        }
      }
    } catch (problem) {
      if (!(problem instanceof ProtocolError)) throw problem
      this.#answer(error(`ERR ${problem.message}`))
      this.#phase = "closing"
    }
    this.#flushLater()
    const { socket } = this.#options
    if (this.#held === undefined && this.#hasRoom()) socket.resume()
    else socket.pause()
  }

  #hasRoom(): boolean {
    return (
      this.#slots.length < this.#limits.maxPending &&
      this.#options.socket.writableLength + this.#writer.waitingBytes < this.#limits.maxUnsentBytes
    )
  }

  /** False: it must wait for what is under way. */
  #begin(words: Words): boolean {
    if (this.#busyKeys.has(everyKey)) return false
    const name = wordAt(words, 0).toString("latin1").toLowerCase()
    const args = words.slice(1)
    const row = commandOf(name)
    const known = row ?? connectionCommands.find(one => one.name === name)
    if (known === undefined) return this.#refuse(unknownCommand(name, args))
    if (!isArity(known.arity, words.length)) return this.#refuse(`ERR wrong number of arguments for '${name}' command`)
    this.client.lastCommand = name
    if (row === undefined) return this.#own(name, args)
    if (this.#transaction !== undefined) {
      this.#answer(this.#transaction.add(row, args, this.#context()))
      return true
    }
    const keys = this.#keysOf(row, words)
    if (keys.some(key => this.#busyKeys.has(key))) return false
    this.#run(row, args, keys)
    return true
  }

  #run(row: Command, args: Arguments, keys: readonly string[]): void {
    let reply: Reply | Promise<Reply>
    try {
      reply = this.#execute(row, args)
    } catch (problem) {
      return this.#answer(this.#replyFor(problem))
    }
    if (!(reply instanceof Promise)) return this.#answer(reply)
    for (const key of keys) this.#busyKeys.set(key, (this.#busyKeys.get(key) ?? 0) + 1)
    this.#wait(reply, keys)
  }

  #execute(row: Command, args: Arguments): Reply | Promise<Reply> {
    const context = this.#context()
    if (row.run !== undefined) return row.run(context, args)
    return Transaction.single(row.transact, args, context)
  }

  #wait(reply: Promise<Reply>, keys: readonly string[]): void {
    const slot: Slot = { reply: undefined, version: this.client.version }
    this.#slots.push(slot)
    this.#underWay += 1
    reply
      .catch((problem: unknown) => this.#replyFor(problem))
      .then(reply => {
        slot.reply = reply
        this.#underWay -= 1
        for (const key of keys) {
          const others = (this.#busyKeys.get(key) ?? 1) - 1
          if (others > 0) this.#busyKeys.set(key, others)
          else this.#busyKeys.delete(key)
        }
        if (this.#phase !== "closed") this.#go()
      })
      .catch(this.#options.failed)
  }

  #replyFor(problem: unknown): Reply {
    if (problem instanceof CommandError) return error(problem.message)
    this.#options.failed(problem)
    return error("ERR internal error")
  }

  // ------------------------------------------------------------------------------------- what concerns the connection

  #own(name: string, args: Arguments): boolean {
    switch (name) {
      case "quit":
        this.#answer(ok)
        this.#phase = "closing"
        return true
      case "multi":
        if (this.#transaction !== undefined) return this.#refuse("ERR MULTI calls can not be nested")
        this.#transaction = new Transaction()
        this.#answer(ok)
        return true
      case "discard":
        if (this.#transaction === undefined) return this.#refuse("ERR DISCARD without MULTI")
        this.#transaction = undefined
        this.#watched.clear()
        this.#answer(ok)
        return true
      case "unwatch":
        this.#watched.clear()
        this.#answer(ok)
        return true
      case "watch":
        if (this.#transaction !== undefined) return this.#refuse("ERR WATCH inside MULTI is not allowed")
        // Alone, so that what it sees is what everything before it left.
        if (this.#underWay > 0) return false
        this.#alone(Transaction.watch(args, this.#context(), this.#watched))
        return true
      default: {
        if (this.#transaction === undefined) return this.#refuse("ERR EXEC without MULTI")
        if (this.#underWay > 0) return false
        const transaction = this.#transaction
        this.#transaction = undefined
        const watched = this.#watched
        this.#watched = new Map()
        this.#alone(transaction.execute(this.#context(), watched))
        return true
      }
    }
  }

  /** Nothing else of this connection begins before it is done. */
  #alone(reply: Promise<Reply>): void {
    this.#busyKeys.set(everyKey, 1)
    this.#wait(reply, [everyKey])
  }

  /** By database, one character a byte. */
  #keysOf({ keys: { first, last, step } }: Command, words: Words): string[] {
    if (first === 0) return []
    const end = last < 0 ? words.length + last : last
    const keys: string[] = []
    for (let i = first; i <= end; i += step) keys.push(`${this.client.database} ${words[i]?.toString("latin1")}`)
    return keys
  }

  #context(): Context {
    const { cache, server, wallMs } = this.#options
    return { cache, server, client: this.client, wallMs: wallMs(), key: keyOfDatabase(this.client.database) }
  }

  // -------------------------------------------------------------------------------------------------------- answering

  #refuse(text: string): true {
    if (this.#transaction !== undefined) this.#transaction.spoil()
    this.#answer(error(text))
    return true
  }

  #answer(reply: Reply): void {
    this.#slots.push({ reply, version: this.client.version })
  }

  /** At the end of the turn, so that what was answered in it leaves in one write. */
  #flushLater(): void {
    if (this.#flushes === "due" || this.#phase === "closed") return
    this.#flushes = "due"
    setImmediate(() => this.#flush())
  }

  #flush(): void {
    this.#flushes = "no"
    if (this.#phase === "closed") return
    let done = 0
    for (; done < this.#slots.length; done++) {
      const slot = this.#slots[done]
      if (slot?.reply === undefined) break
      this.#writer.version = slot.version
      this.#writer.write(slot.reply)
    }
    const { socket } = this.#options
    if (done > 0) {
      this.#slots.splice(0, done)
      socket.write(this.#writer.take())
    }
    if (this.#phase === "closing" && this.#slots.length === 0) socket.end()
    else if (done > 0) this.#go()
  }

  /** The client sends no more; it may still read what it asked for. */
  #finish(): void {
    this.#input = "ended"
    this.#go()
  }

  #ended(): void {
    if (this.#phase === "closed") return
    this.#phase = "closed"
    this.#slots.length = 0
    this.#options.ended()
  }
}

const everyKey = "*"

function unknownCommand(name: string, args: Arguments): string {
  const shown = args
    .slice(0, 20)
    .map(word => `'${word.toString("latin1", 0, 128)}' `)
    .join("")
  return `ERR unknown command '${name.slice(0, 128)}', with args beginning with: ${shown}`.slice(0, 512)
}
