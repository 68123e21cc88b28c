package web

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"vestibule/handlers"
)

// Route is one row of the route table: all that the edge knows about an address.
type Route struct {
	Path    string // below the base path of the public URL; "*" at the end takes the rest
	Methods []string
	Form    handlers.Form
	Guard   handlers.Guard
	Session bool // without a session the answer is a refusal
	Quiet   bool // its log record is for debugging: probes, assets
	Handler handlers.Handler
}

var (
	get     = []string{http.MethodGet, http.MethodHead}
	getOnly = []string{http.MethodGet} // has effects that a HEAD must not have
	getPost = []string{http.MethodGet, http.MethodPost}
)

// Routes is a copy of the table of the public listener: whoever wants to hold every row to what it says finds them here.
func (s *Server) Routes() []Route { return s.routes() }

// routes is the table of the public listener.
func (s *Server) routes() []Route {
	h, c := s.c.Handlers, s.c
	auth := func(name string) string { return c.AuthPath + "/" + name }
	table := []Route{
		{Path: c.TokenPath, Methods: get, Form: handlers.FormJSON, Guard: handlers.GuardToken, Session: true, Handler: h.Token},
		{Path: "/.well-known/bff-token", Methods: get, Form: handlers.FormTMI, Guard: handlers.GuardToken, Session: true, Handler: h.BFFToken},
		{Path: "/.well-known/bff-sessioninfo", Methods: get, Form: handlers.FormTMI, Guard: handlers.GuardSameSite, Session: true, Handler: h.BFFSessionInfo},
		{Path: auth("session"), Methods: get, Form: handlers.FormJSON, Guard: handlers.GuardSameSite, Session: true, Handler: h.Session},
		{Path: "/login", Methods: get, Form: handlers.FormPage, Handler: h.Login},
		{Path: auth("sign-in"), Methods: getOnly, Form: handlers.FormPage, Handler: h.SignIn},
		{Path: auth("sign-up"), Methods: getOnly, Form: handlers.FormPage, Handler: h.SignUp},
		{Path: auth("sign-in-callback"), Methods: getOnly, Form: handlers.FormPage, Handler: h.SignInCallback},
		{Path: auth("sign-out"), Methods: getPost, Form: handlers.FormPage, Handler: h.SignOut},
		{Path: auth("sign-out-callback"), Methods: getOnly, Form: handlers.FormPage, Handler: h.SignOutCallback},
		{Path: "/healthz", Methods: get, Form: handlers.FormJSON, Quiet: true, Handler: h.Healthz},
		{Path: "/readyz", Methods: get, Form: handlers.FormJSON, Quiet: true, Handler: h.Readyz},
		{Path: "/static/*", Methods: get, Quiet: true, Handler: plain(c.Assets)},
	}
	if c.Home != nil {
		table = append(table, Route{Path: "/", Methods: get, Form: handlers.FormPage, Handler: c.Home})
	}
	return table
}

// adminRoutes is the table of the admin listener.
func (s *Server) adminRoutes() []Route {
	h := s.c.Handlers
	return []Route{
		{Path: "/metrics", Methods: get, Quiet: true, Handler: plain(promhttp.HandlerFor(s.c.Metrics.registry, promhttp.HandlerOpts{}))},
		{Path: "/healthz", Methods: get, Form: handlers.FormJSON, Quiet: true, Handler: h.Healthz},
		{Path: "/readyz", Methods: get, Form: handlers.FormJSON, Quiet: true, Handler: h.Readyz},
	}
}

func plain(h http.Handler) handlers.Handler {
	return func(x *handlers.Exchange) error {
		h.ServeHTTP(x.Response(), x.Request())
		return nil
	}
}
