import Link from "next/link";
import type { User } from "@/lib/vestibule";

// The links to sign-in are plain <a>: next/link would fetch them ahead of the click.
export function Bar({ user }: { user: User | null }) {
  return (
    <header className="bar">
      <Link href="/" className="brand">
        <svg viewBox="0 0 32 32" aria-hidden="true"><path d="M16 7v17M11 11h10M7 18c1 5 5 7 9 7s8-2 9-7" /><circle cx="16" cy="7" r="2" /></svg>
        Quayside
      </Link>
      {user ? (
        <>
          <nav aria-label="Main">
            <Link href="/dashboard">Today</Link>
            <Link href="/chat">Channel</Link>
            <Link href="/stream">Tides</Link>
          </nav>
          <form method="post" action="/api/auth/sign-out" className="who">
            <span data-testid="user">{user.email}</span>
            <button className="quiet">Sign out</button>
          </form>
        </>
      ) : (
        <a className="button" href="/login?returnTo=/dashboard">Sign in</a>
      )}
    </header>
  );
}
