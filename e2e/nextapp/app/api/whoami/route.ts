import { cookies, headers } from "next/headers";
import { currentUser } from "@/lib/vestibule";

// What arrived, for the tests: names of cookies and headers, never the value of one that could be a secret.
export async function GET() {
  const sent = await headers();
  return Response.json(
    {
      user: await currentUser(),
      cookies: (await cookies()).getAll().map(({ name }) => name),
      identity: Object.fromEntries([...sent].filter(([name]) => /^x[-_](auth[-_]request|forwarded[-_](user|email|groups))/.test(name))),
      bearer: sent.get("authorization")?.startsWith("Bearer ey") ?? false,
      host: sent.get("host"),
      forwardedHost: sent.get("x-forwarded-host"),
      forwardedProto: sent.get("x-forwarded-proto"),
    },
    { headers: { "Cache-Control": "no-store" } },
  );
}
