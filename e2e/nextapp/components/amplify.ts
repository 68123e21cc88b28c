// Amplify's Events with a token from Vestibule: the code that teams have already, unchanged.

import { Amplify } from "aws-amplify";
import { decodeJWT, type TokenProvider } from "aws-amplify/auth";

const plain: TokenProvider = {
  getTokens: async () => {
    const { accessToken } = await (await fetch("/api/cognito-token")).json();
    return { accessToken: decodeJWT(accessToken) };
  },
};

let configured = false;

/** configure may be called by every component; the first call counts. A second Amplify.configure could drop the tokenProvider. */
export function configure(endpoint: string, tokenProvider = plain) {
  if (configured) return;
  configured = true;
  Amplify.configure(
    { API: { Events: { endpoint, region: "us-east-1", defaultAuthMode: "userPool" } } },
    { Auth: { tokenProvider } },
  );
}
