package upstream_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"

	"vestibule/upstream"
)

// refusing is the connection to an application that answers an upload early and closes: writing has failed before anything of the answer is
// read.
type refusing struct {
	net.Conn // nil: nothing else is called

	answer         io.Reader
	writes         int
	failed, closed chan struct{}
	fail, end      sync.Once
}

func (c *refusing) Write(p []byte) (int, error) {
	if c.writes++; c.writes == 1 {
		return len(p), nil
	}
	c.fail.Do(func() { close(c.failed) })
	return 0, syscall.ECONNRESET
}

func (c *refusing) Read(p []byte) (int, error) {
	select {
	case <-c.failed:
	case <-c.closed:
	}
	select {
	case <-c.closed:
		return 0, net.ErrClosed
	default:
		return c.answer.Read(p[:min(len(p), 1000)])
	}
}

func (c *refusing) Close() error {
	c.end.Do(func() { close(c.closed) })
	return nil
}

func upload(t testing.TB, answer string) (h *house, res *http.Response, body string) {
	t.Helper()
	h = newHouse(t, &seen{}, func(o *options) {
		o.config.Transport = &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			return upstream.PatientConn(&refusing{answer: strings.NewReader(answer), failed: make(chan struct{}), closed: make(chan struct{})}), nil
		}}
	})
	res, body = h.ask(t, "POST / HTTP/1.1\nHost: x\nContent-Length: 100000\n\n"+strings.Repeat("x", 100000))
	return h, res, body
}

// RFC 9112, section 9.5: the answer counts, not that the rest of the request could not be sent.
func TestAnUploadThatIsRefusedGetsTheRefusal(t *testing.T) {
	t.Parallel()
	page := strings.Repeat("too large ", 6400) // more than is read at a time
	h, res, body := upload(t, "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 64000\r\n\r\n"+page)
	if res.StatusCode != http.StatusRequestEntityTooLarge || body != page {
		t.Errorf("got %d with %d bytes, want the application's 413; the log says %q", res.StatusCode, len(body), h.logs)
	}
}

func TestAnUploadToAnApplicationThatIsGoneFails(t *testing.T) {
	t.Parallel()
	h, res, _ := upload(t, "")
	if err := <-h.errs; res.StatusCode != http.StatusBadGateway || !errors.Is(err, upstream.ErrAppUnavailable) {
		t.Errorf("got %d and %v, want 502 and ErrAppUnavailable", res.StatusCode, err)
	}
}

// The kernel's way of it: what was not read when the application closes is answered with a reset.
func TestAnApplicationMayCloseWithoutReadingAnUpload(t *testing.T) {
	t.Parallel()
	target := bare(t, func(_ int, conn net.Conn, r *bufio.Reader) {
		if _, err := http.ReadRequest(r); err == nil {
			_, _ = io.WriteString(conn, "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig")
		}
	})
	h := newHouse(t, &seen{}, func(o *options) { o.target = target })
	much := make([]byte, 20<<20)
	for range 12 {
		conn, r := h.raw(t, fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", len(much)))
		go func() { _, _ = conn.Write(much) }() // it is cut off
		if res, body := readAnswer(t, r, "POST"); res.StatusCode != http.StatusRequestEntityTooLarge || body != "big" {
			t.Fatalf("got %d %q, want 413", res.StatusCode, body)
		}
		_ = conn.Close() // ends the writing
	}
}
