package handlers

import (
	"context"
	"net/http"
	"time"

	"vestibule/session"
	"vestibule/views"
)

// demoMachinePath is where the demo's page about machine tokens is; below it is what its button posts to.
const demoMachinePath = "/machine"

// DemoPage describes the page of the demo; see Demo.
type DemoPage struct {
	Users       []views.DemoUser
	ProviderURL string        // the provider's issuer
	AccessLife  time.Duration // of the provider's access tokens
	EventsURL   string        // the HTTP endpoint of the live channel's server
	RealtimeURL string        // where its sockets open
}

// Demo makes the handler of the demo's page, which the demo alone serves at "/".
func (h *Handlers) Demo(d DemoPage) Handler {
	return func(x *Exchange) error {
		if x.Request().Host != h.c.PublicURL.Host {
			// Cookies are bound to the host: a sign-in begun at 127.0.0.1 would come back to localhost without them.
			return x.redirect(http.StatusFound, h.c.PublicURL.String()+"/")
		}
		page := views.Demo{
			SignInURL: h.AuthPath("sign-in"), SignOutURL: h.AuthPath("sign-out"), SessionURL: h.AuthPath("session"),
			AuthURL: h.Path(h.c.AuthPath), TokenURL: h.Path(h.c.TokenPath), Users: d.Users, ProviderURL: d.ProviderURL,
			AccessLife: d.AccessLife, EventsURL: d.EventsURL, RealtimeURL: d.RealtimeURL, HomeURL: h.Path("/"), MachineURL: h.Path(demoMachinePath),
		}
		if h.ListsSessions() {
			page.SessionsURL = h.AuthPath(sessionsAt)
		}
		s, err := h.load(x)
		if err == nil {
			page.SignedIn, page.User = true, shownClaims(s)
		}
		policy := h.signOutPolicy()
		policy.Scripts, policy.Connect = true, []string{d.RealtimeURL}
		return h.page(x, http.StatusOK, policy, h.c.Views.Demo(h.language(x), page))
	}
}

func shownClaims(s *session.Session) []views.Claim {
	var out []views.Claim
	c := readClaims(s)
	for _, name := range []string{"name", "email", "sub"} {
		if v, ok := c[name].(string); ok && v != "" {
			out = append(out, views.Claim{Name: name, Value: v})
		}
	}
	return out
}

// DemoMachinePage describes the demo's page about machine tokens; see DemoMachine.
type DemoMachinePage struct {
	ProviderURL string                      // the provider's issuer
	AccessLife  time.Duration               // of the provider's access tokens
	Size        int                         // requests in a burst
	AtOnce      int                         // so many of them at a time
	Send        func(context.Context) error // plays a service: it sends one burst and keeps what came of it; an error: it was given up
	Bursts      func() []views.DemoBurst    // those that were kept, newest first
}

// DemoMachine makes the handlers of the demo's page about machine tokens, which the demo alone serves: the page, and what its button
// does. After a burst the browser is sent back to the page: loading that again sends nothing.
func (h *Handlers) DemoMachine(d DemoMachinePage) (page, send Handler) {
	page = func(x *Exchange) error {
		if x.Request().Host != h.c.PublicURL.Host {
			return x.redirect(http.StatusFound, h.c.PublicURL.String()+demoMachinePath)
		}
		return h.page(x, http.StatusOK, views.PagePolicy{}, h.c.Views.DemoMachine(views.DemoMachine{
			HomeURL: h.Path("/"), MachineURL: h.Path(demoMachinePath), BurstURL: h.Path(demoMachinePath + "/burst"),
			ProviderURL: d.ProviderURL, AccessLife: d.AccessLife, Size: d.Size, AtOnce: d.AtOnce, Bursts: d.Bursts(),
		}))
	}
	send = func(x *Exchange) error {
		if err := d.Send(x.Request().Context()); err != nil {
			return err
		}
		return x.redirect(http.StatusSeeOther, h.Path(demoMachinePath)+"#burst")
	}
	return page, send
}
