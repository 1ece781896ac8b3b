/**
 * The pieces of which message tables are built. A `Field<T>` turns a value of type `T` into what the encoder is given,
 * and back, checking every length and range both ways: a wrong value that we produce is our own mistake (an assertion),
 * a wrong one that arrives is the sender's (`Malformed`, with the path of the offending field).
 *
 * Structures travel as arrays in the order of their table, not as maps with names: shorter, and decoding builds
 * nothing that the table does not name. Elements beyond the last field are ignored, so that a later version may append.
 * Knows nothing of bytes.
 */
import { assert } from "../base/assert.ts"

export type Field<T> = {
  /** What the encoder is given; adds the most bytes that it may take to `tally`. */
  readonly pack: (value: T, tally: Tally) => unknown
  /** The checked value; throws `Malformed`. */
  readonly unpack: (wire: unknown) => T
}

/** An upper bound of encoded bytes, counted while packing, so that frames can be cut before they are encoded. */
export type Tally = { bytes: number }

/** Why something that arrived was refused: the field's place in the message, and the rule that it breaks. */
export class Malformed extends Error {
  override name = "Malformed"
  readonly #rule: string
  readonly #path: string[] = []

  constructor(rule: string) {
    super(rule)
    this.#rule = rule
  }

  /** Adds one step before the path so far: called on the way out, by whoever knows where it is. */
  inside(step: string): this {
    this.#path.unshift(step)
    this.message = `${this.#path.join(".")} ${this.#rule}`
    return this
  }
}

/** The types of the tables: a message kind or a field that is missing, or one too many, does not compile. */
export type Shape<T> = { readonly [K in keyof T]-?: Field<T[K]> }
export type Variants<T, Tag extends keyof T> = {
  readonly [K in T[Tag] & string]: Variant<Omit<Extract<T, { readonly [P in Tag]: K }>, Tag>>
}
export type Variant<T> = { readonly number: number; readonly shape: Shape<T> }

/** One row of a table of variants: the number that stands for its name on the wire, never reused, and its fields. */
export function variant<T>(number: number, shape: Shape<T>): Variant<T> {
  return { number, shape }
}

// ------------------------------------------------------------------------------------------------------- numbers

/** An integer from 0 to `max`. */
export function uint(max: number): Field<number> {
  assert(Number.isSafeInteger(max), "an integer travels exactly")
  const rule = `must be an integer from 0 to ${max}`
  const fits = (value: unknown): value is number =>
    typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= max
  return checked(rule, fits, numberBytes)
}

/** Any integer that a JavaScript number holds exactly. */
export const int: Field<number> = checked(
  "must be an integer within 2^53",
  (value): value is number => Number.isSafeInteger(value),
  numberBytes,
)

/** A finite number, fractions allowed: a span of time. */
export const finite: Field<number> = checked("must be a finite number", isFinite, numberBytes)

/** The same, not negative. */
export const nonNegative: Field<number> = checked(
  "must be a finite number from 0",
  (value): value is number => isFinite(value) && value >= 0,
  numberBytes,
)

function isFinite(value: unknown): value is number {
  return Number.isFinite(value)
}

function numberBytes(value: number): number {
  return value >= 0 && value < 0x1_0000_0000 && Number.isInteger(value) ? 5 : 9
}

// ------------------------------------------------------------------------------------------------- text and bytes

export const flag: Field<boolean> = checked(
  "must be true or false",
  (value): value is boolean => typeof value === "boolean",
  () => 1,
)

/** Text of at most `maxChars` UTF-16 units without control characters: it ends up in logs and on terminals. */
export function text(maxChars: number): Field<string> {
  const rule = `must be text of at most ${maxChars} characters, none of them a control character`
  const fits = (value: unknown): value is string =>
    typeof value === "string" && value.length <= maxChars && !hasControlCharacter(value)
  return checked(rule, fits, value => 5 + 3 * value.length)
}

function hasControlCharacter(value: string): boolean {
  for (let i = 0; i < value.length; i++) {
    const unit = value.charCodeAt(i)
    if (unit < 0x20 || (unit >= 0x7f && unit < 0xa0)) return true
  }
  return false
}

