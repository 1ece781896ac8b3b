/**
 * One node of a cluster as far as a client can see it, on a real loopback socket: greets, answers, and misbehaves as a
 * test says. Nodes made with the same `FakeCluster` share entries and a view.
 */
import { createServer, type Server, type Socket } from "node:net"
import { type WebSocket, WebSocketServer } from "ws"
import { shardOfKey } from "../../core/ring.ts"
import { decodeForNode, encodeClientFrame, packForClient } from "../../protocol/codec.ts"
import { clientPath, leaseFlag, textFlags } from "../../protocol/limits.ts"
import type {
  Address,
  ClientMember,
  ClientToNode,
  NodeToClient,
  Operation,
  Reply,
  Request,
  ShardOperation,
} from "../../protocol/message.ts"

type Entry = { value: Uint8Array; flags: number; version: number; ttlMs: number | null }

/** "as-usual": execute and answer. "hang-up": execute, and break the connection instead of answering. */
export type Behaviour = (request: Request) => Reply | "silence" | "as-usual" | "hang-up"

export class FakeCluster {
  readonly entries = new Map<string, Entry>()
  readonly members: ClientMember[] = []
  /** Index of the member that leads every shard. */
  primary = 0
  clusterId = "fake"
  #version = 0
  readonly #executed = new Map<string, Reply>()

  /** A member that is only talked about. */
  addMember(clientAddr: Address): ClientMember {
    const number = this.members.length
    const member = { id: `${number}`.padStart(16, "0"), name: `fake-${number}`, addr: clientAddr, clientAddr }
    this.members.push(member)
    return member
  }

  view(self: string): NodeToClient {
    const { clusterId, members } = this
    const primaries = [this.primary, this.primary, this.primary, this.primary]
    return {
      kind: "client-view",
      self,
      clusterId,
      proto: 1,
      epoch: 1,
      membersEpoch: 1,
      hashKey: [3, 4],
      members,
      primaries,
    }
  }

  /** Exactly once for each number of each client. */
  execute(request: Request): Reply {
    const id = `${request.clientId} ${request.n}`
    const reply = this.#executed.get(id) ?? this.#run(request.operation, Buffer.from(request.key).toString("hex"))
    this.#executed.set(id, reply)
    return reply
  }

  read({ key, operation }: Request): Reply {
    return this.#run(operation, Buffer.from(key).toString("hex"))
  }

  #run(operation: Operation, key: string): Reply {
    if (operation.op === "scan" || operation.op === "size" || operation.op === "clear")
      return this.#runOnShards(operation)
    if (operation.op === "group") return { kind: "rejected", reason: "bad-request" }
    const held = this.entries.get(key)
    // A lease is seen by who names its version, or wants one.
    const isSeen = !isLease(held) || (operation.op === "set" && isLease(operation)) || namesVersion(operation, held)
    const entry = isSeen ? held : undefined
    if (operation.op === "set" || operation.op === "delete" || operation.op === "touch") {
      const unmet = unmetBy(operation, entry)
      if (unmet !== undefined) return unmet
    }
    switch (operation.op) {
      case "get":
        return entry === undefined ? { kind: "missing" } : { kind: "value", ...entry }
      case "ttl":
        return entry === undefined ? { kind: "missing" } : { kind: "ttl", ttlMs: entry.ttlMs, version: entry.version }
      case "delete":
        return this.entries.delete(key) ? { kind: "deleted" } : { kind: "missing" }
      case "touch":
        if (entry === undefined) return { kind: "missing" }
        entry.ttlMs = operation.ttlMs
        return { kind: "touched", version: entry.version }
      case "set": {
        const ttlMs = operation.ttlMs === "keep" ? (entry?.ttlMs ?? null) : operation.ttlMs
        return {
          kind: "stored",
          version: this.#put(key, { ...operation, ttlMs, value: Uint8Array.from(operation.value) }),
        }
      }
      case "incr": {
        const text = Buffer.from(entry?.value ?? Buffer.from("0")).toString()
        if (!/^-?\d+$/.test(text)) return { kind: "not-a-number" }
        const value = Number(text) + operation.by
        const flags = entry?.flags ?? textFlags
        const ttlMs = entry === undefined ? operation.ttlMs : entry.ttlMs
        const version = this.#put(key, { value: Buffer.from(`${value}`), flags, ttlMs })
        return { kind: "counted", value, version, ttlMs }
      }
    }
  }

  /** Each page is complete. */
  #runOnShards(operation: ShardOperation): Reply {
    const shards = operation.op === "clear" ? [operation.shard] : operation.shards
    const prefix = operation.op === "size" ? "" : Buffer.from(operation.prefix).toString("hex")
    const held = [...this.entries].filter(
      ([key, entry]) =>
        !isLease(entry) &&
        (prefix === "" ? !key.startsWith("00") : key.startsWith(prefix)) &&
        shards.includes(shardOfKey(Buffer.from(key, "hex"), { hashKey: [3, 4], shardCount: 4 })),
    )
    if (operation.op === "size") return { kind: "size", entries: held.length, bytes: 0, next: null }
    if (operation.op === "clear") {
      for (const [key] of held) this.entries.delete(key)
      return { kind: "cleared", count: held.length, next: null }
    }
    const entries = held.map(([key, { value, flags, version, ttlMs }]) => ({
      key: Buffer.from(key, "hex"),
      details: operation.want === "keys" ? null : { flags, version, ttlMs, valueBytes: value.length },
      value: operation.want === "values" ? value : null,
    }))
    return { kind: "page", entries, next: null }
  }

  #put(key: string, { value, flags, ttlMs }: Omit<Entry, "version">): number {
    const version = ++this.#version
    this.entries.set(key, { value, flags, ttlMs, version })
    return version
  }
}

