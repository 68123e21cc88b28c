package handlers

import (
	"encoding/base64"
	"testing"

	"vestibule/session"
)

// The token answer decides, then the access token, then what sign-ins ask for (RFC 6749, section 5.1).
func TestTheScopeOfASession(t *testing.T) {
	t.Parallel()
	jwt := func(claims string) string {
		return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2ln"
	}
	h := &Handlers{c: Config{Scopes: []string{"openid", "email"}}}
	for name, row := range map[string]struct{ answer, token, want string }{
		"all three":                     {"openid", jwt(`{"scope":"openid profile"}`), "openid"},
		"a JWT that tells":              {"", jwt(`{"scope":"openid profile"}`), "openid profile"},
		"a JWT that does not tell":      {"", jwt(`{"exp":1}`), "openid email"},
		"a JWT with a list":             {"", jwt(`{"scope":["openid","profile"]}`), "openid email"},
		"an opaque token":               {"", "opaque", "openid email"},
		"an opaque one with three dots": {"", "a.b.c.d", "openid email"},
		"no base64":                     {"", "a.%.c", "openid email"},
		"no JSON":                       {"", jwt("nonsense"), "openid email"},
	} {
		s := &session.Session{Tokens: session.Tokens{Scope: row.answer, AccessToken: row.token}}
		if got := h.scopeOf(s); got != row.want {
			t.Errorf("%s: got %q, want %q", name, got, row.want)
		}
	}
}
