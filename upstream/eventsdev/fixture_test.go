package eventsdev_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"vestibule/upstream/eventsdev"
)

// patience is how long anything that should happen may take.
const patience = time.Minute

// keyOne and keyTwo are made once: making one takes a sixth of a second of CPU.
var keyOne, keyTwo = sync.OnceValue(newKey), sync.OnceValue(newKey)

func newKey() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}

// issuer publishes keys and signs with them. It is of these tests alone, so that no mistake is shared.
type issuer struct {
	*httptest.Server
	mu      sync.Mutex
	body    []byte
	status  int
	fetches int
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{status: http.StatusOK}
	i.publish(t, publicKey("one", keyOne()))
	i.Server = httptest.NewServer(http.HandlerFunc(i.serve))
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) serve(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if r.URL.Path != "/.well-known/jwks.json" {
		http.NotFound(w, r)
		return
	}
	i.fetches++
	w.WriteHeader(i.status)
	_, _ = w.Write(i.body)
}

func (i *issuer) publish(t *testing.T, keys ...jose.JSONWebKey) {
	t.Helper()
	body, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	i.answer(http.StatusOK, body)
}

func (i *issuer) answer(status int, body []byte) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.status, i.body = status, body
}

func (i *issuer) fetched() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.fetches
}

func publicKey(kid string, key *rsa.PrivateKey) jose.JSONWebKey {
	return jose.JSONWebKey{Key: key.Public(), KeyID: kid, Algorithm: "RS256", Use: "sig"}
}

// clock is a time that moves when told to.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// bench is a running server with its issuer and its clock.
type bench struct {
	t      *testing.T
	s      *eventsdev.Server
	issuer *issuer
	clock  *clock
}

func start(t *testing.T, changes ...func(*eventsdev.Config)) *bench {
	t.Helper()
	b := &bench{t: t, issuer: newIssuer(t), clock: &clock{at: time.Unix(1_800_000_000, 0)}}
	cfg := eventsdev.Config{Issuer: b.issuer.URL, ClientIDs: []string{"app"}, Now: b.clock.now}
	for _, change := range changes {
		change(&cfg)
	}
	s, err := eventsdev.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	b.s = s
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// claims of a good access token, changed; a nil value takes a claim away.
func (b *bench) claims(changes map[string]any) map[string]any {
	c := map[string]any{
		"iss": b.issuer.URL, "sub": "8f3a", "client_id": "app", "token_use": "access", "exp": b.clock.now().Add(time.Hour).Unix(),
	}
	for name, value := range changes {
		c[name] = value
		if value == nil {
			delete(c, name)
		}
	}
	return c
}

func (b *bench) token(changes map[string]any) string {
	return b.sign("one", keyOne(), b.claims(changes))
}

func (b *bench) sign(kid string, key *rsa.PrivateKey, claims map[string]any) string {
	b.t.Helper()
	return signed(b.t, jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, claims)
}

func signed(t *testing.T, with jose.SigningKey, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(with, nil)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// host is what Amplify writes into host: that of the endpoint.
func (b *bench) host() string {
	u, err := url.Parse(b.s.Endpoint())
	if err != nil {
		b.t.Fatal(err)
	}
	return u.Host
}

func (b *bench) header(token string) string {
	return subprotocol(map[string]string{"Authorization": token, "host": b.host()})
}

func subprotocol[T any](header T) string {
	data, _ := json.Marshal(header)
	return "header-" + base64.RawURLEncoding.EncodeToString(data)
}

// socket is a client that a test drives frame by frame.
type socket struct {
	t  *testing.T
	ws *websocket.Conn
}

// dial opens a socket with these subprotocols; none: what Amplify sends, with a good token.
func (b *bench) dial(protocols ...string) *socket {
	b.t.Helper()
	if len(protocols) == 0 {
		protocols = []string{"aws-appsync-event-ws", b.header(b.token(nil))}
	}
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, b.s.RealtimeURL(), &websocket.DialOptions{Subprotocols: protocols})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = ws.CloseNow() })
	ws.SetReadLimit(1 << 20)
	return &socket{b.t, ws}
}

