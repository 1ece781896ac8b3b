/** A page that is rendered when first asked for, and kept with the tag of what it fetched. */
export const dynamic = "force-static"

export default async function Page() {
  const response = await fetch(process.env.ORIGIN, { next: { tags: ["count"], revalidate: 3_600 } })
  return <p>count {await response.text()}</p>
}