/** 64 bits as 16 lower-case hex digits. */
export const hex64: Field<string> = checked(
  "must be 16 hex digits",
  (value): value is string => typeof value === "string" && /^[0-9a-f]{16}$/.test(value),
  () => 17,
)

/** Bytes. What `unpack` gives is a window onto the frame: who keeps it copies it. */
export function bytes(maxLength: number): Field<Uint8Array> {
  const fits = (value: unknown): value is Uint8Array => value instanceof Uint8Array && value.length <= maxLength
  return checked(`must be at most ${maxLength} bytes`, fits, value => 5 + value.length)
}

/** One of a few words, as text: rare enough that a number would only be harder to read. */
export function word<T extends string>(words: { readonly [K in T]: true }): Field<T> {
  const fits = (value: unknown): value is T => typeof value === "string" && Object.hasOwn(words, value)
  return checked(`must be one of ${Object.keys(words).join(", ")}`, fits, value => 5 + value.length)
}

/** Integers below 65536 as one byte string: a table of thousands is copied, not walked item by item. */
export function uint16s(maxItems: number): Field<readonly number[]> {
  return {
    pack: (values, tally) => {
      assert(values.length <= maxItems, `a list has at most ${maxItems} numbers`)
      const packed = new Uint8Array(2 * values.length)
      values.forEach((value, i) => {
        assert(Number.isInteger(value) && value >= 0 && value < 0x1_0000, "the number fits 16 bits")
        packed[2 * i] = value >> 8
        packed[2 * i + 1] = value
      })
      tally.bytes += 5 + packed.length
      return packed
    },
    unpack: wire => {
      if (!(wire instanceof Uint8Array) || wire.length > 2 * maxItems || wire.length % 2 !== 0)
        throw new Malformed(`must be at most ${maxItems} 16-bit numbers`)
      const values = new Array<number>(wire.length / 2)
      // Both indexes are within `wire`: its length is even.
      for (let i = 0; i < values.length; i++) values[i] = ((wire[2 * i] as number) << 8) | (wire[2 * i + 1] as number)
      return values
    },
  }
}

// ------------------------------------------------------------------------------------------------ composed fields

/** The same value is packed once, however many messages carry it: for long lists that go to everyone. */
export function packedOnce<T extends object>(field: Field<T>): Field<T> {
  const known = new WeakMap<T, { readonly wire: unknown; readonly bytes: number }>()
  return {
    pack: (value, tally) => {
      let packed = known.get(value)
      if (packed === undefined) {
        const own = { bytes: 0 }
        packed = { wire: field.pack(value, own), bytes: own.bytes }
        known.set(value, packed)
      }
      tally.bytes += packed.bytes
      return packed.wire
    },
    unpack: field.unpack,
  }
}

export function nullable<T>(field: Field<T>): Field<T | null> {
  return {
    pack: (value, tally) => {
      if (value !== null) return field.pack(value, tally)
      tally.bytes += 1
      return null
    },
    unpack: wire => (wire === null ? null : field.unpack(wire)),
  }
}

/** The same for a field that older builds neither send nor read: null where it is missing. */
export function appended<T>(field: Field<T>): Field<T | null> {
  const { pack, unpack } = nullable(field)
  return { pack, unpack: wire => unpack(wire ?? null) }
}

/** The same for what is false where nothing is said. */
export const appendedFlag: Field<boolean> = { pack: flag.pack, unpack: wire => flag.unpack(wire ?? false) }

export function list<T>(field: Field<T>, maxItems: number): Field<readonly T[]> {
  return {
    pack: (values, tally) => {
      assert(values.length <= maxItems, `a list has at most ${maxItems} items, not ${values.length}`)
      tally.bytes += 5
      return values.map(value => field.pack(value, tally))
    },
    unpack: wire => {
      if (!Array.isArray(wire)) throw new Malformed("must be a list")
      if (wire.length > maxItems) throw new Malformed(`must be a list of at most ${maxItems} items`)
      const items: unknown[] = wire
      let index = 0
      try {
        const values: T[] = []
        for (; index < items.length; index++) values.push(field.unpack(items[index]))
        return values
      } catch (error) {
        throw inside(`${index}`, error)
      }
    },
  }
}

