/**
 * Something that is mostly there at once and sometimes only later. A promise for each of hundreds of thousands of answers
 * a second would cost more than they do, so that only the late ones have one.
 */
export type Soon<T> = T | Promise<T>

/** What `then` makes of the value, as soon as the value is there. What it throws is thrown, or rejects. */
export function after<T, U>(soon: Soon<T>, then: (value: T) => Soon<U>): Soon<U> {
  return soon instanceof Promise ? soon.then(then) : then(soon)
}

/** All of them, in their order. Where one fails the others are waited for all the same: afterwards nothing is under way. */
export function allOf<T>(soon: readonly Soon<T>[]): Soon<readonly T[]> {
  for (const one of soon) if (one instanceof Promise) return allSettled(soon)
  return soon as readonly T[] // none is a promise
}

async function allSettled<T>(soon: readonly Soon<T>[]): Promise<readonly T[]> {
  const settled = await Promise.allSettled(soon)
  return settled.map(one => {
    if (one.status === "rejected") throw one.reason
    return one.value
  })
}
