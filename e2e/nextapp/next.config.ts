import path from "node:path";
import type { NextConfig } from "next";

// Where Vestibule listens, as this server reaches it. It is read by `next build`: rewrites are compiled in.
const vestibule = process.env.VESTIBULE_URL ?? "http://127.0.0.1:8080";

const config: NextConfig = {
  // Only for Next in front of Vestibule. Behind a proxy or behind Vestibule these paths never arrive here.
  rewrites: async () =>
    ["/api/auth/:path*", "/api/cognito-token", "/login", "/static/:path*", "/.well-known/:path(bff-.*)"].map((source) => ({
      source,
      destination: vestibule + source.replace(":path(bff-.*)", ":path"),
    })),
  poweredByHeader: false,
  turbopack: { root: path.resolve(import.meta.dirname) },
};

export default config;
