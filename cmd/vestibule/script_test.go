package main

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"vestibule/idp/devidp"
	"vestibule/secret"
)

// strange serves issuers, each at a path of its own, whose documents are good but for what the path names.
func strange(t *testing.T) string {
	base := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		issuer := base + "/" + name
		doc := map[string]any{"issuer": issuer, "authorization_endpoint": issuer + "/a", "token_endpoint": issuer + "/t", "jwks_uri": issuer + "/keys"}
		changes := map[string]map[string]any{
			"http":     {"token_endpoint": "http://idp.example.com/t"},
			"fragment": {"authorization_endpoint": issuer + "/a#x"},
			"hmac":     {"id_token_signing_alg_values_supported": []string{"HS256", "none"}},
			"lists": {"token_endpoint_auth_methods_supported": []string{"private_key_jwt"}, "response_types_supported": []string{"id_token"},
				"code_challenge_methods_supported": []string{"plain"}},
			"keyless": {}, "lost-keys": {"jwks_uri": issuer + "/nowhere"},
		}
		change, known := changes[name]
		maps.Copy(doc, change)
		switch {
		case known && path == ".well-known/openid-configuration":
			_ = json.NewEncoder(w).Encode(doc)
		case name == "busy":
			w.WriteHeader(http.StatusTooManyRequests)
		case name == "keyless" && path == "keys":
			_, _ = io.WriteString(w, `{"keys":[]}`)
		case known && path == "keys":
			_, _ = io.WriteString(w, `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"1","use":"sig","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(server.Close)
	base = server.URL
	return base
}

// TestScripts plays what operators type. $ISSUER answers, $NOBODY does not; what $STRANGE says is strange; $KEY1 and $KEY2 are
// good keys; at $FREE nobody listens.
func TestScripts(t *testing.T) {
	provider, err := devidp.Start(devidp.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = provider.Close() })
	odd := strange(t)
	path := filepath.Dir(binary(t)) + string(filepath.ListSeparator) + os.Getenv("PATH")
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			for name, value := range map[string]string{
				"ISSUER": provider.Issuer(), "NOBODY": "http://127.0.0.1:1/pool", "STRANGE": odd,
				"PATH": path, "KEY1": secret.GenerateKey(), "KEY2": secret.GenerateKey(),
				"FREE": freeAddress(t),
			} {
				e.Setenv(name, value)
			}
			return nil
		},
	})
}
