// The tests of this package hold the edge to what it promises for every route. No provider is needed: what a route means
// is tested with the handlers.
package web_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"vestibule/handlers"
	"vestibule/idp"
	"vestibule/kv"
	"vestibule/secret"
	"vestibule/session"
	"vestibule/static"
	"vestibule/views"
	"vestibule/web"
)

// logs keeps what was logged.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// records are the lines that tell requests.
func (l *logs) records() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for line := range strings.Lines(l.buf.String()) {
		if strings.Contains(line, "msg=request") {
			out = append(out, strings.TrimSuffix(line, "\n"))
		}
	}
	return out
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newServer makes a server whose provider cannot be reached.
func newServer(t testing.TB, change func(*web.Config)) (*web.Server, *logs) {
	t.Helper()
	all := &logs{}
	public := &url.URL{Scheme: "http", Host: "127.0.0.1:8080"}
	provider, err := idp.New(idp.Config{
		Issuer: "http://127.0.0.1:1/pool", ClientID: "client", RedirectURL: public.String() + "/api/auth/sign-in-callback",
		LogoutRedirectURL: public.String() + "/api/auth/sign-out-callback",
	})
	must(t, err)
	ring, err := secret.NewRing(secret.New([]byte(secret.GenerateKey())))
	must(t, err)
	store := kv.NewMemory(kv.MemoryConfig{})
	sessions, err := session.New(session.Config{
		Keys: ring, Store: store, Provider: handlers.Tokens{Provider: provider},
		Issuer: "http://127.0.0.1:1/pool", ClientID: "client", CookieName: "vestibule",
	})
	must(t, err)
	assets, err := static.New(static.Config{})
	must(t, err)
	pages, err := views.New(views.Config{Assets: assets})
	must(t, err)
	h, err := handlers.New(handlers.Config{PublicURL: public, Sessions: sessions, Provider: provider, Store: store, Views: pages})
	must(t, err)
	c := web.Config{
		Handlers: h, Assets: assets, Metrics: web.NewMetrics(), AuthPath: "/api/auth", TokenPath: "/api/cognito-token",
		Logger: slog.New(slog.NewTextHandler(all, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&c)
	}
	s, err := web.New(c)
	must(t, err)
	return s, all
}

// running is a server on real listeners.
type running struct {
	public, admin string // host:port
	stop          context.CancelFunc
	done          chan error
}

func run(t testing.TB, s *web.Server) *running {
	t.Helper()
	public, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	admin, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	ctx, stop := context.WithCancel(context.Background())
	r := &running{public: public.Addr().String(), admin: admin.Addr().String(), stop: stop, done: make(chan error, 1)}
	go func() {
		r.done <- s.Serve(ctx, public, admin)
		close(r.done)
	}()
	t.Cleanup(func() { stop(); <-r.done })
	return r
}

// ask sends one request on a connection of its own.
func ask(t testing.TB, method, target string, headers ...string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, target, nil)
	must(t, err)
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	r.Close = true
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(r)
	must(t, err)
	defer res.Body.Close()
	read, err := io.ReadAll(res.Body)
	must(t, err)
	return res.StatusCode, string(read)
}

// raw sends bytes and reads until the server closes the connection, or ten seconds have passed.
func raw(t testing.TB, address, request string) (answer string, took time.Duration) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	must(t, err)
	defer conn.Close()
	start := time.Now()
	must(t, conn.SetDeadline(start.Add(10*time.Second)))
	_, err = io.WriteString(conn, request)
	must(t, err)
	read, err := io.ReadAll(conn)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		t.Fatalf("the server kept the connection for %s", time.Since(start))
	}
	return string(read), time.Since(start)
}
