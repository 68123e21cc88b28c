package handlers

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"vestibule/session"
	"vestibule/upstream"
)

// App passes what is not ours on to the application behind us, and says there who asks. A token that is due is refreshed first: server
// components cannot set cookies, so they must never need to.
func (h *Handlers) App(x *Exchange) error {
	r := x.Request()
	switch r.Method {
	case http.MethodConnect, http.MethodTrace: // a tunnel past us; an echo of what is added here
		x.Response().Header().Set("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
		return ErrMethod
	}
	v, release, err := h.visitor(x)
	if err != nil {
		return err
	}
	defer release()
	// The cookies stand with the application's answer, or with ours if there is none.
	header := x.Response().Header()
	v.SetCookie = header["Set-Cookie"]
	delete(header, "Set-Cookie")
	if err := h.c.App.Serve(appWriter{x.Response()}, r, v); err != nil {
		if len(v.SetCookie) > 0 {
			header["Set-Cookie"] = v.SetCookie
		}
		return err
	}
	return nil
}

// visitor is what the application is told of who asks. Nobody who is signed in is no error. release is called when the request is over.
func (h *Handlers) visitor(x *Exchange) (v upstream.Visitor, release func(), err error) {
	release = func() {}
	if !h.mayBring(x.Request()) {
		x.Denied = "cross_site"
		return v, release, nil
	}
	part := isPart(x.Request().Header) && reads(x.Request().Method)
	s, err := h.fresh(x, session.Need{Brief: part})
	switch status, _, _ := answerTo(err); {
	case err == nil:
		standing, release := h.standing(s)
		if lasts(x.Request()) {
			// It may have ended while nobody watched it yet.
			if err := h.c.Sessions.Alive(x.Request().Context(), s); errors.Is(err, session.ErrEnded) {
				h.noSession(x, err)
				return v, release, nil
			}
		}
		v = upstream.Visitor{
			Bearer:   s.Tokens.AccessToken,
			Identity: h.introduce(s).identity,
			Standing: standing, Left: h.c.Sessions.Limit(s).Sub(h.c.Now()),
		}
		return v, release, nil
	case status == http.StatusUnauthorized:
		return v, release, nil
	case errors.Is(err, session.ErrUnavailable) && part:
		// Most are the same for everybody, and a page that lacks its style cannot say what is wrong.
		return v, release, nil
	case errors.Is(err, errUnjudged) && isVisit(x.Request()):
		// Anybody's cookies do that. Who is somebody is taken over by a later request, and sees the site until then.
		return v, release, nil
	}
	return v, release, err
}

// standing is done once the session is over. What the application opens on it ends then. Because word of an ending can get lost, what
// lasts long asks by itself, as event streams do; most requests are over before their first look.
func (h *Handlers) standing(s *session.Session) (standing context.Context, release func()) {
	standing, over := context.WithCancel(context.Background())
	stop := h.c.Sessions.Watch(s, session.Watcher{Ended: func(session.Reason) { over() }})
	first := time.AfterFunc(h.untilLook(), func() { h.keepLooking(standing, s, over) })
	return standing, func() {
		first.Stop()
		stop()
		over()
	}
}

// keepLooking asks whether the session still stands until it does not, or ctx is done.
func (h *Handlers) keepLooking(ctx context.Context, s *session.Session, over func()) {
	for {
		if ended, certain := h.ended(ctx, s); ended != nil && certain {
			over()
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(h.untilLook()):
		}
	}
}

// lasts says whether a request asks for a socket or a stream of events, as far as a request tells.
func lasts(r *http.Request) bool {
	return r.Header.Get("Upgrade") != "" || strings.Contains(r.Header.Get("Accept"), "text/event-stream")
}

// mayBring says whether a request acts for the person. Another site's page may lead here by a link, as to any application; what else it
// asks for, a socket included, goes on as from nobody: the application need not know how to tell.
func (h *Handlers) mayBring(r *http.Request) bool {
	if !h.fromElsewhere(r) {
		return true
	}
	mode := r.Header.Get("Sec-Fetch-Mode")
	return mode == "navigate" && reads(r.Method) && len(r.Header["Origin"]) == 0
}

// isVisit says that a person goes to a page. A script would take the answer to nobody for one to its person.
func isVisit(r *http.Request) bool {
	return reads(r.Method) && !isScript(r.Header) && acceptsHTML(r)
}

// isPart says that a page's style, script, picture or sound is asked for. A page has dozens, and browsers ask for a few at a time: while
// the provider is down they would wait for it one after the other, so each waits briefly.
func isPart(header http.Header) bool {
	switch one(header, "Sec-Fetch-Dest") {
	case "style", "script", "image", "font", "manifest", "audio", "video", "track", "worker", "serviceworker", "sharedworker":
		return true
	}
	return false
}

func reads(method string) bool { return method == http.MethodGet || method == http.MethodHead }

// appWriter is echo's response for answers that are not ours. echo takes an informational answer for the answer itself, and does
// not see that a connection is a socket now.
type appWriter struct{ *echo.Response }

// WriteHeader implements http.ResponseWriter.
func (w appWriter) WriteHeader(status int) {
	if status < 200 && status != http.StatusSwitchingProtocols {
		w.Writer.WriteHeader(status)
		return
	}
	w.Response.WriteHeader(status)
}

// Hijack implements http.Hijacker.
func (w appWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := w.Response.Hijack()
	if err == nil {
		w.Status, w.Committed = http.StatusSwitchingProtocols, true
	}
	return conn, rw, err
}
