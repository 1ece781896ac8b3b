import { revalidatePath, revalidateTag } from "next/cache"

export async function POST(request) {
  const { searchParams } = new URL(request.url)
  if (searchParams.has("path")) revalidatePath(searchParams.get("path"))
  else revalidateTag(searchParams.get("tag"), { expire: 0 })
  return Response.json({})
}
