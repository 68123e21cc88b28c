"use server";

import { revalidatePath } from "next/cache";
import { requireUser } from "@/lib/vestibule";
import { pin } from "@/lib/board";

// leaveNote asks who it is for itself: a server action is a public endpoint, whatever the page around it checked.
export async function leaveNote(form: FormData) {
  const user = await requireUser("/dashboard");
  pin(user.sub, String(form.get("note") ?? "").slice(0, 200));
  revalidatePath("/dashboard");
}
