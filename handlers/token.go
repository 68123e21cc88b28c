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

// found is the session that a request brought.
type found struct {
	session *session.Session
	adopted bool // it is the adapter's: no cookie of ours holds it yet
}

// load gives the browser's session and clears cookies that hold none, or one that is definitely over.
func (h *Handlers) load(x *Exchange) (*session.Session, error) {
	f, err := h.find(x)
	switch {
	case err != nil:
		return nil, err
	case h.c.Sessions.Unproven(f.session):
		return h.freshen(x, f, session.Need{})
	case f.adopted:
		h.hand(x, f.session, f)
	}
	return f.session, nil
}

// find is load without a look at the tokens and without a cookie for what was adopted.
func (h *Handlers) find(x *Exchange) (found, error) {
	s, err := h.c.Sessions.Load(x.Request().Context(), x.cookies())
	if err == nil {
		x.Session = "live"
		return found{session: s}, nil
	}
	if s, err = h.adopt(x, err); err == nil {
		x.Session = "adopted"
		return found{session: s, adopted: true}, nil
	}
	h.noSession(x, err)
	return found{}, err
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
	case errors.Is(err, session.ErrUnavailable):
		x.Session = "unverified"
		return
	default:
		x.Session = "unreadable"
	}
	x.setCookies(h.c.Sessions.Clear(x.cookies()))
}

// fresh gives the browser's session with a token that is good enough, and hands the browser its newer cookie if there is one.
func (h *Handlers) fresh(x *Exchange, n session.Need) (*session.Session, error) {
	f, err := h.find(x)
	if err != nil {
		return nil, err
	}
	return h.freshen(x, f, n)
}

// freshen is fresh for a session that was found already.
func (h *Handlers) freshen(x *Exchange, f found, n session.Need) (*session.Session, error) {
	ctx := x.Request().Context()
	old := f.session
	s, err := h.c.Sessions.Fresh(ctx, old, n)
	if err != nil {
		switch {
		case errors.Is(err, session.ErrEnded):
			h.noSession(x, err)
			h.forgetEnded(x, f, err)
		case s != nil && s.Generation > old.Generation: // the old refresh token is spent, whatever the new tokens are worth
			h.hand(x, s, f)
		}
		return nil, err
	}
	slid, changed := s, s.Generation > old.Generation
	if changed {
		x.Refreshed = true
	} else {
		slid, changed = h.c.Sessions.Slide(ctx, s)
	}
	if changed || f.adopted {
		h.hand(x, slid, f)
	}
	return s, nil
}

// rewrite sets the session's cookies anew. One that has grown too large for cookies is made lean: the token is good, and the browser
// must not keep the refresh token that was spent. It says whether the browser has them now.
func (h *Handlers) rewrite(ctx context.Context, x *Exchange, s *session.Session) bool {
	cookies, err := h.c.Sessions.Cookies(s, x.cookies())
	if errors.Is(err, session.ErrTooLarge) {
		h.log(x).WarnContext(ctx, "a session has grown too large for its cookies: ID token and claims are left out",
			"largest", session.Weigh(s, nil, 0).Largest)
		cookies, err = h.c.Sessions.Cookies(s.Lean(), x.cookies())
	}
	if err != nil {
		h.log(x).ErrorContext(ctx, "a session could not be written to its cookie", "error", err)
		return false
	}
	if x.fewCookies && session.Chunked(cookies) {
		// Half of a session is none. The browser keeps its older form, which leads to this one as long as the result is kept.
		return false
	}
	x.setCookies(cookies)
	return true
}