function isLease(entry: { readonly flags: number } | undefined): boolean {
  return entry !== undefined && (entry.flags & leaseFlag) !== 0
}

function namesVersion(operation: Operation, held: Entry | undefined): boolean {
  return (
    "condition" in operation && operation.condition?.if === "version" && operation.condition.version === held?.version
  )
}

function unmetBy(
  { condition }: Extract<Operation, { op: "set" | "delete" | "touch" }>,
  entry: Entry | undefined,
): Reply | undefined {
  if (condition === null) return undefined
  if (condition.if === "absent") return entry === undefined ? undefined : { kind: "unmet", version: entry.version }
  if (entry === undefined) return { kind: "missing" }
  const isMet =
    condition.if === "present" ||
    (condition.if === "version" && condition.version === entry.version) ||
    (condition.if === "value" && Buffer.compare(condition.value, entry.value) === 0)
  return isMet ? undefined : { kind: "unmet", version: entry.version }
}

export class FakeNode implements AsyncDisposable {
  readonly member: ClientMember
  /** Frames that arrived, as the messages in each. */
  readonly frames: (readonly ClientToNode[])[] = []
  behaviour: Behaviour = () => "as-usual"
  /** "silent": nothing is ever said, not even in answer to a ping. */
  phase: "member" | "joining" | "silent" = "member"
  readonly port: number
  readonly #cluster: FakeCluster
  #server: WebSocketServer

  private constructor(cluster: FakeCluster, server: WebSocketServer, port: number) {
    this.#cluster = cluster
    this.#server = server
    this.port = port
    this.member = cluster.addMember(`127.0.0.1:${port}`)
    this.#serve()
  }

  static async start(cluster: FakeCluster): Promise<FakeNode> {
    const server = await listening(0)
    const address = server.address()
    if (address === null || typeof address === "string") throw new Error("a server that listens has a port")
    return new FakeNode(cluster, server, address.port)
  }

  get address(): Address {
    return this.member.clientAddr
  }

  get requests(): Request[] {
    return this.frames.flat().flatMap(message => (message.kind === "request" ? [message.request] : []))
  }

  get connections(): number {
    return this.#server.clients.size
  }

