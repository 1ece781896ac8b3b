/**
 * The Redis door of a node: whoever speaks that protocol uses the cache through it, every key through any node. Holds the
 * connections and what they share.
 */
import { createServer, type Server, type Socket } from "node:net"
import { LocalCache, type LocalNode } from "../local-cache.ts"
import type { ChannelMessage, NodeId } from "../../protocol/message.ts"
import type { BroadcastLimits } from "./broadcast.ts"
import type { ChannelLimits } from "./channels.ts"
import { ClusterChannels } from "./cluster-channels.ts"
import type { ClientState, ServerView } from "./command.ts"
import { connectionLimits, RespConnection } from "./connection.ts"
import { HalfCommands, type HalfCommandLimits } from "./half-commands.ts"
import { ReplyWriter } from "./reply.ts"
import { type Cutoff, type Half, Memory, type RespCounts, type Shared, TurnEnd } from "./shared.ts"
import { commands } from "./table.ts"

export type RespDoorOptions = {
  readonly node: LocalNode & DoorNode
  readonly version: string
  readonly port: number
  /** Beyond, a connection is refused. */
  readonly maxConnections: number
  readonly wallMs: () => number
  /** Monotonic. */
  readonly nowMs: () => number
  /** An exception that is nobody's wrong input. */
  readonly failed: (error: unknown) => void
}

/** What the door needs of the node to reach other nodes' doors. */
export type DoorNode = {
  channelPeers(): readonly NodeId[]
  sendToDoor(peer: NodeId, message: ChannelMessage): void
}

/** Bounds of what is published and listened to, for all connections together. */
const channelLimits: ChannelLimits & BroadcastLimits = {
  maxSubscriptions: 262_144,
  maxPatternSubscriptions: 16_384,
  maxNameBytes: 64 * 1024 * 1024,
  deadlineMs: 1_000,
  forgetMs: 10_000,
  // Well below what may be unsent on a link, which carries copies of entries as well.
  windowBytes: 4 * 1024 * 1024,
  windowCount: 16_384,
  maxWaiting: 65_536,
  maxWaitingBytes: 64 * 1024 * 1024,
}

const halfCommandLimits: HalfCommandLimits = { halfCommandMs: 10_000, slowestBytesPerMs: 32, longestLookMs: 1_000 }

/** How often it is looked who has let a deadline pass, members and connections, while something is under way. */
const lookEveryMs = 100

/** The far end of a connection that nobody uses may be gone, with its machine: the systems ask. */
const listening = { noDelay: true, keepAlive: true, keepAliveInitialDelay: 30_000 }

/** What all connections together may keep in memory before each makes do with little. */
const maxMemoryBytes = 256 * 1024 * 1024

export function respListener(): Server {
  return createServer({ ...listening, allowHalfOpen: true })
}

export class RespDoor {
  readonly #options: RespDoorOptions
  readonly #connections = new Set<RespConnection>()
  readonly #shared: Shared
  #listener: Server | undefined
  readonly #channels: ClusterChannels
  #looking: NodeJS.Timeout | undefined
  #lastId = 0

  constructor(options: RespDoorOptions) {
    this.#options = options
    const { failed, node, nowMs, wallMs } = options
    const memory = new Memory(maxMemoryBytes)
    const counts: RespCounts = {
      ...{ connections: 0, unknownCommands: 0, errors: 0, cutoffs: new Map<Cutoff, number>() },
      commands: commands.map(() => 0),
    }
    const server: ServerView = {
      ...{ counts, memory, maxConnections: options.maxConnections },
      callsByCommand: () => commands.map(({ name, index }) => [name, counts.commands[index] ?? 0]),
      startedAtMs: wallMs(),
      version: options.version,
      port: options.port,
      clients: () => [...this.#connections].map(({ client }) => client),
    }
    this.#channels = new ClusterChannels({
      members: () => node.channelPeers(),
      send: (to, message) => node.sendToDoor(to, message),
      ...{ nowMs, limits: channelLimits },
      busy: () => this.#look(),
    })
    const halves = new HalfCommands<Half>(halfCommandLimits)
    this.#shared = {
      ...{ server, channels: this.#channels, wallMs, nowMs, failed, beforeInput: () => node.beforeInput() },
      cache: new LocalCache(node),
      writer: new ReplyWriter(),
      turnEnd: new TurnEnd(),
      ...{ memory, counts, halves, busy: () => this.#look() },
    }
  }

  /** Takes a connection over. With `inline`, commands may be plain lines as well. */
  accept(socket: Socket, inline: "allowed" | "refused"): void {
    const { maxConnections, wallMs } = this.#options
    const shared = this.#shared
    socket.on("error", () => socket.destroy())
    if (this.#connections.size >= maxConnections) {
      shared.counts.cutoffs.set("too-many-connections", (shared.counts.cutoffs.get("too-many-connections") ?? 0) + 1)
      return turnAway(socket)
    }
    const id = ++this.#lastId
    const client: ClientState = {
      id,
      remote: `${socket.remoteAddress}:${socket.remotePort}`,
      local: `${socket.localAddress}:${socket.localPort}`,
      connectedAtMs: wallMs(),
      version: 2,
      name: "",
      library: { name: "", version: "" },
      database: 0,
      lastCommand: "",
      activeAtMs: wallMs(),
      ...{ channels: 0, patterns: 0, queued: undefined, watching: 0, heldBytes: 0, unsentBytes: 0 },
    }
    shared.counts.connections += 1
    const connection = new RespConnection({
      ...{ socket, client, inline, shared },
      ended: () => this.#connections.delete(connection),
    })
    this.#connections.add(connection)
  }

  /** Takes over a port for this protocol alone: a `respListener` that listens already. */
  serve(listener: Server): void {
    this.#listener = listener
    listener.on("connection", socket => this.accept(socket, "allowed"))
  }

  /** What another node's door tells or asks. */
  receive(from: NodeId, message: ChannelMessage): void {
    this.#guarded(() => this.#channels.receive(from, message))
  }

  /** What was under way to this member may be lost. */
  linkLost(peer: NodeId): void {
    this.#guarded(() => this.#channels.linkLost(peer))
  }

  /** A mistake here is no reason for the node to end. */
  #guarded(step: () => void): void {
    try {
      step()
    } catch (error) {
      this.#options.failed(error)
    }
  }

  #look(): void {
    const look = () =>
      this.#guarded(() => {
        const { halves, nowMs } = this.#shared
        for (const connection of halves.overdue(nowMs())) connection.endHalf()
        if (this.#channels.tick() === "busy" || !halves.isAtRest) return
        clearInterval(this.#looking)
        this.#looking = undefined
      })
    this.#looking ??= setInterval(look, lookEveryMs)
  }

  /** For whoever watches the node. */
  figures() {
    const { counts, memory } = this.#shared
    const commands = counts.commands.reduce((sum, count) => sum + count, counts.unknownCommands)
    const { cutoffs, errors } = counts
    return {
      connections: this.#connections.size,
      commands,
      errors,
      memoryBytes: memory.bytes,
      cutoffs,
      channels: this.#channels.figures(),
    }
  }

  close(): void {
    clearInterval(this.#looking)
    this.#listener?.close()
    for (const connection of this.#connections) connection.close()
  }
}

/** Says why, and does not wait long for the other end to close its side, whatever it sends meanwhile. */
function turnAway(socket: Socket): void {
  socket.end("-ERR max number of clients reached\r\n")
  // Unread, its good-bye would not be seen.
  socket.resume()
  const linger = setTimeout(() => socket.destroy(), connectionLimits.lingerMs)
  socket.once("close", () => clearTimeout(linger))
}
