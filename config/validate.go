package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"vestibule/secret"
)

// checker gathers faults of one configuration.
type checker struct {
	*Config
	faults Faults
}

func (c *checker) fault(key, problem, hint string) {
	c.faults = append(c.faults, Fault{Key: key, Problem: problem, Hint: hint})
}

// check faults key when its value has a problem.
func (c *checker) check(key string, err error, hint string) {
	if err != nil {
		c.fault(key, err.Error(), hint)
	}
}

// validate says everything that is wrong with a configuration whose values could be read.
func validate(config *Config) Faults {
	c := &checker{Config: config}
	for _, k := range keys() {
		c.general(k)
	}
	c.listeners()
	c.edge()
	c.provider()
	c.session()
	c.cache()
	c.admin()
	c.cookie()
	c.paths()
	c.token()
	c.machine()
	c.brand()
	c.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	c.oneOf("log.format", c.Log.Format, "", "text", "json")
	c.available()
	return c.faults
}

// general checks what the table knows of a key: whether it is needed, and its unit.
func (c *checker) general(k key) {
	if k.required && k.isEmpty(c.Config) {
		hint := "set it in the file, as " + k.env + ", or with --" + k.path
		if k.path == "session.keys" {
			hint = keygenHint
		}
		c.fault(k.path, "is required", hint)
	}
	if n, is := k.field(c.Config).(*int); is && *n < 1 {
		c.fault(k.path, "must be more than zero", "write a whole number, such as "+k.initial)
	}
	d, is := k.field(c.Config).(*time.Duration)
	switch {
	case !is:
	case *d < 0:
		c.fault(k.path, "must not be negative", "write a number and its unit, such as "+k.initial)
	case *d == 0 && !k.zeroAllowed():
		c.fault(k.path, "must be more than zero", "write a number and its unit, such as "+k.initial)
	}
}

const keygenHint = `run "vestibule keygen"`

// oneOf checks a choice.
func (c *checker) oneOf(key, value string, choices ...string) {
	if slices.Contains(choices, value) {
		return
	}
	named := slices.DeleteFunc(slices.Clone(choices), func(s string) bool { return s == "" })
	c.fault(key, `"`+shorten(value)+`" is not a choice`, "use "+strings.Join(named, ", "))
}

func (c *checker) listeners() {
	const hint = "write host:port, such as 127.0.0.1:8080 or :8080"
	host, port, err := splitListen(c.Listen)
	c.check("listen", err, hint)
	if c.AdminListen == "" {
		return
	}
	adminHost, adminPort, adminErr := splitListen(c.AdminListen)
	c.check("admin_listen", adminErr, hint)
	overlap := host == adminHost || host == "" || adminHost == ""
	if err == nil && adminErr == nil && overlap && port == adminPort && port != 0 {
		c.fault("admin_listen", "is the address of listen", "give it a port of its own; metrics are not for the public")
	}
}

// LeastAdminToken is the shortest admin.token, in characters: it is all that stands between its holder and everybody's sessions.
const LeastAdminToken = 32

// admin checks a token that stands in the configuration itself; one behind a reference is for whoever reads it.
func (c *checker) admin() {
	text := c.Admin.Token.Reference()
	switch {
	case text == "":
	case c.AdminListen == "":
		c.fault("admin.token", "is set, but admin_listen is empty", "set admin_listen, or remove the token")
	case !secret.IsReference(text) && len(text) < LeastAdminToken:
		c.fault("admin.token", fmt.Sprintf("is shorter than %d characters", LeastAdminToken), keygenHint)
	}
}

// splitListen reads host:port; the unspecified addresses are the empty host.
func splitListen(text string) (host string, port uint64, err error) {
	host, service, err := net.SplitHostPort(text)
	if err != nil {
		return "", 0, errors.New("is not host:port")
	}
	if port, err = strconv.ParseUint(service, 10, 16); err != nil {
		return "", 0, errors.New("has no port between 0 and 65535")
	}
	if host == "0.0.0.0" || host == "::" {
		host = ""
	}
	return host, port, nil
}

// edge checks who stands around us: browsers, proxies, the application.
func (c *checker) edge() {
	if c.PublicURL != "" {
		c.check("public_url", checkPublicURL(c.PublicURL), "write the origin that browsers see, such as https://app.example.com")
	}
	c.application()
	for i, text := range c.RedirectOrigins {
		err, hint := checkOrigin(text), "write an origin, such as https://app.example.com"
		if errors.Is(err, errWildcard) {
			hint = "list each origin by itself, such as https://a.example.com,https://b.example.com"
		}
		if err != nil {
			c.fault("redirect_origins", fmt.Sprintf("item %d %v", i+1, err), hint)
		}
	}
	for i, text := range c.TrustedProxies {
		if _, err := parsePrefix(text); err != nil {
			c.fault("trusted_proxies", fmt.Sprintf("item %d %v", i+1, err), "write an address or a network, such as 10.0.0.0/8")
		}
	}
}

