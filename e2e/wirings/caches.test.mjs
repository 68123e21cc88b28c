// What a shared cache in front of the proxy may keep. An answer on which a refreshed session rides is one browser's own, whatever the
// application says of it; on any other the application's word arrives as it was given.

import assert from "node:assert/strict";
import { describe } from "node:test";
import { enter, SHORT_LIFE } from "./support/journey.mjs";
import { startListener } from "./support/listener.mjs";
import { raw } from "./support/raw.mjs";
import { suite } from "./support/suite.mjs";

// said is what an application tells caches, in each of the names that one or another obeys. Next.js says the first line of static pages.
const said = [
  "Cache-Control: s-maxage=31536000", "Cache-Control: stale-while-revalidate=60", "Expires: Tue, 06 May 2031 07:08:09 GMT", "Pragma: cache",
  "CDN-Cache-Control: max-age=600", "Cloudflare-CDN-Cache-Control: max-age=600", "Vercel-CDN-Cache-Control: max-age=600", "Netlify-CDN-Cache-Control: max-age=600",
  "Akamai-Cache-Control: max-age=600", "Surrogate-Control: max-age=600", "Edge-Control: max-age=600", "Vary: rsc", 'ETag: "1"', "Set-Cookie: theme=dark",
];
const SILENT = "/silent"; // says nothing to caches

const pages = { "/berths": 200, "/berths/unchanged": 304, "/berths/none": 404, "/berths/broken": 500, [SILENT]: 200 };

const application = ({ port }) => startListener({
  port,
  answer: (target) => ({ status: pages[target], headers: target === SILENT ? [] : said.flatMap((line) => line.split(": ")) }),
});

const lines = (head) => head.split("\r\n").slice(1);
const named = (head, name) => lines(head).filter((line) => line.toLowerCase().startsWith(`${name}: `)).map((line) => line.slice(name.length + 2));
const plain = (all) => all.map((line) => line.replace(/^.*?:/, (name) => name.toLowerCase())).sort(); // Go's servers write names in their own way
const toCaches = (head) => lines(head).filter((line) => /^(cache-control|expires|pragma|vary|etag|set-cookie|edge-control|surrogate-control|.*-cache-control): /i.test(line));
const cookieOf = async (context, way) => (await context.cookies(way.origin)).map(({ name, value }) => `${name}=${value}`).join("; ");

for (const [name, open] of [["nginx auth_request", ["/"]], ["caddy forward_auth", []]]) {
  describe(name, () => {
    const person = suite(name, { application, accessLife: `${SHORT_LIFE}s` });
    const asks = [...Object.keys(pages), ...open];

    person("an answer that carries the session is kept from caches, and no other is touched", async ({ page, context, way }) => {
      await enter(page, way, "/berths");
      const cookie = await cookieOf(context, way);
      const own = cookie.split("=")[0];
      const ask = async (target, method = "GET") => {
        const { status, head } = await raw(way.origin, { method, target, headers: [`Cookie: ${cookie}`] });
        assert.equal(status, pages[target] ?? 200, `${method} ${target}: ${head}`);
        return { head, carries: named(head, "set-cookie").some((line) => line.startsWith(`${own}=`)) };
      };
      for (const target of asks) {
        const { head, carries } = await ask(target);
        assert.ok(!carries, "the token was due before the test was ready");
        assert.deepEqual(plain(toCaches(head)), target === SILENT ? [] : plain(said), target);
      }

      for (const end = Date.now() + SHORT_LIFE * 1000; !(await ask("/berths")).carries; ) {
        assert.ok(Date.now() < end, "the token was never refreshed");
        await page.waitForTimeout(500);
      }
      for (const target of asks) {
        for (const method of ["GET", "HEAD", "DELETE"]) {
          const { head, carries } = await ask(target, method);
          assert.ok(carries, `${method} ${target}: ${head}`);
          assert.deepEqual(named(head, "cache-control"), ["private, no-store"], `${method} ${target}`);
          assert.ok(named(head, "vary").includes("Cookie"), `${method} ${target}: ${head}`);
          const left = toCaches(head).filter((line) => !/^(cache-control|set-cookie): /i.test(line) && line !== "Vary: Cookie");
          assert.deepEqual(plain(left), target === SILENT ? [] : ['etag: "1"', "vary: rsc"], `${method} ${target}`);
          assert.equal(named(head, "set-cookie").includes("theme=dark"), target !== SILENT, `${method} ${target}`);
        }
      }
    });

    person("so is one in place of an application that is gone", async ({ page, context, way }) => {
      await enter(page, way, "/berths");
      const headers = [`Cookie: ${await cookieOf(context, way)}`];
      await way.application.stop();
      let head;
      for (const end = Date.now() + SHORT_LIFE * 1000; !(head && named(head, "set-cookie").length); ({ head } = await raw(way.origin, { target: "/berths", headers }))) {
        assert.ok(Date.now() < end, "the token was never refreshed");
        await page.waitForTimeout(500);
      }
      assert.match(head, /^HTTP\/1\.1 502 /);
      assert.deepEqual(named(head, "cache-control"), ["private, no-store"]);
    });
  });
}
