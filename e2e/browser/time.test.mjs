// The passing of time: nobody touches the page, its token is replaced before it ends, and its socket does not notice.

import assert from "node:assert/strict";
import { claim, logged, say, secondsLeft, signIn } from "./support/steps.mjs";
import { suite } from "./support/suite.mjs";

const person = suite();

person("a page left alone has a new token before the old one ends", async ({ page, demo }) => {
  const sockets = [];
  page.on("websocket", (socket) => sockets.push(socket));
  await signIn(page, demo);
  await logged(page, "channel open");
  const [expiry, before] = [await claim(page, "exp"), await demo.stats()];
  await logged(page, "refreshed on the server", 45_000);
  assert.ok((await claim(page, "exp")) !== expiry, "the expiry is the same");
  assert.ok((await secondsLeft(page)) > 35, "the new token is not fresh");
  assert.equal((await demo.stats()).refresh.ok - before.refresh.ok, 1);
  await logged(page, "the channel stays open");
  await say(page, "still here");
  await logged(page, "sent with the token");
  assert.deepEqual(sockets.map((socket) => socket.isClosed()), [false]);
});