// application checks who stands behind us. http may do: that way is the operator's own network.
func (c *checker) application() {
	if c.App.URL == "" {
		return
	}
	const hint = "write where the application listens, such as http://127.0.0.1:3000"
	u, err := parseURL(c.App.URL)
	switch {
	case err != nil:
		c.fault("app.url", err.Error(), hint)
	case (u.Path != "" && u.Path != "/") || strings.Contains(c.App.URL, "?"):
		c.fault("app.url", "has more than a host and a port", hint)
	case origin(u) == origin(c.Public()):
		c.fault("app.url", "is public_url itself"+circles, hint)
	case leadsTo(u, c.Listen):
		c.fault("app.url", "is the address of listen"+circles, "let the application listen on another port, and name that")
	case leadsTo(u, c.AdminListen):
		c.fault("app.url", "is the address of admin_listen: metrics are not for the public", "let the application listen on another port, and name that")
	}
}

// circles is what comes of an address that leads back to us.
const circles = ": requests would go round in circles"

// leadsTo says whether a URL is that of a listener of ours, as far as addresses tell: names that DNS knows may lead there too.
func leadsTo(u *url.URL, listen string) bool {
	host, port, err := splitListen(listen)
	theirs, _ := strconv.ParseUint(u.Port(), 10, 16) // checked by parseURL; 0: none
	if theirs == 0 {
		theirs = map[string]uint64{"http": 80, "https": 443}[u.Scheme]
	}
	if err != nil || port != theirs {
		return false
	}
	target, isAddress := plainHost(u.Hostname())
	host, oursIsAddress := plainHost(host)
	anywhere := target == "0.0.0.0" || target == "::" // who connects to it comes to loopback
	switch {
	case host == "":
		return anywhere || isLoopback(target)
	case anywhere, !isAddress, !oursIsAddress:
		return host == target || isLoopback(host) && (anywhere || isLoopback(target))
	}
	return host == target // another process may have 127.0.0.2, or [::1], to itself
}

// plainHost is the one spelling of a host, and whether it is an address.
func plainHost(host string) (plain string, isAddress bool) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Unmap().String(), true
	}
	return strings.ToLower(host), false
}

func (c *checker) session() {
	literals := make([]secret.Value, len(c.Session.Keys)) // not set where a reference stands
	for i, ref := range c.Session.Keys {
		if !secret.IsReference(ref.Reference()) {
			literals[i] = secret.New([]byte(ref.Reference()))
		}
	}
	for _, err := range secret.CheckKeys(literals...) {
		c.fault("session.keys", err.Error(), keygenHint)
	}
	c.oneOf("session.mode", c.Session.Mode, "cookie", "server")
	c.oneOf("session.same_site", c.Session.SameSite, "lax", "strict")
	if c.Session.IdleTimeout > c.Session.MaxAge {
		c.fault("session.idle_timeout", "is longer than session.max_age", "shorten it, or write 0 to turn it off")
	}
	if c.Session.AmplifyDomain != "" && !strings.HasSuffix("."+c.Public().Hostname(), "."+c.AmplifyCookieDomain()) {
		c.fault("session.amplify_domain", "is neither the host of public_url nor a domain above it", "write it as it stands in runtimeOptions.cookies.domain")
	}
}

// cache checks a URL that stands in the configuration itself; what a reference leads to is checked where it is read.
func (c *checker) cache() {
	url := c.Cache.URL.Reference()
	if secret.IsReference(url) {
		return
	}
	scheme, _, _ := strings.Cut(url, ":")
	// The URL may hold a password: no fault repeats more than a scheme we know.
	if !slices.Contains([]string{"memory", "redis", "rediss", "dynamodb", "momento"}, scheme) {
		c.fault("cache.url", "has no scheme we know", "use memory:, redis://, rediss:// or dynamodb://")
	} else if scheme == "memory" && url != "memory:" {
		c.fault("cache.url", "says more than memory: takes", `use "memory:"`)
	}
}

func (c *checker) cookie() {
	name := c.Session.CookieName
	if name == "" {
		return
	}
	if len(name) > 64 || !isToken(name) {
		c.fault("session.cookie_name", "is not a cookie name of at most 64 letters, digits and signs", "leave it out for the default")
	}
	// Browsers compare the prefixes without regard to case (RFC 6265bis section 5.7).
	for _, prefix := range []string{"__Host-", "__Secure-", "__Http-"} {
		has := len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix)
		if has && !c.Secure() {
			c.fault("session.cookie_name", "starts with "+prefix+", which browsers refuse without https", "use https in public_url, or drop the prefix")
		}
	}
}
