// Package eventsdev is a local AppSync Events server for the demo and the tests. IT IS NOT A PRODUCT AND MUST NEVER
// SERVE REAL PEOPLE: it forgets everything when it stops, and anybody on this machine may read its counters or cut its
// sockets.
//
// It owns AWS's side of the protocol (handshake, frames, channel rules, limits, HTTP publish) and its own reading of the
// tokens, by which tests prove what Vestibule and Amplify send. It refuses every address but loopback, and what AppSync
// refuses. Where AWS documents nothing, it takes the stricter reading and says so.
//
//	GET /event/realtime → handshake → connection (reader, writer) → operations → hub → outbox of every subscriber
//	POST /event → publishing → hub
//
// Read routes.go first, then handshake.go, connection.go and operations.go; refusals.go has every error that is told.
//
// The protocol: https://docs.aws.amazon.com/appsync/latest/eventapi/event-api-websocket-protocol.html and
// https://docs.aws.amazon.com/appsync/latest/eventapi/publish-http.html.
package eventsdev

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"vestibule/loopback"
)

// Server is a running event server. All methods are safe for concurrent use.
type Server struct {
	cfg         Config
	own         string // host:port
	certificate []byte // PEM; nil without TLS
	http        *http.Server
	served      chan struct{} // closed when the accept loop has ended
	tokens      *verifier
	hub         *hub
	sockets     *sockets
	stats       *counters
}

// Start listens and serves until [Server.Close]. It asks the issuer nothing before the first token arrives, so the issuer
// may start later. Errors: [ErrConfig], [loopback.ErrNotLoopback], or the operating system's refusal to listen.
func Start(c Config) (*Server, error) {
	c = c.withDefaults()
	if err := c.check(); err != nil {
		return nil, err
	}
	listener, own, err := loopback.Listen(c.Addr)
	if errors.Is(err, loopback.ErrAddress) {
		return nil, fmt.Errorf("%w: Addr: %w", ErrConfig, err)
	}
	if err != nil {
		return nil, fmt.Errorf("event server: %w", err)
	}
	s := newServer(c, own)
	if listener, err = s.secure(listener); err != nil {
		return nil, err
	}
	go s.serve(listener)
	return s, nil
}

func newServer(c Config, own string) *Server {
	s := &Server{cfg: c, own: own, served: make(chan struct{}), stats: newCounters()}
	s.tokens = newVerifier(c)
	s.hub = newHub(s.stats)
	s.sockets = newSockets()
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true) // an upgrade needs HTTP/1.1
	s.http = &http.Server{
		Handler:           s.routes(),
		Protocols:         protocols,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       75 * time.Second,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(c.Logger.Handler(), slog.LevelDebug), // browsers that refuse the certificate are many
	}
	return s
}

// secure puts TLS on the listener where it is asked for. A listener that cannot be used is closed.
func (s *Server) secure(l net.Listener) (net.Listener, error) {
	if !s.cfg.TLS {
		return l, nil
	}
	pair, encoded, err := newCertificate()
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	s.certificate = encoded
	return tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}), nil
}

func (s *Server) serve(l net.Listener) {
	defer close(s.served)
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		s.cfg.Logger.Error("event server stopped serving", "error", err)
	}
}

// Close ends the listener, every request and every socket at once, and returns when nothing of them is left. It may be
// called again.
func (s *Server) Close() error {
	err := s.http.Close()
	<-s.served
	s.tokens.keys.close()
	s.sockets.close()
	if err != nil {
		return fmt.Errorf("close the event server: %w", err)
	}
	return nil
}

// Endpoint is the HTTP address that Amplify is configured with: https://127.0.0.1:1234/event, http without TLS.
func (s *Server) Endpoint() string { return s.origin("http") + "/event" }

// RealtimeURL is the address of the sockets: wss://127.0.0.1:1234/event/realtime, ws without TLS.
func (s *Server) RealtimeURL() string { return s.origin("ws") + "/event/realtime" }

func (s *Server) origin(scheme string) string {
	if s.cfg.TLS {
		scheme += "s"
	}
	return scheme + "://" + s.own
}

// Certificate is the server's own certificate in PEM, for whoever has to trust it; nil without TLS. Its key never leaves
// the process, and it is good for localhost, 127.0.0.1 and ::1 only.
func (s *Server) Certificate() []byte { return append([]byte(nil), s.certificate...) }

// DropAll ends every open socket and returns how many there were, once they are gone. Code 0 cuts them as a network
// would, without a close frame; so does a code that may not be sent (RFC 6455, section 7.4). Any other is sent in a close
// frame, which a peer has five seconds to answer.
func (s *Server) DropAll(code int) int {
	n := s.sockets.drop(code)
	s.cfg.Logger.Info("dropped every socket", "sockets", n, "code", code)
	return n
}

// WaitConnections returns when exactly n sockets are open, or with ctx's error.
func (s *Server) WaitConnections(ctx context.Context, n int) error { return s.sockets.wait(ctx, n) }
