package handlers

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"

	"vestibule/session"
)

// Token is the token answer (GET {token.path}): a short-lived access token for browser code.
func (h *Handlers) Token(x *Exchange) error {
	s, err := h.fresh(x, need(x.Request().URL.RawQuery))
	if err != nil {
		return err
	}
	buf := tokenBuffers.Get().(*[]byte)
	defer tokenBuffers.Put(buf)
	*buf = h.appendToken((*buf)[:0], s)
	return x.json(http.StatusOK, *buf)
}

// tokenBuffers are reused: the answer is the hottest path there is.
var tokenBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 4096); return &b }}

func (h *Handlers) appendToken(b []byte, s *session.Session) []byte {
	b = append(b, `{"accessToken":`...)
	b = appendJSON(b, s.Tokens.AccessToken)
	b = append(b, `,"expiresAt":`...)
	b = strconv.AppendInt(b, s.Tokens.Expires.Unix(), 10)
	b = append(b, `,"expiresIn":`...)
	b = strconv.AppendInt(b, int64(s.Left(h.c.Now())/time.Second), 10)
	if h.c.IncludeIDToken && s.Tokens.IDToken != "" {
		b = append(b, `,"idToken":`...)
		b = appendJSON(b, s.Tokens.IDToken)
	}
	return append(b, `,"tokenType":"Bearer"}`...)
}

// need reads min_ttl and forceRefresh; what is malformed is ignored, and so is every other parameter.
func need(query string) session.Need {
	if query == "" {
		return session.Need{}
	}
	q := parseQuery(query)
	n := session.Need{Force: q.Get("forceRefresh") == "true"}
	if seconds, err := strconv.ParseUint(q.Get("min_ttl"), 10, 31); err == nil {
		n.MinTTL = time.Duration(seconds) * time.Second
	}
	return n
}

// load gives the browser's session and clears cookies that hold none, or one that is definitely over.
func (h *Handlers) load(x *Exchange) (*session.Session, error) {
	s, err := h.c.Sessions.Load(x.Request().Context(), x.cookies())
	if err != nil {
		h.noSession(x, err)
		return nil, err
	}
	x.Session = "live"
	return s, nil
}

// noSession notes why there is none, and clears what the browser brought unless that may be another session's by now.
func (h *Handlers) noSession(x *Exchange, err error) {
	var ended *session.Ended
	switch {
	case errors.Is(err, session.ErrNone):
		x.Session = "none"
		return
	case errors.As(err, &ended):
		x.Session, x.Reason = "ended", string(ended.Reason)
		if ended.KeepCookies {
			return
		}
	default:
		x.Session = "unreadable"
	}
	x.setCookies(h.c.Sessions.Clear(x.cookies()))
}

// fresh gives the browser's session with a token that is good enough, and hands the browser its newer cookie if there is one.
func (h *Handlers) fresh(x *Exchange, n session.Need) (*session.Session, error) {
	old, err := h.load(x)
	if err != nil {
		return nil, err
	}
	ctx := x.Request().Context()
	s, err := h.c.Sessions.Fresh(ctx, old, n)
	if err != nil {
		switch {
		case errors.Is(err, session.ErrEnded):
			h.noSession(x, err)
		case s != nil && s.Generation > old.Generation: // the old refresh token is spent, whatever the new tokens are worth
			h.rewrite(ctx, x, s)
		}
		return nil, err
	}
	slid, changed := s, s.Generation > old.Generation
	if changed {
		x.Refreshed = true
	} else {
		slid, changed = h.c.Sessions.Slide(ctx, s)
	}
	if changed {
		h.rewrite(ctx, x, slid)
	}
	return s, nil
}

// rewrite sets the session's cookies anew. One that has grown too large for cookies is made lean: the token is good, and the browser
// must not keep the refresh token that was spent.
func (h *Handlers) rewrite(ctx context.Context, x *Exchange, s *session.Session) {
	cookies, err := h.c.Sessions.Cookies(s, x.cookies())
	if errors.Is(err, session.ErrTooLarge) {
		h.log(x).WarnContext(ctx, "a session has grown too large for its cookies: ID token and claims are left out",
			"largest", session.Weigh(s, nil, 0).Largest)
		cookies, err = h.c.Sessions.Cookies(s.Lean(), x.cookies())
	}
	if err != nil {
		h.log(x).ErrorContext(ctx, "a session could not be written to its cookie", "error", err)
		return
	}
	x.setCookies(cookies)
}
