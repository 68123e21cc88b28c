package upstream

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	dialTimeout = 3 * time.Second
	// idleTimeout is shorter than the 5 s after which Node closes a connection that nobody uses: who closes first never finds that
	// the other one has.
	idleTimeout = 4 * time.Second
	// continueTimeout is how long the application may think about "Expect: 100-continue" before the body is sent all the same.
	continueTimeout = time.Second
	maxIdle         = 256
	// maxAnswerHeader bounds the header of an answer, in bytes: a page of Next.js sends some kilobytes of preload links.
	maxAnswerHeader = 128 << 10
	maxCause        = 200
)

// newTransport is made for one backend and changes nothing on the way: no proxy of the environment, no compression of its own,
// HTTP/1.1, which is what upgrades and the servers behind us speak.
func newTransport(headerTimeout time.Duration) *http.Transport {
	t := &http.Transport{
		DialContext:            dialPatiently,
		TLSHandshakeTimeout:    dialTimeout,
		DisableCompression:     true,
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    maxIdle,
		IdleConnTimeout:        idleTimeout,
		ResponseHeaderTimeout:  headerTimeout,
		ExpectContinueTimeout:  continueTimeout,
		MaxResponseHeaderBytes: maxAnswerHeader,
		Protocols:              new(http.Protocols),
	}
	t.Protocols.SetHTTP1(true)
	return t
}

// cause tells a failure without what the application sent, which may be anything. net/http quotes it.
func cause(err error) string {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "it closed the connection"
	}
	text, _, _ := strings.Cut(err.Error(), `"`)
	return strings.TrimRight(text[:min(len(text), maxCause)], " :")
}

const bufferSize = 32 << 10

// buffers are what answers are copied through.
type buffers struct{ pool sync.Pool }

// Get implements httputil.BufferPool.
func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[bufferSize]byte); ok {
		return p[:]
	}
	return make([]byte, bufferSize)
}

// Put implements httputil.BufferPool.
func (b *buffers) Put(p []byte) { b.pool.Put((*[bufferSize]byte)(p)) }
