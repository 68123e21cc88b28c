package idp_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"vestibule/idp"
)

const (
	issuer   = "https://id.example.com"
	clientID = "our-client"
	verifier = "verifier-verifier-verifier-verifier-verifier"
	nonce    = "nonce-of-ours"
	subject  = "user-1"
)

// Keys are slow to make; the tests share them.
var (
	keyA = sync.OnceValue(func() *rsa.PrivateKey { return newRSA() })
	keyB = sync.OnceValue(func() *rsa.PrivateKey { return newRSA() })
	keyE = sync.OnceValue(func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			panic(err)
		}
		return k
	})
)

func newRSA() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
}

// fake is a provider without a network: it is the transport. That lets a test run in a synctest bubble, where
// minutes pass in no time.
type fake struct {
	mu     sync.Mutex
	doc    map[string]any
	keys   []any
	counts map[string]int // path → requests
	forms  []url.Values
	auth   []string
	// Handlers by path, in place of the fake's own.
	handle map[string]http.HandlerFunc
	// answer is what the token endpoint sends.
	answer map[string]any
	// fail makes the transport itself fail.
	fail func(*http.Request) error
}

func newFake() *fake {
	return &fake{
		doc: map[string]any{
			"issuer":                 issuer,
			"authorization_endpoint": issuer + "/authorize",
			"token_endpoint":         issuer + "/token",
			"jwks_uri":               issuer + "/keys",
			"revocation_endpoint":    issuer + "/revoke",
			"end_session_endpoint":   issuer + "/end",
		},
		keys:   []any{jwk("a", keyA().Public())},
		counts: make(map[string]int),
		handle: make(map[string]http.HandlerFunc),
	}
}

// newCognito has Cognito's issuer, paths and claims.
func newCognito() *fake {
	f := newFake()
	domain := "https://shop.auth.eu-west-1.amazoncognito.com"
	f.doc = map[string]any{
		"issuer":                 cognitoIssuer,
		"authorization_endpoint": domain + "/oauth2/authorize",
		"token_endpoint":         domain + "/oauth2/token",
		"jwks_uri":               cognitoIssuer + "/keys",
		"revocation_endpoint":    domain + "/oauth2/revoke",
		"end_session_endpoint":   domain + "/logout",
	}
	return f
}

const cognitoIssuer = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbC"

// jwk is a published key.
func jwk(id string, key crypto.PublicKey) jose.JSONWebKey {
	return jose.JSONWebKey{Key: key, KeyID: id, Use: "sig"}
}

func (f *fake) RoundTrip(r *http.Request) (*http.Response, error) {
	var form url.Values
	if r.Body != nil {
		var b bytes.Buffer
		if _, err := b.ReadFrom(r.Body); err != nil {
			return nil, err
		}
		form, _ = url.ParseQuery(b.String())
	}
	f.mu.Lock()
	f.counts[r.URL.Path]++
	if r.Method == http.MethodPost {
		f.forms, f.auth = append(f.forms, form), append(f.auth, r.Header.Get("Authorization"))
	}
	fail, handler := f.fail, f.handle[r.URL.Path]
	f.mu.Unlock()
	if fail != nil {
		if err := fail(r); err != nil {
			return nil, err
		}
	}
	if handler == nil {
		handler = f.serve
	}
	w := httptest.NewRecorder()
	handler(w, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return w.Result(), nil
}

func (f *fake) serve(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case strings.HasSuffix(r.URL.Path, "/.well-known/openid-configuration"):
		writeJSON(w, http.StatusOK, f.doc)
	case strings.HasSuffix(r.URL.Path, "/keys"):
		writeJSON(w, http.StatusOK, map[string]any{"keys": f.keys})
	case strings.HasSuffix(r.URL.Path, "/token"):
		writeJSON(w, http.StatusOK, f.answer)
	case strings.HasSuffix(r.URL.Path, "/revoke"):
	default:
		http.NotFound(w, r)
	}
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func (f *fake) count(path string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts[path]
}

// set changes the fake while it is in use.
func (f *fake) set(change func(*fake)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

// on replaces a path's answer.
func (f *fake) on(path string, h http.HandlerFunc) {
	f.set(func(f *fake) { f.handle[path] = h })
}

// status answers with a status, a body and further headers (name, value, …).
func status(code int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(code)
		_, _ = w.Write([]byte(body))
	}
}

// config is a valid configuration that talks to f.
func config(f *fake) idp.Config {
	iss, _ := f.doc["issuer"].(string)
	return idp.Config{
		Issuer:            iss,
		ClientID:          clientID,
		ClientSecret:      func() []byte { return []byte("s3cret&+") },
		RedirectURL:       "https://app.example.com/api/auth/sign-in-callback",
		LogoutRedirectURL: "https://app.example.com/api/auth/sign-out-callback",
		Claims:            []string{"email", "name"},
		Transport:         f,
	}
}

func open(t *testing.T, f *fake, changes ...func(*idp.Config)) *idp.Provider {
	t.Helper()
	cfg := config(f)
	for _, change := range changes {
		change(&cfg)
	}
	p, err := idp.New(cfg)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return p
}

// idClaims are those of a truthful ID token, changed by the given ones; a nil value removes a claim.
func idClaims(changes map[string]any) map[string]any {
	now := time.Now()
	claims := map[string]any{
		"iss": issuer, "aud": clientID, "sub": subject, "nonce": nonce,
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "auth_time": now.Add(-time.Minute).Unix(),
		"email": "ann@example.com", "name": "Ann", "sid": "provider-session",
	}
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	return claims
}

func sign(t testing.TB, alg jose.SignatureAlgorithm, key any, id string, claims map[string]any) string {
	t.Helper()
	options := &jose.SignerOptions{}
	if id != "" {
		options = options.WithHeader("kid", id)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, options)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := s.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	compact, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

func idToken(t testing.TB, changes map[string]any) string {
	t.Helper()
	return sign(t, jose.RS256, keyA(), "a", idClaims(changes))
}

// answers makes the token endpoint answer with an access token, a refresh token and this ID token.
func (f *fake) answers(id string) *fake {
	f.set(func(f *fake) {
		f.answer = map[string]any{"access_token": "access-1", "refresh_token": "refresh-2", "token_type": "Bearer", "expires_in": 3600}
		if id != "" {
			f.answer["id_token"] = id
		}
	})
	return f
}

func atHash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

func exchange(p *idp.Provider) (idp.Tokens, error) {
	return p.Exchange(context.Background(), idp.Callback{Code: "code-1"}, idp.Pending{Verifier: verifier, Nonce: nonce})
}

func refresh(p *idp.Provider) (idp.Tokens, error) {
	return p.Refresh(context.Background(), idp.RefreshRequest{RefreshToken: "refresh-1", Subject: subject})
}

// pass lets time go by on a synctest bubble's clock.
func pass(d time.Duration) { <-time.After(d) }
