package handlers_test

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vestibule/kv"
	"vestibule/session"
)

const recipe = "../docs/recipes/cognito-logout"

// lambda runs the recipe's function as Lambda would.
type lambda struct {
	t   *testing.T
	dir string // a copy of the function, so that modules can be put beside it
	env []string
}

func newLambda(t *testing.T, s *server, env ...string) *lambda {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("node is not installed")
		}
		t.Skip("node is not installed")
	}
	admin := httptest.NewServer(s.web.AdminHandler())
	t.Cleanup(admin.Close)
	l := &lambda{t: t, dir: t.TempDir(), env: append([]string{"VESTIBULE_ADMIN_URL=" + admin.URL, "USER_POOL_ID=eu-west-1_EXAMPLE"}, env...)}
	source, err := os.ReadFile(filepath.Join(recipe, "index.mjs"))
	must(t, err)
	l.put("index.mjs", string(source))
	l.put("run.mjs", `import { handler } from "./index.mjs";
let last;
for (const event of JSON.parse(process.argv[2])) last = await handler(event);
console.log("answer: " + last);
`)
	return l
}

func (l *lambda) put(path, text string) {
	l.t.Helper()
	full := filepath.Join(l.dir, path)
	must(l.t, os.MkdirAll(filepath.Dir(full), 0o755))
	must(l.t, os.WriteFile(full, []byte(text), 0o644))
}

// invoke gives what the function says; an error is one that Lambda would see.
func (l *lambda) invoke(events ...string) (string, error) {
	l.t.Helper()
	node := exec.CommandContext(l.t.Context(), "node", "run.mjs", "["+strings.Join(events, ",")+"]")
	node.Dir, node.Env = l.dir, append(l.env, "PATH="+os.Getenv("PATH"))
	out, err := node.CombinedOutput()
	return string(out), err
}

// record is one of the recipe's samples, about the person.
func record(t *testing.T, name, sub string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(recipe, "events", name))
	must(t, err)
	return strings.Replace(string(text), `"SUB"`, `"`+sub+`"`, 1)
}

func TestTheCognitoRecipeEndsSessions(t *testing.T) {
	t.Parallel()
	want := map[string]string{ // sample → what the function answers; "": it fails
		"admin-user-global-sign-out.json": "ended", "admin-disable-user.json": "ended", "admin-delete-user.json": "ended",
		"global-sign-out.json": "ended", "delete-user.json": "ended",
		"failed.json": "the call failed at Cognito", "another-pool.json": "another user pool",
		"another-call.json": "not an ending", "revoke-token.json": "not an ending", "without-sub.json": "",
	}
	samples, err := os.ReadDir(filepath.Join(recipe, "events"))
	must(t, err)
	s := newServer(t, withAdmin(session.ModeCookie))
	l := newLambda(t, s, "VESTIBULE_ADMIN_TOKEN="+adminToken)
	if len(samples) != len(want) {
		t.Errorf("%d samples, want %d", len(samples), len(want))
	}
	for _, sample := range samples {
		says, known := want[sample.Name()]
		if !known {
			t.Errorf("%s: nobody says what should come of it", sample.Name())
			continue
		}
		b, bob := s.browser(t), s.browser(t)
		b.signIn()
		bob.signIn(s.provider.Users()[1])
		sub, _ := b.who()
		out, err := l.invoke(record(t, sample.Name(), sub))
		if (err == nil) != (says != "") || says != "" && !strings.Contains(out, "answer: "+says) {
			t.Errorf("%s: got %v and %s, want %q", sample.Name(), err, out, says)
		}
		if strings.Contains(out, sub) || strings.Contains(out, adminToken) {
			t.Errorf("%s: the function logs who it was, or the token: %s", sample.Name(), out)
		}
		b.alive(sample.Name(), says != "ended")
		bob.alive(sample.Name()+", another person", true)
	}
}

