package handlers

import (
	"context"
	"errors"
	"fmt"

	"vestibule/idp"
	"vestibule/session"
	"vestibule/session/amplify"
)

// errUnjudged means, beside session.ErrUnavailable, that nobody can say now whether the adapter's session is one at all: nothing
// that it brought was verified.
var errUnjudged = errors.New("the tokens of Amplify's adapter cannot be verified now")

// adopt takes over the session of Amplify's adapter that the browser brought in place of one of ours, which it lacks for the
// reason why. What it cannot take over leaves that reason as it is, unless it is one that the person must hear of: the
// session was ended, or nobody can say now what the tokens are worth.
func (h *Handlers) adopt(x *Exchange, why error) (*session.Session, error) {
	if h.c.Amplify == nil || !errors.Is(why, session.ErrNone) && !errors.Is(why, session.ErrUnreadable) {
		return nil, why
	}
	theirs, ok := h.c.Amplify.Read(x.cookies())
	if !ok {
		return nil, why
	}
	s, err := h.judge(x, theirs)
	switch {
	case err == nil:
		return s, nil
	case errors.Is(err, session.ErrUnavailable):
		return nil, err // their cookies stay: it may be adopted later
	}
	h.forget(x)
	if errors.Is(err, session.ErrEnded) {
		return nil, err
	}
	return nil, why
}

// judge makes a session of theirs. Tokens that are not the provider's for us are told to the log, without a word of theirs.
func (h *Handlers) judge(x *Exchange, theirs amplify.Found) (*session.Session, error) {
	ctx := x.Request().Context()
	tokens, began, err := h.c.Provider.Adopt(ctx, idp.Foreign{
		AccessToken: theirs.AccessToken, IDToken: theirs.IDToken, RefreshToken: theirs.RefreshToken,
	})
	if err != nil {
		h.log(x).WarnContext(ctx, "a session of Amplify's adapter was not taken over", "error", err)
		err = inSessionsWords(err)
		if errors.Is(err, session.ErrUnavailable) {
			err = fmt.Errorf("%w: %w", errUnjudged, err)
		}
		return nil, err
	}
	return h.c.Sessions.Adopt(ctx, toSession(tokens, h.c.KeepIDToken), began, deviceLabel(x.Request().UserAgent()))
}

// hand gives the browser the cookie of a session, in exchange for the adapter's. What was adopted gets none while a newer form of
// it exists or is made: that one's answer must not be overwritten. It is adopted again next time.
func (h *Handlers) hand(x *Exchange, s *session.Session, f found) {
	ctx := x.Request().Context()
	if f.adopted && s.Generation == f.session.Generation && h.c.Sessions.Superseded(ctx, s) {
		return
	}
	if h.rewrite(ctx, x, s) {
		h.forget(x)
	}
}

// forgetEnded deletes the adapter's cookies with a session that turned out to be over. They stay where ours would: without the
// cache a refusal may only mean that another replica was faster.
func (h *Handlers) forgetEnded(x *Exchange, f found, err error) {
	var ended *session.Ended
	if f.adopted && errors.As(err, &ended) && !ended.KeepCookies {
		h.forget(x)
	}
}

// forget deletes the adapter's cookies. Our own come first: nginx hands on the first alone of those that a subrequest sets.
func (h *Handlers) forget(x *Exchange) {
	if h.c.Amplify == nil {
		return
	}
	for _, line := range h.c.Amplify.Deletions(x.cookies()) {
		x.Response().Header().Add("Set-Cookie", line)
	}
}

// endForeign ends the adapter's session that the browser brought, whether or not it would have been adopted, and deletes its
// cookies: after a sign-out, or beside a new sign-in, it must not come to life again. It says whether there was one. One
// that cannot be verified now is deleted all the same, and its refresh token left to run out. With everywhere it ends all
// sessions of its person; the error says that some may go on elsewhere.
func (h *Handlers) endForeign(x *Exchange, everywhere bool) (ended bool, incomplete error) {
	if h.c.Amplify == nil {
		return false, nil
	}
	defer h.forget(x)
	theirs, ok := h.c.Amplify.Read(x.cookies())
	if !ok {
		return false, nil
	}
	ctx := x.Request().Context()
	s, err := h.judge(x, theirs)
	switch {
	case everywhere && errors.Is(err, session.ErrUnavailable):
		return false, errors.Join(errNotEverywhere, err) // nobody can say whose sessions they are
	case err != nil:
		return false, nil
	case everywhere && h.c.Sessions.Unproven(s):
		return true, h.endProven(ctx, s)
	}
	return true, h.end(ctx, s, everywhere)
}

// endProven ends all sessions of the person of an adopted session if its refresh token is the person's indeed. An access token that has
// run out lies in many a log, and must not do, together with an invented refresh token, to sign its person out on all devices.
func (h *Handlers) endProven(ctx context.Context, s *session.Session) error {
	proven, err := h.c.Sessions.Fresh(ctx, s, session.Need{})
	if err != nil {
		h.c.Sessions.End(ctx, s)
		return errors.Join(errNotEverywhere, err)
	}
	return h.end(ctx, proven, true)
}
