package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	"vestibule/config"
	"vestibule/handlers"
	"vestibule/idp/devidp"
	"vestibule/secret"
	"vestibule/views"
	"vestibule/web"
)

// The demo's tokens live a minute, so that a refresh is seen within half of one.
const (
	demoListen     = "localhost:8080"
	demoAccessLife = time.Minute
)

// demo serves everything at once with nothing configured: a provider, Vestibule and a page, on loopback. State ends with the
// process.
func demo(ctx context.Context, p process, args []string) error {
	address, err := demoAddress(args)
	if err != nil {
		return err
	}
	public, err := listen("listen", address)
	if err != nil {
		return err
	}
	if _, port, err := net.SplitHostPort(address); err == nil && port == "0" {
		address = net.JoinHostPort("localhost", portOf(public))
	}
	origin := "http://" + address
	// The provider is at 127.0.0.1 and Vestibule at localhost: cookies know no ports, so two hosts keep them apart.
	provider, err := devidp.Start(devidp.Config{
		RedirectURIs: []string{origin + "/api/auth/sign-in-callback"},
		LogoutURIs:   []string{origin + "/api/auth/sign-out-callback"},
		AccessLife:   demoAccessLife, IDLife: demoAccessLife,
	})
	if err != nil {
		return errors.Join(err, public.Close())
	}
	defer func() { _ = provider.Close() }()
	cfg, faults := config.Load(config.Source{Args: []string{
		"--public_url=" + origin,
		"--provider.issuer=" + provider.Issuer(),
		"--provider.client_id=" + provider.ClientID(),
		"--provider.client_secret=" + provider.ClientSecret(),
		"--session.keys=" + secret.GenerateKey(),
		"--log.level=warn",
	}})
	if len(faults) > 0 {
		return faultsError{faults}
	}
	log, closeLog := newLogger(cfg, p.errw)
	defer closeLog()
	pl := plan{config: cfg, log: log, metrics: web.NewMetrics(), home: func(h *handlers.Handlers) handlers.Handler {
		return h.Demo(demoPage(provider))
	}}
	if pl.secrets, faults = resolve(ctx, pl, p.lookup); len(faults) > 0 {
		return faultsError{faults}
	}
	a, err := wire(pl)
	if err != nil {
		return err
	}
	greet(p.out, origin, provider)
	return a.run(ctx, public, nil)
}

// demoAddress reads --listen, the demo's only flag, and refuses what other machines could reach.
func demoAddress(args []string) (string, error) {
	address := demoListen
	for i := 0; i < len(args); i++ {
		value, ok := strings.CutPrefix(args[i], "--listen=")
		if !ok && args[i] == "--listen" && i+1 < len(args) {
			i++
			value, ok = args[i], true
		}
		if !ok {
			return "", hinted{fmt.Errorf("demo does not know %q", clip(args[i])), `its only flag is --listen=localhost:8080; what can be configured is for "vestibule serve"`}
		}
		address = value
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", hinted{fmt.Errorf("listen: %q is not host:port", clip(address)), "write --listen=localhost:8090"}
	}
	if host == "" {
		host = "localhost"
	}
	if ip, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !ip.IsLoopback()) {
		return "", hinted{fmt.Errorf("listen: the demo serves loopback only, and %q is not", clip(host)), "write --listen=localhost:" + port}
	}
	return net.JoinHostPort(host, port), nil
}

func demoPage(provider *devidp.Server) handlers.DemoPage {
	page := handlers.DemoPage{ProviderURL: provider.Issuer(), AccessLife: demoAccessLife}
	for _, u := range provider.Users() {
		page.Users = append(page.Users, views.DemoUser{Email: u.Email, Password: u.Password})
	}
	return page
}

func greet(w io.Writer, origin string, provider *devidp.Server) {
	var b strings.Builder
	fmt.Fprintf(&b, "\n  Vestibule demo\n\n  Open     %s\n", origin)
	label := "Sign in"
	for _, u := range provider.Users() {
		fmt.Fprintf(&b, "  %-8s %s   password %s\n", label, u.Email, u.Password)
		label = ""
	}
	fmt.Fprintf(&b, "\n  Provider %s (for development only)\n", provider.Issuer())
	fmt.Fprintf(&b, "  Tokens live %s; everything is forgotten when this stops (Ctrl-C).\n\n", demoAccessLife)
	_, _ = io.WriteString(w, b.String())
}

func portOf(l net.Listener) string {
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}
