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
	// AnyMethod: further methods are served as these are. A proxy asks with the visitor's, which may be WebDAV's or anybody's.
	AnyMethod bool

	Body    bool // it reads the request's body; else nobody waits for one
	Form    handlers.Form
	Guard   handlers.Guard
	Session bool                   // without a session the answer is a refusal
	Serves  func(path string) bool // nil: all of Path; what it does not serve is as if the row were not there
	Quiet   bool                   // its log record is for debugging: probes, assets
	Handler handlers.Handler
}

var (
	get      = []string{http.MethodGet, http.MethodHead}
	getOnly  = []string{http.MethodGet} // has effects that a HEAD must not have
	getPost  = []string{http.MethodGet, http.MethodPost}
	post     = []string{http.MethodPost}
	readPost = []string{http.MethodGet, http.MethodHead, http.MethodPost}
	// OPTIONS too, which would be 204 otherwise: proxies that ask with the method of what they ask about take any 2xx for a yes.
	getOptions  = []string{http.MethodGet, http.MethodHead, http.MethodOptions}
	everyMethod = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions}
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
		{Path: auth("events"), Methods: get, Form: handlers.FormJSON, Guard: handlers.GuardSameSite, Session: true, Handler: h.Events},
		{Path: "/login", Methods: get, Form: handlers.FormPage, Handler: h.Login},
		{Path: auth("sign-in"), Methods: getOnly, Form: handlers.FormPage, Handler: h.SignIn},
		{Path: auth("sign-up"), Methods: getOnly, Form: handlers.FormPage, Handler: h.SignUp},
		{Path: auth("sign-in-callback"), Methods: getOnly, Form: handlers.FormPage, Handler: h.SignInCallback},
		{Path: auth("sign-out"), Methods: getPost, Body: true, Form: handlers.FormPage, Handler: h.SignOut},
		{Path: auth("sign-out-callback"), Methods: getOnly, Form: handlers.FormPage, Handler: h.SignOutCallback},
		{Path: auth("backchannel-logout"), Methods: post, Body: true, Form: handlers.FormOAuth, Handler: h.BackchannelLogout},
		{Path: auth("frontchannel-logout"), Methods: getOnly, Form: handlers.FormPage, Handler: h.FrontchannelLogout},
		{Path: auth("verify"), Methods: getOptions, Form: handlers.FormJSON, Session: true, Handler: h.Verify},
		{Path: auth("verify") + "/*", Methods: everyMethod, AnyMethod: true, Form: handlers.FormJSON, Session: true, Handler: h.VerifyBelow}, // Envoy appends the path it asks about
		{Path: "/healthz", Methods: get, Form: handlers.FormJSON, Quiet: true, Handler: h.Healthz},
		{Path: "/readyz", Methods: get, Form: handlers.FormJSON, Quiet: true, Handler: h.Readyz},
		{Path: "/static/*", Methods: get, Quiet: true, Serves: c.Assets.Has, Handler: plain(c.Assets)},
	}
	if h.ListsSessions() {
		table = append(table, Route{Path: auth("sessions"), Methods: readPost, Body: true, Form: handlers.FormEither, Guard: handlers.GuardLink, Session: true, Handler: h.Sessions})
	}
	if h.ServesMachines() {
		table = append(table, Route{Path: "/oauth2/token", Methods: post, Body: true, Form: handlers.FormOAuth, Handler: h.MachineToken})
	}
	switch {
	case c.Home != nil:
		table = append(table, Route{Path: "/", Methods: get, Form: handlers.FormPage, Handler: c.Home})
	case c.Fallback == nil && c.BasePath != "":
		table = append(table, Route{Path: "/", Methods: get, Form: handlers.FormPage, Handler: toHostsRoot})
	}
	if c.Burst != nil {
		table = append(table,
			Route{Path: "/machine", Methods: get, Form: handlers.FormPage, Handler: c.Burst.Page},
			Route{Path: "/machine/burst", Methods: post, Form: handlers.FormPage, Guard: handlers.GuardSameSite, Handler: c.Burst.Send})
	}
	return table
}

// adminRoutes is the table of the admin listener.
func (s *Server) adminRoutes() []Route {
	h := s.c.Handlers
	table := []Route{
		{Path: "/metrics", Methods: get, Quiet: true, Handler: plain(promhttp.HandlerFor(s.c.Metrics.registry, promhttp.HandlerOpts{}))},
		{Path: "/healthz", Methods: get, Form: handlers.FormJSON, Quiet: true, Handler: h.Healthz},
		{Path: "/readyz", Methods: get, Form: handlers.FormJSON, Quiet: true, Handler: h.Readyz},
	}
	if h.AdministersSessions() {
		table = append(table, Route{Path: "/sessions/end", Methods: post, Body: true, Form: handlers.FormJSON, Handler: h.EndSessions})
	}
	return table
}

// toHostsRoot leads on whom a sign-in or sign-out without a returnTo led to our root. Where nothing but us lives below the path of the
// public URL, the application is at the root of the host.
func toHostsRoot(x *handlers.Exchange) error { return x.Redirect(http.StatusSeeOther, "/") }

func plain(h http.Handler) handlers.Handler {
	return func(x *handlers.Exchange) error {
		h.ServeHTTP(x.Response(), x.Request())
		return nil
	}
}
