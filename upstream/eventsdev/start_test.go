package eventsdev_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"vestibule/loopback"
	"vestibule/upstream/eventsdev"
)

func TestStartRefusesConfigurationsThatCannotWork(t *testing.T) {
	for what, c := range map[string]struct {
		cfg  eventsdev.Config
		want error
	}{
		"no issuer":                 {eventsdev.Config{}, eventsdev.ErrConfig},
		"a relative issuer":         {eventsdev.Config{Issuer: "pool"}, eventsdev.ErrConfig},
		"keys over plain http":      {eventsdev.Config{Issuer: "http://idp.example"}, eventsdev.ErrConfig},
		"keys from a file":          {eventsdev.Config{Issuer: "https://idp.example", JWKSURL: "file://localhost/keys"}, eventsdev.ErrConfig},
		"a namespace that is none":  {eventsdev.Config{Issuer: "https://idp.example", Namespaces: []string{"a_b"}}, eventsdev.ErrConfig},
		"too many namespaces":       {eventsdev.Config{Issuer: "https://idp.example", Namespaces: make([]string, 51)}, eventsdev.ErrConfig},
		"an empty client id":        {eventsdev.Config{Issuer: "https://idp.example", ClientIDs: []string{""}}, eventsdev.ErrConfig},
		"a negative duration":       {eventsdev.Config{Issuer: "https://idp.example", KeepAlive: -1}, eventsdev.ErrConfig},
		"an address without a port": {eventsdev.Config{Issuer: "https://idp.example", Addr: "127.0.0.1"}, eventsdev.ErrConfig},
		"every interface":           {eventsdev.Config{Issuer: "https://idp.example", Addr: ":0"}, loopback.ErrNotLoopback},
		"another machine's address": {eventsdev.Config{Issuer: "https://idp.example", Addr: "192.0.2.1:0"}, loopback.ErrNotLoopback},
	} {
		s, err := eventsdev.Start(c.cfg)
		if !errors.Is(err, c.want) || s != nil {
			t.Errorf("%s: got %v, want %v", what, err, c.want)
		}
	}
}

func TestAddressesAreThoseAmplifyMakes(t *testing.T) {
	b := start(t, func(c *eventsdev.Config) { c.Addr = "localhost:0" })
	if host := b.host(); !strings.HasPrefix(host, "localhost:") || b.s.Endpoint() != "http://"+host+"/event" || b.s.RealtimeURL() != "ws://"+host+"/event/realtime" {
		t.Errorf("got %s and %s", b.s.Endpoint(), b.s.RealtimeURL())
	}
	if b.s.Certificate() != nil {
		t.Error("a certificate without TLS")
	}
	b.connect()
}

func TestTLSIsServedWithACertificateForThisServerAlone(t *testing.T) {
	b := start(t, func(c *eventsdev.Config) { c.TLS = true })
	if !strings.HasPrefix(b.s.Endpoint(), "https://127.0.0.1:") || !strings.HasPrefix(b.s.RealtimeURL(), "wss://127.0.0.1:") {
		t.Errorf("got %s and %s", b.s.Endpoint(), b.s.RealtimeURL())
	}
	block, rest := pem.Decode(b.s.Certificate())
	if block == nil || len(rest) != 0 {
		t.Fatal("not one PEM block")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"localhost", "127.0.0.1", "::1"} {
		if err := cert.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	if cert.IsCA || cert.VerifyHostname("example.com") == nil || time.Until(cert.NotAfter) > 31*24*time.Hour {
		t.Error("the certificate is good for more than it should be")
	}

	roots := x509.NewCertPool()
	roots.AddCert(cert)
	trusting := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	defer trusting.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	protocols := []string{"aws-appsync-event-ws", b.header(b.token(nil))}
	ws, _, err := websocket.Dial(ctx, b.s.RealtimeURL(), &websocket.DialOptions{HTTPClient: trusting, Subprotocols: protocols})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ws.CloseNow() }()
	c := &socket{t, ws}
	c.send(`{"type":"connection_init"}`)
	c.want(`{"type":"connection_ack","connectionTimeoutMs":300000}`)
	var unknown x509.UnknownAuthorityError
	if _, _, err := websocket.Dial(ctx, b.s.RealtimeURL(), &websocket.DialOptions{Subprotocols: protocols}); !errors.As(err, &unknown) {
		t.Errorf("whoever does not know the certificate: got %v, want an unknown authority", err)
	}
}

// lockedBuffer takes log lines of several requests at once.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestTheLogTellsReasonsAndNothingThatPassedThrough(t *testing.T) {
	var log lockedBuffer
	b := start(t, func(c *eventsdev.Config) {
		c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	good, stale := b.token(nil), b.token(map[string]any{"exp": 1})
	c := b.connect()
	b.subscribed(c, "s", "default/private-room")
	c.send(b.operation("publish", "p", "default/private-room", stale, `"what-was-said"`))
	c.wantError("publish_error", "p", "UnauthorizedException")
	b.wantPost("not-a-token", http.StatusUnauthorized)
	b.wantPost(good, http.StatusOK)
	refused := b.dial("aws-appsync-event-ws", "header-not-base64!")
	refused.send(`{"type":"connection_init"}`)
	refused.wantError("connection_error", "", "BadRequestException")
	b.s.DropAll(0)
	for _, reason := range []string{"expired", "malformed_token", "handshake", "dropped every socket"} {
		if !strings.Contains(log.String(), reason) {
			t.Errorf("the log does not say %q:\n%s", reason, log.String())
		}
	}
	for what, secret := range map[string]string{
		"token": good, "expired token": stale, "bad token": "not-a-token", "channel": "private-room", "event": "what-was-said", "header": "not-base64",
	} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log holds the %s", what)
		}
	}
}
