package upstream

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// lastWord is how long an answer that is there already may take to be read.
const lastWord = time.Second

func dialPatiently(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return newPatientConn(conn), nil
}

// patientConn keeps back that writing failed until the connection is closed. An application may refuse an upload, say so, and close
// (RFC 9112, section 9.5): the failure would be known before the answer is read, and net/http gives up the connection for the first
// that it hears of. Reading ends where writing does, so that an application that is gone is not waited for.
type patientConn struct {
	net.Conn

	closed chan struct{}
	once   sync.Once // closes closed
	failed sync.Once // one failure is kept back: TLS writes once more on closing
}

func newPatientConn(conn net.Conn) *patientConn {
	return &patientConn{Conn: conn, closed: make(chan struct{})}
}

// Write implements net.Conn.
func (c *patientConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if err != nil {
		c.failed.Do(func() {
			limit := time.NewTimer(lastWord)
			defer limit.Stop()
			select {
			case <-c.closed:
			case <-limit.C:
			}
		})
	}
	return n, err
}

// Close implements net.Conn.
func (c *patientConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// CloseWrite is what httputil passes the end of a socket's one side on by.
func (c *patientConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}
