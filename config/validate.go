package config

import (
	"errors"
	"fmt"
	"net"
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
	if c.App.URL != "" {
		_, err := parseURL(c.App.URL)
		c.check("app.url", err, "write the address of the application, such as http://127.0.0.1:3000")
	}
	for i, text := range c.RedirectOrigins {
		if err := checkOrigin(text); err != nil {
			c.fault("redirect_origins", fmt.Sprintf("item %d %v", i+1, err), "write an origin, such as https://app.example.com")
		}
	}
	for i, text := range c.TrustedProxies {
		if _, err := parsePrefix(text); err != nil {
			c.fault("trusted_proxies", fmt.Sprintf("item %d %v", i+1, err), "write an address or a network, such as 10.0.0.0/8")
		}
	}
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
	scheme, _, _ := strings.Cut(c.Cache.URL, ":")
	// The URL may hold a password: no fault repeats more than a scheme we know.
	if !slices.Contains([]string{"memory", "redis", "rediss", "dynamodb", "momento"}, scheme) {
		c.fault("cache.url", "has no scheme we know", "use memory:, redis://, rediss://, dynamodb:// or momento://")
	} else if scheme == "memory" && c.Cache.URL != "memory:" {
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

func (c *checker) machine() {
	if c.Machine.TokenURL != "" {
		c.check("machine.token_url", checkEndpoint(c.Machine.TokenURL), endpointHint)
	}
	seen := make(map[string]bool)
	for i, client := range c.Machine.Clients {
		at := fmt.Sprintf("machine.clients[%d]", i)
		switch {
		case client.ID == "":
			c.fault(at+".id", "is required", "name the client")
		case seen[client.ID]:
			c.fault(at+".id", "repeats the id of another client", "keep one of them")
		}
		if client.Secret == "" {
			c.fault(at+".secret", "is required", "write the secret, or a reference to it")
		}
		seen[client.ID] = true
	}
}
