// The files for containers and clusters, read by others' tools: the Dockerfile by the linter of Docker's language server, the manifests by
// the TypeScript compiler against Kubernetes' own types, which refuses unknown fields and wrong types. What they say is for the Go tests in
// deploy/.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { validate } from "dockerfile-utils";
import { parse, parseAllDocuments } from "yaml";

const root = fileURLToPath(new URL("../../", import.meta.url));
const read = (name) => readFileSync(join(root, name), "utf8");

// → module and type of kubernetes-types
const types = {
  "apps/v1 Deployment": ["apps/v1", "Deployment"],
  "networking.k8s.io/v1 NetworkPolicy": ["networking/v1", "NetworkPolicy"],
  "policy/v1 PodDisruptionBudget": ["policy/v1", "PodDisruptionBudget"],
  "v1 ConfigMap": ["core/v1", "ConfigMap"],
  "v1 Secret": ["core/v1", "Secret"],
  "v1 Service": ["core/v1", "Service"],
  "v1 ServiceAccount": ["core/v1", "ServiceAccount"],
};

/** What the compiler says about objects; nothing where they are right. */
function faults(objects) {
  const folder = mkdtempSync(join(tmpdir(), "manifests-"));
  try {
    symlinkSync(join(root, "e2e/node_modules"), join(folder, "node_modules"));
    const lines = objects.map((object, i) => {
      const type = types[`${object.apiVersion} ${object.kind}`];
      assert.ok(type, `${object.apiVersion} ${object.kind} has no type here`);
      return `export const o${i}: import("kubernetes-types/${type[0]}").${type[1]} = ${JSON.stringify(object, null, 2)};`;
    });
    writeFileSync(join(folder, "manifests.ts"), lines.join("\n"));
    const flags = ["--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--target", "es2022", "--types", ""];
    execFileSync(join(root, "e2e/node_modules/.bin/tsc"), [...flags, "manifests.ts"], { cwd: folder, encoding: "utf8" });
    return "";
  } catch (error) {
    if (error.stdout === undefined) throw error;
    return error.stdout;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const manifests = ["vestibule.yaml", "secret.example.yaml"].flatMap((name) =>
  parseAllDocuments(read(`deploy/kubernetes/${name}`), { strict: true, uniqueKeys: true }).map((document) => {
    assert.deepEqual(document.errors, [], name);
    return document.toJS();
  }),
).filter(Boolean);

test("Kubernetes' types know every field of the manifests", () => {
  assert.ok(manifests.length >= 7, `only ${manifests.length} objects`);
  assert.equal(faults(manifests), "");
});

test("the types find a field that Kubernetes does not know", () => {
  const deployment = structuredClone(manifests.find(({ kind }) => kind === "Deployment"));
  deployment.spec.template.spec.terminationGraceSeconds = 50;
  assert.match(faults([deployment]), /terminationGraceSeconds/);
});

test("a linter finds nothing in the Dockerfile", () => {
  assert.deepEqual(validate(read("Dockerfile")).map(({ range, message }) => `${range.start.line + 1}: ${message}`), []);
  assert.notEqual(validate("FROM scratch\nRUN\nUSER").length, 0, "it finds nothing anywhere");
});

test("docker-compose.yml is YAML without doubled keys", () => {
  assert.ok(parse(read("docker-compose.yml"), { merge: true, strict: true, uniqueKeys: true }).services.demo.image);
});