  breakConnections(): void {
    for (const client of this.#server.clients) client.terminate()
  }

  /** As a killed process: connections break, the port refuses. */
  async vanish(): Promise<void> {
    const closed = new Promise(resolve => this.#server.close(resolve))
    this.breakConnections()
    await closed
  }

  async comeBack(): Promise<void> {
    this.#server = await listening(this.port)
    this.#serve()
  }

  /** Says this to every client. */
  tell(...messages: NodeToClient[]): void {
    for (const client of this.#server.clients) say(client, ...messages)
  }

  /** Sends these bytes to every client, whatever they are. */
  sendRaw(frame: Uint8Array | string): void {
    for (const client of this.#server.clients) client.send(frame)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.vanish()
  }

  #serve(): void {
    this.#server.on("connection", client => {
      client.on("error", () => client.terminate())
      client.on("message", data => {
        const decoded = decodeForNode(data as Buffer) // nothing else was asked for
        if (decoded.kind === "malformed") throw new Error(decoded.reason)
        this.frames.push(decoded.messages)
        for (const message of decoded.messages) this.#answer(client, message)
      })
    })
  }

  #answer(client: WebSocket, message: ClientToNode): void {
    if (this.phase === "silent") return
    if (message.kind === "request") return this.#answerRequest(client, message)
    if (message.kind === "read-many") return this.#answerReads(client, message)
    if (message.kind === "status-request") {
      const { id, name, addr } = this.member
      const view = {
        clusterId: "fake",
        epoch: 1,
        membersEpoch: 1,
        copies: 1,
        proto: 1,
        lost: [],
        shardCount: 4,
        underReplicated: 0,
        orphans: 0,
      }
      const node = { phase: "member", version: "0", members: [], hasLease: true, leading: 4, serving: 4 } as const
      const held = {
        entries: this.#cluster.entries.size,
        bytes: 0,
        maxBytes: 0,
        transfersOpen: 0,
        crowded: 0,
        forgetting: null,
        disk: null,
        awaited: null,
      }
      return say(client, { kind: "status", n: message.n, report: { id, name, addr, ...view, ...node, ...held } })
    }
    say(
      client,
      this.phase === "member" ? this.#cluster.view(this.member.id) : { kind: "client-not-ready", addresses: [] },
    )
  }

  /** What is to be answered in a way of its own is to be asked for alone. */
  #answerReads(client: WebSocket, { n, keys }: Extract<ClientToNode, { kind: "read-many" }>): void {
    const results = keys.map(key => {
      const request = { clientId: "0".repeat(16), n: 1, ackedBelow: 1, firstEpoch: 1, deadlineMs: 1, key }
      const asked: Request = { ...request, operation: { op: "get" } }
      const reply = this.behaviour(asked) === "as-usual" ? this.#cluster.read(asked) : undefined
      return reply?.kind === "value" || reply?.kind === "missing" ? reply : null
    })
    say(client, { kind: "many-read", n, results, epoch: 1 })
  }

  #answerRequest(client: WebSocket, { attempt, request }: Extract<ClientToNode, { kind: "request" }>): void {
    const how = this.behaviour(request)
    if (how === "silence") return
    const reply = how === "as-usual" || how === "hang-up" ? this.#cluster.execute(request) : how
    if (how === "hang-up") client.terminate()
    else say(client, { kind: "reply", n: request.n, attempt, reply, epoch: 1 })
  }
}

function say(client: WebSocket, ...messages: NodeToClient[]): void {
  client.send(encodeClientFrame(messages.map(message => packForClient(message))))
}

async function listening(port: number): Promise<WebSocketServer> {
  const options = { host: "127.0.0.1", port, path: clientPath, perMessageDeflate: false, autoPong: false }
  const server = new WebSocketServer(options)
  await new Promise<void>((resolve, reject) => {
    server.once("listening", resolve)
    server.once("error", reject)
  })
  return server
}

/** A port that takes connections and says nothing: an address that leads nowhere, without a refusal. */
export async function blackHole(): Promise<{ address: Address; close: () => Promise<void> }> {
  const sockets = new Set<Socket>()
  const server: Server = createServer(socket => sockets.add(socket.on("error", () => socket.destroy())))
  await new Promise<void>(resolve => server.listen({ host: "127.0.0.1", port: 0 }, resolve))
  const address = server.address()
  if (address === null || typeof address === "string") throw new Error("a server that listens has a port")
  const close = async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise(resolve => server.close(resolve))
  }
  return { address: `127.0.0.1:${address.port}`, close }
}
