package secret_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"vestibule/secret"
)

// secretsManager speaks as much of the Secrets Manager JSON 1.1 protocol as a reader
// meets. Secrets are kept by "id@stage".
type secretsManager struct {
	text     map[string]string
	binary   map[string][]byte
	lastAuth string
	calls    int
}

func (m *secretsManager) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.calls++
	m.lastAuth = r.Header.Get("Authorization")
	var want struct{ SecretId, VersionStage string }
	if r.Header.Get("X-Amz-Target") != "secretsmanager.GetSecretValue" || json.NewDecoder(r.Body).Decode(&want) != nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	id := want.SecretId + "@" + want.VersionStage
	if want.SecretId == "forbidden" {
		refuse(w, "AccessDeniedException")
	} else if text, found := m.text[id]; found {
		_ = json.NewEncoder(w).Encode(map[string]any{"Name": want.SecretId, "SecretString": text})
	} else if data, found := m.binary[id]; found {
		_ = json.NewEncoder(w).Encode(map[string]any{"Name": want.SecretId, "SecretBinary": data})
	} else {
		refuse(w, "ResourceNotFoundException")
	}
}

func refuse(w http.ResponseWriter, kind string) {
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(map[string]string{"__type": kind, "message": "no"})
}

func startSecretsManager(t *testing.T) *secretsManager {
	t.Helper()
	m := &secretsManager{}
	server := httptest.NewServer(m)
	t.Cleanup(server.Close)
	t.Setenv("AWS_ENDPOINT_URL", server.URL)
	t.Setenv("AWS_REGION", "eu-west-1")
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "example")
	t.Setenv("AWS_SESSION_TOKEN", "")
	t.Setenv("AWS_PROFILE", "")
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	return m
}

const arn = "arn:aws:secretsmanager:ap-northeast-1:123456789012:secret:app/x-AbCdEf"

