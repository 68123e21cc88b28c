// What people do, by what they see.

import { alice } from "./demo.mjs";

// signIn goes from the demo's first page through the provider's form and back.
export async function signIn(page, demo, person = alice) {
  await page.goto(demo.origin);
  await page.getByTestId("sign-in").filter({ visible: true }).click();
  await fillIn(page, person);
  await page.waitForURL(`${demo.origin}/`);
}

export async function fillIn(page, person = alice) {
  await page.getByLabel("Email").fill(person.email);
  await page.getByLabel("Password").fill(person.password);
  await page.getByRole("button", { name: "Sign in" }).click();
}

// logged waits for a line of the demo's log.
export async function logged(page, text, limit) {
  await page.getByTestId("log").getByText(text).first().waitFor({ timeout: limit });
}

// claim reads one of the shown claims of the access token.
export async function claim(page, name) {
  return page.getByTestId("claims").locator(`dt:text-is("${name}") + dd`).textContent();
}

// secondsLeft reads the countdown.
export async function secondsLeft(page) {
  return Number.parseInt(await page.getByTestId("expires-in").textContent(), 10);
}
