package handlers

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"vestibule/session"
	"vestibule/views"
)

// frontchannelPage says nothing: the provider frames it where nobody sees it.
const frontchannelPage = `<!doctype html><html lang="en"><meta charset="utf-8"><title>Sign-out</title></html>`

// frontchannelTimeout bounds what nobody may be waiting for any more: a look at the session and its end, each with a cache that is slow.
const frontchannelTimeout = 10 * time.Second

// FrontchannelLogout is what the provider frames on its own sign-out page (GET {auth}/frontchannel-logout, OpenID Connect Front-Channel Logout
// 1.0). Nothing proves that it was the provider, so only who knows the browser's session there, its sid, can end it, nothing is revoked at
// the provider, and the answer never tells whether anything ended. Once the request has come it takes effect: the provider's page often
// moves on, and takes its frames away, before they are answered.
func (h *Handlers) FrontchannelLogout(x *Exchange) error {
	r := x.Request()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), frontchannelTimeout)
	defer cancel()
	header := x.cookies()
	s, err := h.c.Sessions.Load(ctx, header)
	switch {
	case errors.Is(err, session.ErrUnavailable):
		h.log(x).Warn("a front-channel logout was lost: the cache does not say whose session it is", "error", err)
	case err == nil && h.meant(r, s):
		whose := session.Whose{ProviderID: s.Tokens.ProviderID}
		if err := h.c.Sessions.Revoke(ctx, whose, session.ReasonProvider); err != nil {
			h.log(x).Warn("a front-channel logout was not taken by the cache: other replicas may not know of it", "error", err)
		}
		x.setCookies(h.c.Sessions.Clear(header))
		x.Session, x.Reason = "ended", string(session.ReasonProvider)
	}
	out := x.Response().Header()
	out["Content-Type"] = typeHTML
	out.Set("Content-Security-Policy", h.c.Views.CSP(views.PagePolicy{FramedBy: []string{h.c.Provider.Issuer(), h.c.Provider.LogoutOrigin()}}))
	out.Set("Referrer-Policy", "no-referrer") // the address holds the sid
	out["Content-Length"] = []string{strconv.Itoa(len(frontchannelPage))}
	x.Response().WriteHeader(http.StatusOK)
	_, err = x.Response().Write([]byte(frontchannelPage))
	return err
}

// meant says whether the request names this session: the issuer and the sid, each once. A session whose provider gave it no name cannot
// be meant.
func (h *Handlers) meant(r *http.Request, s *session.Session) bool {
	q := parseQuery(r.URL.RawQuery)
	iss, sid := q["iss"], q["sid"]
	return len(iss) == 1 && len(sid) == 1 && iss[0] == h.c.Provider.Issuer() && sid[0] == s.Tokens.ProviderID && sid[0] != ""
}
