/**
 * What a policy is to this bench: a cache of sized keys that is asked for one after another. Values do not matter here;
 * which key is forgotten for which does.
 */

export interface Policy {
  /** Asks for the key, and puts it in when it was not there. Returns whether it was. */
  request(key: number): boolean
}

export type PolicyOptions = {
  /** In the unit of `sizes`. */
  readonly capacity: number
  /** Of each key. Keys are whole numbers from 0, so that what is known of them fits arrays. */
  readonly sizes: Uint32Array
}

export type MakePolicy = (options: PolicyOptions) => Policy
