package upstream

import (
	"bufio"
	"net"
	"net/http"
	"sync"
	"time"
)

// writer is the browser's side of an answer. Each write has its own time, so that a long answer is not cut and a browser that
// reads nothing does not hold it for ever. Silence between two writes costs nothing.
type writer struct {
	http.ResponseWriter
	rc       *http.ResponseController
	patience time.Duration
	informs  bool  // informational answers pass
	body     *body // of the request; nil: none

	mu   sync.Mutex
	conn net.Conn // after an upgrade
}

// newWriter: HTTP/1.0 knows no informational answers (RFC 9110, section 15.2). Where the browser waits for a 100, net/http sends it when
// the application begins to read, and cannot bear that another is sent at the same time.
func newWriter(w http.ResponseWriter, r *http.Request, patience time.Duration) *writer {
	informs := r.ProtoAtLeast(1, 1) && r.Header["Expect"] == nil
	return &writer{ResponseWriter: w, rc: http.NewResponseController(w), patience: patience, informs: informs}
}

// extend gives the next write its time.
func (w *writer) extend() { _ = w.rc.SetWriteDeadline(time.Now().Add(w.patience)) } // not every writer has deadlines: tests

// WriteHeader implements http.ResponseWriter.
func (w *writer) WriteHeader(status int) {
	h := w.Header()
	if status < 200 && status != http.StatusSwitchingProtocols {
		if !w.informs {
			return
		}
		delete(h, "Set-Cookie") // it would not have been looked at for names of ours
		delete(h, "Alt-Svc")    // as in answer
	} else if _, has := h["Content-Type"]; !has {
		h["Content-Type"] = nil // else net/http guesses, and a guess can make a page of what is none
	}
	if status >= 200 {
		w.closeUnread()
	}
	w.extend()
	w.ResponseWriter.WriteHeader(status)
}

// closeUnread makes this the last answer on its connection if the request was not read to its end: what is left of it, or what is wrong
// with it, must never be taken for the next request. On another connection net/http would want all of the body before the answer,
// and the application may answer early.
func (w *writer) closeUnread() {
	if w.body != nil && !w.body.complete() {
		w.Header()["Connection"] = []string{"close"}
	}
}

// Write implements http.ResponseWriter.
func (w *writer) Write(p []byte) (int, error) {
	w.extend()
	return w.ResponseWriter.Write(p)
}

// FlushError is what http.ResponseController flushes by.
func (w *writer) FlushError() error {
	w.extend()
	return w.rc.Flush()
}

// Unwrap is for http.ResponseController.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Hijack implements http.Hijacker. net/http clears the connection's deadlines: a socket may be silent as long as it likes.
func (w *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := w.rc.Hijack()
	if err != nil {
		return nil, nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conn = conn
	return conn, rw, nil
}

func (w *writer) hijacked() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.conn != nil
}

// cut ends the browser's side, whatever it is doing.
func (w *writer) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conn != nil {
		_ = w.conn.Close() // it is given up
		return
	}
	_ = w.rc.SetWriteDeadline(time.Now()) // as in extend
}
