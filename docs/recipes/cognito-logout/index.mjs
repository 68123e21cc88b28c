// Ends a person's sessions at Vestibule when Amazon Cognito signs them out, disables or deletes them. Cognito sends no logout of its own to
// applications; CloudTrail records these calls, EventBridge hands each record to this function, and this function asks Vestibule's admin
// listener. It runs on AWS Lambda's Node.js 22 as it stands.
//
//   VESTIBULE_ADMIN_URL       where the admin listener is, such as http://vestibule.internal:9091
//   VESTIBULE_ADMIN_TOKEN_ID  name or ARN of the secret that holds admin.token
//   VESTIBULE_ADMIN_TOKEN     the token itself, in place of VESTIBULE_ADMIN_TOKEN_ID
//   USER_POOL_ID              the pool whose people count; without it, every pool's
//
// It fails loudly: what Vestibule did not take is thrown, so that Lambda tries again and then hands the event to the failure queue.

// RevokeToken is not among them: it ends one sign-in, its record does not say which, and Vestibule itself revokes at every sign-out.
const ENDINGS = new Set(["AdminUserGlobalSignOut", "AdminDisableUser", "AdminDeleteUser", "GlobalSignOut", "DeleteUser"]);
const PATIENCE = 5_000; // ms

let held; // the token, for as long as Vestibule takes it

export async function handler(event) {
  const call = event?.detail ?? {};
  if (call.eventSource !== "cognito-idp.amazonaws.com" || !ENDINGS.has(call.eventName)) return "not an ending";
  if (call.errorCode) return "the call failed at Cognito";
  const pool = call.requestParameters?.userPoolId; // not in the records of what people do themselves
  if (process.env.USER_POOL_ID && pool && pool !== process.env.USER_POOL_ID) return "another user pool";
  const sub = call.additionalEventData?.sub;
  if (typeof sub !== "string" || sub === "") throw new Error(`the record ${call.eventID} of ${call.eventName} names no sub`);
  await end(sub);
  console.log(JSON.stringify({ ended: call.eventName, record: call.eventID }));
  return "ended";
}

// end asks once more with a fresh token when the one at hand is refused: it may have been rotated.
async function end(sub) {
  held ??= await readToken();
  let answer = await ask(sub, held);
  if (answer.status === 401) {
    held = await readToken();
    answer = await ask(sub, held);
  }
  if (answer.status === 401) held = undefined;
  if (answer.status !== 204) throw new Error(`Vestibule answered ${answer.status}`);
}

async function ask(sub, token) {
  const answer = await fetch(new URL("/sessions/end", process.env.VESTIBULE_ADMIN_URL), {
    method: "POST",
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
    body: JSON.stringify({ sub }),
    redirect: "error",
    signal: AbortSignal.timeout(PATIENCE),
  });
  await answer.arrayBuffer(); // frees the connection
  return answer;
}

// The SDK is part of Lambda's Node.js.
async function readToken() {
  if (process.env.VESTIBULE_ADMIN_TOKEN) return process.env.VESTIBULE_ADMIN_TOKEN;
  const { GetSecretValueCommand, SecretsManagerClient } = await import("@aws-sdk/client-secrets-manager");
  const secret = await new SecretsManagerClient({}).send(new GetSecretValueCommand({ SecretId: process.env.VESTIBULE_ADMIN_TOKEN_ID }));
  return secret.SecretString;
}
