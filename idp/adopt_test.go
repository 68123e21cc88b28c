package idp_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"vestibule/idp"
)

// poolClaims are those of a user pool's token, changed by the given ones; a nil value removes a claim.
func poolClaims(use string, changes map[string]any) map[string]any {
	now := time.Now()
	c := map[string]any{
		"iss": cognitoIssuer, "sub": subject, "token_use": use, "origin_jti": "origin-1",
		"auth_time": now.Add(-48 * time.Hour).Unix(), "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}
	switch use {
	case "access":
		maps.Copy(c, map[string]any{"client_id": clientID, "username": "ann", "scope": "openid"})
	case "id":
		maps.Copy(c, map[string]any{"aud": clientID, "cognito:username": "ann", "email": "ann@example.com", "name": "Ann"})
	}
	maps.Copy(c, changes)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

func poolToken(t testing.TB, use string, changes map[string]any) string {
	t.Helper()
	return sign(t, jose.RS256, keyA(), "a", poolClaims(use, changes))
}

func adopting(c *idp.Config) { c.Claims = []string{"sub", "email", "cognito:username"} }

func TestAdoptTakesOverWhatAPoolGaveToOurClient(t *testing.T) {
	p := open(t, newCognito(), adopting)
	began := time.Now().Add(-48 * time.Hour).Truncate(time.Second)
	issued, over := time.Now().Add(-3*time.Hour).Truncate(time.Second), time.Now().Add(-2*time.Hour).Truncate(time.Second)
	old := map[string]any{"auth_time": began.Unix(), "iat": issued.Unix(), "exp": over.Unix()}
	for name, test := range map[string]struct {
		id     string
		claims string
	}{
		"with an ID token":    {poolToken(t, "id", old), `{"sub":"user-1","email":"ann@example.com","cognito:username":"ann"}`},
		"without an ID token": {"", `{"sub":"user-1","cognito:username":"ann"}`},
	} {
		f := idp.Foreign{AccessToken: poolToken(t, "access", old), IDToken: test.id, RefreshToken: "refresh-1"}
		got, at, err := p.Adopt(context.Background(), f)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !at.Equal(began) || !got.Issued.Equal(issued) || !got.Expires.Equal(over) {
			t.Errorf("%s: signed in %v, token from %v to %v", name, at, got.Issued, got.Expires)
		}
		if got.AccessToken != f.AccessToken || got.IDToken != f.IDToken || got.RefreshToken != "refresh-1" {
			t.Errorf("%s: other tokens than those brought", name)
		}
		if got.Subject != subject || got.SessionID != "origin-1" || string(got.Claims) != test.claims {
			t.Errorf("%s: got subject %q, session %q, claims %s", name, got.Subject, got.SessionID, got.Claims)
		}
	}
}

// The session's age counts from the real sign-in, whatever the tokens leave out.
func TestAdoptKnowsWhenThePersonSignedIn(t *testing.T) {
	type claims = map[string]any
	hour := func(n int) int64 { return time.Now().Add(time.Duration(n) * time.Hour).Unix() }
	p := open(t, newCognito())
	for name, test := range map[string]struct {
		access, id claims
		want       int64
	}{
		"both say so":                {claims{"auth_time": hour(-5)}, claims{"auth_time": hour(-5)}, hour(-5)},
		"the ID token is older":      {claims{"auth_time": hour(-5)}, claims{"auth_time": hour(-9)}, hour(-9)},
		"neither says so":            {claims{"auth_time": nil, "iat": hour(-2)}, claims{"auth_time": nil, "iat": hour(-3)}, hour(-3)},
		"one says nonsense":          {claims{"auth_time": "yesterday", "iat": hour(-2)}, claims{"auth_time": -7, "iat": hour(-1)}, hour(-2)},
		"it seems to be in a minute": {claims{"auth_time": time.Now().Unix() + 60}, claims{"auth_time": time.Now().Unix() + 60}, hour(0)},
	} {
		_, at, err := p.Adopt(context.Background(), idp.Foreign{AccessToken: poolToken(t, "access", test.access), IDToken: poolToken(t, "id", test.id)})
		if err != nil || at.Unix() < test.want || at.Unix() > test.want+5 {
			t.Errorf("%s: got %v, %v, want %v", name, at, err, time.Unix(test.want, 0))
		}
	}
}

// Every row is a set of tokens that a browser might bring and that must not make a session.
func TestAdoptRefusesWhatIsNotThePoolsForUs(t *testing.T) {
	type claims = map[string]any
	access := func(c claims) idp.Foreign {
		return idp.Foreign{AccessToken: poolToken(t, "access", c), RefreshToken: "r"}
	}
	with := func(id string) idp.Foreign { f := access(nil); f.IDToken = id; return f }
	for name, f := range map[string]idp.Foreign{
		"no access token":                         {IDToken: poolToken(t, "id", nil)},
		"an ID token in the access token's place": {AccessToken: poolToken(t, "id", nil)},
		"one that also names the client":          {AccessToken: poolToken(t, "id", claims{"client_id": clientID})},
		"another issuer":                          access(claims{"iss": "https://evil.example"}),
		"the issuer under another name":           access(claims{"iss": nil, "ISS": cognitoIssuer}),
		"another pool's issuer":                   access(claims{"iss": cognitoIssuer + "D"}),
		"another client":                          access(claims{"client_id": "their-client"}),
		"no client":                               access(claims{"client_id": nil}),
		"a client in aud alone":                   access(claims{"client_id": nil, "aud": clientID}),
		"no token_use":                            access(claims{"token_use": nil}),
		"no subject":                              access(claims{"sub": nil}),
		"a subject under another name":            access(claims{"sub": nil, "SUB": "admin"}),
		"an endless subject":                      access(claims{"sub": strings.Repeat("s", 256)}),
		"no iat":                                  access(claims{"iat": nil}),
		"no exp":                                  access(claims{"exp": nil}),
		"over before it began":                    access(claims{"exp": time.Now().Add(-time.Hour).Unix()}),
		"issued in the future":                    access(claims{"iat": time.Now().Add(10 * time.Minute).Unix()}),
		"signed by another key":                   {AccessToken: sign(t, jose.RS256, keyB(), "a", poolClaims("access", nil))},
		"signed with our client's secret":         {AccessToken: sign(t, jose.HS256, []byte(strings.Repeat("s3cret&+", 8)), "a", poolClaims("access", nil))},
		"an algorithm not advertised":             {AccessToken: sign(t, jose.PS256, keyA(), "a", poolClaims("access", nil))},
		"no token at all":                         {AccessToken: "nonsense"},
		"a refresh token no header carries":       {AccessToken: poolToken(t, "access", nil), RefreshToken: "a b"},
		"an access token as ID token":             with(poolToken(t, "access", nil)),
		"an ID token for another client":          with(poolToken(t, "id", claims{"aud": "their-client"})),
		"an ID token for several clients":         with(poolToken(t, "id", claims{"aud": []string{clientID, "their-client"}})),
		"an ID token about somebody else":         with(poolToken(t, "id", claims{"sub": "user-2"})),
		"an ID token of another issuer":           with(poolToken(t, "id", claims{"iss": "https://evil.example"})),
		"an ID token signed by another key":       with(sign(t, jose.RS256, keyB(), "a", poolClaims("id", nil))),
	} {
		t.Run(name, func(t *testing.T) {
			got, _, err := open(t, newCognito()).Adopt(context.Background(), f)
			fail, _ := errors.AsType[*idp.Error](err)
			if fail == nil || fail.Kind != idp.ErrUntrusted || fail.Operation != idp.OperationAdopt || got.AccessToken != "" {
				t.Fatalf("got %v, want ErrUntrusted", err)
			}
			if f.AccessToken != "" && strings.Contains(err.Error(), f.AccessToken) {
				t.Error("the error holds the token")
			}
		})
	}
}

// Another provider's tokens do not say for what they are good: an access token for an API could be one of its ID tokens.
func TestAdoptTakesNothingFromAProviderThatIsNoPool(t *testing.T) {
	p := open(t, newFake())
	token := sign(t, jose.RS256, keyA(), "a", poolClaims("access", map[string]any{"iss": issuer}))
	if _, _, err := p.Adopt(context.Background(), idp.Foreign{AccessToken: token}); !errors.Is(err, idp.ErrUntrusted) {
		t.Errorf("got %v, want ErrUntrusted", err)
	}
}

func TestAdoptIsUnavailableWhileTheKeysAre(t *testing.T) {
	f := newCognito()
	f.on("/eu-west-1_AbC/keys", status(http.StatusServiceUnavailable, ""))
	p := open(t, f)
	mine := idp.Foreign{AccessToken: poolToken(t, "access", nil), IDToken: poolToken(t, "id", nil)}
	if _, _, err := p.Adopt(context.Background(), mine); !errors.Is(err, idp.ErrUnavailable) {
		t.Errorf("without keys: got %v, want ErrUnavailable", err)
	}

	f = newCognito()
	p = open(t, f)
	if _, _, err := p.Adopt(context.Background(), mine); err != nil {
		t.Fatal(err)
	}
	f.on("/eu-west-1_AbC/keys", status(http.StatusServiceUnavailable, ""))
	rolled := idp.Foreign{AccessToken: sign(t, jose.RS256, keyB(), "new", poolClaims("access", nil))}
	if _, _, err := p.Adopt(context.Background(), rolled); !errors.Is(err, idp.ErrUnavailable) {
		t.Errorf("a key that may be new: got %v, want ErrUnavailable", err)
	}
	if _, _, err := p.Adopt(context.Background(), mine); err != nil {
		t.Errorf("with the keys that are held: %v", err)
	}
}

func TestForeignTokensDoNotPrint(t *testing.T) {
	f := idp.Foreign{AccessToken: "secret-a", RefreshToken: "secret-r"}
	text, err := json.Marshal(fmt.Sprint(f) + fmt.Sprintf("%+v %#v", f, f) + f.LogValue().String())
	if err != nil || strings.Contains(string(text), "secret") {
		t.Errorf("printed %s, %v", text, err)
	}
}
