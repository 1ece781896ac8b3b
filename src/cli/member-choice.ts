/** Which member a person means: by id, by name or by address. Pure. */
import { defaultPort, formatAddress, parseAddress } from "../base/address.ts"
import type { Address, NodeId } from "../protocol/message.ts"
import { exitCodes } from "./exit-codes.ts"
import { CommandFailure } from "./failure.ts"

type Named = {
  readonly id: NodeId
  readonly name: string
  readonly address: Address
  readonly clientAddress: Address
}

/** Fewer digits of an id than this are taken for a name. */
const shortestIdChars = 4

/**
 * The one member that is meant, or a `CommandFailure` that names the candidates. What is meant must be beyond doubt: the
 * commands that ask for it take a node out of the cluster.
 */
export function memberMeant<M extends Named>(members: readonly M[], text: string): M {
  const matches = members.filter(member => isMeant(member, text))
  const [first, second] = matches
  if (first !== undefined && second === undefined) return first
  if (first === undefined)
    throw new CommandFailure(exitCodes.no, `no member is "${text}"; there are ${members.map(inFull).join(", ")}`)
  const all = matches.map(inFull).join(" and ")
  throw new CommandFailure(exitCodes.usage, `"${text}" is more than one member: ${all}; name one by its id`)
}

/** As a person would tell two of one name apart. */
export function inFull({ id, name, address }: Named): string {
  return `${name} (${id}, ${address})`
}

function isMeant({ id, name, address, clientAddress }: Named, text: string): boolean {
  if (id === text || name === text) return true
  if (text.length >= shortestIdChars && /^[0-9a-f]+$/.test(text) && id.startsWith(text)) return true
  const parsed = parseAddress(text, { defaultPort, portZero: "refused" })
  if ("problem" in parsed) return false
  const given = formatAddress(parsed)
  return address === given || clientAddress === given
}
