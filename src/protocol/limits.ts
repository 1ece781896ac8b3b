/**
 * Every bound that both ends of a wire must agree on. What a node does at a bound is said beside it; bounds of one
 * node's own queues are in `config.ts`.
 */

/** Version of the protocol that this build speaks, and the oldest that it understands. Version 1 knew no groups and no tags in keys, 2 no channels. */
export const protoMax = 3
export const protoMin = 2

/** The version from which a process passes on what is published; one of an older version is not told. */
export const channelProto = 3

/** Longest key, in bytes. Longer: refused, `key-too-long`. */
export const maxKeyBytes = 4_096

/** Largest value, in bytes. Larger: refused, `value-too-large`. */
export const maxValueBytes = 8 * 1024 * 1024

/**
 * Most keys of one group, and the most bytes that its keys, values and compared values take, and that it writes: a touch writes the
 * whole value again. Beyond: refused, `group-too-large`.
 */
export const maxGroupKeys = 1_024
export const maxGroupBytes = maxValueBytes

/** Most bytes of the values that the keys of one group have when it is judged: all are read in one step. Beyond: refused likewise. */
export const maxGroupFoundBytes = 4 * maxGroupBytes

/** Longest name of a channel, or pattern of such, in bytes. Longer: refused. */
export const maxChannelBytes = 4_096

/** Names of channels in one message, in bytes together. A node that has more to tell says that it does not tell all. */
export const maxChannelNamesBytes = 4 * 1024 * 1024

/** Largest WebSocket frame. A larger one closes its connection: two values (one set if equal to the other), a key, and room. */
export const maxFrameBytes = 2 * maxValueBytes + 1024 * 1024

/** A sender starts a new frame when the current one has reached this; one larger message still goes alone. */
export const softFrameBytes = 256 * 1024

/** Most messages in one frame of a client, whose own cut (`softFrameBytes`) comes before 2,000 requests. More: the connection is closed. */
export const maxClientMessages = 16_384

/** Most members of a cluster. A joiner beyond is refused. */
export const maxMembers = 1_024

/** Most shards of a cluster: 65536, so that a shard number fits 16 bits. */
export const maxShards = 65_536

/** Longest name, address or zone of a member, in characters. */
export const maxNameChars = 255

/** Longest time that a request may stay under way, in ms; bounded so that no request outlives its dedup record. */
export const maxDeadlineMs = 60_000

/** Longest time to live, in ms (one hundred years): far, and well inside 48 bits. */
export const maxTtlMs = 100 * 365 * 24 * 3_600_000

/** Most keys that one message asks to read. A client asks for more in several. */
export const maxKeysRead = 1_024

/** How far a client's newest operation may be ahead of its oldest open one. Beyond: `busy`. */
export const maxOperationsAhead = 4_096

/** Most keys in one page of a listing. A client may ask for fewer. */
export const maxPageEntries = 8_192

/** Largest number of elements in one list of a message (operations, commands, entries, steps of a delta). */
export const maxListItems = 65_536

/** Largest number of integers in a packed view: a shard takes a fixed few and one for each of its holders. */
export const maxViewCells = 16 * maxShards

/** Most CBOR items in one frame: the largest packed view and as much again for the rest. Bounds what decoding costs. */
export const maxFrameItems = 2 * maxViewCells

/** Deepest nesting of lists in a frame; our own messages need 10. */
export const maxFrameDepth = 16

/** Longest explanation in a refusal, in characters. */
export const maxDetailChars = 1_000

/** The path of a node's port at which clients are accepted. */
export const clientPath = "/client"

/** The `flags` with which clients mark a value that is text; what `incr` writes is text. */
export const textFlags = 1

/** Keys that begin with this byte are what caches and doors keep for themselves; who lists keys does not see them unasked. */
export const reservedByte = 0

/** Bits of `flags` that mean something to the cache itself. An entry with this one is a lease: nobody but its holder sees it. */
export const leaseFlag = 0x4000

/** Its value begins with the tags that it bears, and is to be read only after asking for them. */
export const taggedFlag = 0x8000
