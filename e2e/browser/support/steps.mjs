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

// say sends a message on the demo's channel.
export async function say(page, text) {
  await page.getByTestId("text").fill(text);
  await page.getByTestId("send").click();
}

// logged waits for a line of the demo's log.
export async function logged(page, text, limit) {
  await page.getByTestId("log").getByText(text).first().waitFor({ timeout: limit });
}

// clickNow has the page click, and gives the moment: how long the driver takes for its part says nothing about the page.
export function clickNow(button) {
  return button.evaluate((element) => {
    setTimeout(() => element.click());
    return Date.now();
  });
}

// claim reads one of the shown claims of the access token.
export async function claim(page, name) {
  return page.getByTestId("claims").locator(`dt:text-is("${name}") + dd`).textContent();
}

// secondsLeft reads the countdown.
export async function secondsLeft(page) {
  return Number.parseInt(await page.getByTestId("expires-in").textContent(), 10);
}