func TestSecretsManagerReferences(t *testing.T) {
	m := startSecretsManager(t)
	m.text = map[string]string{
		"app/x@AWSCURRENT":     "raw text",
		"app/x@AWSPREVIOUS":    "older text",
		"app/json@AWSCURRENT":  `{"a":"text a","n":7,"null":null,"b@c":"odd key"}`,
		"app/json@AWSPREVIOUS": `{"a":"older a"}`,
		"me@home@AWSCURRENT":   "odd name",
		arn + "@AWSCURRENT":    "by arn",
		arn + "@AWSPREVIOUS":   `{"k":"older by arn"}`,
	}
	m.binary = map[string][]byte{"bin@AWSCURRENT": {0, 1, 2}}
	r := secret.NewResolver(secret.Config{})
	tests := map[string]struct{ ref, want string }{
		"a name":                                 {"awssm:app/x", "raw text"},
		"a stage":                                {"awssm:app/x@AWSPREVIOUS", "older text"},
		"a key of a JSON secret":                 {"awssm:app/json#a", "text a"},
		"a key and a stage":                      {"awssm:app/json#a@AWSPREVIOUS", "older a"},
		"a key with an @, with its stage":        {"awssm:app/json#b@c@AWSCURRENT", "odd key"},
		"a name with an @, with its stage":       {"awssm:me@home@AWSCURRENT", "odd name"},
		"an ARN":                                 {"awssm:" + arn, "by arn"},
		"an ARN with key and stage":              {"awssm:" + arn + "#k@AWSPREVIOUS", "older by arn"},
		"bytes":                                  {"awssm:bin", "\x00\x01\x02"},
		"JSON as a whole, when no key is wanted": {"awssm:app/json@AWSPREVIOUS", `{"a":"older a"}`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := string(resolve(t, r, test.ref).Bytes()); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestAnARNIsReadInItsOwnRegion(t *testing.T) {
	m := startSecretsManager(t)
	m.text = map[string]string{arn + "@AWSCURRENT": "x", "plain@AWSCURRENT": "x"}
	r := secret.NewResolver(secret.Config{})
	for ref, region := range map[string]string{"awssm:" + arn: "/ap-northeast-1/", "awssm:plain": "/eu-west-1/"} {
		resolve(t, r, ref)
		if !strings.Contains(m.lastAuth, region) {
			t.Errorf("%s: signed as %s, want %s", ref, m.lastAuth, region)
		}
	}
}

func TestSecretsManagerErrorsSayTheCureAndNeverTheValue(t *testing.T) {
	m := startSecretsManager(t)
	m.text = map[string]string{
		"json@AWSCURRENT": `{"n":7,"null":null,"empty":"","s":"hunter2"}`,
		"raw@AWSCURRENT":  "hunter2",
	}
	r := secret.NewResolver(secret.Config{})
	tests := map[string]struct{ ref, problem, hint string }{
		"a version that is not":   {"awssm:raw@AWSPREVIOUS", "cannot be read from AWS Secrets Manager", "rotate the secret once"},
		"a version of nothing":    {"awssm:nope@AWSPREVIOUS", "cannot be read from AWS Secrets Manager", "create the secret"},
		"an unknown secret":       {"awssm:nope", "cannot be read from AWS Secrets Manager", "create the secret"},
		"a secret out of reach":   {"awssm:forbidden", "cannot be read from AWS Secrets Manager", "secretsmanager:GetSecretValue"},
		"a key of a plain secret": {"awssm:raw#k", "is not a JSON object", "drop #k"},
		"a missing key":           {"awssm:json#k", "has no key k", "case counts"},
		"a number":                {"awssm:json#n", "does not hold text under n", "JSON string"},
		"null":                    {"awssm:json#null", "does not hold text under null", "JSON string"},
		"an empty value":          {"awssm:json#empty", "is empty", "store"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := r.Resolve(t.Context(), test.ref)
			var got *secret.ReferenceError
			if !errors.As(err, &got) {
				t.Fatalf("got %v, want a ReferenceError", err)
			}
			if got.Ref != test.ref || got.Problem != test.problem || !strings.Contains(got.Hint, test.hint) {
				t.Errorf("got %+v, want %+v", *got, test)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error holds the secret: %v", err)
			}
		})
	}
}

func TestAVersionThatDoesNotExistIsToldFromASecretThatDoesNot(t *testing.T) {
	m := startSecretsManager(t)
	m.text = map[string]string{"once@AWSCURRENT": `{"k":"hunter2"}`, "lost@AWSPREVIOUS": "x"}
	r := secret.NewResolver(secret.Config{})
	for ref, want := range map[string]bool{
		"awssm:once@AWSPREVIOUS":      true,
		"awssm:once#k@AWSPREVIOUS":    true,
		"awssm:nope@AWSPREVIOUS":      false,
		"awssm:nope":                  false,
		"awssm:lost":                  false, // not even a current one: nobody has finished making it
		"awssm:once#nope":             false,
		"awssm:forbidden@AWSPREVIOUS": false,
	} {
		_, err := r.Resolve(t.Context(), ref)
		var got *secret.ReferenceError
		if !errors.As(err, &got) || errors.Is(err, secret.ErrNoSuchVersion) != want {
			t.Errorf("%s: got %v, ErrNoSuchVersion %v, want %v", ref, err, errors.Is(err, secret.ErrNoSuchVersion), want)
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error holds the secret: %v", ref, err)
		}
	}
}

func TestAWSIsLeftAloneUntilAReferenceNeedsIt(t *testing.T) {
	m := startSecretsManager(t)
	t.Setenv("AWS_CONFIG_FILE", "/nonexistent") // would fail the SDK's set-up, were it reached
	t.Setenv("AWS_PROFILE", "nobody")
	r := secret.NewResolver(secret.Config{LookupEnv: lookup(map[string]string{"A": "a"})})
	resolve(t, r, "env:A")
	resolve(t, r, "literal")
	if m.calls != 0 {
		t.Errorf("got %d calls, want 0", m.calls)
	}
	_, err := r.Resolve(t.Context(), "awssm:x")
	if err == nil || !strings.Contains(err.Error(), "AWS_REGION") {
		t.Errorf("got %v, want an error that names AWS_REGION", err)
	}
}

func FuzzResolveAWSReference(f *testing.F) {
	for _, seed := range []string{"a", "a#k", "a#k@S", "a@S", arn, arn + "#k@S", "#", "@", "#@", "arn:", "a@@", "a##"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r := secret.NewResolver(secret.Config{AWS: fuzzAWS(t)})
		v, err := r.Resolve(t.Context(), "awssm:"+text)
		if (err == nil) != v.IsSet() {
			t.Errorf("got set %v with error %v", v.IsSet(), err)
		}
	})
}