export function pair<A, B>(first: Field<A>, second: Field<B>): Field<readonly [A, B]> {
  return {
    pack: (value, tally) => {
      tally.bytes += 1
      return [first.pack(value[0], tally), second.pack(value[1], tally)]
    },
    unpack: wire => {
      if (!Array.isArray(wire) || wire.length < 2) throw new Malformed("must be a pair")
      return [first.unpack(wire[0]), second.unpack(wire[1])]
    },
  }
}

/** A structure: an array with one element for each field, in the order of `shape`. */
export function struct<T extends object>(shape: Shape<T>): Field<T> {
  const row = new Row(shape, 0)
  return {
    pack: (value, tally) => row.pack(value, [], tally),
    // The row has a field for each key of T, by the type of `shape`, and each has been checked.
    unpack: wire => row.unpack(asArray(wire), {}) as T,
  }
}

/** A field that may be one of several structures: an array of the variant's number and its fields. */
export type Union<T> = Field<T> & {
  /** The name behind a variant's number; undefined: a newer version's. */
  readonly nameOf: (number: number) => string | undefined
}

export function union<T extends { readonly [P in Tag]: string }, Tag extends keyof T & string>(
  tag: Tag,
  variants: Variants<T, Tag>,
): Union<T> {
  const byName = new Map<string, { number: number; row: Row }>()
  const byNumber = new Map<number, { name: string; row: Row }>()
  for (const [name, { number, shape }] of Object.entries<Variant<object>>(variants)) {
    assert(!byNumber.has(number), `${name} has a number of its own`)
    const row = new Row(shape, 1)
    byName.set(name, { number, row })
    byNumber.set(number, { name, row })
  }
  return {
    nameOf: number => byNumber.get(number)?.name,
    pack: (value, tally) => {
      const known = byName.get(value[tag])
      assert(known !== undefined, `${tag} ${value[tag]} is in the table`)
      tally.bytes += 5
      return known.row.pack(value, [known.number], tally)
    },
    unpack: wire => {
      const items = asArray(wire)
      const known = typeof items[0] === "number" ? byNumber.get(items[0]) : undefined
      if (known === undefined) throw new Malformed(`has an unknown ${tag}`)
      try {
        // The variant has a row for each key of this member of T, by the type of `variants`, and each was checked.
        return known.row.unpack(items, { [tag]: known.name }) as T
      } catch (error) {
        throw inside(known.name, error)
      }
    },
  }
}

/** The fields of one structure in their order on the wire. */
class Row {
  readonly #names: readonly string[]
  readonly #fields: readonly Field<unknown>[]
  /** Elements before the first field. */
  readonly #offset: number

  constructor(shape: object, offset: number) {
    this.#names = Object.keys(shape)
    // Whoever builds a row has had the type of its shape checked; here only the order of the fields matters.
    this.#fields = Object.values(shape) as Field<unknown>[]
    this.#offset = offset
  }

  pack(value: object, into: unknown[], tally: Tally): unknown[] {
    tally.bytes += 2
    // A value of the type that the shape describes has all of its names.
    const fields = value as Readonly<Record<string, unknown>>
    let i = 0
    for (const field of this.#fields) into.push(field.pack(fields[this.#names[i++] as string], tally)) // as below
    return into
  }

  unpack(items: readonly unknown[], into: Record<string, unknown>): object {
    let i = 0
    try {
      for (const field of this.#fields) {
        into[this.#names[i] as string] = field.unpack(items[this.#offset + i]) // a name for each field
        i++
      }
      return into
    } catch (error) {
      throw inside(this.#names[i] as string, error) // the field that threw has a name
    }
  }
}

function asArray(wire: unknown): readonly unknown[] {
  if (!Array.isArray(wire)) throw new Malformed("must be a structure")
  return wire
}

/** A field whose value travels as it is. */
function checked<T>(rule: string, fits: (value: unknown) => value is T, sizeOf: (value: T) => number): Field<T> {
  return {
    pack: (value, tally) => {
      assert(fits(value), `a field of a message ${rule}`)
      tally.bytes += sizeOf(value)
      return value
    },
    unpack: wire => {
      if (!fits(wire)) throw new Malformed(rule)
      return wire
    },
  }
}

/** The same error with one more step of the path before it; what is not a refusal passes as it is. */
function inside(step: string, error: unknown): unknown {
  return error instanceof Malformed ? error.inside(step) : error
}
