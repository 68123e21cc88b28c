package idp_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"vestibule/idp"
)

// These tests use real sockets: what the standard transport does by itself is what they are about.

// server is a provider on a loopback socket whose token endpoint is the given one.
func server(t *testing.T, token http.HandlerFunc) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	mux.HandleFunc(wellKnown, func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, 200, map[string]any{"issuer": s.URL, "authorization_endpoint": s.URL + "/a", "token_endpoint": s.URL + "/token", "jwks_uri": s.URL + "/keys"})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, 200, map[string]any{"keys": []any{jwk("a", keyA().Public())}})
	})
	mux.HandleFunc("/token", token)
	return s
}

func dial(t *testing.T, iss string) *idp.Provider {
	t.Helper()
	p, err := idp.New(idp.Config{Issuer: iss, ClientID: clientID, RedirectURL: iss, Logout: "none"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestARequestWhoseConnectionDropsIsSentOnce(t *testing.T) {
	var asked atomic.Int32
	s := server(t, func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm() // the whole request has arrived
		if asked.Add(1); r.Form.Get("refresh_token") == "first" {
			writeJSON(w, 200, map[string]any{"access_token": "x"})
			return
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_ = conn.Close()
		}
	})
	p := dial(t, s.URL)
	// A first call leaves an idle connection: only on a used one does the transport think of sending again.
	if _, err := p.Refresh(context.Background(), idp.RefreshRequest{RefreshToken: "first", Subject: subject}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // once on the idle connection, once on a new one
		asked.Store(0)
		_, err := refresh(p)
		fail, _ := errors.AsType[*idp.Error](err)
		if fail == nil || fail.Kind != idp.ErrUnavailable || !fail.Lost || asked.Load() != 1 {
			t.Errorf("got %v, asked %d times; want one lost request", err, asked.Load())
		}
	}
}

func TestARefusedConnectionIsNotALostRequest(t *testing.T) {
	s := server(t, func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, 200, map[string]any{"access_token": "x"}) })
	// A connection that the server closes while it idles can break under the next request, which is then lost.
	s.Config.SetKeepAlivesEnabled(false)
	p := dial(t, s.URL)
	if _, err := refresh(p); err != nil {
		t.Fatal(err)
	}
	s.Close()
	_, err := refresh(p)
	fail, _ := errors.AsType[*idp.Error](err)
	if fail == nil || fail.Kind != idp.ErrUnavailable || fail.Lost || !strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v, want a refused connection and nothing lost", err)
	}
}

func TestAnAnswerThatIsNoHTTPIsNotQuoted(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 4096)) // the request first: what comes unasked is another case
			_, _ = conn.Write([]byte("plant-in-the-answer\r\n\r\n"))
			_ = conn.Close()
		}
	}()
	err = dial(t, "http://"+l.Addr().String()).Check(context.Background())
	if !errors.Is(err, idp.ErrUnavailable) || strings.Contains(err.Error(), "plant") {
		t.Errorf("got %v", err)
	}
}

func TestAHeaderWithoutEndIsRefused(t *testing.T) {
	s := server(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Pad", strings.Repeat("x", 100<<10))
		writeJSON(w, 200, map[string]any{"access_token": "x"})
	})
	if _, err := refresh(dial(t, s.URL)); !errors.Is(err, idp.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
}

func TestACertificateNobodyVouchesForIsNamed(t *testing.T) {
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	err := dial(t, s.URL).Check(context.Background())
	if !errors.Is(err, idp.ErrUnavailable) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("got %v", err)
	}
}