// The rule and the function must mean the same calls, or some would come for nothing, or never come.
func TestTheCognitoRecipesRuleNamesTheCallsThatTheFunctionKnows(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(recipe, "rule.json"))
	must(t, err)
	var rule struct {
		Source []string
		Detail struct{ EventSource, EventName []string }
	}
	must(t, json.Unmarshal(text, &rule))
	source, err := os.ReadFile(filepath.Join(recipe, "index.mjs"))
	must(t, err)
	_, set, _ := strings.Cut(string(source), "new Set(")
	set, _, _ = strings.Cut(set, ")")
	var known []string
	must(t, json.Unmarshal([]byte(set), &known))
	if !slices.Equal(known, rule.Detail.EventName) || !slices.Equal(rule.Source, []string{"aws.cognito-idp"}) || !slices.Equal(rule.Detail.EventSource, []string{"cognito-idp.amazonaws.com"}) {
		t.Errorf("the function knows %v, the rule says %+v", known, rule)
	}
	for _, name := range []string{"trust.json", "policy.json"} {
		text, err := os.ReadFile(filepath.Join(recipe, name))
		must(t, err)
		if !json.Valid(text) || strings.Contains(string(text), `"*"`) {
			t.Errorf("%s is no JSON, or allows everything", name)
		}
	}
}

func TestTheCognitoRecipeFailsLoudly(t *testing.T) {
	t.Parallel()
	clock := newClock()
	store := &picky{Store: kv.NewMemory(kv.MemoryConfig{Now: clock.Now})}
	s := newServer(t, func(o *options) {
		withAdmin(session.ModeCookie)(o)
		o.clock, o.session.Store = clock, store
	})
	event := record(t, "admin-disable-user.json", "somebody")
	if out, err := newLambda(t, s, "VESTIBULE_ADMIN_TOKEN=wrong").invoke(event); err == nil || !strings.Contains(out, "Vestibule answered 401") {
		t.Errorf("a wrong token: got %v and %s", err, out)
	}
	l := newLambda(t, s, "VESTIBULE_ADMIN_TOKEN="+adminToken)
	store.refuse("", "ended-")
	if out, err := l.invoke(event); err == nil || !strings.Contains(out, "Vestibule answered 503") {
		t.Errorf("a cache that takes nothing: got %v and %s", err, out)
	}
	store.refuse("", "")
	if out, err := l.invoke(event); err != nil {
		t.Errorf("tried again: got %v and %s", err, out)
	}
	l.env = append(l.env, "VESTIBULE_ADMIN_URL=http://127.0.0.1:1")
	if out, err := l.invoke(event); err == nil {
		t.Errorf("nobody there: got %s", out)
	}
}

func TestTheCognitoRecipeReadsItsTokenAndFollowsARotation(t *testing.T) {
	t.Parallel()
	s := newServer(t, withAdmin(session.ModeCookie))
	b := s.browser(t)
	b.signIn()
	sub, _ := b.who()
	l := newLambda(t, s, "VESTIBULE_ADMIN_TOKEN_ID=vestibule/admin-token")
	const sdk = "node_modules/@aws-sdk/client-secrets-manager/"
	l.put(sdk+"package.json", `{"name":"@aws-sdk/client-secrets-manager","main":"index.js"}`)
	l.put(sdk+"index.js", `let reads = 0;
exports.GetSecretValueCommand = class { constructor(input) { this.input = input; } };
exports.SecretsManagerClient = class {
  async send({ input }) {
    if (input.SecretId !== "vestibule/admin-token") throw new Error("another secret");
    reads += 1;
    console.log("read " + reads);
    return { SecretString: reads === 1 ? "the-token-before-the-rotation-0000" : "`+adminToken+`" };
  }
};
`)
	event := record(t, "global-sign-out.json", sub)
	out, err := l.invoke(event, event)
	if err != nil || !strings.Contains(out, "answer: ended") || strings.Count(out, "read ") != 2 {
		t.Errorf("got %v and %s, want the secret read twice and the sessions ended", err, out)
	}
	b.alive("after it", false)
}