// connect dials and gets through the greeting.
func (b *bench) connect() *socket {
	b.t.Helper()
	c := b.dial()
	c.send(`{"type":"connection_init"}`)
	c.want(`{"type":"connection_ack","connectionTimeoutMs":300000}`)
	c.want(`{"type":"ka"}`)
	return c
}

func (c *socket) send(frame string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	if err := c.ws.Write(ctx, websocket.MessageText, []byte(frame)); err != nil {
		c.t.Fatal(err)
	}
}

// next is the next frame, or the error that ended the socket.
func (c *socket) next() (string, error) {
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	_, data, err := c.ws.Read(ctx)
	return string(data), err
}

func (c *socket) want(frame string) {
	c.t.Helper()
	got, err := c.next()
	if err != nil {
		c.t.Fatalf("got %v, want %s", err, frame)
	}
	if got != frame {
		c.t.Fatalf("got  %s\nwant %s", got, frame)
	}
}

// told is a frame as far as tests look into it.
type told struct {
	Type   string
	ID     string
	Errors []struct{ ErrorType, Message string }
}

// wantError expects an error frame of that type, under that id.
func (c *socket) wantError(kind, id, errorType string) {
	c.t.Helper()
	data, err := c.next()
	if err != nil {
		c.t.Fatalf("got %v, want %s", err, kind)
	}
	var got told
	if err := json.Unmarshal([]byte(data), &got); err != nil {
		c.t.Fatal(err)
	}
	if got.Type != kind || got.ID != id || len(got.Errors) != 1 || got.Errors[0].ErrorType != errorType || got.Errors[0].Message == "" {
		c.t.Fatalf("got %s, want %s with %s for %q", data, kind, errorType, id)
	}
}

// wantClose expects the end of the socket with that code; -1 means without a close frame.
func (c *socket) wantClose(code websocket.StatusCode) {
	c.t.Helper()
	data, err := c.next()
	if err == nil {
		c.t.Fatalf("got %s, want the end", data)
	}
	if got := websocket.CloseStatus(err); got != code || c.t.Context().Err() != nil {
		c.t.Fatalf("ended with %d (%v), want %d", got, err, code)
	}
}

// operation is a frame of Amplify's: the token twice, and a payload that repeats everything.
func (b *bench) operation(kind, id, channel, token string, events ...string) string {
	authorization := map[string]string{"Authorization": token, "host": b.host(), "x-amz-user-agent": "aws-amplify/6.22.1 framework/100"}
	payload := map[string]any{"channel": channel, "extensions": map[string]any{"authorization": authorization}}
	f := map[string]any{"id": id, "type": kind, "channel": channel, "authorization": authorization, "payload": payload}
	if events != nil {
		f["events"], payload["events"] = events, events
	}
	data, _ := json.Marshal(f)
	return string(data)
}

func (b *bench) subscribed(c *socket, id, channel string) {
	b.t.Helper()
	c.send(b.operation("subscribe", id, channel, b.token(nil)))
	c.want(`{"type":"subscribe_success","id":"` + id + `"}`)
}

// post publishes over HTTP.
func (b *bench) post(authorization, body string) (int, string) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.s.Endpoint(), strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	return b.do(req)
}

func (b *bench) do(req *http.Request) (int, string) {
	b.t.Helper()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return res.StatusCode, string(bytes.TrimSpace(data))
}

func publishBody(channel string, events ...string) string {
	data, _ := json.Marshal(map[string]any{"channel": channel, "events": events})
	return string(data)
}

func (b *bench) refusals(reason eventsdev.Reason) int { return b.s.Stats().Refusals[reason] }

func (b *bench) waitConnections(n int) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	if err := b.s.WaitConnections(ctx, n); err != nil {
		b.t.Fatal(err)
	}
}
