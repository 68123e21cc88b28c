package upstream

import (
	"io"
	"net/http"
	"sync"
	"time"
)

// body is the body of a request on its way to the application. Each part has its own time to come, so that an upload may take long
// and a silent browser may not.
//
// The transport reads it from a goroutine of its own, and goes on when the application has answered early. net/http cannot
// have that once the answer is given: the connection is then its own again. So end stops the reading and waits for it.
type body struct {
	from     io.ReadCloser
	rc       *http.ResponseController
	patience time.Duration
	linger   time.Duration
	atEnd    func() // the trailers have come

	mu      sync.Mutex
	reading bool
	idle    sync.Cond // of mu: reading has ended
	done    bool      // read to its end
	over    bool      // not to be read any more
	err     error     // why it did not come
}

func newBody(from io.ReadCloser, p *passage) *body {
	b := &body{from: from, rc: p.w.rc, patience: p.app.patience, linger: p.app.linger, atEnd: p.trailers}
	b.idle.L = &b.mu
	return b
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if err := b.begin(); err != nil {
		return 0, err
	}
	n, err := b.from.Read(p)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reading = false
	b.idle.Broadcast()
	switch {
	case err == nil:
	case err != io.EOF:
		b.err = err
	default:
		b.done = true
		b.atEnd()
	}
	return n, err
}

// begin says why nothing is to be read, or nil. The transport asks once more after the last byte, and by then the application may have
// answered: net/http closes a body that was read before it writes the answer, and reading it would be an error for which the transport
// closes the connection that the answer is coming on.
func (b *body) begin() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.done:
		return io.EOF
	case b.over:
		return http.ErrBodyReadAfterClose
	}
	b.reading = true
	_ = b.rc.SetReadDeadline(time.Now().Add(b.patience)) // not every writer has deadlines: tests
	return nil
}

// Close implements io.Closer.
func (b *body) Close() error { return b.from.Close() }

// broken is why the body did not come, or nil.
func (b *body) broken() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

// complete says whether all of it was read.
func (b *body) complete() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.done
}

// end stops the reading. A browser that still sends gets a short while: net/http reads a little of what is left, so that the
// answer is not lost on the way.
func (b *body) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = true
	if b.done {
		return
	}
	if b.reading {
		_ = b.rc.SetReadDeadline(time.Now()) // as in begin
	}
	for b.reading {
		b.idle.Wait()
	}
	if !b.done {
		_ = b.rc.SetReadDeadline(time.Now().Add(b.linger)) // as in begin
	}
}
