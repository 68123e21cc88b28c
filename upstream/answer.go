package upstream

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// errNotAsked: an answer of 101 is the beginning of a tunnel, and one that nobody asked for would be one past all checks.
var errNotAsked = errors.New("it switched protocols without being asked to speak WebSocket")

// errNotHTTP: net/http reads "099" as a status, and will not write one.
var errNotHTTP = errors.New("it answered with a status below 100")

// answer looks at what the application answers before the browser sees it.
func (p *passage) answer(res *http.Response) error {
	if res.StatusCode < 100 {
		return errNotHTTP
	}
	p.ownCookies(res.Header)
	delete(res.Trailer, "Set-Cookie")
	delete(res.Header, "Alt-Svc") // a way around us (RFC 7838)
	if res.StatusCode == http.StatusSwitchingProtocols {
		conn, ok := res.Body.(io.ReadWriteCloser)
		if !ok || !p.upgrade || !strings.EqualFold(res.Header.Get("Upgrade"), "websocket") {
			return errNotAsked
		}
		s := &socket{app: conn, browser: p.w}
		res.Body = s
		p.last(s)
		return nil
	}
	sharedCaches(res.Header, p.visitor.known())
	b := &answerBody{ReadCloser: res.Body, p: p, res: res}
	res.Body = b
	if isEvents(res.Header.Get("Content-Type")) {
		b.stream = &stream{p: p}
		p.last(b.stream)
	}
	return nil
}

// isEvents reads a type as browsers do (WHATWG MIME Sniffing, section 4.4): what follows the first semicolon may be malformed.
func isEvents(contentType string) bool {
	essence, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.Trim(essence, " \t"), "text/event-stream")
}

func (p *passage) last(l lasting) {
	p.lasting = l
	p.app.open.add(l)
	if standing := p.visitor.Standing; standing != nil {
		p.watched = context.AfterFunc(standing, func() { p.app.part(l) })
	}
	if left := p.visitor.Left; left > 0 {
		p.limit = time.AfterFunc(left, func() { p.app.part(l) })
	}
}

// ownCookies leaves out cookies that the application sets under our names, and adds ours.
func (p *passage) ownCookies(h http.Header) {
	if set := h["Set-Cookie"]; len(set) > 0 {
		kept := slices.DeleteFunc(set, func(line string) bool { return p.app.c.Owns(cookieName(line)) })
		if len(kept) < len(set) {
			p.app.c.Logger.Warn("the application set a cookie under a name of ours: it was left out", "app", p.app.origin)
		}
		if h["Set-Cookie"] = kept; len(kept) == 0 {
			delete(h, "Set-Cookie")
		}
	}
	if len(p.visitor.SetCookie) > 0 {
		h["Set-Cookie"] = append(h["Set-Cookie"], p.visitor.SetCookie...)
		forNobodyElse(h)
	}
}

// cookieName is the name under which a browser would send the cookie back. One that has no name is sent as its value alone, and
// "=a=b" comes back as "a=b".
func cookieName(line string) string {
	pair, _, _ := strings.Cut(line, ";")
	name, _, _ := strings.Cut(strings.TrimLeft(pair, " \t="), "=")
	return strings.TrimRight(name, " \t")
}

// answerBody is the body of an answer on its way to the browser.
type answerBody struct {
	io.ReadCloser
	p      *passage
	res    *http.Response
	stream *stream // nil: no stream of events
}

// Read implements io.Reader.
func (b *answerBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	switch {
	case err == nil:
	case err == io.EOF:
		delete(b.res.Trailer, "Set-Cookie") // as in answer: those that were not announced
	case b.stream != nil && b.stream.leaving.Load():
		return n, io.EOF // a stream of events has no end of its own: who follows it asks anew
	case b.p.in.Context().Err() == nil:
		b.p.app.c.Logger.Error("the application broke off within an answer", "app", b.p.app.origin, "error", cause(err))
	}
	return n, err
}

// stream is a stream of events (text/event-stream).
type stream struct {
	p       *passage
	leaving atomic.Bool
}

func (s *stream) leave(goodbye) {
	s.leaving.Store(true)
	s.p.giveUp()
}

func (s *stream) cut() { s.p.w.cut() }

func (s *stream) end() {}
