"use client";

import { useEffect, useState } from "react";
import { events } from "aws-amplify/data";
import { onSessionEnd, signOut, tokenProvider } from "vestibule-client";
import { Chat } from "./chat";

const provider = tokenProvider();

// The same chat with vestibule-client: one request for all tabs, and the socket is cut when the session ends, in whichever tab.
export function Watch(props: { endpoint: string; name: string; channels: number }) {
  const [over, setOver] = useState("");
  useEffect(
    // closeAll, not the channel's close(): that one leaves the socket open for a second. Nothing connects again before the page is loaded anew.
    // What onSessionEnd gives takes the listener back when the component goes.
    () =>
      onSessionEnd((reason) => {
        void events.closeAll();
        setOver(reason);
      }),
    [],
  );
  if (over === "") {
    return (
      <>
        <Chat {...props} provider={provider} />
        <p className="aside"><button className="quiet" onClick={() => signOut()}>Sign out in all windows</button></p>
      </>
    );
  }
  return (
    <section className="card" aria-labelledby="over">
      <h1 id="over">The channel is closed</h1>
      <p data-testid="over" data-reason={over}>You are not signed in any more.</p>
      <a className="button" href="/login?returnTo=/chat/watch">Sign in again</a>
    </section>
  );
}
