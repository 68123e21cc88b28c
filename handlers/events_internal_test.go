package handlers

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/labstack/echo/v4"
)

// pipes is a listener without a network: a synctest bubble knows when they wait, so hours pass at once.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// Accept implements net.Listener.
func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

// Addr implements net.Listener.
func (*pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080} }

// serveStream serves one stream that says something every signOfLife, under a server's own time limit, and gives the browser's side and
// what tells when the handler has returned.
func serveStream(t *testing.T, lasts time.Duration) (client net.Conn, took <-chan time.Duration) {
	t.Helper()
	l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	done := make(chan time.Duration, 1)
	server := &http.Server{WriteTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := &Exchange{Context: echo.New().NewContext(r, w)}
		x.beginEvents()
		e := events{x: x, control: http.NewResponseController(x.Response().Writer)}
		start := time.Now()
		for time.Since(start) < lasts && e.send(":\n\n") == nil {
			<-time.After(signOfLife)
		}
		done <- time.Since(start)
	})}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Shutdown(context.Background()) })
	client, far := net.Pipe()
	l.conns <- far
	_, err := io.WriteString(client, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	return client, done
}

func TestAStreamOutlivesTheTimeLimitOfOtherAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, took := serveStream(t, time.Hour)
		whole, err := io.ReadAll(client)
		if err != nil || <-took < time.Hour {
			t.Errorf("got %d bytes, %v; want an hour of them", len(whole), err)
		}
	})
}

func TestWhoReadsNothingIsCut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, took := serveStream(t, time.Hour)
		defer client.Close()
		if got := <-took; got > streamPatience+signOfLife {
			t.Errorf("a browser that reads nothing was waited for during %s", got)
		}
	})
}
